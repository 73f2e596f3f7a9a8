"""What a score means: from held-out examples to a confidence, and to the threshold below which nobody is sure.

Plain double arithmetic in a fixed order, so the same examples give the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, log1p
from typing import NamedTuple

__all__ = ["Calibration", "Judged", "auroc", "best_threshold", "threshold_for_loss"]

# Of a classifier that was trained with label smoothing, in units of the largest margin that such training aims at:
# what a good calibration looked like on intent sets of 7 to 150 routes. It weighs as much as a few examples.
_SMOOTHING = 0.2
_OFFSET, _SLOPE = -3.0, 4.7
_PRIOR = 0.5
# The least slope of a fit, in units of the usual one.
_FLATTEST = 0.1
_STEPS = 50


class Judged(NamedTuple):
    """A held-out example: the best score that it got, and whether that was its own route."""

    score: float
    right: bool


class Calibration(NamedTuple):
    """confidence = 1 / (1 + exp(-(slope * score + offset)))."""

    slope: float
    offset: float

    @classmethod
    def fit(cls, examples: Sequence[Judged], classes: int) -> Calibration:
        """The logistic function that says best which examples are right, by Newton's method.

        With few examples it stays near what is usual for so many classes. About 3 us an example and step.

            >>> few = Calibration.fit([], 150)
            >>> round(few.confidence(6.0), 2), round(few.confidence(1.0), 2)
            (0.8, 0.09)
        """
        unit = log((1.0 - _SMOOTHING) * classes / _SMOOTHING + 1.0)
        points = [(score / unit, 1.0 if right else 0.0) for score, right in examples]
        offset, slope = _OFFSET, _SLOPE
        now = _surprise(points, offset, slope)
        for _ in range(_STEPS):
            g0, g1 = _PRIOR * (offset - _OFFSET), _PRIOR * (slope - _SLOPE)
            h00, h01, h11 = _PRIOR, 0.0, _PRIOR
            for x, right in points:
                p = _logistic(offset + slope * x)
                wrong, spread = p - right, p * (1.0 - p)
                g0 += wrong
                g1 += wrong * x
                h00 += spread
                h01 += spread * x
                h11 += spread * x * x
            determinant = h00 * h11 - h01 * h01
            step0 = (h11 * g0 - h01 * g1) / determinant
            step1 = (h00 * g1 - h01 * g0) / determinant
            if abs(step0) + abs(step1) < 1e-9:
                break
            length = 1.0  # far from the optimum a whole step can overshoot
            while (then := _surprise(points, offset - length * step0, slope - length * step1)) > now:
                length /= 2.0
                if length < 1e-9:
                    break
            else:
                offset, slope, now = offset - length * step0, slope - length * step1, then
                continue
            break
        if slope < _FLATTEST:  # a better score is never less sure
            slope = _FLATTEST
            offset = _offset_at(points, slope)
        return cls(slope / unit, offset)

    def confidence(self, score: float) -> float:
        """The probability that a best score belongs to the right route."""
        return _logistic(self.slope * score + self.offset)


def _offset_at(points: Sequence[tuple[float, float]], slope: float) -> float:
    """The best offset for a given slope: the derivative grows with the offset, so its zero is found by halving."""
    low, high = -64.0, 64.0
    for _ in range(80):
        middle = (low + high) / 2.0
        slant = _PRIOR * (middle - _OFFSET) + sum([_logistic(middle + slope * x) - right for x, right in points])
        low, high = (middle, high) if slant < 0.0 else (low, middle)
    return (low + high) / 2.0


def _surprise(points: Sequence[tuple[float, float]], offset: float, slope: float) -> float:
    """What `fit` makes least: minus the log likelihood, and the distance from what is usual."""
    total = 0.5 * _PRIOR * ((offset - _OFFSET) ** 2 + (slope - _SLOPE) ** 2)
    for x, right in points:
        z = offset + slope * x
        total += (1.0 - right) * z + (log1p(exp(-z)) if z >= 0.0 else log1p(exp(z)) - z)
    return total


def threshold_for_loss(right: Sequence[float], loss: float) -> float:
    """The confidence below which at most a share `loss` of the rightly routed examples lies; 0 for none.

    >>> threshold_for_loss([0.9, 0.2, 0.8, 0.7], 0.25)
    0.7
    """
    ordered = sorted(right)
    return _down(ordered[min(int(loss * len(ordered)), len(ordered) - 1)]) if ordered else 0.0


def best_threshold(in_scope: Sequence[tuple[float, bool]], out_of_scope: Sequence[float]) -> float:
    """The threshold that decides most examples of both kinds rightly, the lowest of equals.

    In scope an example is right where it is routed, and rightly; out of scope where it is not routed. The threshold
    is in the middle between two examples.

        >>> best_threshold([(0.9, True), (0.6, True), (0.4, False)], [0.5, 0.1])
        0.55
    """
    events = sorted([(c, right, False) for c, right in in_scope] + [(c, False, True) for c in out_of_scope])
    good = sum(right for _, right in in_scope)
    best, threshold, below, at = good, 0.0, 0.0, 0
    while at < len(events):
        confidence = events[at][0]
        # `good` counts what is decided rightly with the threshold at this confidence.
        if good > best:
            middle = _down((below + confidence) / 2.0)
            best, threshold = good, middle if middle > below else confidence
        below = confidence
        while at < len(events) and events[at][0] == confidence:
            good += events[at][2] - events[at][1]
            at += 1
    if good > best and below < 1.0:  # no threshold turns a confidence of 1 away
        threshold = 1.0
    return threshold


def auroc(in_scope: Sequence[float], out_of_scope: Sequence[float]) -> float:
    """The share of pairs in which the example in scope has the higher score; ties count half.

    >>> auroc([0.9, 0.5], [0.5, 0.1])
    0.875
    """
    ordered = sorted([(score, 0) for score in out_of_scope] + [(score, 1) for score in in_scope])
    won, below, at = 0.0, 0, 0
    while at < len(ordered):
        to = at
        while to < len(ordered) and ordered[to][0] == ordered[at][0]:
            to += 1
        inside = sum(kind for _, kind in ordered[at:to])
        outside = to - at - inside
        won += inside * (below + 0.5 * outside)
        below += outside
        at = to
    return won / (len(in_scope) * len(out_of_scope))


def _down(confidence: float) -> float:
    """Four decimals, rounded down: what was counted as above stays above."""
    return int(confidence * 10_000) / 10_000


def _logistic(x: float) -> float:
    # Both branches keep exp from overflowing.
    return 1.0 / (1.0 + exp(-x)) if x >= 0.0 else 1.0 - 1.0 / (1.0 + exp(x))

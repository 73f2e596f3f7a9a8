"""Confidence and thresholds: against the definition, by brute force."""

from __future__ import annotations

from math import exp, log

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sophia.organs.calibration import Calibration, Judged, auroc, best_threshold, threshold_for_loss

CONFIDENCES = st.integers(0, 40).map(lambda n: n / 40)
EXAMPLES = st.lists(st.builds(Judged, st.floats(-5.0, 20.0), st.booleans()), max_size=40)


def penalty(calibration: Calibration, examples: list[Judged], classes: int) -> float:
    """What the fit makes least: the surprise at the examples, and the distance from what is usual."""
    unit = log(4.0 * classes + 1.0)
    total = 0.25 * ((calibration.offset + 3.0) ** 2 + (calibration.slope * unit - 4.7) ** 2)
    for score, right in examples:
        z = calibration.slope * score + calibration.offset
        surprise = log(1.0 + exp(-z)) if z > 0 else log(1.0 + exp(z)) - z
        total += surprise if right else surprise + z
    return total


@given(EXAMPLES, st.integers(2, 200))
def test_no_neighbour_of_a_fit_is_better(examples: list[Judged], classes: int) -> None:
    found = Calibration.fit(examples, classes)
    assert found == Calibration.fit(examples, classes)
    least = penalty(found, examples, classes)
    for step in (1e-3, -1e-3):
        assert penalty(found._replace(offset=found.offset + step), examples, classes) >= least - 1e-9
        steeper = found._replace(slope=found.slope + step)
        if steeper.slope * log(4.0 * classes + 1.0) > 0.1:  # flatter than that a fit never is
            assert penalty(steeper, examples, classes) >= least - 1e-9


@given(EXAMPLES)
def test_a_better_score_is_never_less_sure(examples: list[Judged]) -> None:
    found = Calibration.fit(examples, 10)
    confidences = [found.confidence(score / 4) for score in range(-80, 200)]
    assert confidences == sorted(confidences)
    assert 0.0 <= confidences[0] <= confidences[-1] <= 1.0


def test_confidence_is_the_share_that_is_right() -> None:
    """Nine of ten right at a high score, one of ten at a low one: the curve goes through both."""
    examples = [Judged(8.0, i % 10 != 0) for i in range(1000)] + [Judged(2.0, i % 10 == 0) for i in range(1000)]
    found = Calibration.fit(examples, 150)
    assert found.confidence(8.0) == pytest.approx(0.9, abs=0.01)
    assert found.confidence(2.0) == pytest.approx(0.1, abs=0.01)


@given(st.lists(CONFIDENCES, max_size=50), CONFIDENCES)
def test_no_more_than_the_wanted_share_is_turned_away(right: list[float], loss: float) -> None:
    threshold = threshold_for_loss(right, loss)
    assert sum(c < threshold for c in right) <= loss * len(right)
    if right and loss < 1.0:  # and it is the highest such threshold
        assert sum(c <= threshold + 1e-4 for c in right) > loss * len(right) or threshold == max(right)


@example([(0.0, True)], [1.0, 1.0])
@given(st.lists(st.tuples(CONFIDENCES, st.booleans()), max_size=30), st.lists(CONFIDENCES, max_size=30))
def test_the_best_threshold_is_the_best(inside: list[tuple[float, bool]], outside: list[float]) -> None:
    def rightly(threshold: float) -> int:
        return sum(c >= threshold and right for c, right in inside) + sum(c < threshold for c in outside)

    found = best_threshold(inside, outside)
    ceiling = max(rightly(n / 40) for n in range(41))
    # Beyond the highest confidence everything is turned away; no threshold up to 1 says that of a confidence of 1.
    assert rightly(found) >= ceiling


@given(st.lists(CONFIDENCES, min_size=1, max_size=30), st.lists(CONFIDENCES, min_size=1, max_size=30))
def test_auroc_counts_pairs(inside: list[float], outside: list[float]) -> None:
    won = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
    assert auroc(inside, outside) == pytest.approx(won / len(inside) / len(outside))

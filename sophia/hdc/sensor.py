"""Anomalies in streams of numbers: how rare the latest run of levels is, with a rest after each alarm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

from sophia._core.runs import RunCounts
from sophia.errors import ShapeError

__all__ = ["SensorAnomaly"]

_GIVEN = (8, 5)  # levels of a range that is given, and the longest run
_LEARNED = (4, 4)  # levels of a range that was learned, and the longest run; beyond it as many more, so wide:
_BEYOND = 2  # times the range, on either side
_MOST_CHANNELS = 1024


class SensorAnomaly:
    """Scores each sample of a sensor, in the order of time, by how rare its latest runs of levels are.

    Numbers are put on levels; runs of 1 to k levels are counted exactly (the n-grams of level vectors, with a
    counter for each instead of a bundle); the score is the mean of 1 / (1 + how often each run was seen): near 0
    for what is usual, 1 for what never was. After a raw score of `alarm` or more, the next `rest` samples score 0,
    so that one event is one alarm. Of several channels the highest score counts. It learns from each sample, also
    from unusual ones.

    With `low` and `high` (one number, or one a channel) the range is given, divided into 8 levels, runs up to 5.
    Without, it is that of the first `warmup` samples, which score 0: 4 levels within, and on either side 8 more as
    wide, runs up to 4. On the 58 files of the Numenta Anomaly Benchmark that is a standard score of 67.7 and 62.7
    (`benchmarks learn`; settings were chosen on these files). A NaN is a gap: it scores 0, and ends the run.

    Not for two threads at once. About .1 us a sample and channel in `score_many`; 640 kB a channel.

        >>> sensor = SensorAnomaly(warmup=50, rest=5)
        >>> day = [20.0, 21.0, 22.0, 21.0] * 30
        >>> scores = sensor.score_many([*day, 35.0, *day[:4]])
        >>> int(scores.argmax()), float(scores[120]), float(scores[121])
        (120, 1.0, 0.0)
    """

    def __init__(
        self,
        channels: int = 1,
        *,
        low: float | Sequence[float] | None = None,
        high: float | Sequence[float] | None = None,
        warmup: int = 750,
        rest: int = 150,
        alarm: float = 0.75,
    ) -> None:
        for name, value, least, most in (
            ("channels", channels, 1, _MOST_CHANNELS), ("warmup", warmup, 2, 1 << 20), ("rest", rest, 0, 1 << 40),
        ):  # fmt: skip
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                message = f"{name} is {value!r}; it is a whole number from {least} to {most}"
                raise ValueError(message)
        if not 0 < alarm <= 1:
            message = f"alarm is {alarm!r}; it is a score over 0, up to 1"
            raise ValueError(message)
        if (low is None) != (high is None):
            message = "low and high: give both, or neither to learn them"
            raise ValueError(message)
        self.channels, self.warmup, self.rest, self.alarm = channels, warmup, rest, float(alarm)
        self._resting = 0
        self._first: NDArray[Any] = numpy.empty((0, channels))  # what the range will be learned from
        self._counts: list[RunCounts] | None = None
        if low is not None and high is not None:
            lows, highs = self._each(low, "low"), self._each(high, "high")
            self._counts = [RunCounts(*_GIVEN, *ends) for ends in zip(lows, highs, strict=True)]

    @property
    def ready(self) -> bool:
        """Whether the range is known, so that scores are more than 0."""
        return self._counts is not None

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """(low, high) of each channel's levels; empty until it is known."""
        return [counts.range for counts in self._counts or ()]

    def score_one(self, sample: float | Sequence[float]) -> float:
        """The score of the next sample: a number, or one a channel."""
        return float(self.score_many(numpy.asarray(sample, numpy.float64).reshape(1, -1))[0])

    def score_many(self, samples: ArrayLike) -> NDArray[numpy.float64]:
        """The scores of the next samples, [n] or [n, channels] in the order of time: float64 [n].

        However a stream is cut, the scores are the same. ShapeError for another number of channels, ValueError naming
        the sample that is infinite; then none is learned.
        """
        values = numpy.asarray(samples, numpy.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or values.shape[1] != self.channels:
            message = f"samples: shape {list(values.shape)}; it must be [n, {self.channels}]"
            raise ShapeError(message)
        if numpy.isinf(values).any():
            row, channel = (int(i) for i in numpy.argwhere(numpy.isinf(values))[0])
            message = f"samples: number {row}, channel {channel} is {values[row, channel]}; leave it out, or give NaN"
            raise ValueError(message)
        scores = numpy.zeros(len(values))
        start = 0
        if self._counts is None:
            start = min(len(values), self.warmup - len(self._first))
            self._first = numpy.concatenate([self._first, values[:start]])
            if len(self._first) == self.warmup:
                self._learn_ranges()
        if self._counts is not None and start < len(values):
            scores[start:] = self._rested(self._raw(values[start:]))
        return scores

    def _learn_ranges(self) -> None:
        counts = []
        for channel in self._first.T:
            known = channel[~numpy.isnan(channel)]
            low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
            if low == high:
                high = low + max(1.0, abs(low))
            beyond = _BEYOND * (high - low)
            levels, longest = _LEARNED
            counts.append(RunCounts(levels * (1 + 2 * _BEYOND), longest, low - beyond, high + beyond))
        self._counts = counts
        self._raw(self._first)
        self._first = self._first[:0]

    def _raw(self, values: NDArray[Any]) -> NDArray[numpy.float64]:
        scores = numpy.zeros(len(values))
        for counts, column in zip(self._counts or (), values.T, strict=True):
            numpy.maximum(scores, _counted(counts, column), out=scores)
        return scores

    def _rested(self, scores: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
        """The scores with nothing in the `rest` after an alarm."""
        at = min(self._resting, len(scores))
        scores[:at] = 0.0
        self._resting -= at
        for alarm in numpy.flatnonzero(scores >= self.alarm).tolist():
            if alarm >= at:
                at = min(alarm + 1 + self.rest, len(scores))
                scores[alarm + 1 : at] = 0.0
                self._resting = alarm + 1 + self.rest - at
        return scores

    def _each(self, ends: float | Sequence[float], name: str) -> list[float]:
        found = [float(end) for end in numpy.atleast_1d(numpy.asarray(ends, numpy.float64)).tolist()]
        if len(found) == 1:
            found *= self.channels
        if len(found) != self.channels:
            message = f"{name}: {len(found)} numbers for {self.channels} channels"
            raise ShapeError(message)
        return found


def _counted(counts: RunCounts, column: NDArray[Any]) -> NDArray[numpy.float64]:
    """The raw scores of a channel; 0 where there is a gap."""
    gaps = numpy.flatnonzero(numpy.isnan(column))
    if not len(gaps):
        return counts.add_many(numpy.ascontiguousarray(column))
    scores = numpy.zeros(len(column))
    start = 0
    for gap in [*gaps.tolist(), len(column)]:
        if gap > start:
            scores[start:gap] = counts.add_many(numpy.ascontiguousarray(column[start:gap]))
        if gap < len(column):
            counts.pause()
        start = gap + 1
    return scores

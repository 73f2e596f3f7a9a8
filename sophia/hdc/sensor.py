"""Anomalies in streams of numbers: how rare the latest run of levels is, with a rest after each alarm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Self

import numpy
from numpy.typing import ArrayLike, NDArray

from sophia._core.runs import RunCounts
from sophia.errors import ShapeError, SophiaError, StoreCorrupt

__all__ = ["SensorAnomaly"]

_GIVEN = (8, 5)  # levels of a range that is given, and the longest run
_LEARNED = (4, 4)  # levels of a range that was learned, and the longest run; beyond it as many more, so wide:
_BEYOND = 2  # times the range, on either side
_FAR = 1e300  # ends of a range; what is beyond has the level of the nearer end
_MOST_CHANNELS = 1024
_MOST_WARMUP = 1 << 20
_MOST_REST = 1 << 40
_MOST_FIRST = 1 << 24
_FEW = 10  # a tenth of the warm-up is hardly any
_MAGIC = b"SophSns1"


class SensorAnomaly:
    """Scores each sample of a sensor, in the order of time, by how rare its latest runs of levels are.

    Numbers are put on levels; runs of 1 to k levels are counted exactly (the n-grams of level vectors, with a
    counter for each instead of a bundle); the score is the mean of 1 / (1 + how often each run was seen): near 0
    for what is usual, 1 for what never was. Of several channels the highest score counts. After a score of `alarm` or
    more, the next `rest` samples score 0 in `score_many`, so that one event is one alarm. It learns from each sample,
    also from unusual ones; with `learning` set to False it goes on and learns nothing.

    The first `warmup` samples score 0. With `low` and `high` (one number, or one a channel) the range is given, divided
    into 8 levels, runs up to 5. Without, or where a channel's are NaN, it is that of the first samples: 4 levels
    within, and on either side 8 more as wide, runs up to 4. A channel that has hardly any number among them takes as
    many of its own. A NaN among the samples is a gap: it scores 0, and ends the run.

    On the 58 files of the Numenta Anomaly Benchmark the standard score is 67.7 with the range given and 62.7 with a
    learned one (`benchmarks learn`), where `warmup` is a file's probation and `rest` 3 % of its length; with the usual
    `warmup` and `rest` 61.6 and 57.3. Levels and runs were chosen on these files.

    Not for two threads at once. About .05 us a sample and channel in `score_many`, 15 us in `score_one`; at most 670 kB
    a channel, and 8 bytes for each number of the warm-up, of which there are at most 2^24.

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
            ("channels", channels, 1, _MOST_CHANNELS),
            ("warmup", warmup, 2, _MOST_WARMUP),
            ("rest", rest, 0, _MOST_REST),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                message = f"{name} is {value!r}; it is a whole number from {least} to {most}"
                raise ValueError(message)
        if isinstance(alarm, bool) or not isinstance(alarm, int | float) or not 0 < alarm <= 1:
            message = f"alarm is {alarm!r}; it is a score over 0, up to 1"
            raise ValueError(message)
        if (low is None) != (high is None):
            message = "low and high: give both, or neither to learn them"
            raise ValueError(message)
        self.channels, self.warmup, self.rest, self.alarm = channels, warmup, rest, float(alarm)
        self.learning = True
        """Whether samples are counted in; the range is learned then, too."""
        self._resting = 0  # samples that are left of the rest
        if warmup * channels > _MOST_FIRST:
            message = (
                f"warmup is {warmup} of {channels} channels; {_MOST_FIRST} numbers are the most that are kept of it"
            )
            raise ValueError(message)
        self._missing = warmup
        self._first = numpy.empty((0, channels))  # room for the first samples, until there are `warmup`
        self._late: dict[int, list[float]] = {}  # numbers of channels that had hardly any among them
        self._counts: list[RunCounts | None] = [None] * channels
        if low is not None and high is not None:
            for channel, (bottom, top) in enumerate(zip(self._each(low, "low"), self._each(high, "high"), strict=True)):
                if numpy.isnan(bottom) and numpy.isnan(top):
                    continue
                if not -numpy.inf < bottom < top < numpy.inf or top - bottom == numpy.inf:
                    ends = f"low is {bottom}, high is {top}"
                    message = f"channel {channel}: {ends}; they and their distance are finite, and high the larger"
                    raise ValueError(message)
                self._counts[channel] = RunCounts(*_GIVEN, bottom, top)

    @property
    def ready(self) -> bool:
        """Whether there were enough samples, so that scores are more than 0."""
        return not self._missing

    @property
    def missing(self) -> int:
        """Samples that the warm-up still takes."""
        return self._missing

    @property
    def ranges(self) -> list[tuple[float, float] | None]:
        """(low, high) of each channel's levels; None until it is known."""
        return [None if counts is None else counts.range for counts in self._counts]

    def score_one(self, sample: float | Sequence[float]) -> float:
        """The score of the next sample: a number, or one a channel. ShapeError for what is not one."""
        value = numpy.asarray(sample, numpy.float64)
        if value.size != self.channels or value.ndim > 2 or (value.ndim == 2 and len(value) != 1):
            message = f"sample: shape {list(value.shape)}; it must be [{self.channels}], a number for each channel"
            raise ShapeError(message)
        return float(self.score_many(value.reshape(1, -1))[0])

    def score_many(self, samples: ArrayLike) -> NDArray[numpy.float64]:
        """The scores of the next samples, [n] or [n, channels] in the order of time: float64 [n]; 0 in the rest.

        However a stream is cut, the scores are the same. ShapeError for another number of channels, ValueError naming
        the sample that is infinite; then none is learned.
        """
        return self.rested(self.score_channels(samples).max(axis=1, initial=0.0))

    def score_channels(self, samples: ArrayLike) -> NDArray[numpy.float64]:
        """The scores of each channel, float64 [n, channels], whether it rests or not: `rested` is for their highest."""
        values = numpy.asarray(samples, numpy.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or values.shape[1] != self.channels:
            message = f"samples: shape {list(values.shape)}; it must be [n, {self.channels}]"
            raise ShapeError(message)
        if numpy.isinf(values).any():
            row, channel = (int(i) for i in numpy.argwhere(numpy.isinf(values))[0])
            message = f"samples: number {row}, channel {channel} is {values[row, channel]}; leave it out, or give NaN"
            raise ValueError(message)
        scores = numpy.zeros(values.shape)
        taken = self._warm_up(values) if self._missing else 0
        for channel, column in enumerate(values[taken:].T):
            if channel in self._late:
                column = self._gather(channel, column)
            counts = self._counts[channel]
            if counts is not None and len(column):
                scores[len(values) - len(column) :, channel] = self._scored(counts, column)
        return scores

    def rested(self, scores: ArrayLike) -> NDArray[numpy.float64]:
        """The highest scores of the next samples, float64 [n], with 0 in the `rest` after one of `alarm` or more."""
        made = numpy.array(scores, numpy.float64)
        at = min(self._resting, self.rest, len(made))
        made[:at] = 0.0
        self._resting = min(self._resting, self.rest) - at
        for alarm in numpy.flatnonzero(made >= self.alarm).tolist():
            if alarm >= at:
                at = min(alarm + 1 + self.rest, len(made))
                made[alarm + 1 : at] = 0.0
                self._resting = alarm + 1 + self.rest - at
        return made

    def _warm_up(self, values: NDArray[Any]) -> int:
        """Keeps the first samples, and learns of enough of them; how many of the values that took."""
        if not self.learning:
            return len(values)
        part, begun = values[: self._missing], self.warmup - self._missing
        if begun + len(part) > len(self._first):
            room = numpy.empty((min(self.warmup, 2 * (begun + len(part))), self.channels))
            room[:begun] = self._first[:begun]
            self._first = room
        self._first[begun : begun + len(part)] = part
        self._missing -= len(part)
        if not self._missing:
            for channel, column in enumerate(self._first.T):
                made = self._counts[channel]
                if made is None and int((~numpy.isnan(column)).sum()) * _FEW < self.warmup:
                    self._late[channel] = []
                    self._gather(channel, column)
                    continue
                if made is None:
                    made = self._counts[channel] = _spanning(column)
                self._scored(made, column)
            self._first = numpy.empty((0, self.channels))
        return len(part)

    def _gather(self, channel: int, column: NDArray[Any]) -> NDArray[Any]:
        """Takes numbers of a late channel, and learns its range of enough; what is left of the column."""
        held = self._late[channel]
        if not self.learning:
            return column[:0]
        known = numpy.flatnonzero(~numpy.isnan(column))
        taken = known[: self.warmup - len(held)]
        held += column[taken].tolist()
        if len(held) < self.warmup:
            return column[:0]
        first = numpy.array(held)
        made = self._counts[channel] = _spanning(first)
        self._scored(made, first)
        del self._late[channel]
        return column[int(taken[-1]) + 1 :] if len(taken) else column

    def _scored(self, counts: RunCounts, column: NDArray[Any]) -> NDArray[numpy.float64]:
        """The scores of a channel; 0 where there is a gap."""
        follow = counts.add_many if self.learning else counts.score_many
        gaps = numpy.flatnonzero(numpy.isnan(column))
        if not len(gaps):
            return follow(numpy.ascontiguousarray(column))
        scores = numpy.zeros(len(column))
        start = 0
        for gap in [*gaps.tolist(), len(column)]:
            if gap > start:
                scores[start:gap] = follow(numpy.ascontiguousarray(column[start:gap]))
            if gap < len(column):
                counts.pause()
            start = gap + 1
        return scores

    def _each(self, ends: float | Sequence[float], name: str) -> list[float]:
        found = [float(end) for end in numpy.atleast_1d(numpy.asarray(ends, numpy.float64)).tolist()]
        if len(found) == 1:
            found *= self.channels
        if len(found) != self.channels:
            message = f"{name}: {len(found)} numbers for {self.channels} channels"
            raise ShapeError(message)
        return found

    def dump(self) -> bytes:
        """All of it, as bytes for :meth:`load`: 8 for each run that was ever seen, at most 2 MB a channel."""
        parts = [b"" if counts is None else counts.dump() for counts in self._counts]
        first = self._first[: self.warmup - self._missing if self._missing else 0].astype("<f8").tobytes()
        scales = [None if counts is None else [counts.levels, counts.longest, *counts.range] for counts in self._counts]
        rules = [self.channels, self.warmup, self.rest, self.alarm, self.learning, self._resting, self._missing]
        late = list(self._late.items())
        head = json.dumps([rules, scales, [len(part) for part in parts], len(first), late]).encode()
        return b"".join((_MAGIC, len(head).to_bytes(4, "little"), head, first, *parts))

    @classmethod
    def load(cls, data: bytes) -> Self:
        """What `dump` gave. StoreCorrupt for other bytes."""
        try:
            if data[:8] != _MAGIC:
                raise ValueError("they begin otherwise")  # noqa: EM101
            at = 12 + int.from_bytes(data[8:12], "little")
            (channels, warmup, rest, alarm, learning, resting, missing), scales, sizes, size, late = json.loads(
                data[12:at]
            )
            made = cls(channels, warmup=warmup, rest=rest, alarm=alarm)
            made.learning = bool(learning)
            made._resting = _whole(resting, _MOST_REST)
            whole = data[at : at + _whole(size, 8 * channels * warmup)]
            first = numpy.frombuffer(whole, "<f8").reshape(-1, channels)
            gathered = warmup - missing if missing else 0
            if len(scales) != channels or numpy.isinf(first).any() or len(first) != gathered:
                raise ValueError("its parts do not fit together")  # noqa: EM101
            made._first = first.astype(numpy.float64)
            made._missing = _whole(missing, warmup)
            at += size
            for channel, (scale, length) in enumerate(zip(scales, sizes, strict=True)):
                if scale is not None:
                    made._counts[channel] = counts = _counts_of(*scale)
                    counts.restore(data[at : at + _whole(length, 1 << 24)])
                at += length
            for channel, numbers in late:
                held = [float(number) for number in numbers]
                if made._counts[_whole(channel, channels - 1)] is not None or not len(held) < warmup:
                    raise ValueError("its parts do not fit together")  # noqa: EM101
                if not numpy.isfinite(held).all():
                    raise ValueError("a number of it is none")  # noqa: EM101
                made._late[channel] = held
            waiting = [channel for channel, counts in enumerate(made._counts) if counts is None]
            if at != len(data) or (made.ready and waiting != sorted(made._late)):
                raise ValueError("its parts do not fit together")  # noqa: EM101
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, SophiaError) as error:
            message = f"the dump of a sensor cannot be read ({error})"
            raise StoreCorrupt(message) from error
        return made


def _spanning(column: NDArray[Any]) -> RunCounts:
    """Counts over the range of a channel's first samples, and well beyond it."""
    known = column[~numpy.isnan(column)].clip(-_FAR, _FAR)
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if low == high:
        high = low + max(1.0, abs(low))
    levels, longest = _LEARNED
    beyond = _BEYOND * (high - low)
    return RunCounts(levels * (1 + 2 * _BEYOND), longest, low - beyond, high + beyond)


def _counts_of(levels: Any, longest: Any, low: Any, high: Any) -> RunCounts:
    """Empty counts of a scale that this class makes; a hostile dump could ask for others' memory."""
    learned = (_LEARNED[0] * (1 + 2 * _BEYOND), _LEARNED[1])
    if (levels, longest) not in (_GIVEN, learned):
        message = f"{levels!r} levels in runs of {longest!r} are none of it"
        raise ValueError(message)
    return RunCounts(levels, longest, float(low), float(high))


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        message = f"{value!r} is no number of it"
        raise ValueError(message)
    return value

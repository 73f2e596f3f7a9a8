"""The Weaver: tells a stream of decisions as chapters, which end where the stream becomes another one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sophia._core.decision import Decision
from sophia._core.encode import TextEncoder
from sophia._core.hdc import bundle
from sophia._core.pattern import mask
from sophia._core.shift import DIM, WINDOW, ShiftDetector, Window
from sophia._core.stretch import TEXT, Input, Stretch
from sophia._core.tally import patterns_of
from sophia._core.vector import Hypervector
from sophia.organs.batch import Batch
from sophia.organs.chapter import chapter_of, terms_of

__all__ = ["RECENT", "Passage", "Told", "Weaver"]

RECENT = 32
"""Chapters that a new one is compared with."""

_ADMITTED = 256  # inputs that are counted at once, or a window more
_VECTORS = 4096  # that are kept, three quarters of them the newest
_ENCODED = 8  # texts of a window at most that are encoded where they are not known
_EARNED = 2  # of these a window, in the long run: chat has a new one in every line
_SAVED = 160  # for a while with many, as where a stream becomes another one


class Passage(NamedTuple):
    """An input for who has no stream of them: where it stands, and what it says."""

    source: str
    line: int
    text: str | None


class Told(NamedTuple):
    """Inputs that were decided, in order, their decisions, and when each was decided (seconds since the epoch); the
    numbers of those at which there was an alarm."""

    inputs: Sequence[Input]
    decisions: list[Decision]
    at: list[float]
    alarms: Sequence[int] = ()


class Waiting(NamedTuple):
    """What was told and is not counted yet."""

    inputs: list[Input]
    decisions: list[Decision]
    at: list[float]


class Weaver:
    """Makes chapters of what was decided. One thread at a time.

    It reads in windows of 32 inputs, whatever the batches are, and encodes one text of each pattern (of windows full
    of new ones 8, and after 26 such windows 2). 3 MB at most; about .2 us an input of known patterns, .7 us where each
    is a new one, and .6 to 3 ms a chapter.

        >>> import sophia
        >>> weaver = Weaver()
        >>> def read(brain, stream, at):
        ...     inputs = [Passage("log", at + i, stream.format(i)) for i in range(800)]
        ...     made = list(brain.route_many([one.text for one in inputs], kind="line"))
        ...     return weaver.add(Told(inputs, made, [0.0] * 800))
        >>> with sophia.open(None) as brain:
        ...     chapters = read(brain, "kettle {} is filled with water", 1)
        ...     chapters += read(brain, "disk sd{} has been mounted again", 801)
        >>> [(one["from"], one["to"], one["title"]) for one in chapters + weaver.end()]
        [('log:1', 'log:800', 'Filled, kettle and water'), ('log:801', 'log:1600', 'Again, disk and mounted')]
    """

    def __init__(self, *, run: int = 0, newest: int = 0, recent: Iterable[Mapping[str, Any]] = ()) -> None:
        """`run` is the number of the run; patterns up to `newest` are not new. A chapter that is like one of `recent`,
        or of the last 32 of its own, is of little significance."""
        self._run = run
        self._detector = ShiftDetector()
        self._encoder = TextEncoder(DIM, seed=0)
        self._budget = _SAVED
        self._vectors: dict[int, Hypervector | None] = {}  # of one text of each pattern
        self._stretch = Stretch(newest)
        self._before: Stretch | None = None
        self._earlier: dict[str, int] | None = None
        self._recent: deque[Mapping[str, Any]] = deque(recent, maxlen=RECENT)
        self._waiting = Waiting([], [], [])  # inputs that may still belong to the next stretch
        self._alarms: deque[int] = deque()  # at these
        self._patterns: list[int] = []  # of these
        self._read = 0  # how many of these were in a window

    def add(self, told: Told) -> list[dict[str, Any]]:
        """Takes what was decided; the chapters that have ended."""
        return [self.tell(stretch) for stretch in self.read(told)]

    def end(self) -> list[dict[str, Any]]:
        """The stream has ended, and with it the last chapter."""
        return [self.tell(stretch) for stretch in self.finish()]

    def read(self, told: Told) -> list[Stretch]:
        """The part of `add` that has to see every input: the stretches that have ended, to be told."""
        ended: list[Stretch] = []
        waiting = self._waiting
        waiting.inputs.extend(told.inputs)
        waiting.decisions.extend(told.decisions)
        waiting.at.extend(told.at)
        self._alarms.extend(told.alarms)
        self._patterns += patterns_of(told.decisions)
        while self._read + WINDOW <= len(self._patterns):
            start, self._read = self._read, self._read + WINDOW
            self._budget = min(_SAVED, self._budget + _EARNED)
            patterns = self._patterns[start : self._read]
            made = partial(self._vector, patterns, self._waiting.inputs[start : self._read])
            if begun := self._detector.add(Window(patterns, made)):
                self._admit(max(0, self._read - begun))
                ended += self._close()
            # Here and not once a call: a stretch that lets go of patterns would else depend on how inputs were batched.
            if (done := self._read - WINDOW * self._detector.held) >= _ADMITTED:
                self._admit(done)
        return ended

    def follow(self, inputs: Sequence[Input], batch: Batch) -> list[Stretch]:
        """`read` of the inputs of a batch, with its alarms."""
        alarms = [alarm.n for alarm in batch.alarms]
        return self.read(Told(inputs, batch.decisions, [batch.at] * len(inputs), alarms))

    def finish(self) -> list[Stretch]:
        """That part of `end`."""
        self._admit(len(self._patterns))
        self._detector = ShiftDetector()
        return self._close()

    def tell(self, stretch: Stretch) -> dict[str, Any]:
        """The chapter of a stretch, in the order in which they have ended: milliseconds."""
        return next(step for step in self.telling(stretch) if step is not None)

    def telling(self, stretch: Stretch) -> Iterator[dict[str, Any] | None]:
        """`tell` in steps of a millisecond at most, for who lets others in between: None after each but the last."""
        for _ in stretch.look():
            yield None
        words = stretch.words()
        yield None
        terms = terms_of(words, self._earlier)
        yield None
        chapter = chapter_of(stretch, words, terms, self._before, self._recent, run=self._run)
        self._before, self._earlier = stretch, words
        self._recent.append(chapter)
        yield chapter

    def _vector(self, patterns: list[int], inputs: Sequence[Input]) -> Hypervector | None:
        """The vote of the texts of a window, each for all of its pattern: of that the first which was seen."""
        votes: list[Hypervector] = []
        vectors, left = self._vectors, min(_ENCODED, self._budget)
        for pattern, passage in zip(patterns, inputs, strict=True):
            if pattern in vectors:
                vector = vectors[pattern]
            elif pattern and left:
                left -= 1
                self._budget -= 1
                vector = vectors[pattern] = self._encoded(passage.text)
            else:
                continue
            if vector is not None:
                votes.append(vector)
        if len(vectors) > _VECTORS:
            for old in list(vectors)[: _VECTORS // 4]:
                del vectors[old]
        return bundle(votes) if votes else None

    def _encoded(self, text: str | None) -> Hypervector | None:
        """None where there is no letter and no digit."""
        try:
            return self._encoder.encode(mask((text or "")[:TEXT]).replace("<*>", " "))
        except ValueError:
            return None

    def _admit(self, count: int) -> None:
        """So many of the inputs that wait belong to this stretch."""
        waiting = self._waiting
        decisions = waiting.decisions[:count]
        self._stretch.add(self._patterns[:count], waiting.inputs[:count], decisions, waiting.at[:count])
        while decisions and self._alarms and self._alarms[0] <= decisions[-1].n:
            self._alarms.popleft()
            self._stretch.alarms += 1
        for column in (self._patterns, *waiting):
            del column[:count]
        self._read = max(0, self._read - count)

    def _close(self) -> list[Stretch]:
        """The stretch, if there is anything in it; another one begins."""
        stretch = self._stretch
        if not stretch.tally.inputs:
            return []
        self._stretch = Stretch(stretch.highest)
        return [stretch]

"""How much a stream usually changes: windows of it as hypervectors, each held against all that came before."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sophia._core.accumulator import Accumulator
from sophia._core.arena import HDCArena
from sophia._core.encode import TextEncoder
from sophia.errors import SophiaError, StoreCorrupt

__all__ = ["DIM", "WINDOW", "DriftTable"]

DIM = 10_000
WINDOW = 32
"""Texts of one window."""

_MAGIC = b"SophDrf1"

Each = Callable[[Callable[[Sequence[str]], Accumulator], Iterable[Sequence[str]]], Iterable[Accumulator]]


class DriftTable:
    """The centroid of a stream, and how like it its windows are. One thread at a time.

    A text is the vote of its words and character n-grams (:class:`sophia._core.encode.TextEncoder`), a window the sum
    of its texts, the centroid the sum of all windows. Of each window after the first one the cosine with the centroid
    of those before it is counted: its mean and deviation are what is usual, and what a detector of shifts (CUSUM, Page
    1954) needs to begin with. About 8 us a text that differs from those beside
    it, 64 kB.

        >>> table = DriftTable()
        >>> table.add([[f"tea for {name}" for name in ("ana", "bo")], ["tea for cy"], ["tea for di"]])
        >>> table.windows, table.baseline()["windows"], table.baseline()["mean"] > 0.3
        (3, 3, True)
    """

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._encoder = TextEncoder(DIM, seed=seed)
        self._own = threading.local()  # an arena for each thread that encodes
        self._centroid = Accumulator("BSC", DIM)
        self.windows = 0
        self._mean = self._spread = 0.0  # of the likeness so far: Welford's recurrence (1962)
        self.changed = False
        """Whether there was a window since the last `dump`."""

    def add(self, windows: Sequence[Sequence[str]], each: Each = map) -> None:
        """Takes windows, in order. `each` is `map`, or does the same in several threads: the result is one."""
        for window in each(self._bundle, windows):
            if not window.total:
                continue  # texts without a word
            if self.windows:
                likeness = self._centroid.similarity(window)
                step = likeness - self._mean
                self._mean += step / self.windows
                self._spread += step * (likeness - self._mean)
            self._centroid.merge(window)
            self.windows += 1
            self.changed = True

    def baseline(self) -> dict[str, Any]:
        """How many windows there were, and mean and standard deviation of their likeness, for JSON; None where there
        were too few to tell."""
        few = self.windows - 1
        return {
            "windows": self.windows,
            "mean": round(self._mean, 6) if few > 0 else None,
            "deviation": round(math.sqrt(self._spread / (few - 1)), 6) if few > 1 else None,
        }

    def dump(self) -> bytes:
        """The whole table."""
        self.changed = False
        head = json.dumps([self._seed, self.windows, self._mean, self._spread, self._centroid.total]).encode()
        return b"".join((_MAGIC, len(head).to_bytes(4, "little"), head, bytes(memoryview(self._centroid))))

    @classmethod
    def load(cls, data: bytes) -> DriftTable:
        """The table of a dump. StoreCorrupt for bytes that are none."""
        try:
            if data[:8] != _MAGIC:
                raise ValueError("it begins otherwise")  # noqa: EM101
            end = 12 + int.from_bytes(data[8:12], "little")
            seed, windows, mean, spread, total = json.loads(data[12:end])
            table = cls(seed=seed)
            if type(windows) is not int or windows < 0 or not (0.0 <= spread <= windows) or not -1.0 <= mean <= 1.0:
                raise ValueError("its numbers cannot be")  # noqa: EM101
            if len(data) - end != 4 * DIM:
                raise ValueError("its centroid is cut")  # noqa: EM101
            table._centroid = Accumulator.restore("BSC", memoryview(data[end:]).cast("i"), total)
            table.windows, table._mean, table._spread = windows, float(mean), float(spread)
        except (ValueError, TypeError, OverflowError, RecursionError, SophiaError) as error:
            message = f"the dump of the drift cannot be read ({error})"
            raise StoreCorrupt(message) from error
        return table

    def _bundle(self, texts: Sequence[str]) -> Accumulator:
        """The sum of some texts. Their vectors live in the arena of this thread, and no longer than this."""
        arena = getattr(self._own, "arena", None)
        if arena is None:
            arena = self._own.arena = HDCArena()
        summed = Accumulator("BSC", DIM)
        try:
            for text, times in Counter(texts).items():
                try:
                    vector = self._encoder.encode(text, arena)
                except ValueError:  # no letter and no digit
                    continue
                summed.add(vector, times)
        finally:
            arena.reset()
        return summed

"""How much a stream usually changes: windows of it as hypervectors, each held against all that came before."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from sophia._core.accumulator import Accumulator
from sophia.errors import SophiaError, StoreCorrupt

__all__ = ["DIM", "WINDOW", "DriftTable"]

DIM = 10_000
WINDOW = 32
"""Texts of one window."""

_MAGIC = b"SophDrf1"


class DriftTable:
    """The centroid of a stream, and how like it its windows are. One thread at a time.

    The centroid is the sum of all windows. Of each window after the first one the cosine with the centroid of those
    before it is counted; its mean and deviation are what a detector of shifts (CUSUM, Page 1954) begins with. The
    centroid grows sharper with the windows in it, so the first ones are less like it than later ones. 64 kB.

        >>> def window(*names):
        ...     made = Accumulator("BSC", DIM)
        ...     for name in names:
        ...         made.add(random(name))
        ...     return made
        >>> from sophia._core.hdc import random
        >>> table = DriftTable()
        >>> table.add([window("tea", "cup"), window("tea", "pot"), window("tea")])
        >>> table.windows, table.baseline()["mean"] > 0.3
        (3, True)
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed
        """Of the texts' vectors."""
        self._centroid = Accumulator("BSC", DIM)
        self.windows = 0
        self._mean = self._spread = 0.0  # of the likeness so far: Welford's recurrence (1962)
        self.changed = False
        """Whether there was a window since the last `dump`."""

    def add(self, windows: Iterable[Accumulator]) -> None:
        """Takes the sums of windows, in order; one of nothing is passed over."""
        for window in windows:
            if not window.total:
                continue
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
        head = json.dumps([self.seed, self.windows, self._mean, self._spread, self._centroid.total]).encode()
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

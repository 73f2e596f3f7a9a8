"""A stream cut into at most 64 stretches of equal length, however long it gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["Timeline"]

_STRETCHES = 64
_WIDTH = 8


class Timeline:
    """Sums of named columns over stretches of inputs; when there are too many stretches, two become one.

    The stretches depend on the number of inputs alone. Not thread-safe.

    >>> line = Timeline(("big",))
    >>> line.extend(200, lambda start, stop: [max(0, stop - max(start, 100))])
    >>> line.width, [row[0] for row in line.rows][-4:], line.count
    (8, [8.0, 8.0, 8.0, 8.0], 200)
    """

    __slots__ = ("columns", "count", "rows", "width")

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.width = _WIDTH
        """Inputs of a stretch; the last one may have fewer."""
        self.rows: list[list[float]] = []
        self.count = 0

    def extend(self, size: int, sums: Callable[[int, int], Sequence[float]]) -> None:
        """Adds `size` inputs; `sums(start, stop)` gives each column's sum over some of them, from 0."""
        at = 0
        while at < size:
            place = (self.count + at) // self.width
            if place >= _STRETCHES:
                self._halve()
                continue
            stop = min(size, (place + 1) * self.width - self.count)
            if place == len(self.rows):
                self.rows.append([0.0] * len(self.columns))
            row = self.rows[place]
            for column, value in enumerate(sums(at, stop)):
                row[column] += value
            at = stop
        self.count += size

    def spread(self, start: int, stop: int, amount: float) -> None:
        """Adds the inputs from `start` (the count so far) to `stop`, and `amount` evenly over them."""
        size = max(stop - start, 1)
        self.extend(stop - start, lambda a, b: [amount * (b - a) / size])

    def column(self, name: str) -> list[float]:
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def edges(self) -> list[int]:
        """Where the stretches begin, and where the last one ends: inputs from 0."""
        return [*range(0, len(self.rows) * self.width, self.width), self.count]

    def _halve(self) -> None:
        pairs = zip(self.rows[::2], self.rows[1::2], strict=True)
        self.rows = [[a + b for a, b in zip(one, other, strict=True)] for one, other in pairs]
        self.width *= 2

"""The course of one number of a sensor: its least and its largest over at most 128 stretches, however long it gets."""

from __future__ import annotations

__all__ = ["Course"]

_STRETCHES = 128
_WIDTH = 4
_MARKS = 200


class Course:
    """Takes numbers by the place of their input, in order; when there are too many stretches, two become one.

    The stretches depend on the places alone. Not thread-safe.

    >>> course = Course()
    >>> for place in range(1000):
    ...     course.add(place, float(place % 10))
    >>> course.width, course.rows[0], len(course.rows)
    (8, (0.0, 7.0), 125)
    """

    __slots__ = ("marked", "marks", "rows", "width")

    def __init__(self) -> None:
        self.width = _WIDTH
        """Inputs of a stretch."""
        self.rows: list[tuple[float, float] | None] = []
        """Least and largest of each stretch; None where it has no number."""
        self.marks: list[tuple[int, float]] = []
        """Places and numbers that were marked, the first 200."""
        self.marked = 0

    def add(self, place: int, value: float, *, mark: bool = False) -> None:
        """Takes a number that stands at a place, from 0."""
        while place // self.width >= _STRETCHES:
            self._halve()
        at = place // self.width
        self.rows += [None] * (at + 1 - len(self.rows))
        row = self.rows[at]
        self.rows[at] = (value, value) if row is None else (min(row[0], value), max(row[1], value))
        self.marked += mark
        if mark and len(self.marks) < _MARKS:
            self.marks.append((place, value))

    def edges(self) -> list[int]:
        """Where the stretches begin, and where the last one ends: inputs from 0."""
        return list(range(0, (len(self.rows) + 1) * self.width, self.width))

    def _halve(self) -> None:
        self.rows += [None] * (len(self.rows) % 2)
        pairs = zip(self.rows[::2], self.rows[1::2], strict=True)
        self.rows = [
            one or other if one is None or other is None else (min(one[0], other[0]), max(one[1], other[1]))
            for one, other in pairs
        ]
        self.width *= 2

"""Bytes as a tape of choices, for targets that need more than one blob."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

__all__ = ["Tape"]


class Tape:
    """Read from the front; past its end it gives zeros, so that every tape is a whole input.

    >>> tape = Tape(b"\\x05ab|cd")
    >>> tape.number(9), tape.until(b"|"), tape.rest()
    (5, b'ab', b'cd')
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """At most `size` bytes."""
        part = self._data[self._at : self._at + size]
        self._at += len(part)
        return part

    def number(self, most: int) -> int:
        """0 to `most`, from as few bytes as that needs."""
        return int.from_bytes(self.take((most.bit_length() + 7) // 8), "little") % (most + 1)

    def pick(self, items: Sequence[T]) -> T:
        return items[self.number(len(items) - 1)]

    def until(self, end: bytes) -> bytes:
        """What stands before the next `end`, which is skipped; all that is left where there is none."""
        stop = self._data.find(end, self._at)
        part = self._data[self._at :] if stop < 0 else self._data[self._at : stop]
        self._at += len(part) + (0 if stop < 0 else len(end))
        return part

    def rest(self) -> bytes:
        return self.take(len(self._data))

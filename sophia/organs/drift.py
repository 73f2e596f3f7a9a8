"""Windows of a stream as hypervectors: the sums of their texts, encoded by one thread or by several."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sophia._core.accumulator import Accumulator
from sophia._core.arena import HDCArena
from sophia._core.encode import TextEncoder
from sophia.store.drift_table import DIM

__all__ = ["WindowEncoder"]


class WindowEncoder:
    """Sums the texts of windows, each the vote of its words and n-grams (:class:`sophia._core.encode.TextEncoder`).

    `each` is `map`, or does the same in several threads: the sums are the same. The vectors of a window live in an
    arena of the thread that works on it, which is reset after each. About 8 us for a text that is not one of those
    beside it.

        >>> [window.total for window in WindowEncoder().sums([["tea", "tea", "?!"], ["cake"]])]
        [2, 1]
    """

    def __init__(self, seed: int = 0, each: Callable[..., Iterable[Any]] = map) -> None:
        self._encoder = TextEncoder(DIM, seed=seed)
        self._each = each
        self._own = threading.local()

    def sums(self, windows: Sequence[Sequence[str]]) -> Iterable[Accumulator]:
        """The sum of the texts of each window, in order; texts without a letter or digit count nothing."""
        return self._each(self._sum, windows)

    def _sum(self, texts: Sequence[str]) -> Accumulator:
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

"""Scans of several pieces of memory at once: the kernels release the GIL, so threads share the work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Scanners"]

_Part = TypeVar("_Part")
_Made = TypeVar("_Made")

MOST = 64


class Scanners:
    """Up to `workers` threads, started when first needed. Thread-safe."""

    def __init__(self, workers: int) -> None:
        if isinstance(workers, bool) or not isinstance(workers, int):
            message = f"workers is {workers!r}; it is a whole number"
            raise TypeError(message)
        if not 1 <= workers <= MOST:
            message = f"workers is {workers}; use 1 to {MOST}"
            raise ValueError(message)
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    def each(self, work: Callable[[_Part], _Made], parts: Iterable[_Part]) -> Iterable[_Made]:
        """What `work` makes of each part, in order: as `map`, in several threads where there are several parts."""
        some = list(parts)
        if self._workers == 1 or len(some) < 2:
            return map(work, some)
        with self._lock:
            if self._closed:
                return map(work, some)
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="sophia-scan")
            return self._pool.map(work, some)

    def close(self) -> None:
        """No new threads; what was begun goes on. May be called twice."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.shutdown(wait=False)

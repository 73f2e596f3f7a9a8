"""Side threads: where an event loop sends calls that may wait for a lock or a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["SideThreads"]

T = TypeVar("T")

_THREADS = 4


class SideThreads:
    """Up to four threads, started when first needed. Thread-safe, for any number of event loops.

    Not the loop's own pool: there, callers that wait for an answer could take every thread from the one that has it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._closed = False

    async def run(self, call: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """The call's result or error. When the waiting is cancelled, a call that has begun goes on."""
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        task = partial(call, *arguments, **named)
        future: asyncio.Future[T] | None = None
        with self._lock:
            if not self._closed:
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sophia-aside")
                future = asyncio.get_running_loop().run_in_executor(self._pool, task)
        return task() if future is None else await future  # a closed brain says so itself

    def close(self) -> None:
        """No new threads; what was begun goes on. May be called twice."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.shutdown(wait=False)

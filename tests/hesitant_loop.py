"""An event loop that stops before and after each of its steps for as long as another thread needs to have its turn.

The interpreter may change threads at any step of Python's, though it hardly ever does so at a given one; here it does
at every step of the loop's that compiled code calls in the middle of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# Seconds. One of the two sides has to be so slow now and then that the other does several things meanwhile.
PAUSES = (0.0, 0.0, 1e-4, 1e-2)


def pause() -> None:
    time.sleep(random.choice(PAUSES))


class HesitantLoop(asyncio.SelectorEventLoop):
    """Sleeps around `time`, `call_soon`, `call_soon_threadsafe` and `create_future`."""

    def _around(self, step: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        pause()
        result = step(*arguments, **named)
        pause()
        return result

    def time(self) -> float:
        now: float = self._around(super().time)
        return now

    def call_soon(self, *arguments: Any, **named: Any) -> asyncio.Handle:
        handle: asyncio.Handle = self._around(super().call_soon, *arguments, **named)
        return handle

    def call_soon_threadsafe(self, *arguments: Any, **named: Any) -> asyncio.Handle:
        handle: asyncio.Handle = self._around(super().call_soon_threadsafe, *arguments, **named)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._around(super().create_future)
        return future


def run_hesitantly(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=HesitantLoop) as runner:
        return runner.run(main)

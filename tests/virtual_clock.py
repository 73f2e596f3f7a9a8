"""An event loop whose clock is a number: where nothing is ready it is set to the next timer, and nobody sleeps.

A loop that has no timer and nothing to do would sleep for ever; that fails the test, at once or, where threads take
part, after `patience` seconds in which none of them said anything.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from typing import Any

__all__ = ["VirtualLoop"]


class _Selector(selectors.DefaultSelector):
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if events or self.loop._ready:  # type: ignore[attr-defined]
            return events
        if timeout != 0 and self.loop.patience and (events := super().select(self.loop.patience)):
            return events
        if timeout is None:
            message = "nothing will ever happen: no timer is set, nothing is ready, and no thread has said anything"
            raise RuntimeError(message)
        self.loop.jump()
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time` starts at 1,000 s. With `patience` the clock waits so many real seconds for threads before each jump."""

    def __init__(self, patience: float = 0.0) -> None:
        self.now = 1000.0
        self.patience = patience
        self.jumps = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def jump(self) -> None:
        """Just past the next timer: asyncio calls no timer whose time is exactly now where a nanosecond is nothing."""
        self.jumps += 1
        self.now = max(self.now, math.nextafter(self._scheduled[0]._when, math.inf))  # type: ignore[attr-defined]

    @property
    def timers(self) -> list[asyncio.TimerHandle]:
        """Timers that are still to come."""
        return [handle for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]

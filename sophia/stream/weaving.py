"""The Weaver of a run: what it reads, and the organ that tells its chapters."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Any

from sophia.actors.actor import Actor, handles
from sophia.organs.batch import Batch
from sophia.organs.chapter import Stretch
from sophia.organs.weaver import Told, Weaver
from sophia.stream.event import Event

__all__ = ["WeavingOrgan", "read"]

# Seconds between two steps of telling. A thread that computes lets another one in after 5 ms only, unless it waits for
# something: so the event loop is held for one step at most.
_PAUSE = 1e-4


def read(weaver: Weaver, events: list[Event], batch: Batch) -> list[Stretch]:
    """Reads a batch along: the stretches that have ended. On the thread that decided, as it looks at each decision."""
    ended = weaver.read(Told(events, batch.decisions, [batch.at] * len(events)))
    if batch.alarms:
        weaver.count_alarms(len(batch.alarms))
    return ended


class WeavingOrgan(Actor):
    """Makes chapters of the stretches that have ended. It has a thread of its own: each takes some milliseconds, which
    hold nobody up."""

    def __init__(self, weaver: Weaver, tell: Callable[[dict[str, Any]], None]) -> None:
        """`tell` is called with each chapter."""
        self._weaver = weaver
        self._tell = tell

    @handles(Stretch)
    def weave(self, stretch: Stretch) -> None:
        """Tells one stretch."""
        for chapter in self._weaver.telling(stretch):
            if chapter is not None:
                self._tell(chapter)
            sleep(_PAUSE)

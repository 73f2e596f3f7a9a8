"""The Weaver of a run: an organ that reads along and tells chapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sophia.actors.actor import Actor, handles
from sophia.organs.batch import Batch
from sophia.organs.weaver import Told, Weaver
from sophia.stream.event import Event

__all__ = ["WeavingOrgan", "Woven"]


class Woven(NamedTuple):
    """A batch that was decided."""

    events: list[Event]
    batch: Batch


class WeavingOrgan(Actor):
    """Makes chapters of what is decided. It has a thread of its own, so that ending a chapter, some milliseconds, holds
    nobody up."""

    def __init__(self, weaver: Weaver, tell: Callable[[list[dict[str, Any]]], None]) -> None:
        """`tell` is called with chapters that have ended."""
        self._weaver = weaver
        self._tell = tell

    @handles(Woven)
    def weave(self, woven: Woven) -> None:
        """Reads a batch."""
        events, batch = woven
        told = Told(
            batch.decisions,
            [event.text for event in events],
            [event.source for event in events],
            [event.line for event in events],
            [batch.at] * len(events),
        )
        self._end(self._weaver.add(told))
        if batch.alarms:
            self._weaver.count_alarms(len(batch.alarms))

    def on_stop(self) -> None:
        """Ends the last chapter."""
        self._end(self._weaver.end())

    def _end(self, chapters: list[dict[str, Any]]) -> None:
        if chapters:
            self._tell(chapters)

"""The Weaver as an organ: the stretches that are told to it become chapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sophia._core.stretch import Stretch
from sophia.actors.actor import Actor, handles
from sophia.organs.weaver import Weaver

__all__ = ["WeaverOrgan"]


class WeaverOrgan(Actor):
    """Tells the stretches that a Weaver has read, in their order, on the event loop, which it holds for a millisecond
    or two at once: a thread of its own would take Python's lock from the one that decides, and its caches.

    >>> import asyncio, sophia
    >>> from sophia.actors import Orchestrator
    >>> from sophia.organs.weaver import Passage, Told, Weaver
    >>> from sophia.organs.weaver_organ import WeaverOrgan
    >>> async def main(weaver, told):
    ...     chapters = []
    ...     async with Orchestrator() as organs:
    ...         organ = organs.spawn(WeaverOrgan(weaver, chapters.append), "weaver")
    ...         for stretch in [*weaver.read(told), *weaver.finish()]:
    ...             organ.tell(stretch)
    ...     return [(chapter["title"], chapter["inputs"]) for chapter in chapters]
    >>> texts = [f"kettle {i} boils" for i in range(200)]
    >>> with sophia.open(None) as brain:
    ...     decisions = brain.route_many(texts, kind="line")
    >>> inputs = [Passage("log", line, text) for line, text in enumerate(texts, 1)]
    >>> asyncio.run(main(Weaver(), Told(inputs, decisions, [0.0] * 200)))
    [('Boils and kettle', 200)]
    """

    def __init__(self, weaver: Weaver, tell: Callable[[dict[str, Any]], None]) -> None:
        """`tell` is called with each chapter."""
        self._weaver = weaver
        self._tell = tell

    @handles(Stretch)
    async def weave(self, stretch: Stretch) -> None:
        """Tells one stretch."""
        for chapter in self._weaver.telling(stretch):
            if chapter is not None:
                self._tell(chapter)
            await asyncio.sleep(0)

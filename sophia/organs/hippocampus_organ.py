"""The Hippocampus as an organ: what is told to it is remembered, what it is asked is recalled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from sophia.actors.actor import Actor, handles
from sophia.actors.message import Input, Ok, Query, Response, Text

__all__ = ["HippocampusOrgan"]


class _Found(Protocol):
    @property
    def text(self) -> str | None: ...

    @property
    def score(self) -> float | None: ...


class _Memory(Protocol):
    def remember(self, content: object, *, scope: str = "") -> object: ...

    def recall(self, query: object, k: int = 10, *, scope: str | None = None) -> Iterable[_Found]: ...


class HippocampusOrgan(Actor):
    """Remembers an Input, its text where it has one, else its vector, and says Ok when that is durable; answers a Query
    with a tuple of Texts, the best first. It waits for the disk: spawn it with ``blocking=True``.

    `memory` is a :class:`sophia.Hippocampus`, or what remembers and recalls as it does.

        >>> import asyncio, sophia, tempfile
        >>> from sophia.actors import Input, Orchestrator, Query
        >>> from sophia.organs.hippocampus_organ import HippocampusOrgan
        >>> async def main(folder):
        ...     with sophia.Hippocampus.open(folder) as memory:
        ...         async with Orchestrator() as organs:
        ...             organs.spawn(lambda: HippocampusOrgan(memory), "hippocampus", blocking=True)
        ...             vector = sophia.SharedVector.from_bytes(bytes(1250))
        ...             await organs.ask("hippocampus", Input(vector, "The office opens at nine."))
        ...             found = await organs.ask("hippocampus", Query("when does the office open"))
        ...             return found[0].text
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     asyncio.run(main(folder))
        'The office opens at nine.'
    """

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    @handles(Input)
    def input(self, given: Input) -> Response:
        """Remembers it."""
        content: Any = given.vector if given.text is None else given.text
        self._memory.remember(content, scope=given.scope or "")
        return Ok()

    @handles(Query)
    def query(self, query: Query) -> Response:
        """The texts that fit best."""
        found = self._memory.recall(query.text, query.k, scope=query.scope)
        return tuple(Text(one.text, one.score or 0.0) for one in found if one.text is not None)

"""The Thalamus as an organ: what is told to it is decided, one message after the other."""

from __future__ import annotations

from collections.abc import Callable

from sophia._core.decision import Decision
from sophia.actors.actor import Actor, handles
from sophia.actors.message import Blocked, Input, Query, Response, Route

__all__ = ["ThalamusOrgan"]


class ThalamusOrgan(Actor):
    """Answers a Query, and an Input that has a text, with a Route, or with Blocked where the text is not allowed.

    `route` decides a text of a scope, as :meth:`sophia.Sophia.route` does.

        >>> import asyncio, sophia
        >>> from sophia.actors import Orchestrator, Query
        >>> from sophia.organs.thalamus_organ import ThalamusOrgan
        >>> async def main():
        ...     async with Orchestrator() as organs:
        ...         with sophia.open(None) as brain:
        ...             organs.spawn(lambda: ThalamusOrgan(brain.route), "thalamus", priority="critical")
        ...             answer = await organs.ask("thalamus", Query("When do you open?"))
        ...             return answer.decision.route
        >>> asyncio.run(main())
        'deep_thought'
    """

    def __init__(self, route: Callable[..., Decision]) -> None:
        self._route = route

    @handles(Query)
    def query(self, query: Query) -> Response:
        """Decides a text."""
        return self._decide(query.text, query.scope)

    @handles(Input)
    def input(self, given: Input) -> Response:
        """Decides the text that a vector was made of."""
        if given.text is None:
            return Blocked("an input without a text cannot be routed")
        return self._decide(given.text, given.scope)

    def _decide(self, text: str, scope: str | None) -> Response:
        decision = self._route(text, scope=scope)
        return Route(decision) if decision.allowed else Blocked(f"{decision.verdict}: {decision.why}")

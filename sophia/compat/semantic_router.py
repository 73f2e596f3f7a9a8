"""The shape of semantic-router 0.x over :class:`sophia.Intents`: routes by example, without an embedding model.

What differs, on purpose:

* There is no encoder: `encoder`, `llm`, `index` and `top_k` are taken and not used, with a warning that says so.
* `score_threshold` is a probability that the route is right, not a cosine; without one the router chooses its own
  from the utterances, so that a text that fits nothing has the name None. `similarity_score` is that probability.
* A router tells its routes from each other, so it needs two of them before it can be called.
* A call takes text, not vectors; it takes microseconds, so `acall` waits for nothing.
* Dynamic routes (`function_schemas`) are not there, and `fit` takes no settings of training.

    >>> from sophia.compat.semantic_router import Route, SemanticRouter
    >>> light = Route(name="light", utterances=["turn on the light", "lights please", "switch the lamp on"])
    >>> clock = Route(name="clock", utterances=["what time is it", "tell me the time", "how late is it"])
    >>> router = SemanticRouter(routes=[light, clock])
    >>> router("turn the lamp on").name
    'light'
    >>> router("play some jazz").name is None
    True
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from sophia.organs.intents import Intents

__all__ = ["Route", "RouteChoice", "RouteLayer", "SemanticRouter"]


class Route:
    """A name and what people say when they mean it; `metadata` and `description` are kept for the caller."""

    def __init__(
        self,
        name: str,
        utterances: Sequence[str],
        *,
        score_threshold: float | None = None,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(utterances, str) or not utterances:
            message = f"the utterances of route {name!r} are {utterances!r}; give a list of at least one str"
            raise ValueError(message)
        self.name = name
        self.utterances = list(utterances)
        self.score_threshold = score_threshold
        self.description = description
        self.metadata = metadata or {}

    def __repr__(self) -> str:
        return f"Route(name={self.name!r}, utterances={len(self.utterances)}, score_threshold={self.score_threshold})"


class RouteChoice:
    """What a call gives: `name` is None where no route is sure enough; `reason` and `runner_up` say more."""

    __slots__ = ("function_call", "name", "reason", "runner_up", "similarity_score")

    def __init__(self, name: str | None, similarity_score: float, runner_up: str | None, reason: str) -> None:
        self.name = name
        self.similarity_score = similarity_score
        self.runner_up = runner_up
        self.reason = reason
        self.function_call = None

    def __repr__(self) -> str:
        return (
            f"RouteChoice(name={self.name!r}, similarity_score={self.similarity_score:.3f}, reason={self.reason!r}, "
            f"runner_up={self.runner_up!r})"
        )


class SemanticRouter:
    """Routes texts by example. Thread-safe: trained once, at the first call; what is added then is learned at once."""

    def __init__(self, encoder: object = None, routes: Iterable[Route] | None = None, **unused: object) -> None:
        ignored = [name for name, value in {"encoder": encoder, **unused}.items() if value is not None]
        if ignored:
            warnings.warn(f"{', '.join(ignored)}: not used; sophia needs no embedding model", stacklevel=2)
        self._lock = threading.Lock()
        self._routes: dict[str, Route] = {}
        self._intents: Intents | None = None
        for route in routes or ():
            self.add(route)

    @property
    def routes(self) -> list[Route]:
        return list(self._routes.values())

    @property
    def intents(self) -> Intents:
        """The router underneath, trained if it is not yet. ValueError with less than two routes."""
        intents = self._intents
        if intents is not None:
            return intents
        with self._lock:  # of many first callers one trains, the others wait for it
            if self._intents is None:
                if len(self._routes) < 2:
                    message = f"{len(self._routes)} routes; a router tells routes from each other, add two or more"
                    raise ValueError(message)
                texts = [text for route in self._routes.values() for text in route.utterances]
                labels = [route.name for route in self._routes.values() for _ in route.utterances]
                own = {r.name: r.score_threshold for r in self._routes.values() if r.score_threshold is not None}
                self._intents = Intents.fit(texts, labels, thresholds=own)
            return self._intents

    def __call__(self, text: str) -> RouteChoice:
        """The route of a text; about 3 us once trained."""
        found = self.intents.predict(text)
        return RouteChoice(found.route, found.confidence, found.runner_up, found.reason)

    async def acall(self, text: str) -> RouteChoice:
        """The same from a coroutine; the first call trains, so make that one before the loop runs."""
        return self(text)

    def add(self, routes: Route | Iterable[Route]) -> None:
        """Adds routes, or utterances to a route of the same name; in effect when it returns."""
        for route in [routes] if isinstance(routes, Route) else routes:
            with self._lock:
                known = self._routes.get(route.name)
                utterances = [*(known.utterances if known else ()), *route.utterances]
                merged = Route(
                    route.name,
                    utterances,
                    score_threshold=route.score_threshold,
                    description=route.description,
                    metadata=route.metadata,
                )
                if self._intents is not None:
                    self._intents = self._intents.add_route(
                        route.name, route.utterances, threshold=route.score_threshold
                    )
                self._routes[route.name] = merged

    def delete(self, route_name: str) -> None:
        """Takes a route out; KeyError for an unknown one."""
        with self._lock:
            del self._routes[route_name]
            # A router of one route has nothing to tell apart: it is trained again when there are two.
            left = self._intents if len(self._routes) > 1 else None
            self._intents = None if left is None else left.remove_route(route_name)

    def list_route_names(self) -> list[str]:
        """The names of all routes, in the order in which they were added."""
        return list(self._routes)

    def get_thresholds(self) -> dict[str, float]:
        """The threshold that is in force for each route."""
        intents = self.intents
        return {r.name: intents.threshold if r.threshold is None else r.threshold for r in intents.routes}

    def fit(self, X: Sequence[str], y: Sequence[str]) -> None:
        """Learns labelled texts of known routes, as further utterances."""
        for name in y:
            if name not in self._routes:
                message = f"no route is called {name!r}; add it first"
                raise ValueError(message)
        intents = self.intents
        with self._lock:
            self._intents = (self._intents or intents).partial_fit(X, y)

    def evaluate(self, X: Sequence[str], y: Sequence[str | None]) -> float:
        """The share of texts that get the route in `y`; None means that no route is right."""
        if len(X) != len(y) or not len(X):
            message = f"{len(X)} texts and {len(y)} labels; there must be as many, and at least one"
            raise ValueError(message)
        return sum(self(text).name == name for text, name in zip(X, y, strict=True)) / len(X)


RouteLayer = SemanticRouter
"""The name that 0.0.x had for it."""

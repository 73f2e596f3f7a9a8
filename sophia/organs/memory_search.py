"""Searching memories: what the writer of a store and those who only read it have in common."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from sophia.errors import SophiaError, StoreFailed
from sophia.organs.aside import SideThreads
from sophia.organs.memory_content import ContentReader
from sophia.organs.memory_index import Choice, MemoryIndex, nearest
from sophia.organs.memory_words import choice_of
from sophia.organs.recall import Memory, Recall
from sophia.store.memories import MemoryRow

__all__ = ["MemorySearch"]

Own = TypeVar("Own", bound="MemorySearch")


class MemorySearch:
    """Memories that can be searched. Closed with :meth:`close` or as a context manager. Thread-safe."""

    def __init__(self, dim: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reader = ContentReader(dim)
        self._index = MemoryIndex(dim)
        self._lock = threading.RLock()  # of the index, and of what a subclass keeps beside it
        self._aside = SideThreads()
        self._process = os.getpid()
        self._closed = False
        self._damaged = 0

    def __len__(self) -> int:
        """Memories that are there."""
        return len(self._index)

    @property
    def dim(self) -> int:
        """Components of a vector."""
        return self._index.dim

    def recall(
        self,
        query: object,
        k: int = 10,
        *,
        scope: str | None = None,
        context: str | None = None,
        actor: str | None = None,
        kinds: Iterable[str] | None = None,
        tags: Iterable[str] = (),
        since: datetime | float | None = None,
        until: datetime | float | None = None,
        valence: tuple[float, float] | None = None,
    ) -> Recall:
        """The `k` memories most like a text, hypervector or array, the nearest first; of equal ones the older.

        Only those of the `scope` (all scopes, if None), `context` and `actor`, of one of the `kinds`, with all of the
        `tags`, from `since` on and before `until`, with a valence from `valence[0]` to `valence[1]`. Exact: every
        memory that is chosen is compared.

        Raises ValueError for `k` below 1, and as :meth:`remember` for the query.
        """
        choice = choice_of(scope, context, actor, kinds, tags, since, until, valence)
        return self._recall([query], k, choice)[0]

    def recall_many(self, queries: Iterable[object], k: int = 10, **choice: Any) -> list[Recall]:
        """:meth:`recall` of each query, in one pass over the memories."""
        asked = list(queries)
        given = {name: choice.pop(name, None) for name in ("scope", "context", "actor", "kinds")}
        rest = {name: choice.pop(name, None) for name in ("since", "until", "valence")}
        chosen = choice_of(**given, tags=choice.pop("tags", ()), **rest)
        if choice:
            message = f"recall_many has no argument {sorted(choice)[0]!r}"
            raise TypeError(message)
        return self._recall(asked, k, chosen)

    def _recall(self, queries: Sequence[object], k: int, choice: Choice) -> list[Recall]:
        self._look()
        if isinstance(k, bool) or not isinstance(k, int):
            message = f"k is {k!r}; it is a whole number"
            raise TypeError(message)
        if k < 1:
            message = f"k is {k}; ask for one memory at least"
            raise ValueError(message)
        wanted = [self._reader.read(query).vector for query in queries]
        with self._lock:
            rows, chosen = self._index.matrix(), self._index.chosen(choice)
        found = nearest(rows, wanted, chosen, k, self.dim) if wanted else []
        with self._lock:
            now = self._now()
            results = [Recall(self._memories(places, now, distances)) for places, distances in found]
            self._found({memory.id: memory for result in results for memory in result}.values(), now)
        return results

    def get(self, id: int) -> Memory:
        """One memory, its vector a view without a copy. KeyError where there is none."""
        self._look()
        with self._lock:
            at = self._index.find(id)
            row = None if at is None else self._index.row(at)
            if at is None or row is None:
                raise KeyError(id)
            return Memory(row, self._index.vector(at), self._now(), None, None)

    def _memories(self, places: Sequence[int], now: int, distances: Sequence[int]) -> list[Memory]:
        """Those that were not forgotten meanwhile."""
        return [
            Memory(row, self._index.vector(at), now, 1.0 - 2.0 * distance / self.dim, distance)
            for at, distance in zip(places, distances, strict=True)
            if (row := self._index.row(at)) is not None
        ]

    async def arecall(self, query: object, k: int = 10, **choice: Any) -> Recall:
        """:meth:`recall`, from an event loop."""
        return await self._aside.run(self.recall, query, k, **choice)

    async def arecall_many(self, queries: Iterable[object], k: int = 10, **choice: Any) -> list[Recall]:
        """:meth:`recall_many`, from an event loop."""
        return await self._aside.run(self.recall_many, queries, k, **choice)

    def close(self) -> None:
        """May be called twice."""
        raise NotImplementedError

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _found(self, memories: Iterable[Memory], now: int) -> None:
        """Is told what a recall found, under the lock."""

    def _load(self, rows: Sequence[MemoryRow | None]) -> None:
        """Takes rows of the store, by id; None for a damaged one."""
        whole = [row for row in rows if row is not None and row.dim == self.dim]
        self._damaged += len(rows) - len(whole)
        self._index.add(whole)

    def _look(self) -> None:
        """Whether this may be used here and now."""
        if self._closed:
            message = "the memory is closed; open it again"
            raise SophiaError(message)
        if self._process != os.getpid():
            message = (
                f"the memory was opened by process {self._process}, of which this one was forked off; open it anew here"
            )
            raise StoreFailed(message)

    def _now(self) -> int:
        return round(self._clock() * 1e6)

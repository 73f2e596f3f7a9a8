"""Searching memories: what the writer of a store and those who only read it have in common."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from sophia.errors import SophiaError, StoreCorrupt, StoreFailed
from sophia.organs.aside import SideThreads
from sophia.organs.memory_content import ContentReader
from sophia.organs.memory_finding import Known, Near, joined, matching
from sophia.organs.memory_index import Choice, MemoryIndex, nearest
from sophia.organs.memory_text import MemoryText, rank, words_of
from sophia.organs.memory_words import choice_of, whole
from sophia.organs.recall import Memory, Recall
from sophia.organs.scanning import Scanners
from sophia.store.memories import MOST_ID
from sophia.store.memory_row import MemoryRow
from sophia.store.segments import SegmentEntry, open_segment
from sophia.store.words import words_in

__all__ = ["MemorySearch", "MemorySource", "arrow", "closed"]

_LOADED = 4096  # memories that are read at a time
_SKETCHED = 100_000  # memories up to which all bits of all are compared
_WORDS = 64  # of a text that is looked for

Own = TypeVar("Own", bound="MemorySearch")

_forks = 0  # how many stand between this process and the one that loaded the module


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


def closed() -> SophiaError:
    """What is raised by every call after `close`."""
    return SophiaError("the memory is closed; open it again")


class MemorySource(Protocol):
    """Where memories come from."""

    @property
    def path(self) -> Path:
        """The folder of the store."""

    def segments(self) -> list[SegmentEntry]:
        """The segments that count, by id."""

    def memories(self, after: int, upto: int) -> Iterable[MemoryRow | None]:
        """Rows by id; None for a damaged one."""

    def strengths(self) -> dict[int, tuple[float, int]]:
        """Strength, and when it became that, of those that were recalled."""


@cache
def arrow() -> bool:
    """Whether segments can be read here."""
    return find_spec("pyarrow") is not None


class MemorySearch(ABC):
    """Memories that can be searched. Closed with :meth:`close` or as a context manager. Thread-safe."""

    _others = False  # whether another process may have written since the last call

    def __init__(self, dim: int, clock: Callable[[], float], texts: str = "words", workers: int = 1) -> None:
        if texts not in ("words", "bits"):
            message = f"texts is {texts!r}; texts are searched by their 'words' or by the 'bits' of their vectors"
            raise ValueError(message)
        self._clock = clock
        self._scanners = Scanners(workers)
        self._by_words = texts == "words"
        self._reader = ContentReader(dim)
        self._stale = False  # whether an interrupt may have left index and texts apart, or both from the store
        self._begin()
        self._lock = threading.RLock()  # of the index, and of what a subclass keeps beside it
        self._aside = SideThreads()
        self._process = os.getpid()
        self._forks = _forks
        self._closed = False

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
        exact: bool = False,
    ) -> Recall:
        """The `k` memories that fit best, the best first; of equal ones the older.

        A text finds texts, by their words and what was said around them (see :mod:`sophia.organs.memory_text`); what
        shares nothing with it is not found; or, opened with ``texts="bits"``, the nearest vectors, which takes a tenth
        of the memory and finds far less. A hypervector or array finds the nearest vectors, of texts too. None finds the
        latest. Only those of the `scope` (all scopes, if None), `context` and `actor`, of one of the `kinds`, with all
        of the `tags`, from `since` on and before `until`, with a valence from `valence[0]` to `valence[1]`.

        Every memory that is chosen is compared. Only where a vector is asked for among more than 100,000, all of them
        chosen, the first 1,024 bits of each are compared first, and a near one is missed with a probability below 1 in
        2,000; and where the vectors are larger than memory, a long-term index is asked, if `sleep` has made one
        (`scan_limit` of :meth:`~sophia.organs.hippocampus.Hippocampus.open`): it reads a part of them and may miss
        more. `exact` compares all bits of all.

        Raises ValueError for `k` below 1, and as :meth:`~sophia.organs.hippocampus.Hippocampus.remember` for the query.
        """
        choice = choice_of(scope, context, actor, kinds, tags, since, until, valence)
        return self._recall([query], k, choice, exact)[0]

    def recall_many(self, queries: Iterable[object], k: int = 10, **choice: Any) -> list[Recall]:
        """:meth:`recall` of each query, in one pass over the memories."""
        asked, exact = list(queries), bool(choice.pop("exact", False))
        given = {name: choice.pop(name, None) for name in ("scope", "context", "actor", "kinds")}
        rest = {name: choice.pop(name, None) for name in ("since", "until", "valence")}
        chosen = choice_of(**given, tags=choice.pop("tags", ()), **rest)
        if choice:
            message = f"recall_many has no argument {sorted(choice)[0]!r}"
            raise TypeError(message)
        return self._recall(asked, k, chosen, exact)

    def _recall(self, queries: Sequence[object], k: int, choice: Choice, exact: bool) -> list[Recall]:
        self._look()
        _at_least_one(k)
        vectors = {
            number: self._reader.read(query).vector
            for number, query in enumerate(queries)
            if query is not None and not (self._by_words and isinstance(query, str))
        }
        for query in queries:
            if isinstance(query, str):
                self._reader.check(query)
        near: dict[int, tuple[list[int], list[int]]] = {}
        with self._lock:
            index = self._index  # a reader may begin with another one meanwhile
            pieces, chosen = index.pieces(), index.chosen(choice) if vectors else None
        if chosen is not None:
            asked = list(vectors.values())
            elsewhere = None if exact else self._elsewhere(asked, k, choice)
            if elsewhere is not None:
                chosen &= index.ids()[: len(chosen)] > elsewhere.last
            all_bits = exact or len(chosen) <= _SKETCHED
            found = nearest(pieces, asked, chosen, k, self.dim, exact=all_bits, each=self._scanners.each)
            if elsewhere is not None:
                found = joined(index, found, elsewhere, k)
            near = dict(zip(vectors, found, strict=True))
        results = []
        for number, query in enumerate(queries):
            if isinstance(query, str) and self._by_words:
                results.append(self._by_text(query, k, choice))
            elif query is None:
                with self._lock:
                    latest = index.latest(index.chosen(choice), k)
                    results.append(self._memories(index, [(at, None, None) for at in latest]))
            else:
                places, distances = near[number]
                scored = [(at, 1.0 - 2.0 * d / self.dim, d) for at, d in zip(places, distances, strict=True)]
                with self._lock:
                    results.append(self._memories(index, scored))
        with self._lock:
            self._found({memory.id: memory for result in results for memory in result}.values(), self._now())
        return results

    def _by_text(self, query: str, k: int, choice: Choice) -> Recall:
        """Ranks the chosen texts, in the light of all that was said in their scope."""
        import numpy as np

        asked = words_of(query)
        with self._lock:
            index = self._index
            rows, sessions = index.sessions(choice.scope)
            wanted = None if choice == Choice(scope=choice.scope) else index.chosen(choice)[rows]
            vectors = self._texts.vectors()
            named = index.by_actors(rows, lambda actor: bool(words_of(actor) & asked))
            strengths = index.strengths(rows, self._now())
        worth = rank(query, vectors, rows, sessions, named, strengths)
        places = np.flatnonzero(worth > 0.0 if wanted is None else wanted & (worth > 0.0))
        if len(places) > k:
            least = np.partition(worth[places], -k)[-k]
            places = places[worth[places] >= least]
        best = places[np.lexsort((rows[places], -worth[places]))][:k]
        with self._lock:
            return self._memories(index, [(int(rows[at]), float(worth[at]), None) for at in best])

    def find(self, words: str, k: int = 100, **choice: Any) -> Recall:
        """The `k` latest memories whose texts have all of these words, the latest first: whole words, in any order,
        whatever their case. `choice` is as for :meth:`recall`, but for `exact`.

        Reads the texts; a store that has a long-term index, and more than 100,000 memories in it, asks that. The same
        are found. Raises ValueError for a text without a word, or with more than 64.

            >>> import sophia, tempfile
            >>> with tempfile.TemporaryDirectory() as folder, sophia.Hippocampus.open(folder) as memory:
            ...     ids = memory.remember_many(["invoice 4711 was paid", "invoice 4712 was not", "Invoice 4711: who?"])
            ...     print([one.id for one in memory.find("4711 invoice")])
            [3, 1]
        """
        wanted = words_in(words) if isinstance(words, str) else []
        if not 0 < len(wanted) <= _WORDS:
            message = f"words is {str(words)[:60]!r}, with {len(wanted)} words; give 1 to {_WORDS}"
            raise ValueError(message)
        most = _at_least_one(k)
        chosen = choice_of(**choice)
        self._look()
        known = self._known(wanted, chosen)
        with self._lock:
            index = self._index
            pieces, may = index.pieces(), index.chosen(chosen)
        found = list(islice(matching(index, pieces, may, wanted, known), most))
        with self._lock:
            return self._memories(index, [(at, None, None) for at in found])

    def _elsewhere(self, vectors: Sequence[bytes], k: int, choice: Choice) -> Near | None:  # noqa: ARG002
        """What a long-term index says is nearest, where there is one and the vectors are more than can be read."""
        return None

    def _known(self, words: Sequence[str], choice: Choice) -> Known | None:  # noqa: ARG002
        """What a long-term index says of words, where there is one and it is worth asking."""
        return None

    def get(self, id: int) -> Memory:
        """One memory, its vector a view without a copy. KeyError where there is none."""
        if self._others or self._stale or self._closed or self._forks != _forks:  # a call costs a tenth of the whole
            self._look()
        with self._lock:
            found = self._index.get(id if type(id) is int else whole(id), self._clock())
        if found is None:
            raise KeyError(id)
        return found

    def _memories(self, index: MemoryIndex, found: Sequence[tuple[int, float | None, int | None]]) -> Recall:
        """(position, score, distance) of those that were not forgotten meanwhile, as memories."""
        now = self._clock()
        return Recall([index.memory(at, now, score, distance) for at, score, distance in found if index.holds(at)])

    async def arecall(self, query: object, k: int = 10, **choice: Any) -> Recall:
        """:meth:`recall`, from an event loop."""
        return await self._aside.run(self.recall, query, k, **choice)

    async def afind(self, words: str, k: int = 100, **choice: Any) -> Recall:
        """:meth:`find`, from an event loop."""
        return await self._aside.run(self.find, words, k, **choice)

    async def arecall_many(self, queries: Iterable[object], k: int = 10, **choice: Any) -> list[Recall]:
        """:meth:`recall_many`, from an event loop."""
        return await self._aside.run(self.recall_many, queries, k, **choice)

    @abstractmethod
    def close(self) -> None:
        """May be called twice."""

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _found(self, memories: Iterable[Memory], now: int) -> None:  # noqa: B027 (who wants to know overrides it)
        """Is told what a recall found, under the lock."""

    def _load(self, rows: Sequence[MemoryRow | None]) -> None:
        """Takes rows of the store, by id; None for a damaged one."""
        whole = [row for row in rows if row is not None and row.dim == self.dim]
        self._damaged += len(rows) - len(whole)
        self._add(whole)

    def _fill(self, source: MemorySource) -> None:
        """Takes all that a store holds: what stands in segments from these, the rest row by row.

        A segment that cannot be used is counted, and its memories come from the rows.
        """
        after = 0
        for entry in source.segments() if arrow() else ():
            if entry.dim != self.dim or entry.first <= after:
                continue
            try:
                segment = open_segment(source.path, entry)
            except StoreCorrupt:
                self._rebuilt += 1
                continue
            self._take(source, after, entry.first - 1)
            self._index.add_segment(segment)
            if self._by_words:
                self._texts.append(*segment.words)
            after = entry.last
        self._take(source, after, MOST_ID)
        for id, (strength, raised) in source.strengths().items():
            self._index.strengthen(id, strength, raised)

    def _take(self, source: MemorySource, after: int, upto: int) -> None:
        if after < upto:
            rows = iter(source.memories(after, upto))
            while group := list(islice(rows, _LOADED)):
                self._load(group)

    def _begin(self) -> None:
        """Holds nothing."""
        self._index = MemoryIndex(self._reader.dim)
        self._texts = MemoryText()
        self._damaged = 0
        self._rebuilt = 0  # segments that were missing or damaged

    def _add(self, rows: Sequence[MemoryRow]) -> None:
        before, self._stale = self._stale, True
        self._index.add(rows)
        if self._by_words:
            self._texts.add(rows)
        self._stale = before

    def _look(self) -> None:
        """Whether this may be used here and now."""
        if self._closed:
            raise closed()
        if self._forks != _forks:
            message = (
                f"the memory was opened by process {self._process}, of which this one was forked off; open it anew here"
            )
            raise StoreFailed(message)

    @property
    def _forked(self) -> bool:
        """Whether this is a child of the process that opened the memory."""
        return self._forks != _forks

    def _now(self) -> int:
        return round(self._clock() * 1e6)


def _at_least_one(k: object) -> int:
    if isinstance(k, bool) or not isinstance(k, int):
        message = f"k is {k!r}; it is a whole number"
        raise TypeError(message)
    if k < 1:
        message = f"k is {k}; ask for one memory at least"
        raise ValueError(message)
    return k

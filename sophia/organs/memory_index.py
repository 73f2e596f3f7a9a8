"""What is searched of a store's memories: packed vectors in one matrix, and columns to choose rows by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sophia.organs.recall import HALF_LIFE
from sophia.store.memories import MemoryRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Choice", "MemoryIndex", "nearest"]

_FIRST = 256  # rows that there is room for at first


@dataclass(frozen=True, slots=True)
class Choice:
    """Which memories are looked at. None: whatever it is. Times are microseconds since the epoch, `until` excluded."""

    scope: str | None = None
    context: str | None = None
    actor: str | None = None
    kinds: tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()  # all of them
    since: int | None = None
    until: int | None = None
    valence: tuple[float, float] | None = None


@dataclass(slots=True)
class _Names:
    """Texts that many rows share, as small numbers."""

    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, texts: Sequence[str]) -> list[int]:
        """The number of each text; new ones get the next."""
        for text in dict.fromkeys(texts):
            self.numbers.setdefault(text, len(self.numbers))
        return [self.numbers[text] for text in texts]


class MemoryIndex:
    """Rows by position, which is the order of their ids. Grows by doubling: a row costs 1,280 bytes at 10,000 bits and
    64 of columns, besides the row itself.

    Not thread-safe by itself. What the methods return stays as it is when rows come or go later, so a search needs the
    lock for as long as it takes to ask for them.
    """

    def __init__(self, dim: int) -> None:
        import numpy as np

        self.dim = dim
        self.bytes = (dim + 7) // 8
        self._stride = (dim + 511) // 512 * 64  # rows start at multiples of 64 bytes, as the kernels want them
        self._count = 0
        self._known: dict[int, int] = {}
        self._kept: list[MemoryRow | None] = []
        self._tagged: dict[str, list[int]] = {}
        self._scopes, self._contexts, self._actors, self._kinds = _Names(), _Names(), _Names(), _Names()
        self._live = 0
        self._rows = np.zeros((_FIRST, self._stride), dtype=np.uint8)
        self._read_only = self._packed_view()
        self._ids = np.zeros(_FIRST, dtype=np.int64)
        self._ts = np.zeros(_FIRST, dtype=np.int64)
        self._valence = np.zeros(_FIRST)
        self._strength = np.zeros(_FIRST)
        self._raised = np.zeros(_FIRST, dtype=np.int64)
        self._order: NDArray[np.int64] | None = None
        self._named = np.zeros((4, _FIRST), dtype=np.int32)  # scope, context, actor, kind
        self._there = np.zeros(_FIRST, dtype=np.bool_)

    def __len__(self) -> int:
        """Rows that are there."""
        return self._live

    @property
    def size(self) -> int:
        """Positions, of removed rows too."""
        return self._count

    @property
    def last(self) -> int:
        """The highest id that was ever taken, 0 for none."""
        return int(self._ids[self._count - 1]) if self._count else 0

    @property
    def nbytes(self) -> int:
        """Bytes of the matrix and the columns."""
        held = (self._rows, self._ids, self._ts, self._valence, self._strength, self._raised, self._named, self._there)
        return sum(array.nbytes for array in held)

    def add(self, rows: Sequence[MemoryRow]) -> None:
        """Takes rows with rising ids, all higher than those before."""
        if not rows:
            return
        import numpy as np

        start, end = self._count, self._count + len(rows)
        while end > len(self._ids):
            self._grow()
        packed = np.frombuffer(b"".join([row.vector for row in rows]), dtype=np.uint8)
        self._rows[start:end, : self.bytes] = packed.reshape(len(rows), self.bytes)
        self._ids[start:end] = [row.id for row in rows]
        self._ts[start:end] = [row.ts for row in rows]
        self._valence[start:end] = [row.valence for row in rows]
        self._strength[start:end] = [row.strength for row in rows]
        self._raised[start:end] = [row.raised for row in rows]
        self._order = None
        self._named[0, start:end] = self._scopes.of([row.scope for row in rows])
        self._named[1, start:end] = self._contexts.of([row.context for row in rows])
        self._named[2, start:end] = self._actors.of([row.actor for row in rows])
        self._named[3, start:end] = self._kinds.of([row.kind for row in rows])
        for at, row in enumerate(rows, start):
            self._known[row.id] = at
            for tag in row.tags:
                self._tagged.setdefault(tag, []).append(at)
        self._there[start:end] = True
        self._kept += rows
        self._count = end
        self._live += len(rows)

    def remove(self, id: int) -> int | None:
        """Takes a row out; its position, or None where it is not there."""
        at = self._known.pop(id, None)
        if at is None:
            return None
        row = self._kept[at]
        self._kept[at] = None
        for tag in row.tags if row is not None else ():
            self._tagged[tag].remove(at)
            if not self._tagged[tag]:
                del self._tagged[tag]
        self._there = self._there.copy()  # who is searching keeps what was there when it began
        self._there[at] = False
        self._live -= 1
        return at

    def put(self, row: MemoryRow) -> None:
        """Another version of a row that is there, which differs in strength alone."""
        at = self._known[row.id]
        self._kept[at] = row
        self._strength[at], self._raised[at] = row.strength, row.raised

    def row(self, at: int) -> MemoryRow | None:
        """The row at a position, or None where it was removed."""
        return self._kept[at]

    def find(self, id: int) -> int | None:
        """The position of a row, or None."""
        return self._known.get(id)

    def matrix(self) -> NDArray[np.uint8]:
        """The vectors, [size, stride]: read-only, rows that were removed among them."""
        view = self._rows[: self._count]
        view.flags.writeable = False
        return view

    def vector(self, at: int) -> NDArray[np.uint8]:
        """The packed vector at a position: a read-only view, no copy, valid for as long as it is held."""
        view: NDArray[np.uint8] = self._read_only[at]
        return view

    def latest(self, chosen: NDArray[np.bool_], k: int) -> list[int]:
        """The positions of the k chosen rows that happened last, the last first."""
        import numpy as np

        places = np.flatnonzero(chosen)
        found: list[int] = places[np.lexsort((places, self._ts[places]))][::-1][:k].tolist()
        return found

    def sessions(self, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The chosen positions in the order of scope, context, time and id; and of each a number for its session, which
        is a context of a scope, or -1 for none."""
        import numpy as np

        if self._order is None:
            count = self._count
            self._order = np.lexsort((self._ts[:count], self._named[1, :count], self._named[0, :count]))
        rows = self._order[chosen[self._order]]
        scope, context = self._named[0, rows], self._named[1, rows]
        new = np.ones(len(rows), dtype=np.int64)
        new[1:] = (scope[1:] != scope[:-1]) | (context[1:] != context[:-1])
        numbers = np.cumsum(new) - 1
        return rows, np.where(context == self._contexts.numbers.get("", -1), -1, numbers)

    def by_actors(self, rows: NDArray[np.int64], names: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Which of the positions have an actor of whom this holds; each actor is asked about once."""
        import numpy as np

        wanted = [bool(actor) and names(actor) for actor in self._actors.numbers]  # in the order of their numbers
        found: NDArray[np.bool_] = np.array(wanted, dtype=np.bool_)[self._named[2, rows]]
        return found

    def strengths(self, rows: NDArray[np.int64], now: int) -> NDArray[np.float64]:
        """The strength of each of the positions at a time."""
        import numpy as np

        age = np.maximum(0, now - self._raised[rows])
        faded: NDArray[np.float64] = self._strength[rows] * np.exp2(-age / HALF_LIFE)
        return faded

    def ids(self) -> NDArray[np.int64]:
        """The id at each position."""
        return self._ids[: self._count]

    def chosen(self, choice: Choice) -> NDArray[np.bool_]:
        """Which positions hold a row of the choice: an array of the caller's own."""
        import numpy as np

        count = self._count
        found = self._there[:count].copy()
        for number, (names, wanted) in enumerate(
            (
                (self._scopes, None if choice.scope is None else (choice.scope,)),
                (self._contexts, None if choice.context is None else (choice.context,)),
                (self._actors, None if choice.actor is None else (choice.actor,)),
                (self._kinds, choice.kinds),
            )
        ):
            if wanted is not None:
                found &= _any_of(self._named[number, :count], [names.numbers.get(text, -1) for text in wanted])
        if choice.since is not None:
            found &= self._ts[:count] >= choice.since
        if choice.until is not None:
            found &= self._ts[:count] < choice.until
        if choice.valence is not None:
            low, high = choice.valence
            found &= (self._valence[:count] >= low) & (self._valence[:count] <= high)
        for tag in choice.tags:
            tagged = np.zeros(count, dtype=np.bool_)
            tagged[[at for at in self._tagged.get(tag, ()) if at < count]] = True
            found &= tagged
        return found

    def _grow(self) -> None:
        import numpy as np

        # New arrays: views of the old ones stay as they are.
        room = 2 * len(self._ids)
        for name in ("_rows", "_ids", "_ts", "_valence", "_strength", "_raised", "_there"):
            old = getattr(self, name)
            grown = np.zeros((room, *old.shape[1:]), dtype=old.dtype)
            grown[: len(old)] = old
            setattr(self, name, grown)
        self._read_only = self._packed_view()
        named = np.zeros((4, room), dtype=np.int32)
        named[:, : self._named.shape[1]] = self._named
        self._named = named

    def _packed_view(self) -> NDArray[np.uint8]:
        import numpy as np

        # Over a memoryview that is read-only, so that nobody makes it writable again.
        return np.asarray(memoryview(self._rows).toreadonly())[:, : self.bytes]  # type: ignore[arg-type]


def _any_of(numbers: NDArray[np.int32], wanted: Sequence[int]) -> NDArray[np.bool_]:
    import numpy as np

    return numbers == wanted[0] if len(wanted) == 1 else np.isin(numbers, list(wanted))


def nearest(
    rows: NDArray[np.uint8], queries: Sequence[bytes], chosen: NDArray[np.bool_], k: int, dim: int
) -> list[tuple[list[int], list[int]]]:
    """For each packed query the positions of the k nearest chosen rows and their Hamming distances; of equal ones the
    older first. Exact: one pass over the rows for all queries, by the kernels, with the GIL released."""
    import numpy as np

    from sophia._core.search import topk

    places = np.flatnonzero(chosen)
    if not len(places):
        return [([], []) for _ in queries]
    if len(places) < len(rows):
        rows = rows[places]
    wanted = np.zeros((len(queries), rows.shape[1]), dtype=np.uint8)
    for number, query in enumerate(queries):
        wanted[number, : len(query)] = np.frombuffer(query, dtype=np.uint8)
    distances, numbers = topk(wanted, rows, min(k, len(places)), dim=dim)
    return [(places[found].tolist(), distance.tolist()) for found, distance in zip(numbers, distances, strict=True)]

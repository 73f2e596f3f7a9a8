"""What is searched of a store's memories: pieces with packed vectors, and columns to choose rows by."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from sophia.organs.memory_pieces import Block, Mapped, Piece, stride_of
from sophia.organs.recall import HALF_LIFE, Memory
from sophia.store.memory_row import MemoryRow
from sophia.store.segments import Segment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sophia._core.vector import Hypervector

__all__ = ["Choice", "MemoryIndex", "nearest"]

Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""`map`, or what does the same in several threads."""

_FIRST = 256  # rows that there is room for at first
_SCOPES = 16  # whose order is kept until the next row comes or goes
_NAMES = ("scope", "context", "actor", "kind")


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
    """Rows by position, which is the order of their ids: columns to choose them by, and pieces with their vectors and
    contents. A row costs 64 bytes of columns, besides what its piece takes.

    Not thread-safe by itself. What the methods return stays as it is when rows come or go later, so a search needs the
    lock for as long as it takes to ask for them.
    """

    def __init__(self, dim: int) -> None:
        import numpy as np

        self.dim = dim
        self.bytes = (dim + 7) // 8
        self._count = 0
        self._pieces: list[Piece] = []
        self._begins: list[int] = []  # the position at which each of them begins
        self._firsts: list[int] = []  # and the id there, where it has rows
        self._gone: set[int] = set()
        self._tagged: dict[str, list[int]] = {}
        self._scopes, self._contexts, self._actors, self._kinds = _Names(), _Names(), _Names(), _Names()
        self._ids = np.zeros(_FIRST, dtype=np.int64)
        self._ts = np.zeros(_FIRST, dtype=np.int64)
        self._valence = np.zeros(_FIRST)
        self._strength = np.zeros(_FIRST)
        self._raised = np.zeros(_FIRST, dtype=np.int64)
        self._order: NDArray[np.int64] | None = None
        self._sessions: dict[str | None, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._named = np.zeros((4, _FIRST), dtype=np.int32)  # scope, context, actor, kind
        self._there = np.zeros(_FIRST, dtype=np.bool_)
        self._look_at()

    def _look_at(self) -> None:
        # Of which one value is read much faster.
        self._strengths, self._raises = memoryview(cast("Any", self._strength)), memoryview(cast("Any", self._raised))

    def __len__(self) -> int:
        """Rows that are there."""
        return self._count - len(self._gone)

    @property
    def size(self) -> int:
        """Positions, of removed rows too."""
        return self._count

    @property
    def last(self) -> int:
        """The highest id that was ever taken, 0 for none."""
        return int(self._ids[self._count - 1]) if self._count else 0

    @property
    def unsealed(self) -> int:
        """Rows in memory at the end, which no segment holds."""
        return len(self._pieces[-1]) if self._pieces and isinstance(self._pieces[-1], Block) else 0

    @property
    def nbytes(self) -> int:
        """Bytes of the columns, and of the vectors that are in memory."""
        held = (self._ids, self._ts, self._valence, self._strength, self._raised, self._named, self._there)
        return sum(array.nbytes for array in held) + sum(piece.nbytes for piece in self._pieces)

    def add(self, rows: Sequence[MemoryRow]) -> None:
        """Takes rows with rising ids, all higher than those before, into memory."""
        if not rows:
            return
        if not self._pieces or not isinstance(self._pieces[-1], Block):
            self._append(Block(self.dim))
        block = self._pieces[-1]
        assert isinstance(block, Block)
        block.add(rows)
        names = ([row.scope for row in rows], [row.context for row in rows], [row.actor for row in rows],
                 [row.kind for row in rows])  # fmt: skip
        start = self._take(
            [row.id for row in rows],
            [row.ts for row in rows],
            [row.valence for row in rows],
            [row.strength for row in rows],
            [row.raised for row in rows],
            [of.of(texts) for of, texts in zip(self._all_names, names, strict=True)],
        )
        self._tag((at, row.tags) for at, row in enumerate(rows, start))

    def add_segment(self, segment: Segment) -> None:
        """Takes the rows of a segment, whose ids are all higher than those before, as they are mapped."""
        import numpy as np

        mapped = Mapped(segment)
        self._append(mapped)
        numbers = [
            np.array(of.of(codes.texts), dtype=np.int32)[codes.numbers]
            for of, codes in zip(self._all_names, segment.names.values(), strict=True)
        ]
        start = self._take(segment.ids, segment.ts, segment.valence, segment.strength, segment.raised, numbers)
        self._tag((start + at, tags) for at, tags in mapped.tagged())

    @property
    def _all_names(self) -> tuple[_Names, _Names, _Names, _Names]:
        return self._scopes, self._contexts, self._actors, self._kinds

    def _append(self, piece: Piece) -> None:
        self._pieces = [*self._pieces, piece]  # who is searching keeps the list that it has
        self._begins = [*self._begins, self._count]

    def _take(self, ids: Any, ts: Any, valence: Any, strength: Any, raised: Any, numbers: Sequence[Any]) -> int:
        """Columns of new rows; the position of the first."""
        start, end = self._count, self._count + len(ids)
        if start == self._begins[-1]:
            self._firsts = [*self._firsts, int(ids[0])]
        while end > len(self._ids):
            self._grow()
        self._ids[start:end] = ids
        self._ts[start:end] = ts
        self._valence[start:end] = valence
        self._strength[start:end] = strength
        self._raised[start:end] = raised
        for number, column in enumerate(numbers):
            self._named[number, start:end] = column
        self._there[start:end] = True
        self._order = None
        self._sessions.clear()
        self._count = end
        return start

    def _tag(self, rows: Iterable[tuple[int, tuple[str, ...]]]) -> None:
        for at, tags in rows:
            for tag in tags:
                self._tagged.setdefault(tag, []).append(at)

    def remove(self, id: int) -> int | None:
        """Takes a row out; its position, or None where it is not there."""
        at = self.find(id)
        if at is None:
            return None
        for tag in self.row(at).tags:
            self._tagged[tag].remove(at)
            if not self._tagged[tag]:
                del self._tagged[tag]
        self._there = self._there.copy()  # who is searching keeps what was there when it began
        self._there[at] = False
        self._gone.add(at)
        self._sessions.clear()
        return at

    def strengthen(self, id: int, strength: float, raised: int) -> None:
        """Another strength of a row, if it is there."""
        at = self.find(id)
        if at is not None:
            self._strength[at], self._raised[at] = strength, raised

    def holds(self, at: int) -> bool:
        """Whether the row at a position was not removed."""
        return at not in self._gone

    def row(self, at: int) -> MemoryRow:
        """The row at a position, removed or not, with the strength that it came with."""
        piece, own = self._piece(at)
        return piece.row(own)

    def memory(self, at: int, now: float, score: float | None, distance: int | None) -> Memory:
        """The row at a position, as it is found at a time (seconds since the epoch)."""
        piece, own = self._piece(at)
        return Memory(piece, own, self._strengths[at], self._raises[at], now, score, distance)

    def get(self, id: int, now: float) -> Memory | None:
        """The row of an id, or None."""
        number = bisect_right(self._firsts, id) - 1
        own = self._pieces[number].find(id) if number >= 0 else None
        if own is None:
            return None
        at = self._begins[number] + own
        if at in self._gone:
            return None
        return Memory(self._pieces[number], own, self._strengths[at], self._raises[at], now, None, None)

    def _piece(self, at: int) -> tuple[Piece, int]:
        number = bisect_right(self._begins, at) - 1
        return self._pieces[number], at - self._begins[number]

    def find(self, id: int) -> int | None:
        """The position of a row, or None."""
        number = bisect_right(self._firsts, id) - 1
        own = self._pieces[number].find(id) if number >= 0 else None
        at = None if own is None else self._begins[number] + own
        return None if at in self._gone else at

    def pieces(self) -> list[tuple[int, Piece]]:
        """The pieces, each with the position at which it begins."""
        return list(zip(self._begins, self._pieces, strict=False))  # one more may come meanwhile

    def cut(self) -> None:
        """What is added from now on goes into another block."""
        if self._pieces and isinstance(self._pieces[-1], Block) and len(self._pieces[-1]):
            self._append(Block(self.dim))

    def exchange(self, begin: int, end: int, segments: Sequence[Segment]) -> None:
        """Reads the rows at positions from `begin` to `end`, which are those of whole pieces, from segments that hold
        the same."""
        before = [at for at, own in enumerate(self._begins) if own < begin]
        behind = [at for at, own in enumerate(self._begins) if own >= end]
        made: list[Piece] = [Mapped(segment) for segment in segments]
        starts = [begin + sum(map(len, made[:number])) for number in range(len(made))]
        pieces, begins = self._pieces, self._begins
        self._pieces = [pieces[at] for at in before] + made + [pieces[at] for at in behind]
        self._begins = [begins[at] for at in before] + starts + [begins[at] for at in behind]
        self._firsts = [int(self._ids[at]) for at in self._begins if at < self._count]

    def vectors(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The rows of the matrix at rising positions, [n, stride]: a copy."""
        import numpy as np

        made = np.empty((len(places), stride_of(self.dim)), dtype=np.uint8)
        for begin, piece in self.pieces():
            first, last = np.searchsorted(places, (begin, begin + len(piece)))
            if first < last:
                made[first:last] = piece.vectors[places[first:last] - begin]
        return made

    def times(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """When the rows at some positions happened."""
        found: NDArray[np.int64] = self._ts[places]
        return found

    def oldest(self, kinds: Sequence[str], count: int) -> list[int]:
        """The ids of the first rows of some kinds."""
        import numpy as np

        found: list[int] = self.ids()[np.flatnonzero(self.chosen(Choice(kinds=tuple(kinds))))[:count]].tolist()
        return found

    def groups(self) -> list[NDArray[np.int64]]:
        """Positions, rising, of those of two rows or more that have one scope, context, actor and kind."""
        import numpy as np

        places = np.flatnonzero(self.there())
        named = self._named[:, places]
        order = np.lexsort((places, *named))
        new = np.any(named[:, order][:, 1:] != named[:, order][:, :-1], axis=0)
        return [group for group in np.split(places[order], np.flatnonzero(new) + 1) if len(group) > 1]

    def there(self) -> NDArray[np.bool_]:
        """Which positions hold a row that was not removed."""
        return self._there[: self._count]

    def latest(self, chosen: NDArray[np.bool_], k: int) -> list[int]:
        """The positions of the k chosen rows that happened last, the last first."""
        import numpy as np

        places = np.flatnonzero(chosen)
        found: list[int] = places[np.lexsort((places, self._ts[places]))][::-1][:k].tolist()
        return found

    def sessions(self, scope: str | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The positions of a scope (None: of all) in the order of scope, context, time and id; and of each a number for
        its session, which is a context of a scope, or -1 for none."""
        found = self._sessions.get(scope)
        if found is None:
            if len(self._sessions) == _SCOPES:
                self._sessions.clear()
            found = self._sessions[scope] = self._sessions_of(self.chosen(Choice(scope=scope)))
        return found

    def _sessions_of(self, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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

    def part(self, places: NDArray[np.int64]) -> dict[str, Any]:
        """The columns of some positions, as :class:`~sophia.store.segments.SegmentRows` has them."""
        texts = {name: list(of.numbers) for name, of in zip(_NAMES, self._all_names, strict=True)}
        return {
            "ids": self._ids[places],
            "ts": self._ts[places],
            "raised": self._raised[places],
            "valence": self._valence[places],
            "strength": self._strength[places],
            "names": {
                name: [texts[name][number] for number in self._named[row, places].tolist()]
                for row, name in enumerate(_NAMES)
            },
        }

    def _grow(self) -> None:
        import numpy as np

        # New arrays: views of the old ones stay as they are.
        room = 2 * len(self._ids)
        for name in ("_ids", "_ts", "_valence", "_strength", "_raised", "_there"):
            old = getattr(self, name)
            grown = np.zeros(room, dtype=old.dtype)
            grown[: len(old)] = old
            setattr(self, name, grown)
        self._look_at()
        named = np.zeros((4, room), dtype=np.int32)
        named[:, : self._named.shape[1]] = self._named
        self._named = named


def _any_of(numbers: NDArray[np.int32], wanted: Sequence[int]) -> NDArray[np.bool_]:
    import numpy as np

    return numbers == wanted[0] if len(wanted) == 1 else np.isin(numbers, list(wanted))


def nearest(
    pieces: Sequence[tuple[int, Piece]],
    queries: Sequence[bytes],
    chosen: NDArray[np.bool_],
    k: int,
    dim: int,
    *,
    exact: bool = True,
    each: Each = map,
) -> list[tuple[list[int], list[int]]]:
    """For each packed query the positions of the k nearest chosen rows and their Hamming distances; of equal ones the
    older first.

    One pass over the rows for all queries, by the kernels, with the GIL released. `each` does what it is given for the
    pieces, in this thread or in several; what is found is the same. Where `exact` is false a piece that has sketches,
    and of which every row is chosen, is searched by these: each of the k is missed with a probability below 1 in 2,000.
    """
    import numpy as np

    from sophia._core.search import topk
    from sophia._core.vector import Hypervector

    wanted = np.zeros((len(queries), stride_of(dim)), dtype=np.uint8)
    for number, query in enumerate(queries):
        wanted[number, : len(query)] = np.frombuffer(query, dtype=np.uint8)
    found: list[list[tuple[int, int]]] = [[] for _ in queries]
    sketched = []
    scanned = []
    for begin, piece in pieces:
        rows = piece.vectors
        places = np.flatnonzero(chosen[begin : begin + len(rows)])
        if not len(places):
            continue
        if not exact and piece.sketches is not None and len(places) == len(rows):
            sketched.append((begin, rows, piece.sketches))
        else:
            scanned.append((begin, rows, places))

    def scan(one: tuple[int, NDArray[np.uint8], NDArray[np.int64]]) -> list[list[tuple[int, int]]]:
        begin, rows, places = one
        some = rows if len(places) == len(rows) else rows[places]
        all_distances, all_numbers = topk(wanted, some, min(k, len(places)), dim=dim)
        return [
            list(zip(distances.tolist(), (places[numbers] + begin).tolist(), strict=True))
            for distances, numbers in zip(all_distances, all_numbers, strict=True)
        ]

    for hits in each(scan, scanned):
        for number, some in enumerate(hits):
            found[number] += some
    for number, query in enumerate(queries) if sketched else ():
        found[number] += _by_sketches(sketched, Hypervector.from_bytes(query, dim), found[number], k, each)
    best = [sorted(one)[:k] for one in found]
    return [([at for _, at in one], [distance for distance, _ in one]) for one in best]


def _by_sketches(
    pieces: Sequence[tuple[int, NDArray[np.uint8], NDArray[np.uint8]]],
    query: Hypervector,
    known: Sequence[tuple[int, int]],
    k: int,
    each: Each,
) -> list[tuple[int, int]]:
    """The k nearest rows of pieces (position, rows, sketches), where others are known, as (distance, position).

    Where there are many pieces, each may have too few near rows to tell by itself what is far. So first only the rows
    with the nearest sketches of all of them are compared; the k-th of these is a limit for the second look.
    """
    from sophia._core.search import topk_sketch

    def look(limit: int | None) -> list[tuple[int, int]]:
        def one(piece: tuple[int, NDArray[np.uint8], NDArray[np.uint8]]) -> list[tuple[int, int]]:
            begin, rows, sketches = piece
            distances, numbers, _ = topk_sketch(query, rows, sketches, min(k, len(rows)), limit=limit)
            return list(zip(distances.tolist(), (numbers + begin).tolist(), strict=True))

        return [hit for hits in each(one, pieces) for hit in hits]

    limit: int | None = None
    best = list(known)
    if len(pieces) > 1:
        best += look(0)
    if len(best) >= k:
        limit = sorted(best)[k - 1][0]
    return look(limit)

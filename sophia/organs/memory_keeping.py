"""What a memory keeps when it sleeps: which memories are let go, and which become one."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sophia.organs.memory_index import MemoryIndex
from sophia.organs.memory_words import when
from sophia.store.memory_row import MemoryRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["NEIGHBOURS", "ORDERS", "Keeping", "clusters", "fitting", "let_go", "limits", "one_of"]

_TOGETHER = 256  # rows whose neighbours are sought in one pass
NEIGHBOURS = 64
"""Of each row at most so many are looked at: where there are more, another pass is due."""
ORDERS = ("weakest", "oldest", "stored")
"""Which go first, where there are too many: the weakest, those of what happened first, those that were stored first."""
_GRADES = 100  # steps of a strength, as a vote


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept. Nothing is let go by itself: each limit holds where it is given.

    `since`: memories from before this time go (microseconds). `least`: those go whose strength has faded below it.
    `most`: above so many, the first in this `order` go, one of `ORDERS`; of equal ones the older.
    """

    since: int | None = None
    least: float | None = None
    most: int | None = None
    order: str = "weakest"


def fitting(disk: int, dim: int, text: float) -> int:
    """How many memories fit into so many bytes of the disk, with all that is made of them; `text` is the mean size of
    their texts, in bytes. Measured: each takes 3.5 times its packed vector, 8 times its text and 400 bytes, where it
    stands in the database, in a segment with its words, and in the long-term index."""
    return int(disk / taking(dim, text))


def taking(dim: int, text: float) -> float:
    """The bytes on the disk that :func:`fitting` counts for a memory."""
    return 400 + 3.5 * ((dim + 7) // 8) + 8 * text


def limits(
    *,
    since: datetime | float | None = None,
    least: float | None = None,
    most: int | None = None,
    disk: int | None = None,
    merge: float | None = None,
    order: str = "weakest",
) -> tuple[Keeping, float | None]:
    """The arguments of `Hippocampus.keep`, checked; ValueError and TypeError for what cannot be."""
    if since is None and least is None and most is None and disk is None and merge is None:
        message = "say what to keep: since when, least, most, disk, or what to merge"
        raise TypeError(message)
    for name, number, what in (("most", most, "memories"), ("disk", disk, "bytes")):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
            message = f"{name} is {number!r}; it is a whole number of {what}"
            raise TypeError(message)
        if number is not None and number < 0:
            message = f"{name} is {number}; it is a number of {what}"
            raise ValueError(message)
    for name, share in (("least", least), ("merge", merge)):
        if share is not None and (isinstance(share, bool) or not isinstance(share, int | float)):
            message = f"{name} is {share!r}; it is a share from 0 to 1"
            raise TypeError(message)
        if share is not None and not 0.0 <= share <= 1.0:
            message = f"{name} is {share}; it is a share from 0 to 1"
            raise ValueError(message)
    if order not in ORDERS:
        message = f"order is {order!r}; use {', '.join(map(repr, ORDERS))}"
        raise ValueError(message)
    return Keeping(when(since, "since"), least, most, order), merge


def let_go(
    index: MemoryIndex, keeping: Keeping, now: int, disk: int | None = None, texts: Mapping[int, int] | None = None
) -> list[int]:
    """The ids of the memories that go; where more than `disk` bytes would stay, by the sizes of their `texts`, the
    first in the order go too."""
    import numpy as np

    places = np.flatnonzero(index.there())
    strengths = index.strengths(places, now)
    gone = np.zeros(len(places), dtype=np.bool_)
    if keeping.since is not None:
        gone |= index.times(places) < keeping.since
    if keeping.least is not None:
        gone |= strengths < keeping.least
    kept = np.flatnonzero(~gone)
    keys = {"weakest": strengths, "oldest": index.times(places), "stored": places}
    kept = kept[np.lexsort((places[kept], keys[keeping.order][kept]))]
    if keeping.most is not None and (over := len(kept) - keeping.most) > 0:
        gone[kept[:over]] = True
        kept = kept[over:]
    if disk is not None and texts is not None:
        sizes = [taking(index.dim, texts.get(id, 0)) for id in index.ids()[places[kept]].tolist()]
        gone[kept[np.cumsum(sizes[::-1])[::-1] > disk]] = True
    found: list[int] = index.ids()[places[gone]].tolist()
    return found


def clusters(index: MemoryIndex, share: float, without: Container[int] = ()) -> Iterator[list[int]]:
    """Positions of memories that say nearly the same: of one scope, context, actor and kind, in vectors of which no
    more than a `share` of the bits differs from the oldest one's. Each is in one of them at most, those `without` in
    none.

    One pass over the vectors of a group for 256 of them.
    """
    limit = int(share * index.dim + 1e-6)  # .29 * 100 is 28.999...
    for places in index.groups():
        if without:
            places = places[[at not in without for at in places.tolist()]]
        taken: set[int] = set()
        rows = index.vectors(places)
        for start in range(0, len(places), _TOGETHER):
            for leader, near in _neighbours(places, rows, slice(start, start + _TOGETHER), limit, index.dim):
                if leader in taken:
                    continue
                found = [leader, *(at for at in near if at > leader and at not in taken)]
                if len(found) > 1:
                    taken.update(found)
                    yield found


def _neighbours(
    places: NDArray[np.int64], rows: NDArray[np.uint8], some: slice, limit: int, dim: int
) -> Iterator[tuple[int, list[int]]]:
    """Each of some positions with those whose rows are within `limit` bits of its own."""
    from sophia._core.search import topk

    distances, numbers = topk(rows[some], rows, min(NEIGHBOURS, len(places)), dim=dim)
    for at, distance, number in zip(places[some].tolist(), distances, numbers, strict=True):
        yield at, sorted(places[number[distance <= limit]].tolist())


def one_of(index: MemoryIndex, places: Sequence[int], now: int) -> MemoryRow:
    """The memory that some become, with the id 0: the vote of their vectors, weighed by strength; the text of the
    strongest; the latest time and the latest answer; all tags; the strengths added up, to 1 at most."""
    import numpy as np

    from sophia._core.hdc import bundle

    where = np.asarray(places)
    strengths = index.strengths(where, now)
    rows = [index.row(at) for at in places]
    weights = [max(1, round(_GRADES * strength)) for strength in strengths.tolist()]
    vote = bundle(index.vectors(where), weights=weights, dim=index.dim)
    latest = max(rows, key=lambda row: (row.ts, row.id))
    answered = [row for row in rows if row.answer is not None]
    strongest = rows[int(np.argmax(strengths))]
    return replace(
        strongest,
        id=0,
        tags=tuple(sorted({tag for row in rows for tag in row.tags})),
        ts=latest.ts,
        valence=float(np.average([row.valence for row in rows], weights=weights)),
        strength=min(1.0, float(strengths.sum())),
        raised=now,
        answer=max(answered, key=lambda row: (row.ts, row.id)).answer if answered else None,
        vector=vote.tobytes(),
    )

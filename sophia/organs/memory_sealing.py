"""Putting memories into segments: which of them, and how many into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sophia.organs.memory_index import MemoryIndex
from sophia.organs.memory_pieces import Mapped, Piece
from sophia.organs.memory_text import MemoryText
from sophia.store.segments import Segment, SegmentEntry, SegmentRows, open_segment, write_segment
from sophia.store.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LEAST", "MOST", "SMALL", "seal"]

LEAST = 1024
"""Fewer memories stay rows of the database: they are read from there in some hundredths of a second."""
MOST = 65_536
"""Memories of one segment: 84 MB of vectors at 10,000 bits."""
SMALL = MOST // 4
"""A segment of fewer is made anew with what comes behind it."""


@dataclass(slots=True)
class _Stretch:
    """Neighbouring pieces that become one segment or more, in the place of those that some of them are."""

    begin: int
    end: int
    gone: list[SegmentEntry]


def seal(
    store: Store,
    index: MemoryIndex,
    texts: MemoryText | None,
    lock: AbstractContextManager[Any],
    *,
    least: int = LEAST,
    upto: int,
) -> bool:
    """Writes segments of the memories that no segment holds, wherever `least` of them are neighbours, and makes the
    index read them from there. Ids over `upto` are left out: they are not in the store yet.

    Whether the index must be loaded anew: where memories were forgotten in between, their places are gone.

    The store is the caller's alone meanwhile. Searches may go on, and rows may be added: `lock` is taken where the
    index is changed. Raises StoreFailed or OSError where there is no room: what was written until then counts.
    StoreCorrupt where a segment is not what it was when it was mapped: nothing is made of it. About .1 s for 10,000
    memories, most of it the disk.
    """
    again = False
    with lock:
        index.cut()
        pieces = index.pieces()
    mapped = [piece.segment.entry for _, piece in pieces if isinstance(piece, Mapped)]
    kept = store.segments()
    if useless := [entry for entry in kept if entry not in mapped]:  # missing or damaged
        store.exchange_segments(useless, [])
        kept = [entry for entry in kept if entry in mapped]
    for stretch in _stretches(pieces, kept):
        places = _places(index, stretch, upto)
        if len(places) < least + sum(entry.count for entry in stretch.gone):
            continue
        for begin, piece in pieces:
            if isinstance(piece, Mapped) and stretch.begin <= begin < stretch.end:
                piece.segment.require_sound()
        made: list[SegmentEntry] = []
        for start in range(0, len(places), MOST):
            part = places[start : start + MOST]
            made.append(write_segment(store.path, _rows(index, texts, part)))
        store.exchange_segments(stretch.gone, made)
        if len(places) < stretch.end - stretch.begin:
            again = True
        else:
            opened = [open_segment(store.path, entry) for entry in made]
            with lock:
                index.exchange(stretch.begin, stretch.end, opened)
    return again


def _stretches(pieces: Sequence[tuple[int, Piece]], kept: Sequence[SegmentEntry]) -> Iterator[_Stretch]:
    """Runs of pieces that are no segment of the store, each with the small segment before it."""
    found: _Stretch | None = None
    before: tuple[int, Segment] | None = None
    for begin, piece in pieces:
        end = begin + len(piece)
        if isinstance(piece, Mapped) and piece.segment.entry in kept:
            if found is not None:
                yield found
            found, before = None, (begin, piece.segment)
        elif found is not None:
            found.end = end
        elif before is not None and len(before[1]) < SMALL:
            found = _Stretch(before[0], end, [before[1].entry])
        else:
            found = _Stretch(begin, end, [])
    if found is not None:
        yield found


def _places(index: MemoryIndex, stretch: _Stretch, upto: int) -> NDArray[np.int64]:
    import numpy as np

    ids = index.ids()[stretch.begin : stretch.end]
    wanted = index.there()[stretch.begin : stretch.end] & (ids <= upto)
    return np.flatnonzero(wanted) + stretch.begin


def _rows(index: MemoryIndex, texts: MemoryText | None, places: NDArray[np.int64]) -> SegmentRows:
    import numpy as np

    rows = [index.row(at) for at in places.tolist()]
    if texts is None:  # nobody here searches by words; others may
        texts, kept = MemoryText(), np.arange(len(places))
        texts.add(rows)
    else:
        kept = places
    return SegmentRows(
        dim=index.dim,
        **index.part(places),
        tags=[row.tags for row in rows],
        texts=[row.text for row in rows],
        answers=[row.answer for row in rows],
        vectors=index.vectors(places),
        words=texts.part(kept),
    )

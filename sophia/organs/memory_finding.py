"""What a long-term index says, and what is found beside it: the texts that have some words, the nearest vectors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sophia.organs.memory_index import MemoryIndex
from sophia.organs.memory_pieces import Mapped, Piece

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Known", "Near", "joined", "matching"]


class Known(NamedTuple):
    """Of all memories up to the id `last`, those are `ids` that have some words: no other has them. None: there are
    very many."""

    last: int
    ids: Sequence[int] | None


class Near(NamedTuple):
    """Of all memories up to the id `last` the nearest to some queries: for each the ids and their distances."""

    last: int
    found: Sequence[tuple[Sequence[int], Sequence[int]]]


def joined(
    index: MemoryIndex, found: Sequence[tuple[list[int], list[int]]], elsewhere: Near, k: int
) -> list[tuple[list[int], list[int]]]:
    """The k nearest of what was found here (positions and distances) and elsewhere; of equal ones the older first."""
    made = []
    for (places, distances), (ids, others) in zip(found, elsewhere.found, strict=True):
        both = list(zip(distances, places, strict=True))
        for id, distance in zip(ids, others, strict=True):
            if (at := index.find(id)) is not None:
                both.append((distance, at))
        best = sorted(both)[:k]
        made.append(([at for _, at in best], [distance for distance, _ in best]))
    return made


def matching(
    index: MemoryIndex,
    pieces: Sequence[tuple[int, Piece]],
    chosen: NDArray[np.bool_],
    words: Sequence[str],
    known: Known | None,
) -> Iterator[int]:
    """The positions of the chosen memories whose texts have all of some words, the latest first.

    Each text that may have them is looked at. In segments those are found by Arrow, in one pass over the bytes of the
    texts for each word.
    """
    import numpy as np

    may = chosen
    if known is not None and known.ids is not None:
        ids = index.ids()[: len(chosen)]
        may = chosen & ((ids > known.last) | np.isin(ids, np.asarray(known.ids, dtype=np.int64)))
    for begin, piece in pieces:
        end = begin + len(piece)
        asked = known is not None and index.ids()[end - 1] <= known.last  # or so many that the latest are soon found
        if isinstance(piece, Mapped) and not asked and may[begin:end].any():
            may[begin:end] &= piece.segment.may_have(words)
    alone = [re.compile(rf"(?<![^\W_]){word}(?![^\W_])") for word in words]
    for at in index.latest(may, int(may.sum())):
        text = index.row(at).text
        if text is None:
            continue
        folded = text.casefold()
        if all(word.search(folded) for word in alone):
            yield at

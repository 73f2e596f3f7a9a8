"""Finding memories by what was said: the score of each text, of what was said around it, and of its session.

What lifts a search of words here was measured on dated conversations: a text is judged with the two before and after it
in its session, with the session as a whole, and with its day and its speaker as part of it; what was said by somebody
whom the question names counts for more. Texts are sparse int8 vectors (:mod:`sophia._core.episode`); words that only
hold a sentence together are left out. How rare a word is, is counted in the scope that is searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from sophia._core.episode import EpisodeEncoder
from sophia.organs.recall import moment
from sophia.store.memory_row import MemoryRow
from sophia.store.words import words_in

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["STOP", "MemoryText", "rank", "words_of"]

_STOP = """
a an the this that these those some any each every either neither both such
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
herself it its itself they them their theirs themselves
who whom whose which what when where why how
am is are was were be been being do does did doing done have has had having
will would shall should can could might must
and or but nor if then else than because so as while until though although unless since
of to in on at by for from with without into onto out off up down over under about after before between
through during against above below again
not no yes there here very too also just only own same more most other
s t d ll m re ve don didn doesn isn wasn aren weren haven hasn hadn won wouldn couldn shouldn
"""
STOP = frozenset(_STOP.split())
"""Function words of English. May is none: it is a month."""

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_NEAR = ((1, 0.4), (2, 0.15))  # of the next text in the session, and of the one after that
_SESSION = 0.5  # of the session's score
_NAMED = 1.2  # what a text counts whose actor the question names
_STRENGTH = 0.05  # of what a text is worth hangs on its strength
_OWN = 1e-6  # of a text's own score, which settles ties


class MemoryText:
    """The texts of an index's rows, by the same positions. Not thread-safe by itself; what `vectors` gives stays as it
    is when rows come. About 900 bytes a sentence of 20 words."""

    def __init__(self) -> None:
        import numpy as np

        self._size = 0  # rows
        self._terms = 0
        self._starts = np.zeros(257, dtype=np.int64)
        self._places = np.zeros(1 << 14, dtype=np.uint32)
        self._weights = np.zeros(1 << 14, dtype=np.int8)

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors."""
        return sum(array.nbytes for array in (self._starts, self._places, self._weights))

    def add(self, rows: Sequence[MemoryRow]) -> None:
        """Takes the rows that the index takes; those without a text get an empty vector."""
        self.append(*_encoder().rows([_said(row) for row in rows]))

    def append(self, starts: NDArray[Any], places: NDArray[Any], weights: NDArray[Any]) -> None:
        """Takes vectors that were made before, as `vectors` gives them."""
        import numpy as np

        size, terms = self._size + len(starts) - 1, self._terms + len(places)
        self._starts = _room(self._starts, size + 1, np)
        self._places, self._weights = _room(self._places, terms, np), _room(self._weights, terms, np)
        self._starts[self._size + 1 : size + 1] = starts[1:] + self._terms
        self._places[self._terms : terms], self._weights[self._terms : terms] = places, weights
        self._size, self._terms = size, terms

    def part(self, places: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The vectors at some positions, as `vectors` gives them."""
        import numpy as np

        sizes = self._starts[places + 1] - self._starts[places]
        starts = np.zeros(len(places) + 1, dtype=np.int64)
        np.cumsum(sizes, out=starts[1:])
        terms = np.repeat(self._starts[places] - starts[:-1], sizes) + np.arange(starts[-1])
        return starts, self._places[terms], self._weights[terms]

    def vectors(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Starts, places and weights of all rows, as :meth:`sophia._core.episode.EpisodeEncoder.scores` takes them."""
        return self._starts[: self._size + 1], self._places[: self._terms], self._weights[: self._terms]


@cache
def _encoder() -> EpisodeEncoder:
    return EpisodeEncoder(stop=sorted(STOP))


def rank(
    question: str,
    vectors: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    rows: NDArray[np.int64],
    sessions: NDArray[np.int64],
    named: NDArray[np.bool_],
    strengths: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What each of some rows is worth beside the best of them, at most 1: 0 where nothing of it, around it or in its
    session fits.

    `rows` are positions, in the order of session and time; `sessions` says which session each is of, -1 for none;
    `named` which are of an actor whom the question names.
    """
    import numpy as np

    if not len(rows):
        return np.zeros(0)
    own, whole = (each.astype(np.float64) for each in _encoder().scores(question, *vectors, rows, sessions))
    around = own.copy()
    for step, share in _NEAR:
        same = (sessions[step:] == sessions[:-step]) & (sessions[step:] >= 0)
        around[step:] += np.where(same, share * own[:-step], 0.0)
        around[:-step] += np.where(same, share * own[step:], 0.0)
    worth = (_scaled(around) + _SESSION * _scaled(whole)) * np.where(named, _NAMED, 1.0) + _OWN * _scaled(own)
    faded: NDArray[np.float64] = worth * (1.0 - _STRENGTH + _STRENGTH * strengths)
    return faded / ((1.0 + _SESSION) * _NAMED + _OWN)


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """To 1 at the best; nothing found stays 0."""
    import numpy as np

    best = values.max(initial=0.0)
    return np.maximum(values, 0.0) / best if best > 0.0 else np.zeros_like(values)


def words_of(text: str) -> set[str]:
    """The words of a name or a question by which one may name the other."""
    return set(words_in(text)) - STOP


def _said(row: MemoryRow) -> str:
    """What of a row is searched: its day, its actor and its text."""
    if row.text is None:
        return ""
    when = moment(row.ts)
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year} {row.actor}: {row.text}"


def _room(array: NDArray[Any], size: int, np: Any) -> NDArray[Any]:
    """The array, or a larger one that begins with it: views of the old one stay as they are."""
    if size <= len(array):
        return array
    grown: NDArray[Any] = np.zeros(max(size, 2 * len(array)), dtype=array.dtype)
    grown[: len(array)] = array
    return grown

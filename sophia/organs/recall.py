"""What a recall gives back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, overload

from sophia.organs.memory_pieces import Alone, Piece
from sophia.store.memory_row import MemoryRow

if TYPE_CHECKING:
    import numpy as np
    import pandas
    import pyarrow
    from numpy.typing import NDArray

__all__ = ["FIELDS", "HALF_LIFE", "Memory", "Recall", "moment"]

HALF_LIFE = 30 * 86_400 * 1_000_000
"""Microseconds in which a strength halves."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(microseconds: int) -> datetime:
    """A time of the store as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


FIELDS = (
    "id", "text", "answer", "scope", "context", "actor", "kind", "tags", "ts", "valence", "strength", "score",
    "distance",
)  # fmt: skip
"""What a memory says of itself, beside its vector."""


class Memory:
    """One memory as it was found. Immutable.

    `score` says how well it fits what was asked. For a vector it is 1 - 2 * distance / dim, where `distance` is the
    number of bits in which they differ. For a text it is its worth in this search, over 0 and at most 1, beside the
    best of its scope: no measure from one question to the next. Both are None of a memory that was got by its id or its
    time. Reads what it says when it is asked.
    """

    __slots__ = ("_at", "_now", "_raised", "_row", "_strength", "_where", "distance", "score")

    def __init__(
        self,
        where: Piece | Alone,
        at: int,
        strength: float,
        raised: int,
        now: float,
        score: float | None,
        distance: int | None,
    ) -> None:
        """`now`: seconds since the epoch."""
        self._where = where
        self._at = at
        self._strength, self._raised, self._now = strength, raised, now
        self._row: MemoryRow | None = None
        self.score = score
        self.distance = distance

    def _said(self) -> MemoryRow:
        """Its row, which is read when somebody asks."""
        if self._row is None:
            self._row = self._where.row(self._at)
        return self._row

    @property
    def id(self) -> int:
        """Its number in the store: rising, never given twice."""
        return self._where.id(self._at)

    @property
    def vector(self) -> NDArray[np.uint8]:
        """The packed vector, uint8[ceil(dim / 8)]: a read-only view, no copy, valid for as long as it is held."""
        view: NDArray[np.uint8] = self._where.packed[self._at]
        return view

    @property
    def strength(self) -> float:
        """0 to 1, at the moment when it was found: it halves in 30 days."""
        return self._strength * math.pow(0.5, max(0.0, self._now * 1e6 - self._raised) / HALF_LIFE)

    @property
    def text(self) -> str | None:
        """The text, or None where a vector was remembered."""
        return self._said().text

    @property
    def answer(self) -> str | None:
        """The answer that came with it, if any."""
        return self._said().answer

    @property
    def scope(self) -> str:
        """Whose it is."""
        return self._said().scope

    @property
    def context(self) -> str:
        """The session that it belongs to."""
        return self._said().context

    @property
    def actor(self) -> str:
        """Who said it."""
        return self._said().actor

    @property
    def kind(self) -> str:
        """What kind of memory it is."""
        return self._said().kind

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags, sorted."""
        return self._said().tags

    @property
    def ts(self) -> datetime:
        """When it happened, UTC."""
        return moment(self._said().ts)

    @property
    def valence(self) -> float:
        """-1 to 1."""
        return self._said().valence

    def __reduce__(self) -> tuple[Any, ...]:
        given = self._strength, self._raised, self._now, self.score, self.distance
        return _by_itself, (self._said(), *given)

    def __repr__(self) -> str:
        said = "a vector" if self.text is None else repr(self.text if len(self.text) <= 60 else self.text[:57] + "...")
        return f"<Memory {self.id}: {said}>"

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the vector; keys may be added and are never renamed."""
        said = {name: getattr(self, name) for name in FIELDS}
        return said | {"ts": self.ts.isoformat().replace("+00:00", "Z"), "tags": list(self.tags)}


def _by_itself(row: MemoryRow, *said: Any) -> Memory:
    """A memory that was pickled or copied: without the others of its piece."""
    return Memory(Alone(row), 0, *said)


class Recall(Sequence[Memory]):
    """The memories that were found, the best first. Immutable."""

    def __init__(self, found: Sequence[Memory]) -> None:
        self._found = tuple(found)

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, at: int) -> Memory: ...
    @overload
    def __getitem__(self, at: slice) -> Recall: ...
    def __getitem__(self, at: int | slice) -> Memory | Recall:
        return Recall(self._found[at]) if isinstance(at, slice) else self._found[at]

    def __iter__(self) -> Iterator[Memory]:
        return iter(self._found)

    def __repr__(self) -> str:
        return f"<Recall of {len(self)}>"

    @property
    def ids(self) -> list[int]:
        """The ids, in the order found."""
        return [memory.id for memory in self._found]

    def to_arrow(self) -> pyarrow.Table:
        """A table with a row for each memory, `vector` as FixedSizeList<uint8>. Needs pyarrow (the extra `brain`)."""
        import numpy as np
        import pyarrow as pa

        types = {
            "id": pa.int64(), "text": pa.string(), "answer": pa.string(), "scope": pa.string(),
            "context": pa.string(), "actor": pa.string(), "kind": pa.string(), "tags": pa.list_(pa.string()),
            "ts": pa.timestamp("us", "UTC"), "valence": pa.float64(), "strength": pa.float64(),
            "score": pa.float64(), "distance": pa.int64(),
        }  # fmt: skip
        columns = {name: pa.array([getattr(m, name) for m in self._found], types[name]) for name in FIELDS}
        width = len(self._found[0].vector) if self._found else 0
        flat = np.concatenate([m.vector for m in self._found]) if self._found else np.zeros(0, dtype=np.uint8)
        if width:
            columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(flat), width)
        return pa.table(columns)

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with a row for each memory, without the vectors. Needs pandas."""
        import pandas as pd

        return pd.DataFrame({name: [getattr(m, name) for m in self._found] for name in FIELDS})

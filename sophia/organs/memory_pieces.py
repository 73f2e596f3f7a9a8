"""The vectors and contents of an index's rows, in pieces: blocks that grow in memory, and segments that are mapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sophia.store.memory_row import MemoryRow
from sophia.store.segments import Segment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Alone", "Block", "Mapped", "Piece", "stride_of"]

_FIRST = 256  # rows that a block has room for at first


def stride_of(dim: int) -> int:
    """Bytes of a row: rows start at multiples of 64 bytes, as the kernels want them."""
    return (dim + 511) // 512 * 64


class Block:
    """Rows in memory, with rising ids, more of which may come. A row costs 1,280 bytes at 10,000 bits, besides itself.

    What the methods return stays as it is when rows come.
    """

    sketches = None
    sound = True

    def __init__(self, dim: int) -> None:
        """Of vectors of `dim` bits."""
        import numpy as np

        self._bytes = (dim + 7) // 8
        self._rows: list[MemoryRow] = []
        self._matrix = np.zeros((_FIRST, stride_of(dim)), dtype=np.uint8)
        self._places: dict[int, int] = {}
        self.packed = _read_only(self._matrix)[:, : self._bytes]
        self.find = self._places.get
        """The position of a row, or None."""

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors."""
        return int(self._matrix.nbytes)

    def add(self, rows: Sequence[MemoryRow]) -> None:
        """Takes rows behind those that are there."""
        import numpy as np

        start, end = len(self._rows), len(self._rows) + len(rows)
        if end > len(self._matrix):
            grown = np.zeros((max(end, 2 * len(self._matrix)), self._matrix.shape[1]), dtype=np.uint8)
            grown[:start] = self._matrix[:start]
            self._matrix = grown
            self.packed = _read_only(grown)[:, : self._bytes]
        packed = np.frombuffer(b"".join([row.vector for row in rows]), dtype=np.uint8)
        self._matrix[start:end, : self._bytes] = packed.reshape(len(rows), self._bytes)
        for at, row in enumerate(rows, start):
            self._places[row.id] = at
        self._rows += rows

    def row(self, at: int) -> MemoryRow:
        """One row, with the strength that it came with."""
        return self._rows[at]

    def id(self, at: int) -> int:
        """The id of one row."""
        return self._rows[at].id

    @property
    def vectors(self) -> NDArray[np.uint8]:
        """[n, stride], read-only."""
        return _read_only(self._matrix[: len(self._rows)])


class Mapped:
    """The rows of a segment."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.vectors, self.sketches = segment.vectors, segment.sketches
        self.packed = segment.vectors[:, : (segment.entry.dim + 7) // 8]
        self.find, self.row, self.id = segment.find, segment.row, segment.id

    def __len__(self) -> int:
        return len(self.segment)

    @property
    def sound(self) -> bool:
        """Whether its files are still what was written; reads them."""
        return self.segment.sound

    @property
    def nbytes(self) -> int:
        """Of its own: none, since the system may take mapped pages back at any time."""
        return 0

    def tagged(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The positions of rows with tags, and these."""
        return self.segment.tagged()


class Alone:
    """One row by itself, as it was handed to another process."""

    def __init__(self, row: MemoryRow) -> None:
        import numpy as np

        self._row = row
        self.packed = np.frombuffer(row.vector, dtype=np.uint8).reshape(1, -1)

    def row(self, at: int) -> MemoryRow:  # noqa: ARG002
        """It."""
        return self._row

    def id(self, at: int) -> int:  # noqa: ARG002
        """Its id."""
        return self._row.id


Piece = Block | Mapped


def _read_only(matrix: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import numpy as np

    # Over a memoryview that is read-only, so that nobody makes it writable again.
    return np.asarray(memoryview(matrix).toreadonly())  # type: ignore[arg-type]

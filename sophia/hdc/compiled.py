"""BSC and MAP: packed bits and signs, on the compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sophia._core import hdc
from sophia._core.record import RecordEncoder
from sophia._core.rows import shape_of
from sophia._core.sequence import NgramEncoder, SequenceEncoder
from sophia._core.vector import Hypervector, SharedVector, Vector
from sophia.errors import ShapeError
from sophia.hdc.algebra import Algebra

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from sophia._core.arena import HDCArena

__all__ = ["Compiled"]


class Compiled(Algebra):
    """Binary spatter codes ("bsc": Kanerva 1996) or multiply-add-permute ("map": Gayler 1998).

    Vectors are Hypervectors. A matrix is uint8[n, padded bytes] of packed bits, or int8[n, dim]. Costs and ties are
    those of :mod:`sophia._core.hdc`.
    """

    def __init__(self, model: str, dim: int) -> None:
        super().__init__(dim)
        self.model = model
        self._core = model.upper()

    def random(self, name: str | int, index: int = 0, arena: HDCArena | None = None) -> Hypervector:
        return hdc.random(name, index, dim=self.dim, model=self._core, arena=arena)

    def rows(self, n: int, name: str | int) -> NDArray[Any]:
        made: NDArray[Any] = hdc.random_rows(n, name, dim=self.dim, model=self._core)
        return made

    def identity(self) -> Hypervector:
        return hdc.identity(dim=self.dim, model=self._core)

    def bind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        return hdc.bind(self._own(a, "a"), self._own(b, "b"), out, arena, dim=self.dim)

    def inverse(self, a: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        """A copy: both models are self-inverse."""
        if isinstance(self._own(a, "a"), Vector):
            return hdc.inverse(a, out, arena)
        import numpy

        source = numpy.asarray(a)
        if out is None:
            return source.copy()
        numpy.copyto(out, source, casting="no")
        return out

    def unbind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        return self.bind(a, b, out, arena)

    def bundle(
        self, vectors: Any, weights: ArrayLike | None = None, out: Any = None, arena: HDCArena | None = None
    ) -> Hypervector:
        """The majority; weights are whole numbers."""
        if isinstance(vectors, list | tuple):
            for place, one in enumerate(vectors):
                self._own(one, f"vectors: element {place}")
            vectors = list(vectors)
        return hdc.bundle(self._own(vectors, "vectors"), weights=weights, out=out, arena=arena, dim=self.dim)

    def permute(self, a: Any, shifts: int = 1, out: Any = None, arena: HDCArena | None = None) -> Any:
        return hdc.permute(self._own(a, "a"), shifts, out, arena, dim=self.dim)

    def product(self, rows: NDArray[Any]) -> Hypervector:
        import numpy

        shape_of(self._own(rows, "vectors"), self.dim)
        if self.model == "map":
            return Hypervector.from_buffer(numpy.multiply.reduce(rows, axis=0, dtype=numpy.int8))
        bits = numpy.bitwise_xor.reduce(rows.view(numpy.uint64), axis=0)
        return Hypervector.from_buffer(bits, self.dim)

    def records(self, ids: Any, levels: Any, index: NDArray[Any], weights: Any, out: Any, workers: int) -> Any:
        encoder = RecordEncoder(self._own(ids, "ids"), self._own(levels, "levels"), weights=weights, dim=self.dim)
        return encoder.encode_many(index, out, workers=workers)

    def ngrams(self, items: Any, sequences: Any, n: int, out: Any, workers: int) -> Any:
        encoder = NgramEncoder(n, self.dim, items=self._own(items, "items"))
        return encoder.encode_many(sequences, out, workers=workers)

    def sequences(self, items: Any, sequences: Any, out: Any, workers: int) -> Any:
        encoder = SequenceEncoder(self._own(items, "items"), dim=self.dim)
        return encoder.encode_many(sequences, out, workers=workers)

    def similarity(self, a: Any, b: Any) -> Any:
        return hdc.similarity(self._own(a, "a"), self._own(b, "b"), dim=self.dim)

    def normalize(self, a: Any) -> Any:
        """A copy: every vector of these models is normal."""
        return self.inverse(a)

    def array(self, a: Any) -> NDArray[Any]:
        import numpy

        rows = numpy.asarray(a)
        if self.model == "map":
            return rows.astype(numpy.int8)
        bits = numpy.unpackbits(rows.view(numpy.uint8), axis=-1, bitorder="little")[..., : self.dim]
        return (1 - 2 * bits.astype(numpy.int8)).astype(numpy.int8)

    def from_array(self, components: NDArray[Any]) -> Any:
        import numpy

        signs = numpy.asarray(components)
        if signs.shape[-1:] != (self.dim,) or not ((signs == 1) | (signs == -1)).all():
            message = f"components: shape {signs.shape}, or values other than +1 and -1; they are {self.dim} signs"
            raise ShapeError(message)
        if self.model == "map":
            rows = numpy.ascontiguousarray(signs, numpy.int8)
        else:
            packed = numpy.packbits(signs < 0, axis=-1, bitorder="little")
            width = self.identity().nbytes
            rows = numpy.zeros((*signs.shape[:-1], width), numpy.uint8)
            rows[..., : packed.shape[-1]] = packed
        return rows if rows.ndim == 2 else Hypervector.from_buffer(rows, None if self.model == "map" else self.dim)

    def _own(self, a: Any, name: str) -> Any:
        """The operand, if it is of this space."""
        if isinstance(a, Hypervector | SharedVector):
            if a.model != self._core or a.dim != self.dim:
                message = f"{name} is {a.model} dim={a.dim}; this space is {self._core} dim={self.dim}"
                raise ShapeError(message)
        elif hasattr(a, "dtype") and hasattr(a, "shape"):
            kind, columns = str(a.dtype), a.shape[-1] if a.shape else 0
            if self.model == "map" and (kind != "int8" or columns != self.dim):
                message = f"{name}: {kind}{list(a.shape)}; rows of this space are int8[{self.dim}]"
                raise ShapeError(message)
            if self.model == "bsc" and kind not in ("uint8", "uint64"):
                message = f"{name}: {kind}{list(a.shape)}; rows of this space are packed bits, uint8 or uint64"
                raise ShapeError(message)
        return a

"""BSC and MAP: packed bits and signs, on the compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sophia._core import hdc
from sophia._core.record import RecordEncoder
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
        self._columns = (dim + 511) // 512 * 64  # bytes of a packed row

    def random(self, name: str | int, index: int = 0, arena: HDCArena | None = None) -> Hypervector:
        return hdc.random(name, index, dim=self.dim, model=self._core, arena=arena)

    def rows(self, n: int, name: str | int) -> NDArray[Any]:
        made: NDArray[Any] = hdc.random_rows(n, name, dim=self.dim, model=self._core)
        return made

    def identity(self) -> Hypervector:
        return hdc.identity(dim=self.dim, model=self._core)

    def bind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        return hdc.bind(self.checked(a, "a"), self.checked(b, "b"), out, arena, dim=self.dim)

    def inverse(self, a: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        """A copy: both models are self-inverse."""
        return self.copied(a, out, arena)

    def copied(self, a: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        source = self.checked(a, "a")
        if isinstance(source, Vector):
            return hdc.inverse(source, out, arena)
        return hdc.bind(source, self.identity(), out, arena, dim=self.dim)  # checks components and the place

    def unbind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        return self.bind(a, b, out, arena)

    def bundle(
        self, vectors: Any, weights: ArrayLike | None = None, out: Any = None, arena: HDCArena | None = None
    ) -> Hypervector:
        """The majority; weights are whole numbers."""
        if isinstance(vectors, list | tuple):
            vectors = [self.checked(one, f"vectors: element {place}", 1) for place, one in enumerate(vectors)]
        else:
            vectors = self.checked(vectors, "vectors", 2)
        return hdc.bundle(vectors, weights=weights, out=out, arena=arena, dim=self.dim)

    def permute(self, a: Any, shifts: int = 1, out: Any = None, arena: HDCArena | None = None) -> Any:
        source = self.checked(a, "a")
        if isinstance(source, Vector) or not _share(source, out):
            return hdc.permute(source, shifts, out, arena, dim=self.dim)
        return self.copied(hdc.permute(source, shifts, dim=self.dim), out)

    def product(self, rows: NDArray[Any]) -> Hypervector:
        import numpy

        found = self.array(self.checked(rows, "vectors", 2)) if self.model == "map" else self.copied(rows)
        if self.model == "map":
            return Hypervector.from_buffer(numpy.multiply.reduce(found, axis=0, dtype=numpy.int8))
        return Hypervector.from_buffer(numpy.bitwise_xor.reduce(found.view(numpy.uint64), axis=0), self.dim)

    def records(self, ids: Any, levels: Any, index: NDArray[Any], weights: Any, out: Any, workers: int) -> Any:
        encoder = RecordEncoder(
            self.checked(ids, "ids", 2), self.checked(levels, "levels", 2), weights=weights, dim=self.dim
        )
        return encoder.encode_many(index, out, workers=workers)

    def ngrams(self, items: Any, sequences: Any, n: int, out: Any, workers: int) -> Any:
        encoder = NgramEncoder(n, self.dim, items=self.checked(items, "items", 2))
        return encoder.encode_many(sequences, out, workers=workers)

    def sequences(self, items: Any, sequences: Any, out: Any, workers: int) -> Any:
        encoder = SequenceEncoder(self.checked(items, "items", 2), dim=self.dim)
        return encoder.encode_many(sequences, out, workers=workers)

    def similarity(self, a: Any, b: Any) -> Any:
        return hdc.similarity(self.checked(a, "a"), self.checked(b, "b"), dim=self.dim)

    def normalize(self, a: Any) -> Any:
        """A copy: every vector of these models is normal."""
        return self.copied(a)

    def array(self, a: Any) -> NDArray[Any]:
        import numpy

        rows = numpy.asarray(self.copied(a) if not isinstance(a, Vector) else self.checked(a, "a"))
        if self.model == "map":
            return rows.astype(numpy.int8)
        bits = numpy.unpackbits(rows.view(numpy.uint8), axis=-1, bitorder="little")[..., : self.dim]
        return (1 - 2 * bits.astype(numpy.int8)).astype(numpy.int8)

    def from_array(self, components: NDArray[Any]) -> Any:
        import numpy

        signs = numpy.asarray(components)
        if signs.shape[-1:] != (self.dim,) or signs.ndim > 2 or not ((signs == 1) | (signs == -1)).all():
            message = f"components: shape {signs.shape}, or values other than +1 and -1; they are {self.dim} signs"
            raise ShapeError(message)
        if self.model == "map":
            rows = numpy.ascontiguousarray(signs, numpy.int8)
        else:
            packed = numpy.packbits(signs < 0, axis=-1, bitorder="little")
            rows = numpy.zeros((*signs.shape[:-1], self._columns), numpy.uint8)
            rows[..., : packed.shape[-1]] = packed
        return rows if rows.ndim == 2 else self.checked(rows, "components", 1)

    def checked(self, a: Any, name: str, ndim: int = 0) -> Any:
        """A row of a matrix becomes a Hypervector. Components are looked at by what uses them."""
        if isinstance(a, Hypervector | SharedVector):
            if a.model != self._core or a.dim != self.dim:
                message = f"{name} is {a.model} dim={a.dim}; this space is {self._core} dim={self.dim}"
                raise ShapeError(message)
            if ndim == 2:
                message = f"{name}: one vector; give a matrix, or several"
                raise ShapeError(message)
            return a
        kind, shape = getattr(a, "dtype", None), getattr(a, "shape", None)
        if kind is None or shape is None:
            message = f"{name}: a {type(a).__name__}; {self._core} takes a Hypervector, a matrix or a row of one"
            raise TypeError(message)
        columns = {"uint8": self._columns, "uint64": self._columns // 8} if self.model == "bsc" else {"int8": self.dim}
        if columns.get(str(kind)) != (shape[-1] if shape else 0) or len(shape) > 2 or (ndim and len(shape) != ndim):
            wants = " or ".join(f"{dtype}[{width}]" for dtype, width in columns.items())
            message = f"{name}: {kind}{list(shape)}; a row of this space is {wants}, a matrix has n of them"
            raise ShapeError(message)
        if len(shape) == 2:
            return a
        import numpy

        return Hypervector.from_buffer(numpy.ascontiguousarray(a), self.dim if self.model == "bsc" else None)


def _share(a: Any, b: Any) -> bool:
    """Whether two arrays may have memory in common."""
    import numpy

    return isinstance(b, numpy.ndarray) and numpy.may_share_memory(a, b)

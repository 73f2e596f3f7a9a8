"""Bundles that are still counting, of real and complex vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from sophia.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sophia.hdc.algebra import Algebra

__all__ = ["SumAccumulator"]


class SumAccumulator:
    """The running sum of HRR or FHRR vectors, in double precision: what `Accumulator` is for bits and signs.

    A vector that is added and taken out again leaves the sum as it was up to rounding (1e-16 of the largest sum). Not
    for two threads at once. Holds 8 or 16 bytes a component.
    """

    def __init__(self, algebra: Algebra) -> None:
        self._algebra = algebra
        self._sums = self._zeros()
        self._total = 0.0

    @property
    def dim(self) -> int:
        return self._algebra.dim

    @property
    def model(self) -> str:
        """ "hrr" or "fhrr"."""
        return self._algebra.model

    @property
    def total(self) -> float:
        """The sum of the absolute weights so far."""
        return self._total

    @property
    def sums(self) -> NDArray[Any]:
        """A copy of the sums: float64[dim] or complex128[dim]."""
        return self._sums.copy()

    def add(self, vectors: Any, weight: float = 1.0) -> None:
        """Adds `weight` times one vector, or each of a list or matrix of them. ShapeError for what is not of this
        space, ValueError for a weight that is not finite; nothing is added then."""
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not numpy.isfinite(weight):
            message = f"weight is {weight!r}; it is a finite number"
            raise ValueError(message)
        rows = vectors if isinstance(vectors, list | tuple) else [vectors]
        found = [numpy.atleast_2d(self._algebra.array(row)) for row in rows]
        added = self._zeros()
        for one in found:
            added += one.sum(axis=0, dtype=added.dtype)
        if not numpy.isfinite(added).all():
            message = f"vectors: component {int(numpy.argmin(numpy.isfinite(added)))} of their sum is not finite"
            raise ValueError(message)
        self._sums += weight * added
        self._total += abs(weight) * sum(len(one) for one in found)

    def subtract(self, vectors: Any, weight: float = 1.0) -> None:
        """Takes vectors out again: `add` with the opposite weight."""
        self.add(vectors, -weight)

    def merge(self, other: SumAccumulator) -> None:
        """Adds what another accumulator counted."""
        if (other.model, other.dim) != (self.model, self.dim):
            message = f"other is {other.model} dim={other.dim}, this one {self.model} dim={self.dim}"
            raise ShapeError(message)
        self._sums += other._sums
        self._total += other._total

    def clear(self) -> None:
        """Back to nothing counted."""
        self._sums = self._zeros()
        self._total = 0.0

    def bundle(self) -> NDArray[Any]:
        """The plain sum, as a vector of the space. ValueError while nothing is counted."""
        if not self._total:
            message = "bundle: of no vectors is not defined; add() at least one"
            raise ValueError(message)
        return self._algebra.from_array(self._sums)  # type: ignore[no-any-return]

    def threshold(self) -> NDArray[Any]:
        """The normal vector that the sum is most like: of norm 1 (HRR), or of magnitude 1 in each component (FHRR).
        ValueError while nothing is counted."""
        return self._algebra.normalize(self.bundle())  # type: ignore[no-any-return]

    def similarity(self, other: Any) -> float:
        """Cosine of the sums with a vector, or with other sums; 0.0 for zero sums."""
        theirs = other._sums if isinstance(other, SumAccumulator) else self._algebra.array(other)
        product = float(numpy.vdot(theirs, self._sums).real)
        norm = float(numpy.linalg.norm(theirs) * numpy.linalg.norm(self._sums))
        return max(-1.0, min(1.0, product / norm)) if norm > 0 else 0.0

    def __repr__(self) -> str:
        return f"<SumAccumulator {self.model} dim={self.dim} total={self.total:g}>"

    def _zeros(self) -> NDArray[Any]:
        return numpy.zeros(self._algebra.dim, numpy.complex128 if self._algebra.model == "fhrr" else numpy.float64)

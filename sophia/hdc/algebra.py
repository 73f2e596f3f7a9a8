"""What the four models of hypervectors have in common: the operations, by the words of the field."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from sophia._core import hdc
from sophia.errors import ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from sophia._core.arena import HDCArena

__all__ = ["Algebra", "random_words", "whole"]

_FALSE_ALARMS = 1e-3


class Algebra(ABC):
    """The operations of one model at one dimension. Immutable; safe from any thread.

    A *vector* is what `random` gives; a *matrix* holds one vector a row. Operations of two operands take two vectors, a
    vector and a matrix (of which each row is taken), or two matrices of as many rows. Nothing changes an input.
    """

    model: str
    """Its name: "bsc", "map", "hrr" or "fhrr"."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    @property
    def spread(self) -> float:
        """The standard deviation of the similarity of two unrelated vectors, or of one and a bundle of others."""
        return 1.0 / math.sqrt(self.dim)

    def chance(self, candidates: int) -> float:
        """What the best of so many unrelated vectors reaches by chance once in a thousand times: from this similarity
        on, something is found. sqrt(2 log(candidates / 0.001)) standard deviations: the bound of the normal law's
        tail."""
        tail = math.log(max(1, candidates)) - math.log(_FALSE_ALARMS)  # candidates may be beyond floats
        return min(1.0, self.spread * math.sqrt(2 * tail))

    @abstractmethod
    def random(self, name: str | int, index: int = 0, arena: HDCArena | None = None) -> Any:
        """The random vector of a name, and of an index within it: the same on every machine, for ever."""

    @abstractmethod
    def rows(self, n: int, name: str | int) -> NDArray[Any]:
        """A matrix whose row i is `random(name, i)`."""

    @abstractmethod
    def identity(self) -> Any:
        """What `bind` leaves unchanged."""

    @abstractmethod
    def bind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        """The product: unlike both of its factors, and similar where both are."""

    @abstractmethod
    def inverse(self, a: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        """What undoes a binding with `a`, exactly. ValueError where there is none."""

    @abstractmethod
    def bundle(
        self, vectors: Any, weights: ArrayLike | None = None, out: Any = None, arena: HDCArena | None = None
    ) -> Any:
        """The sum, as far as the model keeps it: similar to each of many. ValueError for none."""

    @abstractmethod
    def permute(self, a: Any, shifts: int = 1, out: Any = None, arena: HDCArena | None = None) -> Any:
        """Component i goes to place (i + shifts) mod dim."""

    def rotate(self, a: Any, shifts: int = 1) -> Any:
        """A permutation that `bind` does not see through: bind(rotate(a), b) is not rotate(bind(a, b)) of another
        order. `permute`, where that is one."""
        return self.permute(a, shifts)

    @abstractmethod
    def checked(self, a: Any, name: str, ndim: int = 0) -> Any:
        """The operand `a`, a vector or a matrix (`ndim` 1 or 2: that only), if it is of this space. ShapeError for one
        of another, TypeError for what is none."""

    @abstractmethod
    def copied(self, a: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        """The same vector or matrix in a place of its own."""

    @abstractmethod
    def similarity(self, a: Any, b: Any) -> Any:
        """Cosine in [-1, 1]: a float for two vectors, float64[n] for a vector and a matrix, float64[n, m] for two
        matrices. 0.0 where a norm is zero, never NaN."""

    @abstractmethod
    def normalize(self, a: Any) -> Any:
        """What is most like `a` among the vectors that `random` could give."""

    @abstractmethod
    def array(self, a: Any) -> NDArray[Any]:
        """The components of a vector, or of each row of a matrix, as numbers: +1 and -1 (int8) of bits."""

    @abstractmethod
    def from_array(self, components: NDArray[Any]) -> Any:
        """The vector, or matrix, with these components."""

    @abstractmethod
    def product(self, rows: NDArray[Any]) -> Any:
        """All rows of a matrix, at least one, bound into one vector."""

    @abstractmethod
    def records(self, ids: Any, levels: Any, index: NDArray[Any], weights: Any, out: Any, workers: int) -> Any:
        """A row for each row of `index`: the bundle of each feature's vector bound to that of its level."""

    @abstractmethod
    def ngrams(self, items: Any, sequences: Any, n: int, out: Any, workers: int) -> Any:
        """A row for each sequence: the bundle of its n-grams."""

    @abstractmethod
    def sequences(self, items: Any, sequences: Any, out: Any, workers: int) -> Any:
        """A row for each sequence: the bundle of its items, each permuted by its distance from the end."""

    def unbind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> Any:
        """What was bound with `b` to give `a`: ``bind(a, inverse(b))``."""
        return self.bind(a, self.inverse(b), out, arena)


def random_words(name: str | int, index: int, count: int) -> NDArray[np.uint64]:
    """So many random words of a name and an index, the same on every machine."""
    return hdc.random_words(name, index, count)


def check_weights(weights: ArrayLike, count: int, dtype: DTypeLike) -> NDArray[Any]:
    """Weights as an array, one for each of `count` vectors. ShapeError for another number, ValueError for NaN."""
    import numpy

    found = numpy.asarray(weights, dtype)
    if found.shape != (count,):
        message = f"weights: an array of shape {found.shape} for {count} vectors; give one each"
        raise ShapeError(message)
    if not numpy.isfinite(found).all():
        message = f"weights: number {int(numpy.argmin(numpy.isfinite(found)))} is not finite"
        raise ValueError(message)
    return found


def whole(number: Any, name: str) -> int:
    """The number. TypeError, as in the core, for what is no whole one."""
    try:
        return operator.index(number)
    except TypeError:
        message = f"{name}: a {type(number).__name__} ({number!r:.80}) is no whole number"
        raise TypeError(message) from None

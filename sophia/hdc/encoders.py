"""Values as hypervectors: on a scale, in a circle, by random projection, by fractional powers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from sophia.errors import ShapeError
from sophia.hdc.algebra import random_words
from sophia.hdc.space import Space

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Circular", "FractionalPower", "Level", "Projection", "Sinusoid", "Thermometer"]

_MOST = 1 << 24


class _Scale:
    """What encoders of numbers have in common: n vectors for the values from low to high. Immutable, thread-safe."""

    def __init__(self, space: Space, vectors: NDArray[Any], low: float, high: float) -> None:
        if not (numpy.isfinite(low) and numpy.isfinite(high) and low < high):
            message = f"low is {low!r}, high is {high!r}; they must be finite, and high the larger"
            raise ValueError(message)
        self.space = space
        self.vectors = vectors
        """The matrix, a row for each step."""
        self.low, self.high = float(low), float(high)

    def index(self, values: ArrayLike) -> NDArray[Any]:
        """The row of each value; what is out of range has that of the nearer end. ValueError for NaN, with its
        place."""
        found = numpy.asarray(values, numpy.float64)
        if numpy.isnan(found).any():
            place = numpy.argwhere(numpy.isnan(numpy.atleast_1d(found)))[0]
            message = f"values: the one at {tuple(int(i) for i in place)} is NaN, which is on no scale"
            raise ValueError(message)
        return self._rows(numpy.clip(found, self.low, self.high))

    def encode(self, values: ArrayLike) -> NDArray[Any]:
        """The vectors of values: a row for one, a matrix for many."""
        made: NDArray[Any] = self.vectors[self.index(values)]
        return made

    def _rows(self, values: NDArray[Any]) -> NDArray[Any]:
        steps = len(self.vectors) - 1
        return numpy.rint((values - self.low) / (self.high - self.low) * steps).astype(numpy.int64)


class Level(_Scale):
    """Similar vectors for similar values; the ends are unrelated (`Space.level`).

    >>> scale = Level(Space("bsc"), 11, 0.0, 10.0)
    >>> near, far = scale.space.similarity(scale.encode(5.0), scale.encode([5.4, 9.0]), dtype="float32")
    >>> bool(near == 1.0), bool(0.5 < far < 0.7)
    (True, True)
    """

    def __init__(self, space: Space, n: int, low: float = 0.0, high: float = 1.0, *, name: str | int = "level") -> None:
        super().__init__(space, space.level(n, name), low, high)


class Thermometer(_Scale):
    """The same without randomness; the ends are opposite (`Space.thermometer`)."""

    def __init__(self, space: Space, n: int, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__(space, space.thermometer(n), low, high)


class Circular(_Scale):
    """The same in a circle: `period` and 0 are one value (`Space.circular`). Values outside come round again."""

    def __init__(self, space: Space, n: int, period: float = 1.0, *, name: str | int = "circular") -> None:
        super().__init__(space, space.circular(n, name), 0.0, period)

    def index(self, values: ArrayLike) -> NDArray[Any]:
        found = numpy.asarray(values, numpy.float64)
        if not numpy.isfinite(found).all():
            place = numpy.argwhere(~numpy.isfinite(numpy.atleast_1d(found)))[0]
            message = (
                f"values: the one at {tuple(int(i) for i in place)} is not finite, so it is at no place of a circle"
            )
            raise ValueError(message)
        steps = len(self.vectors)
        return numpy.rint(numpy.mod(found, self.high) / self.high * steps).astype(numpy.int64) % steps


class _Projected:
    """Features through a random matrix. Immutable, thread-safe; holds `features` x dim float32."""

    def __init__(self, space: Space, features: int, name: str | int) -> None:
        if isinstance(features, bool) or not isinstance(features, int) or not 1 <= features <= _MOST:
            message = f"features is {features!r}; it is a whole number of them, at least 1"
            raise ValueError(message)
        self.space = space
        self.features = features
        self.weights = numpy.stack([_normal(space, name, row) for row in range(features)])
        """float32[features, dim], near to normal, of norm about 1 in a column."""

    def _products(self, values: ArrayLike) -> NDArray[Any]:
        found = numpy.asarray(values, numpy.float64)
        if found.shape[-1:] != (self.features,) or found.ndim not in (1, 2):
            message = f"values: shape {list(found.shape)}; it must be [{self.features}] or [n, {self.features}]"
            raise ShapeError(message)
        if not numpy.isfinite(found).all():
            place = numpy.argwhere(~numpy.isfinite(numpy.atleast_2d(found)))[0]
            message = f"values: row {int(place[0])}, feature {int(place[1])} is not finite"
            raise ValueError(message)
        products: NDArray[Any] = found @ self.weights
        return products

    def _quantized(self, numbers: NDArray[Any]) -> Any:
        """Numbers as a vector of the space: their signs, or (HRR) they themselves, (FHRR) phases."""
        if self.space.model in ("bsc", "map"):
            return self.space.from_array(numpy.where(numbers >= 0, 1, -1))
        if self.space.model == "fhrr":
            return self.space.from_array(numpy.exp(1j * numpy.pi * numbers))
        return self.space.normalize(self.space.from_array(numbers))


class Projection(_Projected):
    """Random projection (Rahimi and Recht 2007, in the linear case): the signs of weighted sums of the features, so
    that the angle between two inputs is the distance of their vectors. FHRR takes the sums as phases, HRR as they are.

        >>> encoder = Projection(Space("bsc", 2000), 3)
        >>> x, near, far = encoder.encode([[1, 2, 3], [1, 2, 3.1], [-3, 1, 0]])
        >>> similarity = encoder.space.similarity
        >>> bool(similarity(x[None], near[None])[0, 0] > 0.9 > similarity(x[None], far[None])[0, 0])
        True
    """

    def __init__(self, space: Space, features: int, *, name: str | int = "projection") -> None:
        super().__init__(space, features, name)

    def encode(self, values: ArrayLike) -> Any:
        """The vector of one row of features, or a matrix of many. ShapeError, and ValueError for what is not finite."""
        return self._quantized(self._products(values))


class Sinusoid(_Projected):
    """A nonlinear random projection: ``cos(sum + phase) * sin(sum)`` of weighted sums, and their signs. `scale` is how
    far apart inputs must be to be unrelated."""

    def __init__(self, space: Space, features: int, *, scale: float = 1.0, name: str | int = "sinusoid") -> None:
        if not (numpy.isfinite(scale) and scale > 0):
            message = f"scale is {scale!r}; it is a distance over 0"
            raise ValueError(message)
        super().__init__(space, features, name)
        self.scale = float(scale)
        # a column of weights has about the norm 1: the sums of two inputs differ by about their distance
        self.weights = (self.weights * numpy.sqrt(space.dim)).astype(numpy.float32)
        words = random_words(space._named(name), features, space.dim)
        self.phases = (words >> numpy.uint64(32)).astype(numpy.float64) * (2 * numpy.pi / 2**32)

    def encode(self, values: ArrayLike) -> Any:
        """The vector of one row of features, or a matrix of many. ShapeError, and ValueError for what is not finite."""
        sums = self._products(values) / self.scale
        return self._quantized(numpy.cos(sums + self.phases) * numpy.sin(sums))


class FractionalPower:
    """Numbers as powers of one random vector (Plate 1995; Frady and others 2021): the vector of x + y is the vector of
    x bound with that of y. Similarity falls as a sinc of their distance over `bandwidth`. HRR and FHRR.

        >>> space = Space("fhrr", 4000)
        >>> encoder = FractionalPower(space)
        >>> round(space.similarity(space.bind(encoder.encode(1.5), encoder.encode(2.0)), encoder.encode(3.5)), 3)
        1.0
    """

    def __init__(self, space: Space, bandwidth: float = 1.0, *, name: str | int = "power") -> None:
        if space.model not in ("hrr", "fhrr"):
            message = f"a power needs hrr or fhrr, not {space.model}; Level does for the others"
            raise ShapeError(message)
        if not (numpy.isfinite(bandwidth) and bandwidth > 0):
            message = f"bandwidth is {bandwidth!r}; it is a distance over 0"
            raise ValueError(message)
        self.space = space
        self.bandwidth = float(bandwidth)
        self.base = space.random(name)

    def encode(self, values: ArrayLike) -> NDArray[Any]:
        """The vector of a number, or a matrix of many. ValueError for what is not finite."""
        algebra: Any = self.space._algebra
        made: NDArray[Any] = algebra.power(self.base, numpy.asarray(values, numpy.float64) / self.bandwidth)
        return made


def _normal(space: Space, name: str | int, row: int) -> NDArray[Any]:
    from sophia.hdc.spectral import HRR

    return HRR(space.dim).random(space._named(name), row)

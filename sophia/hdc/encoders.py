"""Values as hypervectors: on a scale, in a circle, by random projection, by fractional powers."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy

from sophia._core.projection import ProjectionEncoder
from sophia.errors import ShapeError
from sophia.hdc.algebra import random_words
from sophia.hdc.space import Space

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Circular", "FractionalPower", "Level", "Projection", "Sinusoid", "Thermometer"]

_MOST = 1 << 24
_LARGEST_PHASE = 2.0**40
_FAR = 2.0**14


class _Scale:
    """What encoders of numbers have in common: n vectors for the values from low to high. Immutable, thread-safe."""

    def __init__(self, space: Space, vectors: NDArray[Any], low: float, high: float) -> None:
        number = isinstance(low, int | float | numpy.number) and isinstance(high, int | float | numpy.number)
        if not (number and isfinite(low) and isfinite(high) and low < high):
            message = f"low is {low!r}, high is {high!r}; they must be finite numbers, and high the larger"
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

    def encode(self, values: ArrayLike, out: Any = None) -> Any:
        """The vector of a value, or a matrix of many."""
        index = self.index(values)
        if index.ndim == 0:
            made = self.space.vector(self.vectors[index])
            return made if out is None else self.space.algebra.copied(made, out)
        rows = self.vectors[index]
        return rows if out is None else self.space.algebra.copied(rows, out)

    def _rows(self, values: NDArray[Any]) -> NDArray[Any]:
        steps, scale = len(self.vectors) - 1, 1.0
        if not isfinite(self.high - self.low):
            scale = 0.5  # halves, as the whole range is beyond floats
        low, high = self.low * scale, self.high * scale
        return numpy.rint((values * scale - low) / (high - low) * steps).astype(numpy.int64)


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
    """Features through a random matrix. Immutable, thread-safe; holds `features` x dim float32, BSC and MAP twice."""

    def __init__(self, space: Space, features: int, name: str | int) -> None:
        if isinstance(features, bool) or not isinstance(features, int) or not 1 <= features <= _MOST:
            message = f"features is {features!r}; it is a whole number of them, from 1 to {_MOST}"
            raise ValueError(message)
        self.space = space
        self.features = features
        self.weights = Space("hrr", space.dim, space.seed).random_rows(features, name) * numpy.float32(
            numpy.sqrt(space.dim)
        )
        """float32[features, dim], near to standard normal."""

    def _checked(self, values: ArrayLike) -> NDArray[Any]:
        found = numpy.asarray(values, numpy.float64)
        if found.shape[-1:] != (self.features,) or found.ndim not in (1, 2):
            message = f"values: shape {list(found.shape)}; it must be [{self.features}] or [n, {self.features}]"
            raise ShapeError(message)
        good = numpy.isfinite(found)
        if not good.all():
            place = numpy.argwhere(~numpy.atleast_2d(good))[0]
            message = f"values: row {int(place[0])}, feature {int(place[1])} is not finite"
            raise ValueError(message)
        return found

    def _signs(self, encoder: ProjectionEncoder, values: NDArray[Any]) -> Any:
        """Signs of compiled projections, as vectors of BSC or MAP."""
        rows = numpy.atleast_2d(values)
        if self.space.model == "bsc":
            made = encoder.encode_many(rows)
        else:
            made = numpy.where(encoder.encode_int8_many(rows) < 0, numpy.int8(-1), numpy.int8(1))
        return made if values.ndim == 2 else self.space.vector(made[0])

    def _given(self, made: Any, out: Any) -> Any:
        return made if out is None else self.space.algebra.copied(made, out)


class Projection(_Projected):
    """Random projection: the signs of weighted sums of the features, so that the angle between two inputs is the
    distance of their vectors (Charikar 2002). HRR takes the sums themselves, at norm 1; FHRR as phases in radians, so
    that the similarity of two inputs is a normal law of their distance (Rahimi and Recht 2007).

        >>> encoder = Projection(Space("bsc", 2000), 3)
        >>> x, near, far = encoder.encode([[1, 2, 3], [1, 2, 3.1], [-3, 1, 0]])
        >>> similarity = encoder.space.similarity
        >>> bool(similarity(x, near) > 0.9 > similarity(x, far))
        True
    """

    def __init__(self, space: Space, features: int, *, name: str | int = "projection") -> None:
        super().__init__(space, features, name)
        self._encoder = ProjectionEncoder(self.weights) if space.model in ("bsc", "map") else None

    def encode(self, values: ArrayLike, out: Any = None) -> Any:
        """The vector of one row of features, or a matrix of many. ShapeError, and ValueError for what is not finite
        (FHRR: or has no phase that means anything)."""
        found = self._checked(values)
        if self.space.model == "fhrr":
            sums = found @ self.weights.astype(numpy.float64)
            return self._given(self.space.from_array(numpy.exp(1j * _phases(sums, "values"))), out)
        # only the direction counts, so that numbers of any size do
        largest = numpy.abs(found).max(axis=-1, keepdims=True)
        found = found / numpy.where(largest > 0, largest, 1.0)
        if self._encoder is not None:
            return self._given(self._signs(self._encoder, found), out)
        sums = found @ self.weights.astype(numpy.float64)
        return self._given(self.space.normalize(self.space.from_array(sums)), out)


class Sinusoid(_Projected):
    """A nonlinear random projection: the sine of weighted sums with a random phase, and (BSC, MAP) its sign: inputs
    nearer than `scale` are alike, those further than three of it are unrelated (Rahimi and Recht 2007). HRR at norm 1;
    FHRR takes the sums as phases.

    What torchhd has, ``cos(sum + phase) * sin(sum)``, is half of ``sin(2 sum + phase) - sin(phase)``: its second part
    is the same for all inputs, so that none are unrelated; here it is left out.
    """

    def __init__(self, space: Space, features: int, *, scale: float = 1.0, name: str | int = "sinusoid") -> None:
        if not (numpy.isfinite(scale) and scale > 0):
            message = f"scale is {scale!r}; it is a distance over 0"
            raise ValueError(message)
        super().__init__(space, features, name)
        self.scale = float(scale)
        words = random_words(space.named(name), features, space.dim)
        self.phases = (words >> numpy.uint64(32)).astype(numpy.float64) / 2**32
        """In turns."""
        self._encoder = None
        if space.model in ("bsc", "map"):
            turns = (self.phases - 0.25).astype(numpy.float32)  # a sine is a cosine a quarter of a turn later
            self._encoder = ProjectionEncoder(self.weights * numpy.float32(1 / (2 * numpy.pi)), turns)

    def encode(self, values: ArrayLike, out: Any = None) -> Any:
        """The vector of one row of features, or a matrix of many. ShapeError, and ValueError for what is not finite, or
        so far beyond `scale` that it has no phase that means anything: 2^14 of it from zero (BSC, MAP, whose sums are
        float32), or 2^40."""
        with numpy.errstate(over="ignore"):
            found = self._checked(values) / self.scale
        _phases(found, "values over scale")
        if self._encoder is not None:
            _refuse_far(found)
            return self._given(self._signs(self._encoder, found), out)
        sums = _phases(found @ self.weights.astype(numpy.float64), "values over scale")
        if self.space.model == "fhrr":
            return self._given(self.space.from_array(numpy.exp(1j * (sums + 2 * numpy.pi * self.phases))), out)
        waves = self.space.from_array(numpy.sin(sums + 2 * numpy.pi * self.phases))
        return self._given(self.space.normalize(waves), out)


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

    def encode(self, values: ArrayLike, out: Any = None) -> NDArray[Any]:
        """The vector of a number, or a matrix of many. ValueError for what is not finite, or beyond 2^40 of the
        bandwidth."""
        algebra: Any = self.space.algebra
        with numpy.errstate(over="ignore"):
            exponents = numpy.asarray(values, numpy.float64) / self.bandwidth
        made: NDArray[Any] = algebra.power(self.base, exponents)
        return made if out is None else algebra.copied(made, out)


def _refuse_far(values: NDArray[Any]) -> None:
    """ValueError for rows whose sums in single precision are off by more than about a hundredth of a turn."""
    good = numpy.atleast_1d(numpy.linalg.norm(values, axis=-1) <= _FAR)
    if not good.all():
        message = (
            f"values over scale: row {int(numpy.argmin(good))} is beyond 2^14 from zero, where single precision leaves "
            "no phase; subtract what is usual, or take a larger scale"
        )
        raise ValueError(message)


def _phases(sums: NDArray[Any], what: str) -> NDArray[Any]:
    """Radians. ValueError for those that doubles do not tell from their neighbours by a ten-thousandth of a turn."""
    good = numpy.abs(sums) <= _LARGEST_PHASE
    if not good.all():
        row = int(numpy.argwhere(~numpy.atleast_2d(good))[0][0])
        message = f"{what}: row {row} has numbers beyond 2^40, of which no phase is left; scale them down"
        raise ValueError(message)
    return sums

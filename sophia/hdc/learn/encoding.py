"""What turns rows of numbers into hypervectors: fitted once, then the same for ever.

An encoding is plain data (a few arrays and a seed); the random vectors are made by name, so they need not be kept.
"""

from __future__ import annotations

import sys
import warnings
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy
from numpy.typing import NDArray
from scipy import sparse

from sophia._core.projection import ProjectionEncoder
from sophia._core.record import RecordEncoder
from sophia.hdc.algebra import random_words
from sophia.hdc.space import Space
from sophia.hdc.spectral import HRR

__all__ = [
    "ENCODINGS",
    "Cosine",
    "Encoding",
    "Given",
    "Record",
    "Sign",
    "dense",
    "fitted",
    "restored",
]

_SAMPLE = 500  # rows whose distances say what is near
_NEAR = 0.45  # of their median distance: where the kernel has fallen by a standard deviation
_WORDS = 1 << 17  # random words at a time
_CELLS = 1 << 20  # numbers that are dense at a time
_CONSTANT = 1e-12  # of a feature's magnitude: what it varies by no more than is rounding
_USUAL = 2.0**300  # magnitudes from one by this to this: their squares are finite, and not zero
_LARGE = 1 << 28  # bytes of random vectors that one should hear of
_LARGEST = 1 << 32  # and that are no more made


class Encoding(ABC):
    """Encodes rows of `features` numbers as hypervectors of `dim` components. Immutable; safe from any thread."""

    kind: ClassVar[str]
    cost: ClassVar[float] = 0.0
    """Bytes of random vectors for each feature and component."""

    def __init__(self, dim: int, seed: int, features: int) -> None:
        self.dim, self.seed, self.features = dim, seed, features
        self._made: Any = None

    @abstractmethod
    def encode(self, X: Any, *, bits: bool, workers: int = 1) -> NDArray[Any]:
        """uint8[n, padded bytes] where `bits`, else int8[n, dim]."""

    def check(self) -> None:
        """ValueError unless it can have been fitted: files hold what anyone wrote."""
        for name, least, most in (("dim", 1, 1 << 20), ("seed", 0, 1 << 31), ("features", 1, 1 << 31)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                message = f"{name} of the encoding is {value!r}"
                raise ValueError(message)

    def _check_arrays(self, *names: str) -> None:
        """The same of arrays of a number for each feature, of which those of "unit" and "scale" are over 0."""
        for name in names:
            value = getattr(self, name)
            right = value.dtype == numpy.float64 and value.shape == (self.features,) and numpy.isfinite(value).all()
            if not right or (name in ("unit", "scale") and not (value > 0).all()):
                message = f"{name} of the encoding is no array of {self.features} finite numbers"
                raise ValueError(message)

    def state(self) -> dict[str, Any]:
        """Plain data, of which `restored` makes the encoding again."""
        kept = {name: value for name, value in vars(self).items() if name != "_made"}
        return {"kind": self.kind} | kept

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_made": None}


class _Projected(Encoding):
    """Standardised features, none beyond `reach` deviations, through a random matrix of near-normal weights: 4 bytes
    for each feature and component. `mean` and `scale` are in `unit`, float64 [features] each."""

    cost = 4.0

    def __init__(
        self,
        dim: int,
        seed: int,
        features: int,
        unit: NDArray[Any],
        mean: NDArray[Any],
        scale: NDArray[Any],
        width: float,
        reach: float,
    ) -> None:
        super().__init__(dim, seed, features)
        self.unit, self.mean, self.scale = numpy.asarray(unit), numpy.asarray(mean), numpy.asarray(scale)
        self.width, self.reach = float(width), float(reach)

    def encode(self, X: Any, *, bits: bool, workers: int = 1) -> NDArray[Any]:
        encoder = self._encoder()
        values = numpy.ascontiguousarray(_standard(X, self.unit, self.mean, self.scale, self.reach))
        return (encoder.encode_many if bits else encoder.encode_int8_many)(values, workers=workers)

    def check(self) -> None:
        super().check()
        self._check_arrays("unit", "mean", "scale")
        if not (0 < self.width < numpy.inf and 0 < self.reach < numpy.inf):
            message = f"width {self.width} and reach {self.reach} of the encoding"
            raise ValueError(message)

    def _encoder(self) -> ProjectionEncoder:
        if self._made is None:
            space = HRR(self.dim)
            normal = numpy.empty((self.features, self.dim), numpy.float32)
            for f in range(self.features):
                normal[f] = space.random(f"learn {self.seed}", f)
            normal *= numpy.float32(numpy.sqrt(self.dim))
            self._made = self._of(normal)
        return self._made  # type: ignore[no-any-return]

    @abstractmethod
    def _of(self, normal: NDArray[Any]) -> ProjectionEncoder:
        """The encoder over normal numbers, float32 [features, dim], which may be written over."""


class Cosine(_Projected):
    """Random Fourier features of a normal kernel (Rahimi and Recht 2007): rows nearer than `width`, in standard
    deviations, are alike."""

    kind = "cosine"

    def _of(self, normal: NDArray[Any]) -> ProjectionEncoder:
        words = random_words(f"learn {self.seed}", self.features, self.dim)
        phases = (words >> numpy.uint64(40)).astype(numpy.float32) / numpy.float32(1 << 24)
        normal *= numpy.float32(1 / (2 * numpy.pi * self.width))
        return ProjectionEncoder(normal, phases)


class Sign(_Projected):
    """Signs of random projections (Charikar 2002): rows in the same direction from the mean are alike."""

    kind = "sign"

    def _of(self, normal: NDArray[Any]) -> ProjectionEncoder:
        return ProjectionEncoder(normal)


class Record(Encoding):
    """Each feature's vector bound to that of its level, and bundled (VoiceHD, Imani and others 2017). Levels go from
    the least to the largest number that was seen of a feature; what is beyond has the nearer end's. `low` and `high`
    are in `unit`, float64 [features] each."""

    kind = "record"
    cost = 0.125

    def __init__(
        self,
        dim: int,
        seed: int,
        features: int,
        unit: NDArray[Any],
        low: NDArray[Any],
        high: NDArray[Any],
        levels: int,
    ) -> None:
        super().__init__(dim, seed, features)
        self.unit, self.low, self.high = numpy.asarray(unit), numpy.asarray(low), numpy.asarray(high)
        self.levels = int(levels)

    def encode(self, X: Any, *, bits: bool, workers: int = 1) -> NDArray[Any]:
        if self._made is None:
            space = Space("bsc", self.dim, self.seed)
            ids = space.random_rows(self.features, "feature")
            self._made = RecordEncoder(ids, space.level(self.levels), dim=self.dim)
        span = numpy.where(self.high > self.low, self.high - self.low, 1.0)
        with numpy.errstate(over="ignore"):  # what is so far off is beyond an end
            share = _in_units(X, self.unit) - self.low
            share /= span  # in place, as all this takes a fifth of what the encoding does
        numpy.clip(share, 0.0, 1.0, out=share)
        share *= self.levels - 1
        numpy.rint(share, out=share)
        index = share.astype(numpy.uint8 if self.levels <= 256 else numpy.uint32, order="C")
        made: NDArray[Any] = (self._made.encode_many if bits else self._made.encode_int8_many)(index, workers=workers)
        return made

    def check(self) -> None:
        super().check()
        self._check_arrays("unit", "low", "high")
        if not 2 <= self.levels <= 1 << 16 or _size("record", self.features, self.dim, self.levels) > _LARGEST:
            message = f"{self.levels} levels of the encoding"
            raise ValueError(message)


class Given(Encoding):
    """Rows that are hypervectors already: components, or where `packed` bits, uint8 [n, padded bytes]."""

    kind = "given"

    def __init__(self, dim: int, seed: int, features: int, *, packed: bool) -> None:
        super().__init__(dim, seed, features)
        self.packed = packed

    def encode(self, X: Any, *, bits: bool, workers: int = 1) -> NDArray[Any]:
        if self.packed:
            beyond = numpy.unpackbits(X[:, self.dim // 8 :], axis=1, bitorder="little")[:, self.dim % 8 :]
            if beyond.any():
                message = (
                    f"X: row {numpy.argwhere(beyond)[0][0]} has a bit set past bit {self.dim - 1}; they must be zero"
                )
                raise ValueError(message)
        if self.packed:
            return numpy.ascontiguousarray(X)
        # -128 has no opposite: it is refused of whichever dtype
        wrong = X == -128 if X.dtype == numpy.int8 else (numpy.rint(X) != X) | (numpy.abs(X) > 127)
        if wrong.any():
            row, component = numpy.argwhere(wrong)[0]
            message = (
                f"X: row {row}, component {component} is {X[row, component]}; without an encoding rows are "
                "whole numbers from -127 to 127, or with bits=True packed bits; of texts "
                'HDCTextEncoder(form="int8") makes such'
            )
            raise ValueError(message)
        return numpy.ascontiguousarray(X, numpy.int8)

    def check(self) -> None:
        super().check()
        columns = (self.dim + 511) // 512 * 64 if self.packed else self.dim
        if type(self.packed) is not bool or self.features != columns:
            message = f"rows of {self.features} for dim={self.dim}"
            raise ValueError(message)


ENCODINGS = ("cosine", "sign", "record")


def fitted(
    kind: str, X: Any, *, dim: int, seed: int, levels: int, width: float | str, reach: float, again: bool = False
) -> Encoding:
    """The encoding of a kind for rows like these, float64 [n, features], dense or CSR, finite, at least one.

    Numbers of any magnitude: features times a power of two give the same encoding of rows times that. About 40 MB
    beside X, however many rows there are, and three copies of the sample of 500 rows, of which alone sparse ones are
    dense as a whole. ValueError for more than 4 GiB of random vectors; UserWarning for more than 256 MiB, but where a
    stream's encoding is fitted `again`.
    """
    features = X.shape[1]
    _consider(kind, features, dim, levels, quiet=again)
    unit, low, high, mean, scale = _columns(X)
    if kind == "record":
        return Record(dim, seed, features, unit, low, high, levels)
    # what is constant, but for roundings, stays as it is
    varied = high - low > _CONSTANT * numpy.maximum(numpy.abs(low), numpy.abs(high))
    scale = numpy.where(varied, scale, 1.0)
    if kind == "sign":
        return Sign(dim, seed, features, unit, mean, scale, 1.0, reach)
    if width != "auto":
        return Cosine(dim, seed, features, unit, mean, scale, float(width), reach)
    sample = dense(X[_places(X.shape[0], seed)])
    return Cosine(
        dim, seed, features, unit, mean, scale, _usual_width(_standard(sample, unit, mean, scale, reach)), reach
    )


def _consider(kind: str, features: int, dim: int, levels: int, *, quiet: bool) -> None:
    """Says so before an encoding takes much, or more than can be meant: columns of texts are many."""
    size = _size(kind, features, dim, levels)
    if size <= _LARGE:
        return
    what, cure = f"X has {features:,} features", "take fewer features or a smaller dim"
    if kind == "record" and levels > features:
        what, cure = f"levels is {levels:,}", "take fewer levels or a smaller dim"
    else:
        cure = f"encoding=None takes rows that are hypervectors already, as HDCTextEncoder makes them; else {cure}"
    message = f"{what}, of which encoding={kind!r} makes {size / 1e9:,.1f} GB of random vectors at dim={dim:,}; {cure}"
    if size > _LARGEST:
        raise ValueError(message)
    if not quiet:
        warnings.warn(message, UserWarning, stacklevel=_outside())


def _size(kind: str, features: int, dim: int, levels: int) -> float:
    """Bytes of random vectors: one for each feature, and in a record for each level."""
    cost = {each.kind: each.cost for each in (Cosine, Sign, Record)}[kind]
    return cost * dim * (features + levels if kind == "record" else features)


def _outside() -> int:
    """The stack level, as `warn` counts them for who calls this, of the first caller that is not of this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("sophia."):
        level, frame = level + 1, frame.f_back
    return level


def restored(state: dict[str, Any]) -> Encoding:
    """The encoding of which this is `Encoding.state`."""
    kinds = {each.kind: each for each in (Cosine, Sign, Record, Given)}
    rest = {name: value for name, value in state.items() if name != "kind"}
    return kinds[state["kind"]](**rest)


def dense(X: Any) -> NDArray[Any]:
    """Rows as an array, in the order of C."""
    made: NDArray[Any] = X.toarray(order="C") if sparse.issparse(X) else numpy.ascontiguousarray(X)
    return made


def _columns(X: Any) -> NDArray[Any]:
    """unit, and in it the least, the largest, the mean and the deviation of each feature: float64 [5, features].

    A few columns are dense at a time, so that sparse rows take no more memory than dense ones, and give the same bits.
    """
    rows, features = X.shape
    found = numpy.empty((5, features))
    source = X.tocsc() if sparse.issparse(X) else X
    step = max(1, _CELLS // rows)
    for at in range(0, features, step):
        part = dense(source[:, at : at + step])
        ends = numpy.array([part.min(axis=0), part.max(axis=0)])
        unit = _units(numpy.abs(ends).max(axis=0))
        part = _in_units(part, unit)
        found[:, at : at + step] = unit, *(ends / unit), part.mean(axis=0), part.std(axis=0)
    return found


def _units(most: NDArray[Any]) -> NDArray[Any]:
    """A power of two for each magnitude, in which squares neither overflow nor vanish; 1 for usual ones."""
    usual = ((most <= _USUAL) & (most >= 1 / _USUAL)) | (most == 0)
    return numpy.where(usual, 1.0, numpy.ldexp(1.0, numpy.frexp(most)[1] - 1))


def _in_units(X: NDArray[Any], unit: NDArray[Any]) -> NDArray[Any]:
    """X / unit: infinite what is too large."""
    if (unit == 1.0).all():
        return X
    with numpy.errstate(over="ignore"):
        made: NDArray[Any] = X / unit
    return made


def _standard(
    X: NDArray[Any], unit: NDArray[Any], mean: NDArray[Any], scale: NDArray[Any], reach: float
) -> NDArray[Any]:
    with numpy.errstate(over="ignore"):
        made: NDArray[Any] = numpy.clip((_in_units(X, unit) - mean) / scale, -reach, reach)
    return made


def _places(n: int, seed: int) -> Any:
    """Which of n rows are the sample: at most _SAMPLE, rising."""
    if n <= _SAMPLE:
        return slice(None)
    if n <= _WORDS:
        words = random_words(f"width {seed}", 0, n)
        return numpy.sort(numpy.argsort(words, kind="stable")[:_SAMPLE])
    # one in a hundred is drawn twice, so that there are always enough
    drawn = random_words(f"width {seed}", 0, 2 * _SAMPLE) % numpy.uint64(n)
    _, first = numpy.unique(drawn, return_index=True)
    return numpy.sort(drawn[numpy.sort(first)[:_SAMPLE]]).astype(numpy.int64)


def _usual_width(standard: NDArray[Any]) -> float:
    """A share of the median distance of rows: near ones are alike, usual ones are not."""
    squares = (standard**2).sum(axis=1)
    distances = numpy.sqrt(numpy.maximum(squares[:, None] + squares[None] - 2 * standard @ standard.T, 0.0))
    apart = distances[numpy.triu_indices(len(standard), 1)]
    apart = apart[apart > 1e-6]
    return _NEAR * float(numpy.median(apart)) if len(apart) else 1.0

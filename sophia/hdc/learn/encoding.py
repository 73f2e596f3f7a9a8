"""What turns rows of numbers into hypervectors: fitted once, then the same for ever.

An encoding is plain data (a few arrays and a seed); the random vectors are made by name, so they need not be kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy
from numpy.typing import NDArray

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
    "fitted",
    "restored",
]

_SAMPLE = 500  # rows whose distances say what is near
_NEAR = 0.45  # of their median distance: where the kernel has fallen by a standard deviation


class Encoding(ABC):
    """Encodes rows of `features` numbers as hypervectors of `dim` components. Immutable; safe from any thread."""

    kind: ClassVar[str]

    def __init__(self, dim: int, seed: int, features: int) -> None:
        self.dim, self.seed, self.features = dim, seed, features
        self._made: Any = None

    @abstractmethod
    def encode(self, X: Any, *, bits: bool, workers: int = 1) -> NDArray[Any]:
        """uint8[n, padded bytes] where `bits`, else int8[n, dim]."""

    def state(self) -> dict[str, Any]:
        """Plain data, of which `restored` makes the encoding again."""
        kept = {name: value for name, value in vars(self).items() if name != "_made"}
        return {"kind": self.kind} | kept

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_made": None}


class _Projected(Encoding):
    """Standardised features, none beyond `reach` deviations, through a random matrix of near-normal weights."""

    def __init__(
        self,
        dim: int,
        seed: int,
        features: int,
        mean: NDArray[Any],
        scale: NDArray[Any],
        width: float,
        reach: float,
    ) -> None:
        super().__init__(dim, seed, features)
        self.mean, self.scale = numpy.asarray(mean), numpy.asarray(scale)
        self.width, self.reach = float(width), float(reach)

    def encode(self, X: Any, *, bits: bool, workers: int = 1) -> NDArray[Any]:
        encoder = self._encoder()
        values = numpy.ascontiguousarray(_standard(X, self.mean, self.scale, self.reach))
        return (encoder.encode_many if bits else encoder.encode_int8_many)(values, workers=workers)

    def _encoder(self) -> ProjectionEncoder:
        if self._made is None:
            normal = HRR(self.dim)
            rows = numpy.stack([normal.random(f"learn {self.seed}", f) for f in range(self.features)])
            self._made = self._of(rows * numpy.float32(numpy.sqrt(self.dim)))
        return self._made  # type: ignore[no-any-return]

    @abstractmethod
    def _of(self, normal: NDArray[Any]) -> ProjectionEncoder:
        """The encoder over normal numbers, float32 [features, dim]."""


class Cosine(_Projected):
    """Random Fourier features of a normal kernel (Rahimi and Recht 2007): rows nearer than `width`, in standard
    deviations, are alike."""

    kind = "cosine"

    def _of(self, normal: NDArray[Any]) -> ProjectionEncoder:
        words = random_words(f"learn {self.seed}", self.features, self.dim)
        phases = (words >> numpy.uint64(40)).astype(numpy.float32) / numpy.float32(1 << 24)
        return ProjectionEncoder(normal * numpy.float32(1 / (2 * numpy.pi * self.width)), phases)


class Sign(_Projected):
    """Signs of random projections (Charikar 2002): rows in the same direction from the mean are alike."""

    kind = "sign"

    def _of(self, normal: NDArray[Any]) -> ProjectionEncoder:
        return ProjectionEncoder(normal)


class Record(Encoding):
    """Each feature's vector bound to that of its level, and bundled (VoiceHD, Imani and others 2017). Levels go from
    the least to the largest number that was seen of a feature; what is beyond has the nearer end's."""

    kind = "record"

    def __init__(
        self,
        dim: int,
        seed: int,
        features: int,
        low: NDArray[Any],
        high: NDArray[Any],
        levels: int,
    ) -> None:
        super().__init__(dim, seed, features)
        self.low, self.high, self.levels = numpy.asarray(low), numpy.asarray(high), int(levels)

    def encode(self, X: Any, *, bits: bool, workers: int = 1) -> NDArray[Any]:
        if self._made is None:
            space = Space("bsc", self.dim, self.seed)
            ids = space.random_rows(self.features, "feature")
            self._made = RecordEncoder(ids, space.level(self.levels), dim=self.dim)
        span = numpy.where(self.high > self.low, self.high - self.low, 1.0)
        share = numpy.clip((X - self.low) / span, 0.0, 1.0)
        index = numpy.rint(share * (self.levels - 1)).astype(
            numpy.uint8 if self.levels <= 256 else numpy.uint32, order="C"
        )
        made: NDArray[Any] = (self._made.encode_many if bits else self._made.encode_int8_many)(index, workers=workers)
        return made


class Given(Encoding):
    """Rows that are hypervectors already."""

    kind = "given"

    def __init__(self, dim: int, seed: int = 0, features: int | None = None) -> None:
        super().__init__(dim, seed, dim if features is None else features)

    def encode(self, X: Any, *, bits: bool, workers: int = 1) -> NDArray[Any]:
        if X.dtype == numpy.int8:
            return numpy.ascontiguousarray(X)
        rows = numpy.rint(X)
        if (rows != X).any() or numpy.abs(X).max(initial=0) > 127:
            bad = numpy.argwhere((rows != X) | (numpy.abs(X) > 127))[0]
            message = (
                f"X: row {bad[0]}, component {bad[1]} is {X[bad[0], bad[1]]}; without an encoding rows are "
                "whole numbers from -127 to 127"
            )
            raise ValueError(message)
        made: NDArray[Any] = rows.astype(numpy.int8)
        return made


ENCODINGS = ("cosine", "sign", "record")


def fitted(
    kind: str, X: NDArray[Any], *, dim: int, seed: int, levels: int, width: float | str, reach: float
) -> Encoding:
    """The encoding of a kind for rows like these, which have no NaN and at least one row."""
    features = X.shape[1]
    if kind == "record":
        return Record(dim, seed, features, X.min(axis=0), X.max(axis=0), levels)
    with numpy.errstate(over="ignore", invalid="ignore"):
        mean, scale = X.mean(axis=0), X.std(axis=0)
    mean = numpy.where(numpy.isfinite(mean), mean, 0.0)  # numbers whose sums or squares overflow
    scale = numpy.where(numpy.isfinite(scale), scale, numpy.abs(X).max(axis=0))
    # what is constant, but for roundings, stays as it is
    scale = numpy.where(scale > 1e-12 * numpy.maximum(1.0, numpy.abs(mean)), scale, 1.0)
    if kind == "sign":
        return Sign(dim, seed, features, mean, scale, 1.0, reach)
    chosen = _usual_width(_standard(X, mean, scale, reach), seed) if width == "auto" else float(width)
    return Cosine(dim, seed, features, mean, scale, chosen, reach)


def restored(state: dict[str, Any]) -> Encoding:
    """The encoding of which this is `Encoding.state`."""
    kinds = {each.kind: each for each in (Cosine, Sign, Record, Given)}
    rest = {name: value for name, value in state.items() if name != "kind"}
    return kinds[state["kind"]](**rest)


def _standard(X: NDArray[Any], mean: NDArray[Any], scale: NDArray[Any], reach: float) -> NDArray[Any]:
    made: NDArray[Any] = numpy.clip((X - mean) / scale, -reach, reach)
    return made


def _usual_width(standard: NDArray[Any], seed: int) -> float:
    """A share of the median distance of rows: near ones are alike, usual ones are not."""
    if len(standard) > _SAMPLE:
        words = random_words(f"width {seed}", 0, len(standard))
        standard = standard[numpy.sort(numpy.argsort(words, kind="stable")[:_SAMPLE])]
    squares = (standard**2).sum(axis=1)
    distances = numpy.sqrt(numpy.maximum(squares[:, None] + squares[None] - 2 * standard @ standard.T, 0.0))
    apart = distances[numpy.triu_indices(len(standard), 1)]
    apart = apart[apart > 1e-6]
    return _NEAR * float(numpy.median(apart)) if len(apart) else 1.0

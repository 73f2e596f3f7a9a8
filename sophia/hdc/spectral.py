"""HRR and FHRR: real and complex vectors that are bound by circular convolution, on numpy."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy

from sophia.errors import ShapeError
from sophia.hdc.algebra import Algebra, check_weights, random_words

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["FHRR", "HRR"]

_UNIFORMS = 12  # of 16 bits; their sum is near enough to normal, and exact
_TURN = 4096  # phases of a random vector are multiples of this part of a turn


class _Numpy(Algebra):
    """What both have in common. Vectors are arrays [dim], matrices [n, dim], of one dtype."""

    dtype: DTypeLike

    def rows(self, n: int, name: str | int) -> NDArray[Any]:
        if n < 0:
            message = f"n: {n} rows"
            raise ValueError(message)
        made = numpy.empty((n, self.dim), self.dtype)
        for row in range(n):
            made[row] = self.random(name, row)
        return made

    def bundle(self, vectors: Any, weights: ArrayLike | None = None) -> NDArray[Any]:
        """The plain sum, which keeps how much of each there is; weights may be any finite numbers."""
        if isinstance(vectors, list | tuple):
            if not vectors:
                message = "bundle: of no vectors is not defined; give at least one"
                raise ValueError(message)
            rows = numpy.stack([self._checked(one, f"vectors: element {at}", 1) for at, one in enumerate(vectors)])
        else:
            rows = self._checked(vectors, "vectors", 2)
        if not len(rows):
            message = "bundle: of no rows is not defined; give at least one"
            raise ValueError(message)
        wide = numpy.result_type(self.dtype, numpy.float64)
        if weights is None:
            total: NDArray[Any] = rows.sum(axis=0, dtype=wide)
        else:
            total = check_weights(weights, len(rows), numpy.float64) @ rows.astype(wide)
        return total.astype(self.dtype)

    def permute(self, a: Any, shifts: int = 1, out: Any = None) -> NDArray[Any]:
        return self._given(numpy.roll(self._checked(a, "a"), shifts, axis=-1), out)

    def similarity(self, a: Any, b: Any) -> Any:
        x, y = self._checked(a, "a"), self._checked(b, "b")
        wide = numpy.result_type(self.dtype, numpy.float64)
        left, right = numpy.atleast_2d(x).astype(wide), numpy.atleast_2d(y).astype(wide)
        products = (left @ right.conj().T).real
        norms = numpy.outer(numpy.linalg.norm(left, axis=1), numpy.linalg.norm(right, axis=1))
        found = numpy.divide(products, norms, out=numpy.zeros_like(products), where=norms > 0)
        found = numpy.clip(found, -1.0, 1.0)
        if x.ndim == 1:
            return float(found[0, 0]) if y.ndim == 1 else found[0]
        return found[:, 0] if y.ndim == 1 else found

    def array(self, a: Any) -> NDArray[Any]:
        return self._checked(a, "a")

    def from_array(self, components: NDArray[Any]) -> NDArray[Any]:
        return self._checked(numpy.asarray(components).astype(self.dtype), "components")

    def _checked(self, a: Any, name: str, ndim: int = 0) -> NDArray[Any]:
        """An operand as an array of the space's dtype and dimension, without a copy."""
        if not isinstance(a, numpy.ndarray):
            message = f"{name}: a {type(a).__name__}; {self.model.upper()} takes numpy arrays"
            raise TypeError(message)
        if a.dtype != self.dtype:
            message = f"{name}: {a.dtype}; {self.model.upper()} takes {numpy.dtype(self.dtype)}"
            raise ShapeError(message)
        if a.shape[-1:] != (self.dim,) or a.ndim > 2 or (ndim and a.ndim != ndim):
            wants = {0: f"[{self.dim}] or [n, {self.dim}]", 1: f"[{self.dim}]", 2: f"[n, {self.dim}]"}[ndim]
            message = f"{name}: shape {list(a.shape)}; it must be {wants}"
            raise ShapeError(message)
        return a

    def _pair(self, a: Any, b: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        x, y = self._checked(a, "a"), self._checked(b, "b")
        if x.ndim == y.ndim == 2 and len(x) != len(y):
            message = f"a has {len(x)} rows, b has {len(y)}; give one row, or as many"
            raise ShapeError(message)
        return x, y

    def _given(self, result: NDArray[Any], out: Any) -> NDArray[Any]:
        if out is None:
            made: NDArray[Any] = result.astype(self.dtype, copy=False)
            return made
        target = self._checked(out, "out", result.ndim)
        if target.shape != result.shape:
            message = f"out: shape {list(target.shape)}; the result has {list(result.shape)}"
            raise ShapeError(message)
        target[...] = result
        return target


class HRR(_Numpy):
    """Holographic reduced representations (Plate 1995): float32 vectors, bound by circular convolution.

    Components of a random vector are near to normal, with variance 1/dim, so that its norm is about 1. Products are
    worked out in double precision by Fourier transform: about 0.5 ms for 10,000 components.
    """

    model = "hrr"
    dtype = numpy.float32

    def random(self, name: str | int, index: int = 0) -> NDArray[Any]:
        uniforms = random_words(name, index, self.dim * _UNIFORMS // 4).view(numpy.uint16)
        sums = uniforms.reshape(self.dim, _UNIFORMS).sum(axis=1, dtype=numpy.int64)
        # of twelve uniform numbers from 0 to 1 the variance is 1, and the mean 6
        centred = (2 * sums - _UNIFORMS * 65_535).astype(numpy.float64) / (2 * 65_536)
        made: NDArray[Any] = (centred / numpy.sqrt(self.dim)).astype(numpy.float32)
        return made

    def identity(self) -> NDArray[Any]:
        """1 in the first component, 0 elsewhere."""
        made = numpy.zeros(self.dim, numpy.float32)
        made[0] = 1.0
        return made

    def bind(self, a: Any, b: Any, out: Any = None) -> NDArray[Any]:
        x, y = self._pair(a, b)
        return self._given(self._back(self._spectrum(x) * self._spectrum(y)), out)

    def inverse(self, a: Any, out: Any = None) -> NDArray[Any]:
        """The exact one: 1 over the Fourier transform, which the usual approximation (the involution) only
        resembles. ValueError where a frequency is missing."""
        spectrum = self._spectrum(self._checked(a, "a"))
        if not numpy.abs(spectrum).all():
            message = "inverse: a frequency of the vector is zero, so what was bound with it is lost"
            raise ValueError(message)
        return self._given(self._back(1.0 / spectrum), out)

    def unbind(self, a: Any, b: Any, out: Any = None) -> NDArray[Any]:
        x, y = self._pair(a, b)
        spectrum = self._spectrum(y)
        if not numpy.abs(spectrum).all():
            message = "unbind: a frequency of b is zero, so what was bound with it is lost"
            raise ValueError(message)
        return self._given(self._back(self._spectrum(x) / spectrum), out)

    def normalize(self, a: Any) -> NDArray[Any]:
        """Norm 1; a zero vector stays."""
        x = self._checked(a, "a")
        norms = numpy.linalg.norm(x.astype(numpy.float64), axis=-1, keepdims=True)
        return (x / numpy.where(norms > 0, norms, 1.0)).astype(numpy.float32)

    def power(self, a: Any, exponent: ArrayLike) -> NDArray[Any]:
        """`a` bound with itself so many times; any real exponent, of which each gives a row. The frequencies are taken
        as phases alone."""
        phases = numpy.angle(self._spectrum(self._checked(a, "a", 1)))
        exponents = _finite(exponent)
        phases[0] = 0.0  # of the mean, and of the shortest wave: these are real
        if self.dim % 2 == 0:
            phases[-1] = 0.0
        return self._back(numpy.exp(1j * numpy.multiply.outer(exponents, phases))).astype(numpy.float32)

    def _spectrum(self, a: NDArray[Any]) -> NDArray[Any]:
        return numpy.fft.rfft(a.astype(numpy.float64), axis=-1)

    def _back(self, spectrum: NDArray[Any]) -> NDArray[Any]:
        return numpy.fft.irfft(spectrum, n=self.dim, axis=-1)


class FHRR(_Numpy):
    """HRR in the frequency domain (Plate 2003): complex64 phasors, bound by multiplication.

    A phase of a random vector is a multiple of a 4,096th of a turn. About 20 us a product of 10,000 components.
    """

    model = "fhrr"
    dtype = numpy.complex64

    def random(self, name: str | int, index: int = 0) -> NDArray[Any]:
        words = random_words(name, index, -(-self.dim // 4)).view(numpy.uint16)[: self.dim]
        return _phasors()[words % _TURN]

    def identity(self) -> NDArray[Any]:
        """1 everywhere."""
        return numpy.ones(self.dim, numpy.complex64)

    def bind(self, a: Any, b: Any, out: Any = None) -> NDArray[Any]:
        x, y = self._pair(a, b)
        return self._given(x * y, out)

    def inverse(self, a: Any, out: Any = None) -> NDArray[Any]:
        """1 over each component; of a phasor its conjugate. ValueError where a component is zero."""
        x = self._checked(a, "a")
        if not numpy.abs(x).all():
            message = "inverse: a component of the vector is zero, so what was bound with it is lost"
            raise ValueError(message)
        return self._given((1.0 / x.astype(numpy.complex128)), out)

    def normalize(self, a: Any) -> NDArray[Any]:
        """Magnitude 1 everywhere; a component that is zero becomes 1."""
        x = self._checked(a, "a").astype(numpy.complex128)
        size = numpy.abs(x)
        made: NDArray[Any] = numpy.where(size > 0, x / numpy.where(size > 0, size, 1.0), 1.0).astype(numpy.complex64)
        return made

    def power(self, a: Any, exponent: ArrayLike) -> NDArray[Any]:
        """`a` bound with itself so many times; any real exponent, of which each gives a row. Magnitudes count as 1."""
        phases = numpy.angle(self._checked(a, "a", 1).astype(numpy.complex128))
        made: NDArray[Any] = numpy.exp(1j * numpy.multiply.outer(_finite(exponent), phases)).astype(numpy.complex64)
        return made


@cache
def _phasors() -> NDArray[numpy.complex64]:
    """The 4,096th roots of one."""
    turns = numpy.arange(_TURN) * (2 * numpy.pi / _TURN)
    made: NDArray[numpy.complex64] = (numpy.cos(turns) + 1j * numpy.sin(turns)).astype(numpy.complex64)
    quarter = _TURN // 4
    made[[0, quarter, 2 * quarter, 3 * quarter]] = 1, 1j, -1, -1j  # cos(pi / 2) is not 0 in doubles
    made.flags.writeable = False
    return made


def _finite(values: ArrayLike) -> NDArray[Any]:
    found = numpy.asarray(values, numpy.float64)
    if not numpy.isfinite(found).all():
        message = f"value {int(numpy.argmin(numpy.isfinite(numpy.atleast_1d(found))))} is not finite"
        raise ValueError(message)
    return found

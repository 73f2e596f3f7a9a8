"""HRR and FHRR: real and complex vectors that are bound by circular convolution, on numpy."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy

from sophia._core.batch import in_parts
from sophia.errors import ShapeError
from sophia.hdc.algebra import Algebra, check_weights, random_words, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from sophia._core.arena import HDCArena

__all__ = ["FHRR", "HRR", "phasors", "turned"]

_UNIFORMS = 12  # of 16 bits; their sum is near enough to normal, and exact
_HALVES = numpy.uint64(0x0000_FFFF_0000_FFFF)
_SMALL, _LARGE = 1e-30, 1e30  # squares of norms that float32 holds with all their digits
_BLOCK = 128  # vectors that are held at a time on the way to a result
_LARGEST_EXPONENT = 2.0**40  # times a phase of pi, in doubles, it still tells a ten-thousandth of a turn
_NEAR_UNIT = 4e-7  # a few roundings of float32
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

    def bundle(
        self, vectors: Any, weights: ArrayLike | None = None, out: Any = None, arena: HDCArena | None = None
    ) -> NDArray[Any]:
        """The plain sum, which keeps how much of each there is; weights may be any finite numbers."""
        if isinstance(vectors, list | tuple):
            rows: Any = [self.checked(one, f"vectors: element {at}", 1) for at, one in enumerate(vectors)]
        else:
            rows = self.checked(vectors, "vectors", 2)
        if not len(rows):
            message = "bundle: of no vectors is not defined; give at least one"
            raise ValueError(message)
        given = None if weights is None else check_weights(weights, len(rows), numpy.float64)
        total = numpy.zeros(self.dim, numpy.result_type(self.dtype, numpy.float64))
        for at in range(0, len(rows), _BLOCK):
            part = rows[at : at + _BLOCK]
            with numpy.errstate(over="ignore", invalid="ignore"):  # is seen in the result
                if given is not None:
                    block = numpy.stack(part) if isinstance(part, list) else part
                    total += given[at : at + _BLOCK] @ block.astype(total.dtype)
                elif isinstance(part, list):  # a few are added in single precision, and these sums in double
                    some = part[0].copy()
                    for row in part[1:]:
                        some += row
                    total += some
                else:
                    total += part.sum(axis=0)
        return self._given(self._finite(total, "bundle: the sum"), out, arena)

    def permute(self, a: Any, shifts: int = 1, out: Any = None, arena: HDCArena | None = None) -> NDArray[Any]:
        return self._given(numpy.roll(self.checked(a, "a"), whole(shifts, "shifts"), axis=-1), out, arena)

    def product(self, rows: NDArray[Any]) -> NDArray[Any]:
        with numpy.errstate(over="ignore", invalid="ignore"):
            made = numpy.multiply.reduce(self.checked(rows, "vectors", 2), axis=0)
        return self._given(made, None)

    def records(self, ids: Any, levels: Any, index: NDArray[Any], weights: Any, out: Any, workers: int) -> Any:
        names, values = (self._factors(rows, name) for rows, name in ((ids, "ids"), (levels, "levels")))
        if index.shape[1] != len(names):
            message = f"index: {index.shape[1]} numbers a record where there are {len(names)} features"
            raise ShapeError(message)
        bad = (index < 0) | (index >= len(values))
        if bad.any():
            record, feature = (int(i) for i in numpy.argwhere(bad)[0])
            message = (
                f"index: record {record}, feature {feature} is {index[record, feature]}; there are {len(values)} "
                f"levels, 0 to {len(values) - 1}"
            )
            raise ValueError(message)
        given = None if weights is None else check_weights(weights, len(names), numpy.float64)

        def bundled(record: int) -> NDArray[Any]:
            total = numpy.zeros(names.shape[1], numpy.complex128)
            for at in range(0, len(names), _BLOCK):
                part = slice(at, at + _BLOCK)
                pairs = names[part] * values[index[record, part]]
                total += pairs.sum(axis=0, dtype=total.dtype) if given is None else given[part] @ pairs
            return self._from_factors(total)

        return self._each(len(index), bundled, (ids, levels), out, workers)

    def ngrams(self, items: Any, sequences: Any, n: int, out: Any, workers: int) -> Any:
        rows = self._factors(items, "items")
        found = [_symbols(one, f"sequences[{at}]", len(rows), n) for at, one in enumerate(sequences)]

        def bundled(number: int) -> NDArray[Any]:
            total = numpy.zeros(rows.shape[1], numpy.complex128)
            symbols = found[number]
            for at in range(0, len(symbols) - n + 1, _BLOCK):
                until = min(at + _BLOCK, len(symbols) - n + 1)
                grams = rows[symbols[at + n - 1 : until + n - 1]]
                for k in range(1, n):
                    grams = grams * self._turned(rows[symbols[at + n - 1 - k : until + n - 1 - k]], k)
                total += grams.sum(axis=0, dtype=total.dtype)
            return self._from_factors(total)

        return self._each(len(found), bundled, (items,), out, workers)

    def sequences(self, items: Any, sequences: Any, out: Any, workers: int) -> Any:
        rows = self.checked(items, "items", 2)
        found = [_symbols(one, f"sequences[{at}]", len(rows), 1) for at, one in enumerate(sequences)]

        def bundled(number: int) -> NDArray[Any]:
            total = numpy.zeros(self.dim, numpy.result_type(self.dtype, numpy.float64))
            for place, symbol in enumerate(found[number]):
                total += numpy.roll(rows[symbol], len(found[number]) - 1 - place)
            return total

        return self._each(len(found), bundled, (items,), out, workers)

    def _each(
        self, n: int, make: Callable[[int], NDArray[Any]], sources: tuple[Any, ...], out: Any, workers: int
    ) -> NDArray[Any]:
        """A matrix whose row i is `make(i)`, made of `sources` in so many threads."""
        if out is not None and any(numpy.may_share_memory(self.checked(out, "out", 2), one) for one in sources):
            return self._given(self._each(n, make, (), None, workers), out)
        target = numpy.empty((n, self.dim), self.dtype) if out is None else self._target(out, 2)
        if len(target) != n:
            message = f"out: {len(target)} rows given, {n} needed"
            raise ShapeError(message)

        def fill(part: tuple[int, int]) -> None:
            for row in range(*part):
                with numpy.errstate(over="ignore", invalid="ignore"):  # is seen in the result
                    made = make(row)
                target[row] = self._finite(made, f"row {row} of the result")

        in_parts(fill, n, workers)
        return target

    def similarity(self, a: Any, b: Any) -> Any:
        x, y = self.checked(a, "a"), self.checked(b, "b")
        left, right = _real(x), _real(y)
        found = _cosines(left, right)
        if x.ndim == 1:
            return float(found[0, 0]) if y.ndim == 1 else found[0]
        return found[:, 0] if y.ndim == 1 else found

    def array(self, a: Any) -> NDArray[Any]:
        return self.checked(a, "a")

    def from_array(self, components: NDArray[Any]) -> NDArray[Any]:
        found = numpy.asarray(components)
        if found.dtype.kind not in ("biufc" if self.model == "fhrr" else "biuf"):
            message = f"components: an array of {found.dtype}; {self.model.upper()} has {numpy.dtype(self.dtype)}"
            raise ShapeError(message)
        wide = found.astype(numpy.result_type(self.dtype, numpy.float64))
        return self.checked(self._finite(wide, "components"), "components")

    @abstractmethod
    def _factors(self, rows: Any, name: str) -> NDArray[Any]:
        """A matrix in the form in which binding multiplies component by component."""

    @abstractmethod
    def _from_factors(self, factors: NDArray[Any]) -> NDArray[Any]:
        """What such numbers are as a vector."""

    @abstractmethod
    def _turned(self, factors: NDArray[Any], shifts: int) -> NDArray[Any]:
        """`rotate` of what is in that form."""

    def copied(self, a: Any, out: Any = None, arena: HDCArena | None = None) -> NDArray[Any]:
        found = self.checked(a, "a")
        return self._given(found.copy() if out is None else found, out, arena)

    def _finite(self, numbers: NDArray[Any], what: str) -> NDArray[Any]:
        """The numbers, in the dtype of the space. ValueError where they leave its range, or are NaN."""
        with numpy.errstate(over="ignore", invalid="ignore"):
            made: NDArray[Any] = numbers.astype(self.dtype, copy=False)
            parts = made.ravel().view(numpy.float32)
            square = parts.dot(parts)  # costs a third of asking each
        if not math.isfinite(square) and not (good := numpy.isfinite(made)).all():
            place = int(numpy.argmin(good.reshape(-1, self.dim).all(axis=0)))
            message = (
                f"{what}: component {place} is not finite: an operand has NaN or infinity, or such numbers that the "
                "result leaves single precision; normalize() them"
            )
            raise ValueError(message)
        return made

    def checked(self, a: Any, name: str, ndim: int = 0) -> NDArray[Any]:
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
        x, y = self.checked(a, "a"), self.checked(b, "b")
        if x.ndim == y.ndim == 2 and len(x) != len(y):
            message = f"a has {len(x)} rows, b has {len(y)}; give one row, or as many"
            raise ShapeError(message)
        return x, y

    def _in_no(self, arena: HDCArena | None) -> None:
        if arena is not None:
            message = (
                f"arena: it holds vectors of bsc and map; those of {self.model} are numpy arrays, which out= reuses"
            )
            raise ShapeError(message)

    def _given(self, result: NDArray[Any], out: Any, arena: HDCArena | None = None) -> NDArray[Any]:
        self._in_no(arena)
        made = self._finite(result, "the result")
        if out is None:
            return made
        target = self._target(out, result.ndim)
        if target.shape != result.shape:
            message = f"out: shape {list(target.shape)}; the result has {list(result.shape)}"
            raise ShapeError(message)
        target[...] = made
        return target

    def _target(self, out: Any, ndim: int) -> NDArray[Any]:
        target = self.checked(out, "out", ndim)
        if not target.flags.writeable:
            message = "out: it is read-only; give an array that can be written to"
            raise ValueError(message)
        return target


class HRR(_Numpy):
    """Holographic reduced representations (Plate 1995): float32 vectors, bound by circular convolution.

    Components of a random vector are near to normal, with variance 1/dim, so that its norm is about 1. Products are
    worked out in double precision by Fourier transform: about 0.5 ms for 10,000 components.
    """

    model = "hrr"
    dtype = numpy.float32

    def random(self, name: str | int, index: int = 0, arena: HDCArena | None = None) -> NDArray[Any]:
        self._in_no(arena)
        words = random_words(name, index, self.dim * _UNIFORMS // 4).reshape(self.dim, _UNIFORMS // 4)
        # of twelve uniform numbers from 0 to 1 the variance is 1, and the mean 6; four lie in a word, added two by two
        pairs = (words & _HALVES) + ((words >> numpy.uint64(16)) & _HALVES)
        halves = pairs[:, 0] + pairs[:, 1] + pairs[:, 2]
        sums = (halves & numpy.uint64(0xFFFF_FFFF)) + (halves >> numpy.uint64(32))
        centred = (2.0 * sums - _UNIFORMS * 65_535) / (2 * 65_536)
        made: NDArray[Any] = (centred / numpy.sqrt(self.dim)).astype(numpy.float32)
        return made

    def identity(self) -> NDArray[Any]:
        """1 in the first component, 0 elsewhere."""
        made = numpy.zeros(self.dim, numpy.float32)
        made[0] = 1.0
        return made

    def bind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> NDArray[Any]:
        x, y = self._pair(a, b)
        with numpy.errstate(over="ignore", invalid="ignore"):  # is seen in the result, here and below
            made = self._back(self._spectrum(x) * self._spectrum(y))
        return self._given(made, out, arena)

    def rotate(self, a: Any, shifts: int = 1) -> NDArray[Any]:
        """Frequencies are rotated instead of components: rotating one factor of a convolution rotates the product,
        whichever factor it was, so that "ab" would be "ba". Frequencies are multiplied one by one; norms and
        similarities stay. The mean (and the shortest wave of an even dimension) stay in place, as they are real."""
        spectrum = self._spectrum(self.checked(a, "a"))
        return self._given(self._back(turned(spectrum, self.dim, whole(shifts, "shifts"))), None)

    def _factors(self, rows: Any, name: str) -> NDArray[Any]:
        return self._spectrum(self.checked(rows, name, 2))

    def _from_factors(self, factors: NDArray[Any]) -> NDArray[Any]:
        return self._back(factors)

    def _turned(self, factors: NDArray[Any], shifts: int) -> NDArray[Any]:
        return turned(factors, self.dim, shifts)

    def inverse(self, a: Any, out: Any = None, arena: HDCArena | None = None) -> NDArray[Any]:
        """The exact one: 1 over the Fourier transform, which the usual approximation (the involution) only
        resembles. ValueError where a frequency is missing."""
        spectrum = self._spectrum(self.checked(a, "a"))
        if not numpy.abs(spectrum).all():
            message = "inverse: a frequency of the vector is zero, so what was bound with it is lost"
            raise ValueError(message)
        with numpy.errstate(over="ignore", invalid="ignore"):
            made = self._back(1.0 / spectrum)
        return self._given(made, out, arena)

    def unbind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> NDArray[Any]:
        x, y = self._pair(a, b)
        spectrum = self._spectrum(y)
        if not numpy.abs(spectrum).all():
            message = "unbind: a frequency of b is zero, so what was bound with it is lost"
            raise ValueError(message)
        with numpy.errstate(over="ignore", invalid="ignore"):
            made = self._back(self._spectrum(x) / spectrum)
        return self._given(made, out, arena)

    def normalize(self, a: Any) -> NDArray[Any]:
        """Norm 1; a zero vector stays."""
        x = self.checked(a, "a")
        norms = numpy.linalg.norm(x.astype(numpy.float64), axis=-1, keepdims=True)
        return self._finite(x / numpy.where(norms > 0, norms, 1.0), "normalize")

    def power(self, a: Any, exponent: ArrayLike) -> NDArray[Any]:
        """`a` bound with itself so many times; any real exponent, of which each gives a row. The frequencies are taken
        as phases alone."""
        phases = numpy.angle(self._spectrum(self.checked(a, "a", 1)))
        exponents = _exponents(exponent)
        phases[0] = 0.0  # of the mean, and of the shortest wave: these are real
        if self.dim % 2 == 0:
            phases[-1] = 0.0
        return self._back(numpy.exp(1j * numpy.multiply.outer(exponents, phases))).astype(numpy.float32)

    def product(self, rows: NDArray[Any]) -> NDArray[Any]:
        spectrum = numpy.ones(self.dim // 2 + 1, numpy.complex128)
        with numpy.errstate(over="ignore", invalid="ignore"):
            for row in self.checked(rows, "vectors", 2):
                spectrum *= self._spectrum(row)
            made = self._back(spectrum)
        return self._given(made, None)

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

    @property
    def spread(self) -> float:
        """Of two real numbers a component."""
        return 1.0 / math.sqrt(2 * self.dim)

    def random(self, name: str | int, index: int = 0, arena: HDCArena | None = None) -> NDArray[Any]:
        self._in_no(arena)
        words = random_words(name, index, -(-self.dim // 4)).view(numpy.uint16)[: self.dim]
        return _phasors()[words % _TURN]

    def identity(self) -> NDArray[Any]:
        """1 everywhere."""
        return numpy.ones(self.dim, numpy.complex64)

    def bind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> NDArray[Any]:
        x, y = self._pair(a, b)
        with numpy.errstate(over="ignore", invalid="ignore"):
            made = x * y
        return self._given(made, out, arena)

    def inverse(self, a: Any, out: Any = None, arena: HDCArena | None = None) -> NDArray[Any]:
        """1 over each component; of a phasor its conjugate. ValueError where a component is zero."""
        x = self.checked(a, "a")
        _refuse_zeros(x, "inverse: a component of the vector")
        with numpy.errstate(over="ignore", invalid="ignore"):
            made = 1.0 / x.astype(numpy.complex128)
        return self._given(made, out, arena)

    def unbind(self, a: Any, b: Any, out: Any = None, arena: HDCArena | None = None) -> NDArray[Any]:
        x, y = self._pair(a, b)
        squares = y.real * y.real
        squares += y.imag * y.imag
        if squares.size and numpy.abs(squares - 1).max() < _NEAR_UNIT:  # phasors: dividing would take ten times as long
            return self.bind(x, y.conj(), out, arena)
        _refuse_zeros(y, "unbind: a component of b")
        with numpy.errstate(over="ignore", invalid="ignore"):
            made = x / y
        return self._given(made, out, arena)

    def normalize(self, a: Any) -> NDArray[Any]:
        """Magnitude 1 everywhere; a component that is zero becomes 1."""
        return self._finite(phasors(self._finite(self.checked(a, "a"), "a").astype(numpy.complex128)), "normalize")

    def _factors(self, rows: Any, name: str) -> NDArray[Any]:
        return self.checked(rows, name, 2)

    def _from_factors(self, factors: NDArray[Any]) -> NDArray[Any]:
        return factors

    def _turned(self, factors: NDArray[Any], shifts: int) -> NDArray[Any]:
        return numpy.roll(factors, shifts, axis=-1)

    def power(self, a: Any, exponent: ArrayLike) -> NDArray[Any]:
        """`a` bound with itself so many times; any real exponent, of which each gives a row. Magnitudes count as 1."""
        phases = numpy.angle(self.checked(a, "a", 1).astype(numpy.complex128))
        made: NDArray[Any] = numpy.exp(1j * numpy.multiply.outer(_exponents(exponent), phases)).astype(numpy.complex64)
        return made


def turned(spectrum: NDArray[Any], dim: int, shifts: int) -> NDArray[Any]:
    """The half spectrum of `dim` real numbers, with its frequencies rotated."""
    end = (dim + 1) // 2
    made = spectrum.copy()
    made[..., 1:end] = numpy.roll(spectrum[..., 1:end], shifts, axis=-1)
    return made


def phasors(numbers: NDArray[Any]) -> NDArray[Any]:
    """Magnitude 1 everywhere; what is zero becomes 1."""
    size = numpy.abs(numbers)
    made: NDArray[Any] = numpy.where(size > 0, numbers / numpy.where(size > 0, size, 1.0), 1.0)
    return made


def _refuse_zeros(a: NDArray[Any], what: str) -> None:
    if not a.all():
        message = f"{what} is zero, so what was bound with it is lost"
        raise ValueError(message)


def _real(a: NDArray[Any]) -> NDArray[numpy.float32]:
    """Rows of real numbers with the same products: of complex ones the real and the imaginary parts."""
    return numpy.ascontiguousarray(numpy.atleast_2d(a)).view(numpy.float32)


def _squares(rows: NDArray[Any]) -> NDArray[Any]:
    """The square of each row's norm."""
    found: NDArray[Any] = numpy.matmul(rows[:, None, :], rows[:, :, None]).ravel()
    return found


def _cosines(left: NDArray[numpy.float32], right: NDArray[numpy.float32]) -> NDArray[numpy.float64]:
    """float64 [n, m], to about 1e-6; 0 where a norm is zero."""
    with numpy.errstate(over="ignore", invalid="ignore"):
        products = (left @ right.T).astype(numpy.float64)
        sizes = [_squares(rows).astype(numpy.float64) for rows in (left, right)]
    if not all(_held(size, rows) for size, rows in zip(sizes, (left, right), strict=True)):
        _refuse_infinite(left, "a")
        _refuse_infinite(right, "b")
        return _wide_cosines(left, right)
    norms = numpy.sqrt(numpy.outer(*sizes))
    quotients = numpy.divide(products, norms, out=numpy.zeros_like(products), where=norms > 0)
    return numpy.clip(quotients, -1.0, 1.0)


def _held(squares: NDArray[Any], rows: NDArray[Any]) -> bool:
    """Whether squares of norms are what they seem: not beyond single precision, and 0 of zeros only."""
    zero = squares == 0.0
    return bool(((squares > _SMALL) & (squares < _LARGE) | zero).all()) and not rows[zero].any()


def _refuse_infinite(rows: NDArray[Any], name: str) -> None:
    good = numpy.isfinite(rows).all(axis=1)
    if not good.all():
        message = f"{name}: row {int(numpy.argmin(good))} has a component that is not finite"
        raise ValueError(message)


def _wide_cosines(left: NDArray[numpy.float32], right: NDArray[numpy.float32]) -> NDArray[numpy.float64]:
    """The same where squares leave the range of single precision; in blocks, as doubles take twice the memory."""
    found = numpy.empty((len(left), len(right)))
    for i in range(0, len(left), _BLOCK):
        some = left[i : i + _BLOCK].astype(numpy.float64)
        for j in range(0, len(right), _BLOCK):
            others = right[j : j + _BLOCK].astype(numpy.float64)
            norms = numpy.outer(numpy.linalg.norm(some, axis=1), numpy.linalg.norm(others, axis=1))
            quotients = numpy.divide(some @ others.T, norms, out=numpy.zeros_like(norms), where=norms > 0)
            found[i : i + _BLOCK, j : j + _BLOCK] = numpy.clip(quotients, -1.0, 1.0)
    return found


@cache
def _phasors() -> NDArray[numpy.complex64]:
    """The 4,096th roots of one."""
    turns = numpy.arange(_TURN) * (2 * numpy.pi / _TURN)
    made: NDArray[numpy.complex64] = (numpy.cos(turns) + 1j * numpy.sin(turns)).astype(numpy.complex64)
    quarter = _TURN // 4
    made[[0, quarter, 2 * quarter, 3 * quarter]] = 1, 1j, -1, -1j  # cos(pi / 2) is not 0 in doubles
    made.flags.writeable = False
    return made


def _symbols(sequence: Any, name: str, items: int, least: int) -> NDArray[Any]:
    """The numbers of a sequence's symbols, checked."""
    if isinstance(sequence, str):
        found = numpy.array([ord(c) for c in sequence], numpy.int64)
    elif isinstance(sequence, bytes):
        found = numpy.frombuffer(sequence, numpy.uint8)
    else:
        found = numpy.asarray(sequence)
    if found.ndim != 1 or not (numpy.issubdtype(found.dtype, numpy.integer) or not len(found)):
        message = f"{name}: shape {list(found.shape)} of {found.dtype}; it must be a row of whole numbers"
        raise ShapeError(message)
    if len(found) < least:
        message = f"{name}: {len(found)} symbols, where n-grams of {least} need at least {least}"
        raise ValueError(message)
    bad = (found < 0) | (found >= items)
    if bad.any():
        place = int(bad.argmax())
        message = f"{name}: symbol {place} is {found[place]}; there are {items} items, 0 to {items - 1}"
        raise ValueError(message)
    return found.astype(numpy.int64)


def _exponents(values: ArrayLike) -> NDArray[Any]:
    found = numpy.asarray(values, numpy.float64)
    good = numpy.abs(found) <= _LARGEST_EXPONENT
    if not good.all():
        place = int(numpy.argmin(numpy.atleast_1d(good)))
        message = f"value {place} is not finite, or beyond 2^40 times the bandwidth, where no phase is left of it"
        raise ValueError(message)
    return found

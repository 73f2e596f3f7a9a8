"""Sums of hypervectors before a vote or a rounding: exact in all four models, whatever the order."""

from __future__ import annotations

import math
from typing import Any

import numpy
from numpy.typing import NDArray

from sophia._core import hdc
from sophia._core.accumulator import Accumulator
from sophia._core.vector import Vector
from sophia.errors import ShapeError
from sophia.hdc.space import Space

__all__ = ["Sums", "chance", "checked", "checked_rows", "cosines", "layout", "phasors", "rotated", "spread", "turned"]

_UNIT = 2.0**40  # HRR and FHRR are summed in whole parts of this size: float32 components are about 2^-30 apart
_LARGEST = 1 << 62
_ONE_ADDITION = 1 << 61
_CHUNK_BYTES = 32 << 20
_FALSE_ALARMS = 1e-3


class Sums:
    """The sum of hypervectors of a space, kept as whole numbers: int32 (BSC, MAP; bits count as +1 and -1), or int64
    parts of 2^-40 (HRR, FHRR). So nothing wraps, the order of additions never matters, and what is added and removed
    leaves no trace. 40 to 160 kB at 10,000 components; an addition takes about 5 us (BSC) to 170 us (FHRR). Not for two
    threads at once.

        >>> space = Space("hrr", 1000)
        >>> sums = Sums(space)
        >>> for name in "abc":
        ...     sums.add(space.random(name))
        >>> before = sums.numbers
        >>> sums.add(space.random("d"))
        >>> sums.subtract(space.random("d"))
        >>> bool((sums.numbers == before).all()), sums.total
        (True, 3)
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._compiled = space.model in ("bsc", "map")
        self.clear()

    def clear(self) -> None:
        """Back to nothing."""
        self._total = 0
        self._counts = Accumulator(self.space.model.upper(), self.space.dim) if self._compiled else None
        parts = 0 if self._compiled else self.space.dim * (2 if self.space.model == "fhrr" else 1)
        self._units = numpy.zeros(parts, numpy.int64)

    @property
    def total(self) -> int:
        """Vectors in the sum, each as often as it counts."""
        return self._total

    @property
    def numbers(self) -> NDArray[Any]:
        """The sums: a copy, int32, float64 (HRR) or complex128 (FHRR) [dim]."""
        if self._counts is not None:
            return numpy.array(self._counts)
        numbers = self._units / _UNIT
        return numbers.view(numpy.complex128) if self.space.model == "fhrr" else numbers

    def add(self, vectors: Any, weight: int = 1) -> None:
        """Adds a vector, or each of a list or matrix, `weight` times.

        Raises ShapeError for vectors of another space, ValueError for NaN, for a weight below 1, and where the sums
        could overflow: above 2^31 - 1 vectors, or (HRR, FHRR) where components pass 2^21. Nothing is added then.
        """
        _check_weight(weight)
        rows, count = self._rows(vectors)
        if self._counts is not None:
            if count:
                self._counts.add(rows, weight)
        else:
            self._units = self._shifted(rows, weight)
        self._total += count * weight

    def subtract(self, vector: Any, weight: int = 1) -> None:
        """Takes a vector out, `weight` times; what is left is exactly what it was without it.

        Raises as add() does; ValueError where the sums prove that it was not in them, which few vectors always do and
        many hardly ever: then nothing is taken. What cannot be proven is believed.
        """
        _check_weight(weight)
        rows, count = self._rows(vector)
        left = self._total - weight * count
        if left < 0:
            message = f"{weight * count} of {self._total} vectors; no more can be taken out than are in"
            raise ValueError(message)
        if self._counts is not None:
            try:
                trial = Accumulator.restore(self._counts.model, self._counts, self._total)
                trial.add(rows, -weight)
                self._counts = Accumulator.restore(trial.model, trial, left)  # no sum may exceed the vectors left
            except ShapeError:
                raise
            except ValueError as error:
                message = "the vector was never added (the sums could not be what they are); nothing is taken"
                raise ValueError(message) from error
        else:
            units = self._shifted(rows, -weight)
            if not left and units.any():
                message = "the vector is not the one that was added; nothing is taken"
                raise ValueError(message)
            self._units = units
        self._total = left

    def merge(self, other: Sums, shifts: int = 0) -> None:
        """Adds what another has summed, permuted by `shifts`. ShapeError for another space, ValueError where the sums
        could overflow."""
        if other.space != self.space:
            message = f"the other is of {other.space}, this of {self.space}; both must be of one space"
            raise ShapeError(message)
        if self._counts is not None and other._counts is not None:
            moved: Any = numpy.roll(numpy.asarray(other._counts), shifts)
            self._counts.merge(Accumulator.restore(self._counts.model, moved, other._total))
        else:
            width = 2 if self.space.model == "fhrr" else 1
            self._units = _bounded(self._units + numpy.roll(other._units.reshape(-1, width), shifts, axis=0).ravel())
        self._total += other._total

    def vector(self, shifts: int = 0) -> Any:
        """The sum as a vector of the space, permuted: the majority (BSC, MAP), else the plain sum. ValueError for the
        sum of nothing."""
        if not self._total:
            message = "vector: nothing was added, and the bundle of no vectors is not defined; add one first"
            raise ValueError(message)
        if self._counts is None:
            return numpy.roll(self.numbers.astype(self._dtype()), shifts)
        if not shifts % self.space.dim:
            return self._counts.bundle()
        # the sums are rotated and not the majority, since how ties are broken depends on the place
        moved: Any = numpy.roll(numpy.asarray(self._counts), shifts)
        return Accumulator.restore(self._counts.model, moved, self._total).bundle()

    def threshold(self) -> Any:
        """The normal vector that the sums are most like: the majority (BSC, MAP), of norm 1 (HRR), of magnitude 1 in
        each component (FHRR). ValueError for the sum of nothing."""
        return self.space.normalize(self.vector())

    def similarity(self, vector: Any) -> float:
        """Cosine of the sums, not rounded to a vector, with a vector; 0.0 where the sums are all zero."""
        one = checked(self.space, vector, "vector")
        if self._counts is not None:
            return self._counts.similarity(one)
        return float(cosines(self.space, self.numbers, one[None])[0])

    def unbound(self, key: Any) -> NDArray[Any]:
        """The sums, unbound with a key: numbers as those of `numbers`. HRR and FHRR correlate (Plate 1995) instead of
        dividing: dividing would multiply whatever else is in the sum at each frequency where the key has little."""
        one = checked(self.space, key, "key")
        if self._counts is not None:
            products: NDArray[Any] = numpy.asarray(self._counts) * self.space.array(one)
            return products
        if self.space.model == "fhrr":
            made: NDArray[Any] = self.numbers * one.conj()
            return made
        spectrum = numpy.fft.rfft(self.numbers) * numpy.fft.rfft(one.astype(numpy.float64)).conj()
        return numpy.fft.irfft(spectrum, n=self.space.dim)

    def unbound_vector(self, key: Any) -> Any:
        """The same as a vector of the space. ValueError for the sum of nothing."""
        made = self.vector()
        if self._compiled:
            return self.space.bind(made, checked(self.space, key, "key"))
        return self.unbound(key).astype(made.dtype)

    def copy(self) -> Sums:
        """Sums of their own."""
        made = Sums(self.space)
        made.merge(self)
        return made

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sums):
            return NotImplemented
        same = self.space == other.space and self._total == other._total
        return same and bool((self.numbers == other.numbers).all())

    __hash__ = None  # type: ignore[assignment]

    def _dtype(self) -> Any:
        return numpy.complex64 if self.space.model == "fhrr" else numpy.float32

    def _rows(self, vectors: Any) -> tuple[Any, int]:
        if isinstance(vectors, list | tuple) or getattr(vectors, "ndim", 1) == 2:
            rows = checked_rows(self.space, vectors, "vectors")
            return rows, len(rows)
        return checked(self.space, vectors, "vector"), 1

    def _shifted(self, rows: Any, weight: int) -> NDArray[Any]:
        """The sums with rows added, of HRR and FHRR."""
        units = self._units
        for row in numpy.atleast_2d(rows):
            wide = row.astype(numpy.complex128 if self.space.model == "fhrr" else numpy.float64).view(numpy.float64)
            scaled = numpy.rint(wide * _UNIT)
            if float(numpy.abs(scaled).max()) * abs(weight) > _ONE_ADDITION:
                message = "vector: a component is too large to be summed exactly; normalize() it first"
                raise ValueError(message)
            units = _bounded(units + weight * scaled.astype(numpy.int64))
        return units


def layout(space: Space) -> tuple[numpy.dtype[Any], int]:
    """The dtype and the columns of a matrix of the space."""
    dtype = {"bsc": numpy.uint8, "map": numpy.int8, "hrr": numpy.float32, "fhrr": numpy.complex64}[space.model]
    return numpy.dtype(dtype), (space.dim + 511) // 512 * 64 if space.model == "bsc" else space.dim


def checked(space: Space, a: Any, name: str) -> Any:
    """A vector of the space: a Hypervector, a float32 or complex64 array [dim], or a row of a matrix. Raises ShapeError
    for one of another space, TypeError for what is none, ValueError for NaN or infinity."""
    if space.model in ("bsc", "map"):
        core = space.model.upper()
        if isinstance(a, numpy.ndarray):
            dtype, columns = layout(space)
            if a.dtype != dtype or a.shape != (columns,):
                message = f"{name}: {a.dtype}{list(a.shape)}; a row of {space} is {dtype}[{columns}]"
                raise ShapeError(message)
            return space._row(a)
        if not isinstance(a, Vector):
            message = f"{name}: a {type(a).__name__}; {core} takes a Hypervector or a row of a matrix"
            raise TypeError(message)
        if a.model != core or a.dim != space.dim:
            message = f"{name} is {a.model} dim={a.dim}; this space is {core} dim={space.dim}"
            raise ShapeError(message)
        return a
    algebra: Any = space._algebra
    one = algebra._checked(a, name, 1)
    if not numpy.isfinite(one).all():
        message = f"{name}: component {int(numpy.argmin(numpy.isfinite(one)))} is not finite"
        raise ValueError(message)
    return one


def checked_rows(space: Space, rows: Any, name: str) -> NDArray[Any]:
    """A list of vectors, or a matrix, as a matrix of the space. Raises as `checked` does, and names the row."""
    if isinstance(rows, list | tuple):
        vectors = [checked(space, one, f"{name}: element {place}") for place, one in enumerate(rows)]
        if not vectors:
            dtype, columns = layout(space)
            return numpy.empty((0, columns), dtype)
        return numpy.stack([numpy.asarray(one) for one in vectors])
    if not isinstance(rows, numpy.ndarray):
        message = f"{name}: a {type(rows).__name__}; give a list of vectors or a matrix"
        raise TypeError(message)
    dtype, columns = layout(space)
    if rows.ndim != 2 or rows.shape[1] != columns or rows.dtype != dtype:
        message = f"{name}: {rows.dtype}{list(rows.shape)}; a matrix of {space} is {dtype}[n, {columns}]"
        raise ShapeError(message)
    step = max(1, _CHUNK_BYTES // (columns * dtype.itemsize))
    for start in range(0, len(rows), step):
        _refuse_bad(space, rows[start : start + step], start, name)
    return rows


def _refuse_bad(space: Space, rows: NDArray[Any], start: int, name: str) -> None:
    """ShapeError for bits in the padding or components that are no signs, ValueError for NaN; it names the row."""
    if space.model == "bsc":
        last = space.dim // 8
        padding = numpy.full(rows.shape[1] - last, 255, numpy.uint8)
        padding[:1] = (255 << space.dim % 8) & 255  # of the byte that the last bits share with it
        good = ~(rows[:, last:] & padding).any(axis=1)
        what = f"has a bit set past bit {space.dim - 1}; padding bits must be zero"
    elif space.model == "map":
        good = (numpy.abs(rows) == 1).all(axis=1)
        what = "has components other than -1 and +1"
    else:
        good = numpy.isfinite(rows).all(axis=1)
        if not good.all():
            message = f"{name}: row {start + int(numpy.argmin(good))} has a component that is not finite"
            raise ValueError(message)
        return
    if not good.all():
        message = f"{name}: row {start + int(numpy.argmin(good))} {what}"
        raise ShapeError(message)


def cosines(space: Space, numbers: NDArray[Any], rows: NDArray[Any]) -> NDArray[numpy.float64]:
    """Cosine of numbers (any whole ones for BSC and MAP, else float64 or complex128) with each row of a matrix: [n].

    Exact up to one rounding for BSC and MAP. Bits are never unpacked: whole numbers are cut into planes of bits, of
    which each is compared with the packed rows; about 20 ns a plane and row of 10,000 bits. Rows of HRR and FHRR are
    made doubles, 32 MB at a time.
    """
    found = numpy.zeros(len(rows))
    if space.model in ("bsc", "map"):
        whole = numbers.astype(numpy.int64)
        norm = math.sqrt(float(numpy.square(whole.astype(numpy.float64)).sum()) * space.dim)
        if norm == 0.0:
            return found
        planes, weights, divisor = _bit_planes(space, whole) if space.model == "bsc" else _digits(whole)
        step = max(1, _CHUNK_BYTES // (8 * len(weights)))
        for start in range(0, len(rows), step):
            dots = weights @ hdc.dot(planes, rows[start : start + step], dim=space.dim)
            found[start : start + step] = dots / (divisor * norm)
        return numpy.clip(found, -1.0, 1.0)
    wide = numpy.complex128 if space.model == "fhrr" else numpy.float64
    query = numbers.astype(wide)
    own = float(numpy.linalg.norm(query))
    step = max(1, _CHUNK_BYTES // query.nbytes)
    for start in range(0, len(rows), step):
        part = rows[start : start + step].astype(wide)
        products = (part @ query.conj()).real
        norms = numpy.linalg.norm(part, axis=1) * own
        numpy.divide(products, norms, out=found[start : start + step], where=norms > 0)
    return numpy.clip(found, -1.0, 1.0)


def rotated(space: Space, a: Any, shifts: int = 1) -> Any:
    """`space.permute`, except that HRR has its frequencies rotated instead of its components.

    What is bound must be permuted by something that binding does not see through: with P the permutation, that bind(P
    a, b) differs from bind(a, P b), or a product says nothing of the order of its factors. Components of HRR do not
    give that: rotating one factor of a convolution rotates the product, whichever factor it was. Rotated frequencies
    do, as they are multiplied one by one; norms and similarities stay. The mean (and the shortest wave of an even
    dimension) stay in place, as they are real.
    """
    if space.model != "hrr":
        return space.permute(a, shifts)
    return numpy.fft.irfft(turned(numpy.fft.rfft(a.astype(numpy.float64)), space.dim, shifts), n=space.dim).astype(
        numpy.float32
    )


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


def spread(space: Space) -> float:
    """The standard deviation of the similarity of two unrelated vectors, or of one and a bundle of others."""
    return 1.0 / math.sqrt(2 * space.dim if space.model == "fhrr" else space.dim)


def chance(space: Space, candidates: int) -> float:
    """What the best of so many unrelated vectors reaches by chance once in a thousand times: from this similarity on,
    something is found. sqrt(2 log(candidates / 0.001)) standard deviations: the bound of the normal law's tail."""
    return min(1.0, spread(space) * math.sqrt(2 * math.log(max(1, candidates) / _FALSE_ALARMS)))


def _bit_planes(space: Space, whole: NDArray[numpy.int64]) -> tuple[NDArray[Any], NDArray[numpy.int64], int]:
    """Packed rows and a weight of each: the weighted sum of their signs, over the divisor, is `whole`.

    A bit b is (1 - t) / 2, t being its sign; so of a count c with the bits b, 2 c is the sum of 2^p less that of 2^p t.
    The first row is all +1, and carries what is constant.
    """
    low = int(whole.min())
    counts = whole - low
    step = 1 if (counts & 1).any() else 2  # sums of n signs are all odd or all even: one plane less
    counts //= step
    planes = int(counts.max()).bit_length()
    bits = (counts[None, :] >> numpy.arange(planes)[:, None]) & 1
    rows = numpy.zeros((planes + 1, space.identity().nbytes), numpy.uint8)
    rows[1:, : (space.dim + 7) // 8] = numpy.packbits(bits.astype(numpy.uint8), axis=1, bitorder="little")
    weights = [2 * low + step * ((1 << planes) - 1), *(-step << p for p in range(planes))]
    return rows, numpy.array(weights, numpy.int64), 2


def _digits(whole: NDArray[numpy.int64]) -> tuple[NDArray[Any], NDArray[numpy.int64], int]:
    """Digits to the base of 256, from -128 to 127, as int8 rows; the worth of each place; and 1."""
    rest, digits = whole, []
    while rest.any():
        digit = ((rest + 128) & 255) - 128
        digits.append(digit.astype(numpy.int8))
        rest = (rest - digit) >> 8
    return numpy.stack(digits), numpy.array([1 << 8 * place for place in range(len(digits))], numpy.int64), 1


def _bounded(units: NDArray[numpy.int64]) -> NDArray[numpy.int64]:
    if units.size and max(int(units.max()), -int(units.min())) > _LARGEST:
        message = "the sums would pass 2^22 in a component and could overflow; clear() or use a sum of its own"
        raise ValueError(message)
    return units


def _check_weight(weight: int) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight < 1 << 31:
        message = f"weight is {weight!r}; it is a whole number of times, from 1 to {(1 << 31) - 1}"
        raise ValueError(message)

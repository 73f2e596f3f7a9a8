"""How much sums are like vectors: exact cosines with packed rows, which are never unpacked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy

from sophia._core import hdc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sophia.hdc.space import Space

__all__ = ["cosines"]

_CHUNK_BYTES = 32 << 20


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

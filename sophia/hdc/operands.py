"""Operands of a space: what its vectors and matrices are, and whether something is one."""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

from sophia._core.vector import Vector
from sophia.errors import ShapeError
from sophia.hdc.space import Space

__all__ = ["checked", "checked_rows", "layout"]

_CHUNK_BYTES = 32 << 20


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
            return space.vector(a)
        if not isinstance(a, Vector):
            message = f"{name}: a {type(a).__name__}; {core} takes a Hypervector or a row of a matrix"
            raise TypeError(message)
        if a.model != core or a.dim != space.dim:
            message = f"{name} is {a.model} dim={a.dim}; this space is {core} dim={space.dim}"
            raise ShapeError(message)
        return a
    one: NDArray[Any] = space.algebra.checked(a, name, 1)
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

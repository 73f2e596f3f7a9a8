"""Foreign memory is refused with a word on what, where and how to mend it."""

from __future__ import annotations

import array

import numpy as np
import pytest

from sophia._core import buffer, rows
from sophia._core.vector import Hypervector
from sophia.errors import ShapeError


@pytest.mark.parametrize(
    "name",
    ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64", "bool"],
)
def test_every_dtype_is_known_by_its_numpy_name(name: str) -> None:
    assert buffer.describe(np.zeros((2, 3), name)) == (name, (2, 3))


def test_other_exporters() -> None:
    assert buffer.describe(array.array("d", [1.0])) == ("float64", (1,))
    assert buffer.describe(memoryview(b"abcd")) == ("uint8", (4,))
    assert buffer.describe(np.array(1.0)) == ("float64", ())


def test_refusals_name_the_argument_the_value_and_the_cure() -> None:
    with pytest.raises(TypeError, match="source: a list has no buffer; give a numpy array"):
        buffer.describe([1, 2])
    with pytest.raises(ShapeError, match=r"not C-contiguous; pass numpy.ascontiguousarray\(source\)"):
        buffer.describe(np.zeros((4, 4))[:, ::2])
    with pytest.raises(ShapeError, match=r"dtype complex128|dtype Zd"):
        buffer.describe(np.zeros(3, complex))
    with pytest.raises(ShapeError, match="dtype"):
        buffer.describe(np.zeros(3, ">u4"))
    with pytest.raises(ShapeError, match="source: dtype float64 where uint8 or int8 or uint64 is needed"):
        Hypervector.from_buffer(np.zeros(10_000))
    with pytest.raises(ShapeError, match="2 dimensions"):
        Hypervector.from_buffer(np.zeros((1, 1280), np.uint8))
    with pytest.raises(ShapeError, match="must start at a multiple of 8 bytes"):
        rows.shape_of(np.zeros(1281, np.uint8)[1:])


def test_a_refused_buffer_is_let_go() -> None:
    data = bytearray(16)
    with pytest.raises(ShapeError):
        Hypervector.from_buffer(data)
    data.extend(b"still mine to resize")

"""Foreign memory is refused with a word on what, where and how to mend it."""

from __future__ import annotations

import array

import numpy as np
import pytest

from sophia._core import buffer, rows
from sophia._core.vector import Hypervector
from sophia.errors import ShapeError
from tests.oracle.hash import hash_bytes


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


@pytest.mark.parametrize("size", [0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 100, 4096])
def test_a_digest_is_that_of_the_oracle(size: int) -> None:
    data = bytes(i * 37 % 251 for i in range(size))
    low, high = hash_bytes(data, 0x534F504844494731)
    assert buffer.digest(data) == low.to_bytes(8, "little") + high.to_bytes(8, "little")
    assert buffer.digest(np.frombuffer(data, np.uint8)) == buffer.digest(memoryview(data)) == buffer.digest(data)


def test_a_digest_tells_every_turned_bit() -> None:
    data = bytearray(range(97))
    found = {buffer.digest(data)}
    for at in range(8 * len(data)):
        data[at // 8] ^= 1 << at % 8
        found.add(buffer.digest(data))
        data[at // 8] ^= 1 << at % 8
    assert len(found) == 8 * len(data) + 1


def test_a_digest_needs_one_block_of_memory() -> None:
    assert buffer.digest(np.zeros((2, 8), np.int64)) == buffer.digest(bytes(128))
    with pytest.raises(TypeError, match=r"contiguous"):
        buffer.digest(np.zeros((2, 8), np.uint8)[:, ::2])
    with pytest.raises(TypeError):
        buffer.digest("text")

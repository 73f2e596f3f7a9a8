"""Hypervectors: what they accept, how they leave, and that a frozen one stays frozen."""

from __future__ import annotations

import ctypes
import gc
import pickle
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest

from sophia._core import hdc, vector
from sophia._core.arena import HDCArena
from sophia._core.vector import Hypervector, SharedVector, Vector
from sophia.errors import ShapeError

DIMS = [64, 65, 100, 512, 513, 1024, 10_000]
pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize("model", ["BSC", "MAP"])
@pytest.mark.parametrize("dim", DIMS)
def test_layout(model: str, dim: int) -> None:
    made = hdc.random("a", dim=dim, model=model)
    view = np.asarray(made)
    assert made.nbytes % 64 == 0
    assert view.ctypes.data % 64 == 0
    assert len(made) == made.dim == dim
    assert made.model == model
    assert view.dtype == (np.uint8 if model == "BSC" else np.int8)
    assert view.shape == (made.nbytes if model == "BSC" else dim,)
    assert not view.flags.writeable
    payload = (dim + 7) // 8 if model == "BSC" else dim
    assert len(made.tobytes()) == payload
    assert not any(view.tobytes()[payload:])
    assert repr(made) == f"<Hypervector {model} dim={dim}>"


def test_ten_thousand_bits_take_1280_bytes() -> None:
    assert Hypervector("BSC", 10_000).nbytes == 1280


def test_no_writable_buffer() -> None:
    for made in (hdc.random("a"), hdc.random("a").freeze()):
        with pytest.raises(TypeError):
            memoryview(made)[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            np.asarray(made).setflags(write=True)
        with pytest.raises((BufferError, TypeError), match=r"read-only|writable"):
            (ctypes.c_char * 1).from_buffer(made)


@pytest.mark.parametrize("dim", DIMS)
def test_round_trips(dim: int) -> None:
    for model in ("BSC", "MAP"):
        made = hdc.random("a", dim=dim, model=model)
        assert Hypervector.from_bytes(made.tobytes(), dim, model) == made
        assert Hypervector.from_buffer(np.asarray(made), dim) == made
        assert SharedVector.from_bytes(made.tobytes(), dim, model) == made
        assert made.copy() == made
        assert made.copy() is not made


def test_packed_bits_come_padded_or_not() -> None:
    bits = hdc.random("a").tobytes()
    for size in (1250, 1256, 1280):
        assert Hypervector.from_buffer(np.frombuffer(bits.ljust(size, b"\0"), np.uint8)) == hdc.random("a")
    words = np.frombuffer(bits.ljust(1256, b"\0"), np.uint64)
    assert Hypervector.from_buffer(words) == hdc.random("a")
    with pytest.raises(ShapeError, match="1249 bytes of packed bits where dim=10000 needs 1250"):
        Hypervector.from_buffer(bits[:-1])


def test_padding_bits_are_refused_or_cleared_on_request() -> None:
    data = bytearray(hdc.random("a", dim=100).tobytes())
    data[-1] |= 0x80
    with pytest.raises(ShapeError, match=r"padding bit .past bit 99. is set; pass clear_padding=True"):
        Hypervector.from_buffer(data, 100)
    assert Hypervector.from_buffer(data, 100, clear_padding=True) == hdc.random("a", dim=100)
    wide = bytearray(1280)
    wide[1279] = 1
    with pytest.raises(ShapeError, match="past bit 9999"):
        Hypervector.from_buffer(wide)


@pytest.mark.parametrize("bad", [0, 2, -2, 127, -128])
@pytest.mark.parametrize("at", [0, 63, 4095, 4096, 9999])
def test_bipolar_values_only(bad: int, at: int) -> None:
    values = np.asarray(hdc.random("a", model="MAP")).copy()
    values[at] = bad
    with pytest.raises(ShapeError, match=rf"component {at} is {bad}; a MAP vector holds only -1 and \+1"):
        Hypervector.from_buffer(values)


def test_lengths_and_words_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="dim: 63 is outside 64"):
        Hypervector("BSC", 63)
    with pytest.raises(ShapeError, match="dim: 8388609 is outside"):
        Hypervector("MAP", (1 << 23) + 1)
    with pytest.raises(ValueError, match="'HRR' is not compiled; choose 'BSC'"):
        Hypervector("HRR")
    with pytest.raises(ShapeError, match="100 components where dim=101"):
        Hypervector.from_buffer(np.ones(100, np.int8), 101)
    with pytest.raises(ShapeError, match="7 bytes where BSC with dim=64 has 8"):
        Hypervector.from_bytes(bytes(7), 64)
    with pytest.raises(TypeError, match="Hypervector or a SharedVector"):
        Vector()
    with pytest.raises(TypeError, match=r"freeze\(\)"):
        SharedVector()
    with pytest.raises(TypeError, match="already initialised"):
        hdc.random("a").__init__("BSC", 64)


@pytest.mark.parametrize("kind", [Hypervector, SharedVector])
def test_an_object_that_new_alone_made_is_refused(kind: type[Vector]) -> None:
    empty = kind.__new__(kind)
    for use in (
        empty.tobytes,
        empty.copy,
        empty.freeze,
        lambda: memoryview(empty),
        lambda: hdc.bind(empty, empty),
    ):
        with pytest.raises(TypeError, match="__new__"):
            use()


def test_equality_and_hash() -> None:
    a, b = hdc.random("a"), hdc.random("b")
    assert a != b
    assert a == a.freeze()
    assert a.freeze() == a
    assert a != hdc.random("a", dim=9_984)
    assert hdc.identity(dim=64) != hdc.identity(dim=64, model="MAP")
    assert a != 3
    assert hash(a.freeze()) == hash(a.freeze(key=5))
    assert len({a.freeze(), a.copy().freeze(), b.freeze()}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(a)


def test_digest_is_keyed_cached_and_of_model_and_length() -> None:
    shared = hdc.random("a").freeze()
    assert shared.digest == shared.digest == hdc.random("a").freeze().digest
    assert shared.digest != hdc.random("a").freeze(key=1).digest
    assert hdc.random("a").freeze(key=1).key == 1
    assert 0 < shared.digest < 1 << 64
    # equal payload bytes, different model or length
    ones = Hypervector.from_buffer(np.ones(64, np.int8)).freeze()
    bits = Hypervector.from_buffer(np.frombuffer(b"\1" * 64, np.uint8), 512).freeze()
    assert ones.tobytes() == bits.tobytes()
    assert ones.digest != bits.digest
    zeros = {hdc.identity(dim=dim).freeze().digest for dim in range(64, 129)}
    assert len(zeros) == 65


def test_digests_are_the_same_in_every_process() -> None:
    assert hdc.identity(dim=64).freeze().digest == 7368802719403644837


def test_freezing_copies_once_and_then_never() -> None:
    working = hdc.random("a")
    shared = working.freeze()
    hdc.bind(working, hdc.random("b"), out=working)
    assert shared == hdc.random("a")
    assert shared.freeze() is shared
    assert shared.freeze(key=9) is not shared


def test_numpy_arrow_and_dlpack_share_the_bytes_and_outlive_the_vector() -> None:
    for model, name in (("BSC", "uint8"), ("MAP", "int8")):
        shared = hdc.random("a", model=model).freeze()
        expected = np.asarray(shared).tobytes()
        viewed = np.asarray(shared)
        arrow = pa.array(shared)
        tensor = np.from_dlpack(shared)
        wrapped = pa.py_buffer(shared)
        where = viewed.ctypes.data
        assert arrow.buffers()[1].address == tensor.ctypes.data == wrapped.address == where
        assert str(arrow.type) == str(tensor.dtype) == name
        assert not tensor.flags.writeable
        assert shared.references == 3
        del shared
        gc.collect()
        assert viewed.tobytes() == tensor.tobytes() == wrapped.to_pybytes() == expected
        assert arrow.to_numpy().tobytes() == expected


def test_unconsumed_exports_let_go() -> None:
    shared = hdc.random("a").freeze()
    capsules = [shared.__arrow_c_array__(), shared.__dlpack__(max_version=(1, 0))]
    assert shared.references == 3
    del capsules
    assert shared.references == 1


def test_dlpack_refuses_what_it_cannot_keep() -> None:
    shared = hdc.random("a").freeze()
    assert shared.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match="read-only"):
        shared.__dlpack__()
    with pytest.raises(BufferError, match="device"):
        shared.__dlpack__(max_version=(1, 0), dl_device=(2, 0))
    with pytest.raises(BufferError, match="without a copy"):
        shared.__dlpack__(max_version=(1, 0), copy=True)
    with pytest.raises(ValueError, match="stream"):
        shared.__dlpack__(max_version=(1, 0), stream=1)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_hold_the_vector_and_nothing_else(protocol: int) -> None:
    for made in (hdc.random("a"), hdc.random("a").freeze(7), hdc.random("a", model="MAP")):
        data = pickle.dumps(made, protocol)
        again = pickle.loads(data)
        assert type(again) is type(made)
        assert again == made
        if protocol >= 3:
            assert len(data) <= len(made.tobytes()) + 128
    shared = pickle.loads(pickle.dumps(hdc.random("a").freeze(7)))
    assert shared.key == 7


def test_two_vectors_of_a_matrix_of_200_pickle_small() -> None:
    """Not the whole storage: 2 int8 vectors out of 200 are 20 KB, not 2 MB."""
    matrix = hdc.random_rows(200, "m", model="MAP")
    two = [Hypervector.from_buffer(matrix[i]) for i in (3, 4)]
    assert len(pickle.dumps(two)) < 21_000


def test_a_damaged_pickle_is_refused() -> None:
    made = hdc.random("a", dim=100)
    kind, arguments = made.__reduce__()
    with pytest.raises(ShapeError):
        kind(*arguments[:3], arguments[3][:-1])
    with pytest.raises(ShapeError, match="padding bit"):
        kind(*arguments[:3], b"\xff" * 13)


def test_a_thread_takes_its_pool_along() -> None:
    if vector.set_pool_blocks(64) == 0:
        pytest.skip("built without a pool, as for AddressSanitizer")
    counters = []

    def work() -> None:
        for _ in range(200):
            hdc.bind(hdc.random("a"), hdc.random("b"))
        counters.append(vector.pool_counters())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert counters[0]["misses"] <= 3
    assert counters[0]["hits"] >= 597


def test_the_pool_is_bounded() -> None:
    made = [hdc.random(i) for i in range(500)]
    del made
    counters = vector.pool_counters()
    assert counters["blocks"] <= 8 * 64
    assert counters["bytes"] <= 8 << 20


def test_no_reference_cycle_keeps_a_vector() -> None:
    class Holder:
        def __init__(self) -> None:
            self.vector = hdc.random("a").freeze()

    holder = Holder()
    ref = weakref.ref(holder)
    del holder
    assert ref() is None


def test_the_pool_can_be_turned_off() -> None:
    before = vector.set_pool_blocks(0)
    try:
        kept = [hdc.random(i) for i in range(64)]  # what is in the list is still used
        misses = vector.pool_counters()["misses"]
        for _ in range(10):
            hdc.bind(hdc.random("a"), hdc.random("b"))
        assert vector.pool_counters()["misses"] == misses + 30
        assert len(kept) == 64
    finally:
        assert vector.set_pool_blocks(before) == 0
    assert vector.set_pool_blocks(1000) == before
    assert vector.set_pool_blocks(before) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda number: Hypervector(dim=number),
        lambda number: Hypervector().freeze(number),
        lambda number: Hypervector().freeze().freeze(key=number),
        lambda number: SharedVector.from_bytes(bytes(8), 64, "BSC", number),
        lambda number: HDCArena(chunk_bytes=number),
        lambda number: HDCArena(limit_bytes=number),
        lambda number: vector.set_pool_blocks(number),
    ],
)
def test_no_number_is_cut(call: Callable[[object], object]) -> None:
    for number in (4096.5, 4096.0, "4096", None, 1e300):
        with pytest.raises(TypeError):
            call(number)


@pytest.mark.parametrize("key", [-1, 1 << 64])
def test_a_key_is_64_bits(key: int) -> None:
    with pytest.raises(ValueError, match=f"key is {key}; it is 0 to 2"):
        Hypervector().freeze(key)
    assert Hypervector().freeze((1 << 64) - 1).key == (1 << 64) - 1

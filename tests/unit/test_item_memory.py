"""Item memories: contents, searches, growth, and files that are whole or refused."""

from __future__ import annotations

import json
import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia._core.vector import Hypervector
from sophia.errors import ConfigError, InputError, ShapeError, StoreCorrupt, StoreVersionError
from sophia.hdc import MODELS, Hit, ItemMemory, Space
from sophia.hdc import memory as memory_module

DIM = 640
HEADER = 256
models = pytest.mark.parametrize("model", MODELS)


def filled(model: str, n: int = 20, dim: int = DIM) -> ItemMemory:
    memory = ItemMemory(Space(model, dim, seed=3))
    memory.add_many(memory.space.random_rows(n, "x"), [f"k{i}" for i in range(n)])
    return memory


def same(memory: ItemMemory, expected: dict[Any, Any]) -> bool:
    return set(memory.keys) == set(expected) and all(
        numpy.array_equal(numpy.asarray(memory[key]), numpy.asarray(one)) for key, one in expected.items()
    )


# -------------------------------------------------------------------------------------------------------- what it holds


@models
@given(data=st.data())
def test_it_is_a_dictionary_of_vectors(model: str, data: st.DataObject) -> None:
    space = Space(model, 64)
    memory, expected = ItemMemory(space), {}
    for step in range(data.draw(st.integers(0, 30))):
        key = data.draw(st.one_of(st.integers(-3, 6), st.sampled_from(["", "a", "1", "\ud800"])))
        what = data.draw(st.sampled_from(["add", "add", "remove", "many", "numbered", "shrink"]))
        one = space.random(step)
        if what == "shrink":
            memory.shrink()
            assert memory.reserved == memory.nbytes
        elif what == "numbered":
            numbers = list(range(len(memory), len(memory) + 2))
            rows = space.random_rows(2, step)
            if any(number in expected for number in numbers):
                first = 1 + max(key for key in expected if isinstance(key, int))
                numbers = [first, first + 1]
            memory.add_many(rows)
            expected |= {number: space.vector(row) for number, row in zip(numbers, rows, strict=True)}
        elif what == "many":
            with pytest.raises(ValueError, match="is there already"):
                memory.add_many([one, one], [key, key])
        elif what == "remove" and key not in expected:
            with pytest.raises(KeyError, match="is no key of this memory"):
                memory.remove(key)
        elif what == "remove":
            memory.remove(key)
            del expected[key]
        elif key in expected:
            with pytest.raises(ValueError, match="is there already"):
                memory.add(key, one)
        else:
            memory.add(key, one)
            expected[key] = one
        assert len(memory) == len(expected)
        assert (key in memory) == (key in expected)
    assert same(memory, expected)
    assert list(memory) == memory.keys
    assert len(memory.rows) == len(expected)


def test_the_last_row_moves_into_a_gap() -> None:
    memory = filled("bsc", 4)
    last = memory["k3"]
    memory.remove("k1")
    assert memory.keys == ["k0", "k3", "k2"]
    assert memory["k3"] == last
    memory.remove("k2")
    assert memory.keys == ["k0", "k3"]
    memory.clear()
    assert len(memory) == memory.nbytes == memory.reserved == 0


@models
def test_rows_are_given_in_place_and_not_to_be_written(model: str) -> None:
    memory = filled(model)
    assert numpy.array_equal(memory.rows, memory.space.random_rows(20, "x"))
    assert memory.rows.ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        memory.rows[0] = 0
    held = memory.rows
    before = held.copy()
    memory.add_many(memory.space.random_rows(500, "more"))
    assert numpy.array_equal(held, before)
    assert numpy.array_equal(memory.rows[:20], before)


def test_where_addresses_are_short_it_asks_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, most = memory_module._anonymous, 10 * 1_280

    def limited(size: int) -> Any:
        if size > most:
            raise OSError(12, "Cannot allocate memory")
        return whole(size)

    monkeypatch.setattr(memory_module, "_anonymous", limited)
    space = Space("bsc")
    memory = ItemMemory(space)
    memory.add_many(space.random_rows(5, "x"))
    assert memory.reserved == memory.nbytes
    held = memory.rows  # so that growing needs another block
    memory.add("more", space.random("more"))
    assert memory.reserved == 6 * 1_280  # a quarter more, where twice as much is not to be had
    held = memory.rows
    with pytest.raises(MemoryError, match="no memory for 16 rows of 1280 bytes"):
        memory.add_many(space.random_rows(10, "y"), [f"y{i}" for i in range(10)])
    assert len(memory) == len(held) == 6
    assert memory.cleanup(space.random("x", 4)).key == 4
    with pytest.raises(MemoryError, match="no memory for"):
        ItemMemory(space).add_many(space.random_rows(11, "x"))


def test_a_copy_is_given_out() -> None:
    memory = filled("fhrr", 2)
    memory["k0"][:] = 0
    assert memory["k0"].all()


@pytest.mark.memory
def test_a_vector_takes_its_bytes_and_no_more() -> None:
    """1,280 bytes for 10,000 bits: what is reserved ahead is not resident, and growing never holds two copies."""
    import psutil

    process, space, rows = psutil.Process(), Space("bsc"), 40_000
    part = space.random_rows(1_000, "x")
    memory = ItemMemory(space)
    memory.add_many(part)
    before = process.memory_info().rss
    most = 0
    for _ in range(rows // 1_000 - 1):
        memory.add_many(part)
        most = max(most, process.memory_info().rss - before)
    assert memory.nbytes == rows * 1_280 <= memory.reserved
    assert most <= 1.01 * memory.nbytes + (1 << 20)
    memory.shrink()
    assert memory.reserved == memory.nbytes
    assert process.memory_info().rss - before <= 1.01 * memory.nbytes + (1 << 20)
    assert memory.keys[-1] == rows - 1


# ------------------------------------------------------------------------------------------------------------ searching


@models
@given(seed=st.integers(0, 10**6), k=st.integers(1, 30))
def test_the_nearest_are_those_of_a_plain_scan(model: str, seed: int, k: int) -> None:
    space = Space(model, 64)
    memory = ItemMemory(space)
    rows = space.random_rows(25, seed)
    rows[7] = rows[3]  # equal ones come in row order
    memory.add_many(rows)
    queries = [space.bundle(space.vector(rows[3]), space.random(seed), space.random("noise")), space.random("other")]
    for query, found in zip(queries, memory.top_k(queries, k), strict=True):
        wide, one = (space.array(each).astype(numpy.complex128) for each in (rows, numpy.asarray(query)))
        scores = (wide @ one.conj()).real / numpy.linalg.norm(wide, axis=1) / numpy.linalg.norm(one)
        order = numpy.argsort(-numpy.round(scores, 12), kind="stable")[:k]
        assert [hit.key for hit in found] == order.tolist()
        assert numpy.allclose([hit.score for hit in found], scores[order], atol=1e-12)
        assert memory.top_k(query, k) == found
        numbers = space.array(query)
        assert [hit.key for hit in memory.nearest(numbers, k)] == order.tolist()
        assert [hit.key for hit in memory.nearest(numbers, k, 0.1)] == [i for i in order.tolist() if scores[i] >= 0.1]


@pytest.mark.parametrize("model", ["bsc", "map"])
def test_searches_at_every_level(model: str, simd: str) -> None:
    memory = filled(model, 200, 10_000)
    noisy = memory.space.bundle(memory["k17"], memory.space.random("n"), memory.space.random("m"))
    scores = memory.space.similarity(noisy, memory.rows)
    assert memory.cleanup(noisy) == Hit("k17", float(scores[17]))
    assert [hit.score for hit in memory.top_k(noisy, 200)] == sorted(scores.tolist(), reverse=True)
    assert memory.nearest(memory.space.array(noisy), 1)[0].score == pytest.approx(scores[17], abs=1e-12)


@models
def test_cleanup(model: str) -> None:
    memory = filled(model, 50, 2000)
    space = memory.space
    noisy = space.bundle(memory["k7"], space.random("noise"), space.random("more"))
    assert memory.cleanup(noisy).key == "k7"
    assert memory.cleanup(noisy, 0.9).key is None
    assert memory.cleanup(noisy, 0.9).score == memory.cleanup(noisy).score
    assert memory.cleanup(memory["k3"], 1.0 - 1e-6).key == "k3"
    found = [memory.cleanup(space.random(number)).key for number in range(100)]
    assert found.count(None) >= 98  # by chance one in a thousand
    assert memory.cleanup(space.random(1), -1.0).key is not None


def test_chance_is_what_the_best_of_unrelated_vectors_reaches() -> None:
    space = Space("bsc", 1000)
    best = [space.similarity(space.random(i), space.random_rows(50, f"rows {i}")).max() for i in range(300)]
    assert numpy.mean(numpy.array(best) >= space.algebra.chance(50)) < 0.01
    assert numpy.quantile(best, 0.95) > 0.6 * space.algebra.chance(50)
    assert space.algebra.chance(10**9) < 1.0 == Space("bsc", 64).algebra.chance(10**30)


@pytest.mark.parametrize("model", ["hrr", "fhrr"])
@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_sizes_that_single_precision_cannot_square(model: str, size: float) -> None:
    space = Space(model, 128)
    rows = space.random_rows(20, "x")
    memory = ItemMemory(space)
    memory.add_many((rows * size).astype(rows.dtype))
    assert [hit.key for hit in memory.top_k(rows, 1)[7]] == [7]
    assert memory.cleanup((rows[3] * size).astype(rows.dtype)).score == pytest.approx(1.0, abs=1e-5)


def test_zero_vectors_are_like_nothing() -> None:
    space = Space("hrr", 128)
    memory = ItemMemory(space)
    memory.add_many([numpy.zeros(128, numpy.float32), space.random("a")])
    assert memory.cleanup(numpy.zeros(128, numpy.float32)) == Hit(None, 0.0)
    assert [hit.key for hit in memory.top_k(space.random("a"), 2)] == [1, 0]
    assert [hit.score for hit in memory.nearest(numpy.zeros(128), 2)] == [0.0, 0.0]


# -------------------------------------------------------------------------------------------------------- what is wrong


@models
def test_what_is_no_vector_of_the_space(model: str) -> None:
    memory = filled(model)
    other = Space("hrr" if model != "hrr" else "fhrr", DIM).random("a")
    wrong: list[Any] = [Space(model, 704).random("a"), other, None, "a", 3, numpy.ones(DIM), numpy.ones((2, 2, DIM))]
    for one in wrong:
        for call in (memory.cleanup, lambda one: memory.add("new", one), lambda one: memory.add_many([one], ["new"])):
            with pytest.raises((ShapeError, TypeError)):
                call(one)
    for matrix in (numpy.ones((2, 7), memory.rows.dtype), memory.rows.view(numpy.uint16), "abc"):
        with pytest.raises((ShapeError, TypeError)):
            memory.add_many(matrix)
    with pytest.raises(ShapeError, match="2 of them for 1 rows"):
        memory.add_many(memory.rows[:1], ["a", "b"])
    assert len(memory) == 20


@models
def test_bad_components_are_named(model: str) -> None:
    memory = ItemMemory(Space(model, 130))
    rows = memory.space.random_rows(3, "x")
    bad = rows.copy()
    if model == "bsc":
        bad[1, 17] |= 4  # bit 138
        words = r"matrix: row 1 has a bit set past bit 129"
    elif model == "map":
        bad[1, 5] = 0
        words = r"matrix: row 1 has components other than"
    else:
        bad[1, 5] = numpy.nan
        words = r"matrix: row 1 has a component that is not finite"
    with pytest.raises(ValueError, match=words):
        memory.add_many(bad)
    with pytest.raises(ValueError, match=r"bit|component"):
        memory.add("a", bad[1])
    with pytest.raises(ValueError, match=r"bit|component"):
        memory.add_many([rows[0], bad[1]], ["a", "b"])
    assert len(memory) == 0


def test_keys_and_numbers_that_cannot_be() -> None:
    memory = filled("bsc")
    one = memory.space.random("a")
    for key in (1.5, None, True, b"a", ("a",)):
        with pytest.raises(TypeError, match="a key is a str or an int"):
            memory.add(key, one)  # type: ignore[arg-type]
        assert key not in memory
    with pytest.raises(ValueError, match="64 bits"):
        memory.add(1 << 63, one)
    with pytest.raises(KeyError, match="'new' is no key of this memory of 20 items"):
        memory["new"]
    for k in (0, -1, True, 1.0, 65_537):
        with pytest.raises(ValueError, match="k is"):
            memory.top_k(one, k)  # type: ignore[arg-type]
    for threshold in (1.1, -1.1, float("nan")):
        with pytest.raises(ValueError, match="threshold is"):
            memory.cleanup(one, threshold)
    assert memory.top_k([], 3) == []
    with pytest.raises(ValueError, match="the item memory is empty"):
        ItemMemory(memory.space).cleanup(one)


# ---------------------------------------------------------------------------------------------------------------- files


@models
@pytest.mark.parametrize("keys", [None, ["b", -5, "\ud800", "ä", 7]])
def test_a_file_and_back(model: str, keys: list[Any] | None, tmp_path: Path) -> None:
    space, path = Space(model, 700, seed=9), tmp_path / "new" / "items"
    memory = ItemMemory(space)
    memory.add_many(space.random_rows(5, "x"), keys)
    memory.save(path)
    for mapped in (True, False):
        found = ItemMemory.load(path, mmap=mapped)
        assert found.mapped == mapped
        assert found.space == space
        assert found.keys == memory.keys
        assert numpy.array_equal(found.rows, memory.rows)
        assert found.rows.ctypes.data % 64 == 0
        assert found.cleanup(memory[memory.keys[3]]).key == memory.keys[3]
        assert found.reserved == (0 if mapped else found.nbytes)
    assert list(path.parent.iterdir()) == [path]
    assert ItemMemory.load(path, verify=False).keys == memory.keys


@models
def test_a_map_is_copied_before_it_is_written(model: str, tmp_path: Path) -> None:
    memory, path = filled(model), tmp_path / "items"
    memory.save(path)
    data = path.read_bytes()
    for change in (
        lambda m: m.add("new", m.space.random("new")),
        lambda m: m.add_many(m.space.random_rows(3, "new")),
        lambda m: m.remove("k0"),
    ):
        found = ItemMemory.load(path)
        change(found)
        assert not found.mapped
        assert path.read_bytes() == data
        expected = filled(model)
        change(expected)
        assert found.keys == expected.keys
        assert numpy.array_equal(found.rows, expected.rows)
    found = ItemMemory.load(path)
    found.shrink()
    assert found.mapped
    found.save(path)  # over the file that it is mapped from
    assert numpy.array_equal(found.rows, ItemMemory.load(path).rows)


def test_an_empty_memory_is_kept_too(tmp_path: Path) -> None:
    ItemMemory(Space("map", 100)).save(tmp_path / "items")
    found = ItemMemory.load(tmp_path / "items")
    assert len(found) == 0
    found.add("a", found.space.random("a"))
    assert found.keys == ["a"]


@models
def test_two_of_200_are_written_as_two(model: str, tmp_path: Path) -> None:
    """Elsewhere a slice of 2 rows was saved with the 200 that it was cut from."""
    memory = filled(model, 200, 10_000)
    chosen = memory.select(["k150", "k7"])
    assert chosen.keys == ["k150", "k7"]
    assert numpy.array_equal(chosen.rows, memory.rows[[150, 7]])
    chosen.save(tmp_path / "items")
    assert (tmp_path / "items").stat().st_size == HEADER + 2 * memory.rows[:1].nbytes + len('["k150","k7"]')
    with pytest.raises(KeyError, match="no key"):
        memory.select(["k1", "z"])


@models
def test_every_byte_is_guarded(model: str, tmp_path: Path) -> None:
    """A byte changed anywhere, or the file cut off or continued anywhere, is told; nothing else is raised."""
    memory, path, target = filled(model, 3, 64), tmp_path / "items", tmp_path / "damaged"
    memory.save(path)
    data = path.read_bytes()
    step = 1 if len(data) < 1_000 else 7
    for place in [*range(HEADER), *range(HEADER, len(data), step), len(data) - 1]:
        target.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
        with pytest.raises(StoreCorrupt, match="damaged"):
            ItemMemory.load(target)
    for size in [*range(0, len(data), step), len(data) - 1]:
        target.write_bytes(data[:size])
        with pytest.raises(StoreCorrupt, match=r"damaged"):
            ItemMemory.load(target)
    target.write_bytes(data + b"\0")
    with pytest.raises(StoreCorrupt, match="damaged"):
        ItemMemory.load(target)


def resealed(data: bytes, at: int, form: str, *values: Any) -> bytes:
    """The file with other fields, and the checksum of its header made right again."""
    edited = bytearray(data)
    struct.pack_into(form, edited, at, *values)
    edited[HEADER - 16 : HEADER] = blake2b(edited[: HEADER - 16], digest_size=16).digest()
    return bytes(edited)


@pytest.mark.parametrize(
    ("at", "form", "value", "words"),
    [
        (12, "<4s", b"abc\0", "model is 'unknown'"),
        (12, "<4s", b"\xff\xff\xff\xff", "model is 'unknown'"),
        (16, "<Q", 63, "dim is 63"),
        (16, "<Q", 1 << 63, "dim is"),
        (16, "<Q", 1000, "cannot be"),
        (32, "<Q", 4, "cannot be"),
        (32, "<Q", 1 << 60, "cannot be"),
        (40, "<Q", 65, "cannot be"),
        (48, "<Q", 320, "cannot be"),
        (56, "<Q", 0, "cannot be"),
        (64, "<Q", 10, "cannot be"),
        (64, "<Q", 1000, "bytes are there of 1000"),
    ],
)
def test_headers_that_lie(at: int, form: str, value: Any, words: str, tmp_path: Path) -> None:
    memory, path = filled("bsc", 3, 64), tmp_path / "items"
    memory.save(path)
    path.write_bytes(resealed(path.read_bytes(), at, form, value))
    with pytest.raises(StoreCorrupt, match=words):
        ItemMemory.load(path)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (b"[", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"3", "not one key for each of 3 rows"),
        (b'["a","b"]', "not one key for each of 3 rows"),
        (b'["a","b",1.5]', "key 2 is neither"),
        (b'["a","b",true]', "key 2 is neither"),
        (b'["a","b","a"]', "one key stands for two rows"),
    ],
)
def test_keys_that_cannot_be(keys: bytes, words: str, tmp_path: Path) -> None:
    memory, path = filled("bsc", 3, 64), tmp_path / "items"
    memory.save(path)
    data = path.read_bytes()[: HEADER + 3 * 64] + keys
    data = resealed(data, 64, "<Q", len(data))
    path.write_bytes(resealed(data, 88, "<16s", blake2b(keys, digest_size=16).digest()))
    with pytest.raises(StoreCorrupt, match=words):
        ItemMemory.load(path)


def test_rows_that_are_no_vectors_are_refused_when_verified(tmp_path: Path) -> None:
    memory, path = filled("map", 3, 64), tmp_path / "items"
    memory.save(path)
    data = bytearray(path.read_bytes())
    data[HEADER + 64] = 5
    digest = blake2b(data[HEADER : HEADER + 192], digest_size=16).digest()
    path.write_bytes(resealed(bytes(data), 72, "<16s", digest))
    with pytest.raises(StoreCorrupt, match="row 1 has components other than"):
        ItemMemory.load(path)
    assert len(ItemMemory.load(path, verify=False)) == 3


def test_a_newer_format_is_told_as_such(tmp_path: Path) -> None:
    memory, path = filled("bsc", 3, 64), tmp_path / "items"
    memory.save(path)
    path.write_bytes(resealed(path.read_bytes(), 8, "<I", 2))
    with pytest.raises(StoreVersionError, match="has format 2"):
        ItemMemory.load(path)


def test_files_that_are_not_ours_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("dear", encoding="utf-8")
    with pytest.raises(ConfigError, match="would replace something else"):
        filled("bsc").save(path)
    assert path.read_text(encoding="utf-8") == "dear"
    with pytest.raises(StoreCorrupt, match="is not an item memory"):
        ItemMemory.load(path)
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        ItemMemory.load(tmp_path / "none")
    with pytest.raises(InputError, match="no regular file"):
        ItemMemory.load(tmp_path)
    with pytest.raises(ConfigError, match="cannot be written"):
        filled("bsc").save(path / "below")


def test_a_save_that_breaks_off_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "items"
    filled("bsc", 3).save(path)
    data = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        filled("bsc", 5).save(path)
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


def test_there_is_no_pickle_in_it(tmp_path: Path) -> None:
    memory, path = filled("bsc", 2), tmp_path / "items"
    memory.save(path)
    data = path.read_bytes()
    assert data.startswith(b"SOPHHVM\n")
    assert json.loads(data[HEADER + memory.nbytes :]) == ["k0", "k1"]
    assert data[HEADER : HEADER + memory.nbytes] == memory.rows.tobytes()
    assert isinstance(memory["k0"], Hypervector)

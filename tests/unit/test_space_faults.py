"""What spaces, sums, structures and memories must not do with operands, numbers and interrupts that are unusual."""

from __future__ import annotations

import copy
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sophia.errors import ConfigError, ShapeError
from sophia.hdc import (
    BindSequence,
    BundleSequence,
    FractionalPower,
    HashTable,
    ItemMemory,
    Level,
    Multiset,
    Projection,
    Sinusoid,
    Space,
    Sums,
    ngrams,
    resonate,
)

MODELS = ("bsc", "map", "hrr", "fhrr")
models = pytest.mark.parametrize("model", MODELS)
spectral = pytest.mark.parametrize("model", ["hrr", "fhrr"])


def same(a: Any, b: Any) -> bool:
    return bool(np.allclose(np.asarray(a), np.asarray(b), atol=1e-5))


# --------------------------------------------------------------------------------------------- places of results


@models
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_product_may_go_to_any_of_its_factors(model: str, place: int) -> None:
    space = Space(model, 1000)
    vectors = [space.random(i) for i in range(3)]
    expected = space.multibind(*vectors)
    given = [space.algebra.copied(one) for one in vectors]
    out = given[place]
    assert space.multibind(*given, out=out) is out
    assert same(out, expected)


@models
def test_every_result_may_have_a_place(model: str) -> None:
    space = Space(model, 256)
    a, b = space.random("a"), space.random("b")
    out = space.random("place")
    for make, expected in (
        (lambda: space.random("c", out=out), space.random("c")),
        (lambda: space.identity(out=out), space.identity()),
        (lambda: space.normalize(a, out=out), space.normalize(a)),
        (lambda: space.randsel(a, b, out=out), space.randsel(a, b)),
        (lambda: space.rotate(a, 3, out=out), space.rotate(a, 3)),
    ):
        assert make() is out
        assert same(out, expected)


@models
def test_codebooks_may_be_written_over(model: str) -> None:
    space = Space(model, 128)
    items, index = space.random_rows(4, "item"), np.arange(4)[:, None] * np.ones(4, int)
    expected = space.encode_record(items, items, index)
    sequences = [[0, 1, 2], [3, 2, 1], [1, 1, 1], [2, 0, 3]]
    grams = space.encode_ngrams(sequences, 2, items=items)
    for given, made in (
        (items.copy(), lambda rows: space.encode_record(rows, items, index, out=rows)),
        (items.copy(), lambda rows: space.encode_record(items, rows, index, out=rows)),
    ):
        assert same(made(given), expected)
    rows = items.copy()
    assert same(space.encode_ngrams(sequences, 2, items=rows, out=rows), grams)


# ------------------------------------------------------------------------------------------------------ operands


@models
def test_lists_and_rows_are_taken_everywhere(model: str) -> None:
    space = Space(model, 1000)
    matrix = space.random_rows(3, "row")
    vectors = [space.vector(row) for row in matrix]
    other = space.random("other")
    for rows in (matrix, vectors, list(matrix)):
        assert same(space.bind(rows, other), space.bind(matrix, other))
        assert same(space.unbind(rows, other), space.unbind(matrix, other))
        assert same(space.permute(rows, 3), space.permute(matrix, 3))
        assert same(space.inverse(rows), space.inverse(matrix))
        assert same(space.normalize(rows), space.normalize(matrix))
        assert same(space.bundle(rows), space.bundle(matrix))
        assert same(space.multibind(rows), space.multibind(matrix))
        assert same(space.similarity(rows, rows), space.similarity(matrix, matrix))
        assert same(space.array(rows), space.array(matrix))
        assert [found.row for found in space.cleanup(rows, rows)] == [0, 1, 2]
        assert same(space.encode_ngrams([[0, 1, 2]], 2, items=rows), space.encode_ngrams([[0, 1, 2]], 2, items=matrix))
    assert same(space.bind(matrix[0], other), space.bind(vectors[0], other))
    assert same(space.bundle(matrix[0], other), space.bundle(vectors[0], other))
    assert same(space.similarity(matrix[0], other), space.similarity(vectors[0], other))


@models
def test_operands_of_other_spaces_are_refused_everywhere(model: str) -> None:
    space = Space(model, 1000)
    good = space.random("good")
    rows = space.random_rows(2, "good")
    strange: list[Any] = [Space(other, 1000).random("a") for other in MODELS if other != model]
    strange += [Space(other, 1000).random_rows(2, "a") for other in MODELS if other != model]
    strange += [Space(model, 300).random("a"), Space(model, 300).random_rows(2, "a"), np.zeros((3, 7), np.uint8)]
    strange += [[one] for one in strange[:3]]
    for bad in strange:
        for call in (
            lambda bad=bad: space.bind(bad, good),
            lambda bad=bad: space.bind(good, bad),
            lambda bad=bad: space.unbind(bad, good),
            lambda bad=bad: space.permute(bad),
            lambda bad=bad: space.inverse(bad),
            lambda bad=bad: space.normalize(bad),
            lambda bad=bad: space.array(bad),
            lambda bad=bad: space.bundle(good, bad),
            lambda bad=bad: space.multibind(good, bad),
            lambda bad=bad: space.similarity(bad, good),
            lambda bad=bad: space.cleanup(good, bad),
            lambda bad=bad: space.cleanup(bad, rows),
            lambda bad=bad: space.randsel(good, bad),
            lambda bad=bad: space.encode_sequence([0], items=bad),
        ):
            with pytest.raises((ShapeError, TypeError)):
                call()


def test_components_that_are_none_are_refused() -> None:
    wide = np.full((2, 128), 127, np.int8)
    space = Space("map", 128)
    for call in (space.multibind, space.inverse, space.normalize, space.array, space.bundle, space.permute):
        with pytest.raises(ShapeError, match=r"-1 and \+1"):
            call(wide)
    dirty = np.full((2, 64), 255, np.uint8)
    space = Space("bsc", 500)
    for call in (space.multibind, space.inverse, space.normalize, space.array, space.bundle, space.permute):
        with pytest.raises(ShapeError, match="past bit 499"):
            call(dirty)
    with pytest.raises(TypeError, match="a float; MAP takes"):
        Space("map", 128).array(0.5)
    with pytest.raises(ShapeError, match="complex"):
        Space("hrr", 128).from_array(np.full(128, 1j))
    with pytest.raises(ShapeError, match="an array of"):
        Space("hrr", 64).from_array(np.array(["1"] * 64))


@models
def test_numbers_of_numpy_are_numbers(model: str) -> None:
    space = Space(model, np.int64(256), np.uint8(3))  # type: ignore[arg-type]
    assert space == Space(model, 256, 3)
    assert same(space.random(np.int64(7)), space.random(7))  # type: ignore[arg-type]
    items = space.random_rows(3, "item")
    symbols = [np.int64(2), np.int64(0)]
    assert same(space.encode_sequence(symbols, items=items), space.encode_sequence([2, 0], items=items))
    weighted = space.bundle(items, weights=[2, 1, 1])
    for kind in (np.int8, np.uint16, np.int32, np.uint64):
        assert same(space.bundle(items, weights=np.array([2, 1, 1], kind)), weighted)
    assert same(space.bundle(items, weights=[np.int32(2), 1, 1]), weighted)
    for bad in (True, 1.5, "64"):
        with pytest.raises(ConfigError, match="dim is"):
            Space(model, bad)  # type: ignore[arg-type]


@spectral
def test_what_is_not_finite_never_comes_out(model: str) -> None:
    space = Space(model, 64)
    large = space.from_array(np.full(64, 3e38))
    for call in (
        lambda: space.bundle(large, large),
        lambda: space.bundle(large, large, weights=[1.0, 1.0]),
        lambda: space.from_array(np.full(64, 1e300)),
        lambda: space.from_array(np.full(64, np.nan)),
        lambda: space.normalize(space.algebra.checked(np.full(64, np.nan, space.random(0).dtype), "a")),
    ):
        with pytest.raises(ValueError, match="not finite"):
            call()


# ------------------------------------------------------------------------------------------------------- n-grams


@models
def test_the_order_of_symbols_counts(model: str) -> None:
    space = Space(model, 4000)
    items = space.random_rows(3, "item")
    one, other = space.encode_ngrams([[0, 1], [1, 0]], 2, items=items)
    assert abs(space.similarity(space.vector(one), space.vector(other))) < 0.1
    assert same(space.vector(one), ngrams(space, items[[0, 1]], 2))
    for n in (0, -1, True, 9, 2.5):
        with pytest.raises((ValueError, TypeError)):
            space.encode_ngrams([[0, 1, 2]], n, items=items)  # type: ignore[arg-type]


@models
def test_symbols_without_items_have_vectors_of_their_own(model: str) -> None:
    space = Space(model, 2000, 5)
    texts = ["the cat sat", "the cat sits", "dogs run by"]
    found = space.encode_ngrams(texts, 3)
    numbers = [[ord(c) for c in text] for text in texts]
    assert same(space.encode_ngrams(numbers, 3), found)
    items = np.stack([np.asarray(space.symbol(code)) for code in range(128)])
    assert same(space.encode_ngrams(texts, 3, items=items), found)
    assert same(space.encode_sequence(texts[0]), space.encode_sequence(texts[0], items=items))
    assert same(space.symbol("a"), space.symbol(97))
    assert same(space.encode_ngrams("\ud800ab", 2), space.encode_ngrams([0xD800, 97, 98], 2))
    for bad in (-1, 1.5, True):
        with pytest.raises(ValueError, match="symbol is"):
            space.symbol(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"sequences\[0\]: symbol 1 is -3"):
        space.encode_ngrams([[1, -3]], 1)


# -------------------------------------------------------------------------------------------------- many at once


@models
@pytest.mark.parametrize("workers", [1, 3])
def test_many_weighted_bundles_are_those_one_by_one(model: str, workers: int) -> None:
    space = Space(model, 500)
    rows = space.random_rows(7, "row")
    weights = np.random.default_rng(0).integers(-5, 9, (11, 7))
    made = space.bundle_many(rows, weights, workers=workers)
    expected = [space.bundle(rows, weights=weights[i]) for i in range(11)]
    assert all(same(space.vector(row), one) for row, one in zip(made, expected, strict=True))
    out = np.empty_like(made)
    assert space.bundle_many([space.vector(row) for row in rows], weights.tolist(), out=out) is out
    assert same(out, made)
    square = space.random_rows(7, "row")
    assert same(space.bundle_many(square, weights[:7], out=square), made[:7])
    with pytest.raises(ShapeError, match=r"weights: shape \[2\]"):
        space.bundle_many(rows, [1, 2])
    if model in ("bsc", "map"):
        with pytest.raises(ValueError, match=r"weights: row 1: .*every weight is zero"):
            space.bundle_many(rows, np.array([[1] * 7, [0] * 7]))


@models
def test_similarities_have_the_dtype_and_no_other_memory(model: str) -> None:
    import tracemalloc

    space = Space(model, 64)
    rows = space.random_rows(3000, "row")
    space.similarity(rows[:2], rows)
    tracemalloc.start()
    found = space.similarity(rows, rows, dtype="float32")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.dtype == np.float32
    assert peak < 4 * 3000 * 3000 + (110 << 20)
    assert same(found[:5], space.similarity(rows[:5], rows))
    for bad in ("int8", bool, complex):
        with pytest.raises(ValueError, match="use a float dtype"):
            space.similarity(rows[0], rows, dtype=bad)


@models
def test_many_levels_take_the_memory_of_their_vectors(model: str) -> None:
    import tracemalloc

    space = Space(model, 1000)
    for make in (space.level, space.circular, space.thermometer):
        few = make(65)
        tracemalloc.start()
        made = make(5000)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < made.nbytes + (4 << 20)
        assert len(few) == 65
    assert same(space.level(65)[::64], space.level(2))


def test_queries_of_every_shape_are_cleaned_up() -> None:
    for model in MODELS:
        space = Space(model, 1000)
        rows = space.random_rows(4, "row")
        memory = ItemMemory(space)
        memory.add_many(rows)
        strange = space.random("none")
        assert space.cleanup(strange, rows).row is None
        assert space.cleanup(strange, rows, -1.0).row is not None
        assert [found.row for found in space.cleanup(rows[:2], rows)] == [0, 1]
        assert [hit.key for hit in memory.cleanup(rows[:2])] == [0, 1]
        assert [hit.key for hit in memory.cleanup([space.vector(rows[3]), strange])] == [3, None]
        assert memory.cleanup([]) == []
        for look in (
            lambda s=space, r=rows: s.cleanup(r[0], r, np.nan),
            lambda m=memory, r=rows: m.cleanup(r[0], np.nan),
        ):
            with pytest.raises(ValueError, match="threshold is nan"):
                look()
        with pytest.raises(ShapeError):
            space.cleanup(rows, space.vector(rows[0]))


# -------------------------------------------------------------------------------------------------------- values


@models
def test_projections_and_waves_of_any_size(model: str) -> None:
    space = Space(model, 4000)
    near = Projection(space, 3)
    far = Sinusoid(space, 100)
    draw = np.random.default_rng(0)
    x = draw.normal(size=100)
    y = x + draw.normal(size=100)
    assert abs(space.similarity(far.encode(x), far.encode(10 * y))) < 0.1
    assert space.similarity(far.encode(x), far.encode(x + 0.01)) > 0.9
    assert same(far.encode([x, y])[1], far.encode(y))
    assert same(near.encode([[1, 2, 3], [3, 2, 1]])[0], near.encode([1, 2, 3]))
    if model != "fhrr":
        for scale in (1e-300, 1e30, 1e305):
            assert space.similarity(near.encode([scale, scale, -scale]), near.encode([1, 1, -1])) > 0.999
        assert np.isfinite(np.asarray(near.encode([0, 0, 0]))).all()
    else:
        a, b = near.encode([0.0, 0.0, 0.0]), near.encode([1.0, 0.0, 0.0])
        assert space.similarity(a, b) == pytest.approx(np.exp(-0.5), abs=0.05)
        with pytest.raises(ValueError, match="no phase is left"):
            near.encode([1e39, 0, 0])
    for values in (np.full(100, 1e308), np.full(100, 1e20)):
        with pytest.raises(ValueError, match="no phase is left"):
            far.encode(values)
    with pytest.raises(ValueError, match="no phase is left"):
        Sinusoid(space, 2, scale=1e-300).encode([1.0, 1.0])
    out = space.random("place")
    assert near.encode([1, 2, 3], out=out) is out
    assert same(out, near.encode([1, 2, 3]))


@models
def test_levels_over_all_floats(model: str) -> None:
    scale = Level(Space(model, 64), 11, -1e308, 1e308)
    assert scale.index([-1e308, 0, 1e308, 2e307]).tolist() == [0, 5, 10, 6]
    one = scale.encode(0.0)
    assert type(one) is type(scale.space.random("a"))
    assert same(scale.space.similarity(one, scale.encode([0.0, 1e308]))[0], 1.0)


@spectral
def test_powers_without_a_phase_are_refused(model: str) -> None:
    power = FractionalPower(Space(model, 64))
    for value in (1e308, np.inf, np.nan, -(2.0**41)):
        with pytest.raises(ValueError, match="value 0 is not finite, or beyond"):
            power.encode(value)
    with pytest.raises(ValueError, match="beyond"):
        FractionalPower(power.space, bandwidth=1e-300).encode(1e10)


# ------------------------------------------------------------------------------------ sums, structures, memories


@models
def test_sums_of_very_many(model: str) -> None:
    space = Space(model, 128)
    sums, v = Sums(space), space.random("v")
    most = 2**31 - 1 if model in ("bsc", "map") else 2**21
    sums.add(v, most)
    sums.subtract(v, most - 1)
    assert sums.total == 1
    assert same(sums.vector(), v)
    sums.subtract(v)
    assert not sums.numbers.any()
    with pytest.raises(TypeError, match="other is a int"):
        sums.merge(3)  # type: ignore[arg-type]


@spectral
def test_what_is_too_small_for_sums_is_refused(model: str) -> None:
    space = Space(model, 128)
    many = Multiset(space)
    with pytest.raises(ValueError, match="too small to be summed exactly"):
        many.add((space.random("v") * 1e-12).astype(space.random("v").dtype))
    with pytest.raises(ValueError, match="too large to be summed exactly"):
        many.add((space.random("v") * 1e20).astype(space.random("v").dtype))
    many.add(space.random("v") * 0)
    assert len(many) == 1


@spectral
def test_a_value_that_cannot_be_put_in_changes_nothing(model: str) -> None:
    space = Space(model, 256)
    large = (space.random("x") * 1e9).astype(space.random("x").dtype)
    line = BundleSequence(space)
    line.append(space.random("a"))
    before = line.sums
    with pytest.raises(ValueError, match="too large"):
        line.replace(0, large, space.random("a"))
    assert (line.sums == before).all()
    assert len(line) == 1
    table = HashTable(space)
    table.add(space.random("k"), space.random("a"))
    before = table.sums
    with pytest.raises(ValueError, match="too large"):
        table.replace(space.random("k"), large)
    assert (table.sums == before).all()
    assert len(table) == 1


@models
def test_copies_are_of_their_own(model: str, tmp_path: Path) -> None:
    space = Space(model, 256)
    memory = ItemMemory(space)
    memory.add_many(space.random_rows(5, "item"), list("abcde"))
    for other in (copy.copy(memory), copy.deepcopy(memory), pickle.loads(pickle.dumps(memory)), memory.copy()):
        assert other.keys == memory.keys
        assert same(other.rows, memory.rows)
        other.remove("a")
        assert len(memory) == 5
        assert memory.top_k(space.random("item", 0), 1)[0].key == "a"
    memory.save(tmp_path / "m")
    mapped = ItemMemory.load(tmp_path / "m")
    assert copy.deepcopy(mapped).keys == memory.keys
    sums = Sums(space)
    sums.add(space.random("a"))
    twin = copy.copy(sums)
    twin.add(space.random("b"))
    assert (sums.total, twin.total) == (1, 2)
    sums.subtract(space.random("a"))
    many = Multiset(space)
    many.add(space.random("a"))
    copy.copy(many).add(space.random("b"))
    assert len(many) == 1
    table = HashTable(space)
    table.add(space.random("k"), space.random("v"))
    twin_table = copy.copy(table)
    twin_table.add(space.random("l"), space.random("w"))
    assert (len(table), table.memory is not None and len(table.memory)) == (1, 1)


def test_what_is_no_memory_or_sequence_is_named() -> None:
    space = Space("bsc", 64)
    with pytest.raises(TypeError, match="memory is a list"):
        Multiset(space, [space.random("a")])  # type: ignore[arg-type]
    for kind in (BundleSequence, BindSequence):
        for call in ("concat", "similarity"):
            with pytest.raises(TypeError, match=f"other is a int; it must be a {kind.__name__}"):
                getattr(kind(space), call)(3)


def test_very_many_combinations_have_a_chance() -> None:
    space = Space("bsc", 64)
    books = [space.random_rows(200, i) for i in range(150)]
    assert not resonate(space, space.random("p"), books, steps=1).converged


def test_an_addition_without_keys_goes_on_after_a_removal() -> None:
    space = Space("bsc", 64)
    memory = ItemMemory(space)
    memory.add_many(space.random_rows(3, "a"))
    memory.remove(0)
    memory.add_many(space.random_rows(2, "b"))
    assert memory.keys == [2, 1, 3, 4]
    memory.add("x", space.random("x"))
    memory.add_many(space.random_rows(2, "c"))
    assert memory.keys[-2:] == [5, 6]


def test_keys_in_two_halves_are_refused_and_lone_ones_kept(tmp_path: Path) -> None:
    space = Space("bsc", 64)
    memory = ItemMemory(space)
    with pytest.raises(ValueError, match="two halves of a surrogate pair"):
        memory.add("a\ud83d\ude00", space.random("a"))
    for key in ("\ud83d", "\ude00\ud83d", "\U0001f600"):
        memory.add(key, space.random(key.encode("utf-16", "surrogatepass").hex()))
    memory.save(tmp_path / "m")
    assert ItemMemory.load(tmp_path / "m").keys == memory.keys


def test_no_memory_for_a_copy_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space("bsc", 1000)
    memory = ItemMemory(space)
    memory.add_many(space.random_rows(10, "a"))
    memory.save(tmp_path / "m")
    mapped = ItemMemory.load(tmp_path / "m")

    def none(size: int) -> None:
        raise OSError(12, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr("sophia.hdc.memory._anonymous", none)
        for change in (
            lambda: mapped.remove(3),
            lambda: mapped.add("x", space.random("x")),
            lambda: mapped.add_many([]),
        ):
            with pytest.raises(MemoryError):
                change()
        assert mapped.mapped
        assert same(mapped.rows, memory.rows)
        mapped.save(tmp_path / "m")
    assert ItemMemory.load(tmp_path / "m").keys == list(range(10))
    mapped.remove(3)
    assert len(mapped) == 9


@models
def test_an_interrupt_anywhere_leaves_a_whole_memory(model: str) -> None:
    """A Ctrl-C at every line of adding and removing."""
    import sys

    space = Space(model, 64)
    first = space.random_rows(8, "a")

    def run(action: Any, stop: int) -> bool:
        count = 0

        def trace(frame: Any, event: str, _: Any) -> Any:
            nonlocal count
            if frame.f_code.co_filename.endswith("hdc/memory.py") and event == "line":
                count += 1
                if count == stop:
                    raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            action()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

    for make in (
        lambda m: m.add("x", space.random("x")),
        lambda m: m.add_many(space.random_rows(70, "b"), [f"k{i}" for i in range(70)]),
        lambda m: m.remove("c2"),
        lambda m: m.remove("c7"),
    ):
        stop = 1
        while True:
            memory = ItemMemory(space)
            memory.add_many(first, [f"c{i}" for i in range(8)])
            broken = run(lambda memory=memory, make=make: make(memory), stop)
            rows = {key: np.asarray(memory[key]).copy() for key in memory.keys}
            assert len(rows) == len(memory) == len(memory.rows)
            assert all(key in memory for key in rows)
            assert all(same(rows[f"c{i}"], space.vector(first[i])) for i in range(8) if f"c{i}" in rows)
            assert len(memory) in (7, 8, 9, 78)
            assert memory.top_k(space.random("a", 0), 1)[0].key == "c0"
            if "x" not in memory:
                memory.add("x", space.random("x"))
            assert same(memory["x"], space.random("x"))
            if not broken:
                break
            stop += 1


def test_sums_that_are_no_query_are_refused() -> None:
    for model in MODELS:
        space = Space(model, 64)
        memory = ItemMemory(space)
        memory.add_many(space.random_rows(3, "a"))
        with pytest.raises(ShapeError, match=r"numbers: shape \[3\]"):
            memory.nearest(np.zeros(3), 1)
        with pytest.raises(ValueError, match="number 5 is nan"):
            memory.nearest(np.where(np.arange(64) == 5, np.nan, 1.0), 1)
        if model in ("bsc", "map"):
            with pytest.raises(ValueError, match="finite, and whole"):
                memory.nearest(np.full(64, 0.5), 1)


@models
def test_the_largest_dimensions(model: str) -> None:
    with pytest.raises(ConfigError, match="dim is 8388609"):
        Space(model, (1 << 23) + 1)
    space = Space(model, 700_000)
    a, b = space.random("a"), space.random("b")
    assert abs(space.similarity(a, b)) < 0.01
    assert space.similarity(space.randsel(a, b), a) > 0.4
    assert space.similarity(*map(space.vector, space.level(3)[:2])) == pytest.approx(0.5, abs=0.01)


def test_a_signal_in_a_batch_is_heard() -> None:
    space = Space("hrr", 10_000)
    items = space.random_rows(16, "item")
    before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            space.encode_ngrams([list(range(16)) * 40] * 1000, 3, items=items)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""Fused encoders of records and sequences: what bind, permute and bundle give, bit for bit, in one call."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia._core import hdc
from sophia._core.arena import HDCArena
from sophia._core.batch import in_parts
from sophia._core.codebook import Codebook
from sophia._core.record import RecordEncoder
from sophia._core.sequence import NgramEncoder, SequenceEncoder
from sophia._core.vector import Hypervector
from sophia.errors import ShapeError, StaleArenaError

MODELS = pytest.mark.parametrize("model", ["BSC", "MAP"])
DIMS = pytest.mark.parametrize("dim", [64, 65, 1000, 10_000])


def rows_of(n: int, name: str, dim: int, model: str) -> Any:
    return hdc.random_rows(n, name, dim=dim, model=model)


def told(dim: int, model: str) -> int | None:
    return dim if model == "BSC" else None


def vectors(rows: Any, numbers: Any, dim: int, model: str) -> list[Hypervector]:
    return [Hypervector.from_buffer(np.ascontiguousarray(rows[n]), told(dim, model)) for n in numbers]


def graded(parts: Any, weights: Any = None) -> list[int]:
    """The scaled sum of signs: the largest magnitude 127, the others to the nearest, a half away from zero."""
    total = (np.asarray(parts, np.int64) * np.asarray(weights if weights is not None else 1).reshape(-1, 1)).sum(0)
    largest = int(abs(total).max())
    levels = (254 * abs(total) + largest) // (2 * largest) if largest else 0 * total
    return [int(x) for x in np.sign(total) * levels]


def signs(rows: Any, dim: int, model: str) -> Any:
    rows = np.asarray(rows)
    if model == "MAP":
        return rows
    return 1 - 2 * np.unpackbits(rows, axis=-1, bitorder="little")[..., :dim].astype(np.int8)


@MODELS
@DIMS
@pytest.mark.parametrize("weighted", [False, True])
def test_a_record_is_the_bundle_of_bound_pairs(simd: str, model: str, dim: int, weighted: bool) -> None:
    draw = np.random.default_rng(dim + weighted)
    features = 150  # more than are counted in one pass
    ids, levels = rows_of(features, "id", dim, model), rows_of(9, "level", dim, model)
    weights = [*(int(w) for w in draw.integers(-6, 7, features - 2)), 0, 4000] if weighted else None
    index = draw.integers(0, 9, (5, features))
    encoder = RecordEncoder(ids, levels, weights=weights, dim=told(dim, model))
    assert (encoder.features, encoder.levels, encoder.dim, encoder.model) == (features, 9, dim, model)
    packed, sums = encoder.encode_many(index), encoder.encode_int8_many(index)
    for row, numbers in enumerate(index):
        pairs = hdc.bind(ids, np.ascontiguousarray(levels[numbers]), dim=told(dim, model))
        bundle = hdc.bundle(pairs, weights=weights, dim=told(dim, model))
        assert packed[row].tobytes() == np.asarray(bundle).tobytes()
        assert encoder.encode(numbers) == bundle
        assert sums[row].tolist() == graded(signs(pairs, dim, model), weights)


@MODELS
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n), min_size=1, max_size=4),
            st.lists(st.integers(-4095, 4095), min_size=n, max_size=n).filter(any),
        )
    ),
    st.integers(64, 300),
    st.integers(1, 4),
)
def test_any_record(model: str, given_: tuple[list[list[int]], list[int]], dim: int, workers: int) -> None:
    index, weights = np.array(given_[0]), given_[1]
    ids, levels = rows_of(index.shape[1], "id", dim, model), rows_of(4, "level", dim, model)
    encoder = RecordEncoder(ids, levels, weights=weights, dim=told(dim, model))
    made = encoder.encode_many(index, workers=workers)
    for row, numbers in enumerate(index):
        pairs = hdc.bind(ids, np.ascontiguousarray(levels[numbers]), dim=told(dim, model))
        assert made[row].tobytes() == np.asarray(hdc.bundle(pairs, weights=weights, dim=told(dim, model))).tobytes()


def test_every_integer_dtype_and_number_of_threads_gives_the_same(simd: str) -> None:
    encoder = RecordEncoder(hdc.random_rows(30, "id"), hdc.random_rows(100, "level"))
    index = np.random.default_rng(1).integers(0, 100, (2100, 30))
    expected = encoder.encode_many(index)
    for dtype in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"):
        assert (encoder.encode_many(index[:40].astype(dtype)) == expected[:40]).all()
    for workers in (1, 2, 3, 7):
        assert (encoder.encode_many(index, workers=workers) == expected).all()
    out = np.empty_like(expected)
    assert encoder.encode_many(index, out, workers=2) is out
    assert (out == expected).all()
    assert encoder.encode_many(index[:0]).shape == (0, 1280)


def test_a_level_that_there_is_not_is_named() -> None:
    encoder = RecordEncoder(hdc.random_rows(3, "id"), hdc.random_rows(5, "level"))
    index = np.zeros((2000, 3), np.int16)
    index[1500, 2] = -7
    with pytest.raises(ValueError, match=r"record 1500, feature 2 is -7; there are 5 levels, 0 to 4"):
        encoder.encode_many(index)
    for dtype, number in (("i1", -1), ("i8", -1), ("i8", -(2**63)), ("u8", 2**64 - 1), ("i4", 2**31 - 1)):
        wrong = np.zeros((1, 3), dtype)
        wrong[0, 1] = number
        with pytest.raises(ValueError, match=rf"record 0, feature 1 is {number};"):
            encoder.encode_many(wrong)
        with pytest.raises(ValueError, match=rf"symbol 1 is {number};"):
            SequenceEncoder(hdc.random_rows(5, "level")).encode(wrong[0])
    index[1400, 1] = 5
    for workers in (1, 2, 3):
        with pytest.raises(ValueError, match=r"record 1400, feature 1 is 5"):
            encoder.encode_many(index, workers=workers)
    with pytest.raises(ValueError, match=r"record 0, feature 0 is 18446744073709551615"):
        encoder.encode(np.full(3, 2**64 - 1, np.uint64))


def test_what_is_no_record_is_refused() -> None:
    ids, levels = hdc.random_rows(3, "id"), hdc.random_rows(5, "level")
    encoder = RecordEncoder(ids, levels)
    with pytest.raises(ShapeError, match="4 numbers a record where there are 3 features"):
        encoder.encode_many(np.zeros((2, 4), int))
    with pytest.raises(ShapeError, match="dtype"):
        encoder.encode_many(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="dimension"):
        encoder.encode_many(np.zeros(3, int))
    with pytest.raises(TypeError, match="no buffer"):
        encoder.encode([0, 1, 2])  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"out: \[2, 1280\] given, \[1, 1280\] needed"):
        encoder.encode_many(np.zeros((1, 3), int), np.empty((2, 1280), np.uint8))
    for workers in (0, 65, True, 1.0):
        with pytest.raises(ValueError, match="workers"):
            encoder.encode_many(np.zeros((1, 3), int), workers=workers)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"ids is BSC dim=10000, levels is MAP dim=10000"):
        RecordEncoder(ids, hdc.random_rows(5, "level", model="MAP"))
    with pytest.raises(ShapeError, match="dim"):
        RecordEncoder(ids, hdc.random_rows(5, "level", dim=128))
    with pytest.raises(ShapeError, match="only -1 and \\+1"):
        RecordEncoder(np.zeros((3, 100), np.int8), np.ones((3, 100), np.int8))
    with pytest.raises(ValueError, match="0 rows"):
        RecordEncoder(ids[:0], levels)
    for weights, error, words in (
        ([1, 2], ShapeError, "2 of them for 3 features"),
        ([1, 2, 4096], ValueError, "element 2 is 4096, beyond"),
        ([1, 2, 0.5], TypeError, "element 2 is 0.5; weights are whole numbers"),
        ([1, float("nan"), 2], TypeError, "element 1 is nan"),
        ([1, 2, float("inf")], TypeError, "element 2 is inf"),
        ([1, "2", 3], TypeError, "element 1 is '2'"),
        ([None, 1, 2], TypeError, "element 0 is None"),
        ([1, True, 2], TypeError, "element 1 is True"),
        ([0, 0, 0], ValueError, "every weight is zero"),
    ):
        with pytest.raises(error, match=words):
            RecordEncoder(ids, levels, weights=weights)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="absolute sum"):
        RecordEncoder(
            hdc.random_rows(5000, "id", dim=64), hdc.random_rows(1, "l", dim=64), weights=[4095] * 5000, dim=64
        )


def test_the_codebooks_are_copies(simd: str) -> None:
    ids, levels = hdc.random_rows(3, "id"), hdc.random_rows(5, "level")
    encoder = RecordEncoder(ids, levels, weights=[-1, 1, 1])
    before = encoder.encode(np.array([0, 1, 2]))
    assert (ids == hdc.random_rows(3, "id")).all()
    ids[:] = 0
    levels[:] = 0
    assert encoder.encode(np.array([0, 1, 2])) == before
    listed = RecordEncoder([hdc.random("id", i) for i in range(3)], [hdc.random("level", i) for i in range(5)])
    assert listed.encode(np.array([0, 1, 2])) == RecordEncoder(
        hdc.random_rows(3, "id"), hdc.random_rows(5, "level")
    ).encode(np.array([0, 1, 2]))


def test_a_record_may_be_borrowed_from_an_arena() -> None:
    encoder = RecordEncoder(hdc.random_rows(3, "id"), hdc.random_rows(5, "level"))
    arena = HDCArena()
    borrowed = encoder.encode(np.array([0, 1, 2]), arena)
    assert borrowed.borrowed
    assert borrowed == encoder.encode(np.array([0, 1, 2]))


@MODELS
@DIMS
@pytest.mark.parametrize("length", [1, 2, 127, 128, 129, 300])
def test_a_sequence_is_the_bundle_of_permuted_symbols(simd: str, model: str, dim: int, length: int) -> None:
    items = rows_of(11, "item", dim, model)
    numbers = np.random.default_rng(length).integers(0, 11, length).astype(np.uint8)
    permuted = [hdc.permute(v, length - 1 - i) for i, v in enumerate(vectors(items, numbers, dim, model))]
    encoder = SequenceEncoder(items, dim=told(dim, model))
    assert encoder.encode(numbers) == hdc.bundle(permuted)
    assert encoder.encode_int8(numbers).tolist() == graded(
        signs(np.array([np.asarray(p) for p in permuted]), dim, model)
    )


@MODELS
@DIMS
@pytest.mark.parametrize("n", [1, 3, 8])
def test_ngrams_of_given_items(simd: str, model: str, dim: int, n: int) -> None:
    items = rows_of(700, "item", dim, model)  # more than rotated rows are kept of
    numbers = np.random.default_rng(n).integers(0, 700, 900)
    rows = vectors(items, numbers, dim, model)
    grams = []
    for i in range(len(rows) - n + 1):
        gram = rows[i + n - 1]
        for k in range(1, n):
            gram = hdc.bind(gram, hdc.permute(rows[i + n - 1 - k], k))
        grams.append(gram)
    encoder = NgramEncoder(n, items=items, dim=told(dim, model))
    assert (encoder.dim, encoder.model) == (dim, model)
    assert encoder.encode(numbers) == hdc.bundle(grams)


def test_batches_are_what_single_calls_give(simd: str) -> None:
    items = hdc.random_rows(200, "item")
    texts = ["hello", b"bytes", array("H", [1, 2, 3, 4]), np.arange(5), "hello"] * 500
    for encoder in (SequenceEncoder(items), NgramEncoder(3, items=items), NgramEncoder(3)):
        single = [encoder.encode(text) for text in texts[:5]]
        for workers in (1, 2, 5):
            made = encoder.encode_many(texts, workers=workers)
            assert all(made[i, :1250].tobytes() == single[i % 5].tobytes() for i in range(0, 2500, 97))
            sums = encoder.encode_int8_many(texts, workers=workers)
            assert (sums[2] == encoder.encode_int8(texts[2])).all()
            assert (sums[2497] == sums[2]).all()
        matrix = np.random.default_rng(0).integers(0, 200, (6, 9))
        assert (encoder.encode_many(matrix) == encoder.encode_many(list(matrix))).all()


def test_a_symbol_that_there_is_not_is_named() -> None:
    items = hdc.random_rows(5, "item")
    for encoder in (SequenceEncoder(items), NgramEncoder(2, items=items)):
        with pytest.raises(ValueError, match=r"sequence: symbol 2 is 7; there are 5 items, 0 to 4"):
            encoder.encode(np.array([0, 1, 7]))
        with pytest.raises(ValueError, match=r"sequences\[1\]: symbol 1 is -1; there are 5 items"):
            encoder.encode_many([np.array([0, 1]), np.array([0, -1], np.int8)])
        with pytest.raises(ValueError, match=r"symbol 0 is 97"):
            encoder.encode("abc")
        with pytest.raises(ValueError, match=r"sequence: 0 symbols"):
            encoder.encode(np.array([], np.uint8))
        with pytest.raises(TypeError, match="encode\\(\\) takes a single one"):
            encoder.encode_many("abc")
    sequences, grams = SequenceEncoder(items), NgramEncoder(2, items=items)
    for encoder, fresh in ((sequences, SequenceEncoder(items)), (grams, NgramEncoder(2, items=items))):
        with pytest.raises(ValueError, match="symbol 150"):
            encoder.encode(np.array([0] * 150 + [9]))
        assert encoder.encode(np.array([0, 1, 2])) == fresh.encode(np.array([0, 1, 2]))  # nothing is left behind


def test_parts_cover_everything_once() -> None:
    for n in (0, 1, 2, 5, 64, 1000):
        for workers in (1, 2, 7, 64):
            seen: list[int] = []
            in_parts(lambda part, seen=seen: seen.extend(range(*part)), n, workers)
            assert sorted(seen) == list(range(n))
    assert len(Codebook(hdc.random_rows(3, "a"))) == 3


@MODELS
def test_the_sums_of_a_heavy_vote_are_scaled_exactly(simd: str, model: str) -> None:
    """Up to the largest vote that there may be; all of one sign, and mixed."""
    ids, levels = rows_of(4097, "id", 64, model), rows_of(1, "level", 64, model)
    pairs = [
        hdc.bind(row, one) for one in vectors(levels, [0], 64, model) for row in vectors(ids, range(4097), 64, model)
    ]
    rows = signs(np.array([np.asarray(pair) for pair in pairs]), 64, model).astype(np.int64)
    draw = np.random.default_rng(5)
    index = np.zeros((1, 4097), np.uint8)
    for top in (2, 3, 6, 100, 4095):
        weights = draw.integers(0, top + 1, 4097)
        if top == 4095:
            weights = np.where(rows[:, 0] > 0, 4095, -4095)  # the first component has nearly 2^24
            weights[4096] = 0
        encoder = RecordEncoder(ids, levels, weights=weights, dim=64)
        (made,) = encoder.encode_int8_many(index).tolist()
        assert made == graded(rows, weights)
        assert max(map(abs, made)) == 127


@pytest.mark.parametrize("last", [1, 2, 3])
def test_scaling_is_exact_where_floats_give_way_to_doubles(simd: str, last: int) -> None:
    """A largest sum of 8,191, 8,192 and 8,193."""
    ids, levels = hdc.random_rows(5, "id", dim=1000), hdc.random_rows(1, "level", dim=1000)
    pairs = [hdc.bind(hdc.random("level", dim=1000), hdc.random("id", i, dim=1000)) for i in range(5)]
    rows = signs(np.array([np.asarray(pair) for pair in pairs]), 1000, "BSC")
    weights = [2000, 3000, 3167, 23, last]
    assert abs(np.array(weights) @ rows.astype(np.int64)).max() == 8190 + last
    made = RecordEncoder(ids, levels, weights=weights, dim=1000).encode_int8_many(np.zeros((1, 5), np.uint8))
    assert made[0].tolist() == graded(rows, weights)


def test_the_largest_sum_is_127_in_the_longest_sequence() -> None:
    sequence = np.zeros(2**24 - 1, np.uint8)
    sequence[:100] = 1
    found = NgramEncoder(1, 64, items=hdc.random_rows(2, "item", dim=64)).encode_int8(sequence)
    assert set(np.abs(found).tolist()) == {127}


@pytest.mark.parametrize("model", ["BSC", "MAP"])
def test_even_weights_add_no_similarity(simd: str, model: str) -> None:
    """Ties of records whose weights are even are those of half the weights."""
    levels = rows_of(50, "levels", 10_000, model)
    made = []
    for i in range(20):
        ids = rows_of(2, f"ids {i}", 10_000, model)
        index = np.array([[2 * i, 2 * i + 1]])
        rows = [
            np.asarray(RecordEncoder(ids, levels, weights=[factor, factor], dim=told(10_000, model)).encode_many(index))
            for factor in (1, 2, 64)
        ]
        assert (rows[0] == rows[1]).all()
        assert (rows[0] == rows[2]).all()
        made.append(rows[1][0])
    values = hdc.similarity(np.stack(made), np.stack(made), dim=told(10_000, model))[np.triu_indices(20, 1)]
    assert abs(values).max() < 0.05


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8"])
def test_no_symbol_or_level_is_negative(simd: str, dtype: str) -> None:
    """Also where there are as many items as an unsigned number of that width could be."""
    items = hdc.random_rows(70_000 if dtype == "i2" else 300, "item", dim=64)
    numbers = np.array([3, 1, 4, 1, -5, 9], dtype)
    for encoder in (NgramEncoder(2, 64), NgramEncoder(2, 64, items=items), SequenceEncoder(items, dim=64)):
        for call in (encoder.encode, encoder.encode_int8):
            with pytest.raises(ValueError, match=r"sequence: symbol 4 is -5; "):
                call(numbers)
        with pytest.raises(ValueError, match=r"sequences\[1\]: symbol 4 is -5; "):
            encoder.encode_many([numbers[:4], numbers])
        good = np.abs(numbers)
        assert encoder.encode(good) == encoder.encode(good.astype(np.uint64)) == encoder.encode(bytes(good.tolist()))
    records = RecordEncoder(hdc.random_rows(6, "id", dim=64), items, dim=64)
    with pytest.raises(ValueError, match="record 0, feature 4 is -5; there are"):
        records.encode(numbers)


def test_a_surrogate_is_a_symbol(simd: str) -> None:
    items = hdc.random_rows(5, "item", dim=64)
    for encoder in (NgramEncoder(1, items=items, dim=64), SequenceEncoder(items, dim=64)):
        for text, number in (("\ud800", 0xD800), ("\0\udfff", 0xDFFF)):
            with pytest.raises(ValueError, match=rf"symbol {len(text) - 1} is {number}; there are 5 items"):
                encoder.encode(text)
    encoder = NgramEncoder(2)
    for text in ("a\ud800b", "\udc80\ud7ff\ue000\udfff\U0010ffff"):
        assert encoder.encode(text) == encoder.encode(np.array([ord(c) for c in text]))


def test_a_dimension_that_is_not_that_of_the_items() -> None:
    for items in (
        hdc.random_rows(5, "item", dim=64, model="MAP"),
        [hdc.random("item", i, dim=64) for i in range(5)],
        Codebook(hdc.random_rows(5, "item", dim=64), dim=64),
    ):
        for make in (
            lambda items: NgramEncoder(3, 1000, items=items),
            lambda items: SequenceEncoder(items, dim=1000),
        ):
            with pytest.raises(ShapeError, match="dim=64 where dim=1000"):
                make(items)
        assert NgramEncoder(3, 64, items=items).dim == SequenceEncoder(items, dim=64).dim == 64
    with pytest.raises(ShapeError, match="dim=64 where dim=1000"):
        RecordEncoder(np.ones((2, 64), np.int8), np.ones((2, 64), np.int8), dim=1000)


@MODELS
def test_one_result_may_be_written_over_another(simd: str, model: str) -> None:
    ids, levels = rows_of(3, "id", 1000, model), rows_of(5, "level", 1000, model)
    arena = HDCArena()
    for encoder, one in (
        (RecordEncoder(ids, levels, dim=1000), np.array([1, 2, 4])),
        (SequenceEncoder(levels, dim=1000), bytes([0, 1, 4, 3])),
        (NgramEncoder(2, 1000, items=levels), bytes([0, 1, 4, 3])),
    ):
        expected = encoder.encode(one)
        for out in (hdc.identity(dim=1000, model=model), hdc.random("x", dim=1000, model=model, arena=arena)):
            assert encoder.encode(one, out=out) is out
            assert out == expected
        with pytest.raises(TypeError, match="give a Hypervector"):
            encoder.encode(one, out=np.zeros(1280, np.uint8))
        with pytest.raises(ValueError, match="two places"):
            encoder.encode(one, arena, out=out)
        for other in (
            hdc.identity(dim=1001, model=model),
            hdc.identity(dim=1000, model="MAP" if model == "BSC" else "BSC"),
        ):
            with pytest.raises(ShapeError, match="one model and one dimension"):
                encoder.encode(one, out=other)
        out = hdc.random("x", dim=1000, model=model, arena=arena)
        arena.reset()
        with pytest.raises(StaleArenaError):
            encoder.encode(one, out=out)
        assert arena.exports == 0


def test_results_may_not_be_written_over_inputs(simd: str) -> None:
    memory = np.zeros((20, 64), np.int8)
    levels = hdc.random_rows(3, "level", dim=64, model="MAP")
    records = RecordEncoder(hdc.random_rows(64, "id", dim=64, model="MAP"), levels)
    for encoder in (records, SequenceEncoder(levels), NgramEncoder(2, items=levels)):
        for call in (encoder.encode_many, encoder.encode_int8_many):
            for part in (memory[:10], memory[3:13]):
                with pytest.raises(ValueError, match="out: overlaps the input"):
                    call(memory[:10], part)
            call(memory[:10], memory[10:])
            memory[:] = 0


def test_a_number_is_asked_once() -> None:
    class Twice:
        def __init__(self, *answers: int) -> None:
            self.answers = list(answers)

        def __index__(self) -> int:
            return self.answers.pop(0)

    assert NgramEncoder(Twice(3, 2**20), Twice(64, 2**22)).encode("text") == NgramEncoder(3, 64).encode("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="n: a float"):
        NgramEncoder(2.9)  # type: ignore[arg-type]

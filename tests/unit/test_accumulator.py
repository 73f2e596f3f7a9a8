"""Sums of a vote that goes on: exact, bounded, and the same as one bundle of all."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import hdc as oracle

from sophia._core import hdc
from sophia._core.accumulator import Accumulator
from sophia._core.vector import Hypervector
from sophia.errors import ShapeError


@pytest.mark.parametrize("model", ["BSC", "MAP"])
@pytest.mark.parametrize("dim", [64, 100, 1000])
@pytest.mark.parametrize("n", [1, 2, 9, 100, 300])
def test_the_same_as_one_bundle(simd: str, n: int, dim: int, model: str) -> None:
    parts = [hdc.random(i, dim=dim, model=model) for i in range(n)]
    weights = [(7 * i) % 6 - 2 for i in range(n)]
    counting = Accumulator(model, dim)
    for part, weight in zip(parts, weights, strict=True):
        counting.add(part, weight)
    if any(weights):
        assert counting.bundle() == hdc.bundle(parts, weights=weights)
    counting.clear()
    counting.add(hdc.random_rows(n // 2, "x", dim=dim, model=model))
    counting.add([hdc.random("x", i, dim=dim, model=model) for i in range(n // 2, n)])
    assert counting.total == n
    assert counting.bundle() == hdc.bundle([hdc.random("x", i, dim=dim, model=model) for i in range(n)])


def test_sums_are_exact_and_similarity_does_not_round(simd: str) -> None:
    for model in ("BSC", "MAP"):
        counting = Accumulator(model, 200)
        parts = [hdc.random(i, dim=200, model=model) for i in range(11)]
        for part in parts:
            counting.add(part)
        signs = np.array([np.asarray(hdc.convert(part, "MAP"), np.int64) for part in parts])
        sums = signs.sum(0)
        assert np.asarray(counting).tolist() == sums.tolist()
        for part, row in zip(parts, signs, strict=True):
            expected = sums @ row / (np.sqrt(sums @ sums) * np.sqrt(200))
            assert counting.similarity(part) == pytest.approx(expected, abs=1e-15)
        assert counting.similarity(counting) == pytest.approx(1.0, abs=1e-15)


def test_zero_sums_have_no_direction() -> None:
    empty = Accumulator()
    assert empty.similarity(hdc.random("a")) == 0.0
    assert empty.similarity(empty) == 0.0
    with pytest.raises(ValueError, match="of no vectors"):
        empty.bundle()
    empty.add(hdc.random("a"))
    empty.add(hdc.random("a"), -1)
    assert not np.asarray(empty).any()
    assert empty.similarity(hdc.random("a")) == 0.0


def test_two_hundred_equal_vectors_count_two_hundred() -> None:
    counting = Accumulator("MAP")
    member = hdc.random("a", model="MAP")
    for _ in range(200):
        counting.add(member)
    assert np.asarray(counting).tolist() == (200 * np.asarray(member, np.int32)).tolist()
    assert counting.similarity(member) == 1.0


def test_what_could_overflow_is_refused_and_nothing_is_added() -> None:
    counting = Accumulator("MAP", 64)
    member = hdc.random("a", dim=64, model="MAP")
    counting.add(member, 2**31 - 2)
    before = bytes(counting)
    for act in (
        lambda: counting.add(member, 2),
        lambda: counting.add([member, member], -1),
        lambda: counting.add(member, -(2**63)),
        lambda: counting.merge(counting),
    ):
        with pytest.raises(ValueError, match="2147483647"):
            act()
    assert bytes(counting) == before
    assert counting.total == 2**31 - 2
    counting.add(member, 1)
    assert counting.similarity(member) == 1.0


def test_models_and_dimensions_do_not_mix() -> None:
    counting = Accumulator("BSC", 1000)
    for other in (hdc.random("a"), hdc.random("a", dim=1000, model="MAP")):
        with pytest.raises(ShapeError, match="one model and one dimension"):
            counting.add(other)
        with pytest.raises(ShapeError, match="one model and one dimension"):
            counting.similarity(other)
    with pytest.raises(ShapeError, match="one model and one dimension"):
        counting.merge(Accumulator("MAP", 1000))
    with pytest.raises(TypeError, match="neither a hypervector nor an Accumulator"):
        counting.similarity(3)
    with pytest.raises(TypeError, match="__new__"):
        Accumulator.__new__(Accumulator).add(hdc.random("a"))
    rows = hdc.random_rows(3, "m", model="MAP")
    rows[1, 5] = 0
    with pytest.raises(ShapeError, match="row 1, component 5 is 0"):
        Accumulator("MAP").add(rows)


def test_merge_and_pickle() -> None:
    one, two, both = Accumulator("MAP", 128), Accumulator("MAP", 128), Accumulator("MAP", 128)
    for i in range(6):
        vector = hdc.random(i, dim=128, model="MAP")
        (one if i % 2 else two).add(vector, i - 2)
        both.add(vector, i - 2)
    one.merge(two)
    assert bytes(one) == bytes(both)
    assert one.total == both.total
    again = pickle.loads(pickle.dumps(one))
    assert bytes(again) == bytes(one)
    assert again.bundle() == one.bundle()
    kind, arguments = one.__reduce__()
    with pytest.raises(ValueError, match="not a sum of weights"):
        kind(*arguments[:2], 1, arguments[3])
    with pytest.raises(ShapeError, match="127 of them where dim=128"):
        kind(*arguments[:3], arguments[3][:-4])


def test_the_buffer_is_read_only() -> None:
    view = np.asarray(Accumulator("BSC", 64))
    assert view.dtype == np.int32
    assert not view.flags.writeable


def test_a_bundle_may_live_in_an_arena() -> None:
    from sophia._core.arena import HDCArena

    counting = Accumulator()
    counting.add(hdc.random("a"))
    result = counting.bundle(HDCArena())
    assert isinstance(result, Hypervector)
    assert result.borrowed
    assert result == hdc.random("a")


@pytest.mark.parametrize("model", ["BSC", "MAP"])
def test_nothing_is_left_of_what_was_taken_out(simd: str, model: str) -> None:
    a, b = hdc.random("a", dim=100, model=model), hdc.random("b", dim=100, model=model)
    counting = Accumulator(model, 100)
    counting.add([a, b], 3)
    assert (counting.total, counting.count) == (6, 6)
    counting.subtract([a, b], 2)
    assert (counting.total, counting.count) == (10, 2)
    assert counting.bundle() == hdc.bundle(a, b)
    counting.subtract([b, a])
    assert (counting.total, counting.count) == (12, 0)
    for one in (counting, pickle.loads(pickle.dumps(counting))):
        with pytest.raises(ValueError, match="all that was added was taken out again"):
            one.bundle()
        assert (one.total, one.count) == (12, 0)
    merged = Accumulator(model, 100)
    merged.merge(counting)
    with pytest.raises(ValueError, match="all that was added was taken out again"):
        merged.bundle()
    merged.add(a)
    assert merged.bundle() == a
    # a vote that comes out even is a vote: nothing was taken out of it, or not what was added
    opposite = hdc.bind(a, hdc.bundle(hdc.identity(dim=100, model=model), weights=[-1]))
    even = Accumulator(model, 100)
    even.add([a, opposite])
    assert not np.asarray(even).any()
    assert even.bundle() == hdc.bundle(a, opposite)
    other = Accumulator(model, 100)
    other.add(a)
    other.subtract(b)
    assert other.count == 0
    assert other.bundle() == hdc.bundle([a, b], weights=[1, -1])
    other.clear()
    assert (other.total, other.count) == (0, 0)


def test_sums_that_no_weights_have_are_refused() -> None:
    for sums, total in (
        (np.zeros(100, np.int32), 1),
        (np.ones(100, np.int32), 2),
        (np.full(100, 3, np.int32), 2),
        (np.full(100, -(2**31), np.int32), 2**31 - 1),
    ):
        with pytest.raises(ValueError, match=f"at 0 is not a sum of weights that total {total}"):
            Accumulator.restore("BSC", sums, total)
    for sums, total in ((np.zeros(100, np.int32), 0), (np.zeros(100, np.int32), 2), (np.ones(100, np.int32), 5)):
        made = Accumulator.restore("BSC", sums, total)
        again = pickle.loads(pickle.dumps(made))
        assert (again.total, again.count, bytes(again)) == (total, total, bytes(made))
    made = Accumulator("BSC", 64)
    made.add(hdc.random("a", dim=64), 3)
    kind, arguments = made.__reduce__()
    assert bytes(kind(*arguments[:4])) == bytes(made)  # as they were written before there was a count
    for count in (4, 2, -5):
        with pytest.raises(ValueError, match=f"count: {count} is not a sum of weights that total 3"):
            kind(*arguments[:4], count)


def test_a_fraction_is_no_weight() -> None:
    counting = Accumulator()
    for call in (counting.add, counting.subtract):
        for bad in (2.9, "2", None, np.float64(1)):
            with pytest.raises(TypeError, match="weight: a"):
                call(hdc.random("a"), bad)
        with pytest.raises(ValueError, match="2147483647"):
            call(hdc.random("a"), -(2**63))
        with pytest.raises(ValueError, match="2147483647"):
            call(hdc.random("a"), 2**64 + 1)
    assert counting.total == 0
    counting.add(hdc.random("a"), np.int8(2))
    assert counting.count == 2
    with pytest.raises(TypeError, match="total: a float"):
        Accumulator.restore("BSC", counting, 2.0)


@pytest.mark.parametrize("model", ["BSC", "MAP"])
def test_what_was_added_and_taken_out_leaves_no_trace_in_the_bundle(simd: str, model: str) -> None:
    a, b, c, d = (hdc.random(i, dim=1000, model=model) for i in range(4))
    sums = Accumulator(model, 1000)
    for kept in ([a, b], [a, b, c], [a, a, b, b]):
        sums.clear()
        for one in kept:
            sums.add(one)
        before = sums.bundle()
        for weight in (1, 2, 5):
            sums.add(d, weight)
            sums.subtract(d, weight)
            assert sums.bundle() == before == hdc.bundle(kept)
            assert sums.bundle() == hdc.bundle([*kept, d, d], weights=[*[1] * len(kept), weight, -weight])


@settings(deadline=None, max_examples=60)
@given(weights=st.lists(st.integers(-4, 4).map(lambda w: 2 * w), min_size=1, max_size=9), dim=st.integers(64, 200))
def test_any_even_weights_are_the_votes_of_the_oracle(weights: list[int], dim: int) -> None:
    if not any(weights):
        return
    for model in ("BSC", "MAP"):
        vectors = [hdc.random(i % 4, dim=dim, model=model) for i in range(len(weights))]
        parts = [np.asarray(hdc.random(i % 4, dim=dim, model="MAP")).tolist() for i in range(len(weights))]
        found = hdc.bundle(vectors, weights=weights)
        signs = np.asarray(found)
        if model == "BSC":
            signs = 1 - 2 * np.unpackbits(signs, count=dim, bitorder="little").astype(int)
        assert signs.tolist() == oracle.bundle(parts, weights)

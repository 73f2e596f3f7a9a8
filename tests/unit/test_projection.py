"""Random projections in one call: the same bits at every level, as the oracle says."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import linear as oracle

from sophia._core import cpu, hdc, projection
from sophia._core.arena import HDCArena
from sophia._core.projection import ProjectionEncoder
from sophia.errors import ShapeError


def drawn(features: int, dim: int, seed: int = 0) -> tuple[Any, Any]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(features, dim)).astype(np.float32), draw.uniform(size=dim).astype(np.float32)


def test_examples() -> None:
    results = doctest.testmod(projection)
    assert results.attempted > 2
    assert results.failed == 0


@pytest.mark.parametrize("dim", [64, 65, 127, 1000, 10_000])
@pytest.mark.parametrize("features", [1, 2, 17, 300])
def test_components_are_those_of_the_oracle(simd: str, features: int, dim: int) -> None:
    weights, phases = drawn(features, dim)
    values = np.random.default_rng(1).normal(size=(7, features))
    sums = oracle.sums(values.astype(np.float32), weights)
    cosine, sign = ProjectionEncoder(weights, phases), ProjectionEncoder(weights)
    assert (cosine.features, cosine.dim) == (features, dim)
    expected = oracle.wave(sums + phases)
    assert (cosine.encode_int8_many(values) == expected).all()
    assert (sign.encode_int8_many(values) == np.where(sums < 0, -1, 1)).all()
    for encoder, negative in ((cosine, expected < 0), (sign, sums < 0)):
        bits = encoder.encode_many(values)
        assert bits.shape == (7, (dim + 511) // 512 * 64)
        unpacked = np.unpackbits(bits, axis=1, bitorder="little")
        assert (unpacked[:, :dim] == negative).all()
        assert not unpacked[:, dim:].any()


def test_the_wave_is_a_cosine(simd: str) -> None:
    turns = np.concatenate([np.linspace(-3, 3, 9001), [0.25, 0.5, 0.75, 1e6 + 0.25]]).astype(np.float32)
    encoder = ProjectionEncoder(np.ones((1, 64), np.float32), np.zeros(64, np.float32))
    made = encoder.encode_int8_many(turns[:, None])
    assert (made == made[:, :1]).all()
    assert np.abs(made[:, 0] - 127 * np.cos(2 * np.pi * turns.astype(np.float64))).max() < 0.502


@pytest.mark.parametrize("number", [3e38, 1e20, 2.0**23 + 1, 2.0**22])
def test_sums_without_a_fraction_give_something(simd: str, number: float) -> None:
    """Numbers that float32 cannot tell apart within a turn, and sums that overflow."""
    weights, phases = np.full((3, 64), 2.0, np.float32), np.full(64, 0.1, np.float32)
    values = np.array([[number, number, -number], [number, number, number]], np.float32)
    with np.errstate(all="ignore"):
        turns = oracle.sums(values, weights) + phases
        expected = oracle.wave(turns)
    made = ProjectionEncoder(weights, phases).encode_int8_many(values)
    sign = ProjectionEncoder(weights).encode_int8_many(values)
    assert (sign == np.where(turns < 0, -1, 1)).all()
    known = np.isfinite(turns)
    assert (made[known] == expected[known]).all()
    before = cpu.simd_level()
    cpu.set_simd_level("scalar")
    assert (ProjectionEncoder(weights, phases).encode_int8_many(values) == made).all()
    cpu.set_simd_level(before)


def test_batches_and_threads_change_nothing(simd: str) -> None:
    weights, phases = drawn(30, 200)
    encoder = ProjectionEncoder(weights, phases)
    values = np.random.default_rng(2).normal(size=(333, 30))
    whole = encoder.encode_int8_many(values)
    assert (np.concatenate([encoder.encode_int8_many(values[i : i + 1]) for i in range(333)]) == whole).all()
    assert (encoder.encode_int8_many(values.astype(np.float32)) == whole).all()
    for workers in (1, 2, 5):
        assert (encoder.encode_int8_many(values, workers=workers) == whole).all()
    out = np.empty((333, 256 // 8 * 2), np.uint8)
    assert encoder.encode_many(values, out) is out
    assert encoder.encode_many(values[:0]).shape == (0, 64)


def test_cosines_fall_with_the_distance(simd: str) -> None:
    weights, phases = drawn(5, 10_000)
    encoder = ProjectionEncoder((weights / (2 * np.pi)).astype(np.float32), phases)
    values = np.zeros((4, 5))
    values[1, 0], values[2, 1], values[3, 2] = 0.5, 1.0, 3.0
    rows = encoder.encode_int8_many(values).astype(float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    # the kernel of normal weights is exp(-distance^2 / 2)
    assert np.allclose(rows[0] @ rows.T, np.exp(-(np.array([0, 0.5, 1.0, 3.0]) ** 2) / 2), atol=0.03)


def test_what_cannot_be_encoded_is_named() -> None:
    encoder = ProjectionEncoder(*drawn(3, 64))
    values = np.zeros((200, 3))
    for bad in (np.nan, np.inf, -np.inf, 1e39):
        values[150, 1] = bad
        for workers in (1, 3):
            with pytest.raises(ValueError, match="row 150, feature 1 is not finite, or beyond float32"):
                encoder.encode_many(values, workers=workers)
    for wrong, words in (
        (np.zeros((2, 4)), "4 numbers a row where there are 3 features"),
        (np.zeros(3), "dimension"),
        (np.zeros((2, 3), int), "dtype"),
    ):
        with pytest.raises(ShapeError, match=words):
            encoder.encode_many(wrong)
    with pytest.raises(ShapeError, match="phases: 63 of them for dim=64"):
        ProjectionEncoder(np.zeros((3, 64), np.float32), np.zeros(63, np.float32))
    with pytest.raises(ShapeError, match="dim"):
        ProjectionEncoder(np.zeros((3, 63), np.float32))
    with pytest.raises(ShapeError, match="no rows"):
        ProjectionEncoder(np.zeros((0, 64), np.float32))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5), st.integers(64, 200), st.integers(1, 70), st.integers(0, 2**32))
def test_any_shape(features: int, dim: int, n: int, seed: int) -> None:
    weights, phases = drawn(features, dim, seed)
    values = np.random.default_rng(seed + 1).normal(size=(n, features), scale=3.0)
    sums = oracle.sums(values.astype(np.float32), weights)
    assert (ProjectionEncoder(weights, phases).encode_int8_many(values) == oracle.wave(sums + phases)).all()


def test_one_row(simd: str) -> None:
    weights, phases = drawn(5, 200)
    values = np.random.default_rng(3).normal(size=(4, 5))
    arena = HDCArena()
    for encoder in (ProjectionEncoder(weights, phases), ProjectionEncoder(weights)):
        bits, components = encoder.encode_many(values), encoder.encode_int8_many(values)
        for row in (0, 3):
            for one in (values[row], values[row].astype(np.float32)):
                assert (encoder.encode_int8(one) == components[row]).all()
                made = encoder.encode(one)
                assert (made.model, made.dim) == ("BSC", 200)
                assert bytes(memoryview(made)) == bits[row].tobytes()
                out = hdc.identity(dim=200)
                assert encoder.encode(one, out=out) is out
                assert out == made
                borrowed = encoder.encode(one, arena)
                assert borrowed.borrowed
                assert borrowed == made
        assert arena.exports == 0
        for call in (encoder.encode, encoder.encode_int8):
            with pytest.raises(ShapeError, match="4 numbers a row where there are 5 features"):
                call(values[0, :4])
            with pytest.raises(ShapeError, match="dimension"):
                call(values)
            with pytest.raises(ValueError, match="row 0, feature 2 is not finite"):
                call(np.array([0, 0, np.nan, 0, 0]))
        with pytest.raises(ShapeError, match="one dimension"):
            encoder.encode(values[0], out=hdc.identity(dim=201))


def test_results_may_not_be_written_over_inputs() -> None:
    memory = np.zeros((12, 16), np.float32)
    encoder = ProjectionEncoder(np.ones((16, 64), np.float32))
    with pytest.raises(ValueError, match="out: overlaps the input"):
        encoder.encode_int8_many(memory[:10], memory.view(np.int8)[2:])
    with pytest.raises(ValueError, match="out: overlaps the input"):
        encoder.encode_many(memory[:10], memory.view(np.uint8)[:10])

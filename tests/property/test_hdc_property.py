"""Laws of the algebra and agreement with the oracle, over dimensions, models and weights."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import hdc as oracle

from sophia._core import cpu, hdc
from sophia._core.vector import Hypervector

DIMS = st.one_of(st.integers(64, 200), st.sampled_from([511, 512, 513, 1000, 1024]))
MODELS = st.sampled_from(["BSC", "MAP"])
LEVELS = st.sampled_from(cpu.simd_levels())
COMMON = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def at_level(level: str) -> None:
    cpu.set_simd_level(level)


def components(vector: Hypervector) -> list[int]:
    if vector.model == "MAP":
        return np.asarray(vector).tolist()
    return oracle.unpack(vector.tobytes(), vector.dim)


@COMMON
@given(DIMS, MODELS, LEVELS, st.integers(), st.integers(0, 5))
def test_algebra(dim: int, model: str, level: str, shifts: int, seed: int) -> None:
    before = cpu.simd_level()
    at_level(level)
    try:
        a, b, c = (hdc.random(seed, i, dim=dim, model=model) for i in range(3))
        assert hdc.bind(a, b) == hdc.bind(b, a)
        assert hdc.bind(hdc.bind(a, b), c) == hdc.bind(a, hdc.bind(b, c))
        assert hdc.unbind(hdc.bind(a, b), b) == a
        assert hdc.hamming(hdc.bind(a, c), hdc.bind(b, c)) == hdc.hamming(a, b)
        turned = hdc.permute(a, shifts)
        assert components(turned) == oracle.permute(components(a), shifts % dim)
        assert hdc.permute(turned, -shifts) == a
        assert hdc.permute(hdc.bind(a, b), shifts) == hdc.bind(turned, hdc.permute(b, shifts))
        assert hdc.hamming(turned, hdc.permute(b, shifts)) == hdc.hamming(a, b)
    finally:
        at_level(before)


@COMMON
@given(st.integers(64, 2100) | st.sampled_from([10_000, 10_007, 16_384]), LEVELS, st.data())
def test_permute_rolls_the_bits(dim: int, level: str, draw) -> None:
    before = cpu.simd_level()
    at_level(level)
    try:
        shifts = draw.draw(st.integers(0, dim - 1) | st.integers(0, dim // 64).map(lambda words: 64 * words % dim))
        a = hdc.random("turned", dim=dim)
        turned = hdc.permute(a, shifts)
        seen = np.unpackbits(np.asarray(turned), bitorder="little")
        assert (seen[:dim] == np.roll(np.unpackbits(np.asarray(a), bitorder="little")[:dim], shifts)).all()
        assert not seen[dim:].any()
        assert hdc.permute(turned, -shifts) == a
    finally:
        at_level(before)


@COMMON
@given(DIMS, MODELS, LEVELS, st.lists(st.integers(-9, 9), min_size=1, max_size=12).filter(any), st.randoms())
def test_bundles(dim: int, model: str, level: str, weights: list[int], rng) -> None:
    before = cpu.simd_level()
    at_level(level)
    try:
        parts = [hdc.random(7, i, dim=dim, model=model) for i in range(len(weights))]
        result = hdc.bundle(parts, weights=weights)
        assert components(result) == oracle.bundle([components(part) for part in parts], weights)
        order = list(range(len(weights)))
        rng.shuffle(order)
        assert hdc.bundle([parts[i] for i in order], weights=[weights[i] for i in order]) == result
        assert components(hdc.bundle(parts)) == oracle.bundle([components(part) for part in parts])
    finally:
        at_level(before)


@COMMON
@given(st.binary(min_size=8, max_size=200), LEVELS, st.data())
def test_any_bytes_are_a_vector_or_refused(data: bytes, level: str, draw) -> None:
    dim = draw.draw(st.integers(max(64, 8 * len(data) - 7), 8 * len(data)))
    made = Hypervector.from_buffer(data, dim, clear_padding=True)
    kept = oracle.unpack(data, dim)
    assert components(made) == kept
    assert made.tobytes() == oracle.pack(kept)
    assert hdc.convert(hdc.convert(made, "MAP"), "BSC") == made


@COMMON
@given(st.integers(1, 90), st.integers(1, 20), st.integers(64, 130), LEVELS, st.integers(0, 3))
def test_topk(n: int, k: int, dim: int, level: str, seed: int) -> None:
    before = cpu.simd_level()
    at_level(level)
    try:
        rng = np.random.default_rng(seed)
        rows = hdc.random_rows(4, seed, dim=dim)[rng.integers(0, 4, n)]  # many equal rows
        query = hdc.random("q", dim=dim)
        expected = [hdc.hamming(query, Hypervector.from_buffer(row, dim)) for row in rows]
        distances, numbers = hdc.topk(query, rows, k)
        assert numbers.tolist() == oracle.topk(expected, k)
        assert distances.tolist() == [expected[i] for i in numbers]
    finally:
        at_level(before)

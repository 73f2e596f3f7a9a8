from __future__ import annotations

import doctest
import math
import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
from oracle import kindex as oracle

from sophia._core import cpu, kindex
from sophia._core.kindex import (
    NAMES,
    KVector,
    centred,
    check_rows,
    cosine,
    euclidean,
    similarities,
    top_k,
    weighted,
)
from sophia.errors import ShapeError

WEIGHTS = [0.5, 1.0, 2.0, 0.0, 3.0, 1.0, 0.25, 1.0]
MEASURES = ("cosine", "centred", "weighted", "euclidean")
SIZES = (0, 1, 3, 4, 5, 7, 8, 9, 16, 31, 255, 256, 257, 600)


def matrix(size: int, *, missing: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.random((size, 8))
    rows[rng.random((size, 8)) < 0.1] = 0.0
    rows[rng.random((size, 8)) < missing] = np.nan
    return rows


def options(measure: str) -> dict[str, object]:
    return {"weights": WEIGHTS} if measure == "weighted" else {}


def bits(values: object) -> bytes:
    return np.ascontiguousarray(values, dtype=np.float64).tobytes()


def pair(a: KVector, b: KVector, measure: str) -> float:
    if measure == "weighted":
        return weighted(a, b, WEIGHTS)
    return {"cosine": cosine, "centred": centred, "euclidean": euclidean}[measure](a, b)


def test_doctests():
    results = doctest.testmod(kindex)
    assert results.attempted > 8
    assert results.failed == 0


# The vector


def test_values_by_name():
    values = [i / 10 for i in range(8)]
    k = KVector(*values)
    assert [getattr(k, name) for name in NAMES] == values
    assert k.to_tuple() == tuple(values)
    assert list(k) == values
    assert len(k) == 8
    assert k.mask == 0xFF
    assert k.known == NAMES
    assert KVector(**dict(zip(NAMES, values, strict=True))) == k


def test_missing_dimensions():
    k = KVector(k_a=0.25, k_topo=1)
    assert k.k_r is None
    assert k.mask == 0b1000_0010
    assert k.to_tuple() == (None, 0.25, None, None, None, None, None, 1.0)
    assert k.filled().to_tuple() == (0.5, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0)
    assert k.filled(0).k_r == 0.0
    assert KVector().mask == 0
    assert repr(KVector()) == "KVector()"
    assert repr(k) == "KVector(k_a=0.25, k_topo=1.0)"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-1e-9, 1.0000001, 2, math.inf, -math.inf, math.nan])
def test_values_outside_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        KVector(**{name: value})


def test_clamped():
    k = KVector.clamped(2, -2, math.inf, -math.inf, 0.5, None, -0.0)
    assert k.to_tuple() == (1.0, 0.0, 1.0, 0.0, 0.5, None, 0.0, None)
    assert math.copysign(1.0, k.k_h) == 1.0
    with pytest.raises(ValueError, match="k_r is NaN"):
        KVector.clamped(math.nan)


def test_wrong_types():
    with pytest.raises(TypeError):
        KVector("0.5")
    with pytest.raises(TypeError):
        KVector(0, 0, 0, 0, 0, 0, 0, 0, 0)
    with pytest.raises(TypeError):
        KVector(k_x=1)
    with pytest.raises(ShapeError):
        KVector.of([1] * 7)
    for call in (cosine, centred, euclidean):
        with pytest.raises(TypeError):
            call(KVector(), None)
        with pytest.raises(TypeError):
            call([0.5] * 8, KVector())


def test_immutable():
    k = KVector(0.5)
    with pytest.raises(AttributeError):
        k.k_r = 1.0
    with pytest.raises((AttributeError, TypeError)):
        k.mask = 0
    view = memoryview(k)
    assert view.readonly
    with pytest.raises(TypeError):
        view[0] = 1.0


def test_buffer():
    k = KVector(0.5, None, 1)
    view = memoryview(k)
    assert (view.format, view.shape, view.strides, view.nbytes) == ("d", (8,), (8,), 64)
    values = np.asarray(k)
    assert values.dtype == np.float64
    assert values[0] == 0.5
    assert np.isnan(values[1])
    assert not values.flags.writeable
    del k
    assert values[2] == 1.0  # the buffer keeps the vector
    assert np.stack([KVector(0.5), KVector(1)]).shape == (2, 8)
    assert KVector.of(values) == KVector(0.5, None, 1)


def test_equality_hash_pickle():
    a, b = KVector(0.5, k_h=0.0), KVector(0.5, k_h=-0.0)
    assert a == b
    assert hash(a) == hash(b)
    assert a != KVector(0.5)
    assert a != (0.5,)
    assert pickle.loads(pickle.dumps(a)) == a
    assert len({a, b, KVector()}) == 2


def test_hash_is_the_same_in_every_process():
    code = "from sophia._core.kindex import KVector; print(hash(KVector(0.5, k_s=0.25)))"
    env = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONWARNINGS": "ignore"}
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert int(run.stdout) == hash(KVector(0.5, k_s=0.25))


# Pairs


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("measure", MEASURES)
def test_pairs(simd, measure, missing):
    rows = matrix(60, missing=missing, seed=1)
    vectors = [KVector.of(row) for row in rows]
    for i, a in enumerate(vectors):
        for j, b in enumerate(vectors):
            got = pair(a, b, measure)
            assert bits(got) == bits(oracle.similarity(rows[i], rows[j], measure, WEIGHTS))
            assert bits(got) == bits(pair(b, a, measure))
            if measure == "euclidean":
                exact = oracle.exact_euclidean(rows[i], rows[j])
            else:
                mean = oracle.HALF if measure == "centred" else oracle.ZEROS
                weights = WEIGHTS if measure == "weighted" else oracle.ONES
                exact = oracle.exact_cosine(rows[i], rows[j], mean, weights)
            assert abs(got - exact) <= 1e-12


def test_equals_numpy(simd):
    for a, b in zip(matrix(500, seed=2), matrix(500, seed=3), strict=True):
        expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert cosine(KVector.of(a), KVector.of(b)) == pytest.approx(expected, abs=1e-12)


def test_zero_norm_is_zero(simd):
    zero, one = KVector.of([0] * 8), KVector.of([1] * 8)
    half = KVector.of([0.5] * 8)
    for a, b in ((zero, one), (zero, zero), (one, zero), (KVector(), one), (KVector(1), KVector(None, 1))):
        assert bits(cosine(a, b)) == bits(0.0)
        assert bits(weighted(a, b, 1)) == bits(0.0)
    assert bits(centred(half, zero)) == bits(0.0)
    assert bits(weighted(one, one, 0)) == bits(0.0)
    assert bits(euclidean(KVector(), one)) == bits(0.0)
    assert bits(euclidean(zero, one)) == bits(0.0)
    tiny = KVector(1e-160)
    assert cosine(tiny, tiny) == 0.0  # documented: squared norms below 1e-300 count as zero
    small = KVector(1e-149, 1e-149)
    assert cosine(small, small) == pytest.approx(1.0, abs=1e-12)


def test_range_and_identity(simd):
    for row in matrix(300, seed=4):
        k = KVector.of(row)
        assert cosine(k, k) == pytest.approx(1.0, abs=1e-12)
        assert cosine(k, k) <= 1.0
        assert euclidean(k, k) == 1.0
    a, b = KVector.of([1, 0] * 4), KVector.of([0, 1] * 4)
    assert cosine(a, b) == 0.0
    assert centred(a, b) == pytest.approx(-1.0, abs=1e-12)
    assert centred(a, b) >= -1.0
    assert euclidean(a, b) == 0.0


def test_random_pairs_are_alike_by_cosine_and_not_when_centred():
    a, b = np.random.default_rng(5).random((2, 2000, 8))
    plain = np.diag(similarities(a, b)).mean()
    spread = np.diag(similarities(a, b, "centred")).mean()
    assert plain == pytest.approx(0.76, abs=0.02)
    assert abs(spread) < 0.03


def test_only_shared_dimensions_count(simd):
    a = KVector(0.5, 0.5, k_s=1)
    b = KVector(1, 1, k_h=0.1)
    assert cosine(a, b) == pytest.approx(1.0, abs=1e-15)
    assert euclidean(a, b) == 0.5


def test_mean_and_weights():
    a, b = KVector.of(matrix(1)[0]), KVector.of(matrix(2)[1])
    assert centred(a, b, 0) == cosine(a, b)
    assert centred(a, b, [0.5] * 8) == centred(a, b, KVector.of([0.5] * 8)) == centred(a, b)
    assert weighted(a, b, 1) == cosine(a, b)
    assert weighted(a, b, 4.0) == pytest.approx(cosine(a, b), abs=1e-15)
    only = weighted(a, b, [1, 1, 0, 0, 0, 0, 0, 0])
    assert only == pytest.approx(cosine(KVector(a.k_r, a.k_a), KVector(b.k_r, b.k_a)), abs=1e-15)
    for mean in (math.nan, math.inf, [0.5] * 7 + [None], KVector(0.5)):
        with pytest.raises(ValueError, match="mean must be finite"):
            centred(a, b, mean)
    with pytest.raises(ValueError, match="weights must not be negative; k_a"):
        weighted(a, b, [1, -1, 1, 1, 1, 1, 1, 1])
    with pytest.raises(ShapeError, match="one number or 8"):
        weighted(a, b, [1, 2])


# Batches


@pytest.mark.parametrize("missing", [0.0, 0.15])
@pytest.mark.parametrize("measure", MEASURES)
def test_one_against_many_has_the_bits_of_pairs(simd, measure, missing):
    for size in SIZES:
        rows = matrix(size, missing=missing, seed=size)
        for query in matrix(2, seed=99), matrix(2, missing=0.3, seed=98):
            got = similarities(KVector.of(query[0]), rows, measure, **options(measure))
            assert got.shape == (size,)
            want = [oracle.similarity(query[0], row, measure, WEIGHTS) for row in rows]
            assert bits(got) == bits(want)


@pytest.mark.parametrize("missing", [0.0, 0.002, 0.3])
@pytest.mark.parametrize("measure", MEASURES)
def test_many_against_many_has_the_bits_of_one(simd, measure, missing):
    for queries, size in (
        (1, 300),
        (2, 17),
        (3, 256),
        (4, 255),
        (9, 257),
        (300, 13),
        (257, 530),
        (5, 0),
        (0, 5),
    ):
        left, rows = matrix(queries, missing=missing, seed=7), matrix(size, missing=missing, seed=8)
        got = similarities(left, rows, measure, **options(measure))
        assert got.shape == (queries, size)
        for q in range(queries):
            assert bits(got[q]) == bits(similarities(left[q], rows, measure, **options(measure)))


def test_every_level_gives_the_same_bits():
    rows = matrix(1000, missing=0.01, seed=9)
    results = set()
    before = cpu.simd_level()
    for level in cpu.simd_levels():
        cpu.set_simd_level(level)
        parts = [similarities(rows[:50], rows, measure, **options(measure)) for measure in MEASURES]
        parts += [np.concatenate(top_k(rows[:5], rows, 20, measure, **options(measure))) for measure in MEASURES]
        results.add(b"".join(bits(part) for part in parts))
    cpu.set_simd_level(before)
    assert len(results) == 1


def test_values_out_of_the_ordinary_never_give_nan(simd):
    rows = np.array(
        [
            [math.inf] * 8,
            [-math.inf] + [1] * 7,
            [1e200] * 8,
            [1e-200] * 8,
            [5e-324] * 8,
            [-1] * 8,
            [0] * 8,
            [-0.0] * 8,
            [math.nan] * 8,
            [1e160, -1e160] * 4,
        ]
        + [[0.5] * 8] * 10
    )
    for measure in MEASURES:
        single = np.array([[oracle.similarity(a, b, measure, WEIGHTS) for b in rows] for a in rows])
        assert np.isfinite(single).all()
        assert (np.abs(single) <= 1).all()
        assert bits(similarities(rows, rows, measure, **options(measure))) == bits(single)
        for i, row in enumerate(rows):
            assert bits(similarities(row, rows, measure, **options(measure))) == bits(single[i])


def test_out():
    rows, queries = matrix(40), matrix(6, seed=1)
    one, many = np.empty(40), np.empty((6, 40))
    assert similarities(queries[0], rows, out=one) is one
    assert similarities(queries, rows, out=many) is many
    assert bits(many[0]) == bits(one)
    frozen = np.empty(40)
    frozen.flags.writeable = False
    for out in (
        np.empty(39),
        np.empty(41),
        np.empty((1, 40)),
        np.empty(40, np.float32),
        frozen,
        np.empty(80)[::2],
    ):
        with pytest.raises(ShapeError):
            similarities(queries[0], rows, out=out)
    for out in (np.empty((40, 6)), np.empty(240), np.empty((6, 39))):
        with pytest.raises(ShapeError):
            similarities(queries, rows, out=out)


def test_wrong_matrices():
    k = KVector.of([0.5] * 8)
    for rows in (
        np.zeros((3, 7)),
        np.zeros(8),
        np.zeros((3, 8), np.float32),
        np.zeros((8, 3)).T,
        np.zeros((2, 2, 8)),
    ):
        for call in (
            lambda rows=rows: similarities(k, rows),
            lambda rows=rows: top_k(k, rows, 1),
            lambda rows=rows: check_rows(rows),
        ):
            with pytest.raises(ShapeError):
                call()
    with pytest.raises(ShapeError):
        similarities(np.zeros(7), np.zeros((3, 8)))
    with pytest.raises(TypeError):
        similarities([0.5] * 8, np.zeros((3, 8)))
    with pytest.raises(ValueError, match="measure must be one of"):
        similarities(k, np.zeros((3, 8)), "dot")
    with pytest.raises(ValueError, match="weights="):
        similarities(k, np.zeros((3, 8)), "weighted")
    with pytest.raises(ValueError, match="mean="):
        similarities(k, np.zeros((3, 8)), mean=0.5)
    with pytest.raises(ValueError, match="weights="):
        top_k(k, np.zeros((3, 8)), 1, weights=1)


def test_misaligned_rows_are_refused():
    raw = np.zeros(8 * 8 * 4 + 4, dtype=np.uint8)
    rows = np.frombuffer(raw[4:], dtype=np.float64).reshape(4, 8)
    assert rows.ctypes.data % 8 == 4
    with pytest.raises(ShapeError, match="multiple of 8"):
        similarities(KVector(1), rows)


@pytest.mark.parametrize("measure", MEASURES)
def test_top_k(simd, measure):
    for size in (0, 1, 5, 300, 700):
        rows = np.round(matrix(size, missing=0.1, seed=size) * 2) / 2  # many ties
        query = matrix(1, seed=3)[0]
        for k in (1, 2, 10, 299, 1000):
            indices, scores = top_k(query, rows, k, measure, **options(measure))
            values = [oracle.similarity(query, row, measure, WEIGHTS) for row in rows]
            want = sorted(range(size), key=lambda i: (-values[i], i))[:k]
            assert indices.dtype == np.int64
            assert indices.tolist() == want
            assert bits(scores) == bits([values[i] for i in want])


def test_top_k_of_many_queries(simd):
    rows, queries = matrix(400, seed=1), matrix(7, seed=2)
    indices, scores = top_k(queries, rows, 5)
    assert indices.shape == scores.shape == (7, 5)
    for q in range(7):
        one = top_k(queries[q], rows, 5)
        assert (indices[q] == one[0]).all()
        assert bits(scores[q]) == bits(one[1])
    for k in (0, -1):
        with pytest.raises(ValueError, match="k must be at least 1"):
            top_k(queries, rows, k)


def test_check_rows():
    rows = matrix(20, missing=0.2)
    check_rows(rows)
    check_rows(np.empty((0, 8)))
    for value in (1.5, -0.1, math.inf, -math.inf):
        bad = matrix(20)
        bad[13, 5] = value
        with pytest.raises(ValueError, match="row 13: k_s"):
            check_rows(bad)


def test_read_pass(simd):
    for size in (1, 7, 31, 32, 33, 1000):
        data = matrix(size).ravel()
        words = 0
        for (word,) in struct.iter_unpack("<Q", data.tobytes()):
            words ^= word
        assert kindex._read(data) == words


def test_a_result_over_an_operand_is_refused():
    memory = np.random.default_rng(0).uniform(size=(20, 8))
    for queries, rows in ((memory[:8], memory[8:16]), (memory[8:16], memory[:8])):
        for out in (memory[:8], memory[4:12]):
            with pytest.raises(ValueError, match="out: overlaps"):
                kindex.similarities(queries, rows, out=out)

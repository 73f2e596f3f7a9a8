from __future__ import annotations

import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import kindex as oracle

from sophia._core.kindex import KVector, centred, cosine, euclidean, similarities, top_k, weighted

VALUE = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1))
VECTOR = st.lists(st.one_of(VALUE, VALUE, VALUE, st.just(math.nan)), min_size=8, max_size=8)
WEIGHTS = st.lists(st.floats(0, 100), min_size=8, max_size=8)
MEASURE = st.sampled_from(["cosine", "centred", "euclidean"])
# the fixture sets a process-wide level that no example changes
RULES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(a: float, b: float) -> bool:
    return np.float64(a).tobytes() == np.float64(b).tobytes()


@given(VECTOR, VECTOR, WEIGHTS, WEIGHTS)
@RULES
def test_pairs_have_the_bits_of_the_oracle(simd, a, b, weights, mean):
    x, y = KVector.of(a), KVector.of(b)
    assert same(cosine(x, y), oracle.cosine(a, b))
    assert same(euclidean(x, y), oracle.euclidean(a, b))
    assert same(weighted(x, y, weights), oracle.cosine(a, b, weights=weights))
    assert same(centred(x, y, mean), oracle.cosine(a, b, mean=mean))
    assert same(cosine(y, x), cosine(x, y))
    assert -1.0 <= cosine(x, y) <= 1.0
    assert 0.0 <= euclidean(x, y) <= 1.0
    assert abs(cosine(x, y) - oracle.exact_cosine(a, b)) <= 1e-12 or _underflows(a, b)
    assert abs(euclidean(x, y) - oracle.exact_euclidean(a, b)) <= 1e-12


def _underflows(a: list[float], b: list[float]) -> bool:
    """Squares so small that float64 does not hold them fully: below the documented limit or near it."""
    both = [(x, y) for x, y in zip(a, b, strict=True) if not (math.isnan(x) or math.isnan(y))]
    return any(0 < math.fsum(v * v for v in side) < 1e-290 for side in zip(*both, strict=True))


@given(st.lists(VECTOR, min_size=1, max_size=12), st.lists(VECTOR, min_size=1, max_size=40), MEASURE)
@RULES
def test_batches_have_the_bits_of_the_oracle(simd, queries, rows, measure):
    got = similarities(np.array(queries), np.array(rows), measure)
    for q, query in enumerate(queries):
        for r, row in enumerate(rows):
            assert same(got[q, r], oracle.similarity(query, row, measure))
    indices, scores = top_k(np.array(queries), np.array(rows), 5, measure)
    for q, query in enumerate(queries):
        want = oracle.top_k(query, rows, 5, measure)
        assert indices[q].tolist() == [i for i, _ in want]
        assert scores[q].tolist() == [score for _, score in want]


@given(VECTOR)
def test_round_trips(values):
    k = KVector.of(values)
    assert KVector(*k.to_tuple()) == k
    assert KVector.of(k) == k
    assert [v is None for v in k] == [math.isnan(v) for v in values]
    assert hash(KVector.of(values)) == hash(k)
    assert KVector.clamped(*k.to_tuple()) == k

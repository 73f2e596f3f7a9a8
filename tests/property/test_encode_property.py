from __future__ import annotations

import struct
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import encode as oracle

from sophia._core.encode import TextEncoder
from sophia._core.idf import IdfTable
from sophia._core.sequence import NgramEncoder

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCRIPTS = "abcXYZ09 _-.,é ßЖع中国のカไทย👍\u200d\u3000·ªµ"
texts = st.one_of(st.text(st.sampled_from(SCRIPTS), max_size=60), st.text(max_size=40), st.binary(max_size=40))
dims = st.one_of(st.sampled_from([64, 511, 512, 513]), st.integers(64, 700))
seeds = st.integers(0, 2**64 - 1)


@given(text=texts)
@settings(SETTINGS, max_examples=300)
def test_features(text):
    expected = oracle.weights(text)
    if not expected:
        with pytest.raises(ValueError, match="no features"):
            TextEncoder(64).features(text)
        return
    shown = TextEncoder(64).features(text)
    assert [16 * weight for *_, weight in shown] == list(expected.values())


@given(text=texts.filter(lambda t: bool(oracle.features(t))), dim=dims, seed=seeds)
@SETTINGS
def test_vectors(simd, text, dim, seed):
    encoder = TextEncoder(dim, seed=seed)
    weighted = oracle.weights(text, seed)
    assert memoryview(encoder.encode(text)).tobytes() == oracle.pack(oracle.encode_bits(weighted, dim))
    assert encoder.encode_int8(text).tolist() == oracle.encode_levels(weighted, dim)


@given(
    text=st.text(st.sampled_from("ab 中é"), min_size=1, max_size=300),
    n=st.integers(1, 8),
    dim=dims,
    seed=seeds,
)
@SETTINGS
def test_ngrams(simd, text, n, dim, seed):
    encoder = NgramEncoder(n, dim, seed=seed)
    if len(text) < n:
        with pytest.raises(ValueError, match="need at least"):
            encoder.encode(text)
        return
    rows = [(row, 1) for row in oracle.ngram_rows([ord(c) for c in text], n, dim, seed)]
    assert memoryview(encoder.encode(text)).tobytes() == oracle.pack(oracle.majority(rows, dim))
    assert encoder.encode_int8(text).tolist() == oracle.scale(oracle.sums(rows, dim))


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["observe", "observe", "forget", "changes", "reload"]),
            st.text("abc ", min_size=1, max_size=8),
        ),
        max_size=30,
    )
)
@settings(SETTINGS, max_examples=150)
def test_idf_is_a_counter(steps):
    table, stored = IdfTable(), IdfTable()
    documents, counts = 0, Counter()
    for step, text in steps:
        names = oracle.features(text)
        if not names:
            continue
        if step == "observe":
            table.observe(text)
            documents += 1
            counts.update(names.keys())
        elif step == "forget" and documents:
            table.forget(text)
            documents -= 1
            counts = Counter({n: c - (n in names) for n, c in counts.items() if c > (n in names)})
        elif step == "changes":
            stored.apply(*table.changes())
            assert stored.dump() == table.dump()
        elif step == "reload":
            stored.apply(*table.changes())
            table = IdfTable.load(table.dump())
        records = list(struct.iter_unpack("<QI", table.dump()[56:-16]))
        assert table.documents == documents
        assert records == sorted(counts.items())

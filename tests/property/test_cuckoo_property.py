from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import cuckoo as oracle

from sophia._core.cuckoo import CuckooFilter, GenerationalFilter
from sophia.errors import FilterFull

KEYS = st.one_of(st.integers(0, 12), st.integers(), st.text(max_size=3), st.binary(max_size=20))
STEPS = st.lists(st.tuples(st.sampled_from(["add", "add", "discard", "in"]), KEYS), max_size=120)


@given(st.integers(1, 40), st.integers(0, 2**64 - 1), STEPS)
@settings(max_examples=150, deadline=None)
def test_answers_like_a_multiset(capacity, seed, steps):
    known, model = CuckooFilter(capacity, seed=seed), oracle.Model(capacity, seed)
    for what, key in steps:
        if what == "add":
            try:
                known.add(key)
                assert model.add(key)
            except FilterFull:
                if known.full:  # no room, which the model does not know
                    continue
                assert not model.add(key)
        elif what == "discard":
            assert known.discard(key) == model.discard(key)
        assert (key in known) == (key in model)
        assert len(known) == len(model)
    again = CuckooFilter.load(known.dump())
    for _, key in steps:
        assert (key in again) == (key in model)


@given(st.integers(1, 20), st.lists(KEYS, max_size=150))
@settings(max_examples=80, deadline=None)
def test_the_last_additions_are_known(capacity, keys):
    recent = GenerationalFilter(capacity)
    accepted: list[object] = []
    for key in keys:
        try:
            recent.add(key)
            accepted.append(key)
        except FilterFull:
            assert not recent.full
        assert all(kept in recent for kept in accepted[-capacity:])
    assert len(recent) <= 2 * capacity

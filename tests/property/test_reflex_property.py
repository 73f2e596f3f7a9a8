from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import reflex as oracle

from sophia._core.reflex import ReflexCache

KEYS = st.one_of(st.integers(0, 15).map(lambda i: b"%d" % i), st.binary(max_size=40))
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "get", "get", "drop", "expire", "clear"]),
        KEYS,
        st.one_of(st.none(), st.integers(0, 700)),
        st.one_of(st.none(), st.integers(1, 30)),
    ),
    max_size=150,
)


@given(st.integers(1, 12), st.integers(1024, 3000), STEPS)
@settings(max_examples=200, deadline=None)
def test_like_the_oracle(entries, room, steps):
    bound = oracle.tables(entries) + room
    cache, model = ReflexCache(bound, entries), oracle.Cache(bound, entries)
    for now, (what, key, size, life) in enumerate(steps):
        value = None if size is None else key[:1] * size
        if what == "put":
            expires = None if life is None else float(now + life)
            assert cache.put(key, key, value, ttl=life, now=now) == model.put(key, key, value, expires)
        elif what == "get":
            found, wanted = cache.entry(key, now=now), model.find(key, now)
            assert (found is None) == (wanted is None)
            if found is not None:
                assert (found.raw, found.value, found.expires) == (wanted.raw, wanted.value, wanted.expires)
        elif what == "drop":
            assert cache.drop(key) == model.drop(key)
        elif what == "expire":
            due = [e.key for e in model.slots if e and e.expires is not None and e.expires <= now]
            assert cache.expire(now=now) == len(due)
            for one in due:
                model.drop(one)
        elif key == b"0":  # seldom, or nothing ever fills up
            cache.clear()
            model.clear()
        assert len(cache) == len(model.where)
        assert cache.nbytes == model.nbytes <= bound
    for key in {key for _, key, _, _ in steps}:
        assert (key in cache) == (key in model.where)

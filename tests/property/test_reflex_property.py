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
        st.sampled_from([b"", b"", b"ana", b"boris", b"carla"]),
    ),
    max_size=150,
)


@given(st.integers(1, 12), st.integers(1024, 3000), STEPS)
@settings(max_examples=200, deadline=None)
def test_like_the_oracle(entries, room, steps):
    bound = oracle.tables(entries) + room
    cache, model = ReflexCache(bound, entries), oracle.Cache(bound, entries)
    for now, (what, key, size, life, scope) in enumerate(steps):
        value = None if size is None else key[:1] * size
        if what == "put":
            expires = None if life is None else float(now + life)
            kept = cache.put(key, key, value, ttl=life, now=now, scope=scope)
            assert kept == model.put(key, key, value, expires, scope)
        elif what == "get":
            found, wanted = cache.entry(key, now=now), model.find(key, now)
            assert (found is None) == (wanted is None)
            if found is not None:
                assert (found.raw, found.value, found.expires) == (wanted.raw, wanted.value, wanted.expires)
        elif what == "drop":
            assert cache.drop(key) == model.drop(key)
        elif what == "expire":
            due = [e.key for _, e in model.where.values() if e.expires is not None and e.expires <= now]
            assert cache.expire(now=now) == len(due)
            for one in due:
                model.drop(one)
        elif key == b"0":  # seldom, or nothing ever fills up
            cache.clear()
            model.clear()
        assert len(cache) == len(model.where)
        assert cache.nbytes == model.nbytes <= bound
        assert cache.stats()["scopes"] == len(model.scopes)
    for key in {step[1] for step in steps}:
        assert (key in cache) == (key in model.where)


@given(st.lists(st.tuples(st.sampled_from([b"ana", b"boris", b"mallory"]), st.integers(0, 300)), max_size=120))
def test_only_the_heaviest_lose(steps):
    """Whoever loses an entry to another scope held at least half of what the heaviest did."""
    bound = oracle.tables(8) + 3000
    cache = ReflexCache(bound, 8)
    held = {b"ana": {}, b"boris": {}, b"mallory": {}}
    for i, (scope, size) in enumerate(steps):
        before = {name: sum(entries.values()) for name, entries in held.items()}
        key = b"%d" % i
        cache.put(key, value=b"v" * size, scope=scope)
        for name, entries in held.items():
            gone = [one for one in entries if one not in cache]
            if gone and name != scope:
                assert 2 * before[name] > max(before.values())
            for one in gone:
                del entries[one]
        held[scope][key] = (oracle.ENTRY + len(key) + size + 15) // 16 * 16

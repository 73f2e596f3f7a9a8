from __future__ import annotations

import doctest
import pickle
import threading

import pytest
from oracle import reflex as oracle

from sophia._core import reflex
from sophia._core.reflex import ReflexCache, ReflexEntry


def small(entries: int, room: int = 1 << 16, **options: object) -> ReflexCache:
    return ReflexCache(oracle.tables(entries) + room, entries, **options)


def test_doctests():
    results = doctest.testmod(reflex)
    assert results.attempted > 5
    assert results.failed == 0


def test_put_get_replace_drop():
    cache = ReflexCache()
    assert cache.get(b"k") is None
    assert cache.put(b"k", b"raw", b"one", flags=7, tag=(1, 2, 2**64 - 1))
    entry = cache.entry(b"k")
    assert (entry.raw, entry.value, entry.flags, entry.tag, entry.expires) == (
        b"raw",
        b"one",
        7,
        (1, 2, 2**64 - 1),
        None,
    )
    assert cache.put(b"k", b"raw2", b"two")
    assert len(cache) == 1
    assert cache.get(b"k") == b"two"
    assert cache.entry(b"k").tag == (0, 0, 0)
    assert cache.drop(b"k")
    assert not cache.drop(b"k")
    assert b"k" not in cache
    assert cache.nbytes == oracle.tables(1 << 16)


def test_no_answer_is_not_an_empty_answer():
    cache = ReflexCache()
    cache.put(b"none")
    cache.put(b"empty", value=b"")
    assert cache.entry(b"none").value is None
    assert cache.entry(b"empty").value == b""
    assert cache.get(b"none") is None
    assert cache.get(b"empty") == b""
    assert cache.entry(b"missing") is None


def test_keys_are_compared_byte_by_byte():
    cache = ReflexCache()
    keys = [b"", b"\0", b"\0\0", b"a", b"a\0", b"5 mW", b"5 MW", b"enable 2FA", b"disable 2FA"]
    keys += [bytes([i]) * size for i in range(3) for size in (7, 8, 9, 15, 16, 17, 31, 32, 33, 1000)]
    for number, key in enumerate(keys):
        cache.put(key, value=str(number).encode())
    expected = {key: str(number).encode() for number, key in enumerate(keys)}
    assert all(cache.get(key) == value for key, value in expected.items())
    assert len(cache) == len(expected)


def test_expiry_is_on_the_given_clock():
    cache = ReflexCache(ttl=5)
    cache.put(b"a", value=b"1", now=0.0)
    cache.put(b"b", value=b"2", now=0.0, ttl=50)
    assert cache.get(b"a", now=4.999) == b"1"
    assert cache.get(b"a", now=5.0) is None
    assert cache.get(b"a", now=0.0) is None  # gone, not hidden
    assert cache.get(b"b", now=49.0) == b"2"
    assert cache.get(b"b", now=float("nan")) is None  # an unknown time serves nothing
    assert cache.stats()["expirations"] == 2
    assert len(cache) == 0
    for i in range(10):
        cache.put(b"%d" % i, value=b"", ttl=i + 1, now=100.0)
    assert cache.expire(now=105.0) == 5
    assert len(cache) == 5
    cache.put(b"soon", value=b"x", ttl=1e-9)
    assert cache.get(b"soon") is None
    assert ReflexCache().put(b"k", ttl=1e300, now=0.0)


def test_clock_gives_a_second_chance():
    cache = small(3)
    for key in (b"a", b"b", b"c"):
        cache.put(key, value=key)
    assert cache.get(b"a") == b"a"
    cache.put(b"d", value=b"d")  # a is spared, b goes
    assert [key in cache for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert cache.has_forgotten
    assert cache.stats()["evictions"] == 1
    cache.put(b"e", value=b"e")  # the hand goes on: c
    cache.put(b"f", value=b"f")  # a has had its chance
    assert [key in cache for key in (b"a", b"c", b"d", b"e", b"f")] == [False, False, True, True, True]


def test_bytes_are_counted_and_bounded():
    cache = small(1000, room=4096)
    model = oracle.Cache(oracle.tables(1000) + 4096, 1000)
    for i in range(500):
        key, raw, value = b"%d" % i, b"r" * (i % 60), b"v" * (i * 7 % 300)
        assert cache.put(key, raw, value) == model.put(key, raw, value, None)
        assert cache.nbytes == model.nbytes <= cache.max_bytes
        assert len(cache) == len(model.where)
    assert cache.stats()["evictions"] == len(model.evicted) > 0
    assert cache.stats()["bytes"] == cache.nbytes


def test_an_entry_above_the_whole_bound_is_refused_and_what_was_there_is_gone():
    cache = small(10, room=2048)
    cache.put(b"other", value=b"kept")
    cache.put(b"k", value=b"old")
    assert not cache.has_forgotten
    assert cache.put(b"k", value=b"v" * 2048) is False
    assert cache.get(b"k") is None  # an outdated answer would be wrong
    assert cache.get(b"other") == b"kept"
    assert cache.has_forgotten
    assert cache.stats()["refusals"] == 1
    assert cache.put(b"k", value=b"v" * (2048 - 144 - 64 - 16)) is True
    assert b"other" not in cache


def test_policy_change_clears():
    cache = ReflexCache(policy="rules 1")
    cache.put(b"k", value=b"v")
    cache.policy = "rules 1"
    assert cache.get(b"k") == b"v"
    cache.policy = "rules 2"
    assert cache.policy == "rules 2"
    assert len(cache) == 0
    assert cache.get(b"k") is None
    assert cache.put(b"k", value=b"new")
    assert cache.get(b"k") == b"new"


def test_clear_keeps_counters():
    cache = small(4)
    for i in range(9):
        cache.put(b"%d" % i)
    cache.entry(b"8")
    cache.get(b"absent")
    cache.clear()
    assert len(cache) == 0
    assert cache.stats() == {
        "hits": 1,
        "misses": 1,
        "evictions": 5,
        "expirations": 0,
        "refusals": 0,
        "entries": 0,
        "scopes": 0,
        "bytes": oracle.tables(4),
    }
    for i in range(9):
        cache.put(b"%d" % i)
    assert len(cache) == 4


def test_the_secret_decides_nothing():
    caches = [small(20, room=6000) for _ in range(8)]  # each has a secret of its own
    for i in range(3000):
        key = b"key %d" % (i * i % 97)
        answers = {cache.get(key) for cache in caches}
        assert len(answers) == 1
        if i % 3 == 0:
            for cache in caches:
                cache.put(key, value=b"%d" % i * (i % 5))
        if i % 41 == 0:
            assert len({cache.drop(b"key %d" % (i % 97)) for cache in caches}) == 1
    stats = [cache.stats() for cache in caches]
    assert all(one == stats[0] for one in stats)
    assert stats[0]["evictions"] > 50


def test_wrong_arguments():
    with pytest.raises(ValueError, match="max_entries"):
        ReflexCache(max_entries=0)
    with pytest.raises(ValueError, match="max_entries"):
        ReflexCache(max_entries=1 << 31)
    with pytest.raises(ValueError, match="max_bytes"):
        ReflexCache(1000)
    for ttl in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="ttl"):
            ReflexCache(ttl=ttl)
    cache = ReflexCache()
    for key in ("text", 5, None, bytearray(b"k")):
        for call in (cache.put, cache.get, cache.entry, cache.drop, cache.__contains__):
            with pytest.raises(TypeError):
                call(key)
    with pytest.raises(TypeError):
        cache.put(b"k", None)
    with pytest.raises(OverflowError):
        cache.put(b"k", flags=1 << 32)
    with pytest.raises(ValueError, match="unpack"):
        cache.put(b"k", tag=(1, 2))
    with pytest.raises(ValueError, match="seconds"):
        cache.put(b"k", ttl=float("nan"))
    assert len(cache) == 0
    with pytest.raises(TypeError):
        ReflexEntry()
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(cache)
    assert "0 entries" in repr(cache)


@pytest.mark.stress
def test_from_several_threads():
    cache = small(300, room=40_000)
    wrong: list[bytes] = []

    def work(seed: int) -> None:
        for i in range(20_000):
            key = b"%d" % (i * seed % 997)
            value = cache.get(key)
            if value is not None and value != key * 3:
                wrong.append(key)
            if i % 2:
                cache.put(key, key, key * 3)
            elif i % 17 == 0:
                cache.drop(key)
            elif i % 1999 == 0:
                cache.clear()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cache.nbytes <= cache.max_bytes


def test_a_flood_of_one_scope_evicts_its_own():
    """A scope loses entries to another only while it holds more: the few answers of the others survive any flood."""
    cache = small(100, room=1 << 20)
    for name in (b"ana", b"boris"):
        for i in range(10):
            assert cache.put(name + b" %d" % i, value=b"answer", scope=name)
    for i in range(5000):
        assert cache.put(b"flood %d" % i, value=b"x" * (i % 40), scope=b"mallory")
        assert len(cache) <= 100
    for name in (b"ana", b"boris"):
        assert all(cache.get(name + b" %d" % i) == b"answer" for i in range(10))
    assert cache.stats()["scopes"] == 3


def test_a_flood_of_scopes_takes_no_more_than_its_part():
    """Many scopes of one entry each: who holds more gives way, until all hold about as much."""
    cache = small(64, room=1 << 20)
    for i in range(64):
        cache.put(b"old %d" % i, value=b"answer", scope=b"ana")
    for i in range(1000):
        cache.put(b"%d" % i, value=b"x", scope=b"scope %d" % i)
        assert len(cache) == 64
    assert sum(b"old %d" % i in cache for i in range(64)) <= 1
    assert cache.stats()["scopes"] == 64


def test_a_scope_alone_has_the_whole_cache():
    cache = small(50, room=1 << 20)
    for i in range(200):
        cache.put(b"%d" % i, value=b"v", scope=b"ana")
    assert [i for i in range(200) if b"%d" % i in cache] == list(range(150, 200))

"""The exact cache under any steps, against the model."""

from __future__ import annotations

from oracle import reflex as oracle

from fuzz.tape import Tape
from sophia._core.reflex import ReflexCache


def seeds() -> list[bytes]:
    return [
        b"\x03\x00\x10" + bytes(range(200)),
        b"\x01\xff\x01" + b"\0key\0\3\1key\0\0\2key\0" * 9,
        b"\x0b\x00\x00" + b"\0aaaa\xff\xff\0bbbb\xff\0\1aaaa" * 12,
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    entries, room = 1 + tape.number(11), 1024 + tape.number(2000)
    bound = oracle.tables(entries) + room
    cache, model = ReflexCache(bound, entries), oracle.Cache(bound, entries)
    now = 0
    keys = set()
    while tape and now < 400:
        what, key, size, life = tape.number(7), tape.take(tape.number(6)), tape.number(900), tape.number(40)
        now += 1
        keys.add(key)
        if what < 3:
            value = None if what == 2 else key[:1] * size
            expires = float(now + life) if life else None
            assert cache.put(key, key, value, ttl=life or None, now=now) == model.put(key, key, value, expires)
        elif what < 5:
            found, wanted = cache.entry(key, now=now), model.find(key, now)
            assert (found is None) == (wanted is None)
            if found is not None and wanted is not None:
                assert (found.raw, found.value, found.expires) == (wanted.raw, wanted.value, wanted.expires)
        elif what == 5:
            assert cache.drop(key) == model.drop(key)
        elif what == 6:
            due = [e.key for _, e in model.where.values() if e.expires is not None and e.expires <= now]
            assert cache.expire(now=now) == len(due)
            for one in due:
                model.drop(one)
        elif size == 0:
            cache.clear()
            model.clear()
        assert len(cache) == len(model.where)
        assert cache.nbytes == model.nbytes <= bound
    for key in keys:
        assert (key in cache) == (key in model.where)

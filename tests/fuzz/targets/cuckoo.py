"""Dumps of both filters: what is taken is dumped as it was, holds what it says, and goes on working."""

from __future__ import annotations

import struct

from fuzz.dumps import loaded, sealed
from fuzz.tape import Tape
from sophia._core.cuckoo import CuckooFilter, GenerationalFilter
from sophia.errors import FilterFull

MOST = 1 << 14


def seeds() -> list[bytes]:
    made = []
    for capacity, count in ((1, 1), (20, 21), (60, 30)):
        for kind, mode in ((CuckooFilter, 1), (GenerationalFilter, 3)):
            known = kind(capacity, seed=7)
            for i in range(count):
                known.add(i * 7919)
            made += [bytes([mode]) + known.dump()[:-16], bytes([mode - 1]) + known.dump()]
    # more of one key than two buckets hold goes into the stash
    crowded = CuckooFilter(4, seed=1)
    for i in range(40):
        try:
            crowded.add(i)
        except FilterFull:
            break
    return [*made, b"\x01" + crowded.dump()[:-16]]


def check(data: bytes) -> None:
    tape = Tape(data)
    mode = tape.number(3)
    kind = GenerationalFilter if mode & 2 else CuckooFilter
    dump = tape.rest()[:MOST]
    if mode & 1:
        dump = sealed(_inner_sealed(dump) if mode & 2 else dump)
    known = loaded(kind.load, dump)
    if known is None:
        return
    assert kind.load(known.dump()).dump() == known.dump()
    assert len(known) >= 0
    assert known.capacity > 0
    before = len(known)
    for key in range(16):
        try:
            known.add(key)
        except FilterFull:
            break
        assert key in known
    again = kind.load(known.dump())
    assert [key in again for key in range(16)] == [key in known for key in range(16)]
    for key in range(16):  # two of them may be one to the filter: only then are all compared
        known.discard(key)
    if kind is CuckooFilter:
        assert len(known) <= before
    known.clear()
    assert len(known) == 0


def _inner_sealed(dump: bytes) -> bytes:
    """The two tables inside a dump of generations have checksums of their own."""
    head = struct.calcsize("<8sIIQQQQ")
    size = int.from_bytes(dump[head - 8 : head], "little")
    if not 144 <= size <= len(dump):
        return dump
    tables = [dump[at : at + size] for at in (head, head + size)]
    return dump[:head] + b"".join(sealed(table[:-16]) for table in tables) + dump[head + 2 * size :]

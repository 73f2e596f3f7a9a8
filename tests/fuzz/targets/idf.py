"""Dumps of IDF tables."""

from __future__ import annotations

from oracle.hash import hash_bytes

from fuzz.dumps import loaded
from fuzz.tape import Tape
from sophia._core.encode import TextEncoder
from sophia._core.idf import IdfTable

_KEY = 0x5350494446  # of the checksum


def seeds() -> list[bytes]:
    table = IdfTable(seed=3, bound=1 << 15)
    for text in ("disk full on host", "disk is fine", "ok"):
        table.observe(text)
    return [b"\1" + table.dump()[:-16], b"\0" + table.dump(), b"\1" + IdfTable().dump()[:-16]]


def check(data: bytes) -> None:
    tape = Tape(data)
    repaired = tape.number(1)
    dump = tape.rest()
    if repaired:
        dump += _checksum(dump)
    table = loaded(IdfTable.load, dump)
    if table is None:
        return
    again = IdfTable.load(table.dump())
    assert (again.documents, len(again), again.seed, again.bound) == (
        table.documents,
        len(table),
        table.seed,
        table.bound,
    )
    assert again.dump() == table.dump()
    table.observe("disk full again")
    assert table.df("disk") >= 1
    assert TextEncoder(256, seed=table.seed, idf=table).encode("disk full").dim == 256


def _checksum(block: bytes) -> bytes:
    low, high = hash_bytes(block, _KEY)
    return low.to_bytes(8, "little") + high.to_bytes(8, "little")

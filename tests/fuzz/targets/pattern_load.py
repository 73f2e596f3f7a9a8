"""Saved tables of patterns, as one dump and as rows of a store: what is taken can be saved again and goes on."""

from __future__ import annotations

import struct
from typing import Any

from oracle.hash import hash_bytes

from fuzz.dumps import loaded
from fuzz.tape import Tape
from sophia._core.pattern import PatternTable

HEADER = struct.Struct("<8sIIQ16s")
ROW = struct.Struct("<qQQQQII")
MOST = 1 << 15


def _learned(lines: list[str], capacity: int = 64) -> PatternTable:
    table = PatternTable(capacity, seed=3)
    for line in lines:
        table.observe(line)
    return table


def seeds() -> list[bytes]:
    users = [f"session opened for user {name}" for name in ("ann", "bob", "carol", "dave", "root")]
    made = [
        _learned([]),
        _learned(["disk full on host7"]),
        _learned([*users, "x=1", "caf\xe9 \xff", *users]),
        _learned([f"{chr(97 + i) * 3} is {i % 3} up" for i in range(24)], 16),
    ]
    return [bytes([mode]) + table.dump() for table in made for mode in (0, 1, 2)]


def check(data: bytes) -> None:
    tape = Tape(data)
    mode = tape.number(2)
    dump = tape.rest()[:MOST]
    if mode == 2:
        rows = _rows(dump[HEADER.size :])
        table = loaded(lambda _: PatternTable.restore(rows, 64), dump)
    else:
        if mode and len(dump) >= HEADER.size:
            rows_ = dump[HEADER.size :]
            dump = dump[: HEADER.size - 16] + struct.pack("<QQ", *hash_bytes(rows_, 1)) + rows_
        table = loaded(PatternTable.load, dump)
    if table is None:
        return
    _goes_on(table)


def _goes_on(table: PatternTable) -> None:
    again = PatternTable.load(table.dump())
    assert sorted(again.changes()) == sorted(PatternTable.load(again.dump()).changes())
    assert list(again.patterns()) == list(table.patterns())
    for line in ("session opened for user eve", "disk full on host9", "aaa is 1 up", "zzz"):
        seen, same = table.observe(line), again.observe(line)
        assert seen == same
        assert table.template(seen.id)
        assert table.resolve(seen.id) == seen.id
        assert 0.0 <= seen.closeness <= 1.0
    assert table.leaves <= table.capacity


def _rows(data: bytes) -> list[tuple[Any, ...]]:
    """Rows as a store would give them, whatever their numbers and texts are."""
    rows = []
    at = 0
    while at + ROW.size <= len(data):
        id, count, first_n, last_n, into, text_size, state_size = ROW.unpack_from(data, at)
        at += ROW.size
        text, state = data[at : at + text_size], data[at + text_size : at + text_size + state_size]
        at += text_size + state_size
        rows.append((id, text.decode(errors="replace"), count, first_n, last_n, into or None, state))
    return rows

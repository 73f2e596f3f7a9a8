"""Dumps of the drift of a stream: taken whole, or refused with an error of ours."""

from __future__ import annotations

import json

from fuzz.dumps import loaded
from fuzz.tape import Tape
from sophia.organs.drift import WindowEncoder
from sophia.store.drift_table import DriftTable


def seeds() -> list[bytes]:
    table = DriftTable(seed=3)
    table.add(WindowEncoder(3).sums([["tea is ready", "tea for ana"], ["the gate fell"], ["tea is cold"]]))
    dump = table.dump()
    # the centroid makes the dump long, and may hold anything: of it only the size and the bound count
    head = dump[: 12 + int.from_bytes(dump[8:12], "little")]
    return [b"\1" + head, b"\0" + dump, b"\1SophDrf1" + b"\x10\0\0\0" + b"[" * 5000]


def check(data: bytes) -> None:
    tape = Tape(data)
    whole = tape.number(1)
    dump = tape.rest() + (bytes(40_000) if whole else b"")
    table = loaded(DriftTable.load, dump)
    if table is None:
        return
    assert DriftTable.load(table.dump()).dump() == table.dump()
    json.dumps(table.baseline())
    table.add(WindowEncoder().sums([["one more window", "of two texts"]]))
    json.dumps(table.baseline())

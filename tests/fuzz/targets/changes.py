"""Logs of changes of filters and IDF tables: applied whole, or refused with an error of ours."""

from __future__ import annotations

from fuzz.dumps import loaded
from fuzz.tape import Tape
from sophia._core.cuckoo import CuckooFilter, GenerationalFilter
from sophia._core.idf import IdfTable


def seeds() -> list[bytes]:
    made = []
    for mode, kind in ((0, CuckooFilter), (1, GenerationalFilter)):
        known = kind(8, track_changes=1000)
        for i in range(12):
            if mode or i < 8:
                known.add(i)
        known.discard(3)
        if isinstance(known, GenerationalFilter):
            known.rotate()
        log = known.drain_changes()
        assert log is not None
        made += [bytes([mode]) + log, bytes([mode]) + log + b"0" + bytes(8) + log]
    table = IdfTable()
    table.observe("disk full on host")
    documents, records = table.changes()
    return [*made, b"\x02" + documents.to_bytes(8, "little") + records, b"\x02" + b"\xff" * 8 + records[:-1]]


def check(data: bytes) -> None:
    tape = Tape(data)
    mode = tape.number(2)
    if mode == 2:
        _idf(tape)
        return
    kind = GenerationalFilter if mode else CuckooFilter
    known = kind(8, seed=5, track_changes=10_000)
    log = tape.rest()
    count = loaded(known.apply_changes, log)
    if count is not None:
        assert count == len(log) // 9
    # whatever was applied, the filter is whole: it can be saved and read
    assert kind.load(known.dump()).dump() == known.dump()


def _idf(tape: Tape) -> None:
    documents = int.from_bytes(tape.take(8), "little", signed=True)
    records = tape.rest()
    table = IdfTable()
    if loaded(lambda data: table.apply(documents, data) or table, records) is None:
        assert table.documents == 0
        assert len(table) == 0
    assert IdfTable.load(table.dump()).dump() == table.dump()
    assert table.documents == documents or documents < 0 or len(table) == 0

"""Dumps and logs of sessions: taken whole, or refused with an error of ours; what was taken can be used and kept."""

from __future__ import annotations

from fuzz.dumps import loaded
from fuzz.tape import Tape
from sophia.store.session_table import SessionRules, SessionTable


def seeds() -> list[bytes]:
    table = SessionTable(SessionRules(limit=3), track=True)
    for i in range(12):
        table.observe("ana" if i % 5 == 0 else "", f"s{i % 4}", (1, i), i % 3)
    table.end("", "s1")
    log = table.changes()
    dump = table.dump()
    # the filter makes the dump long, and has a target of its own
    head = dump[: 16 + int.from_bytes(dump[8:16], "little")]
    return [b"\0" + head, b"\1" + log, b"\1" + b"[" * 5000, b"\1[[2,false,true,1,1,0],[[]]]"]


def check(data: bytes) -> None:
    tape = Tape(data)
    if tape.number(1):
        table = SessionTable()
        log = tape.rest()
        if loaded(lambda changes: table.replay(changes) or True, log) and len(table) == 0:
            assert table.take_ended() == []
    else:
        found = loaded(SessionTable.load, tape.rest() + SessionTable().dump()[16 + len(b"[0,[]]") :])
        if found is None:
            return
        table = found
    assert SessionTable.load(table.dump()).dump() == table.dump()
    table.observe("", "s", (1, 1), 7)
    table.end_all()
    assert len(table) == 0

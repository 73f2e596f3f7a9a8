"""Dumps and logs of rhythms: taken whole, or refused with an error of ours; what was taken can be used and kept."""

from __future__ import annotations

from fuzz.dumps import loaded
from fuzz.tape import Tape
from sophia._core.rhythm import RhythmTable, _sealed


def seeds() -> list[bytes]:
    table = RhythmTable(track=True)
    for i in range(60):
        table.observe("a" if i % 7 else "b", i % 3 + 1, 60.0 * i)
    log = table.changes()
    return [b"\0" + table.dump()[12:], b"\1" + log[12:], b"\1", b"\0", b"\2" + table.dump()]


def check(data: bytes) -> None:
    tape = Tape(data)
    kind = tape.number(2)
    data = tape.rest()
    if kind < 2:  # else the checksum hides all that is behind it
        data = _sealed(data)
    if kind == 1:
        table, log = RhythmTable(), data
        if loaded(lambda changes: table.replay(changes) or True, log) is None:
            return
    else:
        found = loaded(RhythmTable.load, data)
        if found is None:
            return
        table = found
    assert RhythmTable.load(table.dump()).dump() == table.dump()
    for i in range(40):
        table.observe("a", 1 + i % 2, 1e9 + 60.0 * i)
    for _, rhythm in table.most_regular(3):
        assert rhythm.comings >= 0
    table.forget({1})
    assert table.rhythm(1) is None

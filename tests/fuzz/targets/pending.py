"""Records of inputs whose decisions may have been told, and the file that counts what was: read whole, or refused."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fuzz.dumps import loaded
from fuzz.tape import Tape
from sophia.store import ack
from sophia.store.pending import FileMark, Pending

_FOLDER = tempfile.TemporaryDirectory(prefix="sophia-fuzz-")
_FILE = Path(_FOLDER.name) / "ack"


def seeds() -> list[bytes]:
    records = (
        Pending(1, 1, 2.5, {"texts": ["a", None, "caf\xe9 \ud800", ""], "scopes": ["", "x", "", ""], "lines": None}),
        Pending(3, 257, 1e9, {"texts": ["one"] * 3}, [10, 20, 35], FileMark("out", 1, 2, 3), {"audit": 0.5}),
        Pending(1, 1, 0.0, {"texts": []}, []),
    )
    deliveries = (ack.Delivery(), ack.Delivery(9, 1, 257, 400), ack.Delivery(9, 1, 257, 400, True))
    nested = b"[" * 5000
    deep = [b"\0" + len(nested).to_bytes(4, "little") + nested]
    return [b"\0" + record.pack() for record in records] + deep + [b"\1" + delivery.pack() for delivery in deliveries]


def check(data: bytes) -> None:
    tape = Tape(data)
    if tape.number(1):
        _FILE.write_bytes(tape.rest())
        found = ack.read(_FILE)
        if found.fault is None and len(_FILE.read_bytes()) == len(found.pack()):
            assert found.pack() == _FILE.read_bytes()
        else:
            assert found.fault or found == ack.Delivery()
        return
    record = loaded(Pending.unpack, tape.rest())
    if record is None:
        return
    assert repr(Pending.unpack(record.pack())) == repr(record)  # as words: a time may be no number
    for delivery in (
        ack.Delivery(),
        ack.Delivery(1, record.run, record.n, 20),
        ack.Delivery(1, record.run, record.n, 99, True),
    ):
        assert 0 <= record.acknowledged(delivery) <= len(record)
    assert {len(values) for values in record.head(1).values() if values is not None} <= {min(1, len(record))}

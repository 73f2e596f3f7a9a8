"""Masks and templates of any lines, against the model."""

from __future__ import annotations

from oracle import pattern as oracle

from fuzz.tape import Tape
from sophia._core.pattern import PatternTable, mask


def seeds() -> list[bytes]:
    return [
        b"\x00"
        + b"\n".join(
            b"session opened for user %s on tty%d" % (name, i) for i, name in enumerate([b"ann", b"bob", b"eve"] * 3)
        ),
        b"\x01" + b'10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 23\n"key": "a b" took 5 ms',
        b"\x02"
        + b"k=v k=w k=\xc3\xa9 fe80::1 deadbeef C:\\x ~/x eth0 ..\n\x00\t\xff\xe7\x94\xa8 Dec 10 12:30:01\nnull=(null)",
        b"\x00" + b"\n".join(bytes([97 + i]) * 3 + b" is up" for i in range(25)),
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    capacity = (16, 24, 1000)[tape.number(2)]
    table, model = PatternTable(capacity), oracle.Table(capacity)
    for n, line in enumerate(tape.rest().split(b"\n")[:200], 1):
        masked = b" ".join(oracle.mask(line))
        assert mask(line) == masked.decode("utf-8", "replace")
        before = table.match(line)
        seen, wanted = table.observe(line), model.observe(line, n)
        assert (seen.id, seen.count, seen.leaf_count, seen.closeness, seen.fresh) == (
            wanted.id,
            wanted.count,
            wanted.leaf_count,
            wanted.closeness,
            wanted.fresh,
        )
        assert before.leaf_hash == seen.leaf_hash
    assert table.leaves == len(model.used) <= capacity
    assert {pattern.id for pattern in table.patterns()} == set(model.owner)
    again = PatternTable.load(table.dump())
    assert list(again.patterns()) == list(table.patterns())

"""Plain lines: any bytes in any pieces, against the slow reader."""

from __future__ import annotations

from oracle import readers as oracle

from fuzz.streams import same_in_pieces
from fuzz.tape import Tape


def seeds() -> list[bytes]:
    head = bytes([3, 40, 7, 1, 0])
    return [
        head + b"one\r\ntwo\n\nthree",
        head + b"\xef\xbb\xbfcaf\xc3\xa9\r\r\n \t\n\x00nul\n\xff\xfe broken\n",
        head + b"\xed\xa0\x80 half a pair\n\xf0\x9f\x98\x80\n\xe3\x80\x80\n",
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    cuts = [tape.number(255) for _ in range(3)]
    batch, live = 1 + tape.number(8), bool(tape.number(1))
    stream = tape.rest()
    if stream.startswith(b"\x1f\x8b"):
        return  # that is gzip
    whole = same_in_pieces(stream, cuts, batch, live, format="lines")
    if isinstance(whole, tuple):
        events, counts = whole
        assert [(event.line, event.text, event.invalid) for event in events] == oracle.plain(stream)
        assert counts["lines"] == len(oracle.lines_of(stream))
    else:
        assert "binary file" in whole or "not text" in whole, whole

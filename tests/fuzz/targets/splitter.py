"""The line splitter alone: its lines do not depend on the cuts, and what it holds is bounded."""

from __future__ import annotations

from fuzz.streams import split
from fuzz.tape import Tape
from sophia.stream.blocks import Block, LineSplitter
from sophia.stream.event import BAD_UTF8, CUT, NUL

HEAD = bytes([2, 9, 17, 33])


def seeds() -> list[bytes]:
    return [
        HEAD + b"a\nbb\r\nccc",
        HEAD + b"\xe3\x81\x82" * 9 + b"\n\xf0\x9f\x98\x80\n",
        HEAD + b"\0\n\xff\n" + b"q" * 90,
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    most = 4 + tape.number(60)
    cuts = [tape.number(255) for _ in range(3)]
    stream = tape.rest()
    lines, flags = _all([stream], most)
    assert _all(split(stream, cuts), most) == (lines, flags)
    assert _all([stream[i : i + 1] for i in range(len(stream))], most) == (lines, flags)
    assert len(lines) == stream.count(b"\n") + (not stream.endswith(b"\n") and stream != b"")
    for i, line in enumerate(lines):
        bits = flags.get(i, 0)
        assert len(line.encode()) <= most or bits & BAD_UTF8  # a broken byte becomes three
        assert ("\0" in line) == bool(bits & NUL)
        assert bits & ~(BAD_UTF8 | CUT | NUL) == 0


def _all(pieces: list[bytes], most: int) -> tuple[list[str], dict[int, int]]:
    splitter = LineSplitter(most)
    lines: list[str] = []
    flags: dict[int, int] = {}

    def add(block: Block) -> None:
        flags.update({len(lines) + i: bits for i, bits in block.flags.items()})
        lines.extend(block.lines)

    for piece in pieces:
        add(splitter.feed(piece))
        assert len(splitter._carry) <= most + 1
    add(splitter.finish())
    return lines, flags

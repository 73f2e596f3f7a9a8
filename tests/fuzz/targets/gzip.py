"""gzip: a stream that unpacks gives the lines of its text; any other is refused by name."""

from __future__ import annotations

import gzip
import io
import zlib

from fuzz.streams import outcome, same_in_pieces
from fuzz.tape import Tape

HEAD = bytes([5, 77, 130, 3, 1])
MOST = 1 << 20


def seeds() -> list[bytes]:
    one = gzip.compress(b"one\ntwo\n", mtime=0)
    named = io.BytesIO()
    with gzip.GzipFile("name.log", "wb", fileobj=named, mtime=0) as file:
        file.write(b'{"text": "a"}\n' * 9)
    return [
        HEAD + one,
        HEAD + one + gzip.compress(b"three", mtime=0),
        HEAD + one + b"\0" * 10 + one,
        HEAD + one[:-5],
        HEAD + one + b"tail",
        HEAD + named.getvalue(),
        HEAD + gzip.compress(b"", mtime=0),
        HEAD + gzip.compress(b"x" * 100_000, mtime=0),
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    cuts = [tape.number(255) for _ in range(3)]
    batch, live = 1 + tape.number(8), bool(tape.number(1))
    stream = b"\x1f\x8b" + tape.rest().removeprefix(b"\x1f\x8b")
    whole = same_in_pieces(stream, cuts, batch, live, format="lines", max_line=1000)
    text = _unpacked(stream)
    if text is None:
        assert isinstance(whole, str), "zlib refuses it, read at once"
        assert "pieces" in whole
    elif len(text) <= MOST and not text.startswith(b"\x1f\x8b"):
        assert whole == outcome([text], format="lines", max_line=1000)


def _unpacked(stream: bytes) -> bytes | None:
    """All members at once, at most MOST + 1 bytes; None for what cannot be unpacked."""
    text = b""
    try:
        while stream := stream.lstrip(b"\0"):
            member = zlib.decompressobj(wbits=31)
            text += member.decompress(stream, MOST + 1 - len(text))
            if len(text) > MOST:
                return text
            if not member.eof:
                return None
            stream = member.unused_data
    except zlib.error:
        return None
    return text

"""Format detection: what is detected is what reading under that name gives; a limit gives the beginning."""

from __future__ import annotations

from fuzz.streams import outcome, read, same_in_pieces
from fuzz.tape import Tape
from sophia.errors import InputError
from sophia.stream.formats import FORMATS, Keys, detect

HEAD = bytes([4, 12, 33, 3, 0, 2])


def seeds() -> list[bytes]:
    return [
        HEAD + b'\n  \n{"text": "a"}\nplain\n',
        HEAD + b'text,scope\na,b\n"c\nd",e\n',
        HEAD + b"Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user webmaster\n",
        HEAD + b"PK\x03\x04",
        HEAD + b"\x89PNG\r\n\x1a\n",
        HEAD + b"[1, 2]\n[3]\n",
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    cuts = [tape.number(255) for _ in range(3)]
    batch, live, limit = 1 + tape.number(8), bool(tape.number(1)), tape.number(6)
    stream = tape.rest()
    first = stream.split(b"\n", 1)[0].decode(errors="replace")
    assert detect(first, Keys()) in FORMATS[1:]
    whole = same_in_pieces(stream, cuts, batch, live)
    if isinstance(whole, str):
        assert "pieces" in whole  # the refusal names its input
        return
    events, counts = whole
    for format in counts["formats"].values():
        named = outcome([stream], format=format)
        assert named[0] == events
    try:
        some, _ = read([stream], limit=limit)
    except InputError:
        return  # a break behind the limit that came in the same piece
    assert some == events[:limit]

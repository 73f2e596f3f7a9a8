"""JSON lines: a line is one event, and its text is what Python's own parser finds in it."""

from __future__ import annotations

import json
from typing import Any

from oracle import readers as oracle

from fuzz.streams import same_in_pieces
from fuzz.tape import Tape

HEAD = bytes([9, 60, 20, 2, 1])


def seeds() -> list[bytes]:
    return [
        HEAD + b'{"text": "disk full", "scope": "a", "id": 7}\n{"message": "x", "ts": 1.5e3, "answer": null}\n',
        HEAD + b'{"text": "\\ud800", "user": ["x", {"y": [1, 2]}]}\n\n[1]\n{"text": 5}\n{"text": ""}\nnull\n{"a": 1}\n',
        HEAD + b'\xef\xbb\xbf{"text": "caf\xc3\xa9", "label": true}\r\n{"text": "a\\u0000b"}\n{"text": "\xff"}\n{bad\n',
        HEAD + b'{"TEXT": "x", "text": null, "msg": "y"}\n{"text": "a", "text": "b"}\n' + b'{"x":' * 210 + b"\n",
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    cuts = [tape.number(255) for _ in range(3)]
    batch, live = 1 + tape.number(8), bool(tape.number(1))
    stream = tape.rest()
    if stream.startswith(b"\x1f\x8b"):
        return
    whole = same_in_pieces(stream, cuts, batch, live, format="jsonl")
    if isinstance(whole, str):
        assert "binary file" in whole or "not text" in whole, whole
        return
    lines = oracle.lines_of(stream)
    for event in whole[0]:
        line, good = lines[event.line - 1]
        if event.invalid is None:
            assert good
            fields = _parsed(line)
            texts = [fields[key] for key in oracle.TEXT if key in fields and fields[key] is not None]
            if not any(key != key.lower() for key in fields):  # keys count in any case; the oracle knows one
                assert texts
                assert event.text == oracle.scalar(texts[0])
        elif event.invalid == "not-an-object":
            assert not isinstance(_parsed(line), dict)
        elif event.invalid == "not-json" and line.count("{") + line.count("[") < 200:
            assert _refused(line)


def _parsed(line: str) -> Any:
    return json.loads(line, strict=False)


def _refused(line: str) -> bool:
    try:
        _parsed(line)
    except (ValueError, RecursionError):
        return True
    return False

"""The rules of the readers once more, the slow way: whole input in memory, one line at a time."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

BOM = "\ufeff"
TEXT = ("text", "message", "msg", "content", "log", "query", "prompt")


def lines_of(data: bytes) -> list[tuple[str, bool]]:
    """The text of each line and whether its bytes were UTF-8."""
    parts = data.split(b"\n")
    if parts[-1] == b"":
        parts.pop()
    out = []
    for i, part in enumerate(parts):
        text = part.decode("utf-8", "replace")
        try:
            part.decode("utf-8")
            good = True
        except UnicodeDecodeError:
            good = False
        text = text.rstrip("\r")
        if i == 0 and text.startswith(BOM):
            text = text[1:]
        out.append((text, good))
    return out


def plain(data: bytes) -> list[tuple[int, str, str | None]]:
    """(line, text, invalid) of each event of plain lines."""
    out = []
    for i, (text, good) in enumerate(lines_of(data), 1):
        if text.strip() == "":
            continue
        reason = None if good else "not-utf8"
        if reason is None and "\0" in text:
            reason = "nul"
        out.append((i, text, reason))
    return out


def table(data: str) -> list[list[str]]:
    """The records of well-formed CSV, by the standard library."""
    return [row for row in csv.reader(io.StringIO(data, newline="")) if row]


def scalar(value: Any) -> str:
    """What a scope, context or id becomes."""
    if value is None:
        return ""
    if isinstance(value, str):
        return "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in text)

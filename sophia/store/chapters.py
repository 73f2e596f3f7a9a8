"""Chapters of a brain's story, as rows of the store: each a JSON object under a number, in their order."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sophia.store import checksum
from sophia.store.view import StoreView

__all__ = ["KEPT", "SIGNIFICANT", "damaged", "erase", "insert", "last", "read"]

KEPT = 10_000
"""Chapters that a store has at most, and its birth: the oldest go."""

SIGNIFICANT = 0.3
"""A chapter of less significance is a line in the log of its day."""

_QUOTES = ("summary", "terms", "fewer", "new", "vanished")  # lists; `words` and `again` beside them
_FORGOTTEN = "Forgotten"
_SINCE = 5  # the format of stores that brought them

_COLUMNS = "id, CAST(data AS BLOB), checksum"  # bytes: what is damaged may be no text

_Run = Callable[..., sqlite3.Cursor]


def insert(run: _Run, chapter: Mapping[str, Any]) -> None:
    """Adds a chapter, inside a transaction; makes room for it."""
    number = run("SELECT coalesce(max(id), 0) + 1 FROM chapters").fetchone()[0]
    run("INSERT INTO chapters VALUES (?, ?, ?)", _sealed(number, json.dumps(chapter)))
    run("DELETE FROM chapters WHERE id BETWEEN 2 AND ?", (number - KEPT,))  # the first is its birth


def erase(run: _Run, scope: str) -> int:
    """Takes what is quoted out of the chapters that inputs of a scope were part of, and of those right after them,
    which tell what is no more; their counts stay. How many there were."""
    erased, before = 0, False
    gone: set[object] = set()  # titles that are quoted no more
    unknown = False  # whether one of them cannot be read
    for number, data, check in run(f"SELECT {_COLUMNS} FROM chapters ORDER BY id").fetchall():
        chapter = _read(number, data, check)
        if chapter is None:  # nobody knows what it quotes, nor of whom
            run("DELETE FROM chapters WHERE id = ?", (number,))
            erased, before, unknown = erased + 1, True, True
            continue
        if "scopes" not in chapter:  # it quotes nobody
            continue
        found = dict(chapter)
        scopes = chapter["scopes"]
        part = scopes is None or scope in scopes
        if unknown or chapter.get("again") in gone:
            chapter["again"] = None
        if (part or before) and chapter.get("title") != _FORGOTTEN:
            gone.add(chapter.get("title"))
            chapter |= {"title": _FORGOTTEN, "again": None, "words": {}} | {name: [] for name in _QUOTES}
            erased += 1
        if part and scopes is not None:
            chapter["scopes"] = [one for one in scopes if one != scope]
        if chapter != found:
            run("INSERT OR REPLACE INTO chapters VALUES (?, ?, ?)", _sealed(number, json.dumps(chapter)))
        before = part
    return erased


def read(view: StoreView) -> list[tuple[int, dict[str, Any]]]:
    """The chapters of a store, with their numbers, in order; none where it is older than they are. What is damaged is
    passed over: `check` tells of that."""
    if view.format < _SINCE:
        return []
    return _sound(view.execute(f"SELECT {_COLUMNS} FROM chapters ORDER BY id"))


def damaged(view: StoreView) -> int:
    """How many chapters of a store `read` passes over."""
    if view.format < _SINCE:
        return 0
    rows = view.execute(f"SELECT {_COLUMNS} FROM chapters")
    return len(rows) - len(_sound(rows))


def last(run: _Run, count: int) -> list[dict[str, Any]]:
    """The last chapters, in order."""
    rows = run(f"SELECT {_COLUMNS} FROM chapters ORDER BY id DESC LIMIT ?", (count,)).fetchall()
    return [chapter for _, chapter in reversed(_sound(rows))]


def _sound(rows: Sequence[tuple[Any, ...]]) -> list[tuple[int, dict[str, Any]]]:
    return [(row[0], chapter) for row in rows if (chapter := _read(*row)) is not None]


def _read(number: int, data: bytes | None, check: int) -> dict[str, Any] | None:
    """The object; None where it is damaged."""
    if not isinstance(data, bytes) or checksum.of_blob(number, "chapter", data) != check:
        return None
    chapter = json.loads(data)
    return chapter if isinstance(chapter, dict) else None


def _sealed(number: int, text: str) -> tuple[int, str, int]:
    return number, text, checksum.of_blob(number, "chapter", text.encode())

"""Chapters of a brain's story, as rows of the store: each a JSON object under a number, in their order."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sophia.store import checksum
from sophia.store.view import StoreView

__all__ = ["KEPT", "erase", "insert", "last", "read"]

KEPT = 10_000
"""Chapters that a store has at most, and its birth: the oldest go."""

_QUOTES = ("summary", "terms", "fewer", "new", "vanished")  # lists; `words` and `again` beside them
_FORGOTTEN = "Forgotten"
_SINCE = 5  # the format of stores that brought them

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
    for number, data in run("SELECT id, data FROM chapters ORDER BY id").fetchall():
        chapter = _read(data)
        if "scopes" not in chapter:  # it quotes nobody
            continue
        scopes = chapter["scopes"]
        part = scopes is None or scope in scopes
        chapter["again"] = None  # it may name one that is quoted no more
        if (part or before) and chapter.get("title") != _FORGOTTEN:
            chapter |= {"title": _FORGOTTEN, "again": None, "words": {}} | {name: [] for name in _QUOTES}
            erased += 1
        if part and scopes is not None:
            chapter["scopes"] = [one for one in scopes if one != scope]
        if part or before or "again" in chapter:
            run("INSERT OR REPLACE INTO chapters VALUES (?, ?, ?)", _sealed(number, json.dumps(chapter)))
        before = part
    return erased


def read(view: StoreView) -> list[tuple[int, dict[str, Any]]]:
    """The chapters of a store, with their numbers, in order; none where it is older than they are. What is damaged is
    passed over: `check` tells of that."""
    if view.format < _SINCE:
        return []
    return _told(view.execute("SELECT id, data FROM chapters ORDER BY id"))


def last(run: _Run, count: int) -> list[dict[str, Any]]:
    """The last chapters, in order."""
    rows = run("SELECT id, data FROM chapters ORDER BY id DESC LIMIT ?", (count,)).fetchall()
    return [chapter for _, chapter in reversed(_told(rows))]


def _told(rows: Sequence[tuple[Any, ...]]) -> list[tuple[int, dict[str, Any]]]:
    return [(number, chapter) for number, data in rows if (chapter := _read(data))]


def _read(data: str) -> dict[str, Any]:
    """The object; an empty one where it is damaged."""
    try:
        chapter = json.loads(data)
    except ValueError:
        return {}
    return chapter if isinstance(chapter, dict) else {}


def _sealed(number: int, text: str) -> tuple[int, str, int]:
    return number, text, checksum.of_blob(number, "chapter", text.encode())

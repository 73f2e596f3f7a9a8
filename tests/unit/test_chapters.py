"""Chapters in a store: their order and bound, and what is left of them when a scope is forgotten."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.cli.chapters import told
from sophia.forgetting import forget_scope
from sophia.store import chapters as rows
from sophia.store.chapters import read
from sophia.store.folder import StoreFolder
from sophia.store.view import StoreView


def chapter(title: str, scopes: list[str] | None, **more: Any) -> dict[str, Any]:
    return {
        "title": title, "run": 1, "ended": "2026-11-30T12:00:00Z", "began": "2026-11-30T11:00:00Z", "inputs": 700,
        "significance": 0.5, "summary": [f"in.log:1: {title} secret"], "first": 1, "last": 700, "from": "in.log:1",
        "to": "in.log:700", "events": [None, None], "routes": {"reflex": 700}, "whys": {}, "hits": 0, "danger": {},
        "alarms": 0, "answered": 0, "again": None, "words": {"secret": 3}, "terms": ["secret"], "fewer": ["secret"],
        "new_patterns": 1, "new": ["secret"], "vanished": ["secret"], "scopes": scopes, "k_change": None, **more,
    }  # fmt: skip


def write(store: Path, made: list[dict[str, Any]]) -> None:
    with sophia.open(store) as brain:
        brain.add_chapters(made)


def kept(store: Path) -> list[dict[str, Any]]:
    with StoreView(StoreFolder(store).file) as view:
        return [one for _, one in read(view)]


def test_they_are_committed_in_order_and_can_be_read(tmp_path: Path) -> None:
    made = [chapter(str(n), [""]) for n in range(5)]
    write(tmp_path, made[:3])
    with sophia.open(tmp_path) as brain:
        brain.add_chapters(made[3:])
        assert brain.chapters() == made
        assert brain.chapters(2) == made[3:]
    assert kept(tmp_path) == made


def test_without_a_store_there_are_none() -> None:
    with sophia.open(None) as brain:
        brain.add_chapters([chapter("one", [""])])
        assert brain.chapters() == []


def test_what_is_not_told_is_not_committed(tmp_path: Path) -> None:
    """A brain that gives up what was not told gives up its chapters."""
    with sophia.open(tmp_path) as brain:
        brain.add_chapters([chapter("one", [""])])
        brain.discard()
    assert kept(tmp_path) == []


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "KEPT", 4)
    made = [chapter(str(n), [""]) for n in range(10)]
    write(tmp_path, made)
    assert [one["title"] for one in kept(tmp_path)] == ["0", "6", "7", "8", "9"]


def test_a_forgotten_scope_is_quoted_no_more(tmp_path: Path) -> None:
    made = [
        chapter("first", ["ana"]), chapter("hers", ["ana", "bob"]), chapter("next", ["ana"]), chapter("many", None),
        chapter("after", ["ana"], again="hers"), chapter("last", ["ana"]),
    ]  # fmt: skip
    write(tmp_path, made)
    forget_scope(tmp_path, "bob")
    left = kept(tmp_path)
    assert [one["title"] for one in left] == ["first", "Forgotten", "Forgotten", "Forgotten", "Forgotten", "last"]
    assert [("secret" in json.dumps(one)) for one in left] == [True, False, False, False, False, True]
    assert [one["scopes"] for one in left] == [["ana"], ["ana"], ["ana"], None, ["ana"], ["ana"]]
    assert [one["inputs"] for one in left] == [700] * 6
    assert b"hers" not in b"".join(
        path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("sophia.db")
    )
    forget_scope(tmp_path, "bob")
    assert kept(tmp_path) == left


def test_what_has_nothing_to_do_with_a_forgotten_scope_stays(tmp_path: Path) -> None:
    made = [
        chapter("one", [""]), chapter("two", ["ana"]), chapter("three", [""]), chapter("four", [""], again="one"),
        chapter("five", [""], again="two"), chapter("six", [""], again="three"),
    ]  # fmt: skip
    write(tmp_path, made)

    def as_it_lies() -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(tmp_path / "sophia.db")) as database:
            return database.execute("SELECT * FROM chapters ORDER BY id").fetchall()

    before = as_it_lies()
    forget_scope(tmp_path, "nobody")
    assert as_it_lies() == before
    forget_scope(tmp_path, "ana")
    left = kept(tmp_path)
    assert left[0] == made[0]
    assert left[3] == made[3]
    assert [one["again"] for one in left] == [None, None, None, "one", None, None]
    assert not any("two" in json.dumps(one) or "three" in json.dumps(one) for one in left)


def test_a_damaged_row_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, [chapter("one", [""]), chapter("two", [""])])
    file = StoreFolder(tmp_path).file
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE chapters SET data = '{\"title' WHERE id = 1")
    assert [one["title"] for one in kept(tmp_path)] == ["two"]


def test_weeks_and_days_are_summed() -> None:
    made = [
        (1, chapter("early", [""], ended="2026-11-20T12:00:00Z", hits=3)),
        (2, chapter("small", [""], significance=0.1, again="early", ended="2026-11-29T12:00:00Z")),
        (3, chapter("late", [""], ended="2026-11-30T12:00:00Z", alarms=1)),
        (4, chapter("strange", [""], ended="1e99")),
    ]
    lines = list(told(made))
    assert "Week of 2026-11-16: 1 chapter, 700 inputs, 3 with danger" in lines
    assert "2026-11-29 (Sunday): 1 chapter, 700 inputs" in lines
    assert "    2. small (700 inputs, in.log:1 to 700, again)" in lines
    assert "2026-11-30 (Monday): 1 chapter, 700 inputs, 1 alarm" in lines
    assert lines.index("  3. late (significance 0.50)") < lines.index("  1. early (significance 0.50)")


def test_nothing_in_them_steers_a_terminal_or_a_page() -> None:
    odd = "\x1b[31m\r\n<b>*_`"
    made = [(1, chapter(odd, [""], summary=[odd], terms=[odd], fewer=[odd], new=[odd], vanished=[odd]))]
    made[0][1].update({"from": odd, "to": odd, "danger": {odd: 1}, "events": [odd, odd]})
    for markdown in (False, True):
        lines = list(told(made, markdown=markdown))
        assert all(line.isprintable() for line in lines)
    assert not any("<b>" in line for line in lines)

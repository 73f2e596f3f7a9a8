"""Forgetting a scope: everywhere that the store knows of, and no more than that."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.errors import InputError, StoreFailed, StoreLocked
from sophia.forgetting import forget_scope
from sophia.organs.batch import Columns
from sophia.organs.hippocampus import Hippocampus
from sophia.store.backup import backup
from sophia.store.outputs import Output, note
from sophia.store.store import Store
from sophia.stream.erasing import erase_outputs
from sophia.stream.readers import read_batches
from sophia.stream.run import run

SECRET = "xyzzyplugh"
SETTINGS = sophia.Settings(remember="new", vectors=True)
ANN = [f"my secret word is {SECRET}", f"{SECRET} again and again", "when do you open"]
BOB = ["when do you open", "the lamp of the hall is broken", "the lamp of the yard is broken"]


def stream(folder: Path, store: Path, *, name: str = "out.jsonl") -> None:
    """A run as the command makes it, with files of its own; Ann and Bob by turns."""
    rows = [
        {"text": text, "scope": scope, "answer": f"{text}, {scope}"}
        for pair in zip(ANN, BOB, strict=True)
        for scope, text in zip(("ann", "bob"), pair, strict=True)
    ]
    rows.append({"text": ANN[0], "scope": "ann"})  # whose answer the decision has
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with sophia.open(store, settings=SETTINGS) as brain:
        files = {"decisions": folder / name, "patterns": folder / "patterns.jsonl", "report": folder / "report.html"}
        brain.note_outputs(files)
        files["report"].write_text(f"<title>Sophia: a run</title>{SECRET}")
        with files["decisions"].open("wb") as out, files["patterns"].open("wb") as patterns:
            run(read_batches([str(folder / "in.jsonl")]), brain, out, patterns)
        for scope in ("ann", "bob"):
            brain.thalamus.sessions.table.observe(scope, f"{scope} talks", (1, 1), 1)
        brain.thalamus.sessions.table.observe("ann", f"{SECRET} was here", (1, 1), 1)
        brain.end_session(f"{SECRET} was here", scope="ann")
    (folder / "in.jsonl").unlink()


def holding(folder: Path, secret: str = SECRET) -> list[str]:
    return sorted(
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and secret.encode() in file.read_bytes().lower()
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_secret_is_found_before_and_nowhere_after(tmp_path: Path) -> None:
    store = tmp_path / "mind"
    stream(tmp_path, store)
    assert holding(tmp_path) == ["mind/sophia.db", "out.jsonl", "patterns.jsonl", "report.html"]
    before = (tmp_path / "out.jsonl").read_bytes().splitlines()
    done = forget_scope(store, "ann")
    assert (done.memories, done.answers, done.patterns, done.texts) == (3, 3, 2, 3)
    assert (done.decisions, done.pattern_lines, done.sessions) == (4, 2, 1)
    assert done.removed == [str(tmp_path / "report.html")]
    assert holding(tmp_path) == []
    after = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert after == [line for line in before if json.loads(line)["scope"] == "bob"]  # byte for byte
    assert any("familiar" in what for what in done.remains)
    with closing(sqlite3.connect(store / "sophia.db")) as rows:
        assert rows.execute("PRAGMA freelist_count").fetchone()[0] == 0
    again = forget_scope(store, "ann")
    assert not any(value for name, value in again.as_dict().items() if name != "remains")


def test_the_others_keep_what_they_had(tmp_path: Path) -> None:
    store = tmp_path / "mind"
    stream(tmp_path, store)
    forget_scope(store, "ann")
    with Hippocampus.open(store) as memory:
        assert {one.scope for one in memory.recall(None, 10)} == {"bob"}
    with sophia.open(store, settings=SETTINGS) as brain:
        assert brain.notes == []
        assert (brain.thalamus.idf.df("lamp"), brain.thalamus.idf.df(SECRET)) == (2, 0)
        for text in BOB:
            assert brain.route(text, scope="bob").answer == f"{text}, bob"
        assert brain.route(ANN[0], scope="ann").answer is None
    kept = lines(tmp_path / "patterns.jsonl")
    assert {one["id"] for one in kept} >= {line["pattern"] for line in lines(tmp_path / "out.jsonl")}


def test_texts_that_were_never_counted_are_not_taken_out(tmp_path: Path) -> None:
    with sophia.open(tmp_path, settings=sophia.Settings(vectors=True)) as brain:
        brain.route("the lamp of the hall", scope="bob")
    with sophia.open(tmp_path) as brain:
        brain.complete(brain.route("the lamp of zanzibar", scope="ann"), answer="no")
    assert forget_scope(tmp_path, "ann").texts == 0
    with sophia.open(tmp_path, settings=sophia.Settings(vectors=True)) as brain:
        assert brain.thalamus.idf.df("lamp") == 1


def test_the_inputs_of_a_run_that_was_killed_are_forgotten_too(tmp_path: Path) -> None:
    with sophia.open(tmp_path, settings=SETTINGS) as brain:
        brain.begin(brain.decide(Columns(list(ANN), scopes=["ann"] * len(ANN))))
        brain.discard()  # as a process leaves it that dies now
    assert holding(tmp_path) == ["sophia.db"]
    done = forget_scope(tmp_path, "ann")
    assert done.memories == 3
    assert holding(tmp_path) == []


def test_kept_examples_of_a_router(tmp_path: Path) -> None:
    texts = [*ANN, *BOB]
    with sophia.open(tmp_path, settings=SETTINGS) as brain:
        for text in ANN:
            brain.route(text, scope="ann")
        brain.fit([*texts, "lights on", "lights off"] * 2, ["a", "a", "b", "b", "c", "c", "c", "c"] * 2)
    done = forget_scope(tmp_path, "ann")
    assert done.examples == 3
    assert holding(tmp_path) == []
    with sophia.open(tmp_path) as brain:
        assert brain.intents is not None
        left = {text for route in brain.intents.routes for text in route.utterances}
        assert left == {*BOB[1:], "lights on", "lights off"}


def test_copies_in_the_store_go_when_that_is_said(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "mind")
    aside = tmp_path / "mind" / "replaced-2026-01-01T00-00-00Z"
    aside.mkdir()
    shutil.copy(tmp_path / "mind" / "sophia.db", aside)
    done = forget_scope(tmp_path / "mind", "ann")
    assert any(aside.name in what for what in done.remains)
    assert holding(tmp_path) == [f"mind/{aside.name}/sophia.db"]
    done = forget_scope(tmp_path / "mind", "ann", copies=True)
    assert done.removed == [str(aside)]
    assert holding(tmp_path) == []


def test_the_default_scope(tmp_path: Path) -> None:
    with sophia.open(tmp_path, settings=SETTINGS) as brain:
        brain.route(ANN[0])
        brain.route("the lamp of the hall is broken", scope="bob")
    done = forget_scope(tmp_path, "")
    assert (done.memories, done.patterns) == (1, 1)
    assert holding(tmp_path) == []


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no store"):
        forget_scope(tmp_path / "none", "ann")
    stream(tmp_path, tmp_path / "mind")
    with sophia.open(tmp_path / "mind"), pytest.raises(StoreLocked):
        forget_scope(tmp_path / "mind", "ann", wait=0.05)


def test_a_backup_is_not_touched_and_said_to_be_left(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "mind")
    backup(tmp_path / "mind", tmp_path / "copy")
    done = forget_scope(tmp_path / "mind", "ann")
    assert [name.split("/")[0] for name in holding(tmp_path)] == ["copy"]
    assert any("backups" in what for what in done.remains)


# ---------------------------------------------------------------------------------------------------- files of runs


def decision(n: int, scope: str, pattern: int | None = 1, **more: Any) -> str:
    told = {"n": n, "scope": scope, "route": "reflex", "why": "novel", "pattern": pattern, "policy_version": "x"}
    return json.dumps(told | more)


def test_what_is_no_decision_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    strange = ['{"scope": "ann", "text": "an input"}', "not json", "[" * 100_000, '"ann"', ""]
    path.write_text("\n".join([decision(1, "ann"), *strange, decision(2, "bob")]) + "\n")
    path.chmod(0o640)
    done = erase_outputs([Output(str(path), "decisions", 1)], "ann", lambda _: None)
    assert done.decisions == 1
    assert path.read_text() == "\n".join([*strange, decision(2, "bob")]) + "\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert done.kept == [f"5 lines of {path} that are no decisions"]
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]


def test_patterns_by_who_had_them(tmp_path: Path) -> None:
    out, patterns = tmp_path / "out.jsonl", tmp_path / "patterns.jsonl"
    out.write_text("".join(decision(n, scope, id) + "\n" for n, (scope, id) in enumerate(
        [("ann", 1), ("ann", 2), ("bob", 2), ("bob", 3), ("ann", 4), ("bob", 4), ("ann", None)]
    )))  # fmt: skip
    rows = [{"id": id, "template": f"template {id}", "count": 2} for id in (1, 2, 3, 4)]
    patterns.write_text("".join(json.dumps(row) + "\n" for row in rows))
    left = {2: "template of bob", 3: "never looked at"}
    files = [Output(str(out), "decisions", 1), Output(str(patterns), "patterns", 1)]
    done = erase_outputs(files, "ann", left.get)
    assert (done.decisions, done.patterns) == (4, 3)
    assert [(one["id"], one["template"]) for one in lines(patterns)] == [
        (2, "template of bob"), (3, "template 3"), (4, "<*>"),
    ]  # fmt: skip
    assert erase_outputs(files, "ann", left.get).patterns == 0


def test_without_the_decisions_nothing_is_left_to_chance(tmp_path: Path) -> None:
    patterns, report = tmp_path / "patterns.jsonl", tmp_path / "report.html"
    patterns.write_text(json.dumps({"id": 1, "template": SECRET, "count": 2}) + "\n")
    report.write_text("<title>Sophia: x</title>")
    gone = Output(str(tmp_path / "gone.jsonl"), "decisions", 1)
    files = [gone, Output(str(patterns), "patterns", 1), Output(str(report), "report", 1)]
    done = erase_outputs(files, "ann", lambda _: None)
    assert (patterns.read_text(), report.exists(), done.gone) == ("", False, [gone.path])


def test_a_report_of_a_run_without_the_scope_stays_and_so_does_what_is_no_report(tmp_path: Path) -> None:
    out, report = tmp_path / "out.jsonl", tmp_path / "report.html"
    files = [Output(str(out), "decisions", 1), Output(str(report), "report", 1)]
    out.write_text(decision(1, "bob") + "\n")
    report.write_text("<title>Sophia: x</title>")
    assert erase_outputs(files, "ann", lambda _: None).removed == []
    out.write_text(decision(1, "ann") + "\n")
    report.write_text("<title>somebody else's</title>")
    assert erase_outputs(files, "ann", lambda _: None).removed == []
    assert report.exists()


def test_a_pipe_in_the_place_of_a_file_makes_nobody_wait(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "out.jsonl")
    done = erase_outputs([Output(str(tmp_path / "out.jsonl"), "decisions", 1)], "ann", lambda _: None)
    assert done.kept == [f"{tmp_path / 'out.jsonl'}, which is no file any more"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(decision(1, "ann") + "\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("sophia.stream.erasing.Partial", refuse)
    with pytest.raises(StoreFailed, match=r"out\.jsonl cannot be cleaned"):
        erase_outputs([Output(str(path), "decisions", 1)], "ann", lambda _: None)


# ------------------------------------------------------------------------------------------------ what a store knows


def test_a_store_knows_the_files_of_its_runs_within_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sophia.store.outputs._MOST", 4)
    there = tmp_path / "there"
    there.touch()
    store = Store(tmp_path / "mind")
    try:
        store.note_outputs([Output(str(tmp_path / f"gone-{number}"), "log", 1) for number in range(3)])
        store.note_outputs([Output(str(there), "log", 2), Output("/b\udcff", "decisions", 2)])
        assert [one.path for one in store.outputs()] == ["/b\udcff", str(there)][::-1] or [
            one.path for one in store.outputs()
        ] == [str(there)]
        assert store.meta("outputs_lost") is None
        others = [tmp_path / f"file-{number}" for number in range(5)]
        for other in others:
            other.touch()
        store.note_outputs([Output(str(other), "log", 3) for other in others])
        assert [one.run for one in store.outputs()] == [3] * 4
        assert int(store.meta("outputs_lost") or 0) == 2
    finally:
        store.close()


def test_a_damaged_row_of_a_file_names_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.note_outputs([Output("/a", "log", 1), Output("/b", "log", 1)])
    store.close()
    with closing(sqlite3.connect(tmp_path / "sophia.db")) as rows:
        rows.execute("UPDATE outputs SET kind = 'decisions' WHERE path = ?", (b"/a",))
        rows.commit()
    store = Store(tmp_path)
    assert [one.path for one in store.outputs()] == ["/b"]
    store.close()


def test_noting_no_file_is_nothing() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE outputs (path BLOB PRIMARY KEY, kind TEXT, run INTEGER, checksum INTEGER)")
        assert note(connection, []) == 0

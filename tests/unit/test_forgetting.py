"""Forgetting a scope: everywhere that the store knows of, and no more than that."""

from __future__ import annotations

import json
import random
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
from sophia.store.check import check
from sophia.store.checksum import of_meta
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
    journal = "mind/decisions/decisions-00000001.jsonl"
    assert holding(tmp_path) == [journal, "mind/sophia.db", "out.jsonl", "patterns.jsonl", "report.html"]
    before = (tmp_path / "out.jsonl").read_bytes().splitlines()
    done = forget_scope(store, "ann")
    assert (done.memories, done.answers, done.patterns, done.texts) == (3, 3, 2, 3)
    assert (done.decisions, done.journaled, done.pattern_lines, done.sessions) == (4, 4, 2, 1)
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


def later(folder: Path, store: Path, *, decisions: bool = True) -> None:
    """A second run, of Bob alone, whose patterns are all that the store has."""
    folder.mkdir()
    with sophia.open(store, settings=SETTINGS) as brain:
        files = {"patterns": folder / "patterns.jsonl", "log": folder / "run.log"}
        if decisions:
            files["decisions"] = folder / "out.jsonl"
        brain.note_outputs(files)
        (folder / "in.jsonl").write_text(json.dumps({"text": BOB[1], "scope": "bob"}) + "\n")
        with (folder / "out.jsonl").open("wb") as out, (folder / "patterns.jsonl").open("wb") as patterns:
            run(read_batches([str(folder / "in.jsonl")]), brain, out, patterns)


@pytest.mark.parametrize("broken", [False, True])
def test_files_of_other_runs_show_nothing_of_it_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    store = tmp_path / "mind"
    stream(tmp_path, store)
    later(tmp_path / "later", store)
    assert "later/patterns.jsonl" in holding(tmp_path)
    if broken:  # killed after the store was clean, when the decisions of the scope were gone already

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        (tmp_path / "out.jsonl").unlink()
        with monkeypatch.context() as patch:
            patch.setattr("sophia.forgetting.erase_outputs", die)
            with pytest.raises(KeyboardInterrupt):
                forget_scope(store, "ann")
    forget_scope(store, "ann")
    assert holding(tmp_path) == []
    assert {one["id"] for one in lines(tmp_path / "later" / "patterns.jsonl")} >= {
        line["pattern"] for line in lines(tmp_path / "later" / "out.jsonl")
    }


def test_what_a_killed_run_has_left_of_a_file_goes(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "mind")
    (tmp_path / "patterns.jsonl.99999-0.part").write_text(SECRET)
    forget_scope(tmp_path / "mind", "ann")
    assert holding(tmp_path) == []


def test_a_log_that_quotes_an_input_goes(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "mind")
    with sophia.open(tmp_path / "mind") as brain:
        brain.note_outputs({"log": tmp_path / "run.log"})
    (tmp_path / "run.log").write_text(f"Traceback (most recent call last): {SECRET}")
    forget_scope(tmp_path / "mind", "ann")
    assert holding(tmp_path) == []


@pytest.mark.parametrize("name", ["sessions", "idf", "familiar"])
def test_what_a_damaged_table_holds_goes_too(tmp_path: Path, name: str) -> None:
    with sophia.open(tmp_path, settings=SETTINGS) as brain:
        brain.route("one", scope="ann", session=SECRET)
    with closing(sqlite3.connect(tmp_path / "sophia.db")) as rows:
        rows.execute("UPDATE dumps SET checksum = checksum + 1 WHERE name = ?", (name,))
        rows.commit()
    forget_scope(tmp_path, "ann")
    assert holding(tmp_path) == []
    with sophia.open(tmp_path, settings=SETTINGS) as brain:
        assert brain.notes == []


def test_the_seed_of_a_store_is_that_of_its_tables(tmp_path: Path) -> None:
    settings = SETTINGS.with_changes(seed=7)
    with sophia.open(tmp_path, settings=settings) as brain:
        brain.route(ANN[0], scope="ann", session="a")
        for text in ("open the door", "go in"):
            brain.route(text, scope="bob", session="b")
        brain.end_session("b", scope="bob")
    assert forget_scope(tmp_path, "ann").texts == 1
    with sophia.open(tmp_path, settings=settings) as brain:
        assert (brain.thalamus.idf.df(SECRET), brain.thalamus.idf.df("door")) == (0, 1)
        again = [brain.route(text, scope="bob", session="c") for text in ("open the door", "go in")]
        assert again[1].session_novel is None  # the order is known


def test_notes_were_never_counted(tmp_path: Path) -> None:
    with sophia.open(tmp_path, settings=sophia.Settings(vectors=True)) as brain:
        brain.route("the lamp of the hall", scope="bob")
    with Hippocampus.open(tmp_path) as memory:
        memory.remember("lamp hall", scope="ann")
    assert forget_scope(tmp_path, "ann").texts == 0
    with sophia.open(tmp_path, settings=sophia.Settings(vectors=True)) as brain:
        assert brain.thalamus.idf.df("lamp") == 1


def test_what_cannot_be_a_scope(tmp_path: Path) -> None:
    with sophia.open(tmp_path):
        pass
    with pytest.raises(ValueError, match="lone surrogate"):
        forget_scope(tmp_path, "\ud800")
    with pytest.raises(TypeError, match="scope"):
        forget_scope(tmp_path, 7)  # type: ignore[arg-type]


def test_a_scope_of_any_length_that_is_routed_is_forgotten(tmp_path: Path) -> None:
    long = "a" * 100_000
    with sophia.open(tmp_path) as brain:
        brain.complete(brain.route("Where is my parcel?", scope=long), answer="In Jena.")
    done = forget_scope(tmp_path, long)
    assert (done.answers, done.patterns) == (1, 1)


def test_what_is_noted_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sophia.open("mind") as brain:
        with pytest.raises(ValueError, match="no kind of file"):
            brain.note_outputs({"poem": "x"})
        brain.note_outputs({"decisions": "out.jsonl"})
    assert check(tmp_path / "mind").sound
    store = Store(tmp_path / "mind")
    assert [one.path for one in store.outputs()[0]] == [str(tmp_path / "out.jsonl")]
    store.close()
    with sophia.open(None) as brain:
        brain.note_outputs({"decisions": "out.jsonl"})


# ---------------------------------------------------------------------------------------------------- files of runs


def decision(n: int, scope: str, pattern: int | None = 1, **more: Any) -> str:
    told = {"n": n, "scope": scope, "route": "reflex", "why": "novel", "pattern": pattern, "policy_version": "x"}
    return json.dumps(told | more)


def pattern(id: int, template: str) -> str:
    told = {"id": id, "template": template, "count": 2, "first_n": 1, "last_n": 2, "merged_into": None}
    return json.dumps(told) + "\n"


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
        [("ann", 1), ("ann", 2), ("bob", 2), ("bob", 3), ("ann", 4), ("bob", 4), ("ann", None), ("ann", 5), ("ann", 6)]
    )))  # fmt: skip
    patterns.write_text("".join(pattern(id, f"template {id}") for id in (1, 2, 3, 4, 5, 6)))
    left = {2: "template <*>", 3: "never looked at", 5: "another template 5 altogether", 6: "not of this file"}
    files = [Output(str(out), "decisions", 1), Output(str(patterns), "patterns", 1)]
    done = erase_outputs(files, "ann", left.get)
    assert (done.decisions, done.patterns) == (6, 4)
    assert [(one["id"], one["template"]) for one in lines(patterns)] == [
        (2, "template <*>"), (3, "template 3"), (4, "<*>"), (5, "template 5"), (6, "<*>"),  # nothing it did not have
    ]  # fmt: skip
    assert erase_outputs(files, "ann", left.get).patterns == 0


def test_without_the_decisions_nothing_is_left_to_chance(tmp_path: Path) -> None:
    patterns, report = tmp_path / "patterns.jsonl", tmp_path / "report.html"
    patterns.write_text(pattern(1, SECRET))
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

    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"session": "s", "scope": "ann", "patterns": {}}) + "\n")
    with monkeypatch.context() as patch:
        patch.setattr("sophia.stream.erasing.shutil.copymode", refuse)
        patch.setattr("sophia.stream.erasing.os.fsync", refuse)
        done = erase_outputs(
            [Output(str(path), "decisions", 1), Output(str(other), "sessions", 1)], "ann", lambda _: None
        )
    assert [words.split(" cannot")[0] for words in done.failed] == [
        str(other),
        str(path),
    ]  # one does not stop the other
    assert path.read_text()
    stream(tmp_path, tmp_path / "mind", name="third.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr("sophia.stream.erasing.os.fsync", refuse)
        with pytest.raises(StoreFailed, match="all else is forgotten, but"):
            forget_scope(tmp_path / "mind", "ann")
    assert "mind/sophia.db" not in holding(tmp_path)
    assert forget_scope(tmp_path / "mind", "ann").decisions == 4
    assert holding(tmp_path) == []


# ------------------------------------------------------------------------------------------------ what a store knows


def test_a_store_knows_the_files_of_its_runs_within_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sophia.store.outputs._MOST", 20)
    there = tmp_path / "there"
    there.touch()
    store = Store(tmp_path / "mind")
    try:
        store.note_outputs([Output(str(tmp_path / f"gone-{number}"), "log", 1) for number in range(19)])
        store.note_outputs([Output(str(there), "log", 2), Output("/b\udcff", "decisions", 2)])
        assert [one.path for one in store.outputs()[0]] == [str(there)]  # what is gone makes room
        assert store.meta("outputs_lost") is None
        others = [tmp_path / f"file-{number}" for number in range(20)]
        for other in others:
            other.touch()
        store.note_outputs([Output(str(other), "log", 3) for other in others])
        assert [one.run for one in store.outputs()[0]] == [0] * 18  # of something that stood there before
        assert int(store.meta("outputs_lost") or 0) == 3
    finally:
        store.close()


def test_files_beside_a_store_are_found_where_both_were_moved_to(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    stream(tmp_path / "old", tmp_path / "old" / "mind")
    (tmp_path / "old").rename(tmp_path / "new")
    assert forget_scope(tmp_path / "new" / "mind", "ann").decisions == 4
    assert holding(tmp_path) == []


def test_a_copy_of_a_store_leaves_the_files_of_the_other_alone(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "copies").mkdir()
    stream(tmp_path / "runs", tmp_path / "old" / "mind")  # not beside the store
    stream(tmp_path / "old", tmp_path / "old" / "mind")
    before = holding(tmp_path / "runs") + holding(tmp_path / "old")
    shutil.copytree(tmp_path / "old" / "mind", tmp_path / "copies" / "mind")
    done = forget_scope(tmp_path / "copies" / "mind", "ann")
    assert (done.decisions, done.memories > 0) == (0, True)
    assert any("is a copy of" in what and str(tmp_path / "runs" / "out.jsonl") in what for what in done.remains)
    assert any("not where they were" in what for what in done.remains)
    assert holding(tmp_path / "runs") + holding(tmp_path / "old") == before
    assert forget_scope(tmp_path / "old" / "mind", "ann").decisions == 8
    assert holding(tmp_path / "runs") + holding(tmp_path / "old") == []


def test_runs_from_before_files_were_noted(tmp_path: Path) -> None:
    with sophia.open(tmp_path) as brain:
        brain.route("first", scope="ann")
    with closing(sqlite3.connect(tmp_path / "sophia.db")) as rows:
        rows.execute("DROP TABLE outputs")
        rows.execute("DROP TABLE chapters")
        rows.execute("UPDATE meta SET value = '4', checksum = ? WHERE name = 'format'", (of_meta("format", "4"),))
        rows.commit()
    assert any("runs 1 to 1" in what for what in forget_scope(tmp_path, "ann").remains)


def test_a_damaged_row_of_a_file_names_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.note_outputs([Output("/a", "log", 1), Output("/b", "log", 1)])
    store.close()
    with closing(sqlite3.connect(tmp_path / "sophia.db")) as rows:
        rows.execute("UPDATE outputs SET kind = 'decisions' WHERE path = ?", (b"/a",))
        rows.commit()
    store = Store(tmp_path)
    assert [one.path for one in store.outputs()[0]] == ["/b"]
    store.close()


def test_noting_no_file_is_nothing() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE outputs (path BLOB PRIMARY KEY, kind TEXT, run INTEGER, checksum INTEGER)")
        assert note(connection, Path("mind"), []) == 0


def test_what_cannot_be_looked_at_is_not_taken_for_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream(tmp_path, tmp_path / "mind")
    stat = Path.stat

    def refuse(path: Path, **more: Any) -> Any:
        if path.name == "out.jsonl":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        with pytest.raises(StoreFailed, match=r"out\.jsonl cannot be looked at"):
            forget_scope(tmp_path / "mind", "ann")
    (tmp_path / "out.jsonl").rename(tmp_path / "away")  # a disk that is not there now
    assert any("not where they were" in what for what in forget_scope(tmp_path / "mind", "ann").remains)
    (tmp_path / "away").rename(tmp_path / "out.jsonl")
    assert forget_scope(tmp_path / "mind", "ann").decisions == 4
    assert holding(tmp_path) == []


def test_links_are_followed(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "mind")
    (tmp_path / "archive").mkdir()
    for name in ("out.jsonl", "patterns.jsonl", "report.html"):
        (tmp_path / name).rename(tmp_path / "archive" / name)
        (tmp_path / name).symlink_to(tmp_path / "archive" / name)
    forget_scope(tmp_path / "mind", "ann")
    assert holding(tmp_path) == []
    assert (tmp_path / "out.jsonl").is_symlink()
    assert not (tmp_path / "report.html").is_symlink()


def test_a_session_that_ends_in_a_later_run(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "mind")
    later(tmp_path / "later", tmp_path / "mind")
    with sophia.open(tmp_path / "mind") as brain:
        files = {name: tmp_path / "later" / f"{name}.x" for name in ("sessions", "report")}
        brain.note_outputs(files | {"decisions": tmp_path / "later" / "none.jsonl"})
    (tmp_path / "later" / "none.jsonl").touch()
    told = {"session": "s", "scope": "ann", "patterns": {"1": 1}}
    files["sessions"].write_text(json.dumps(told) + "\n")
    files["report"].write_text(f"<title>Sophia: later</title> {SECRET}")
    forget_scope(tmp_path / "mind", "ann")
    assert holding(tmp_path) == []


def test_a_run_that_was_killed_before_it_replaced_the_files_of_another(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "mind")
    with sophia.open(tmp_path / "mind") as brain:  # the same --out, and it comes no further
        kinds = {"decisions": "out.jsonl", "patterns": "patterns.jsonl", "report": "report.html"}
        brain.note_outputs({kind: tmp_path / name for kind, name in kinds.items()})
    (tmp_path / "out.jsonl").write_text("")
    forget_scope(tmp_path / "mind", "ann")
    assert holding(tmp_path) == []


def test_a_killed_compaction_leaves_nothing(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "mind")
    shutil.copy(tmp_path / "mind" / "sophia.db", tmp_path / "mind" / "sophia.db.part")
    forget_scope(tmp_path / "mind", "ann")
    assert holding(tmp_path) == []


def test_a_reader_of_an_older_state_keeps_nobody_from_cleaning_the_files(tmp_path: Path) -> None:
    stream(tmp_path, tmp_path / "mind")
    with closing(sqlite3.connect(tmp_path / "mind" / "sophia.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM memories").fetchone()
        with pytest.raises(StoreFailed, match="another program reads an older state"):
            forget_scope(tmp_path / "mind", "ann")
        reader.execute("COMMIT")
    assert {name.split("/")[0] for name in holding(tmp_path)} <= {"mind"}
    forget_scope(tmp_path / "mind", "ann")
    assert holding(tmp_path) == []


@pytest.mark.parametrize("seed", range(6))
def test_no_page_has_a_stale_copy(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    with sophia.open(tmp_path / "mind", settings=sophia.Settings(remember="new")) as brain:
        for _ in range(150):
            scope = draw.choice(["ann", "bob"])
            words = ["".join(draw.choice("abcdefgh") for _ in range(6)) for _ in range(draw.choice([3, 10, 50]))]
            text = " ".join([SECRET if scope == "ann" else "other", *words])
            brain.complete(brain.route(text, scope=scope), answer="fine" * draw.choice([1, 10, 100]))
    forget_scope(tmp_path / "mind", "ann")
    assert holding(tmp_path) == []
    with closing(sqlite3.connect(tmp_path / "mind" / "sophia.db")) as rows:
        assert rows.execute("PRAGMA freelist_count").fetchone()[0] == 0
        assert rows.execute("PRAGMA auto_vacuum").fetchone()[0] == 2

"""What check calls damage, what it calls a note, and what it leaves alone."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sophia
from sophia.errors import ConfigError, StoreFailed, StoreLocked
from sophia.organs.batch import Columns
from sophia.store.answer_key import split_key
from sophia.store.backup import backup, restore
from sophia.store.check import check
from sophia.store.lock import StoreLock, holder
from sophia.store.overview import overview
from sophia.store.patterns import whole
from sophia.store.repair import repair
from sophia.store.view import StoreView

WORDS = ["alpha", "bravo", "delta", "echo", "golf", "hotel", "india", "kilo", "lima", "mike", "oscar", "papa"]


@pytest.fixture
def mind(tmp_path: Path) -> Path:
    path = tmp_path / "mind"
    with sophia.open(path, settings=sophia.Settings(vectors=True)) as brain:
        brain.complete(brain.route("When do you open?", scope="ana"), answer="At nine.")
        brain.route_many([f"{a} {b} job {i}" for i, (a, b) in enumerate(pairwise(WORDS))])
    return path


def change(path: Path, sql: str, *values: object) -> None:
    rows = sqlite3.connect(path / "sophia.db")
    assert rows.execute(sql, values).rowcount == 1
    rows.commit()
    rows.close()


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("UPDATE answers SET answer = 'At ten.'", "checksum"),
        ("UPDATE answers SET digest = zeroblob(16)", "digest"),
        ("UPDATE answers SET expires = 5", "checksum"),
        ("UPDATE answers SET policy = CAST(x'ff' AS TEXT)", "UTF-8"),
        ("UPDATE answers SET raw = 'text'", "type"),
        ("UPDATE patterns SET count = -1 WHERE id = 1", "patterns"),
        ("UPDATE patterns SET merged_into = 99 WHERE id = -1", "patterns"),
        ("UPDATE patterns SET state = x'' WHERE id = 1", "patterns"),
        ("DELETE FROM patterns WHERE id = 1", "patterns"),
        ("DELETE FROM patterns WHERE id = 0", "patterns"),
        ("UPDATE log SET changes = x'07' WHERE seq = 1", "log"),
        ("UPDATE log SET name = 'other' WHERE seq = 1", "log"),
        ("DELETE FROM meta WHERE name = 'runs'", "runs"),
        ("UPDATE meta SET value = 'x' WHERE name = 'runs'", "runs"),
    ],
)
def test_each_kind_of_damage_is_named_and_repaired(mind: Path, sql: str, word: str) -> None:
    change(mind, sql)
    health = check(mind)
    assert not health.sound
    assert any(word in problem for problem in health.problems), health.problems
    assert health.as_dict()["state"] == "damaged"
    assert repair(mind).state == "repaired"
    assert check(mind).sound
    with sophia.open(mind) as brain:
        assert brain.notes == []
        assert brain.route("When do you open?", scope="ana").answer == (None if "answers" in sql else "At nine.")


def test_many_faults_are_counted_and_few_are_told(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind") as brain:
        for i in range(100):
            brain.complete(brain.route(f"question {i}"), answer="yes")
    rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
    rows.execute("UPDATE answers SET answer = 'no'")
    rows.commit()
    rows.close()
    health = check(tmp_path / "mind")
    assert health.tables["answers"].damaged == 100
    assert len(health.problems) < 30
    assert "80 more" in health.problems[-1]
    assert repair(tmp_path / "mind").lost["answers"] == 100


def test_notes_are_no_damage(mind: Path) -> None:
    (mind / "letter.txt").write_text("dear")
    (mind / "sophia.db.part").write_text("half")
    (mind / "damaged-2026-01-02T03-04-05Z").mkdir()
    mind.chmod(0o777)
    health = check(mind)
    assert health.sound
    for word in ("letter.txt", "killed", "damaged-2026", "chmod"):
        assert any(word in note for note in health.notes), word
    assert repair(mind).state == "sound"
    assert (mind / "letter.txt").exists()


def test_a_small_table_that_evicts_and_merges_stays_sound(tmp_path: Path) -> None:
    """Merged patterns go with their survivor: none ever points to one that had to make room."""
    settings = sophia.Settings(pattern_capacity=64)
    draw = random.Random(1)
    for _ in range(4):
        with sophia.open(tmp_path / "mind", settings=settings) as brain:
            brain.route_many(
                [f"{draw.choice(WORDS)} {draw.choice(WORDS)} took {draw.choice(WORDS)} {i}" for i in range(3000)],
                kind="line",
            )
            assert brain.thalamus.patterns.evicted > 0
        assert check(tmp_path / "mind").problems == []


def test_any_part_of_the_patterns_fits_together_again(mind: Path) -> None:
    with sophia.open(mind, settings=sophia.Settings(pattern_capacity=5000)) as brain:
        draw = random.Random(5)
        brain.route_many(
            [f"{draw.choice(WORDS)} {draw.choice(WORDS)} met {draw.choice(WORDS[:3])} {i}" for i in range(4000)],
            kind="line",
        )
    with StoreView(mind / "sophia.db") as view:
        rows = [row[:7] for row in view.rows(view.table("patterns"))]
    assert sum(row[5] is not None for row in rows if row[0] > 0) > 0
    assert sorted(whole(rows), key=repr) == sorted(rows, key=repr)
    kept = []
    for share in (0.99, 0.9, 0.5, 0.1):
        for _ in range(10):
            some = [row for row in rows if row[0] == 0 or draw.random() < share]
            kept.append(len(whole(some)) / len(some))
    assert min(kept[:10]) > 0.9
    assert sum(kept) > 0
    assert whole([row for row in rows if row[0] != 0]) == []


@given(text=st.text(), scope=st.text(), context=st.text(), line=st.booleans())
def test_a_key_is_taken_apart_as_it_was_put_together(text: str, scope: str, context: str, line: bool) -> None:
    hot_path = _hot_path()
    try:
        key = hot_path.key(text, scope, context, line)
    except (ValueError, UnicodeEncodeError):
        return  # half a surrogate pair has no key
    parts = split_key(key)
    assert parts is not None
    assert (parts.kind, parts.scope, parts.context) == ("line" if line else "message", scope, context)
    if line:
        assert parts.form == text


@given(st.binary(max_size=40))
def test_other_bytes_are_no_key(data: bytes) -> None:
    parts = split_key(data)
    assert parts is None or data[:1] in b"ml"


_BRAINS: list[sophia.Sophia] = []


def _hot_path() -> object:
    if not _BRAINS:
        _BRAINS.append(sophia.open(None))
    return _BRAINS[0].thalamus.hot_path


def test_who_holds_the_lock(mind: Path) -> None:
    assert holder(mind / "lock") is None
    assert holder(mind / "no such lock") is None
    lock = StoreLock(mind / "lock")
    assert holder(mind / "lock") == str(os.getpid())
    with pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        repair(mind)
    assert overview(mind)["writer"] == str(os.getpid())
    assert any(str(os.getpid()) in note for note in check(mind).notes)
    lock.release()
    assert holder(mind / "lock") is None
    assert repair(mind).state == "sound"


def test_asking_who_holds_it_refuses_nobody(mind: Path) -> None:
    import threading

    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.0005):
            holder(mind / "lock")

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for _ in range(200):
            StoreLock(mind / "lock").release()
    finally:
        stop.set()
        asker.join()


def test_a_store_for_each_of_many_users(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind") as brain:
        for i in range(150):
            brain.complete(brain.route("who am I?", scope=f"user-{i}"), answer=f"you are {i}")
    facts = overview(tmp_path / "mind")
    assert len(facts["answers"]["scopes"]) == 100
    assert facts["answers"]["more_scopes"] is True


def test_a_backup_is_never_written_over_other_files(mind: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "thesis.tex").write_text("all of it")
    for force in (False, True):
        with pytest.raises(ConfigError, match=r"thesis\.tex"):
            backup(mind, target, force=force)
    assert [f.name for f in target.iterdir()] == ["thesis.tex"]
    assert backup(mind, tmp_path / "a" / "b").answers == 1


@pytest.mark.parametrize("arrived", [0, 9, 10, 19, 20])
def test_a_backup_between_a_batch_and_its_arrival_holds_what_was_told(tmp_path: Path, arrived: int) -> None:
    """Also where nothing was told yet: a copy of a running store may be taken at any moment."""
    texts = ["When do you open?", "Who are you?"]
    brain = sophia.open(tmp_path / "mind")
    ack = brain.begin(brain.decide(Columns(list(texts), answers=["At nine.", "Sophia."])), [10, 20])
    assert ack is not None
    out = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    if arrived:
        ack.send(out, b"x" * arrived)
    backup(tmp_path / "mind", tmp_path / "copy")
    os.close(out)
    brain.discard()
    brain.close()
    restore(tmp_path / "copy", tmp_path / "other")
    assert check(tmp_path / "other").sound
    with sophia.open(tmp_path / "other") as again:
        assert again.notes == []
        assert [again.route(text).answer for text in texts] == [
            ["At nine.", "Sophia."][i] if arrived >= 10 * (i + 1) else None for i in range(2)
        ]


def test_a_store_that_was_killed_while_it_was_made_says_so_and_is_mended_by_the_next_run(tmp_path: Path) -> None:
    """A journal of SQLite's that has to be played back, which those who only read must not do."""
    mind, half = tmp_path / "mind", tmp_path / "half.db"
    mind.mkdir()
    rows = sqlite3.connect(half, isolation_level=None)
    rows.execute("PRAGMA cache_size = 5")
    rows.execute("BEGIN")
    rows.execute("CREATE TABLE t (a)")
    rows.executemany("INSERT INTO t VALUES (?)", [("y" * 3000,)] * 300)
    shutil.copy(half, mind / "sophia.db")
    shutil.copy(tmp_path / "half.db-journal", mind / "sophia.db-journal")
    rows.close()
    for look in (check, overview):
        with pytest.raises(StoreFailed, match="the next run that uses it"):
            look(mind)
    with sophia.open(mind) as brain:
        brain.complete(brain.route("When do you open?"), answer="At nine.")
    assert check(mind).sound


@pytest.mark.parametrize("text", ["", "How do I turn on dark mode?"])
def test_a_new_store_that_lies_in_its_log_alone_is_sound(tmp_path: Path, text: str) -> None:
    """While its first process runs, and as that left it when it was killed."""
    with sophia.open(tmp_path / "mind") as brain:
        if text:
            brain.complete(brain.route(text), answer="Settings, then Display.")
        assert (tmp_path / "mind" / "sophia.db").read_bytes()[44:48] == bytes(4)  # the first page is in the log
        killed = shutil.copytree(tmp_path / "mind", tmp_path / "killed")
        for folder in (tmp_path / "mind", killed):
            health = check(folder)
            assert health.problems == []
            assert health.answers == bool(text)
    assert check(killed).problems == []

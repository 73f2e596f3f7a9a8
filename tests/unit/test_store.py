"""The store: durable, locked, versioned, and honest about damage."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import sophia
from sophia.errors import ConfigError, SophiaError, StoreCorrupt, StoreLocked, StoreVersionError
from sophia.store import schema
from sophia.store.checksum import of_meta
from sophia.store.store import Store


def test_an_answer_is_durable_when_complete_returns(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind") as brain:
        brain.complete(brain.route("When do you open?"), answer="At nine.")
        rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
        assert rows.execute("SELECT answer FROM answers").fetchall() == [("At nine.",)]
        rows.close()


def test_familiarity_patterns_and_idf_survive(tmp_path: Path) -> None:
    settings = sophia.Settings(vectors=True)
    with sophia.open(tmp_path / "mind", settings=settings) as brain:
        first = [brain.route(f"order {i} was shipped to depot {i}") for i in range(5)]
        documents = brain.thalamus.idf.documents
        assert documents == 5
        assert first[0].vector is not None
        expected = brain.thalamus.patterns.patterns()
        before = [(p.id, p.template, p.count) for p in expected]
    with sophia.open(tmp_path / "mind", settings=settings) as brain:
        assert [(p.id, p.template, p.count) for p in brain.thalamus.patterns.patterns()] == before
        assert brain.thalamus.idf.documents == documents
        again = brain.route("order 77 was shipped to depot 9")
        assert (again.why, again.pattern) == ("known-pattern", first[0].pattern)


def test_interrupted_runs_decide_like_one_run(tmp_path: Path) -> None:
    texts = [f"job {i % 7} of user {i} ended with code {i % 3}" if i % 4 else f"ping number {i}" for i in range(400)]
    with sophia.open(None) as brain:
        whole = [(d.route, d.why, d.pattern, d.novelty) for d in brain.route_many(texts, kind="line")]
    pieces = []
    for start in range(0, 400, 90):
        with sophia.open(tmp_path / "mind") as brain:
            pieces += [
                (d.route, d.why, d.pattern, d.novelty) for d in brain.route_many(texts[start : start + 90], kind="line")
            ]
    assert pieces == whole


def test_one_writer(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind"), pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
        sophia.open(tmp_path / "mind")
    sophia.open(tmp_path / "mind").close()


def test_a_newer_format_is_refused_and_untouched(tmp_path: Path) -> None:
    sophia.open(tmp_path / "mind").close()
    rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
    rows.execute("UPDATE meta SET value = '99', checksum = ? WHERE name = 'format'", (of_meta("format", "99"),))
    rows.commit()
    rows.close()
    with pytest.raises(StoreVersionError, match="format 99"):
        sophia.open(tmp_path / "mind")


def test_a_damaged_number_of_the_format_is_not_a_newer_one(tmp_path: Path) -> None:
    sophia.open(tmp_path / "mind").close()
    rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
    rows.execute("UPDATE meta SET value = ? WHERE name = 'format'", (str(schema.FORMAT + 1),))
    rows.commit()
    rows.close()
    with pytest.raises(StoreCorrupt, match="store repair"):
        sophia.open(tmp_path / "mind")


def test_a_damaged_store_says_so(tmp_path: Path) -> None:
    (tmp_path / "mind").mkdir()
    (tmp_path / "mind" / "sophia.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(StoreCorrupt, match="move the folder"):
        sophia.open(tmp_path / "mind")


def test_another_sqlite_file_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "mind").mkdir()
    rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
    rows.execute("CREATE TABLE theirs (a)")
    rows.commit()
    rows.close()
    with pytest.raises(StoreCorrupt, match="not a store of sophia"):
        sophia.open(tmp_path / "mind")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        sophia.open(tmp_path / "file" / "mind")
    with pytest.raises(ConfigError, match="is not a folder"):
        sophia.open(tmp_path / "file")
    (tmp_path / "mind" / "lock").mkdir(parents=True)  # as a disk that is read-only: it is there, and nothing is made
    with pytest.raises(ConfigError, match="cannot be written"):
        sophia.open(tmp_path / "mind")


def test_answers_expire(tmp_path: Path) -> None:
    now = 1000.0
    settings = sophia.Settings(ttl=60.0)
    with sophia.open(tmp_path / "mind", settings=settings, clock=lambda: now) as brain:
        brain.complete(brain.route("status?"), answer="green")
        now = 1059.0
        assert brain.route("status?").answer == "green"
        now = 1061.0
        assert brain.route("status?").answer is None
    with sophia.open(tmp_path / "mind", settings=settings, clock=lambda: now) as brain:
        assert brain.route("status?").answer is None
    rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
    assert rows.execute("SELECT count(*) FROM answers").fetchone() == (0,)
    rows.close()


def test_another_policy_does_not_serve(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind") as brain:
        brain.complete(brain.route("When?"), answer="Now.")
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\nid = 'a.b'\ndescription = 'x'\npattern = 'zebra'\nseverity = 'low'\n")
    with sophia.open(tmp_path / "mind", rules=[rules]) as brain:
        assert brain.route("When?").answer is None
    with sophia.open(tmp_path / "mind") as brain:
        assert brain.route("When?").answer == "Now."


def test_answers_that_the_cache_has_no_room_for_come_from_the_store(tmp_path: Path) -> None:
    settings = sophia.Settings(cache_entries=16, cache_bytes=1 << 16)
    with sophia.open(tmp_path / "mind", settings=settings) as brain:
        for i in range(100):
            brain.complete(brain.route(f"question number {i}"), answer=f"answer {i}")
        assert brain.route("question number 3").answer == "answer 3"
    with sophia.open(tmp_path / "mind", settings=settings) as brain:
        assert [d.answer for d in brain.route_many([f"question number {i}" for i in range(100)])] == [
            f"answer {i}" for i in range(100)
        ]


def test_threads_share_a_brain(tmp_path: Path) -> None:
    wrong: list[object] = []
    with sophia.open(tmp_path / "mind") as brain:

        def work(name: str) -> None:
            for i in range(60):
                brain.complete(brain.route(f"what is {i}", scope=name), answer=f"{name} {i}")
                got = brain.route(f"what is {i}", scope=name).answer
                if got != f"{name} {i}":
                    wrong.append((name, i, got))

        threads = [threading.Thread(target=work, args=(f"t{k}",)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_forked_child_refuses(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind") as brain:
        brain.route("before")
        child = os.fork()
        if child == 0:
            try:
                brain.route("in the child")
            except SophiaError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert brain.route("before").why == "known-pattern"


def test_a_closed_brain_refuses() -> None:
    brain = sophia.open(None)
    brain.close()
    brain.close()
    with pytest.raises(SophiaError, match="closed"):
        brain.route("x")


def test_wrong_types_are_type_errors() -> None:
    with sophia.open(None) as brain:
        for wrong in (b"bytes", 7, ["list"]):
            with pytest.raises(TypeError):
                brain.route(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                brain.route("text", scope=wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                brain.route_many(["fine", wrong])  # type: ignore[list-item]
        with pytest.raises(ValueError, match="kind"):
            brain.route("text", kind="poem")
        assert brain.route("text").why == "novel"


def test_another_thread_may_look_while_a_batch_is_routed() -> None:
    stop = threading.Event()
    with sophia.open(None) as brain:

        def look() -> None:
            while not stop.is_set():
                assert all(pattern.template for pattern in brain.thalamus.patterns.patterns())
                assert len(brain.thalamus.familiar) >= 0

        watcher = threading.Thread(target=look)
        watcher.start()
        for start in range(0, 20_000, 2_000):
            brain.route_many(
                [f"user {i % 91} asked about item {i} of shelf {chr(97 + i % 26)}" for i in range(start, start + 2_000)]
            )
        stop.set()
        watcher.join()


def test_a_long_familiarity_log_is_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sophia.organs import thalamus

    monkeypatch.setattr(thalamus, "LOG_BYTES", 64)
    with sophia.open(tmp_path / "mind") as brain:
        brain.route_many([f"shape {chr(97 + i)} of text" for i in range(20)])
    rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
    assert rows.execute("SELECT name FROM dumps").fetchall() == [("familiar",), ("words",)]
    assert rows.execute("SELECT count(*) FROM log").fetchone() == (0,)
    rows.close()
    with sophia.open(tmp_path / "mind") as brain:
        assert brain.route("shape a of text").why == "known-pattern"


def test_a_child_that_outlives_its_parent_keeps_no_store(tmp_path: Path) -> None:
    """The parent dies without closing; a child that it had forked, and that does nothing, is still there."""
    program = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from sophia.store.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "    os._exit(0)\n"
        "time.sleep(0.2)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    home = str(Path(sophia.__file__).resolve().parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": home},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert process.wait(30) == -signal.SIGKILL
        try:
            Store(tmp_path).close()
        finally:
            os.kill(child, signal.SIGKILL)


def test_free_pages_go_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    try:
        for number in range(2000):
            store.set_meta(f"name {number}", "x" * 2000)
        store._connection.execute("DELETE FROM meta WHERE name LIKE 'name %'")
        before = store._connection.execute("PRAGMA freelist_count").fetchone()[0]
        store._free_pages(100)
        assert store._connection.execute("PRAGMA freelist_count").fetchone()[0] == before - 100
        store.empty_log()
        assert store._connection.execute("PRAGMA freelist_count").fetchone()[0] == 0
    finally:
        store.close()

"""`sophia store`, as a user calls it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.store import schema
from sophia.store.checksum import of_meta

from .conftest import Run, records

FIXTURES = Path(__file__).parents[1] / "fixtures"
READS = [("info",), ("check",), ("export",), ("backup", "copy")]
CHANGES = [("repair",), ("compact",)]
TALK = [
    {"text": "How do I turn on dark mode?", "scope": "ana", "context": "c1", "answer": "Settings, then Display."},
    {"text": "How do I turn on dark mode?", "scope": "bob", "answer": "Ask Ana."},
    {"text": "When do you open?", "answer": 'At "nine".\nSharp \u2713'},
]


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Calls ``sophia ARGUMENTS`` in this process, for tests that try many."""
    from sophia.cli.main import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        capfdbinary.readouterr()
        code = main(list(arguments))
        return subprocess.CompletedProcess(arguments, code, *capfdbinary.readouterr())

    return call


@pytest.fixture
def mind(command: Run, tmp_path: Path) -> Path:
    """A store with three answers and some lines of a log."""
    (tmp_path / "talk.jsonl").write_text("\n".join(map(json.dumps, TALK)))
    (tmp_path / "app.log").write_text("\n".join(f"worker {i} ended job {i * 37}" for i in range(50)))
    for name in ("talk.jsonl", "app.log"):
        done = command("run", name, "--store", "mind", "--quiet", "--out", f"{name}.out")
        assert done.returncode == 0, done.stderr.decode()
    return tmp_path / "mind"


def told(done: subprocess.CompletedProcess[bytes]) -> Any:
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return json.loads(done.stdout)


def refused(done: subprocess.CompletedProcess[bytes], code: int, *words: str) -> str:
    """One line that says what and where, and the exit code."""
    said = done.stderr.decode()
    assert (done.returncode, said.count("\n"), done.stdout) == (code, 1, b""), (done, said)
    assert all(word in said for word in words), said
    return said


def hit(path: Path, what: bytes, to: bytes) -> None:
    """Changes bytes of the store's database, as a failing disk does."""
    data = (path / "sophia.db").read_bytes()
    assert what in data
    (path / "sophia.db").write_bytes(data.replace(what, to, 1))


def contents(path: Path) -> dict[str, bytes]:
    """The files of a store that say something, by name."""
    return {f.name: f.read_bytes() for f in path.iterdir() if f.is_file() and f.name in ("sophia.db", "sophia.db-wal")}


def test_info(command: Run, mind: Path) -> None:
    (mind / "notes.txt").write_text("mine")
    facts = told(command("store", "info", "--store", "mind", "--json"))
    assert facts["format"] == schema.FORMAT
    assert facts["runs"] == 2
    assert facts["writer"] is None
    assert facts["answers"]["count"] == 3
    assert {s["scope"]: s["answers"] for s in facts["answers"]["scopes"]} == {"": 1, "ana": 1, "bob": 1}
    assert [p["answers"] for p in facts["answers"]["policies"]] == [3]
    assert facts["patterns"]["kept"] >= 1
    assert facts["familiar"]["items"] > 0
    assert facts["idf"]["documents"] == 0
    assert facts["files"]["sophia.db"] == (mind / "sophia.db").stat().st_size
    assert facts["foreign"] == ["notes.txt"]
    text = command("store", "info", "--store", "mind").stdout.decode()
    for word in ("answers    3", "'ana'", "(the default scope)", "notes.txt", "not in use"):
        assert word in text


def test_names_that_the_terminal_has_not(command: Run, tmp_path: Path) -> None:
    odd = tmp_path / "a ?#%\u00e9 store"
    with sophia.open(odd) as brain:
        brain.complete(brain.route("who?", scope="Zo\u00eb"), answer="\u2713")
    for action in ("info", "check", "export", "compact"):
        done = command("store", action, "--store", odd, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, b"")
    assert b"Zo\\xeb" in command("store", "info", "--store", odd, PYTHONIOENCODING="ascii").stdout


def test_check_of_a_sound_store(command: Run, mind: Path) -> None:
    before = contents(mind)
    facts = told(command("store", "check", "--store", "mind", "--json"))
    assert facts["state"] == "sound"
    assert facts["problems"] == []
    assert facts["tables"]["answers"] == {"sound": 3, "damaged": 0}
    assert facts["tables"]["patterns"]["sound"] > 0
    text = command("store", "check", "--store", "mind").stdout.decode()
    assert "mind: sound" in text
    assert contents(mind) == {**before, **{name: b"" for name in contents(mind) if name not in before}}


def test_check_and_doctor_find_the_same(command: Run, mind: Path) -> None:
    hit(mind, b"Ask Ana.", b"Ask Eve.")
    checked = command("store", "check", "--store", "mind", "--json")
    assert checked.returncode == 1
    facts = json.loads(checked.stdout)
    assert facts["state"] == "damaged"
    assert facts["tables"]["answers"] == {"sound": 2, "damaged": 1}
    assert any("answers" in problem and "checksum" in problem for problem in facts["problems"])
    doctor = command("doctor", "--store", "mind", "--json")
    assert doctor.returncode == 1
    assert json.loads(doctor.stdout)["store"] == facts
    text = command("store", "check", "--store", "mind")
    assert text.returncode == 1
    assert b"sophia store repair --store mind" in text.stdout


def test_repair_keeps_the_sound_and_sets_the_damaged_aside(command: Run, mind: Path) -> None:
    hit(mind, b"Ask Ana.", b"Ask Eve.")
    damaged = contents(mind)
    tried = command("store", "repair", "--store", "mind", "--dry-run", "--json")
    assert tried.returncode == 1
    assert json.loads(tried.stdout)["lost"]["answers"] == 1
    assert contents(mind)["sophia.db"] == damaged["sophia.db"]
    done = told(command("store", "repair", "--store", "mind", "--json"))
    assert (done["state"], done["saved"]["answers"], done["lost"]["answers"]) == ("repaired", 2, 1)
    assert done["lost"]["patterns"] == 0
    assert (mind / done["aside"].split("/")[-1] / "sophia.db").read_bytes() == damaged["sophia.db"]
    assert told(command("store", "check", "--store", "mind", "--json"))["state"] == "sound"
    again = json.loads(command("route", TALK[0]["text"], "--scope", "ana", "--context", "c1", "--store", "mind").stdout)
    assert again["answer"] == TALK[0]["answer"]
    lost = json.loads(command("route", TALK[1]["text"], "--scope", "bob", "--store", "mind").stdout)
    assert (lost["answer"], lost["route"] == "reflex") == (None, False)
    twice = command("store", "repair", "--store", "mind")
    assert (twice.returncode, twice.stdout) == (0, b"mind: sound; nothing to repair\n")
    assert len(list(mind.glob("damaged-*"))) == 1


def test_ids_of_decisions_go_on_after_a_repair(command: Run, mind: Path) -> None:
    """Even with the number of runs lost no new decision gets the id of one whose answer was saved."""
    command("route", "in the third run", "--answer", "yes", "--store", "mind")
    rows = sqlite3.connect(mind / "sophia.db")
    (root,) = rows.execute("SELECT rootpage FROM sqlite_master WHERE name = 'meta'").fetchone()
    rows.close()
    with (mind / "sophia.db").open("r+b") as file:
        file.seek((root - 1) * 8192)
        file.write(bytes(8192))
    assert command("store", "check", "--store", "mind").returncode == 1
    done = told(command("store", "repair", "--store", "mind", "--json"))
    assert (done["saved"]["answers"], done["lost"]["answers"]) == (4, 0)
    assert json.loads(command("route", "and now?", "--store", "mind").stdout)["id"] == "4.1"


def test_compact(command: Run, tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind", settings=sophia.Settings(ttl=1000.0), clock=lambda: 1e9) as brain:
        for i in range(300):
            brain.complete(brain.route(f"question {i}"), answer=f"expired {i} " * 80)
    with sophia.open(tmp_path / "mind", clock=lambda: 1e9) as brain:
        brain.complete(brain.route("what stays?"), answer="this")
    (tmp_path / "mind" / "sophia.db").chmod(0o600)
    done = told(command("store", "compact", "--store", "mind", "--json"))
    assert done["expired"] == 300
    assert done["after"] < done["before"] / 2
    assert (tmp_path / "mind" / "sophia.db").stat().st_size == done["after"]
    assert (tmp_path / "mind" / "sophia.db").stat().st_mode & 0o777 == 0o600
    assert b"expired 7" not in b"".join(contents(tmp_path / "mind").values())
    assert json.loads(command("route", "what stays?", "--store", "mind").stdout)["answer"] == "this"
    again = command("store", "compact", "--store", "mind")
    assert again.returncode == 0
    assert b"0 expired answers dropped" in again.stdout
    rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
    assert rows.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert rows.execute("PRAGMA page_size").fetchone() == (8192,)
    rows.close()


def test_backup_and_restore(command: Run, mind: Path, tmp_path: Path) -> None:
    (mind / "sophia.db").chmod(0o640)
    made = told(command("store", "backup", "safe/copy", "--store", "mind", "--json"))
    assert (made["answers"], made["format"]) == (3, schema.FORMAT)
    assert {f.name for f in (tmp_path / "safe/copy").iterdir()} == {"manifest.json", made["file"]}
    assert (tmp_path / "safe/copy" / made["file"]).stat().st_mode & 0o777 == 0o640
    exported = command("store", "export", "--store", "mind").stdout

    refused(command("store", "backup", "safe/copy", "--store", "mind"), 2, "holds a backup", "--force")
    command("route", "one more", "--answer", "yes", "--store", "mind")
    newer = told(command("store", "backup", "safe/copy", "--store", "mind", "--force", "--json"))
    assert newer["answers"] == 4
    assert {f.name for f in (tmp_path / "safe/copy").iterdir()} == {"manifest.json", newer["file"]}
    assert made["file"] != newer["file"]
    told(command("store", "restore", "safe/copy", "--store", "third", "--json"))
    assert told(command("store", "check", "--store", "third", "--json"))["answers"] == 4

    told(command("store", "backup", "old", "--store", "mind", "--json"))
    shutil.rmtree(mind)
    done = told(command("store", "restore", "old", "--store", "mind", "--json"))
    assert done["aside"] is None
    assert command("store", "export", "--store", "mind").stdout.startswith(exported[:200])
    refused(command("store", "restore", "old", "--store", "mind"), 2, "mind", "holds a store", "--force")
    command("route", "after", "--answer", "wards", "--store", "mind")
    forced = told(command("store", "restore", "old", "--store", "mind", "--force", "--json"))
    assert forced["aside"] is not None
    assert command("route", "after", "--store", "mind").stdout.count(b'"wards"') == 0
    kept = sqlite3.connect(tmp_path / forced["aside"] / "sophia.db")
    assert kept.execute("SELECT count(*) FROM answers WHERE answer = 'wards'").fetchone() == (1,)
    kept.close()


def test_a_damaged_or_foreign_backup_is_not_restored(inside: Run, mind: Path, tmp_path: Path) -> None:
    made = told(inside("store", "backup", "copy", "--store", "mind", "--json"))
    file, manifest = tmp_path / "copy" / made["file"], tmp_path / "copy" / "manifest.json"
    sound, said = file.read_bytes(), manifest.read_text()
    before = contents(mind)
    for data in (sound[:-1], sound[:5000] + bytes([sound[5000] ^ 1]) + sound[5001:], b""):
        file.write_bytes(data)
        refused(inside("store", "restore", "copy", "--store", "mind", "--force"), 1, "damaged", "nothing was restored")
    file.unlink()
    refused(inside("store", "restore", "copy", "--store", "mind", "--force"), 1, "lacks its file")
    file.write_bytes(sound)
    for text, code in (
        ("", 3),
        ("{}", 3),
        ("[1]", 3),
        (said.replace('"answers": 3', '"answers": "3"'), 3),
        (said.replace(made["file"], "../mind/sophia.db"), 3),
        (said.replace('"backup": 1', '"backup": 2'), 4),
        (said.replace(f'"format": {schema.FORMAT}', '"format": 99'), 4),
    ):
        assert text != said
        manifest.write_text(text)
        refused(inside("store", "restore", "copy", "--store", "mind", "--force"), code, "copy")
    manifest.unlink()
    refused(inside("store", "restore", "copy", "--store", "fresh"), 3, "broken off", "manifest.json")
    refused(inside("store", "restore", "nowhere", "--store", "fresh"), 3, "nowhere")
    assert not (tmp_path / "fresh").exists()
    assert contents(mind) == before
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    refused(inside("store", "backup", "home", "--store", "mind", "--force"), 2, "letter.txt")
    manifest.write_text(said)
    refused(inside("store", "restore", "copy", "--store", "home"), 2, "letter.txt")


def test_a_damaged_store_is_not_backed_up(command: Run, mind: Path, tmp_path: Path) -> None:
    told(command("store", "backup", "copy", "--store", "mind", "--json"))
    before = sorted(f.name for f in (tmp_path / "copy").iterdir())
    hit(mind, b"Ask Ana.", b"Ask Eve.")
    refused(command("store", "backup", "copy", "--force", "--store", "mind"), 1, "store repair")
    assert sorted(f.name for f in (tmp_path / "copy").iterdir()) == before
    told(command("store", "restore", "copy", "--store", "fresh", "--json"))


def test_exported_answers_come_in_again(command: Run, mind: Path, tmp_path: Path) -> None:
    done = command("store", "export", "--what", "answers", "--out", "a.jsonl", "--store", "mind")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    lines = records((tmp_path / "a.jsonl").read_bytes())
    assert [(d["text"], d["scope"], d["context"], d["answer"]) for d in lines] == [
        (d["text"], d.get("scope", ""), d.get("context", ""), d["answer"]) for d in TALK
    ]
    assert all(
        list(d) == ["text", "scope", "context", "answer", "id", "kind", "policy_version", "expires"] for d in lines
    )
    command("run", "a.jsonl", "--store", "second", "--quiet", "--out", "o.jsonl")
    again = records(command("store", "export", "--what", "answers", "--store", "second").stdout)
    assert again == lines
    for one in TALK:
        arguments = [a for key in ("scope", "context") if key in one for a in (f"--{key}", one[key])]
        found = json.loads(command("route", one["text"], *arguments, "--store", "second").stdout)
        assert (found["answer"], found["why"]) == (one["answer"], "repeat")


def test_export_selects(command: Run, mind: Path) -> None:
    everything = command("store", "export", "--store", "mind").stdout
    assert everything == command("store", "export", "--store", "mind").stdout
    answers = command("store", "export", "--what", "answers", "--store", "mind").stdout
    patterns = command("store", "export", "--what", "patterns", "--store", "mind").stdout
    assert everything == answers + patterns
    assert all(list(p) == ["id", "template", "count", "first_n", "last_n", "merged_into"] for p in records(patterns))
    assert [p["id"] for p in records(patterns)] == sorted(p["id"] for p in records(patterns))
    one = records(command("store", "export", "--what", "answers", "--scope", "bob", "--store", "mind").stdout)
    assert [d["answer"] for d in one] == ["Ask Ana."]
    default = records(command("store", "export", "--what", "answers", "--scope", "", "--store", "mind").stdout)
    assert [d["scope"] for d in default] == [""]
    refused(command("store", "export", "--scope", "bob", "--store", "mind"), 2, "--what answers")
    refused(command("store", "export", "--out", "mind/x", "--store", "mind"), 2, "lies in the store")
    hit(mind, b"Ask Ana.", b"Ask Eve.")
    done = command("store", "export", "--what", "answers", "--store", "mind")
    assert (done.returncode, len(records(done.stdout))) == (1, 2)
    assert b"1 damaged rows" in done.stderr


def test_answers_of_log_lines_say_so(command: Run, tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind") as brain:
        brain.complete(brain.route("disk 91% full", kind="line"), answer="call Kim")
    done = command("store", "export", "--what", "answers", "--store", "mind")
    assert records(done.stdout)[0]["kind"] == "line"
    assert b"1 answer of log lines" in done.stderr


@pytest.mark.parametrize("arguments", READS + CHANGES)
def test_while_another_process_writes(command: Run, mind: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    env = os.environ | {"PYTHONPATH": str(Path(sophia.__file__).resolve().parents[1])}
    run = [sys.executable, "-m", "sophia", "run", "-", "--format", "jsonl", "--out", "-", "--store", "mind", "--quiet"]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env=env) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None

        def give(text: str) -> dict[str, Any]:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write(json.dumps({"text": text, "answer": f"to {text}"}).encode() + b"\n")
            writer.stdin.flush()
            decision: dict[str, Any] = json.loads(writer.stdout.readline())
            return decision

        give("is this durable?")
        give("and this?")
        done = command("store", *arguments, "--store", "mind")
        if arguments in CHANGES:
            refused(done, 4, f"process {writer.pid}", "mind")
        else:
            assert done.returncode == 0, done.stderr
            assert (b"2 inputs of a run that goes on" in done.stderr) == (arguments[0] == "export"), done.stderr
            if arguments[0] in ("info", "check"):
                assert str(writer.pid) in done.stdout.decode()
            if arguments[0] == "export":
                assert b"Ask Ana." in done.stdout
        assert give("does it go on?")["n"] == 3
        writer.stdin.close()
        assert writer.wait(60) == 0
    if arguments[0] == "backup":
        told(command("store", "restore", "copy", "--store", "other", "--json"))
        for text in ("is this durable?", "and this?"):
            found = command("route", text, "--store", "other")
            assert (json.loads(found.stdout)["answer"], found.stderr) == (f"to {text}", b"")
    refused_restore = command("store", "restore", "copy", "--store", "mind") if arguments[0] == "backup" else None
    assert refused_restore is None or refused_restore.returncode == 2


def test_no_false_alarm_while_a_run_commits(tmp_path: Path) -> None:
    """Whatever a writer does between two looks: check and info find a sound store, backups are whole."""
    from sophia.store.backup import backup
    from sophia.store.check import check
    from sophia.store.overview import overview

    lines = [{"text": f"what about {i % 4000} and {i}?", "answer": f"this {i}"} for i in range(12_000)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with sophia.open(tmp_path / "mind") as brain:
        brain.route("the first")
    env = os.environ | {"PYTHONPATH": str(Path(sophia.__file__).resolve().parents[1])}
    command = ["run", "in.jsonl", "--out", "o", "--store", "mind", "--quiet", "--batch", "20"]
    looks = 0
    with subprocess.Popen([sys.executable, "-m", "sophia", *command], cwd=tmp_path, env=env) as writer:
        while writer.poll() is None:
            assert check(tmp_path / "mind").problems == []
            assert overview(tmp_path / "mind")["answers"]["count"] >= 0
            assert backup(tmp_path / "mind", tmp_path / f"copy-{looks}").answers >= 0
            looks += 1
    assert writer.returncode == 0
    assert looks > 2
    assert check(tmp_path / "mind").answers == 12_000


def test_restore_needs_the_lock(command: Run, mind: Path) -> None:
    told(command("store", "backup", "copy", "--store", "mind", "--json"))
    with sophia.open(mind):
        refused(command("store", "restore", "copy", "--force", "--store", "mind"), 4, f"process {os.getpid()}")


ACTIONS = [*READS, *CHANGES]


@pytest.mark.parametrize("arguments", ACTIONS)
def test_where_there_is_no_store(inside: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "sophia.db").write_bytes(b"")
    (tmp_path / "theirs").mkdir()
    rows = sqlite3.connect(tmp_path / "theirs" / "sophia.db")
    rows.execute("CREATE TABLE books (title)")
    rows.commit()
    rows.close()
    for name, word in (
        ("nowhere", "no store"),
        ("folder", "not a store"),
        ("file", "not a folder"),
        ("empty", "nothing was written"),
        ("theirs", "something else"),
    ):
        refused(inside("store", *arguments, "--store", name), 3, word, name)
    assert sorted(f.name for f in tmp_path.iterdir() if f.is_dir()) == ["empty", "folder", "theirs"]
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("arguments", ACTIONS)
def test_a_newer_format_is_refused_and_untouched(
    inside: Run, mind: Path, arguments: tuple[str, ...], newer: Any
) -> None:
    newer(mind)
    before = contents(mind)
    refused(inside("store", *arguments, "--store", "mind"), 4, "format 99", "upgrade")
    assert contents(mind)["sophia.db"] == before["sophia.db"]


@pytest.fixture
def newer() -> Any:
    """Makes a store look as if a later version had written it."""

    def change(path: Path) -> None:
        rows = sqlite3.connect(path / "sophia.db")
        rows.execute("UPDATE meta SET value = '99', checksum = ? WHERE name = 'format'", (of_meta("format", "99"),))
        rows.commit()
        rows.close()

    return change


@pytest.mark.parametrize("arguments", ACTIONS)
def test_a_store_that_was_killed(command: Run, mind: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with sophia.open(mind) as brain:
        brain.complete(brain.route("is it in the log?"), answer="in the log")
        shutil.copytree(mind, tmp_path / "killed")
    assert (tmp_path / "killed" / "sophia.db-wal").stat().st_size
    done = command("store", *arguments, "--store", "killed")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(command("route", "is it in the log?", "--store", "killed").stdout)["answer"] == "in the log"


@pytest.mark.parametrize("number", range(1, schema.FORMAT + 1))
def test_every_command_takes_every_old_format(inside: Run, tmp_path: Path, number: int) -> None:
    (tmp_path / "mind").mkdir()
    (tmp_path / "mind" / "sophia.db").write_bytes(gzip.decompress((FIXTURES / f"store-{number}.db.gz").read_bytes()))
    assert told(inside("store", "info", "--store", "mind", "--json"))["format"] == number
    assert told(inside("store", "check", "--store", "mind", "--json"))["state"] == "sound"
    exported = inside("store", "export", "--what", "answers", "--store", "mind").stdout
    assert {d["answer"] for d in records(exported)} >= {"At nine.", "At five."}
    assert told(inside("store", "backup", "copy", "--store", "mind", "--json"))["format"] == number
    told(inside("store", "restore", "copy", "--store", "again", "--json"))
    assert told(inside("store", "info", "--store", "again", "--json"))["format"] == number
    assert told(inside("store", "compact", "--store", "mind", "--json"))["expired"] == 0
    assert inside("store", "export", "--what", "answers", "--store", "mind").stdout == exported
    hit(tmp_path / "again", b"At nine.", b"At five.")
    done = told(inside("store", "repair", "--store", "again", "--json"))
    assert (done["state"], done["lost"]["answers"]) == ("repaired", 1)
    assert told(inside("store", "info", "--store", "again", "--json"))["format"] == schema.FORMAT
    assert told(inside("store", "check", "--store", "again", "--json"))["answers"] == 2


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_a_read_only_folder(mind: Path, tmp_path: Path) -> None:
    """Reading works for a user who may not write; changing says so."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        store = Path(name) / "mind"
        shutil.copytree(mind, store)
        before = contents(store)
        done = _as_nobody(mind, "check", "--store", str(store), "--json")
        assert done.returncode == 0, done.stderr
        assert any("may not write" in note for note in json.loads(done.stdout)["notes"])
        for action in ("info", "export"):
            done = _as_nobody(mind, action, "--store", str(store))
            assert (done.returncode, done.stderr) == (0, b"")
        for action in ("compact", "repair"):
            done = _as_nobody(mind, action, "--store", str(store))
            assert done.returncode == 5, done
            assert b"cannot be written" in done.stderr
        assert contents(store) == before
        with sophia.open(mind) as brain:
            brain.complete(brain.route("in the log?"), answer="yes")
            shutil.copy(mind / "sophia.db-wal", store / "sophia.db-wal")
        done = _as_nobody(tmp_path / "mind", "check", "--store", str(store))
        assert done.returncode == 5
        assert b"has to be replayed" in done.stderr


def _as_nobody(other: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """The command as another user, who cannot even read where Python lies: so it is called once before."""
    code = (
        "import contextlib, io, os, sys\n"
        "from sophia.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    for action in ('check', 'info', 'export', 'repair', 'compact'):\n"
        "        main(['store', action, '--store', sys.argv[1]])\n"
        "os.setgid(65534)\n"
        "os.setuid(65534)\n"
        "sys.exit(main(['store', *sys.argv[2:]]))"
    )
    env = os.environ | {"PYTHONPATH": str(Path(sophia.__file__).resolve().parents[1])}
    return subprocess.run([sys.executable, "-c", code, other, *arguments], capture_output=True, env=env, timeout=60)


@pytest.mark.parametrize("arguments", [("compact",), ("backup", "copy"), ("repair",), ("restore", "copy", "--force")])
def test_a_full_disk_changes_nothing(mind: Path, tmp_path: Path, command: Run, arguments: tuple[str, ...]) -> None:
    """The limit of a file's size stands for the end of the disk: each write beyond it fails."""
    if arguments[0] == "repair":
        hit(mind, b"Ask Ana.", b"Ask Eve.")
    if arguments[0] == "restore":
        told(command("store", "backup", "copy", "--store", "mind", "--json"))
    before = contents(mind)
    limit = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from sophia.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000))\n"
        "sys.exit(main(['store', *sys.argv[1:]]))"
    )
    home = str(Path(sophia.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", limit, *arguments, "--store", "mind"],
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": home},
        timeout=60,
    )
    assert done.returncode == 5, done.stderr
    assert done.stderr.count(b"\n") == 1
    after = contents(mind)
    assert after["sophia.db"] == before["sophia.db"]
    assert not list(mind.glob("*.part*"))
    assert not list(mind.glob("damaged-*"))
    assert not list(mind.glob("replaced-*"))
    again = command("store", *arguments, "--store", "mind")
    assert again.returncode == 0, again.stderr


def test_no_room_is_seen_before_anything_is_written(
    mind: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sophia.cli.main import main

    class Full:
        f_bavail = 10
        f_frsize = 4096

    before = contents(mind)
    monkeypatch.setattr(os, "statvfs", lambda path: Full())
    assert main(["store", "compact", "--store", str(mind)]) == 5
    assert "free bytes" in capsys.readouterr().err
    assert main(["store", "backup", str(mind.parent / "copy"), "--store", str(mind)]) == 5
    assert contents(mind)["sophia.db"] == before["sophia.db"]


def test_usage_and_help(command: Run) -> None:
    bare = command("store")
    assert (bare.returncode, bare.stdout) == (2, b"")
    assert b"usage: sophia store" in bare.stderr
    for action in ("info", "check", "repair", "compact", "backup", "restore", "export"):
        shown = command("store", action, "--help")
        assert shown.returncode == 0
        assert b"--store DIR" in shown.stdout
        assert b"Exit codes" in shown.stdout
    assert command("store", "polish").returncode == 2
    assert command("store", "backup").returncode == 2


@pytest.mark.parametrize("target", ["mind", "mind/copy", "mind/../mind/x"])
def test_a_backup_in_the_store_itself_is_refused(command: Run, mind: Path, target: str) -> None:
    before = contents(mind)
    refused(command("store", "backup", target, "--store", "mind"), 2, "lies in the store")
    assert contents(mind) == before

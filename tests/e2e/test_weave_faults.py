# Over 600 lines: all that may happen to one folder, with the processes and damages that are done to it.
"""What may happen to chapters and their tables: kills, damage, locks, a disk without room, zones, odd texts, bad input.

Chapters and tables are made of what was told: whatever happens to them, decisions go on, and the tables say what ones
say that are made anew.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from sophia.errors import InputError, StoreFailed
from sophia.store.chapters import read
from sophia.store.chronicle import missing
from sophia.store.folder import StoreFolder
from sophia.store.journal import journal_files
from sophia.store.view import StoreView

from .conftest import Live, Run, records
from .crash import HOME, SOPHIA, Trial, Whole, unbroken
from .test_full_disk import shim as shim
from .test_kill import journaled

pytestmark = pytest.mark.skipif(bool(missing()), reason="needs duckdb and pyarrow")

EVERYTHING = (
    "SELECT CAST(d AS VARCHAR) AS row FROM decisions d UNION ALL SELECT CAST(p AS VARCHAR) FROM patterns p "
    "UNION ALL SELECT CAST(c AS VARCHAR) FROM chapters c ORDER BY 1"
)
"""All rows of all tables."""


def log(count: int) -> list[str]:
    """A log that becomes another one twice, after `count` lines each."""
    rng = random.Random(3)
    kinds = (
        ("user {i} logged in from 192.0.2.{j}", "session {i} opened for user u{j}", "session {i} closed"),
        ("disk sd{j} failed its check {i}", "raid array md{j} degraded after {i} s", "read error on block {i}"),
        ("request {i} served in {j} ms", "cache miss for key 0x{i:08x}", "upstream {j} timed out after {i} ms"),
    )
    return [rng.choice(kind).format(i=i, j=rng.randrange(9)) for kind in kinds for i in range(count)]


LINES = log(700)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of one run over LINES, with tables."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "in.log").write_text("\n".join(LINES) + "\n")
    _sophia(folder, "run", "in.log", "--store", "mind", "--out", "told", "--report", "none", "--quiet")
    _sophia(folder, "weave", "--store", "mind", "--views")
    return folder / "mind"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """One of its own for each test."""
    shutil.copytree(made, tmp_path / "mind")
    return tmp_path / "mind"


def _sophia(folder: Path, *arguments: str, **environment: str) -> str:
    """What a command says that must be done, and silently."""
    done = subprocess.run(
        [*SOPHIA, *arguments], cwd=folder, env=os.environ | {"PYTHONPATH": str(HOME)} | environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def everything(store: Path) -> str:
    return _sophia(store.parent, "weave", "--store", store.name, "--sql", EVERYTHING, "--json")


def anew(store: Path) -> str:
    """All rows of tables that are made of the same store now."""
    copy = store.with_name("anew")
    shutil.copytree(store, copy, ignore=shutil.ignore_patterns("weaver*"))
    try:
        return everything(copy)
    finally:
        shutil.rmtree(copy)


def kept(store: Path) -> dict[str, bytes]:
    """The database and the journal, byte for byte."""
    files = [store / "sophia.db", *(file.path for file in journal_files(store))]
    wal = store / "sophia.db-wal"
    return {file.name: file.read_bytes() for file in [*files, *([wal] if wal.exists() else [])]}


def chapters_of(store: Path) -> list[dict[str, Any]]:
    try:
        with StoreView(store / "sophia.db") as view:
            return [chapter for _, chapter in read(view) if chapter.get("first") is not None]
    except (InputError, StoreFailed):  # killed before there was one
        assert not journal_files(store)
        return []


# kills


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return unbroken(tmp_path_factory.mktemp("unbroken") / "one", [], LINES)


def kill_over_and_over(folder: Path, seed: int, expected: Whole) -> int:
    """One store whose runs are killed, and whose tables are asked for meanwhile by who is killed, too; how often a run
    really was."""
    rng = random.Random(seed)
    folder.mkdir()
    trial, store = Trial(folder, [], LINES), folder / "mind"
    for _ in range(rng.randint(2, 4)):
        asked = _ask_and_be_killed(store, rng) if store.exists() else None
        batch, after = rng.choice(["16", "64", "256", "2048"]), rng.uniform(0.2, 0.95) * expected.seconds
        trial.run("--batch", batch, kill_after=after)
        if asked is not None:
            asked()
        _nothing_untold(store, trial)
        if not trial.left:
            break
        if store.exists() and rng.random() < 0.5:
            _ask_and_be_killed(store, rng)()
    while trial.left:
        before = trial.left
        assert trial.run() == 0, (seed, trial.errors)
        assert trial.left < before
    assert trial.errors == b"", seed
    assert trial.told.comparable() == expected.decisions, seed
    assert journaled(store) == trial.told.decisions, seed
    _nothing_untold(store, trial)
    assert everything(store) == anew(store), seed
    found = _sophia(
        folder, "weave", "--store", "mind", "--sql", "SELECT run, n FROM decisions ORDER BY run, n", "--json"
    )
    assert [f"{one['run']}.{one['n']}" for one in map(json.loads, found.splitlines())] == [
        one["id"] for one in trial.told.decisions
    ]
    assert not list(store.glob("*.damaged")), seed  # a kill damages nothing
    return trial.kills


def _ask_and_be_killed(store: Path, rng: random.Random) -> Callable[[], None]:
    """Asks for tables; who is called ends that, at whatever it is."""
    question = rng.choice([["--views"], ["--sql", EVERYTHING, "--json"]])
    asked = subprocess.Popen(
        [*SOPHIA, "weave", "--store", str(store), *question], env=os.environ | {"PYTHONPATH": str(HOME)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    patience = rng.uniform(0.1, 1.0)

    def end() -> None:
        try:
            asked.wait(patience)
        except subprocess.TimeoutExpired:
            asked.kill()
            asked.wait()

    return end


def _nothing_untold(store: Path, trial: Trial) -> None:
    """Chapters tell of decisions that were told, in order, each once."""
    told: dict[int, int] = {}
    for decision in trial.told.decisions:
        run, n = map(int, decision["id"].split("."))
        told[run] = n
    ends: dict[int, int] = {}
    for chapter in chapters_of(store):
        run = chapter["run"]
        assert chapter["last"] <= told.get(run, 0), (chapter, told)
        assert chapter["first"] == ends.get(run, 0) + 1, chapter
        assert chapter["last"] - chapter["first"] + 1 == chapter["inputs"], chapter
        ends[run] = chapter["last"]


@pytest.mark.once
def test_kills(tmp_path: Path, expected: Whole) -> None:
    kills, seed = 0, 0
    while kills < 10:
        assert seed < 30
        kills += kill_over_and_over(tmp_path / str(seed), seed, expected)
        seed += 1


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_kills(tmp_path: Path, expected: Whole, part: int) -> None:
    kills, seed = 0, 1000 * (part + 1)
    while kills < 10:
        kills += kill_over_and_over(tmp_path / str(seed), seed, expected)
        seed += 1


# damage


def _with_a_log(store: Path) -> None:
    """Makes the tables anew, by a process that is killed before its log is brought into the file."""
    for path in store.glob("weaver.duckdb*"):
        path.unlink()
    (file,) = journal_files(store)
    whole = file.path.read_bytes()
    file.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-200]))
    everything(store)
    file.path.write_bytes(whole)
    code = (
        "import os, pathlib, signal, sys; from sophia.store.chronicle import Chronicle\n"
        "c = Chronicle(pathlib.Path(sys.argv[1])); c.catch_up(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store)], env=os.environ | {"PYTHONPATH": str(HOME)})
    assert done.returncode == -signal.SIGKILL
    assert (store / "weaver.duckdb.wal").stat().st_size > 10_000


def _flip(command: Run, store: Path, name: str, places: Callable[[int, random.Random], list[int]]) -> int:
    """Flips one bit at each of the places in turn; how often it was seen."""
    wanted, before, rng, seen = anew(store), kept(store), random.Random(11), 0
    sound = {path.name: path.read_bytes() for path in store.glob("weaver.duckdb*")}
    for place in places(len(sound[name]), rng):
        for path in store.glob("weaver.duckdb*"):
            path.unlink()
        data = bytearray(sound[name])
        data[place] ^= 1 << rng.randrange(8)
        for one, contents in (sound | {name: bytes(data)}).items():
            (store / one).write_bytes(contents)
        done = command("weave", "--store", "mind", "--sql", EVERYTHING, "--json")
        assert (done.returncode, done.stdout.decode()) == (0, wanted), (name, place, done.stderr)
        damaged = sorted(path.name for path in store.glob("*.damaged"))
        assert bool(damaged) == bool(done.stderr), (name, place, damaged, done.stderr)
        if damaged:
            seen += 1
            said = done.stderr.decode()
            assert said.startswith("sophia: weaver.duckdb is made anew ("), (name, place, said)
            assert said.count("\n") == 1
            assert all(one in said for one in damaged)
            assert StoreFolder(store).aside() == damaged  # dated names that are known
        assert everything(store) == wanted, (name, place)
        assert kept(store) == before, (name, place)
    return seen


@pytest.mark.once
def test_a_flipped_byte_in_the_tables(command: Run, store: Path) -> None:
    heads = [9, 4100, 8200]
    seen = _flip(command, store, "weaver.duckdb", lambda size, rng: heads + [rng.randrange(size) for _ in range(5)])
    assert seen >= 3
    assert command("store", "check", "--store", "mind").returncode == 0


def test_a_flipped_byte_in_their_log(command: Run, store: Path) -> None:
    _with_a_log(store)
    _flip(
        command, store, "weaver.duckdb.wal", lambda size, rng: [1, 40, size - 9, *(rng.randrange(size) for _ in "123")]
    )


@pytest.mark.slow
def test_many_flipped_bytes(command: Run, store: Path) -> None:
    assert _flip(command, store, "weaver.duckdb", lambda size, rng: [rng.randrange(size) for _ in range(60)]) > 20
    _with_a_log(store)
    _flip(command, store, "weaver.duckdb.wal", lambda size, rng: [rng.randrange(size) for _ in range(40)])


@pytest.mark.once
def test_a_flipped_byte_in_the_journal(command: Run, store: Path) -> None:
    """What is no record any more is left out, and that is said; it is the same for who has read the rest before."""
    (file,) = journal_files(store)
    sound, rng = file.path.read_bytes(), random.Random(5)
    for trial in range(6):
        data = bytearray(sound)
        place = rng.randrange(len(data)) if trial else len(data) - 1
        data[place] ^= 0x80 if trial == 1 else 1 << rng.randrange(8)
        said = []
        for parts in ((len(data),), (data.find(b"\n", len(data) // 2) + 1, len(data))):
            for path in store.glob("weaver.duckdb*"):
                path.unlink()
            words = b""
            for part in parts:
                file.path.write_bytes(data[:part])
                done = command("weave", "--store", "mind", "--sql", EVERYTHING, "--json")
                assert done.returncode == 0, (place, done.stderr)
                words += done.stderr
            said.append((done.stdout, words))
        assert said[0] == said[1], place
        assert said[0][1] in (
            b"",
            b"sophia: 1 line of the journal is no record of a decision, and left out\n",
            b"sophia: 2 lines of the journal are no records of a decision, and left out\n",
        ), place


# locks and room


def test_tables_that_another_process_has_open(command: Run, store: Path) -> None:
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.readline()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(store / "weaver.duckdb")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        before = {path.name: path.read_bytes() for path in store.glob("weaver.duckdb*")} | kept(store)
        for question in (["--views"], ["--sql", "SELECT 1"]):
            done = command("weave", "--store", "mind", *question)
            assert (done.returncode, done.stdout) == (4, b"")
            assert done.stderr == b"sophia: mind/weaver.duckdb is in use by another process; wait for it, or end it\n"
        assert {path.name: path.read_bytes() for path in store.glob("weaver.duckdb*")} | kept(store) == before
        (store.parent / "more.log").write_text("\n".join(LINES[:300]) + "\n")
        done = command("run", "more.log", "--store", "mind", "--out", "-", "--quiet")
        assert (done.returncode, done.stderr, len(records(done.stdout))) == (0, b"", 300)
        done = command("weave", "--store", "mind")  # chapters need no tables
        assert done.returncode == 0
        assert b"more.log:1 to 300" in done.stdout
    assert everything(store) == anew(store)


def _without_room(folder: Path, shim: Path, first: int, how: str, *arguments: str) -> tuple[int, str, int]:
    """A command on a disk that has no room for the tables alone, from change `first` on; and how many it made."""
    environment = {
        "PYTHONPATH": str(HOME),
        "LD_PRELOAD": str(shim),
        "FULL_UNDER": str(folder / "mind" / "weaver.duckdb"),  # and what begins so: its log
        "FULL_FROM": str(first),
        "FULL_HOW": how,
        "FULL_COUNT": str(folder / "count"),
    }
    done = subprocess.run(
        [*SOPHIA, *arguments, "--store", str(folder / "mind")], cwd=folder, env=os.environ | environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stderr, int((folder / "count").read_text())


def _fill_the_disk(folder: Path, shim: Path, wanted: str, how: str, first: int) -> int:
    store = folder / "mind"
    before = kept(store)
    code, said, _ = _without_room(folder, shim, first, how, "weave", "--sql", "SELECT count(*) FROM decisions")
    where = f"{how} from {first} on: {code} {said}"
    assert code in (0, 5), where
    if code == 5:
        assert said.startswith(f"sophia: {store}/weaver.duckdb cannot be used ("), where
        assert said.count("\n") == 1, where
        assert ("No space left" if how != "once" else "Input/output error") in said, where
        assert "look at the disk" in said, where
    elif how != "once":
        assert said == "", where
    assert kept(store) == before, where
    done = subprocess.run(
        [*SOPHIA, "weave", "--store", "mind", "--sql", EVERYTHING, "--json"], cwd=folder,
        env=os.environ | {"PYTHONPATH": str(HOME)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, wanted), where
    for path in store.glob("weaver.duckdb*"):
        path.unlink()
    return code


@pytest.mark.once
def test_no_room_for_the_tables(store: Path, shim: Path) -> None:
    folder, wanted = store.parent, anew(store)
    for path in store.glob("weaver.duckdb*"):
        path.unlink()
    code, said, count = _without_room(folder, shim, 0, "full", "weave", "--sql", "SELECT 1")
    assert (code, said) == (0, "")
    assert count > 20
    for path in store.glob("weaver.duckdb*"):
        path.unlink()
    cases = [("full", 1), ("full", 2), ("full", 7), ("short", count // 4), ("full", count - 2), ("once", 8)]
    codes = [_fill_the_disk(folder, shim, wanted, how, first) for how, first in cases]
    assert codes[:4] == [5] * 4
    (folder / "more.log").write_text("\n".join(LINES[:300]) + "\n")
    done = _without_room(folder, shim, 1, "full", "run", "more.log", "--out", "told", "--report", "none", "--quiet")
    assert done == (0, "", 0)
    assert len(records((folder / "told").read_bytes())) == 300
    assert everything(store) == anew(store)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["full", "short", "once"])
def test_no_room_for_the_tables_at_each_change(store: Path, shim: Path, how: str) -> None:
    wanted = anew(store)
    for path in store.glob("weaver.duckdb*"):
        path.unlink()
    _, _, count = _without_room(store.parent, shim, 0, "full", "weave", "--sql", "SELECT 1")
    for path in store.glob("weaver.duckdb*"):
        path.unlink()
    codes = [_fill_the_disk(store.parent, shim, wanted, how, first) for first in range(1, count + 1)]
    assert codes.count(5) > len(codes) // 4


# instants


def test_instants_are_the_same_in_every_zone(tmp_path: Path) -> None:
    stamps = {
        "2040-07-01T12:00Z": "2040-07-01T12:00:00Z",
        "2040-07-01T14:00:00+02:00": "2040-07-01T12:00:00Z",
        "2026-10-25T00:30Z": "2026-10-25T00:30:00Z",  # half past two in Berlin
        "2026-10-25T01:30Z": "2026-10-25T01:30:00Z",  # and once more
        "2026-10-25T02:30:00+02:00": "2026-10-25T00:30:00Z",
        "2026-10-25T02:30:00+01:00": "2026-10-25T01:30:00Z",
        "2026-11-01T05:30Z": "2026-11-01T05:30:00Z",  # the same in New York
        "2026-11-01T06:30Z": "2026-11-01T06:30:00Z",
    }
    lines = [json.dumps({"text": f"what is tea {i}?", "ts": ts}) for i, ts in enumerate(stamps)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    start = time.time()
    _sophia(
        tmp_path,
        "run",
        "in.jsonl",
        "--store",
        "mind",
        "--out",
        "told",
        "--report",
        "none",
        "--quiet",
        TZ="Europe/Berlin",
    )
    sql = "SELECT ts, event, epoch(event) AS at, decided, epoch(decided) AS made FROM decisions ORDER BY n"
    said = set()
    for zone in ("UTC", "America/New_York", "Europe/Berlin"):
        said.add(
            _sophia(tmp_path, "weave", "--store", "mind", "--sql", sql, "--json", TZ=zone)
            + _sophia(tmp_path, "weave", "--store", "mind", "--views", TZ=zone)
            + _sophia(tmp_path, "weave", "--store", "mind", "--sql", "SELECT began, ended FROM chapters", TZ=zone)
        )
        for path in (tmp_path / "mind").glob("weaver.duckdb*"):  # and by whom the tables are made
            path.unlink()
    assert len(said) == 1
    found = [json.loads(line) for line in said.pop().splitlines()[: len(stamps)]]
    assert {one["ts"]: one["event"] for one in found} == stamps
    assert all(start - 1 <= one["made"] <= time.time() for one in found)
    hours = _sophia(
        tmp_path, "weave", "--store", "mind", "--sql", "SELECT hour, decisions FROM routes_per_hour", "--json"
    )
    assert [tuple(json.loads(line).values()) for line in hours.splitlines()] == [
        ("2040-07-01T12:00:00Z", 2),
        ("2026-11-01T06:00:00Z", 1),
        ("2026-11-01T05:00:00Z", 1),
        ("2026-10-25T01:00:00Z", 2),
        ("2026-10-25T00:00:00Z", 2),
    ]


@pytest.mark.parametrize(
    "stamp", ["infinity", "-infinity", "290000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "now"]
)
def test_times_that_no_calendar_has(tmp_path: Path, stamp: str) -> None:
    lines = [
        json.dumps({"text": "what is tea?", "ts": f"2026-01-01T00:00:{i:02}Z" if i < 30 else stamp}) for i in range(40)
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    _sophia(tmp_path, "run", "in.jsonl", "--store", "mind", "--out", "told", "--report", "none", "--quiet")
    for how in (
        [],
        ["--markdown"],
        ["--json"],
        ["--views"],
        ["--views", "--json"],
        ["--sql", "SELECT * FROM decisions"],
    ):
        assert _sophia(tmp_path, "weave", "--store", "mind", *how)


# odd texts

ODD = [
    "plain",
    'it\'s "quoted" `and` *so* <b>on</b> | #',
    "nul \0 inside",
    "\U0001f600 emoji",
    "line\nbreak\ttab\rend",
    "red \x1b[31malert\x1b[0m \x1b]0;title\x07 \x9b2J",
    "half \ud83d of a pair",
    "turned \u202e round \u2066",
    "\u00e4\u65e5\u672c",
]


@pytest.mark.once
def test_odd_texts_in_every_place(tmp_path: Path) -> None:
    """As scopes, contexts, names, answers, times, texts, lines of a log and names of files."""
    long = "long answer " * 90_000
    lines = []
    for i in range(600):
        odd = ODD[i % len(ODD)]
        words = "kettle boils water" if i < 300 else "disk fails its check"
        lines.append({"text": f"{words} {odd}", "scope": odd, "context": odd, "id": f"{odd}{i}", "ts": odd,
                      "session": odd, "answer": long if i == 7 else odd})  # fmt: skip
    names = ["a'b\"c\x1b[31m.jsonl", "new\nline \U0001f600.log", os.fsdecode(b"no \xff utf-8.log")]
    (tmp_path / names[0]).write_text("\n".join(map(json.dumps, lines)) + "\n")
    for name in names[1:]:
        text = "\n".join(
            f"{odd} told by {name} at {i}".replace("\n", " ").replace("\0", "") for i in range(60) for odd in ODD
        )
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass") + b"\n")
    done = subprocess.run(
        [*SOPHIA, "run", *names, "--store", "mind", "--out", "told", "--report", "none", "--quiet"], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(HOME)}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = records((tmp_path / "told").read_bytes())
    columns = ("id", "scope", "answer", "source", "ts", "reason")
    sql = f"SELECT {', '.join(columns)} FROM decisions ORDER BY run, n"
    found = records(_sophia(tmp_path, "weave", "--store", "mind", "--sql", sql, "--json").encode())
    assert found == [{name: _whole(one[name]) for name in columns} for one in told]
    chapters = records(_sophia(tmp_path, "weave", "--store", "mind", "--json").encode())
    assert len(chapters) > 2
    sql = 'SELECT id, title, summary, "from", "to" FROM chapters ORDER BY id'
    rows = records(_sophia(tmp_path, "weave", "--store", "mind", "--sql", sql, "--json").encode())
    assert rows == [
        {"id": one["id"], "title": one["title"], "summary": [_whole(line) for line in one["summary"]],
         "from": _whole(one.get("from")), "to": _whole(one.get("to"))} for one in chapters
    ]  # fmt: skip
    assert everything(tmp_path / "mind") == anew(tmp_path / "mind")
    for how in (
        [], ["--markdown"], ["--json"], ["--views"], ["--views", "--json"], ["--sql", "SELECT * FROM decisions"],
        ["--sql", "SELECT * FROM chapters"], ["--sql", "SELECT * FROM patterns", "--json"],
        ["--sql", "SELECT 1 AS \"a\x1b[31m\nb\", chr(27) || '[31m' AS red, [chr(10)] AS list, {'x': chr(7)} AS one"],
    ):  # fmt: skip
        for encoding in ("utf-8", "ascii") if how in ([], ["--views"]) else ("utf-8",):
            said = _sophia(tmp_path, "weave", "--store", "mind", *how, PYTHONIOENCODING=encoding)
            assert all(line.isprintable() for line in said.split("\n")), how


def _whole(text: str | None) -> str | None:
    """What a table can hold of a text."""
    return text if text is None else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# bad input


def refused(done: subprocess.CompletedProcess[bytes], code: int, *words: str) -> None:
    said = done.stderr.decode()
    assert (done.returncode, done.stdout, said.count("\n")) == (code, b"", 1), done
    assert said.startswith("sophia: ")
    assert all(word in said for word in words), said


def test_what_cannot_be_asked_is_refused(command: Run, store: Path) -> None:
    before = kept(store)
    for asked, words in (
        (["--since", "x"], "--since"),
        (["--since", ""], "--since"),
        (["--since", "2026-13-01"], "--since"),
        (["--sql", ""], "--sql"),
        (["--sql", " ;; "], "--sql"),
        (["--sql", "SELECT 1", "--most", "3"], "LIMIT"),
        (["--sql", "SELECT 1", "--since", "24h"], "WHERE"),
        (["--sql", "SELECT 1", "--views"], "--views"),
        (["--views", "--since", "24h"], "--since"),
        (["--views", "--markdown"], "--markdown"),
        (["--most", "3"], "--most"),
        (["--markdown", "--json"], "--json"),
        (["--parquet", "out", "--views"], "--views"),
        (["--parquet", "out", "--sql", "SELECT 1"], "--sql"),
        (["--parquet", "out", "--most", "3"], "--most"),
        (["--parquet", "mind/sophia.db"], "no folder"),
    ):
        refused(command("weave", "--store", "mind", *asked), 2, words)
    assert command("weave", "--store", "mind", "--views", "--most", "0").returncode == 2
    all_of_them = command("weave", "--store", "mind").stdout
    assert command("weave", "--store", "mind", "--since", "999999999999w").stdout == all_of_them
    assert kept(store) == before


def test_what_is_no_store(command: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "sophia.db").touch()
    (tmp_path / "file").touch()
    for name in ("nowhere", "folder", "empty", "file"):
        for how in ([], ["--views"], ["--sql", "SELECT 1"]):
            refused(command("weave", "--store", name, *how), 3, name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file", "folder", "sophia.db"]


@pytest.mark.parametrize("number", range(1, 7))
def test_a_store_of_an_older_format(command: Run, tmp_path: Path, number: int) -> None:
    import gzip

    (tmp_path / "mind").mkdir()
    packed = Path(__file__).parent.parent / "fixtures" / f"store-{number}.db.gz"
    (tmp_path / "mind" / "sophia.db").write_bytes(gzip.decompress(packed.read_bytes()))
    before = (tmp_path / "mind" / "sophia.db").read_bytes()
    done = command("weave", "--store", "mind")
    assert (done.returncode, done.stderr) == (0, b"")
    done = command("weave", "--store", "mind", "--sql", "SELECT count(*) AS patterns FROM patterns", "--json")
    assert done.returncode == 0
    assert done.stderr == b"sophia: the journal of mind is empty, so no decision can be asked for\n"
    assert json.loads(done.stdout)["patterns"] >= 0
    assert (tmp_path / "mind" / "sophia.db").read_bytes() == before


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[]", b"", None, 7, "flip"])
def test_a_damaged_chapter_is_left_out_and_that_is_told(command: Run, store: Path, data: object) -> None:
    with closing(sqlite3.connect(store / "sophia.db")) as database, database:
        if data == "flip":
            data = database.execute("SELECT data FROM chapters WHERE id = 3").fetchone()[0].replace("inputs", "inputt")
        if data is None:
            database.execute("UPDATE chapters SET checksum = checksum + 1 WHERE id = 3")
        else:
            value = "CAST(? AS TEXT)" if isinstance(data, bytes) else "?"
            database.execute(f"UPDATE chapters SET data = {value} WHERE id = 3", (data,))
    for how in ([], ["--markdown"], ["--json"]):
        done = command("weave", "--store", "mind", *how)
        assert done.returncode == 0
        assert done.stderr.startswith(b"sophia: 1 chapter is damaged and left out; ")
    numbers = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert 3 not in numbers
    assert len(numbers) >= 3
    done = command("weave", "--store", "mind", "--sql", "SELECT id FROM chapters ORDER BY id", "--json")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == numbers
    assert command("store", "check", "--store", "mind").returncode == 1
    (store.parent / "more.log").write_text("\n".join(LINES[:300]) + "\n")
    done = command("run", "more.log", "--store", "mind", "--out", "-", "--quiet")
    assert (done.returncode, len(records(done.stdout))) == (0, 300)
    assert command("store", "repair", "--store", "mind").returncode == 0
    done = command("weave", "--store", "mind", "--json")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_may_not_be_written(store: Path, there: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        mind = Path(name) / "mind"
        shutil.copytree(store, mind, ignore=None if there else shutil.ignore_patterns("weaver*"))
        before = {path.name: path.read_bytes() for path in mind.iterdir() if path.is_file()}
        for how, code in (([], 0), (["--views"], 5), (["--sql", "SELECT 1"], 5)):
            done = subprocess.run(
                [sys.executable, "-c", _NOBODY, str(store), "weave", "--store", str(mind), *how],
                env=os.environ | {"PYTHONPATH": str(HOME)}, capture_output=True, cwd="/",
            )  # fmt: skip
            if code:
                refused(done, code, "weaver.duckdb cannot be used", "Permission denied")
            else:
                assert (done.returncode, done.stderr) == (0, b"")
                assert done.stdout
        assert {path.name: path.read_bytes() for path in mind.iterdir() if path.is_file()} == before


_NOBODY = """
import contextlib, io, os, sys
from sophia.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):  # who is nobody cannot even read where Python lies
    for how in ([], ["--views"]):
        main(["weave", "--store", sys.argv[1], *how])
os.setgid(65534)
os.setuid(65534)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    "sql",
    ["SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b", "SELECT * FROM range(100000000000)"],
)
def test_ctrl_c_ends_a_query(start: Callable[..., Live], store: Path, sql: str) -> None:
    live = start("weave", "--store", "mind", "--sql", sql, stdout=subprocess.DEVNULL)
    work = psutil.Process(live.process.pid)
    live.until(lambda: sum(work.cpu_times()[:2]) > 2.5)
    assert live.end(signal.SIGINT) == 130
    assert live.said() == ""
    assert everything(store) == anew(store)


def test_ctrl_c_where_nobody_reads(start: Callable[..., Live], store: Path) -> None:
    """A thread that waits for the reader of its output cannot be broken off."""
    reading, writing = os.pipe()
    live = start("weave", "--store", "mind", "--sql", "SELECT * FROM range(100000000)", stdout=writing)
    os.close(writing)
    assert os.read(reading, 1)
    time.sleep(0.5)  # the pipe is full
    assert live.end(signal.SIGINT) == 130
    os.close(reading)


def test_runs_without_chapters_a_store_or_a_journal(command: Run, tmp_path: Path) -> None:
    (tmp_path / "in.log").write_text("\n".join(LINES[:400]) + "\n")
    assert command("run", "in.log", "--no-store", "--out", "told", "--quiet").returncode == 0
    refused(command("weave"), 3, ".sophia")
    assert command("run", "in.log", "--store", "a", "--no-weave", "--out", "told", "--quiet").returncode == 0
    assert [chapter["title"] for chapter in records(command("weave", "--store", "a", "--json").stdout)] == ["Birth"]
    done = command("weave", "--store", "a", "--sql", "SELECT count(*) AS n FROM decisions", "--json")
    assert (done.stdout, done.stderr) == (b'{"n": 400}\n', b"")
    assert command("run", "in.log", "--store", "b", "--journal", "0", "--out", "told", "--quiet").returncode == 0
    done = command("weave", "--store", "b", "--views")
    assert done.stderr == b"sophia: the journal of b is empty, so no decision can be asked for\n"
    assert b"routes_per_hour" not in done.stdout
    assert b"days" in done.stdout  # of chapters, which it has
    assert b"in.log:1 to 400" in command("weave", "--store", "b").stdout


def test_what_is_forgotten_is_quoted_no_more(command: Run, tmp_path: Path) -> None:
    """Neither in its own chapters, nor in those right after, nor where another scope says something alike later."""
    rng = random.Random(1)
    names = ["".join(rng.choice("abcdefgh") for _ in range(6)) for _ in range(60)]

    def room(who: str, desk: str, i: int) -> str:
        return f"the user {who} is now logged in at the {desk} desk of room {i}"

    said = [(room(names[i % 60], "annsecret", i), "ann") for i in range(700)]
    said += [(f"disk {i} failed badly", "carl") for i in range(700)]
    said += [(f"kettle number {i} boils", "dora") for i in range(700)]
    said += [(room("bobword", "front", i), "bob") for i in range(700)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": t, "scope": s}) + "\n" for t, s in said))
    command("run", "in.jsonl", "--store", "mind", "--out", "told", "--quiet")
    before = [one for one in records(command("weave", "--store", "mind", "--json").stdout) if "scopes" in one]
    assert [one["scopes"] for one in before] == [["ann"], ["carl"], ["dora"], ["bob"]]
    assert "annsecret" in json.dumps(before[0])
    assert "annsecret" in json.dumps(before[1])
    assert "annsecret" not in json.dumps(before[2:])
    command("weave", "--store", "mind", "--views")
    assert command("forget", "--scope", "ann", "--store", "mind").returncode == 0
    after = [one for one in records(command("weave", "--store", "mind", "--json").stdout) if "scopes" in one]
    assert [one["title"] for one in after[:2]] == ["Forgotten", "Forgotten"]
    for one in after[:2]:
        assert not any(one[name] for name in ("summary", "terms", "fewer", "new", "vanished", "words", "again"))
    assert [one["title"] for one in after[2:]] == [one["title"] for one in before[2:]]
    assert [one["inputs"] for one in after] == [700] * 4
    command("weave", "--store", "mind", "--views")
    sql = "SELECT CAST(c AS VARCHAR) AS c FROM chapters c"
    assert "annsecret" not in _sophia(tmp_path, "weave", "--store", "mind", "--sql", sql)
    for path in (tmp_path / "mind").rglob("*"):
        assert path.is_dir() or b"annsecret" not in path.read_bytes(), path
    assert StoreFolder(tmp_path / "mind").foreign() == []


def test_a_damaged_chapter_is_forgotten(command: Run, store: Path) -> None:
    """Nobody knows of whom it quotes."""
    with closing(sqlite3.connect(store / "sophia.db")) as database, database:
        database.execute("UPDATE chapters SET data = replace(data, 'inputs', 'inputt') WHERE id = 3")
    done = command("forget", "--scope", "nobody", "--store", "mind")
    chapters = [json.loads(line) for line in command("weave", "--store", "mind", "--json").stdout.splitlines()]
    if done.returncode:  # a damaged store is refused as a whole: then nothing is done
        assert b"repair" in done.stderr
        return
    assert 3 not in [chapter["id"] for chapter in chapters]
    assert [chapter["title"] for chapter in chapters if chapter["id"] == 4] == ["Forgotten"]

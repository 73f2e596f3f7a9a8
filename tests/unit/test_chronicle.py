"""The chronicle of a store: it says what the journal says, whatever happened to either, and can only be asked."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.errors import ConfigError, StoreCorrupt, StoreFailed, StoreLocked
from sophia.forgetting import forget_scope
from sophia.store.chronicle import FORMAT, Chronicle, missing
from sophia.store.folder import StoreFolder
from sophia.store.journal import Journal, journal_files
from sophia.store.reading import Reading
from sophia.store.views import VIEWS

pytestmark = pytest.mark.skipif(bool(missing()), reason="needs duckdb and pyarrow")

ODD = [
    "plain",
    "",
    'it\'s "quoted"',
    "nul \0 inside",
    "\U0001f600 emoji",
    "line\nbreak\ttab\r",
    "ä日本",
    "x" * 1_000_000,
]


def record(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "n": n, "id": f"1.{n}", "ts": None, "scope": "", "route": "cortical", "why": "novel", "verdict": "allow",
        "novelty": 0.5, "danger": None, "pattern": n % 3 + 1, "intent": None, "confidence": 0.25, "runner_up": None,
        "match": None, "answer": None, "k": None, "policy_version": "p", "us": 12.5, "audit": False, "agrees": None,
        "withheld": False, "danger_score": None, "salience": None, "source": "in.log", "line": n, "reason": None,
        **changes,
    }  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "mind"
    sophia.open(path).close()
    return path


def append(store: Path, records: list[dict[str, Any]], *, run: int = 1, at: float = 0.0, **options: Any) -> None:
    journal = Journal(store, **options)
    assert journal.append(run, at, [json.dumps(one) for one in records])
    journal.close()


def rows(store: Path, sql: str = "SELECT * EXCLUDE file FROM decisions ORDER BY run, n") -> list[tuple[Any, ...]]:
    with Chronicle(store) as chronicle:
        chronicle.catch_up()
    with Reading(chronicle.file) as reading:
        return list(reading.ask(sql)[1])


def anew(store: Path) -> list[tuple[Any, ...]]:
    """What a chronicle says that is made of the same journal now."""
    copy = store.with_name("copy")
    shutil.copytree(store, copy, ignore=shutil.ignore_patterns("weaver*"))
    try:
        return rows(copy)
    finally:
        shutil.rmtree(copy)


def test_every_field_is_there_whatever_it_holds(store: Path) -> None:
    texts = ("id", "scope", "intent", "runner_up", "answer", "source", "reason", "session", "sensor", "ts")
    records = [record(n, **dict.fromkeys(texts, odd)) for n, odd in enumerate(ODD, 1)]
    records.append(record(99, danger={"rule": "r", "severity": 0.9, "span": [0, 2], "via": ""}, agrees=True, audit=True,
                          match={"id": "m1", "score": 0.75}, k=[0.5] * 8, anomaly=0.5, danger_score=0.125))  # fmt: skip
    append(store, records)
    names = ", ".join(texts)
    found = rows(store, f"SELECT {names} FROM decisions WHERE n < 99 ORDER BY n")
    assert found == [(odd,) * len(texts) for odd in ODD]
    more = "rule, severity, agrees, audit, match, match_score, k, anomaly, danger_score, pattern, us, novelty"
    last = ("r", 0.9, True, True, "m1", 0.75, [0.5] * 8, 0.5, 0.125, 1, 12.5, 0.5)
    assert rows(store, f"SELECT {more} FROM decisions WHERE n = 99") == [last]
    assert rows(store) == anew(store)


def test_what_is_added_bit_by_bit_is_what_comes_at_once(store: Path) -> None:
    rng = random.Random(5)
    n = 1
    for run in (1, 2, 3):
        for _ in range(8):
            count = rng.randrange(1, 40)
            append(store, [record(n + i, scope=rng.choice("ab")) for i in range(count)], run=run, size=3000)
            n += count
            assert len(rows(store)) == n - 1
    assert len(journal_files(store)) > 10
    assert rows(store) == anew(store)
    with Chronicle(store) as chronicle:
        assert chronicle.catch_up() == 0


def test_what_the_journal_lets_go_goes(store: Path) -> None:
    """Cut off, taken out by `forget`, or too old: file by file."""
    for first in range(1, 100, 3):
        append(store, [record(first + i, scope="ann" if i == 1 else "bob") for i in range(3)], size=2000, most=1 << 20)
    assert len(rows(store)) == 99
    journal_files(store)[0].path.unlink()
    Journal(store).cut(1, 90)
    assert rows(store) == anew(store)
    assert 80 < len(rows(store)) < 90
    done = forget_scope(store, "ann")
    assert done.journaled > 20
    assert str(store.resolve() / "weaver.duckdb") in [str(Path(name).resolve()) for name in done.removed]
    assert StoreFolder(store).chronicle() == []
    assert {scope for (scope,) in rows(store, "SELECT scope FROM decisions")} == {"bob"}
    assert rows(store) == anew(store)


def test_a_torn_line_is_taken_when_it_is_whole_and_what_is_no_record_is_passed_over(store: Path) -> None:
    append(store, [record(1), record(2)])
    (file,) = journal_files(store)
    whole = file.path.read_bytes()
    line = whole.splitlines(keepends=True)[0]
    file.path.write_bytes(whole + line[:50])
    assert len(rows(store)) == 2
    strange = [
        b"not json\n",
        b"[]\n",
        b"{}\n",
        b'{"run": "x", "n": 1}\n',
        b'{"run": 1, "n": 4, "scope": "\\ud800"}\n',
        b"\n",
    ]
    file.path.write_bytes(whole + line + b"".join(strange) + line)
    assert rows(store, "SELECT run, n, scope FROM decisions ORDER BY ALL") == [
        (1, 1, ""), (1, 1, ""), (1, 1, ""), (1, 2, ""), (1, 4, "\ufffd"),
    ]  # fmt: skip
    assert rows(store, "SELECT strange FROM taken") == [(5,)]
    assert rows(store) == anew(store)


def test_instants_are_those_of_the_world(store: Path) -> None:
    """Whatever the zone of the host is that writes, and of the one that reads."""
    noon = 2_224_756_800.0  # 2040-07-01T12:00:00Z, in summer
    append(store, [record(1, ts="2040-07-01T14:00:00+02:00"), record(2, ts="2040-12-01T12:00:00Z")], at=noon)
    code = (
        "import sys, pathlib; from sophia.store.chronicle import Chronicle; from sophia.store.reading import Reading\n"
        "with Chronicle(pathlib.Path(sys.argv[1])) as c: c.catch_up()\n"
        "with Reading(c.file) as r: print([[str(v.astimezone(__import__('datetime').timezone.utc)) for v in row]"
        " for row in r.ask('SELECT decided, event FROM decisions ORDER BY n')[1]])\n"
    )
    said = set()
    for zone in ("Europe/Berlin", "UTC", "America/New_York"):
        done = subprocess.run([sys.executable, "-c", code, str(store)], env=_environment(TZ=zone), capture_output=True,
                              text=True, check=True)  # fmt: skip
        said.add(done.stdout)
    noon_told = "2040-07-01 12:00:00+00:00"
    assert said == {f"[['{noon_told}', '{noon_told}'], ['{noon_told}', '2040-12-01 12:00:00+00:00']]\n"}


def _environment(**more: str) -> dict[str, str]:
    import os

    home = Path(sophia.__file__).resolve().parents[1]
    return os.environ | {"PYTHONPATH": str(home)} | more


def test_flipped_bytes_are_found_or_do_not_matter(store: Path) -> None:
    """What is read is never other than what the journal says."""
    append(store, [record(n, answer=f"answer {n}") for n in range(1, 2001)])
    wanted = rows(store)
    file = store / "weaver.duckdb"
    sound = file.read_bytes()
    rng = random.Random(7)
    renewed = 0
    for trial in range(16):
        data = bytearray(sound)
        place = rng.randrange(len(data)) if trial % 4 else rng.randrange(12288)
        data[place] ^= 1 << rng.randrange(8)
        file.write_bytes(data)
        with Chronicle(store) as chronicle:
            chronicle.catch_up()
        try:
            with Reading(file) as reading:
                found = list(reading.ask("SELECT * EXCLUDE file FROM decisions ORDER BY run, n")[1])
        except StoreCorrupt as error:
            with Chronicle(store) as again:
                again.renew(str(error))
                again.catch_up()
            chronicle.notes += again.notes
            found = rows(store)
        assert found == wanted, (trial, place)
        renewed += bool(chronicle.notes)
    assert renewed > 2
    kept = [path for path in store.iterdir() if path.name.endswith(".damaged")]
    assert len(kept) >= renewed
    assert StoreFolder(store).foreign() == []


@pytest.mark.parametrize("what", ["garbage", "", "folder", "other tables", "other format"])
def test_what_is_no_chronicle_is_set_aside(store: Path, what: str) -> None:
    import duckdb

    append(store, [record(1)])
    file = store / "weaver.duckdb"
    if what == "folder":
        file.mkdir()
    elif what.startswith("other"):
        with Chronicle(store):
            pass
        with duckdb.connect(str(file)) as other:
            other.execute("DROP TABLE taken" if what == "other tables" else "UPDATE meta SET value = '99'")
    else:
        file.write_bytes(what.encode() * 1000)
    with Chronicle(store) as chronicle:
        chronicle.catch_up()
    assert len(chronicle.notes) == 1
    assert len(rows(store)) == 1


OF_FORMAT_3 = """
CREATE TABLE patterns (
    id BIGINT PRIMARY KEY, template VARCHAR, count BIGINT, first_n BIGINT, last_n BIGINT, merged_into BIGINT,
    root BIGINT);
CREATE TABLE chapters (
    id BIGINT PRIMARY KEY, title VARCHAR, significance DOUBLE, inputs BIGINT, run BIGINT, first BIGINT, last BIGINT,
    "from" VARCHAR, "to" VARCHAR, began TIMESTAMPTZ, ended TIMESTAMPTZ, summary VARCHAR[], terms VARCHAR[],
    fewer VARCHAR[], new VARCHAR[], vanished VARCHAR[], new_patterns BIGINT, reflex BIGINT, cortical BIGINT,
    deep_thought BIGINT, answered BIGINT, danger BIGINT, alarms BIGINT, k_change DOUBLE,
    first_event TIMESTAMPTZ, last_event TIMESTAMPTZ);
"""


def test_tables_of_this_format_are_what_they_were(store: Path) -> None:
    """A change of them asks for another format."""
    import duckdb

    assert FORMAT == 3
    rows(store)
    columns = (
        "SELECT table_name, column_index, column_name, data_type, is_nullable, column_default FROM duckdb_columns() "
        "WHERE table_name IN ('patterns', 'chapters') ORDER BY 1, 2"
    )
    keys = (
        "SELECT table_name, constraint_type, constraint_column_names FROM duckdb_constraints() "
        "WHERE table_name IN ('patterns', 'chapters') ORDER BY ALL"
    )
    with duckdb.connect() as wanted, duckdb.connect(str(store / "weaver.duckdb")) as found:
        wanted.execute(OF_FORMAT_3)
        for sql in (columns, keys):
            assert found.execute(sql).fetchall() == wanted.execute(sql).fetchall() != []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT checksum FROM decisions", "SELECT Corrupt FROM chapters", "SELECT CAST('checksum' AS INT)",
        "SELECT * FROM decisions WHERE 'Corruption'", "SELECT error('checksum')",
        "SELECT CAST(id AS DATE) FROM decisions",
        "SELECT error('replaying WAL') FROM decisions", "SELECT to_days(2147483647)",
        "COPY decisions TO '{tmp}/x.csv'", "EXPORT DATABASE '{tmp}/e'", "SELECT * FROM read_text('{tmp}/*')",
        "SELECT * FROM read_text('{tmp}/secret')", "ATTACH '{tmp}/other.duckdb'", "CREATE TEMP TABLE t (x INT)",
        "SET VARIABLE a = 1", "BEGIN", "PREPARE p AS SELECT 1", "CHECKPOINT", "VACUUM", "ANALYZE",
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["none", "folder", "link"])
def test_a_bad_question_costs_nothing_and_reaches_nothing(store: Path, tmp_path: Path, sql: str, folder: str) -> None:
    """Whatever words are in its error, and though DuckDB lets statements use its folder for temporary files."""
    append(store, [record(n, id="checksum Corrupt") for n in range(1, 9)])
    before = rows(store)
    temporary = store / "weaver.duckdb.tmp"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("secret")
    if folder == "folder":
        shutil.copytree(elsewhere, temporary)
    elif folder == "link":
        temporary.symlink_to(elsewhere)
    with Reading(store / "weaver.duckdb") as reading, pytest.raises(ConfigError):
        list(reading.ask(sql.format(tmp=temporary))[1])
    assert [path.name for path in elsewhere.iterdir()] == ["secret"]
    assert not temporary.exists() or [path.name for path in temporary.iterdir()] == ["secret"]
    assert rows(store) == before
    assert not list(store.glob("*.damaged"))


@pytest.mark.parametrize("sql", ["PIVOT decisions ON route USING count(*)", "DESCRIBE decisions", "SUMMARIZE decisions",
                                 "EXPLAIN SELECT 1", "FROM whys", "VALUES (1)", "SHOW TABLES"])  # fmt: skip
def test_questions_of_every_kind(store: Path, sql: str) -> None:
    append(store, [record(1)])
    rows(store)
    with Reading(store / "weaver.duckdb") as reading:
        assert list(reading.ask(sql)[1])


@pytest.mark.parametrize("name", ["weaver.duckdb", "weaver.duckdb.wal"])
@pytest.mark.parametrize("what", ["pipe", "folder", "link", "dangling"])
def test_what_is_no_file_of_its_own_is_set_aside(store: Path, tmp_path: Path, name: str, what: str) -> None:
    append(store, [record(1)])
    path, target = store / name, tmp_path / "target"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        if what == "link":
            target.write_bytes(b"of somebody else")
        path.symlink_to(target)
    assert len(rows(store)) == 1
    assert len(list(store.glob("*.damaged"))) == 1
    assert not target.exists() or target.read_bytes() == b"of somebody else"
    assert (store / "weaver.duckdb").is_file()
    assert not (store / "weaver.duckdb").is_symlink()


@pytest.mark.parametrize(
    "done",
    [
        "UPDATE meta SET value = '\u00b3'", "UPDATE taken SET bytes = -5", "UPDATE taken SET bytes = 0",
        "DELETE FROM taken", "UPDATE taken SET file = 77", "DELETE FROM decisions WHERE n = 3",
        "INSERT INTO decisions SELECT * FROM decisions", "CREATE UNIQUE INDEX i ON decisions (n)",
        "CREATE OR REPLACE VIEW first_seen AS SELECT 1 AS x", "UPDATE taken SET rows = NULL",
        "UPDATE taken SET tail = ''", "UPDATE decisions SET file = 9",
    ],
)  # fmt: skip
def test_what_others_did_to_it_is_undone(store: Path, done: str) -> None:
    import duckdb

    append(store, [record(n) for n in range(1, 9)])
    wanted = rows(store)
    with duckdb.connect(str(store / "weaver.duckdb")) as other:
        other.execute(done)
    assert rows(store) == wanted
    append(store, [record(n) for n in range(9, 12)])
    assert rows(store) == anew(store)
    assert len(rows(store, "SELECT template FROM first_seen")) == 3


def _of_format_2(store: Path) -> Path:
    """A chronicle as the format before had it, without one of the views, and with a row that only it has."""
    import duckdb

    append(store, [record(n) for n in range(1, 9)])
    rows(store)
    file = store / "weaver.duckdb"
    with duckdb.connect(str(file)) as old:
        for (name,) in old.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall():
            old.execute(f"DROP VIEW {name}")
        old.execute("ALTER TABLE taken DROP COLUMN rows")
        old.execute("ALTER TABLE chapters DROP COLUMN first_event")
        old.execute("ALTER TABLE chapters DROP COLUMN last_event")
        old.execute("CREATE VIEW days AS SELECT 1 AS old")
        old.execute("CREATE VIEW of_before AS SELECT 1 AS old")
        old.execute("UPDATE meta SET value = '2' WHERE name = 'format'")
        old.execute("INSERT INTO meta VALUES ('mark', 'not made anew')")
    return file


def test_an_earlier_format_is_migrated(store: Path) -> None:
    file = _of_format_2(store)
    with Chronicle(store) as chronicle:
        assert chronicle.catch_up() == 0
    assert chronicle.notes == []
    with Reading(file) as reading:
        assert list(reading.ask("SELECT value FROM meta WHERE name = 'mark'")[1]) == [("not made anew",)]
        assert list(reading.ask("SELECT value FROM meta WHERE name = 'format'")[1]) == [(str(FORMAT),)]
        views = {row[0] for row in reading.ask("SELECT view_name FROM duckdb_views() WHERE NOT internal")[1]}
        assert views == {*VIEWS}
        assert list(reading.ask("SELECT * FROM days")[1]) == []
    assert rows(store) == anew(store)
    assert not list(store.glob("*.damaged"))


@pytest.mark.parametrize("format", ["2", "3"])
@pytest.mark.parametrize(
    "done",
    [
        "DROP VIEW silence; ALTER TABLE decisions DROP COLUMN novelty",
        "ALTER TABLE decisions DROP COLUMN audit",
        "DROP VIEW days; DROP VIEW weeks; ALTER TABLE chapters RENAME COLUMN ended TO over",
        "ALTER TABLE taken DROP COLUMN strange",
        "DROP TABLE alarms",
        "DROP VIEW days",
        "CREATE VIEW other AS SELECT 1",
        "CREATE SCHEMA other; CREATE VIEW other.days AS SELECT 1",
    ],
)
def test_other_tables_than_those_of_its_format_cost_no_answer(store: Path, format: str, done: str) -> None:
    import duckdb

    append(store, [record(n) for n in range(1, 9)])
    wanted = rows(store)
    append(store, [record(n) for n in range(9, 12)])
    with duckdb.connect(str(store / "weaver.duckdb")) as other:
        if "DROP COLUMN" in done or "RENAME" in done:
            for (name,) in other.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall():
                other.execute(f"DROP VIEW {name}")
            done = done.rpartition("; ")[2]
        for statement in done.split("; "):
            other.execute(statement)
        other.execute("UPDATE meta SET value = ? WHERE name = 'format'", [format])
    found = rows(store)
    assert found[:8] == wanted
    assert found == anew(store)
    with Reading(store / "weaver.duckdb") as reading:
        for view in VIEWS:
            list(reading.ask(f"SELECT * FROM {view}")[1])


@pytest.mark.parametrize("views", range(3))
def test_a_kill_while_it_is_migrated_leaves_it_as_it_was(store: Path, views: int) -> None:
    file = _of_format_2(store)
    code = (
        "import os, pathlib, signal, sys\nfrom sophia.store import chronicle\n"
        "views = dict(chronicle.VIEWS)\n"
        "class Killing(dict):\n"
        "    def items(self):\n"
        "        yield from list(views.items())[: int(sys.argv[2])]\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "chronicle.VIEWS = Killing()\n"
        "chronicle.Chronicle(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store), str(views)], env=_environment())
    assert done.returncode == -signal.SIGKILL
    with Chronicle(store) as chronicle:
        assert chronicle.catch_up() == 0
    assert chronicle.notes == []
    with Reading(file) as reading:
        assert list(reading.ask("SELECT value FROM meta WHERE name = 'mark'")[1]) == [("not made anew",)]
        assert list(reading.ask("SELECT * FROM days")[1]) == []
    assert rows(store) == anew(store)


def test_one_process_at_a_time(store: Path) -> None:
    code = (
        "import sys, pathlib; from sophia.store.chronicle import Chronicle\n"
        "c = Chronicle(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.readline()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(store)], env=_environment(), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)  # fmt: skip
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked, match="in use by another process"):
            Chronicle(store)
    assert rows(store) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_no_room_for_it_is_an_error_with_a_cure(store: Path) -> None:
    append(store, [record(n, answer="x" * 200) for n in range(1, 5001)])
    code = (
        "import sys, pathlib, resource, signal; from sophia.store.chronicle import Chronicle\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "c = Chronicle(pathlib.Path(sys.argv[1])); c.catch_up(); c.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(store)], env=_environment(), capture_output=True, text=True)
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("sophia.errors.StoreFailed: "), said
    assert "File too large" in said
    assert "look at the disk" in said
    assert len(rows(store)) == 5000


REFUSED = [
    "INSERT INTO decisions SELECT * FROM decisions", "DELETE FROM decisions", "DROP TABLE decisions",
    "CREATE TABLE t (x INT)",
    "UPDATE meta SET value = '2'", "ATTACH 'other.duckdb'", "COPY decisions TO 'out.csv'", "EXPORT DATABASE 'out'",
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')", "INSTALL httpfs", "SET enable_external_access = true", "SET threads = 1",
    "SELECT 1; SELECT 2", "", "SELECT", "SELECT nothing FROM decisions", "PRAGMA memory_limit='1GB'",
]  # fmt: skip


def test_nothing_but_questions(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.parent)
    append(store, [record(1)])
    before = rows(store)
    names = sorted(path.name for path in store.parent.iterdir())
    with Reading(store / "weaver.duckdb") as reading:
        for sql in REFUSED:
            with pytest.raises(ConfigError, match=r"\w+"):
                list(reading.ask(sql)[1])
    assert rows(store) == before
    assert sorted(path.name for path in store.parent.iterdir()) == names


def test_the_views_answer(store: Path) -> None:
    append(store, [record(n, route="reflex" if n % 2 else "cortical") for n in range(1, 11)], at=3600.0)
    with sophia.open(store) as brain:
        brain.route("a line with a pattern", kind="line")
    rows(store)
    with Reading(store / "weaver.duckdb") as reading:
        told = {name: list(reading.ask(f"SELECT * FROM {name}")[1]) for name in VIEWS}
    assert [row[1:] for row in told["routes_per_hour"]] == [(10, 5, 5, 0, 0)]
    assert told["whys"] == [("novel", "cortical", 5), ("novel", "reflex", 5)]
    assert [row[:2] for row in told["top_patterns"]] == [(2, 4), (1, 3), (3, 3)]
    assert [(row[0], *row[2:4]) for row in told["first_seen"]] == [(1, 1, 3), (3, 1, 2), (2, 1, 1)]
    assert told["latency"] == [("cortical", 5, 12.5, 12.5, 12.5, 12.5), ("reflex", 5, 12.5, 12.5, 12.5, 12.5)]
    assert rows(store, "SELECT template FROM patterns") == [("a line with a pattern",)]


def test_a_line_is_the_same_in_whatever_company(store: Path) -> None:
    """What a reader of JSON would take otherwise, die of, or fail with; alone, and beside what it refuses."""
    head = b'{"run": 1, "at": 1.000, "n": %d'
    lines = [
        b"null", b"true", b'"text"', b"7", head % 1 + b"}" + head % 2 + b"}", head % 3 + b"}\r" + head % 4 + b"}",
        head % 5 + b', "n": 6}', head % 7 + b', "us": NaN, "k": [1, NaN, -Infinity]}',
        head % 8 + b', "scope": "a\xff"}',
        head % 9 + b', "danger": {"rule": "\\ud800", "severity": 0.5}, "match": {"id": "\\udc00", "score": NaN}}',
        b'{"run": 1, "at": 1e300, "n": 10}', head % 11 + b', "ts": "infinity"}', head % 12 + b', "us": 1e400}',
        head % 13 + b', "us": -Inf}', head % 99999999999999999999, b"{", b"",
    ]  # fmt: skip
    found = {}
    for i, line in enumerate(lines):
        for company in (b"", b"none\n"):
            folder = store / "decisions"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "decisions-00000001.jsonl").write_bytes(line + b"\n" + company)
            told = rows(store, "SELECT n, decided, event, scope, us, k, rule, match, match_score FROM decisions")
            assert found.setdefault(i, repr(told)) == repr(told), (line, company)
    assert [i for i, told in found.items() if told != "[]"] == [6, 7, 9, 10, 11, 12]
    assert "\\ufffd" in ascii(found[9])
    assert "nan" not in found[7] + found[9]


def test_a_refusal_of_the_system_is_no_damage(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb

    from sophia.store import chronicle

    for words in ("Permission denied", "Read-only file system", "Too many open files", "No space left on device"):

        def refuse(file: Path, words: str = words) -> Any:
            message = f'IO Error: Cannot open file "{file}": {words}'
            raise duckdb.IOException(message)

        with monkeypatch.context() as patch:
            patch.setattr(chronicle, "_connected", refuse)
            with pytest.raises(StoreFailed, match=words):
                Chronicle(store)
    assert not list(store.glob("*.damaged"))

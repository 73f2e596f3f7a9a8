"""The chronicle: what the journal and the patterns of a store say, as tables that are asked in SQL.

One file of DuckDB in the store's folder. It is derived: each time it is opened it takes what the journal has more than
it, lets go what the journal has no more, and where it cannot be read it is set aside and made anew. Lines are read the
same way whenever they come, so a chronicle that was made anew has the very same rows. It is asked through
`store.reading`. Needs duckdb and pyarrow (the extra `brain`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from sophia.errors import ConfigError, StoreCorrupt, StoreFailed
from sophia.store import chapters
from sophia.store.chronicle_faults import engine, failed, first_line, is_unfit
from sophia.store.chronicle_lines import arrow_type, clean, records
from sophia.store.folder import CHRONICLE, StoreFolder
from sophia.store.journal import JournalFile, journal_files
from sophia.store.view import StoreView
from sophia.store.views import VIEWS

if TYPE_CHECKING:
    import duckdb
    import pyarrow

__all__ = ["FORMAT", "Chronicle", "missing"]

FORMAT = 3
"""Of the tables and views; a file of an earlier one is migrated, one of another is made anew."""

# By format what brings its tables to the next; views are made anew in any case.
_MIGRATIONS = {
    2: """ALTER TABLE taken ADD COLUMN rows BIGINT;
        UPDATE taken SET rows = (SELECT count(*) FROM decisions d WHERE d.file = taken.file)
            + (SELECT count(*) FROM alarms a WHERE a.file = taken.file);
        ALTER TABLE chapters ADD COLUMN first_event TIMESTAMPTZ;
        ALTER TABLE chapters ADD COLUMN last_event TIMESTAMPTZ""",
}

_CHUNK = 1 << 22  # bytes of the journal that are taken in one transaction
_TAIL = 4096  # bytes by which it is known that the rest of a file only follows what was taken

_PATTERN = {
    "id": "BIGINT", "template": "VARCHAR", "count": "BIGINT", "first_n": "BIGINT", "last_n": "BIGINT",
    "merged_into": "BIGINT", "root": "BIGINT",
}  # fmt: skip
_CHAPTER = {
    "id": "BIGINT", "title": "VARCHAR", "significance": "DOUBLE", "inputs": "BIGINT", "run": "BIGINT",
    "first": "BIGINT", "last": "BIGINT", "from": "VARCHAR", "to": "VARCHAR", "began": "TIMESTAMPTZ",
    "ended": "TIMESTAMPTZ", "summary": "VARCHAR[]", "terms": "VARCHAR[]", "fewer": "VARCHAR[]", "new": "VARCHAR[]",
    "vanished": "VARCHAR[]", "new_patterns": "BIGINT", "reflex": "BIGINT", "cortical": "BIGINT",
    "deep_thought": "BIGINT", "answered": "BIGINT", "danger": "BIGINT", "alarms": "BIGINT", "k_change": "DOUBLE",
    "first_event": "TIMESTAMPTZ", "last_event": "TIMESTAMPTZ",
}  # fmt: skip


def _columns(types: dict[str, str]) -> str:
    return ", ".join(f'"{name}" {kind}{" PRIMARY KEY" if name == "id" else ""}' for name, kind in types.items())


_TABLES = f"""
CREATE TABLE meta (name VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);
CREATE TABLE taken (file INTEGER PRIMARY KEY, bytes BIGINT NOT NULL, tail VARCHAR NOT NULL, strange BIGINT NOT NULL,
    rows BIGINT);
CREATE TABLE decisions (
    file INTEGER NOT NULL, run BIGINT NOT NULL, n BIGINT NOT NULL, id VARCHAR, decided TIMESTAMPTZ, event TIMESTAMPTZ,
    ts VARCHAR, scope VARCHAR, route VARCHAR, why VARCHAR, verdict VARCHAR, novelty DOUBLE, rule VARCHAR,
    severity DOUBLE, pattern BIGINT, intent VARCHAR, confidence DOUBLE, runner_up VARCHAR, match VARCHAR,
    match_score DOUBLE, answer VARCHAR, k DOUBLE[], policy_version VARCHAR, us DOUBLE, audit BOOLEAN, agrees BOOLEAN,
    withheld BOOLEAN, danger_score DOUBLE, source VARCHAR, line BIGINT, reason VARCHAR, session VARCHAR,
    sensor VARCHAR, anomaly DOUBLE, attention DOUBLE);
CREATE TABLE alarms (
    file INTEGER NOT NULL, run BIGINT NOT NULL, n BIGINT NOT NULL, decided TIMESTAMPTZ, kind VARCHAR, source VARCHAR,
    pattern BIGINT, noticed TIMESTAMPTZ, since TIMESTAMPTZ, usual DOUBLE, found DOUBLE);
CREATE TABLE patterns ({_columns(_PATTERN)});
CREATE TABLE chapters ({_columns(_CHAPTER)});
"""

_TAKE = """INSERT INTO decisions SELECT {file}, run, n, id, try(to_timestamp("at")),
    CASE WHEN isfinite(try_cast(ts AS TIMESTAMPTZ)) THEN try_cast(ts AS TIMESTAMPTZ) ELSE try(to_timestamp(moment)) END,
    ts, scope, route, why,
    verdict, novelty, danger.rule, danger.severity, pattern, intent, confidence, runner_up, "match".id, "match".score,
    answer, k, policy_version, us, audit, agrees, withheld, danger_score, source, line, reason, session, sensor,
    anomaly, salience.attention FROM records WHERE alarm IS NULL"""
_TAKE_ALARMS = """INSERT INTO alarms SELECT {file}, run, n, try(to_timestamp("at")), alarm.kind, alarm.source,
    alarm.pattern, try(to_timestamp(alarm.at_seconds)), try(to_timestamp(alarm.since_seconds)), alarm.usual, alarm.found
    FROM records WHERE alarm IS NOT NULL"""


# What was taken of each file of the journal, and whether its rows are still there, and no others.
_TAKEN = """WITH found AS (SELECT file, count(*) AS rows
        FROM (SELECT file FROM decisions UNION ALL SELECT file FROM alarms) GROUP BY file)
    SELECT file, bytes, tail, bytes > 0 AND coalesce(found.rows, 0) = taken.rows IS TRUE
    FROM taken FULL JOIN found USING (file)"""


def missing() -> list[str]:
    """The packages of the extra `brain` that it needs and that are not installed."""
    return [name for name in ("duckdb", "pyarrow") if find_spec(name) is None]


class Chronicle:
    """The chronicle of the store in `folder`, open for writing; one call at a time. `notes` says what was made anew.

    StoreLocked where another process has it open; StoreFailed where it cannot be written, ConfigError where a package
    is missing.
    """

    def __init__(self, folder: Path) -> None:
        if lacking := missing():
            message = f"this needs {' and '.join(lacking)}; pip install 'sophia-hlb[brain]'"
            raise ConfigError(message)
        self.folder = StoreFolder(folder)
        self.folder.require()
        self.file = folder / CHRONICLE
        self.notes: list[str] = []
        self._strange = 0  # lines of the journal that were passed over
        self._connection = self._open()

    def catch_up(self) -> int:
        """Takes what is new in the journal, the patterns and the chapters; how many decisions. Where that shows damage
        of the file it is made anew."""
        try:
            added = self._catch_up()
        except StoreCorrupt as error:
            self.renew(str(error))
            added = self._catch_up()
        if self._strange:
            lines = "line of the journal is no record" if self._strange == 1 else "lines of the journal are no records"
            self.notes.append(f"{self._strange:,} {lines} of a decision, and left out")
            self._strange = 0
        return added

    @property
    def empty(self) -> bool:
        """Whether it has no decision."""
        try:
            return not self._count()
        except engine().Error as error:
            raise failed(self.file, error) from error

    def renew(self, why: str) -> None:
        """Sets the file aside, and begins a new one."""
        self._connection.close()
        self._set_aside(why)
        self._strange = 0
        try:
            self._connection = _connected(self.file)
        except engine().Error as error:
            raise failed(self.file, error) from error

    def _catch_up(self) -> int:
        try:
            self._mirror()  # before the journal, which then has what a chapter tells of
            files = journal_files(self.folder.path)
            before = self._count()
            known = {row[0]: row[1:] for row in self._rows(_TAKEN)}
            for number in known.keys() - {file.number for file in files}:
                self._let_go(number)
            for number, (*_, sound) in list(known.items()):
                if not sound:  # its rows are not those that were taken
                    self._let_go(number)
                    del known[number]
            for file in files:
                start, tail, _ = known.get(file.number, (0, "", True))
                self._take(file, start, tail)
            return self._count() - before
        except engine().Error as error:
            raise failed(self.file, error) from error

    def interrupt(self) -> None:
        """Breaks off what is being done, from another thread."""
        with suppress(engine().Error):
            self._connection.interrupt()

    def close(self) -> None:
        """May be called twice."""
        self._connection.close()

    def __enter__(self) -> Chronicle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        """The file; a new one where there is none, or it is damaged or of another format."""
        for path in (self.file, self.file.with_name(f"{CHRONICLE}.wal")):
            # A pipe would be waited for, and what a link leads to could not be forgotten with the store.
            if os.path.lexists(path) and not (path.is_file() and not path.is_symlink()):
                self._set_aside(f"{path.name} is no file of its own")
                break
        try:
            return self._ours(_connected(self.file))
        except engine().Error as error:
            if not is_unfit(error):
                raise failed(self.file, error) from error
            self._set_aside(first_line(error)[:200])
        try:
            return _connected(self.file)
        except engine().Error as error:
            raise failed(self.file, error) from error

    def _ours(self, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """The same, migrated where it is of an earlier format; that of a new file where this one has other tables."""
        try:
            found = _format(connection)
            if found in _MIGRATIONS or (found == FORMAT and _views(connection) != _expected().views):
                _migrate(connection, found)
                found = FORMAT
            if found == FORMAT and _tables(connection) == _expected().tables:
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        self._set_aside("it is of another format")
        return _connected(self.file)

    def _set_aside(self, why: str) -> None:
        """What cannot be used stays under a dated name."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
        kept = []
        for path in (self.file, self.file.with_name(f"{CHRONICLE}.wal")):
            try:
                path.rename(path.with_name(f"{path.name}.{stamp}.damaged"))
            except FileNotFoundError:
                continue
            except OSError as error:
                message = (
                    f"{path} cannot be used ({why}), nor set aside ({error.strerror or error}); look at the folder"
                )
                raise StoreFailed(message) from error
            kept.append(f"{path.name}.{stamp}.damaged")
        what = f"; what it was is kept as {' and '.join(kept)}" if kept else ""
        self.notes.append(f"{CHRONICLE} is made anew ({why}){what}")

    def _take(self, file: JournalFile, start: int, tail: str) -> None:
        """What a file of the journal has beyond `start`; all of it where it is no longer what it was up to there."""
        try:
            with file.path.open("rb") as opened:
                if start and (file.bytes < start or _tail(opened, start) != tail):
                    self._let_go(file.number)
                    start = 0
                while start < file.bytes:
                    opened.seek(start)
                    data = _lines(opened, file.bytes - start)
                    if not data:
                        break
                    start += len(data)
                    self._add(file.number, data, start, _tail(opened, start))
        except FileNotFoundError:  # the oldest may go meanwhile
            self._let_go(file.number)
        except OSError as error:
            message = f"{file.path} cannot be read ({error.strerror or error})"
            raise StoreFailed(message) from error

    def _add(self, number: int, data: bytes, end: int, tail: str) -> None:
        table, strange = records(data)
        with self._writing(records=table) as run:
            run(_TAKE.format(file=number))
            run(_TAKE_ALARMS.format(file=number))
            run(
                "INSERT INTO taken VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes, "
                "tail = excluded.tail, strange = strange + excluded.strange, rows = rows + excluded.rows",
                [number, end, tail, strange, len(table)],
            )
        self._strange += strange

    def _let_go(self, number: int) -> None:
        for table in ("decisions", "alarms", "taken"):
            self._connection.execute(f"DELETE FROM {table} WHERE file = ?", [number])

    def _mirror(self) -> None:
        """Patterns and chapters as the database of the store has them."""
        with StoreView(self.folder.file) as view:
            patterns = view.execute(
                "SELECT id, template, count, first_n, last_n, merged_into FROM patterns WHERE id > 0"
            )
            told = chapters.read(view)
        into = {int(row[0]): int(row[5]) for row in patterns if row[5]}
        self._replace("patterns", _PATTERN, [(*row, _root(int(row[0]), into)) for row in patterns])
        self._replace("chapters", _CHAPTER, [_chapter_row(number, chapter) for number, chapter in told])

    def _replace(self, table: str, types: dict[str, str], rows: list[tuple[Any, ...]]) -> None:
        import pyarrow as pa

        columns = [
            pa.array([clean(row[i]) for row in rows], arrow_type("VARCHAR" if kind == "TIMESTAMPTZ" else kind))
            for i, kind in enumerate(types.values())
        ]
        taken = ", ".join(f'try_cast("{name}" AS {kind})' for name, kind in types.items())
        with self._writing(given=pa.table(columns, names=list(types))) as run:
            run(f"DELETE FROM {table}")
            run(f"INSERT OR REPLACE INTO {table} SELECT {taken} FROM given")

    @contextmanager
    def _writing(self, **tables: pyarrow.Table) -> Iterator[Callable[..., object]]:
        """A transaction in which Arrow tables have names; what runs a statement in it."""
        run = self._connection.execute
        run("BEGIN")
        try:
            for name, table in tables.items():
                self._connection.register(name, table)
            yield run
            run("COMMIT")
        except BaseException:
            with suppress(engine().Error):
                run("ROLLBACK")
            raise
        finally:
            for name in tables:
                self._connection.unregister(name)

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def _count(self) -> int:
        return int(self._rows("SELECT count(*) FROM decisions")[0][0])


def _root(pattern: int, into: dict[int, int]) -> int:
    """The pattern that one was merged into in the end."""
    seen = {pattern}
    while (next := into.get(pattern)) is not None and next not in seen:
        seen.add(next)
        pattern = next
    return pattern


def _chapter_row(number: int, chapter: dict[str, Any]) -> tuple[Any, ...]:
    """A chapter of the store as a row; what it does not say is null."""
    routes = chapter.get("routes")
    routes = routes if isinstance(routes, dict) else {}
    told = chapter | {name: routes.get(name, 0) if routes else None for name in ("reflex", "cortical", "deep_thought")}
    events = chapter.get("events")
    first, last = events if isinstance(events, list) and len(events) == 2 else (None, None)
    told |= {"id": number, "danger": chapter.get("hits"), "first_event": first, "last_event": last}
    return tuple(told.get(name) for name in _CHAPTER)


def _connected(file: Path) -> duckdb.DuckDBPyConnection:
    """Open for writing, with the tables and views of this format where there are none."""
    connection: duckdb.DuckDBPyConnection = engine().connect(str(file), config={"python_enable_replacements": "false"})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        # A piece is too small for two; that a second one is woken for it takes a fifth of the time.
        connection.execute("SET threads = 1")
        if not connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall()[0][0]:
            connection.execute("BEGIN")
            connection.execute(_TABLES)
            _make_views(connection)
            connection.execute("INSERT INTO meta VALUES ('format', ?)", [str(FORMAT)])
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_views(connection: duckdb.DuckDBPyConnection) -> None:
    for name, query in VIEWS.items():
        connection.execute(f"CREATE VIEW {name} AS {query}")


class _Shape(NamedTuple):
    """What a file has, as DuckDB tells it."""

    tables: list[tuple[Any, ...]]
    views: dict[str, str]


@cache
def _expected() -> _Shape:
    """That of a file of this format."""
    with engine().connect(":memory:") as connection:
        connection.execute(_TABLES)
        _make_views(connection)
        return _Shape(_tables(connection), _views(connection))


def _tables(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = connection.execute(
        "SELECT t.table_name, column_name, data_type, is_nullable, column_default FROM duckdb_columns() c "
        "JOIN duckdb_tables() t USING (table_oid, schema_name) ORDER BY t.table_name, column_index"
    ).fetchall()
    for rest in (
        "SELECT table_name, constraint_text FROM duckdb_constraints() ORDER BY ALL",
        "SELECT table_name, index_name FROM duckdb_indexes() ORDER BY ALL",
    ):
        found += connection.execute(rest).fetchall()
    return found


def _views(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    of_main = "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'"
    return dict(connection.execute(of_main).fetchall())


def _migrate(connection: duckdb.DuckDBPyConnection, found: int) -> None:
    """Brings a file of an earlier format to this one, at once or not at all."""
    connection.execute("BEGIN")
    for name in _views(connection):
        connection.execute(f'DROP VIEW "{name}"')
    for format in range(found, FORMAT):
        connection.execute(_MIGRATIONS[format])
    _make_views(connection)
    connection.execute("UPDATE meta SET value = ? WHERE name = 'format'", [str(FORMAT)])
    connection.execute("COMMIT")


def _format(connection: duckdb.DuckDBPyConnection) -> int:
    tables = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    if [name for (name,) in tables] != ["alarms", "chapters", "decisions", "meta", "patterns", "taken"]:
        return 0
    found = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchall()
    return int(found[0][0]) if found and re.fullmatch("[0-9]{1,9}", str(found[0][0])) else 0


def _tail(opened: BinaryIO, end: int) -> str:
    """What a file is known by that was taken up to `end`."""
    start = max(0, end - _TAIL)
    opened.seek(start)
    return blake2b(opened.read(end - start), digest_size=16).hexdigest()


def _lines(opened: BinaryIO, most: int) -> bytes:
    """Whole lines, about a chunk of them; nothing where none is whole."""
    data = b""
    while len(data) < most:
        data += opened.read(min(_CHUNK, most - len(data)))
        if end := data.rfind(b"\n") + 1:
            return data[:end]
    return b""

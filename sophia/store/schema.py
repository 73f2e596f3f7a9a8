"""Tables of the store, their version, how an older version becomes this one, and what makes a commit durable."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress

from sophia.errors import StoreCorrupt, StoreVersionError
from sophia.store import checksum

__all__ = ["FORMAT", "ROUTER", "TABLES", "changed_definitions", "known_format", "prepare", "put_meta"]

FORMAT = 6

ROUTER = "intents"
"""Under this name `dumps` holds the router of intents. Nothing it could be made from again is in the store."""

# Full synchronisation: a commit is on the disk when it returns. Small checkpoints and a journal limit keep the
# write-ahead log from growing; deleted answers are overwritten, not just unlinked; a damaged page is looked at
# before it is believed.
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 256",
    "PRAGMA journal_size_limit = 4194304",
    "PRAGMA secure_delete = ON",
    "PRAGMA cell_size_check = ON",
    "PRAGMA busy_timeout = 5000",
)

# Checked row by row where they are read.
_BY_ROW = (
    "answers", "answers_by_expiry", "memories", "memories_by_scope", "strengths", "segments", "outputs", "chapters",
)  # fmt: skip

# By name, as SQLite keeps them: a definition that reads otherwise is damage. Checksums: see sophia.store.checksum.
TABLES = {
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID",
    # A replaced answer gets a new rowid, so the order of rowids is the order of storing.
    "answers": """CREATE TABLE answers (
        digest BLOB NOT NULL UNIQUE, key BLOB NOT NULL, raw BLOB NOT NULL, answer TEXT NOT NULL,
        name TEXT NOT NULL, policy TEXT NOT NULL, expires REAL NOT NULL, checksum BLOB NOT NULL)""",
    "answers_by_expiry": "CREATE INDEX answers_by_expiry ON answers (expires) WHERE expires > 0",
    "patterns": """CREATE TABLE patterns (
        id INTEGER PRIMARY KEY, template TEXT NOT NULL, count INTEGER NOT NULL, first_n INTEGER NOT NULL,
        last_n INTEGER NOT NULL, merged_into INTEGER, state BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    # The derived tables (see sophia.store.derived): a dump each, and what has changed since. And the router of intents.
    "dumps": "CREATE TABLE dumps (name TEXT PRIMARY KEY, data BLOB NOT NULL, checksum INTEGER NOT NULL)",
    "log": """CREATE TABLE log (
        seq INTEGER PRIMARY KEY, name TEXT NOT NULL, changes BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    # Inputs of batches whose decisions were or are being told, and whose effects are in no other table yet.
    "pending": "CREATE TABLE pending (seq INTEGER PRIMARY KEY, data BLOB NOT NULL, checksum INTEGER NOT NULL)",
    # What was remembered; see sophia.store.memories.
    "memories": """CREATE TABLE memories (
        id INTEGER PRIMARY KEY, scope TEXT NOT NULL, context TEXT NOT NULL, actor TEXT NOT NULL, kind TEXT NOT NULL,
        tags TEXT NOT NULL, ts INTEGER NOT NULL, valence REAL NOT NULL, strength REAL NOT NULL, raised INTEGER NOT NULL,
        text TEXT, answer TEXT, dim INTEGER NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    "memories_by_scope": "CREATE INDEX memories_by_scope ON memories (scope)",
    # What a memory's strength became after it was remembered: small rows, read as a whole.
    "strengths": """CREATE TABLE strengths (
        id INTEGER PRIMARY KEY, strength REAL NOT NULL, raised INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
    # Which memories also stand in files that can be mapped; see sophia.store.segments. Files that it does not name are
    # of no use, and what it names but is not there is made anew.
    "segments": """CREATE TABLE segments (
        first INTEGER PRIMARY KEY, last INTEGER NOT NULL, count INTEGER NOT NULL, dim INTEGER NOT NULL,
        rows BLOB NOT NULL, words BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    # Of the brain's story, as JSON; they are added, and never change.
    "chapters": "CREATE TABLE chapters (id INTEGER PRIMARY KEY, data TEXT NOT NULL, checksum INTEGER NOT NULL)",
    # Files outside of the store that runs have written, and `forget` must look at; see sophia.store.outputs.
    "outputs": """CREATE TABLE outputs (
        path BLOB PRIMARY KEY, kind TEXT NOT NULL, run INTEGER NOT NULL, checksum INTEGER NOT NULL)""",
}

# Which of these a format brought, after the second. The sixth brought derived tables of other names in `dumps` and
# `log`, and event times of pending inputs.
_OUTPUTS = 5  # the format from which on a store knows what its runs have written
_SINCE = {3: ("memories", "memories_by_scope"), 4: ("strengths", "segments"), 5: ("outputs", "chapters")}


def prepare(connection: sqlite3.Connection, where: str) -> None:
    """Makes the tables of a new store, or brings those of an old one to the present format, in one transaction."""
    fresh = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if fresh:
        # Both must be set before the first table; a page holds about six packed vectors.
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    if fresh:
        _in_one_transaction(connection, _create)
        return
    found = known_format(connection, where)
    if found == 1:
        _quick_check(connection)  # checksums that are made from damaged rows would hide the damage for good
        _in_one_transaction(connection, _from_1)
    elif found < FORMAT:
        for name in changed_definitions(connection, found):
            raise _changed(name)
        _in_one_transaction(connection, lambda connection: _add_tables(connection, found))
    for name in changed_definitions(connection, FORMAT):
        raise _changed(name)
    for name in TABLES:
        if name not in _BY_ROW:
            _quick_check(connection, name)


def _changed(name: str) -> sqlite3.DatabaseError:
    return sqlite3.DatabaseError(f"the definition of {name} is not what it was")


def known_format(connection: sqlite3.Connection, where: str) -> int:
    """The format of the store that is open. StoreVersionError for a newer one, DatabaseError where it is damaged."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not {"meta", "answers", "patterns"} <= tables:
        message = f"{where} is an SQLite file but not a store of sophia; name another folder with --store"
        raise StoreCorrupt(message)
    found = 0
    # `meta` stays as it is in every later format, so that a number that was hit is told from a newer one.
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(meta)")}
    checked = "checksum" if "checksum" in columns else "NULL"
    row = connection.execute(f"SELECT value, {checked} FROM meta WHERE name = 'format'").fetchone()
    with suppress(TypeError, ValueError):
        if row[1] is None or checksum.of_meta("format", str(row[0])) == row[1]:
            found = int(row[0])
    if found < 1:
        message = "the number of its format cannot be read"
        raise sqlite3.DatabaseError(message)
    if found > FORMAT:
        message = (
            f"the store {where} has format {found}, this version of sophia knows up to {FORMAT}; "
            "upgrade sophia-hlb, or name another folder with --store"
        )
        raise StoreVersionError(message)
    return found


def changed_definitions(connection: sqlite3.Connection, number: int) -> list[str]:
    """Tables and indexes of a store of format `number` that are not defined as they were."""
    kept = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    later = {name for since, added in _SINCE.items() if since > number for name in added}
    names = ("answers", "answers_by_expiry") if number == 1 else [name for name in TABLES if name not in later]
    return [name for name in names if kept.get(name) != TABLES[name]]


def _create(connection: sqlite3.Connection) -> None:
    for table in TABLES.values():
        connection.execute(table)
    put_meta(connection, {"format": str(FORMAT), "runs": "0", "commits": "0"})


def put_meta(connection: sqlite3.Connection, values: dict[str, str]) -> None:
    """Sets named values, in the transaction that is open."""
    rows = [(name, value, checksum.of_meta(name, value)) for name, value in values.items()]
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", rows)


def _from_1(connection: sqlite3.Connection) -> None:
    """Format 1 had checksums on answers only, and no pending inputs."""
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    patterns = connection.execute("SELECT * FROM patterns").fetchall()
    dumps = connection.execute("SELECT name, data FROM dumps").fetchall()
    log = connection.execute("SELECT seq, name, changes FROM log").fetchall()
    for name in ("meta", "patterns", "dumps", "log"):
        connection.execute(f"DROP TABLE {name}")
    for name in ("meta", "patterns", "dumps", "log", "pending"):
        connection.execute(TABLES[name])
    put_meta(connection, meta | {"commits": "0"})
    _add_tables(connection, 2)
    for table, rows in (
        ("patterns", [(*row, checksum.of_pattern(row)) for row in patterns]),
        ("dumps", [(name, data, checksum.of_blob(0, name, data)) for name, data in dumps]),
        ("log", [(seq, name, data, checksum.of_blob(seq, name, data)) for seq, name, data in log]),
    ):
        if rows:
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)


def _add_tables(connection: sqlite3.Connection, found: int) -> None:
    """Formats from the second on lack nothing but tables that later ones have."""
    for since, names in _SINCE.items():
        for name in names if since > found else ():
            connection.execute(TABLES[name])
    if found < _OUTPUTS:
        runs = connection.execute("SELECT value FROM meta WHERE name = 'runs'").fetchone()
        put_meta(connection, {"outputs_since": str(int(runs[0]) + 1 if runs is not None else 1)})
    put_meta(connection, {"format": str(FORMAT)})


def _in_one_transaction(connection: sqlite3.Connection, change: Callable[[sqlite3.Connection], None]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        change(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _quick_check(connection: sqlite3.Connection, table: str | None = None) -> None:
    """Raises DatabaseError where the pages of a table (or of the whole file) do not fit together."""
    what = "" if table is None else f"('{table}')"
    found = connection.execute(f"PRAGMA quick_check{what}").fetchone()[0]
    if found != "ok":
        message = f"{'it' if table is None else table}: {found}"
        raise sqlite3.DatabaseError(message)

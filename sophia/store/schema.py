"""Tables of the store, their version, and the pragmas that make a commit durable."""

from __future__ import annotations

import sqlite3

from sophia.errors import StoreCorrupt, StoreVersionError

__all__ = ["FORMAT", "prepare"]

FORMAT = 1

# Full synchronisation: a commit is on the disk when it returns. Small checkpoints and a journal limit keep the
# write-ahead log from growing; deleted answers are overwritten, not just unlinked.
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 256",
    "PRAGMA journal_size_limit = 4194304",
    "PRAGMA secure_delete = ON",
    "PRAGMA busy_timeout = 5000",
)

_TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # A replaced answer gets a new rowid, so the order of rowids is the order of storing.
    """CREATE TABLE answers (
        digest BLOB NOT NULL UNIQUE, key BLOB NOT NULL, raw BLOB NOT NULL, answer TEXT NOT NULL,
        name TEXT NOT NULL, policy TEXT NOT NULL, expires REAL NOT NULL, checksum BLOB NOT NULL)""",
    "CREATE INDEX answers_by_expiry ON answers (expires) WHERE expires > 0",
    """CREATE TABLE patterns (
        id INTEGER PRIMARY KEY, template TEXT NOT NULL, count INTEGER NOT NULL, first_n INTEGER NOT NULL,
        last_n INTEGER NOT NULL, merged_into INTEGER, state BLOB NOT NULL)""",
    # The familiarity filter and the IDF table: a dump each, and what has changed since.
    "CREATE TABLE dumps (name TEXT PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE log (seq INTEGER PRIMARY KEY, name TEXT NOT NULL, changes BLOB NOT NULL)",
)


def prepare(connection: sqlite3.Connection, where: str) -> None:
    """Makes the tables of a new store, or checks that an old one is of a format that we know."""
    fresh = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if fresh:
        # Both must be set before the first table; a page holds about six packed vectors.
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    if fresh:
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                connection.execute(table)
            connection.execute("INSERT INTO meta VALUES ('format', ?), ('runs', '0')", (str(FORMAT),))
        return
    try:
        row = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
        found = int(row[0])
    except (sqlite3.OperationalError, TypeError, ValueError) as error:
        message = f"{where} is an SQLite file but not a store of sophia; name another folder with --store"
        raise StoreCorrupt(message) from error
    if found < 1:
        message = f"the store {where} says it has format {found}, which never was; move the folder away and run again"
        raise StoreCorrupt(message)
    if found > FORMAT:
        message = (
            f"the store {where} has format {found}, this version of sophia knows up to {FORMAT}; "
            "upgrade sophia-hlb, or name another folder with --store"
        )
        raise StoreVersionError(message)

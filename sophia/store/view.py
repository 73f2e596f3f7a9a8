"""A store as it stands on the disk, only read: works while another process writes, and never makes it wait."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from sophia.errors import InputError, StoreFailed
from sophia.store import schema
from sophia.store.faults import guarded
from sophia.store.tables import FORMATS, TABLES, Row, Table

__all__ = ["StoreView"]


class StoreView:
    """The database `file`, open for reading, to be closed. Each method reads one state of it. One call
    at a time, from any thread.

    Raises InputError for an SQLite file of somebody else, StoreVersionError for a newer format, StoreCorrupt
    where not even the format can be read.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._connection = _connect(file)
        try:
            with guarded(file):
                found = {str(name) for (name,) in self.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                if not found & {table.name for table in TABLES}:
                    what = "a database of something else" if found else "empty"
                    message = f"{file} is {what}, not a store of sophia; name another folder with --store"
                    raise InputError(message)
                self.format = schema.known_format(self._connection, str(file))
                self.changed = schema.changed_definitions(self._connection, self.format)
        except BaseException:
            self._connection.close()
            raise

    @property
    def tables(self) -> tuple[Table, ...]:
        """Its tables, as its format has them."""
        return FORMATS[self.format]

    def table(self, name: str) -> Table:
        """One of them."""
        return next(table for table in self.tables if table.name == name)

    def execute(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a query. Text that is not UTF-8 comes with surrogates, not as an error."""
        with guarded(self.file):
            return self._connection.execute(sql, values).fetchall()

    def rows(self, table: Table, where: str = "") -> Iterator[Row]:
        """Every row of a table, by key; read as they are asked for, all of one state."""
        order = "" if not table.rowid else f" ORDER BY {'rowid' if table.key is None else table.columns[table.key][0]}"
        with guarded(self.file):
            yield from self._connection.execute(f"SELECT {table.names} FROM {table.name}{where}{order}")

    def name_function(self, name: str, function: Callable[[Any], Any]) -> None:
        """Gives queries a function of one value, which returns the same for the same."""
        self._connection.create_function(name, 1, function, deterministic=True)

    def meta(self, name: str) -> str | None:
        """A named value of the store, or None."""
        found = self.execute("SELECT value FROM meta WHERE name = ?", name)
        return str(found[0][0]) if found else None

    def count(self, rows: str) -> int:
        """How many rows a table, or `table WHERE condition`, has."""
        return int(self.execute(f"SELECT count(*) FROM {rows}")[0][0])

    def integrity(self, table: str | None = None, limit: int = 20) -> list[str]:
        """What SQLite finds wrong with the file, or with one table of it; an empty list is good."""
        found = self.execute(f"PRAGMA integrity_check({table if table is not None else limit})")
        lines = [line for (text,) in found for line in str(text).splitlines()]
        # It may quote what it found, and that is damaged.
        return [] if lines == ["ok"] else [line.encode("ascii", "backslashreplace").decode() for line in lines[:limit]]

    def derived(self, name: str) -> tuple[bytes | None, list[bytes]]:
        """The dump of a derived table, if any, and the changes since, of one state."""
        with guarded(self.file):
            self._connection.execute("BEGIN")
            try:
                dump = self._connection.execute("SELECT data FROM dumps WHERE name = ?", (name,)).fetchone()
                log = self._connection.execute(
                    "SELECT changes FROM log WHERE name = ? ORDER BY seq", (name,)
                ).fetchall()
            finally:
                self._connection.execute("COMMIT")
        return None if dump is None else dump[0], [changes for (changes,) in log]

    def copy_to(self, file: Path) -> None:
        """Writes all of it, as of now, into a new database."""
        with guarded(file):
            target = sqlite3.connect(file, isolation_level=None)
            try:
                self._connection.backup(target)
            finally:
                target.close()

    def close(self) -> None:
        """May be called twice."""
        self._connection.close()

    def __enter__(self) -> StoreView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connect(file: Path) -> sqlite3.Connection:
    """Opens it for reading. SQLite needs to make two files beside a database with a log, unless nobody can write."""
    wal = Path(f"{file}-wal")
    waiting = wal.exists() and wal.stat().st_size > 0
    mode = "mode=ro"
    if not os.access(file.parent, os.W_OK) and not Path(f"{file}-shm").exists():
        if waiting:
            message = (
                f"{file.parent} cannot be written, and its log {wal.name} has to be replayed before it can be read; "
                "copy the folder to where it can be written"
            )
            raise StoreFailed(message)
        mode = "immutable=1"
    if not os.access(file, os.R_OK):
        message = f"{file} cannot be read by this user; look at its permissions"
        raise StoreFailed(message)
    with guarded(file):
        name = quote(os.fsencode(file.absolute()))
        connection = sqlite3.connect(f"file://{name}?{mode}", uri=True, isolation_level=None, check_same_thread=False)
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection

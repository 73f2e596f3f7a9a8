"""The chronicle of a store as it is asked: nothing that is asked of it can change it, or read anything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sophia.errors import ConfigError, StoreCorrupt
from sophia.store.chronicle_faults import damaged, engine, failed, is_suspicious

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Reading"]

_QUESTIONS = ("SELECT", "EXPLAIN", "MULTI")  # kinds of statements; DESCRIBE and SHOW are the first, PIVOT is the last
_CONFIG = {
    "enable_external_access": "false", "python_enable_replacements": "false",
    "temp_directory": "",  # where a statement could write and read files, whatever else is forbidden
}  # fmt: skip


class Reading:
    """The chronicle `file`, to be asked only: no statement writes, attaches, or reads a file. One call at a time.

    ConfigError for what is no query, for one that would do more, and for one that fails; StoreCorrupt where the file
    shows to be damaged. After either it is closed where that had to be found out. What does not fit into memory fails.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._connection = engine().connect(str(file), read_only=True, config=_CONFIG)
            self._connection.execute("SET TimeZone = 'UTC'")
            self._connection.execute("SET lock_configuration = true")
        except engine().Error as error:
            raise failed(file, error) from error

    def ask(self, sql: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        """The names of the columns of a query, and its rows as they are asked for."""
        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1:
                message = f"{len(statements)} statements; give one query"
                raise ConfigError(message)
            if statements[0].type.name not in _QUESTIONS:
                message = f"{statements[0].type.name} is no question; give one query"
                raise ConfigError(message)
            result = self._connection.execute(statements[0])
            names = [str(column[0]) for column in result.description or ()]
        except engine().Error as error:
            raise self._refused(error) from error
        return names, self._each()

    def batches(self, sql: str, rows: int) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
        """The columns of a query, and its rows, `rows` at a time at most, as they are asked for."""
        try:
            reader = self._connection.sql(sql).to_arrow_reader(rows)
        except engine().Error as error:
            raise self._refused(error) from error
        return reader.schema, self._each_batch(reader)

    def _each_batch(self, reader: pyarrow.RecordBatchReader) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow as pa

        try:
            yield from reader
        except (engine().Error, pa.ArrowException, OSError) as error:
            raise self._refused(error) from error

    def _each(self) -> Iterator[tuple[Any, ...]]:
        while True:
            try:
                rows = self._connection.fetchmany(1000)
            except (engine().Error, OverflowError, ValueError) as error:  # of values that Python has not
                raise self._refused(error) from error
            if not rows:
                return
            yield from rows

    def _refused(self, error: BaseException) -> ConfigError | StoreCorrupt:
        """The error of a statement that was asked."""
        if is_suspicious(error) or not isinstance(error, (engine().Error, OverflowError, ValueError)):
            self.close()
            if (found := _damage(self._file)) is not None:
                return damaged(self._file, found)
        return ConfigError(" ".join(str(error).split()))

    def interrupt(self) -> None:
        """Breaks off a query that is being answered, from another thread."""
        with suppress(engine().Error):
            self._connection.interrupt()

    def close(self) -> None:
        """May be called twice."""
        self._connection.close()

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _damage(file: Path) -> BaseException | None:
    """What reading every value of all tables fails with, if it does."""
    found: BaseException | None = None
    try:
        connection = engine().connect(str(file), read_only=True, config=_CONFIG)
        try:
            for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                connection.execute(f'SELECT bit_xor(hash(t)) FROM "{table}" t').fetchall()
        finally:
            connection.close()
    except engine().Error as error:
        found = error
    return found

"""The chronicle of a store as it is asked: nothing that is asked of it can change it, or read anything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sophia.errors import ConfigError
from sophia.store.chronicle_faults import engine, failed, refused

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Reading"]


class Reading:
    """The chronicle `file`, to be asked only: no statement writes, attaches, or reads a file. One call at a time.

    ConfigError for what is no query, and for one that would do more; StoreCorrupt where the file shows to be damaged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._connection = engine().connect(
                str(file), read_only=True,
                config={"enable_external_access": "false", "python_enable_replacements": "false"},
            )  # fmt: skip
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
            result = self._connection.execute(statements[0])
            names = [str(column[0]) for column in result.description or ()]
        except engine().Error as error:
            raise refused(self._file, error) from error
        return names, self._each()

    def batches(self, sql: str, rows: int) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
        """The columns of a query, and its rows, `rows` at a time at most, as they are asked for."""
        try:
            reader = self._connection.sql(sql).to_arrow_reader(rows)
        except engine().Error as error:
            raise refused(self._file, error) from error
        return reader.schema, self._each_batch(reader)

    def _each_batch(self, reader: pyarrow.RecordBatchReader) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow as pa

        try:
            yield from reader
        except (engine().Error, pa.ArrowException, OSError) as error:
            raise refused(self._file, error) from error

    def _each(self) -> Iterator[tuple[Any, ...]]:
        while True:
            try:
                rows = self._connection.fetchmany(1000)
            except engine().Error as error:
                raise refused(self._file, error) from error
            if not rows:
                return
            yield from rows

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

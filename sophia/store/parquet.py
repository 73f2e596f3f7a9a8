"""The tables of the chronicle as files of Parquet, for other programs: one process at a time can have the chronicle
itself open, any number can read these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from sophia.errors import ConfigError
from sophia.whole_file import refuse_foreign, write_whole

if TYPE_CHECKING:
    from sophia.store.reading import Reading

__all__ = ["Exported", "export"]

# In which order their rows come, so that the same store gives the same rows in the same places.
_TABLES = {"decisions": "run, n", "alarms": "run, n, pattern, kind, source", "patterns": "id", "chapters": "id"}
_ROWS = 1 << 16  # of a group
_MAGIC = b"PAR1"


class Exported(NamedTuple):
    """A file that was written."""

    path: Path
    rows: int


def export(reading: Reading, folder: Path) -> Iterator[Exported]:
    """Writes a file for each table into `folder`, which is made where there is none: each file whole and durable before
    it has its name, in place of one of an earlier export. Instants are in UTC.

    ConfigError where a file cannot be written, or would replace what is no Parquet.
    """
    other = False
    with suppress(OSError, ValueError):  # of which the files tell, too
        other = folder.exists() and not folder.is_dir()
    if other:
        message = f"{str(folder)!r} is no folder; name one, or one that can be made"
        raise ConfigError(message)
    targets: dict[Path, str] = {}
    for table in _TABLES:  # before any is written, or files of two times would stand side by side
        target, _ = refuse_foreign(folder / f"{table}.parquet", "Parquet file", _is_parquet)
        if target in targets:
            message = (
                f"{table}.parquet and {targets[target]}.parquet in {str(folder)!r} are the same file; remove the link"
            )
            raise ConfigError(message)
        targets[target] = table
    for table, order in _TABLES.items():
        path = folder / f"{table}.parquet"
        writing = _Writing(reading, f"SELECT * FROM {table} ORDER BY {order}")
        write_whole(path, "Parquet file", _is_parquet, writing.write)
        yield Exported(path, writing.rows)


def _is_parquet(begin: bytes) -> bool:
    return begin.startswith(_MAGIC)


class _Writing:
    """The rows of a query on their way into a file."""

    def __init__(self, reading: Reading, query: str) -> None:
        self._reading = reading
        self._query = query
        self.rows = 0

    def write(self, file: BinaryIO) -> None:
        from pyarrow import parquet

        schema, batches = self._reading.batches(self._query, _ROWS)
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                self.rows += batch.num_rows

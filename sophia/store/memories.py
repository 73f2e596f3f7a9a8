"""Rows of what was remembered: the searched vector, and what is known of it. SQLite alone has the truth of them."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sophia.store import checksum, schema
from sophia.store.memory_row import MemoryRow

__all__ = [
    "COLUMNS",
    "EARLIEST",
    "LATEST",
    "META",
    "MOST_ID",
    "SEEN",
    "insert",
    "last_id",
    "read",
    "sound",
    "strengthen",
    "strengths",
    "usual_dim",
]

COLUMNS = (
    "id, CAST(scope AS BLOB), CAST(context AS BLOB), CAST(actor AS BLOB), CAST(kind AS BLOB), CAST(tags AS BLOB), "
    "ts, valence, strength, raised, CAST(text AS BLOB), CAST(answer AS BLOB), dim, vector, checksum"
)
"""What `read` asks for: texts as bytes, so that a damaged one is a damaged row and not an error of all rows."""

_LAST = "memories"  # of `meta`: the highest id that was ever given, so that none is given twice

MOST_ID = (1 << 63) - 1

SEEN = ("message", "line")
"""Kinds of the memories that a brain makes of its inputs."""

EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Times of the years 1 to 9999."""

META = ("dim", _LAST, "forgotten")
"""Names of `meta` that memories need: their dimension, the highest id, and how many were forgotten."""


def last_id(connection: sqlite3.Connection) -> int:
    """The highest id that was ever given, of forgotten rows too."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (_LAST,)).fetchone()
    kept = int(row[0]) if row is not None else 0
    return max(kept, int(connection.execute("SELECT coalesce(max(id), 0) FROM memories").fetchone()[0]))


def usual_dim(connection: sqlite3.Connection) -> int | None:
    """The dimension that most memories have, or None where there is none."""
    row = connection.execute("SELECT dim FROM memories GROUP BY dim ORDER BY count(*) DESC, dim LIMIT 1").fetchone()
    return None if row is None else int(row[0])


def insert(connection: sqlite3.Connection, rows: Sequence[MemoryRow]) -> None:
    """Adds rows with new ids, in the transaction that is open."""
    marks = ", ".join("?" * 15)
    sealed = [(*values, checksum.of_memory(values)) for values in map(MemoryRow.values, rows)]
    connection.executemany(f"INSERT INTO memories VALUES ({marks})", sealed)
    schema.put_meta(connection, {_LAST: str(max(last_id(connection), max(row.id for row in rows)))})


def read(connection: sqlite3.Connection, after: int = 0, upto: int = MOST_ID) -> Iterator[MemoryRow | None]:
    """The rows with an id over `after` and not over `upto`, by id; None for one that is not what was stored."""
    query = f"SELECT {COLUMNS} FROM memories WHERE id > ? AND id <= ? ORDER BY id"
    for row in connection.execute(query, (after, upto)):
        yield sound(row)


def sound(row: tuple[Any, ...]) -> MemoryRow | None:
    """The memory of a row whose texts were read as bytes, or None where it is not what was stored."""
    try:
        *values, kept = row
        texts = [None if part is None else part.decode() for part in (*values[1:6], *values[10:12])]
        values[1:6], values[10:12] = texts[:5], texts[5:]
        if checksum.of_memory(tuple(values)) != kept:
            return None
        values[5] = tuple(json.loads(values[5]))
        return MemoryRow(*values) if EARLIEST <= values[6] <= LATEST else None
    except (AttributeError, TypeError, ValueError, struct.error):  # a damaged row may hold any type
        return None


def strengthen(connection: sqlite3.Connection, changes: Iterable[tuple[int, float, int]]) -> None:
    """(id, strength, raised) of rows that are there, in the transaction that is open."""
    connection.executemany(
        "INSERT OR REPLACE INTO strengths SELECT ?, ?, ?, ? FROM memories WHERE id = ?",
        [(*change, checksum.of_strength(change), change[0]) for change in changes],
    )


def strengths(rows: Iterable[tuple[Any, ...]]) -> dict[int, tuple[float, int]]:
    """What the rows of `strengths` say, by id; a damaged one says nothing."""
    found = {}
    for *said, kept in rows:
        try:
            if checksum.of_strength(tuple(said)) == kept:
                found[said[0]] = said[1], said[2]
        except struct.error:
            continue
    return found

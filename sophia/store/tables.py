"""What each table of the store holds, and when one of its rows is sound: the one place that knows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sophia.errors import StoreCorrupt
from sophia.store import checksum, derived
from sophia.store.changes import Answer
from sophia.store.memories import EARLIEST, LATEST
from sophia.store.outputs import KINDS, known_path
from sophia.store.pending import Pending
from sophia.store.schema import FORMAT, ROUTER

__all__ = ["FORMATS", "TABLES", "Row", "Table", "to_present"]

Row = tuple[Any, ...]

_TEXT, _BLOB, _REAL, _INTEGER, _MAYBE, _ANY_TEXT = str, bytes, float, int, (int, type(None)), (str, type(None))


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns with their types, in order, and what can be wrong with a row's contents.

    `key` is the column that is the rowid itself (None: the rowid is hidden, or there is none); `rowid` says
    whether rows have one.
    """

    name: str
    columns: tuple[tuple[str, Any], ...]
    wrong: Callable[[Row], str | None]
    key: int | None = None
    rowid: bool = True

    @property
    def names(self) -> str:
        """The columns as SQL has them."""
        return ", ".join(name for name, _ in self.columns)

    def fault(self, row: Row) -> str | None:
        """Why a row is not what was stored, or None where it is sound. No row makes it raise."""
        if len(row) != len(self.columns):
            return f"{len(row)} columns"
        for (name, kind), value in zip(self.columns, row, strict=True):
            if not isinstance(value, kind) or isinstance(value, bool):
                return f"{name} is of type {type(value).__name__}"
            if isinstance(value, str) and not _is_utf8(value):
                return f"{name} is not UTF-8"
        return self.wrong(row)

    def likeness(self, row: Row) -> int:
        """How many columns of a row have a type that they can have."""
        return sum(isinstance(value, kind) for (_, kind), value in zip(self.columns, row, strict=True))


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong_meta(row: Row) -> str | None:
    name, value = row
    if name in ("format", "runs", "commits") and not (value.isascii() and value.isdigit() and len(value) < 19):
        return f"{name} is {value!r}, no number"
    return None


def _wrong_answer(row: Row) -> str | None:
    digest, *said, kept = row
    answer = Answer(*said)
    if checksum.of_answer(answer) != kept:
        return "checksum"
    if checksum.digest_of(answer.key, answer.policy_version) != digest:
        return "digest"
    if not math.isfinite(answer.expires) or answer.expires < 0:
        return f"expires is {answer.expires}"
    return None


def _wrong_pattern(row: Row) -> str | None:
    id, _, count, first_n, last_n, merged_into, state = row
    if min(count, first_n, last_n) < 0:
        return "a negative count"
    if not state or (id < 0 and merged_into is None):
        return "state"
    return None


def _wrong_dump(row: Row) -> str | None:
    return None if row[0] == ROUTER else _wrong_name(row)


def _wrong_name(row: Row) -> str | None:
    return None if row[0] in derived.NAMES else f"a table {row[0]!r} is not known"


def _wrong_change(row: Row) -> str | None:
    return _wrong_name(row[1:])


def _wrong_pending(row: Row) -> str | None:
    try:
        Pending.unpack(row[1])
    except StoreCorrupt as error:
        return str(error)
    return None


def _wrong_memory(row: Row) -> str | None:
    id, *_, ts, valence, strength, _, _, _, dim, vector = row
    if id < 1:
        return f"id is {id}"
    if not EARLIEST <= ts <= LATEST:
        return f"ts is {ts}"
    if not (math.isfinite(valence) and math.isfinite(strength)):
        return f"valence and strength are {valence} and {strength}"
    return None if len(vector) == (dim + 7) // 8 else f"{len(vector)} bytes of {dim} bits"


def _wrong_strength(row: Row) -> str | None:
    id, strength, _ = row
    return None if id > 0 and math.isfinite(strength) else f"strength of memory {id} is {strength}"


def _wrong_chapter(row: Row) -> str | None:
    try:
        return None if isinstance(json.loads(row[1]), dict) else "no object"
    except (ValueError, RecursionError) as error:
        return str(error)


def _wrong_output(row: Row) -> str | None:
    path, kind, run = row
    return None if known_path(path) and kind in KINDS and run >= 0 else f"a file {path!r} of kind {kind!r}"


def _wrong_segment(row: Row) -> str | None:
    first, last, count, *_ = row
    return None if 0 < first <= last and 0 < count <= last - first + 1 else f"{count} rows from {first} to {last}"


_META = Table("meta", (("name", _TEXT), ("value", _TEXT)), _wrong_meta, rowid=False)
_ANSWERS = Table(
    "answers",
    (
        ("digest", _BLOB), ("key", _BLOB), ("raw", _BLOB), ("answer", _TEXT), ("name", _TEXT), ("policy", _TEXT),
        ("expires", _REAL), ("checksum", _BLOB),
    ),
    _wrong_answer,
)  # fmt: skip
_PATTERNS = Table(
    "patterns",
    (
        ("id", _INTEGER), ("template", _TEXT), ("count", _INTEGER), ("first_n", _INTEGER), ("last_n", _INTEGER),
        ("merged_into", _MAYBE), ("state", _BLOB),
    ),
    _wrong_pattern,
    key=0,
)  # fmt: skip
_DUMPS = Table("dumps", (("name", _TEXT), ("data", _BLOB)), _wrong_dump)
_LOG = Table("log", (("seq", _INTEGER), ("name", _TEXT), ("changes", _BLOB)), _wrong_change, key=0)
_PENDING = Table("pending", (("seq", _INTEGER), ("data", _BLOB)), _wrong_pending, key=0)

_MEMORIES = Table(
    "memories",
    (
        ("id", _INTEGER), ("scope", _TEXT), ("context", _TEXT), ("actor", _TEXT), ("kind", _TEXT), ("tags", _TEXT),
        ("ts", _INTEGER), ("valence", _REAL), ("strength", _REAL), ("raised", _INTEGER), ("text", _ANY_TEXT),
        ("answer", _ANY_TEXT), ("dim", _INTEGER), ("vector", _BLOB),
    ),
    _wrong_memory,
    key=0,
)  # fmt: skip

_STRENGTHS = Table("strengths", (("id", _INTEGER), ("strength", _REAL), ("raised", _INTEGER)), _wrong_strength, key=0)
_SEGMENTS = Table(
    "segments",
    (
        ("first", _INTEGER), ("last", _INTEGER), ("count", _INTEGER), ("dim", _INTEGER), ("rows", _BLOB),
        ("words", _BLOB),
    ),
    _wrong_segment,
    key=0,
)  # fmt: skip

_CHAPTERS = Table("chapters", (("id", _INTEGER), ("data", _TEXT)), _wrong_chapter, key=0)
_OUTPUTS = Table("outputs", (("path", _BLOB), ("kind", _TEXT), ("run", _INTEGER)), _wrong_output)

# How the checksum of a row is made from its other columns; an answer's is among those that it always had.
_SEALS: dict[str, Callable[[Row], int]] = {
    "meta": lambda row: checksum.of_meta(*row),
    "patterns": checksum.of_pattern,
    "dumps": lambda row: checksum.of_blob(0, *row),
    "log": lambda row: checksum.of_blob(*row),
    "pending": lambda row: checksum.of_blob(row[0], "pending", row[1]),
    "memories": checksum.of_memory,
    "strengths": checksum.of_strength,
    "segments": checksum.of_segment,
    "outputs": checksum.of_output,
    "chapters": lambda row: checksum.of_blob(row[0], "chapter", row[1].encode()),
}


def _sealed(table: Table) -> Table:
    """The table with a checksum in its last column."""
    seal = _SEALS[table.name]

    def wrong(row: Row) -> str | None:
        return table.wrong(row[:-1]) if seal(row[:-1]) == row[-1] else "checksum"

    return replace(table, columns=(*table.columns, ("checksum", _INTEGER)), wrong=wrong)


_SECOND = (_sealed(_META), _ANSWERS, *map(_sealed, (_PATTERNS, _DUMPS, _LOG, _PENDING)))
_FOURTH = (*_SECOND, *map(_sealed, (_MEMORIES, _STRENGTHS, _SEGMENTS)))
_FIFTH = (*_FOURTH, *map(_sealed, (_OUTPUTS, _CHAPTERS)))
FORMATS = {
    1: (_META, _ANSWERS, _PATTERNS, _DUMPS, _LOG),
    2: _SECOND,
    3: (*_SECOND, _sealed(_MEMORIES)),
    4: _FOURTH,
    5: _FIFTH,
    6: _FIFTH,
}
"""The tables of every store format that ever was."""

TABLES = FORMATS[FORMAT]


def to_present(table: Table, row: Row) -> Row:
    """A sound row of any format's `table` as the present format has it."""
    present = next(one for one in TABLES if one.name == table.name)
    return row if len(row) == len(present.columns) else (*row, _SEALS[table.name](row))

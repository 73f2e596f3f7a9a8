"""Files outside of the store that runs have written: `forget` looks at them, as they may hold what is forgotten."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sophia.store import checksum

__all__ = [
    "ALARMS", "DECISIONS", "KINDS", "LOG", "PATTERNS", "REPORT", "SESSIONS", "Output", "kept_path", "known_path",
    "note", "outputs",
]  # fmt: skip

DECISIONS, PATTERNS, SESSIONS, ALARMS, LOG, REPORT = ("decisions", "patterns", "sessions", "alarms", "log", "report")
KINDS = (DECISIONS, PATTERNS, SESSIONS, ALARMS, LOG, REPORT)
"""What a file can be."""

_MOST = 50_000  # files; when there are more, those that are gone are taken out, then the oldest
_BESIDE = b"../"  # begins the path of a file in the folder that the store lies in, or below: both may move together


@dataclass(frozen=True, slots=True)
class Output:
    """A file of run `run`, by its absolute path; of a run 0 where something stood there before, which the run may not
    have come to replace. `kind` is one of :data:`KINDS`."""

    path: str
    kind: str
    run: int


def known_path(path: bytes) -> bool:
    """Whether the table may have this path."""
    return path.startswith((b"/", _BESIDE))


def kept_path(path: str, store: Path) -> bytes:
    """A path as the table has it: from the store where it lies beside it, else absolute."""
    whole = Path(path)
    beside = store.resolve().parent
    return os.fsencode("../" / whole.relative_to(beside)) if whole.is_relative_to(beside) else os.fsencode(whole)


def note(connection: sqlite3.Connection, store: Path, files: Iterable[Output]) -> int:
    """Adds files, in the transaction that is open; how many older ones that are still there are no longer known."""
    rows = [
        (kept_path(one.path, store), one.kind, 0 if one.kind != DECISIONS and os.path.lexists(one.path) else one.run)
        for one in files
    ]
    connection.executemany(
        "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", [(*row, checksum.of_output(row)) for row in rows]
    )
    over = int(connection.execute("SELECT count(*) FROM outputs").fetchone()[0]) - _MOST
    if over <= 0:
        return 0
    known = [bytes(path) for (path,) in connection.execute("SELECT path FROM outputs ORDER BY run, path")]
    gone = {path for path in known if not os.path.lexists(_whole(path, store))}
    # A tenth more than must be, so that not every run has to look for all of them.
    dropped = [path for path in known if path not in gone][: max(0, over - len(gone) + _MOST // 10)]
    connection.executemany("DELETE FROM outputs WHERE path = ?", [(path,) for path in (*gone, *dropped)])
    return len(dropped)


def outputs(rows: Iterable[tuple[Any, ...]], store: Path) -> list[Output]:
    """What rows of the table say; a damaged one says nothing."""
    found = []
    for *said, kept in rows:
        try:
            if checksum.of_output(tuple(said)) == kept:
                found.append(Output(_whole(said[0], store), *said[1:]))
        except (AttributeError, TypeError, ValueError):  # a damaged row may hold any type
            continue
    return found


def _whole(path: bytes, store: Path) -> str:
    name = os.fsdecode(path)
    return str(store.resolve().parent / name[len(_BESIDE) :]) if path.startswith(_BESIDE) else name

"""Files outside of the store that runs have written: `forget` looks at them, as they may hold what is forgotten."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sophia.store import checksum

__all__ = ["DECISIONS", "KINDS", "LOG", "PATTERNS", "REPORT", "SESSIONS", "SUMMARY", "Output", "note", "outputs"]

DECISIONS, PATTERNS, SESSIONS, SUMMARY, LOG, REPORT = (
    "decisions", "patterns", "sessions", "summary", "log", "report",
)  # fmt: skip
KINDS = (DECISIONS, PATTERNS, SESSIONS, SUMMARY, LOG, REPORT)
"""What a file can be."""

_MOST = 50_000  # files; when there are more, those that are gone are taken out, then the oldest


@dataclass(frozen=True, slots=True)
class Output:
    """A file of run `run`, by its absolute path. `kind` is one of :data:`KINDS`."""

    path: str
    kind: str
    run: int


def note(connection: sqlite3.Connection, files: Iterable[Output]) -> int:
    """Adds files, in the transaction that is open; how many older ones that are still there are no longer known."""
    rows = [(os.fsencode(one.path), one.kind, one.run) for one in files]
    connection.executemany(
        "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)", [(*row, checksum.of_output(row)) for row in rows]
    )
    over = int(connection.execute("SELECT count(*) FROM outputs").fetchone()[0]) - _MOST
    if over <= 0:
        return 0
    known = [bytes(path) for (path,) in connection.execute("SELECT path FROM outputs ORDER BY run, path")]
    gone = [path for path in known if not os.path.lexists(path)]
    dropped = [path for path in known if path not in set(gone)][: max(0, over - len(gone))]
    connection.executemany("DELETE FROM outputs WHERE path = ?", [(path,) for path in (*gone, *dropped)])
    return len(dropped)


def outputs(rows: Iterable[tuple[Any, ...]]) -> list[Output]:
    """What rows of the table say; a damaged one says nothing."""
    found = []
    for *said, kept in rows:
        try:
            if checksum.of_output(tuple(said)) == kept:
                found.append(Output(os.fsdecode(said[0]), *said[1:]))
        except (AttributeError, TypeError, ValueError):  # a damaged row may hold any type
            continue
    return found

"""The health of a store: every row read, every checksum compared, every derived table loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sophia._core.pattern import PatternTable
from sophia.errors import InputError, StoreCorrupt
from sophia.store import ack, derived
from sophia.store.folder import StoreFolder
from sophia.store.lock import holder
from sophia.store.pages import header_fault
from sophia.store.tables import Row, Table
from sophia.store.view import StoreView

__all__ = ["Count", "Health", "check", "check_database"]

# Of one kind of problem as many are told; the rest is counted.
_SHOWN = 20


@dataclass(slots=True)
class Count:
    """Rows of one table."""

    sound: int = 0
    damaged: int = 0


@dataclass(slots=True)
class Health:
    """What was found. `problems` are damage, `notes` are not; both are sentences for a person."""

    path: str
    format: int | None = None
    runs: int | None = None
    answers: int = 0
    patterns: int = 0
    bytes: int = 0
    tables: dict[str, Count] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.problems

    def as_dict(self) -> dict[str, object]:
        """For JSON; keys may be added and are never renamed."""
        return {
            "path": self.path,
            "state": "sound" if self.sound else "damaged",
            "format": self.format,
            "runs": self.runs,
            "answers": self.answers,
            "patterns": self.patterns,
            "bytes": self.bytes,
            "tables": {name: {"sound": c.sound, "damaged": c.damaged} for name, c in self.tables.items()},
            "problems": self.problems,
            "notes": self.notes,
        }


def check(path: Path) -> Health:
    """Reads all of the store `path` and changes nothing; works while another process writes to it.

    Damage is told in the answer and never raised. Raises InputError where there is no store, StoreVersionError
    for a newer format, StoreFailed where it cannot be read at all. Costs about a second for 100 MB.
    """
    folder = StoreFolder(path)
    folder.require()
    health = Health(str(path))
    health.bytes = sum(folder.files().values())
    if (writer := holder(folder.lock)) is not None:
        health.notes.append(f"process {writer} is writing to it")
    foreign = folder.foreign()
    health.notes += _some([f"{name} is not a file of sophia's" for name in foreign])
    health.notes += folder.faults()
    health.notes += [f"{left.name} is left of a command that was killed" for left in folder.leftovers()]
    health.notes += [f"{name} holds a database that was replaced; delete it when you trust the store"
                     for name in folder.aside()]  # fmt: skip
    delivery = ack.read(folder.ack)  # before the database, whose commits it counts
    if delivery.fault is not None:
        health.problems.append(f"the file {folder.ack.name} {delivery.fault}")
    try:
        check_database(folder.file, health, commits=delivery.commits)
    except InputError:  # a file without a table of ours: but something was committed here
        if not delivery.commits:
            raise
        health.problems.append(f"no table of the store is left: {delivery.commits:,} commits are gone")
    return health


def check_database(file: Path, health: Health, *, commits: int = 0) -> None:
    """Adds to `health` what is found in one database file, which should have `commits` commits at least."""
    try:
        view = StoreView(file)
    except StoreCorrupt as error:
        health.problems.append(_said(error))
        return
    with view:
        health.format = view.format
        if (fault := header_fault(file, Path(f"{file}-wal"))) is not None:
            health.problems.append(fault)
        try:
            health.problems += [f"SQLite: {line}" for line in view.integrity(limit=_SHOWN)]
        except StoreCorrupt as error:
            health.problems.append(_said(error))
        health.problems += [f"the definition of {name} is not what it was" for name in view.changed]
        for table in view.tables:
            health.tables[table.name] = count = Count()
            faults = _count_rows(view, table, count)
            health.problems += _some(faults)
        try:
            _check_meta(view, health)
            _check_commits(view, health, commits)
            _check_derived(view, health)
            _check_patterns(view, health)
            health.answers = health.tables["answers"].sound
        except StoreCorrupt as error:
            if not health.problems:
                health.problems.append(_said(error))


def _count_rows(view: StoreView, table: Table, count: Count) -> list[str]:
    faults = []
    try:
        for row in view.rows(table):
            fault = table.fault(row)
            if fault is None:
                count.sound += 1
                continue
            count.damaged += 1
            faults.append(f"table {table.name}, row {count.sound + count.damaged}: {fault}")
            if len(faults) > 1000:
                break
    except StoreCorrupt as error:
        faults.append(f"table {table.name} cannot be read to its end, after {count.sound:,} sound rows: {_said(error)}")
    return faults


def _check_meta(view: StoreView, health: Health) -> None:
    runs = view.meta("runs")
    if runs is None or not runs.isdigit():
        health.problems.append("table meta: the number of runs is missing")
    else:
        health.runs = int(runs)


def _check_commits(view: StoreView, health: Health, noted: int) -> None:
    """Whether the last commit is the last one that was noted: a damaged log is silently shorter."""
    if view.format == 1:
        return
    # In one query, so of one state: the commit that ends pending inputs moves the number from the one to the other.
    kept, pending = view.execute(
        "SELECT (SELECT value FROM meta WHERE name = 'commits'), (SELECT coalesce(max(seq), 0) FROM pending)"
    )[0]
    if not isinstance(kept, str) or not kept.isdigit() or not isinstance(pending, int):
        health.problems.append("table meta: the number of commits is missing")
    elif (lost := noted - max(int(kept), pending)) > 0:
        health.problems.append(f"the last {lost:,} commits are gone: the log is damaged, or the database an older copy")


def _check_derived(view: StoreView, health: Health) -> None:
    for name in derived.NAMES:
        try:
            dump, log = view.derived(name)
            derived.rebuild(name, dump, log)
        except (StoreCorrupt, TypeError) as error:
            health.problems.append(f"the {name} table cannot be loaded and would start anew: {error}")


def _check_patterns(view: StoreView, health: Health) -> None:
    rows = [row[:7] for row in view.rows(view.table("patterns"))]
    known = {row[0] for row in rows if isinstance(row[0], int) and row[0] > 0}
    health.patterns = sum(1 for row in rows if isinstance(row[0], int) and row[0] > 0 and row[5] is None)
    lost = [row for row in rows if row[5] is not None and row[5] not in known]
    health.problems += _some([f"{_called(row)} belongs to pattern {row[5]}, which is not there" for row in lost])
    try:
        PatternTable.restore(rows, capacity=max(16, len(rows)))
    except StoreCorrupt as error:
        health.problems.append(f"the patterns cannot be loaded: {error}")


def _called(row: Row) -> str:
    return f"pattern {row[0]}" if row[0] > 0 else f"line {-row[0]} of the patterns"


def _some(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return found if len(found) <= _SHOWN else [*found[:_SHOWN], f"and {len(found) - _SHOWN:,} more of the kind"]


def _said(error: StoreCorrupt) -> str:
    """What SQLite said, without the path and the cure: those stand around it."""
    cause = error.__cause__
    return str(cause if cause is not None else error)

"""A damaged store made usable: every sound row goes into a new file, and the damaged one is set aside."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sophia.errors import InputError, StoreCorrupt
from sophia.store import ack, derived, memories, schema
from sophia.store.check import Health, check, check_database
from sophia.store.exchange import exchange
from sophia.store.faults import guarded
from sophia.store.folder import StoreFolder, need_room
from sophia.store.lock import locked
from sophia.store.pages import Layout, Pages, Record
from sophia.store.patterns import whole
from sophia.store.tables import FORMATS, TABLES, Row, Table, to_present
from sophia.store.view import StoreView

__all__ = ["Repair", "repair"]


# Of `meta`: what tells how the brain was born, and what came since.
_KEPT = ("life", "tally")
# Derived tables that grow until birth alone.
_WHOLE = ("words", "drift")


@dataclass(slots=True)
class Repair:
    """What a repair found and did. `saved` and `lost` are rows by table."""

    path: str
    state: str  # "sound": nothing to do; "repaired"; "damaged": a dry run, nothing was changed
    problems: list[str] = field(default_factory=list)
    saved: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    anew: list[str] = field(default_factory=list)
    unreadable_pages: int = 0
    aside: str | None = None

    def as_dict(self) -> dict[str, object]:
        """For JSON; keys may be added and are never renamed."""
        return {name: getattr(self, name) for name in self.__slots__}


def repair(path: Path, *, dry_run: bool = False) -> Repair:
    """Saves all sound rows of the damaged store `path`; does nothing to a sound one.

    A row is sound when its checksum says so; nothing is guessed, and what was deleted stays deleted. A derived
    table (familiarity, IDF) of which a part is lost starts anew, which only costs thought. The damaged files go to
    a folder `damaged-DATE` in the store. Killed at any moment it leaves the old contents or the new.

    Raises StoreLocked when another process has the store open, InputError where there is none, StoreVersionError
    for a newer format, StoreFailed where there is no room, StoreCorrupt where nothing of a store can be found.
    """
    folder = StoreFolder(path)
    folder.require()
    with locked(folder.lock):
        folder.clear_leftovers()
        health = check(path)
        if health.sound:
            return Repair(str(path), "sound")
        done = Repair(str(path), "damaged", problems=health.problems)
        need_room(path, 2 * folder.database_bytes())
        part = folder.new_part()
        try:
            _rebuild(folder, part, done)
            if not dry_run:
                aside = exchange(folder, part, "damaged")
                if ack.read(folder.ack).fault is not None:
                    folder.ack.unlink()  # the next run makes it anew
                done.aside = None if aside is None else str(aside)
                done.state = "repaired"
        finally:
            folder.clear_leftovers()
    return done


def _rebuild(folder: StoreFolder, part: Path, done: Repair) -> None:
    """Fills the new database `part` with what is sound in the old, and checks it."""
    salvage = _best(folder)
    if not salvage.sound:
        message = (
            f"nothing of a store can be found in {folder.file}; move the folder {folder.path} away and run again, "
            "or restore a backup of it"
        )
        raise StoreCorrupt(message)
    with guarded(part):
        connection = sqlite3.connect(part, isolation_level=None)
        try:
            schema.prepare(connection, str(part))
            connection.execute("BEGIN")
            _fill(connection, folder, salvage, done)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            done.saved = {t.name: connection.execute(f"SELECT count(*) FROM {t.name}").fetchone()[0] for t in TABLES}
        finally:
            connection.close()
    expected = _expected(folder)
    for table in TABLES:
        seen = salvage.sound[table.name] + salvage.damaged[table.name]
        done.lost[table.name] = max(0, max(expected.get(table.name, 0), seen) - done.saved[table.name])
    done.unreadable_pages = salvage.unreadable
    health = Health(str(part))
    check_database(part, health, commits=ack.read(folder.ack).commits)
    if not health.sound:
        message = f"the repaired copy of {folder.file} is not sound ({health.problems[0]}); nothing was changed"
        raise StoreCorrupt(message)


@dataclass(slots=True)
class _Salvage:
    """One pass over a damaged file: how many rows are sound under a layout and a format, and how many are not."""

    layout: Layout
    format: int
    sound: Counter[str] = field(default_factory=Counter)
    damaged: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0


def _best(folder: StoreFolder) -> _Salvage:
    """The layout and format of the file under which most rows are sound; mostly there is only one to try."""
    with Pages(folder.file, folder.wal) as first:
        layouts = first.layouts()
    try:
        with StoreView(folder.file) as view:
            formats = [view.format]
    except (StoreCorrupt, InputError):
        formats = sorted(FORMATS, reverse=True)
    found = []
    for layout in layouts:
        for number in formats:
            salvage = _Salvage(layout, number)
            for _ in _sound_rows(folder, salvage):
                pass
            found.append(salvage)
    return max(found, key=lambda salvage: salvage.sound.total())


def _sound_rows(folder: StoreFolder, salvage: _Salvage) -> Iterator[tuple[Table, int | None, Row]]:
    """Every sound row with its table and rowid; the rest is counted."""
    salvage.sound.clear()
    salvage.damaged.clear()
    tables = FORMATS[salvage.format]
    with Pages(folder.file, folder.wal, salvage.layout) as pages:
        for record in pages.records():
            table, row, sound = _recognised(tables, record)
            if table is None:
                continue
            (salvage.sound if sound else salvage.damaged)[table.name] += 1
            if sound:
                yield table, record.rowid, row
        salvage.unreadable = len(pages.unreadable)


def _recognised(tables: tuple[Table, ...], record: Record) -> tuple[Table | None, Row, bool]:
    """The table that a record fits, and whether it is sound; of a damaged one the table is told by its shape."""
    like: tuple[Table | None, Row, bool] = (None, (), False)
    for table in tables:
        if len(table.columns) != len(record.values) or table.rowid != (record.rowid is not None):
            continue
        row = _as_stored(table, record)
        if table.fault(row) is None:
            return table, row, True
        # Of two tables with as many columns the one that the types of most of them speak for.
        if table.rowid and (like[0] is None or table.likeness(row) > like[0].likeness(like[1])):
            like = table, row, False
    return like


def _as_stored(table: Table, record: Record) -> Row:
    """The values as SQLite would give them: the key from the rowid, whole numbers of a REAL column as such."""
    values = list(record.values)
    if table.key is not None and values[table.key] is None:
        values[table.key] = record.rowid
    for i, (_, kind) in enumerate(table.columns):
        if kind is float and type(values[i]) is int:
            values[i] = float(values[i])
    return tuple(values)


def _fill(connection: sqlite3.Connection, folder: StoreFolder, salvage: _Salvage, done: Repair) -> None:
    kept: dict[str, str] = {}
    counted = {"runs": 0, "commits": ack.read(folder.ack).commits}
    whole_log = _log_is_whole(folder)
    for table, rowid, row in _sound_rows(folder, salvage):
        if table.name == "meta":
            if row[0] in counted:
                counted[row[0]] = max(counted[row[0]], int(row[1]))
            elif row[0] in memories.META or row[0] in _KEPT:
                kept[row[0]] = str(row[1])
            continue
        if table.name == "answers":
            counted["runs"] = max(counted["runs"], _run_of(row[4]))
        if table.name == "pending":
            counted["commits"] = max(counted["commits"], row[0])
        _insert(connection, table, rowid, to_present(table, row))
    # Ids of decisions begin with the number of their run: it must not start again below what was given.
    schema.put_meta(connection, kept | {name: str(value) for name, value in counted.items()})
    if "dim" not in kept and (dim := memories.usual_dim(connection)) is not None:
        schema.put_meta(connection, {"dim": str(dim)})
    patterns = connection.execute("SELECT * FROM patterns").fetchall()
    fit = {row[0] for row in whole([row[:7] for row in patterns])}
    connection.executemany("DELETE FROM patterns WHERE id = ?", [(r[0],) for r in patterns if r[0] not in fit])
    if patterns and not fit:
        done.anew.append("patterns")
    if not whole_log or salvage.damaged["log"] or salvage.damaged["dumps"]:
        # What was counted before birth has no log after it, so that a sound dump is all of it.
        stay = (schema.ROUTER, *(_WHOLE if '"birth":{' in kept.get("life", "") else ()))
        connection.execute("DELETE FROM log")
        dumps = [name for (name,) in connection.execute("SELECT name FROM dumps")]
        connection.executemany("DELETE FROM dumps WHERE name IS ?", [(name,) for name in dumps if name not in stay])
        done.anew += [name for name in derived.NAMES if name not in stay or name not in dumps]
    if "life" not in kept and connection.execute("SELECT 1 FROM chapters").fetchone():
        done.anew.append("life")  # it was born, or there would be no chapter


def _insert(connection: sqlite3.Connection, table: Table, rowid: int | None, row: Row) -> None:
    """Adds a row. Of two under one key the one stored last stays; a file that is not damaged has no such two."""
    names = next(one for one in TABLES if one.name == table.name).names
    marks = ", ".join("?" * len(row))
    if table.key is not None:
        connection.execute(f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({marks})", row)
        return
    same = connection.execute(
        f"SELECT rowid FROM {table.name} WHERE {table.columns[0][0]} = ? OR rowid = ?", (row[0], rowid)
    ).fetchall()
    if rowid is not None and all(other < rowid for (other,) in same):
        connection.execute(f"INSERT OR REPLACE INTO {table.name} (rowid, {names}) VALUES (?, {marks})", (rowid, *row))


def _run_of(name: str) -> int:
    """The run that a decision's id names, 0 for an id of the caller's own."""
    run, dot, n = name.partition(".")
    return int(run) if dot and run.isascii() and run.isdigit() and n.isdigit() and len(run) < 19 else 0


def _log_is_whole(folder: StoreFolder) -> bool:
    """Whether no entry of a log can be missing: SQLite finds its table whole, and every row in it is sound."""
    try:
        with StoreView(folder.file) as view:
            whole_tables = not any(
                view.integrity(table.name) or any(table.fault(row) for row in view.rows(table))
                for table in view.tables
                if table.name in ("log", "dumps")
            )
            return whole_tables and all(_loads(view, name) for name in derived.NAMES)
    except (StoreCorrupt, InputError):
        return False


def _loads(view: StoreView, name: str) -> bool:
    dump, log = view.derived(name)
    try:
        derived.rebuild(name, dump, log)
    except StoreCorrupt:
        return False
    return True


def _expected(folder: StoreFolder) -> dict[str, int]:
    """How many rows the old file says it has, as far as it can say."""
    found: dict[str, int] = {}
    try:
        with StoreView(folder.file) as view:
            for table in view.tables:
                with suppress(StoreCorrupt):
                    found[table.name] = view.count(table.name)
    except (StoreCorrupt, InputError):
        pass
    return found

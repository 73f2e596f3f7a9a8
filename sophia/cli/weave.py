"""`sophia weave`: what a store has decided, told as chapters, and asked in SQL."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any

from sophia.cli.chapters import told
from sophia.cli.exits import Exit
from sophia.config import parse_duration
from sophia.errors import ConfigError, StoreCorrupt
from sophia.store.chapters import read
from sophia.store.folder import StoreFolder
from sophia.store.view import StoreView

__all__ = ["command"]

_ALIGNED = 1000  # rows by whose values columns are aligned; what comes after them may be wider


def command(options: argparse.Namespace) -> int:
    """Prints the chapters of the store; or brings its chronicle up to date, and asks that."""
    if options.sql is not None or options.views:
        return _ask(options)
    chapters = _since(_chapters(Path(options.store)), options.since)
    if options.json:
        for number, chapter in chapters:
            sys.stdout.write(json.dumps({"id": number} | chapter) + "\n")
    elif chapters:
        sys.stdout.writelines(f"{line}\n" for line in told(chapters, markdown=options.markdown))
    else:
        sys.stdout.write("no chapter yet: one ends with the run that it is of\n")
    sys.stdout.flush()
    return Exit.DONE


def _chapters(store: Path) -> list[tuple[int, dict[str, Any]]]:
    folder = StoreFolder(store)
    folder.require()
    with StoreView(folder.file) as view:
        return read(view)


def _since(chapters: list[tuple[int, dict[str, Any]]], since: str | None) -> list[tuple[int, dict[str, Any]]]:
    """Those that ended at a time or later, or so long ago or less."""
    if since is None:
        return chapters
    try:
        oldest = datetime.now(UTC) - timedelta(seconds=parse_duration(since))
    except (ValueError, OverflowError):
        try:
            oldest = datetime.fromisoformat(since)
        except ValueError:
            message = f"--since: {since!r} is neither a duration such as 24h nor a time such as 2026-11-30T14:00Z"
            raise ConfigError(message) from None
        oldest = oldest if oldest.tzinfo else oldest.replace(tzinfo=UTC)
    return [one for one in chapters if _ended(one[1]) >= oldest]


def _ended(chapter: dict[str, Any]) -> datetime:
    try:
        ended = datetime.fromisoformat(str(chapter.get("ended")))
    except ValueError:  # of a clock that no calendar has
        return datetime.max.replace(tzinfo=UTC)
    return ended if ended.tzinfo else ended.replace(tzinfo=UTC)


def _ask(options: argparse.Namespace) -> int:
    """Brings the chronicle of the store up to date, and asks it."""
    from sophia.store.chronicle import Chronicle

    with Chronicle(Path(options.store)) as chronicle:
        chronicle.catch_up()
    written = 0
    try:
        for line in _told(chronicle.file, options):
            sys.stdout.write(line)
            written += 1
    except StoreCorrupt as error:  # damage that only shows when it is read
        with Chronicle(Path(options.store)) as chronicle:
            chronicle.renew(str(error))
            chronicle.catch_up()
        if written:
            message = f"{error}; it was made anew: ask again, what was printed is not all"
            raise StoreCorrupt(message) from error
        for line in _told(chronicle.file, options):
            sys.stdout.write(line)
    sys.stdout.flush()
    for note in chronicle.notes:
        if sys.stderr is not None:
            sys.stderr.write(f"sophia: {note}\n")
    return Exit.DONE


def _told(file: Path, options: argparse.Namespace) -> Iterator[str]:
    """The lines that are printed."""
    from sophia.store.chronicle import VIEWS, Reading

    with Reading(file) as reading:
        if options.sql is not None:
            names, rows = reading.ask(options.sql)
            yield from _objects(names, rows) if options.json else _lines(names, rows)
            return
        for view in VIEWS:
            names, rows = reading.ask(f"SELECT * FROM {view} LIMIT {options.most}")
            if options.json:
                yield from _objects(names, rows, view)
                continue
            yield f"{view}\n"
            shown = list(rows)
            yield from _lines(names, iter(shown))
            if len(shown) == options.most:
                total = next(reading.ask(f"SELECT count(*) FROM {view}")[1])[0]
                if total > len(shown):
                    yield f"... {total - len(shown):,} more (--most)\n"
            yield "\n"


def _objects(names: list[str], rows: Iterator[tuple[Any, ...]], view: str | None = None) -> Iterator[str]:
    """A JSON object a row."""
    first = {} if view is None else {"view": view}
    for row in rows:
        yield json.dumps(first | {name: _plain(value) for name, value in zip(names, row, strict=True)}) + "\n"


def _lines(names: list[str], rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    """Aligned columns under their names."""
    first = [[_shown(value) for value in row] for row in islice(rows, _ALIGNED)]
    widths = [max(map(len, column)) for column in zip(names, *first, strict=True)]
    for cells in chain([names], first, ([_shown(value) for value in row] for row in rows)):
        yield "  ".join([cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]).rstrip() + "\n"


def _plain(value: Any) -> Any:
    """As JSON has it: instants in UTC, no NaN."""
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _shown(value: Any) -> str:
    """In one line, without what a terminal would obey."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return _instant(value)
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if text.isprintable() else "".join([one if one.isprintable() else " " for one in text])


def _instant(value: datetime) -> str:
    text = value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    return text.replace("+00:00", "Z")

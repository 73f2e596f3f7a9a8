"""`sophia weave`: what a store has decided, asked in SQL."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from sophia.cli.exits import Exit
from sophia.errors import StoreCorrupt

__all__ = ["command"]

_ALIGNED = 1000  # rows by whose values columns are aligned; what comes after them may be wider


def command(options: argparse.Namespace) -> int:
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
        if options.sql:
            names, rows = reading.ask(options.sql)
            yield from _objects(names, rows) if options.json else _lines(names, rows)
            return
        for view in VIEWS:
            names, rows = reading.ask(f"SELECT * FROM {view} LIMIT {options.most}")
            if options.json:
                yield from _objects(names, rows, view)
            else:
                yield f"{view}\n"
                yield from _lines(names, rows)
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

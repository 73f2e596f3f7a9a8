"""Rows of a query, printed: aligned under their names, or as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import chain, islice
from typing import Any

from sophia.errors import ConfigError

__all__ = ["aligned", "objects", "printable"]

_ALIGNED = 1000  # rows by whose values columns are aligned; what comes after them may be wider
_WIDEST = 80  # characters of a column: a longer value moves the rest of its row, and not of all


def objects(names: list[str], rows: Iterator[tuple[Any, ...]], view: str | None = None) -> Iterator[str]:
    """A JSON object a row."""
    if again := [name for i, name in enumerate(names) if name in names[:i]]:
        message = f"two columns are called {again[0]!r}: an object has each name once; call one otherwise (AS)"
        raise ConfigError(message)
    first = {} if view is None else {"view": view}
    for row in rows:
        yield json.dumps(first | {name: _plain(value) for name, value in zip(names, row, strict=True)}) + "\n"


def aligned(names: list[str], rows: Iterator[tuple[Any, ...]]) -> Iterator[str]:
    """Columns under their names, aligned where their values are not very long."""
    names = [_shown(name) for name in names]
    first = [[_shown(value) for value in row] for row in islice(rows, _ALIGNED)]
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(names, *first, strict=True)]
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
    """As people read it, in one line."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return _instant(value)
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return printable(text)


def printable(text: str) -> str:
    """In one line, without what a terminal would obey."""
    return text if text.isprintable() else "".join([one if one.isprintable() else " " for one in text])


def _instant(value: datetime) -> str:
    text = value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()
    return text.replace("+00:00", "Z")

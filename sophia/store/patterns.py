"""Rows of the pattern table of which some are missing: those that still fit together."""

from __future__ import annotations

from sophia._core.pattern import PatternTable
from sophia.errors import StoreCorrupt
from sophia.store.tables import Row

__all__ = ["whole"]

_LEAF = 1  # in the first byte of a line's state: what the pattern was seen as; see PatternTable.changes


def whole(rows: list[Row]) -> list[Row]:
    """The rows that make a table: lines with their pattern, patterns with a line, merged ones with their survivor.

    Empty where the row of the table itself is missing, or where what is left cannot be loaded.
    """
    lines = [row for row in rows if row[0] < 0]
    patterns = {row[0]: row for row in rows if row[0] > 0}
    survivors = {id: id for id, row in patterns.items() if row[5] is None}
    for id in sorted(patterns.keys() - survivors.keys()):
        if (survivor := survivors.get(patterns[id][5])) is not None:
            survivors[id] = survivor
    seen = {survivors.get(row[5]) for row in lines if row[6][0] & _LEAF}
    fit = [row for row in rows if row[0] == 0]
    fit += [row for id, row in patterns.items() if survivors.get(id) in seen and id in survivors]
    fit += [row for row in lines if survivors.get(row[5]) in seen and row[5] in survivors]
    try:
        PatternTable.restore(fit, capacity=max(16, len(fit)))
    except StoreCorrupt:
        return []
    return fit

"""Rows of the pattern table of which some are lost or go: those that still fit together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from struct import Struct, error

from sophia._core.pattern import NodeState, PatternTable
from sophia.errors import StoreCorrupt
from sophia.store.tables import Row

__all__ = ["Without", "whole", "without"]

_SLOT = "<*>"
_COUNT = Struct("<Q")  # the state of a pattern: how many lines were given its id


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
    try:
        seen = {survivors.get(row[5]) for row in lines if NodeState.unpack(row[6]).leaf}
    except error:
        return []
    fit = [row for row in rows if row[0] == 0]
    fit += [row for id, row in patterns.items() if survivors.get(id) in seen and id in survivors]
    fit += [row for row in lines if survivors.get(row[5]) in seen and row[5] in survivors]
    try:
        PatternTable.restore(fit, capacity=max(16, len(fit)))
    except StoreCorrupt:
        return []
    return fit


@dataclass(slots=True)
class Without:
    """What becomes of a table when the lines of one owner go.

    `gone` are ids of rows that go, `changed` rows that take the place of those with their ids. `lines` are the masked
    lines that go, and how often each was seen, `patterns` is how many go with them; of `unknown` masked lines nobody
    knows whose they are.
    """

    gone: list[int] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    patterns: int = 0
    unknown: int = 0


def without(rows: list[Row], owner: int) -> Without:
    """Takes out what only lines of `owner` (see :func:`sophia._core.pattern.owner_of`) have brought into a table.

    Masked lines go that nobody else has had. A template stays where a masked line that stays has all of its words, a
    pattern where one of its masked lines stays. `rows` are all of the table, of which each is sound.
    """
    found = Without()
    patterns = {row[0]: row for row in rows if row[0] > 0}
    survivors = {id: _survivor(patterns, id) for id in patterns}
    nodes = [(row, NodeState.unpack(row[6]), survivors[row[5]]) for row in rows if row[0] < 0 and row[5] in survivors]
    theirs = {row[0] for row, node, _ in nodes if node.leaf and node.owner == owner}
    if not theirs:
        found.unknown = sum(node.leaf and node.owner == 0 for _, node, _ in nodes)
        return found
    words: dict[int, list[set[str]]] = {}
    taken: Counter[int] = Counter()
    for row, node, survivor in nodes:
        if row[0] in theirs:
            taken[survivor] += row[2]
            found.lines[row[1]] = row[2]
        elif node.leaf:
            words.setdefault(survivor, []).append(set(row[1].split(" ")))
            found.unknown += node.owner == 0
    shown: dict[int, str] = {}
    is_told: dict[tuple[int, str], bool] = {}  # merged patterns show the same template

    def told(survivor: int, template: str) -> bool:
        key = survivor, template
        if key not in is_told:
            is_told[key] = _told(template, words.get(survivor, []))
        return is_told[key]

    for row, node, survivor in nodes:
        if row[0] not in theirs and node.leaf:
            shown.setdefault(survivor, row[1])
        elif (survivor in taken and not told(survivor, row[1])) or (row[0] in theirs and not node.general):
            found.gone.append(row[0])
        elif row[0] in theirs:
            state = node.as_template().pack()
            found.changed.append((*row[:2], 0, *row[3:6], state))
    for id, row in patterns.items():
        survivor = survivors[id]
        if survivor not in words:
            found.gone.append(id)
            found.patterns += id == survivor
        elif survivor in taken:
            fewer = taken[survivor] if id == survivor else 0
            text = row[1] if told(survivor, row[1]) else shown[survivor]
            state = _COUNT.pack(max(0, _COUNT.unpack(row[6])[0] - fewer))
            found.changed.append((id, text, max(0, row[2] - fewer), *row[3:6], state))
    return found


def _survivor(patterns: dict[int, Row], id: int) -> int:
    while (into := patterns[id][5]) is not None and into in patterns:
        id = into
    return id


def _told(template: str, lines: list[set[str]]) -> bool:
    """Whether one of some masked lines has all words of a template."""
    wanted = {word for word in template.split(" ") if word != _SLOT}
    slotted = [word.split(_SLOT) for word in wanted if _SLOT in word]  # as in user=<*>
    plain = {word for word in wanted if _SLOT not in word}
    return any(
        plain <= line
        and all(any(word.startswith(parts[0]) and word.endswith(parts[-1]) for word in line) for parts in slotted)
        for line in lines
    )

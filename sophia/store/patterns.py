"""Rows of the pattern table of which some are lost or go: those that still fit together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct, error

from sophia._core.pattern import NodeState, PatternTable
from sophia.errors import StoreCorrupt
from sophia.store.tables import Row

__all__ = ["Without", "whole", "without"]

_SLOT = "<*>"
_COUNT = Struct("<Q")  # the state of a pattern: how many lines were given its id
_TABLE = Struct("<8Q")  # that of the table; the seventh is how many masked lines have had to go


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
    lines that go, and how often each was seen, `patterns` is how many go with them (`departed` are all their ids); of
    `unknown` masked lines nobody knows whose they are. `shown` are the ids of patterns that are gone, or show another
    template than before.
    """

    gone: list[int] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)
    lines: dict[str, int] = field(default_factory=dict)
    patterns: int = 0
    unknown: int = 0
    departed: set[int] = field(default_factory=set)
    shown: set[int] = field(default_factory=set)


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
    lines: dict[int, _Lines] = {}
    taken: Counter[int] = Counter()
    for row, node, survivor in nodes:
        if row[0] in theirs:
            taken[survivor] += row[2]
            found.lines[row[1]] = row[2]
        elif node.leaf:
            lines.setdefault(survivor, _Lines()).texts.append(row[1])
            found.unknown += node.owner == 0
    # A line that had to make room may have left its words in a template of any pattern.
    everywhere = _evicted(rows) > 0
    for row, node, survivor in nodes:
        its = lines.get(survivor)
        if row[0] in theirs and not node.general:
            found.gone.append(row[0])
        elif not node.general or (row[0] not in theirs and node.leaf) or not (everywhere or survivor in taken):
            continue
        elif its is None or not its.tell(row[1]):
            found.gone.append(row[0])
        elif row[0] in theirs:
            found.changed.append((*row[:2], 0, *row[3:6], node.as_template().pack()))
    for id, row in patterns.items():
        survivor = survivors[id]
        its = lines.get(survivor)
        if its is None:
            found.gone.append(id)
            found.shown.add(id)
            found.departed.add(id)
            found.patterns += id == survivor
        elif everywhere or survivor in taken:
            fewer = taken[survivor] if id == survivor else 0
            text = row[1] if its.tell(row[1]) else its.texts[0]
            if text != row[1]:
                found.shown.add(id)
            if fewer or text != row[1]:
                state = _COUNT.pack(max(0, _COUNT.unpack(row[6])[0] - fewer))
                found.changed.append((id, text, max(0, row[2] - fewer), *row[3:6], state))
    return found


def _evicted(rows: list[Row]) -> int:
    """How many masked lines have had to make room in this table."""
    return next((int(_TABLE.unpack(row[6])[6]) for row in rows if row[0] == 0), 0)


def _survivor(patterns: dict[int, Row], id: int) -> int:
    while (into := patterns[id][5]) is not None and into in patterns:
        id = into
    return id


class _Lines:
    """The masked lines of a pattern that stay."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._by_word: dict[str, set[int]] | None = None
        self._told: dict[str, bool] = {}

    def tell(self, template: str) -> bool:
        """Whether one of them has all words of a template."""
        found = self._told.get(template)  # patterns that were found to be one show the same
        if found is None:
            found = self._told[template] = self._tell(template)
        return found

    def _tell(self, template: str) -> bool:
        words = set(template.split(" ")) - {_SLOT}
        plain = {word for word in words if _SLOT not in word}
        slotted = [re.compile(".*".join(map(re.escape, word.split(_SLOT))), re.DOTALL) for word in words - plain]
        with_plain = self._with(plain)
        return any(
            all(any(one.fullmatch(word) for word in self.texts[at].split(" ")) for one in slotted) for at in with_plain
        )

    def _with(self, words: set[str]) -> Iterable[int]:
        """The lines that have some words."""
        if not words:
            return range(len(self.texts))
        if self._by_word is None:
            self._by_word = {}
            for at, text in enumerate(self.texts):
                for word in set(text.split(" ")):
                    self._by_word.setdefault(word, set()).add(at)
        rarest = sorted((self._by_word.get(word, set()) for word in words), key=len)
        return set.intersection(*rarest)

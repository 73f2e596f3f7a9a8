"""Sessions by lists and sets, without bounds of memory and without a filter."""

from __future__ import annotations

from collections import Counter
from typing import Any


class Sessions:
    """What a table of sessions says, in the order in which it says it."""

    def __init__(self, ngram: int, exact: bool, learn: bool, limit: int, length: int, idle: int) -> None:
        self.ngram, self.exact, self.learn, self.limit, self.length, self.idle = (
            ngram,
            exact,
            learn,
            limit,
            length,
            idle,
        )
        self.known: set[Any] = set()
        self.open: list[tuple[tuple[str, str], list[tuple[int, int]]]] = []  # (input, pattern), longest silent first
        self.orders: dict[tuple[str, str], int] = {}
        self.ended: list[tuple[Any, ...]] = []
        self.inputs = 0

    def observe(self, scope: str, name: str, pattern: int) -> tuple[int, ...] | None:
        self.inputs += 1
        key = scope, name
        inputs = next((found for other, found in self.open if other == key), [])
        self.open = [one for one in self.open if one[0] != key]
        inputs.append((self.inputs, pattern))
        self.open.append((key, inputs))
        last = tuple(id for _, id in inputs[-self.ngram :])
        novel = None
        if len(last) == self.ngram and 0 not in last and ("order", scope, last) not in self.known:
            novel = last
            self.orders[key] = self.orders.get(key, 0) + 1
            if self.learn:
                self.known.add(("order", scope, last))
        if len(inputs) >= self.length:
            self.end(key, "length")
        while len(self.open) > self.limit:
            self.end(self.open[0][0], "room")
        while self.idle and self.open and self.inputs - self.open[0][1][-1][0] > self.idle:
            self.end(self.open[0][0], "idle")
        return novel

    def end(self, key: tuple[str, str], why: str) -> None:
        inputs = next(found for other, found in self.open if other == key)
        self.open = [one for one in self.open if one[0] != key]
        ids = [id for _, id in inputs]
        counts = Counter(id for id in ids if id)
        told = frozenset((id, n if self.exact else n > 1 and len(f"{n}")) for id, n in counts.items())
        entry = ("counts", self.exact, key[0], told)
        novel = bool(counts) and entry not in self.known
        if self.learn and 0 not in ids:
            self.known.add(entry)
        self.ended.append((key[1], key[0], len(ids), self.orders.pop(key, 0), novel, dict(counts), 0 not in ids, why))

"""What ``sophia._core.stretch`` must keep of a stream, and what its texts say."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from sophia._core.pattern import mask

TEXT = 1000
ENTRIES = 512
OTHERS = 4


@dataclass
class Entry:
    n: int
    source: str
    line: int
    texts: list[str]
    count: int = 1

    @property
    def masked(self) -> str:
        first = mask(self.texts[0])
        words = first.split()
        for other in self.texts[1:]:
            theirs = mask(other).split()
            if len(theirs) == len(words):
                words = [one if one == two else "<*>" for one, two in zip(words, theirs, strict=True)]
        return first if words == first.split() else " ".join(words)

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(re.findall(r"[^\W\d_]{3,24}", self.masked.lower())))

    def gain(self, weights: dict[str, float]) -> float:
        told = 0.0
        for word in self.words:
            told += weights.get(word, 0.0)
        return math.log2(1 + self.count) * told / math.sqrt(4 + len(self.words))


@dataclass
class Stretch:
    newest: int
    entries: dict[int, Entry] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)
    every: int = 1
    single: int = 0

    def add(self, pattern: int, n: int, source: str, line: int, text: str | None) -> None:
        if not pattern:
            return
        text = (text or "")[:TEXT]
        if pattern > self.newest:
            self.fresh.add(pattern)
        if pattern in self.entries:
            entry = self.entries[pattern]
            entry.count += 1
            if math.log2(entry.count).is_integer() and len(entry.texts) <= OTHERS and text != entry.texts[0]:
                entry.texts.append(text)
            return
        self.single += 1
        if self.single % self.every == 0:
            self.entries[pattern] = Entry(n, source, line, [text])
        if len(self.entries) > ENTRIES:
            self.thin()

    def thin(self) -> None:
        once = [pattern for pattern, entry in self.entries.items() if entry.count == 1]
        gone: Iterable[int]
        if len(once) >= ENTRIES // 4:
            self.every *= 2
            gone = once[::2]
        else:
            gone = sorted(self.entries, key=lambda pattern: (self.entries[pattern].count, pattern))[: ENTRIES // 2]
        for pattern in gone:
            del self.entries[pattern]

    def words(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in self.entries.values():
            for word in entry.words:
                found[word] = found.get(word, 0) + (entry.count if entry.count > 1 else self.every)
        return found

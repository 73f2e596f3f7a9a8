"""The exact cache with a dict for its index: what is kept, what is evicted, and how many bytes it counts."""

from __future__ import annotations

from dataclasses import dataclass

ENTRY = 144
SCOPE = 64


def tables(max_entries: int) -> int:
    cells = 16
    while cells < 2 * max_entries:
        cells *= 2
    return 12 * max_entries + 9 * cells


@dataclass
class Entry:
    key: bytes
    raw: bytes
    value: bytes | None
    expires: float | None
    recent: bool = False

    @property
    def block(self) -> int:
        size = ENTRY + len(self.key) + len(self.raw) + len(self.value or b"")
        return (size + 15) // 16 * 16


@dataclass
class Scope:
    """The entries of one scope, the next to be evicted first."""

    entries: list[Entry]

    @property
    def weight(self) -> int:
        return sum(entry.block for entry in self.entries).bit_length()


class Cache:
    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self.max_bytes, self.max_entries = max_bytes, max_entries
        self.where: dict[bytes, tuple[bytes, Entry]] = {}
        self.scopes: dict[bytes, Scope] = {}
        self.rings: dict[int, list[bytes]] = {}  # scopes by weight, each behind those that came before
        self.evicted: list[bytes] = []

    @property
    def nbytes(self) -> int:
        blocks = sum(entry.block for _, entry in self.where.values())
        return tables(self.max_entries) + blocks + SCOPE * len(self.scopes)

    def _move(self, name: bytes, before: int, after: int) -> None:
        if before == after:
            return
        if before:
            self.rings[before].remove(name)
        if after:
            self.rings.setdefault(after, []).append(name)

    def _remove(self, key: bytes) -> bool:
        if key not in self.where:
            return False
        name, entry = self.where.pop(key)
        scope = self.scopes[name]
        before = scope.weight
        scope.entries = [other for other in scope.entries if other is not entry]
        self._move(name, before, scope.weight)
        if not scope.entries:
            del self.scopes[name]
        return True

    def _evict(self, mine: bytes) -> None:
        heaviest = max(weight for weight, names in self.rings.items() if names)
        name = mine if mine in self.scopes and self.scopes[mine].weight == heaviest else self.rings[heaviest][0]
        entries = self.scopes[name].entries
        while entries[0].recent:
            entries[0].recent = False
            entries.append(entries.pop(0))
        self.evicted.append(entries[0].key)
        self._remove(entries[0].key)

    def put(self, key: bytes, raw: bytes, value: bytes | None, expires: float | None, scope: bytes = b"") -> bool:
        entry = Entry(key, raw, value, expires)
        self._remove(key)
        room = self.max_bytes - tables(self.max_entries) - SCOPE
        if ENTRY + 15 + len(key) + len(raw) + len(value or b"") > room:
            return False
        while (
            len(self.where) == self.max_entries
            or entry.block + SCOPE * (scope not in self.scopes) > self.max_bytes - self.nbytes
        ):
            self._evict(scope)
        owner = self.scopes.setdefault(scope, Scope([]))
        before = owner.weight
        owner.entries.append(entry)
        self._move(scope, before, owner.weight)
        self.where[key] = (scope, entry)
        return True

    def find(self, key: bytes, now: float) -> Entry | None:
        if key not in self.where:
            return None
        entry = self.where[key][1]
        if entry.expires is not None and now >= entry.expires:
            self._remove(key)
            return None
        entry.recent = True
        return entry

    def drop(self, key: bytes) -> bool:
        return self._remove(key)

    def clear(self) -> None:
        self.__init__(self.max_bytes, self.max_entries)  # type: ignore[misc]

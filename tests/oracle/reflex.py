"""The exact cache with a dict for its index: what is kept, what is evicted, and how many bytes it counts."""

from __future__ import annotations

from dataclasses import dataclass

ENTRY = 120


def tables(max_entries: int) -> int:
    cells = 16
    while cells < 2 * max_entries:
        cells *= 2
    return 12 * max_entries + 8 * cells


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


class Cache:
    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self.max_bytes, self.max_entries = max_bytes, max_entries
        self.nbytes = tables(max_entries)
        self.where: dict[bytes, int] = {}
        self.slots: list[Entry | None] = []
        self.vacant: list[int] = []
        self.hand = 0
        self.evicted: list[bytes] = []

    def _remove(self, key: bytes) -> bool:
        if key not in self.where:
            return False
        slot = self.where.pop(key)
        entry = self.slots[slot]
        assert entry is not None
        self.nbytes -= entry.block
        self.slots[slot] = None
        self.vacant.append(slot)
        return True

    def _evict(self) -> None:
        while True:
            entry = self.slots[self.hand]
            self.hand = (self.hand + 1) % len(self.slots)
            if entry is None:
                continue
            if not entry.recent:
                self.evicted.append(entry.key)
                self._remove(entry.key)
                return
            entry.recent = False

    def put(self, key: bytes, raw: bytes, value: bytes | None, expires: float | None) -> bool:
        entry = Entry(key, raw, value, expires)
        self._remove(key)
        if ENTRY + 15 + len(key) + len(raw) + len(value or b"") > self.max_bytes - tables(self.max_entries):
            return False
        while len(self.where) == self.max_entries or entry.block > self.max_bytes - self.nbytes:
            self._evict()
        if self.vacant:
            slot = self.vacant.pop()
            self.slots[slot] = entry
        else:
            slot = len(self.slots)
            self.slots.append(entry)
        self.where[key] = slot
        self.nbytes += entry.block
        return True

    def find(self, key: bytes, now: float) -> Entry | None:
        if key not in self.where:
            return None
        entry = self.slots[self.where[key]]
        assert entry is not None
        if entry.expires is not None and now >= entry.expires:
            self._remove(key)
            return None
        entry.recent = True
        return entry

    def drop(self, key: bytes) -> bool:
        return self._remove(key)

    def clear(self) -> None:
        self.__init__(self.max_bytes, self.max_entries)  # type: ignore[misc]

"""What a cuckoo filter must answer: a counter of (lower bucket, tag), without buckets, moves or a stash.

Two items with the same tag and pair of buckets are one item to a filter, so the model gives its false
positives too. It does not know when a table runs out of room.
"""

from __future__ import annotations

from collections import Counter

from oracle.hash import MASK, A, hash_bytes, mix64

COPIES = 8


def table_size(capacity: int) -> int:
    lanes = capacity + capacity // 22 + capacity // 600 + 4
    size = -(-lanes // 4)
    return max(4, size + size % 2)


def partner(bucket: int, tag: int, size: int) -> int:
    spread = tag * 0x9E3779B1 & 0xFFFFFFFF
    return (2 * (spread * (size // 2) >> 32) + 1 - bucket) % size


def key_hash(key: str | bytes | int, seed: int) -> int:
    if isinstance(key, str):
        kind, raw = 1, key.encode("utf-8", "surrogatepass")
    elif isinstance(key, bytes):
        kind, raw = 2, key
    elif 0 <= key <= MASK:
        return key
    else:
        kind, raw = 3, key.to_bytes(key.bit_length() // 8 + 1, "little", signed=True)
    return hash_bytes(raw, mix64((seed + kind) & MASK))[0]


def place(hash: int, size: int, seed: int) -> tuple[int, int]:
    """(lower bucket, tag)"""
    mixed = mix64(hash ^ mix64((seed + A) & MASK))
    tag = 1 + ((mixed & 0xFFFFFFFF) * 65535 >> 32)
    first = (mixed >> 32) * size >> 32
    return min(first, partner(first, tag, size)), tag


class Model:
    """The observable behaviour of CuckooFilter."""

    def __init__(self, capacity: int, seed: int = 0) -> None:
        self.size = table_size(capacity)
        self.seed = seed
        self.items: Counter[tuple[int, int]] = Counter()

    def _place(self, key: str | bytes | int) -> tuple[int, int]:
        return place(key_hash(key, self.seed), self.size, self.seed)

    def add(self, key: str | bytes | int) -> bool:
        at = self._place(key)
        if self.items[at] >= COPIES:
            return False
        self.items[at] += 1
        return True

    def __contains__(self, key: str | bytes | int) -> bool:
        return self.items[self._place(key)] > 0

    def discard(self, key: str | bytes | int) -> bool:
        at = self._place(key)
        if not self.items[at]:
            return False
        self.items[at] -= 1
        return True

    def __len__(self) -> int:
        return self.items.total()

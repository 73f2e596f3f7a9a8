"""Mutations of seeds, the same each time: what the default suite has instead of a fuzzer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

__all__ = ["mutations"]

_TELLING = (b"\0", b"\n", b"\r", b'"', b"\\", b"\xff", b"\x7f", b"\xc3", b"\xed\xa0\x80", b"\xff" * 4, b"\0" * 8, b"0")
_MOST = 1 << 14


def mutations(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` inputs: each a seed after one to four changes."""
    rng = random.Random(seed)
    for _ in range(count):
        data = rng.choice(seeds)
        for _ in range(rng.randint(1, 4)):
            data = rng.choice(_CHANGES)(data, rng, seeds)[:_MOST]
        yield data


def _flip(data: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _overwrite(data: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    new = rng.choice((rng.randbytes(1), rng.choice(_TELLING)))
    return data[:at] + new + data[at + len(new) :]


def _insert(data: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice((rng.randbytes(rng.randint(1, 8)), rng.choice(_TELLING))) + data[at:]


def _remove(data: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + data[at + rng.randint(1, 16) :]


def _cut(data: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _repeat(data: bytes, rng: random.Random, _: Sequence[bytes]) -> bytes:
    first, last = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    return data[:last] + data[first:last] * rng.randint(1, 3) + data[last:]


def _splice(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    other = rng.choice(seeds)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


_CHANGES = (_flip, _overwrite, _insert, _remove, _cut, _repeat, _splice)

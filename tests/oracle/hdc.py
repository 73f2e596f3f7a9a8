"""Hypervectors as plain lists of -1 and +1 (bit 1 is -1), one component at a time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from oracle.encode import tie_seed

MASK = (1 << 64) - 1


def mix64(x: int) -> int:
    x ^= x >> 32
    x = x * 0xE9846AF9B1A615D & MASK
    x ^= x >> 32
    x = x * 0xE9846AF9B1A615D & MASK
    return x ^ (x >> 28)


def pack(components: Sequence[int]) -> bytes:
    """Bit i of the result is component i."""
    bits = 0
    for i, component in enumerate(components):
        if component < 0:
            bits |= 1 << i
    return bits.to_bytes((len(components) + 7) // 8, "little")


def unpack(data: bytes, dim: int) -> list[int]:
    bits = int.from_bytes(data, "little")
    return [-1 if bits >> i & 1 else 1 for i in range(dim)]


def bind(a: Sequence[int], b: Sequence[int]) -> list[int]:
    return [x * y for x, y in zip(a, b, strict=True)]


def permute(a: Sequence[int], shifts: int) -> list[int]:
    dim = len(a)
    return [a[(i - shifts) % dim] for i in range(dim)]


def hamming(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def bundle(vectors: Sequence[Sequence[int]], weights: Sequence[int] | None = None) -> list[int]:
    """The majority; an equal vote is decided by a hash of the counts of its word of 64 components."""
    weights = [1] * len(vectors) if weights is None else weights
    net = sum(weights)
    dim = len(vectors[0])
    sums = [sum(w * v[i] for w, v in zip(weights, vectors, strict=True)) for i in range(dim)]
    result = []
    for i, value in enumerate(sums):
        if value:
            result.append(1 if value > 0 else -1)
            continue
        word = i // 64
        counts = [(net - value) // 2 for value in sums[64 * word : 64 * word + 64]]
        tie = mix64(tie_seed(counts) ^ ((word + 1) * 0x9E3779B97F4A7C15 & MASK))
        result.append(-1 if tie >> (i % 64) & 1 else 1)
    return result


def topk(distances: Sequence[Fraction | float], k: int) -> list[int]:
    """Row numbers by (distance, row)."""
    return sorted(range(len(distances)), key=lambda row: (distances[row], row))[:k]

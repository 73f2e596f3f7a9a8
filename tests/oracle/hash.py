"""The keyed 128-bit hash of include/hash.h, in plain integers."""

from __future__ import annotations

MASK = (1 << 64) - 1
A = 0x6A09E667F3BCC909
B = 0xBB67AE8584CAA73B
C = 0x3C6EF372FE94F82B
D = 0xA54FF53A5F1D36F1


def fold(a: int, b: int) -> int:
    product = a * b
    return (product & MASK) ^ (product >> 64)


def mix64(x: int) -> int:
    x ^= x >> 32
    x = x * 0xE9846AF9B1A615D & MASK
    x ^= x >> 32
    x = x * 0xE9846AF9B1A615D & MASK
    return x ^ (x >> 28)


def hash_bytes(data: bytes, key: int) -> tuple[int, int]:
    """(low, high) of the hash of `data` under the 64-bit `key`."""
    a, b = key ^ A, mix64((key + B) & MASK)
    at = 0
    while len(data) - at > 16:
        x = int.from_bytes(data[at : at + 8], "little")
        y = int.from_bytes(data[at + 8 : at + 16], "little")
        a = fold(x ^ a, y ^ C)
        b = (fold(y ^ b, x ^ D) + a) & MASK
        at += 16
    x = int.from_bytes(data[at : at + 8], "little")
    y = int.from_bytes(data[at + 8 :], "little")
    a = fold(x ^ a, y ^ C) ^ len(data)
    b = (fold(y ^ b, x ^ D) + len(data)) & MASK
    return mix64((a + fold(b, A)) & MASK), mix64((b + fold(a, B)) & MASK)

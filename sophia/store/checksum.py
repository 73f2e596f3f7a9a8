"""Checksums of the store's rows: a bit that turned must not become an answer, a pattern or an input.

Answers have a cryptographic one, since they are what is served; the others a CRC over every column and the length of
every part, which costs well under a microsecond and finds every fault of up to 32 neighbouring bits.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import Any
from zlib import crc32

from sophia.store.changes import Answer

__all__ = [
    "digest_of",
    "of_answer",
    "of_blob",
    "of_memory",
    "of_meta",
    "of_output",
    "of_pattern",
    "of_segment",
    "of_strength",
    "sound_answer",
]


_MEMORY = Struct("<2q2d9q2?")
_STRENGTH = Struct("<qdq")


def digest_of(key: bytes, policy_version: str) -> bytes:
    """What the answer under `key` and a policy is found by."""
    return blake2b(key, digest_size=16, key=policy_version.encode()).digest()


def of_answer(answer: Answer) -> bytes:
    """Over everything that a row of `answers` says."""
    parts = (answer.key, answer.raw, (answer.text or "").encode(), answer.name.encode(), answer.policy_version.encode())
    total = blake2b(repr(answer.expires).encode(), digest_size=16)
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.digest()


def sound_answer(row: tuple[Any, ...]) -> Answer | None:
    """The answer of a row (key, raw, answer, name, policy, expires, checksum) whose texts were read as blobs, or None
    where it is not what was stored."""
    try:
        key, raw, text, name, policy, expires, kept = row
        answer = Answer(key, raw, text.decode(), name.decode(), policy.decode(), expires)
        return answer if of_answer(answer) == kept else None
    except (AttributeError, TypeError, ValueError):  # a damaged row may hold any type; ValueError: no UTF-8
        return None


def of_pattern(row: tuple[Any, ...]) -> int:
    """Over a row of `patterns`: (id, template, count, first_n, last_n, merged_into, state)."""
    number, template, count, first_n, last_n, merged, state = row
    text = template.encode()
    return crc32(state, crc32(text, crc32(b"%r" % ((number, count, first_n, last_n, merged, len(text)),))))


def of_blob(number: int, name: str, data: bytes) -> int:
    """Over a row of `dumps` (number 0), `log` or `pending`."""
    return crc32(data, crc32(f"{number} {name} {len(data)}".encode()))


def of_memory(row: tuple[Any, ...]) -> int:
    """Over a row of `memories`: everything but the checksum; see `MemoryRow.values`."""
    id, scope, context, actor, kind, tags, ts, valence, strength, raised, text, answer, dim, vector = row
    names = "\0".join((scope, context, actor, kind, tags)).encode()
    said, replied = b"" if text is None else text.encode(), b"" if answer is None else answer.encode()
    sizes = len(scope), len(context), len(actor), len(kind), len(names), len(said), len(replied)
    numbers = _MEMORY.pack(id, ts, valence, strength, raised, dim, *sizes, text is None, answer is None)
    return crc32(vector, crc32(replied, crc32(said, crc32(names, crc32(numbers)))))


def of_strength(row: tuple[Any, ...]) -> int:
    """Over a row of `strengths`: (id, strength, raised)."""
    return crc32(_STRENGTH.pack(*row))


def of_segment(row: tuple[Any, ...]) -> int:
    """Over a row of `segments`: (first, last, count, dim, rows, words)."""
    *numbers, rows, words = row
    return crc32(words, crc32(rows, crc32(b"%r %d" % (numbers, len(rows)))))


def of_output(row: tuple[Any, ...]) -> int:
    """Over a row of `outputs`: (path, kind, run)."""
    path, kind, run = row
    return crc32(path, crc32(f"{len(path)} {kind} {run}".encode()))


def of_meta(name: str, value: str) -> int:
    """Over a row of `meta`."""
    return crc32(f"{len(name)} {name} {value}".encode())

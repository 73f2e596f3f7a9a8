"""Damaged files of item memories: refused, or whole: written as they were, and searched without a fault."""

from __future__ import annotations

import struct
import tempfile
from functools import cache
from hashlib import blake2b
from pathlib import Path

from fuzz.dumps import loaded
from fuzz.tape import Tape
from sophia.hdc import MODELS, ItemMemory, Space

HEADER = 256
SEAL = HEADER - 16


def seeds() -> list[bytes]:
    edits = (
        b"",
        struct.pack("<HQ", 16, 128),  # dim
        struct.pack("<HQ", 32, 2),  # rows
        struct.pack("<HQ", 40, 0),  # bytes of a row
        struct.pack("<HQ", 64, 1 << 40),  # bytes of the file
        struct.pack("<HQ", 8, 2),  # format
        struct.pack("<HQ", HEADER + 8, 0xFFFFFFFF),
    )
    return [bytes([mode]) + edit for mode in range(8) for edit in edits] + [b"\x08" + _file("bsc", False)]


def check(data: bytes) -> None:
    tape = Tape(data)
    mode = tape.number(9)
    if mode < 8:  # a whole one, edited here and there
        body = bytearray(_file(MODELS[mode & 3], mode > 3))
        while tape:
            at = tape.number(65535) % len(body)
            new = tape.take(8)[: len(body) - at]
            body[at : at + len(new)] = new
        file = bytes(body)
    else:
        file = tape.rest()
    if mode != 9 and len(file) >= HEADER:
        file = _sealed(file)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "items")
        path.write_bytes(file)
        memory = loaded(lambda _: ItemMemory.load(path), file)
        if memory is None:
            return
        again = Path(folder, "again")
        memory.save(again)
        assert ItemMemory.load(again).keys == memory.keys
        one = memory.space.random("query")
        if len(memory):
            assert len(memory.top_k(one, 3)) == min(3, len(memory))
        memory.cleanup(one) if len(memory) else memory.add("new", one)


def _sealed(file: bytes) -> bytes:
    """The file with its checksums made right again, where its header says that there are rows and keys."""
    body = bytearray(file)
    keys_begin = int.from_bytes(body[56:64], "little")
    if HEADER <= keys_begin <= len(body):
        body[72:88] = blake2b(body[HEADER:keys_begin], digest_size=16).digest()
        body[88:104] = blake2b(body[keys_begin:], digest_size=16).digest()
    body[SEAL:HEADER] = blake2b(body[:SEAL], digest_size=16).digest()
    return bytes(body)


@cache
def _file(model: str, named: bool) -> bytes:
    space = Space(model, 64, seed=1)
    memory = ItemMemory(space)
    memory.add_many(space.random_rows(3, "x"), ["a", 5, "\ud800"] if named else None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "items")
        memory.save(path)
        return path.read_bytes()

"""Damaged readouts: refused, or whole: dumped as they were, and scoring without a fault."""

from __future__ import annotations

import math
import struct
from functools import cache

import numpy as np
from oracle.hash import hash_bytes

from fuzz.dumps import loaded
from fuzz.tape import Tape
from sophia._core.lexical import LexicalEncoder
from sophia._core.readout import Readout
from sophia._core.training import Examples, Weights

KEY = 0x534F50485F524F31
TEXTS = ["turn the light on", "what time is it", "play a song"]
HEADER = 96


def seeds() -> list[bytes]:
    edits = (
        b"",
        struct.pack("<HI", 12, 0xFFFFFFFF),  # dim
        struct.pack("<HI", 16, 4),  # classes: the stride is of three
        struct.pack("<HI", 20, 0x00040602),  # grams
        struct.pack("<HI", 9, 1),  # format
        struct.pack("<HI", 1000, 0xFFFFFFFF),
    )
    return [bytes([mode]) + edit for mode in range(4) for edit in edits] + [b"\x04" + _rows(3)[:-16]]


def check(data: bytes) -> None:
    tape = Tape(data)
    mode = tape.number(5)
    if mode < 4:  # a whole one, edited here and there
        body = bytearray((_texts if mode & 1 else _rows)(3 if mode & 2 else 40)[:-16])
        while tape:
            at = tape.number(65535)
            new = tape.take(4)
            at = at % HEADER if at & 1 else at % len(body)
            body[at : at + len(new)] = new
        dump = bytes(body)
    else:
        dump = tape.rest()
    if mode != 5:
        dump += struct.pack("<QQ", *hash_bytes(dump, KEY))
    readout = loaded(lambda raw: Readout.load(bytes(raw)), dump)
    if readout is None:
        return
    assert readout.dump() == dump
    if readout.encoder is None:
        rows = np.ones((2, readout.dim), dtype=np.int8)
        scores = readout.score_rows(rows)
        assert scores.shape == (2, readout.classes)
        return
    for text in (*TEXTS, "", "unknown words"):
        scores = readout.scores([text])[0]
        assert len(scores) == readout.classes
        assert all(map(math.isfinite, scores))
        first, *_ = readout.best_of(text)
        assert 0 <= first < readout.classes
        parts, bias = readout.explain(text, first)
        assert math.isclose(sum(part for *_, part in parts) + bias, scores[first], rel_tol=1e-9, abs_tol=1e-9)


@cache
def _texts(classes: int) -> bytes:
    encoder = LexicalEncoder(64)
    encoder.observe(TEXTS)
    weights = Weights(encoder, classes)
    weights.train(Examples(encoder, TEXTS, [0, 1, 2]), seed=1)
    return Readout([weights]).dump()


@cache
def _rows(classes: int) -> bytes:
    rows = np.where(np.random.default_rng(1).random((3, 64)) < 0.5, -1, 1).astype(np.int8)
    weights = Weights(64, classes)
    weights.train(Examples.from_rows(rows, [0, 1, 2]), seed=1)
    return Readout([weights]).dump()

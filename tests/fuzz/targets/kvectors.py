"""K-Vectors from blobs of doubles: refused, or compared as the oracle compares them."""

from __future__ import annotations

import math
import pickle
import struct

import numpy as np
from oracle import kindex as oracle

from fuzz.tape import Tape
from sophia._core import kindex
from sophia._core.kindex import KVector
from sophia.errors import ShapeError

MEASURES = ("cosine", "centred", "euclidean")


def seeds() -> list[bytes]:
    def blob(*values: float) -> bytes:
        return struct.pack(f"<{len(values)}d", *values)

    nan = math.nan
    return [
        b"\0" + blob(*[0.5] * 16),
        b"\1" + blob(0, 1, 0.25, nan, nan, 1e-320, 0.75, 1, *[0.1 * i for i in range(8)], *[nan] * 8),
        b"\2" + blob(*[0.0] * 8, *[1.0] * 8, 2, -1, math.inf, 0, 0, 0, 0, 0),
        b"\2" + blob(1, 2, 3),
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    measure = tape.pick(MEASURES)
    raw = tape.rest()[: 8 * 8 * 40]
    values = np.frombuffer(raw[: len(raw) // 8 * 8], np.float64)
    if len(values) % 8:
        try:
            kindex.similarities(KVector(), values.reshape(1, -1), measure)
        except ShapeError:
            return
        raise AssertionError("rows that are no eight doubles were taken")
    rows = values.reshape(-1, 8)
    bad = [x for x in values.tolist() if not math.isnan(x) and not 0 <= x <= 1]
    try:
        kindex.check_rows(rows)
    except ValueError:
        assert bad
        return
    assert not bad
    vectors = [KVector.of([None if math.isnan(x) else x for x in row]) for row in rows.tolist()]
    if not vectors:
        return
    scores = kindex.similarities(rows, rows, measure)
    for i, a in enumerate(vectors[:6]):
        assert pickle.loads(pickle.dumps(a)) == a
        one = {"cosine": kindex.cosine, "centred": kindex.centred, "euclidean": kindex.euclidean}[measure]
        for j, b in enumerate(vectors):
            expected = oracle.similarity(tuple(rows[i].tolist()), tuple(rows[j].tolist()), measure)
            assert scores[i, j] == one(a, b) == expected
    index, best = kindex.top_k(rows[:3], rows, 5, measure)
    assert (best[:, :-1] >= best[:, 1:]).all()
    assert (np.take_along_axis(scores[:3], index, 1) == best).all()

"""Vectors from bytes: an equal vector, or ShapeError."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from fuzz.tape import Tape
from sophia._core import hdc
from sophia._core.vector import Hypervector, SharedVector
from sophia.errors import ShapeError

MODELS = ("BSC", "MAP")


def seeds() -> list[bytes]:
    made = []
    for model, dim in (("BSC", 100), ("MAP", 70), ("BSC", 512)):
        raw = hdc.random("a", dim=dim, model=model).tobytes()
        made += [bytes([MODELS.index(model), mode]) + dim.to_bytes(2, "little") + raw for mode in range(5)]
    return made


def check(data: bytes) -> None:
    tape = Tape(data)
    model, mode = tape.pick(MODELS), tape.number(4)
    dim = tape.number(0xFFFF)
    raw = tape.rest()
    try:
        made = _made(mode, raw, dim, model)
    except ShapeError as error:
        assert str(error)
        return
    assert made.dim == dim >= 64
    payload = raw[: len(made.tobytes())]
    if mode < 2:
        assert made.tobytes().startswith(payload)
    assert made == made.copy()
    assert pickle.loads(pickle.dumps(made)) == made
    assert SharedVector.from_bytes(made.tobytes(), dim, made.model) == made.freeze()
    assert hdc.similarity(made, made) == 1.0
    assert hdc.bind(hdc.bind(made, made), made) == made


def _made(mode: int, raw: bytes, dim: int, model: str) -> Any:
    if mode == 0:
        return Hypervector.from_bytes(raw, dim, model)
    if mode == 1:
        return SharedVector.from_bytes(raw, dim, model, 7)
    kind = {2: np.uint8, 3: np.int8, 4: np.uint64}[mode]
    array = np.frombuffer(raw[: len(raw) // np.dtype(kind).itemsize * np.dtype(kind).itemsize], kind)
    return Hypervector.from_buffer(array, dim, clear_padding=len(raw) % 2 == 1)

"""Hyperdimensional computing: spaces of hypervectors in four models, and what encodes values as vectors of them.

>>> from sophia.hdc import Space
>>> space = Space("bsc")
>>> cat, dog = space.random("cat"), space.random("dog")
>>> round(space.similarity(space.bundle(cat, dog), cat), 1)
0.5
"""

from __future__ import annotations

from sophia._core.accumulator import Accumulator
from sophia._core.arena import HDCArena
from sophia._core.record import RecordEncoder
from sophia._core.sequence import NgramEncoder, SequenceEncoder
from sophia._core.vector import Hypervector
from sophia.hdc.space import MODELS, Space

__all__ = [
    "MODELS", "Accumulator", "HDCArena", "Hypervector", "NgramEncoder", "RecordEncoder", "SequenceEncoder", "Space",
]  # fmt: skip

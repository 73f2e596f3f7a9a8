"""Hyperdimensional computing: spaces of hypervectors in four models, what encodes values as vectors of them, structures
of one vector each, item memories, and resonator networks.

>>> from sophia.hdc import Space
>>> space = Space("bsc")
>>> cat, dog = space.random("cat"), space.random("dog")
>>> round(space.similarity(space.bundle(cat, dog), cat), 1)
0.5
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sophia._core.accumulator import Accumulator
from sophia._core.arena import HDCArena
from sophia._core.hdc import dot, hamming, topk
from sophia._core.record import RecordEncoder
from sophia._core.sequence import NgramEncoder, SequenceEncoder
from sophia._core.vector import Hypervector
from sophia.hdc.space import MODELS, Cleaned, Space

if TYPE_CHECKING:
    from sophia.hdc.encoders import Circular, FractionalPower, Level, Projection, Sinusoid, Thermometer
    from sophia.hdc.memory import Hit, ItemMemory
    from sophia.hdc.resonator import Factors, resonate
    from sophia.hdc.sensor import SensorAnomaly
    from sophia.hdc.structures import (
        BindSequence,
        BundleSequence,
        DistinctSequence,
        Graph,
        HashTable,
        Multiset,
        Sequence,
        Tree,
        ngrams,
    )
    from sophia.hdc.sums import Sums

__all__ = [
    "MODELS",
    "Accumulator",
    "BindSequence",
    "BundleSequence",
    "Circular",
    "Cleaned",
    "DistinctSequence",
    "Factors",
    "FractionalPower",
    "Graph",
    "HDCArena",
    "HashTable",
    "Hit",
    "Hypervector",
    "ItemMemory",
    "Level",
    "Multiset",
    "NgramEncoder",
    "Projection",
    "RecordEncoder",
    "SensorAnomaly",
    "Sequence",
    "SequenceEncoder",
    "Sinusoid",
    "Space",
    "Sums",
    "Thermometer",
    "Tree",
    "dot",
    "hamming",
    "ngrams",
    "resonate",
    "topk",
]

# These need numpy, which takes longer to load than all of the core; they load on first use (PEP 562).
_HOME = {
    "Circular": "encoders",
    "FractionalPower": "encoders",
    "Level": "encoders",
    "Projection": "encoders",
    "Sinusoid": "encoders",
    "Thermometer": "encoders",
    "Hit": "memory",
    "ItemMemory": "memory",
    "Factors": "resonator",
    "resonate": "resonator",
    "SensorAnomaly": "sensor",
    "BindSequence": "structures",
    "BundleSequence": "structures",
    "DistinctSequence": "structures",
    "Graph": "structures",
    "HashTable": "structures",
    "Multiset": "structures",
    "Sequence": "structures",
    "Tree": "structures",
    "ngrams": "structures",
    "Sums": "sums",
}


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        where = f"; it is in {__name__}.learn" if name.startswith("HDC") else ""
        message = f"module {__name__!r} has no attribute {name!r}{where}"
        raise AttributeError(message)
    from importlib import import_module

    found: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found

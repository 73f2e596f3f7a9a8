"""Sophia: a small brain for programs on a plain CPU.

Public names load on first use (PEP 562), so ``import sophia`` costs milliseconds. Start with :func:`open`::

    >>> import sophia
    >>> with sophia.open(None) as brain:
    ...     brain.route("How do I turn on dark mode?").route
    'deep_thought'
"""

from __future__ import annotations

TYPE_CHECKING = False  # a type checker takes it for true; the typing module costs 9 ms
if TYPE_CHECKING:
    from sophia._core.arena import HDCArena as HDCArena
    from sophia._core.cuckoo import CuckooFilter as CuckooFilter
    from sophia._core.decision import Decision as Decision
    from sophia._core.kindex import KVector as KVector
    from sophia._core.pattern import PatternTable as PatternTable
    from sophia._core.vector import Hypervector as Hypervector
    from sophia._core.vector import SharedVector as SharedVector
    from sophia.brain import Sophia as Sophia
    from sophia.config import Settings as Settings
    from sophia.errors import SophiaError as SophiaError
    from sophia.forgetting import Forgotten as Forgotten
    from sophia.forgetting import forget_scope as forget_scope
    from sophia.opening import open as open
    from sophia.organs.hippocampus import Hippocampus as Hippocampus
    from sophia.organs.intents import Intents as Intents
    from sophia.organs.memory_reader import MemoryReader as MemoryReader
    from sophia.store.session_table import Session as Session

__version__ = "0.1.0"

_HOME = {
    "CuckooFilter": "sophia._core.cuckoo",
    "Decision": "sophia._core.decision",
    "Forgotten": "sophia.forgetting",
    "HDCArena": "sophia._core.arena",
    "Hippocampus": "sophia.organs.hippocampus",
    "Hypervector": "sophia._core.vector",
    "Intents": "sophia.organs.intents",
    "KVector": "sophia._core.kindex",
    "MemoryReader": "sophia.organs.memory_reader",
    "PatternTable": "sophia._core.pattern",
    "Session": "sophia.store.session_table",
    "Settings": "sophia.config",
    "SharedVector": "sophia._core.vector",
    "Sophia": "sophia.brain",
    "SophiaError": "sophia.errors",
    "forget_scope": "sophia.forgetting",
    "open": "sophia.opening",
}

__all__ = [
    "CuckooFilter",
    "Decision",
    "Forgotten",
    "HDCArena",
    "Hippocampus",
    "Hypervector",
    "Intents",
    "KVector",
    "MemoryReader",
    "PatternTable",
    "Session",
    "Settings",
    "SharedVector",
    "Sophia",
    "SophiaError",
    "__version__",
    "forget_scope",
    "open",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        message = f"module 'sophia' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

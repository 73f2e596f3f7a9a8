"""Tables of what was seen that may start anew at no cost but thought: a dump, and a log of what changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sophia._core.cuckoo import GenerationalFilter
from sophia._core.idf import IdfTable
from sophia.config import Settings
from sophia.errors import StoreCorrupt
from sophia.store.drift_table import DriftTable
from sophia.store.rhythm_table import RhythmTable
from sophia.store.session_table import SessionTable

__all__ = ["NAMES", "WORDS_BOUND", "empty", "load", "rebuild", "replay"]

WORDS_BOUND = 1 << 16
"""Different words that are counted before birth."""

_LOADERS: dict[str, Callable[[bytes, int], Any]] = {
    "familiar": lambda dump, changes: GenerationalFilter.load(dump, track_changes=changes),
    "idf": lambda dump, _: IdfTable.load(dump),
    "sessions": lambda dump, changes: SessionTable.load(dump, track=bool(changes)),
    "words": lambda dump, _: IdfTable.load(dump),
    "drift": lambda dump, _: DriftTable.load(dump),
    "rhythms": lambda dump, changes: RhythmTable.load(dump, track=bool(changes)),
}

NAMES = tuple(_LOADERS)
"""Their names in the tables `dumps` and `log`, and in Thalamus."""


def load(name: str, dump: bytes, *, track_changes: int = 0) -> Any:
    """The table of a dump. StoreCorrupt for bytes that are none."""
    return _LOADERS[name](dump, track_changes)


def replay(name: str, table: Any, changes: bytes) -> None:
    """Applies one entry of the log. StoreCorrupt where it does not fit; what came before it stays applied."""
    if name == "familiar":
        table.apply_changes(changes)
    elif name in ("sessions", "rhythms"):
        table.replay(changes)
    elif name == "drift":
        message = "the drift has no log"
        raise StoreCorrupt(message)
    else:
        table.apply(int.from_bytes(changes[:8], "little", signed=True), changes[8:])


def empty(name: str) -> Any:
    """How a derived table begins that has no dump yet, under the usual settings."""
    settings = Settings()
    if name == "familiar":
        return GenerationalFilter(settings.familiar_capacity, seed=settings.seed)
    if name == "sessions":
        return SessionTable(seed=settings.seed)
    if name == "rhythms":
        return RhythmTable()
    if name == "drift":
        return DriftTable(seed=settings.seed)
    return IdfTable(seed=settings.seed, bound=WORDS_BOUND) if name == "words" else IdfTable(seed=settings.seed)


def rebuild(name: str, dump: bytes | None, log: Iterable[bytes]) -> Any:
    """The table as it stands after its dump, or from an empty one, and the whole log."""
    table = empty(name) if dump is None else load(name, dump)
    for changes in log:
        replay(name, table, changes)
    return table

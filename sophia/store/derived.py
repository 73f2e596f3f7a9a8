"""Tables of what was seen that may start anew at no cost but thought: a dump, and a log of what changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sophia._core.cuckoo import GenerationalFilter
from sophia._core.idf import IdfTable
from sophia.store.session_table import SessionTable

__all__ = ["NAMES", "load", "rebuild", "replay"]

_LOADERS: dict[str, Callable[[bytes, int], Any]] = {
    "familiar": lambda dump, changes: GenerationalFilter.load(dump, track_changes=changes),
    "idf": lambda dump, _: IdfTable.load(dump),
    "sessions": lambda dump, changes: SessionTable.load(dump, track=bool(changes)),
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
    elif name == "sessions":
        table.replay(changes)
    else:
        table.apply(int.from_bytes(changes[:8], "little", signed=True), changes[8:])


def rebuild(name: str, dump: bytes | None, log: Iterable[bytes], empty: Callable[[], Any]) -> Any:
    """The table as it stands after its dump, or from `empty()`, and the whole log."""
    table = empty() if dump is None else load(name, dump)
    for changes in log:
        replay(name, table, changes)
    return table

"""Tables of what was seen that may start anew at no cost but thought: a dump, and a log of what changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn

from sophia._core.cuckoo import GenerationalFilter
from sophia._core.idf import IdfTable
from sophia._core.rhythm import RhythmTable
from sophia.config import Settings
from sophia.errors import StoreCorrupt
from sophia.store.drift_table import DriftTable
from sophia.store.sensor_table import SensorTable
from sophia.store.session_table import SessionTable

__all__ = ["KINDS", "NAMES", "WORDS_BOUND", "Kind", "empty", "load", "rebuild", "replay"]

WORDS_BOUND = 1 << 16
"""Different words that are counted before birth."""


class Kind(NamedTuple):
    """What can be done with a table of one name.

    `load` makes it of a dump, and keeps so many bytes of its changes; `empty` under settings; `replay` applies an entry
    of its log, StoreCorrupt where that does not fit; `changes` is what has to be added to the log, None where it has to
    be dumped; `facts` are told to people.
    """

    load: Callable[[bytes, int], Any]
    empty: Callable[[Settings], Any]
    replay: Callable[[Any, bytes], None]
    changes: Callable[[Any], bytes | None]
    facts: Callable[[Any], dict[str, Any]]


def _word_changes(table: IdfTable) -> bytes:
    documents, records = table.changes()
    return documents.to_bytes(8, "little", signed=True) + records if documents or records else b""


def _replay_words(table: IdfTable, changes: bytes) -> None:
    table.apply(int.from_bytes(changes[:8], "little", signed=True), changes[8:])


def _no_log(_table: DriftTable, _changes: bytes) -> NoReturn:
    message = "the drift has no log"
    raise StoreCorrupt(message)


def _words(bound: int) -> Kind:
    return Kind(
        load=lambda dump, _: IdfTable.load(dump),
        empty=lambda settings: IdfTable(seed=settings.seed, bound=bound),
        replay=_replay_words,
        changes=_word_changes,
        facts=lambda table: {"documents": table.documents, "words": len(table)},
    )


KINDS = {
    "familiar": Kind(
        load=lambda dump, kept: GenerationalFilter.load(dump, track_changes=kept),
        empty=lambda settings: GenerationalFilter(settings.familiar_capacity, seed=settings.seed),
        replay=lambda table, changes: table.apply_changes(changes),
        changes=lambda table: table.drain_changes(),
        facts=lambda table: {
            "items": len(table),
            "capacity": table.capacity,
            "load": round(table.load_factor, 4),
        },
    ),
    "idf": _words(1 << 20),
    "sessions": Kind(
        load=lambda dump, kept: SessionTable.load(dump, track=bool(kept)),
        empty=lambda settings: SessionTable(seed=settings.seed),
        replay=lambda table, changes: table.replay(changes),
        changes=lambda table: table.changes(),
        facts=lambda table: {"open": len(table), "known": table.known},
    ),
    "sensors": Kind(
        load=lambda dump, kept: SensorTable.load(dump, track=bool(kept)),
        empty=lambda _: SensorTable(),
        replay=lambda table, changes: table.replay(changes),
        changes=lambda table: table.changes(),
        facts=lambda table: {"sensors": len(table), "channels": table.channels},
    ),
    "words": _words(WORDS_BOUND),
    "drift": Kind(
        load=lambda dump, _: DriftTable.load(dump),
        empty=lambda settings: DriftTable(seed=settings.seed),
        replay=_no_log,
        changes=lambda table: None if table.changed else b"",
        facts=lambda table: {"windows": table.windows},
    ),
    "rhythms": Kind(
        load=lambda dump, kept: RhythmTable.load(dump, track=bool(kept)),
        empty=lambda _: RhythmTable(),
        replay=lambda table, changes: table.replay(changes),
        changes=lambda table: table.changes(),
        facts=lambda table: {"patterns": len(table)},
    ),
}

NAMES = tuple(KINDS)
"""Their names in the tables `dumps` and `log`, and in Thalamus."""


def load(name: str, dump: bytes, *, track_changes: int = 0) -> Any:
    """The table of a dump. StoreCorrupt for bytes that are none."""
    return KINDS[name].load(dump, track_changes)


def replay(name: str, table: Any, changes: bytes) -> None:
    """Applies one entry of the log. StoreCorrupt where it does not fit; what came before it stays applied."""
    KINDS[name].replay(table, changes)


def empty(name: str) -> Any:
    """How a derived table begins that has no dump yet, under the usual settings."""
    return KINDS[name].empty(Settings())


def rebuild(name: str, dump: bytes | None, log: Iterable[bytes]) -> Any:
    """The table as it stands after its dump, or from an empty one, and the whole log."""
    table = empty(name) if dump is None else load(name, dump)
    for changes in log:
        replay(name, table, changes)
    return table

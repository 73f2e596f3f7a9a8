"""The long-term index of a store's memories: filled in steps, made anew when it disagrees, asked where that helps."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

from sophia.errors import SophiaError, StoreCorrupt, StoreFailed
from sophia.organs.memory_finding import Known, Near
from sophia.organs.memory_index import Choice
from sophia.organs.memory_pieces import stride_of
from sophia.store.archive import ArchiveTable, Filter, available, of_lancedb
from sophia.store.store import Store

__all__ = ["LongTerm", "resident"]

_STEP = 10_000  # memories that it takes at a time
_LONG = 100_000  # memories up to which texts are read rather than asked for
_HITS = 10_000  # texts with some words; where there are more, the latest are found sooner by reading

_Told = TypeVar("_Told")


def resident() -> int:
    """Bytes of vectors that a recall reads from end to end, if nothing else is said: four fifths of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 4 // 5


class LongTerm:
    """What a :class:`~sophia.organs.hippocampus.Hippocampus` does with the table of :mod:`sophia.store.archive`. Each
    call needs the lock of the store, and keeps it; without lancedb there is no table. The first call that opens the
    table reads all of its files once, to compare their digests.

    `count` is how many memories the table has, `rebuilt` how often it had to be made anew. Vectors of more than
    `scan_limit` bytes are more than can be read for a recall.
    """

    def __init__(self, store: Store, dim: int, scan_limit: int) -> None:
        self._store, self._dim, self._scan_limit = store, dim, scan_limit
        self._table: ArchiveTable | None = None
        self._failed = False
        self.count = 0
        self.rebuilt = 0

    def note(self) -> None:
        """Looks at what the store says of it."""
        state = self._store.archive_state
        self.count = 0 if state is None else state.count

    def step(self, least: int) -> int | None:
        """Takes the next memories, at least so many; or makes one piece of several, or an index of the vectors where
        they are more than can be read. How many it took, None where there is nothing to do.

        Raises StoreFailed where it cannot be written.
        """
        if not available():
            return None
        self._failed = False
        try:
            table = self.table()
            found = list(islice(self._store.memories(0 if table is None else table.state.last), _STEP))
            rows = [row for row in found if row is not None and row.dim == self._dim]
            if rows and len(found) >= least:
                if table is None:
                    table = self._table = ArchiveTable(self._store.path, self._dim, None)
                table.append(rows)
            elif table is None:
                return None
            elif table.pieces > 1:
                rows = []
                table.compact()
            elif table.divisible and self._exceeds(table.state.count):
                rows = []
                table.divide()
            else:
                return None
        except SophiaError:
            raise
        except BaseException as error:
            self._table = None
            if not of_lancedb(error):
                raise
            message = f"the long-term index of {self._store.path} cannot be written: {error}"
            raise StoreFailed(message) from error
        self._store.note_archive(table.state)
        self.note()
        return len(rows)

    def table(self) -> ArchiveTable | None:
        """The table, if there is one. One that is damaged is dropped, to be made anew."""
        state = self._store.archive_state
        if state is None:
            self._table = None
        elif self._table is None or self._table.state != state:
            try:
                self._table = ArchiveTable(self._store.path, self._dim, state)
                if self._table.state != state:  # a writer that was killed had left more, which is gone now
                    self._store.note_archive(self._table.state)
            except StoreCorrupt as error:
                self.rebuilt += 1
                self._store.notes.append(f"the long-term index is made anew: {error}")
                self._store.drop_archive()
                self._table = None
                self.note()
        return self._table

    def knows(self) -> bool:
        """Whether it is worth asking for words."""
        return self.count >= _LONG and not self._failed and available()

    def nears(self) -> bool:
        """Whether it is worth asking for vectors: they are more than can be read."""
        return self._exceeds(self.count) and not self._failed and available()

    def _exceeds(self, rows: int) -> bool:
        return rows * stride_of(self._dim) > self._scan_limit

    def known(self, words: Sequence[str], choice: Choice) -> Known | None:
        """Which of the chosen memories have all of some words; None where it cannot tell."""

        def ask(table: ArchiveTable) -> Known | None:
            return Known(table.state.last, table.having(words, _filter(choice), _HITS))

        return self._ask(ask)

    def near(self, vectors: Sequence[bytes], k: int, choice: Choice) -> Near | None:
        """The k nearest of the chosen memories to each vector, as far as it finds them; None where it cannot tell."""

        def ask(table: ArchiveTable) -> Near | None:
            import numpy as np

            if choice.tags or choice.valence is not None:
                return None
            found = []
            for vector in vectors:
                one = table.nearest(np.frombuffer(vector, dtype=np.uint8), k, _filter(choice), divided=True)
                if one is None:
                    return None
                found.append(one)
            return Near(table.state.last, found)

        return self._ask(ask)

    def _ask(self, ask: Callable[[ArchiveTable], _Told | None]) -> _Told | None:
        """What the table says. One that cannot be asked is not asked again before the next step."""
        try:
            table = self.table()
            return None if table is None else ask(table)
        except BaseException as error:
            self._table = None
            if not of_lancedb(error):
                raise
            self._failed = True
            self._store.notes.append(f"the long-term index cannot be asked: {error}")
            return None


def _filter(choice: Choice) -> Filter:
    return Filter(choice.scope, choice.context, choice.actor, choice.kinds, choice.since, choice.until)

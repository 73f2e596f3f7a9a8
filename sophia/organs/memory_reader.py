"""A store's memories for those who only read them: in any process, while another one writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, time
from typing import Any

from sophia.errors import StoreCorrupt
from sophia.organs.memory_content import ContentReader
from sophia.organs.memory_search import MemorySearch
from sophia.store.folder import StoreFolder
from sophia.store.memories import COLUMNS, MOST_ID, sound, strengths
from sophia.store.memory_row import MemoryRow
from sophia.store.segments import SegmentEntry, entries
from sophia.store.view import StoreView

__all__ = ["MemoryReader"]

_LOADED = 4096  # memories that are read at a time
_SINCE = 3  # format of the store that has memories
_MAPPED = 4  # and segments


class MemoryReader(MemorySearch):
    """The memories of a store, open for reading. Make one with :meth:`open`; any number may be open, and one writer.

    What others remember or forget is seen by the first call that comes `interval` seconds or more after the last look.
    Strengths are those of when a memory was first seen; reading changes nothing.
    """

    _others = True

    def __init__(
        self,
        folder: StoreFolder,
        view: StoreView,
        dim: int,
        interval: float,
        clock: Callable[[], float],
        texts: str,
        workers: int,
    ) -> None:
        super().__init__(dim, clock, texts, workers)
        self._folder = folder
        self._interval = interval
        self._attach(view)
        self._seen = monotonic()
        self._refresh()

    def _attach(self, view: StoreView) -> None:
        """Starts anew with a database of which nothing is known yet."""
        self._view = view
        self._file = self._folder.file.stat()
        self._reader = ContentReader(_dim_of(view))
        self._begin()

    def _begin(self) -> None:
        super()._begin()
        self._version: Any = None
        self._last = 0
        self._forgotten: str | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        interval: float = 1.0,
        texts: str = "words",
        workers: int = 1,
        clock: Callable[[], float] = time,
    ) -> MemoryReader:
        """Opens the store in the folder `path`; `texts` and `workers` as for :meth:`sophia.Hippocampus.open`.

        Raises InputError where there is none, StoreVersionError for one of a newer format, StoreCorrupt for one that
        cannot be read.
        """
        if not interval >= 0:
            message = f"interval is {interval}; it is seconds, 0 or more"
            raise ValueError(message)
        folder = StoreFolder(Path(path))
        folder.require()
        view = StoreView(folder.file)
        try:
            return cls(folder, view, _dim_of(view), interval, clock, texts, workers)
        except BaseException:
            view.close()
            raise

    def stats(self) -> dict[str, Any]:
        """Facts, for JSON; keys may be added and are never renamed."""
        self._look()
        with self._lock:
            return {
                "memories": len(self),
                "dim": self.dim,
                "interval": self._interval,
                "damaged": self._damaged,
                "rebuilt": self._rebuilt,
                "last_id": self._last,
                "index_bytes": self._index.nbytes + self._texts.nbytes,
            }

    def close(self) -> None:
        """May be called twice."""
        with self._lock:
            self._closed = True
            self._view.close()
        self._aside.close()
        self._scanners.close()

    def _look(self) -> None:
        super()._look()
        with self._lock:
            super()._look()
            if monotonic() - self._seen >= self._interval:
                self._seen = monotonic()
                self._refresh()

    def _refresh(self) -> None:
        """Takes in what was committed since the last time."""
        self._folder.require()
        if self._view.format < _SINCE or not os.path.samestat(self._folder.file.stat(), self._file):
            # Of an older format, or repaired or restored meanwhile: the one that is there now is another.
            view = StoreView(self._folder.file)
            self._view.close()
            self._attach(view)
        version = self._view.execute("PRAGMA data_version")
        if (version == self._version and not self._stale) or self._view.format < _SINCE:
            return
        if self._stale or self.dim != _dim_of(self._view):
            self._stale = True
            self._attach(self._view)
        if self._version is None:
            self._begin()  # what was broken off is begun anew
            self._forgotten = self._view.meta("forgotten")  # before what it counts: it may rise meanwhile
            self._fill(_ViewSource(self._folder.path, self._view))
            self._last = self._index.last
        for rows in _pages(self._view, self._last, MOST_ID):
            self._load([sound(row) for row in rows])
            self._last = rows[-1][0]
        forgotten = self._view.meta("forgotten")
        if forgotten != self._forgotten:
            there = {id for (id,) in self._view.execute("SELECT id FROM memories")}
            for id in self._index.ids().tolist():
                if id not in there:
                    self._index.remove(id)
            self._forgotten = forgotten
        self._version = version
        self._stale = False


class _ViewSource:
    """The memories of a view."""

    def __init__(self, path: Path, view: StoreView) -> None:
        self.path = path
        self._view = view

    def segments(self) -> list[SegmentEntry]:
        """The segments that count."""
        return entries(self._view.execute("SELECT * FROM segments ORDER BY first")) if self._mapped else []

    def memories(self, after: int, upto: int) -> Iterator[MemoryRow | None]:
        """Rows by id; None for a damaged one."""
        for rows in _pages(self._view, after, upto):
            yield from map(sound, rows)

    def strengths(self) -> dict[int, tuple[float, int]]:
        """What recalls have made of strengths."""
        return strengths(self._view.execute("SELECT * FROM strengths")) if self._mapped else {}

    @property
    def _mapped(self) -> bool:
        return self._view.format >= _MAPPED


def _pages(view: StoreView, after: int, upto: int) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of memories by id, some at a time."""
    query = f"SELECT {COLUMNS} FROM memories WHERE id > ? AND id <= ? ORDER BY id LIMIT {_LOADED}"
    while rows := view.execute(query, after, upto):
        yield rows
        after = rows[-1][0]


def _dim_of(view: StoreView) -> int:
    kept = view.meta("dim") or "10000"
    if not (kept.isascii() and kept.isdigit() and 0 < int(kept) < 1 << 31):
        message = f"the store {view.file} is damaged: its dimension is {kept!r}; use sophia store repair"
        raise StoreCorrupt(message)
    return int(kept)

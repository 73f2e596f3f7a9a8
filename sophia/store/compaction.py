"""A store without its holes: expired answers go, and the file is written anew as small as it can be."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import time

from sophia.store import schema
from sophia.store.exchange import exchange
from sophia.store.faults import guarded
from sophia.store.folder import StoreFolder, need_room
from sophia.store.lock import locked
from sophia.store.view import StoreView

__all__ = ["Compaction", "compact"]


@dataclass(frozen=True, slots=True)
class Compaction:
    """Bytes of the database and its log before and after, and how many answers had expired."""

    path: str
    before: int
    after: int
    expired: int

    def as_dict(self) -> dict[str, object]:
        """For JSON; keys may be added and are never renamed."""
        return {name: getattr(self, name) for name in self.__slots__}


def compact(path: Path, *, clock: Callable[[], float] = time) -> Compaction:
    """Deletes expired answers and rewrites the store `path` without free pages, its log written back.

    A new file takes the old one's place, so it needs as much free room as the store is large, which is looked at
    first: StoreFailed leaves all as it was. StoreCorrupt for a damaged store, StoreLocked for one that is open for
    writing elsewhere. Killed at any moment it leaves the old file or the new.
    """
    folder = StoreFolder(path)
    folder.require()
    StoreView(folder.file).close()  # a database of somebody else's, or of a newer format, is not touched
    with locked(folder.lock):
        folder.clear_leftovers()
        before = folder.database_bytes()
        need_room(path, before)
        part = folder.new_part()
        try:
            with guarded(folder.file):
                connection = sqlite3.connect(folder.file, isolation_level=None)
                try:
                    schema.prepare(connection, str(folder.file))
                    expired = connection.execute(
                        "DELETE FROM answers WHERE expires > 0 AND expires <= ?", (clock(),)
                    ).rowcount
                    connection.execute("VACUUM INTO ?", (str(part),))
                finally:
                    connection.close()
            exchange(folder, part)
        finally:
            folder.clear_leftovers()
        return Compaction(str(path), before, folder.database_bytes(), expired)

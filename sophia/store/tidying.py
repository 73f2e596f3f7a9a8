"""Derived files of a store that no table names: they hold what was deleted, or what was never said to count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sophia.errors import StoreFailed
from sophia.store.archive import ArchiveState, remove_archive
from sophia.store.segments import SegmentEntry, remove_others

__all__ = ["tidy"]


def tidy(folder: Path, entries: Sequence[SegmentEntry], state: ArchiveState | None) -> list[StoreFailed]:
    """Removes files of other segments than these, and the long-term index where nothing is noted of one; what cannot be
    removed. The caller holds the lock of the store."""
    failed = []
    try:
        remove_others(folder, entries)
    except StoreFailed as error:
        failed.append(error)
    try:
        if state is None:
            remove_archive(folder)
    except StoreFailed as error:
        failed.append(error)
    return failed

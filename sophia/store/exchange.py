"""One database takes another's place: a kill at any moment leaves the old contents or the new, never neither."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sophia.store.folder import StoreFolder, need_room
from sophia.store.pages import Pages
from sophia.whole_file import sync

__all__ = ["exchange"]


def exchange(folder: StoreFolder, new: Path, aside: str | None = None) -> Path | None:
    """Puts the whole database `new`, which lies in the folder, in the place of the folder's own.

    The caller holds the lock and has no connection open. With `aside` ("damaged" or "replaced") the old files go
    unchanged into a folder of that name and the date, which is returned; else they are deleted.

    The log belongs to the old database by its name only, so it must be gone before the new one stands there; and
    what it holds must be in the old one before it is gone.
    """
    if folder.file.exists():
        if folder.wal.exists() and folder.wal.stat().st_size:
            need_room(folder.path, folder.database_bytes())
        shutil.copymode(folder.file, new)
    kept = _set_aside(folder, aside) if aside is not None and folder.file.exists() else None
    sync(new)
    if folder.file.exists() and folder.wal.exists() and folder.wal.stat().st_size:
        _write_back(folder)
    for gone in (folder.wal, folder.shm):
        gone.unlink(missing_ok=True)
    sync(folder.path)
    new.replace(folder.file)
    sync(folder.path)
    return kept


def _set_aside(folder: StoreFolder, word: str) -> Path:
    kept = folder.new_aside(word)
    for file in (folder.file, folder.wal, folder.ack):
        if file.exists():
            try:
                (kept / file.name).hardlink_to(file)
            except OSError:  # a file system without links
                need_room(folder.path, file.stat().st_size)
                shutil.copy2(file, kept / file.name)
                sync(kept / file.name)
    sync(kept)
    sync(folder.path)
    return kept


def _write_back(folder: StoreFolder) -> None:
    """The old database with the pages of its log in place, as SQLite itself would have written it back one day.

    A copy of it, since the old file may be the very one that was set aside.
    """
    with Pages(folder.file, folder.wal) as pages:
        if not pages.newer:
            return
        with folder.merged.open("wb") as out:
            for page in pages.whole():
                out.write(page)
            out.flush()
            os.fsync(out.fileno())
    shutil.copymode(folder.file, folder.merged)
    folder.merged.replace(folder.file)
    sync(folder.path)

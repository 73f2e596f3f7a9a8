"""The folder of a store: which files belong there, what they weigh, and how much room is left."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sophia.errors import InputError, StoreFailed

__all__ = [
    "CHRONICLE",
    "DATABASE",
    "JOURNAL",
    "LANCE",
    "LOCK",
    "PART",
    "SEGMENTS",
    "WAL",
    "StoreFolder",
    "need_room",
    "open_own",
]

DATABASE = "sophia.db"
WAL = DATABASE + "-wal"
SHM = DATABASE + "-shm"
LOCK = "lock"
PART = DATABASE + ".part"
"""A database that is being written; it takes the place of the store's when it is whole."""
MERGED = DATABASE + ".merged"

ACK = "ack"
SEGMENTS = "segments"
"""The folder of memories that can be mapped; see :mod:`sophia.store.segments`."""
LANCE = "lance"
"""The folder of the long-term index; see :mod:`sophia.store.archive`."""

JOURNAL = "decisions"
"""The folder of decisions that were told; see :mod:`sophia.store.journal`."""

CHRONICLE = "weaver.duckdb"
"""Tables of the journal, to be asked in SQL; see :mod:`sophia.store.chronicle`. Beside it a log, and a folder for what
does not fit into memory."""

_OWN = {DATABASE, WAL, SHM, LOCK, ACK, SEGMENTS, LANCE, JOURNAL, CHRONICLE, CHRONICLE + ".wal", CHRONICLE + ".tmp"}
_LEFTOVER = re.compile(rf"{re.escape(DATABASE)}\.(part|merged)(-wal|-shm|-journal)?")
_ASIDE = re.compile(r"(damaged|replaced)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d+)?")
# What Store itself sets aside when it opens: one log, one record.
_KEPT = re.compile(rf"({re.escape(WAL)}|{re.escape(CHRONICLE)}(\.wal)?|pending-\d+)\.\d{{4}}-[\d-]+T[\d.-]+Z\.damaged")
# Kept free beside what is written: directory entries, other programs.
_MARGIN = 1 << 20


class StoreFolder:
    """The folder `path`. Nothing is opened or changed but by the methods that say so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / DATABASE
        self.wal = path / WAL
        self.shm = path / SHM
        self.lock = path / LOCK
        self.ack = path / ACK
        self.part = path / PART
        self.merged = path / MERGED

    def require(self) -> None:
        """InputError where there is no store at all."""
        if not self.path.exists():
            message = f"there is no store {self.path}; `sophia run --store {self.path}` makes one"
        elif not self.path.is_dir():
            message = f"{self.path} is not a folder, so it is no store; name the folder with --store"
        elif not self.file.exists():
            message = f"the folder {self.path} is not a store (it has no {DATABASE}); name another with --store"
        elif not self.file.is_file():
            message = f"{self.file} is not a file, so {self.path} is no store; name another folder with --store"
        elif self.file.stat().st_size == 0 and (not self.wal.exists() or self.wal.stat().st_size == 0):
            message = f"the store {self.path} is empty: nothing was written to it yet; the next run fills it"
        else:
            return
        raise InputError(message)

    def files(self) -> dict[str, int]:
        """Size by name of the store's own files, those set aside and leftovers of a killed command too.

        Not the index of the log, which SQLite makes for whoever reads, and drops.
        """
        found = {}
        for file in sorted(self.path.rglob("*")):
            if file.is_file() and file.name != SHM and _known(file.relative_to(self.path).parts[0]):
                with suppress(FileNotFoundError):  # a process that writes may let it go meanwhile
                    found[str(file.relative_to(self.path))] = file.stat().st_size
        return found

    def foreign(self) -> list[str]:
        """Names of what sophia did not put there."""
        return sorted(entry.name for entry in self.path.iterdir() if not _known(entry.name))

    def aside(self) -> list[str]:
        """Names of what was damaged or replaced and kept."""
        return sorted(e.name for e in self.path.iterdir() if _ASIDE.fullmatch(e.name) or _KEPT.fullmatch(e.name))

    def chronicle(self) -> list[Path]:
        """The tables of the journal, and what is beside them."""
        return [path for end in ("", ".wal", ".tmp") if os.path.lexists(path := self.path / f"{CHRONICLE}{end}")]

    def leftovers(self) -> list[Path]:
        """Unfinished files of a command that was killed."""
        return sorted(entry for entry in self.path.iterdir() if _LEFTOVER.fullmatch(entry.name))

    def new_part(self) -> Path:
        """An empty file for a database that is being made, closed to other users. The caller holds the lock."""
        self.clear_leftovers()
        self.part.touch(mode=0o600)
        return self.part

    def clear_leftovers(self) -> None:
        """Removes them. The caller holds the lock, so nobody is writing them now."""
        for leftover in self.leftovers():
            leftover.unlink()

    def written(self) -> float:
        """When the store was last written to, as seconds since the epoch."""
        times = [file.stat().st_mtime for file in (self.file, self.wal) if file.exists() and file.stat().st_size]
        return max(times, default=self.file.stat().st_mtime)

    def database_bytes(self) -> int:
        """Bytes of the database and its log: no copy of it needs more."""
        return sum(file.stat().st_size for file in (self.file, self.wal) if file.exists())

    def faults(self) -> list[str]:
        """Permissions that will make trouble, each with its cure."""
        found = []
        if self.path.stat().st_mode & stat.S_IWOTH and not self.path.stat().st_mode & stat.S_ISVTX:
            found.append(f"every user may write to {self.path}; chmod o-w it")
        for file in (self.path, self.file, self.wal, self.lock, self.ack):
            if file.exists() and not os.access(file, os.W_OK):
                found.append(f"this user may not write to {file}; it can be read only")
        return found

    def new_aside(self, word: str) -> Path:
        """Makes a folder with a dated name for what is replaced; `word` is "damaged" or "replaced"."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        for attempt in range(1, 1000):
            folder = self.path / (f"{word}-{stamp}" if attempt == 1 else f"{word}-{stamp}-{attempt}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            folder.chmod(self.path.stat().st_mode & 0o777)
            return folder
        message = f"{self.path} has 1000 folders {word}-{stamp}; move them away"
        raise StoreFailed(message)


def need_room(folder: Path, size: int) -> None:
    """StoreFailed, before anything is written, where the disk of `folder` has no room for `size` bytes."""
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < size + _MARGIN:
        message = (
            f"this needs {size + _MARGIN:,} free bytes on the disk of {folder}, which has {free:,}; "
            "nothing was changed; make room and try again"
        )
        raise StoreFailed(message)


def open_own(path: Path, flags: int) -> int:
    """Opens a file of the store, made when `flags` say so: a file, no link, FIFO or device that stands in its place."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"{path.name} is not a regular file")
    return descriptor


def _known(name: str) -> bool:
    return name in _OWN or any(kind.fullmatch(name) for kind in (_LEFTOVER, _ASIDE, _KEPT))

"""The journal: every decision that was told, as its line of JSON, in numbered files of the store's folder `decisions`.

What is made of decisions afterwards (tables to ask, chapters) is made from these lines, and can be made anew. A line is
appended before it is told, and cut off again by the next opening where it was not: after a kill the journal has exactly
what was told. It is not forced to the disk, so a power failure may cost its last lines.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import time
from typing import NamedTuple

from sophia.errors import StoreFailed
from sophia.store.folder import JOURNAL, StoreFolder, open_own

__all__ = ["Journal", "JournalFile", "journal_files", "set_aside"]

_NAME = re.compile(r"decisions-(\d{8})\.jsonl")
_LINE = re.compile(rb'\{"run": (\d{1,18}), "at": \d{1,18}\.\d{3}, "n": (\d{1,18}), ')
_SIZE = 1 << 24
_CHUNK = 1 << 16
_IN_THE_WAY = 100
_RESERVE = 1 << 26  # bytes of the disk that are left to the store and to what is told


class JournalFile(NamedTuple):
    """One file; the larger its number, the newer. `bytes` and when it was `written` (seconds since the epoch) as it was
    looked at."""

    number: int
    path: Path
    bytes: int
    written: float


def journal_files(folder: Path) -> list[JournalFile]:
    """The files of the journal in the store `folder`, the oldest first; works while another process writes. StoreFailed
    where they cannot be looked at."""
    try:
        return _files(folder)
    except OSError as error:
        message = f"{folder / JOURNAL} cannot be read ({error.strerror or error}); look at its permissions"
        raise StoreFailed(message) from error


def _files(folder: Path) -> list[JournalFile]:
    found = []
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder / JOURNAL) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            if name is not None and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # the oldest may go meanwhile
                    looked = entry.stat()
                    found.append(JournalFile(int(name[1]), Path(entry.path), looked.st_size, looked.st_mtime))
    return sorted(found)


def set_aside(folder: Path) -> Path | None:
    """Keeps the whole journal of the store `folder` under a dated name; where, if there is one."""
    if not (folder / JOURNAL).is_dir():
        return None
    kept = StoreFolder(folder).new_aside("replaced") / JOURNAL
    (folder / JOURNAL).rename(kept)
    return kept


class Journal:
    """Appends to the journal of a store. The caller holds the store's lock; one call at a time.

    A file has at most `size` bytes, or one batch. When all of them come to more than `most`, the oldest go; so do those
    that nothing was written to for `retention` seconds (0: they stay). What cannot be written is not in the journal,
    whole batches of it, and neither is what would leave the disk less than 64 MB: `dropped` counts the lines, and
    `fault` says why. Nothing of that is an error of what is decided.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as store:
        ...     journal = Journal(Path(store))
        ...     journal.append(3, 1.5, ['{"n": 1, "route": "reflex"}', '{"n": 2, "route": "cortical"}'])
        ...     journal.cut(3, 2)  # the second was never told
        ...     journal.close()
        ...     [file.path.read_text() for file in journal_files(Path(store))]
        True
        1
        ['{"run": 3, "at": 1.500, "n": 1, "route": "reflex"}\\n']
    """

    def __init__(
        self,
        folder: Path,
        *,
        most: int = 1 << 30,
        size: int = _SIZE,
        retention: float = 0.0,
        clock: Callable[[], float] = time,
    ) -> None:
        self.folder = folder / JOURNAL
        self._most = most
        self._size = min(size, most)
        self._retention = retention
        self._clock = clock
        self._descriptor = -1
        self._written = 0  # bytes of the file that is open
        self.dropped = 0
        """Lines that could not be written."""
        self.fault: str | None = None
        """Why the last of them could not."""

    def append(self, run: int, at: float, lines: list[str]) -> bool:
        """Adds the records of a batch that run `run` decided `at` that time (seconds since the epoch), in order, each
        an object that begins with `n`; ASCII, without line ends. False where none of them could be written."""
        head = f'{{"run": {run}, "at": {max(0.0, min(at, 1e15)):.3f}, '
        data = "".join([f"{head}{line[1:]}\n" for line in lines]).encode("ascii")
        try:
            self._check_room(len(data))
            if self._descriptor < 0 or self._written + len(data) > self._size:
                self._begin_file(len(data))
            self._write(data)
        except (OSError, StoreFailed) as error:
            self.dropped += len(lines)
            self.fault = getattr(error, "strerror", None) or str(error)
            return False
        return True

    def last(self) -> tuple[int, int] | None:
        """Run and number of the last record, if there is one. StoreFailed or OSError where the files cannot be read."""
        for file in reversed(journal_files(self.folder.parent)):
            for _, line in _backwards(file):
                if (found := _told(line)) is not None:
                    return found
        return None

    def cut(self, run: int, n: int) -> int:
        """Takes away what comes after the records of a batch that was told in part: those of `run` from `n` on, of
        later runs, and a line that is not whole. How many. StoreFailed or OSError where the files cannot be read, or
        the last not be cut."""
        gone = 0
        for file in reversed(journal_files(self.folder.parent)):
            keep, found = _kept(file, run, n)
            gone += found
            if keep < file.bytes:
                self.close()
                os.truncate(file.path, keep)
            if keep:
                break
        return gone

    def close(self) -> None:
        """Closes the file; the next append opens it again."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):
                os.close(descriptor)

    def _begin_file(self, need: int) -> None:
        """The newest file, where it has room, else a new one; the oldest go where there are too many bytes."""
        self.close()
        self.folder.mkdir(exist_ok=True)
        files = journal_files(self.folder.parent)
        oldest = self._clock() - self._retention if self._retention else 0.0
        room = self._most - max(self._size, need) - sum(file.bytes for file in files)
        left = []
        for file in files:
            if room < 0 or file.written < oldest:
                file.path.unlink(missing_ok=True)
                room += file.bytes
            else:
                left.append(file)
        newest = left[-1] if left else None
        if newest is not None and newest.bytes + need <= self._size and not _torn(newest):
            self._descriptor = open_own(newest.path, os.O_WRONLY | os.O_APPEND)
            self._written = newest.bytes
        else:
            self._descriptor = self._new_file(files[-1].number + 1 if files else 1)
            self._written = 0

    def _check_room(self, need: int) -> None:
        """OSError where so many bytes are more than the journal may have, or the disk can spare."""
        if need > self._most:
            raise OSError(errno.EFBIG, "a batch is larger than the journal may be")
        disk = os.statvfs(self.folder.parent)
        if disk.f_bavail * disk.f_frsize < need + _RESERVE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _new_file(self, number: int) -> int:
        """A descriptor of the first file from `number` on in whose place nothing else stands."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        for other in range(number, number + _IN_THE_WAY):
            with suppress(FileExistsError):
                return open_own(self.folder / f"decisions-{other:08}.jsonl", flags)
        raise FileExistsError(errno.EEXIST, f"{_IN_THE_WAY} others stand in the place of a new file")

    def _write(self, data: bytes) -> None:
        """All of it or nothing."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except BaseException:
            try:
                os.ftruncate(self._descriptor, self._written)
            except OSError:  # what is there of it ends this file: the next is a new one
                self.close()
            raise
        self._written += len(data)


def _told(line: bytes) -> tuple[int, int] | None:
    """Run and number of a record; None for what is none."""
    found = _LINE.match(line)
    return None if found is None or not line.endswith(b"\n") else (int(found[1]), int(found[2]))


def _kept(file: JournalFile, run: int, n: int) -> tuple[int, int]:
    """How many bytes of a file stay, and how many lines do not: its end is looked at, backwards. What somebody else has
    put there, whole, stays, and all before it."""
    keep, gone = file.bytes, 0
    for start, line in _backwards(file):
        told = _told(line)
        if line.endswith(b"\n") and (told is None or told < (run, n)):
            break
        keep, gone = start, gone + 1
    return keep, gone


def _torn(file: JournalFile) -> bool:
    """Whether the last line of a file is not whole."""
    return any(not line.endswith(b"\n") for _, line in [next(_backwards(file), (0, b"\n"))])


def _backwards(file: JournalFile) -> Iterator[tuple[int, bytes]]:
    """The lines of a file from the last one on, with the bytes before each."""
    with file.path.open("rb") as opened:
        at = end = file.bytes
        parts: list[bytes] = []  # of the line whose beginning was not found yet, the last first
        while at > 0:
            start = max(0, at - _CHUNK)
            opened.seek(start)
            chunk, at = opened.read(at - start), start
            while (cut := chunk.rfind(b"\n", 0, len(chunk) - (not parts))) >= 0:
                parts.append(chunk[cut + 1 :])
                chunk = chunk[: cut + 1]
                line = b"".join(reversed(parts))
                parts.clear()
                yield end - len(line), line
                end -= len(line)
            parts.append(chunk)
        if end:
            yield 0, b"".join(reversed(parts))

"""Files that are whole or not there: written under a name of the process's own, then renamed."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType

__all__ = ["Partial", "sweep"]

_TRIES = 1000
_KEPT = 40
_NAME = re.compile(r"(.+)\.\d+-\d+\.part")


class Partial:
    """A new file that takes the place of `path` by `keep`, and is gone after `drop` or the ``with`` block without it.

    `file` is open for writing bytes. Several processes may write one at once: the last to `keep` has the name. The
    file is locked while it is written, so that `sweep` can tell it from one that a killed process left. Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial, descriptor = _new(path)
        self.file = os.fdopen(descriptor, "wb")  # closed by `keep` and `drop`
        self._there = True

    def __enter__(self) -> Partial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    def keep(self, *, close: bool = True) -> None:
        """Gives the file its name; without `close` it stays open, and what is written next is in it as well."""
        self.file.flush()
        self.partial.replace(self.path)
        self._there = False
        if close:
            self.file.close()

    def drop(self) -> None:
        """Removes the file, unless it was kept. May be called twice; never fails."""
        with suppress(OSError):
            self.file.close()
        if self._there:
            self._there = False
            with suppress(OSError):
                self.partial.unlink(missing_ok=True)


def sweep(folder: Path, names: Collection[str]) -> None:
    """Removes what killed processes left of files with these names. Never fails."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            found = _NAME.fullmatch(entry.name)
            if found and found[1] in names:
                with suppress(OSError):
                    _remove_if_left(entry.path)


def _remove_if_left(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)  # noqa: PTH108
    finally:
        os.close(descriptor)


def _new(path: Path) -> tuple[Path, int]:
    name = path.name[:_KEPT]  # the name of the whole file may be as long as a name can be
    for attempt in range(_TRIES):
        partial = path.with_name(f"{name}.{os.getpid()}-{attempt}.part")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:  # of another machine or container
            continue
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            here = os.fstat(descriptor)
            if here.st_nlink:  # else it was swept before it was locked
                return partial, descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    message = f"{path.parent} has {_TRIES} files {name}.*.part; remove them"
    raise FileExistsError(message)

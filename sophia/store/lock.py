"""One writer for each store: an advisory lock that the operating system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from sophia.errors import StoreLocked

__all__ = ["StoreLock"]


class StoreLock:
    """Holds `path` locked until `release`; StoreLocked names the holder when another process has it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):  # no lock at all: a file system without, or no memory for it
                os.close(self._descriptor)
                raise
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            message = (
                f"the store {path.parent} is open for writing elsewhere (process {holder}); "
                "close it there, or give this one its own --store"
            )
            raise StoreLocked(message) from error
        with suppress(OSError):  # who holds it is said in an error only; a full disk must not keep a store shut
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the lock back; may be called twice. In a forked child it leaves the parent's lock alone."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

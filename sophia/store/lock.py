"""One writer for each store: an advisory lock that the operating system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar
from weakref import WeakSet

from sophia.errors import StoreFailed, StoreLocked
from sophia.store.folder import open_own

__all__ = ["StoreLock", "holder", "locked", "waited"]

_T = TypeVar("_T")

# Somebody who only asks who the holder is has the lock shared for microseconds: that is no reason to refuse.
_TRIES = 20
_PAUSE = 0.01


def holder(path: Path) -> str | None:
    """The process that holds the lock file `path`, "unknown" where it did not say, None where nobody holds it."""
    try:
        descriptor = open_own(path, os.O_RDONLY)
    except OSError:
        return None  # no run was here, or none whose file this user may look at
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def _holder(descriptor: int) -> str:
    return os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"


_held: WeakSet[StoreLock] = WeakSet()


def _let_go_in_child() -> None:
    """A forked child has the locks of its parent as well, and would keep them when that dies."""
    for lock in list(_held):
        lock.drop()


os.register_at_fork(after_in_child=_let_go_in_child)


class StoreLock:
    """Holds `path` locked until `release`; StoreLocked names the holder when another process has it."""

    _descriptor = -1

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner = os.getpid()
        self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
        _held.add(self)
        try:
            self._take()
            with suppress(OSError):  # who holds it is said in an error only; a full disk must not keep a store shut
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            self.release()
            raise

    def _take(self) -> None:
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if left:
                    sleep(_PAUSE)
                    continue
                found = _holder(self._descriptor)
                message = (
                    f"the store {self._path.parent} is open for writing elsewhere (process {found}); "
                    "close it there, or give this one its own --store"
                )
                raise StoreLocked(message) from error

    def __del__(self) -> None:
        # Where a Ctrl-C kept the call from returning it: a descriptor left open would lock the store until the end.
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def holds(self) -> bool:
        """Whether the file that is locked still has its name: without, another process may lock another one."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def drop(self) -> None:
        """Closes the file in a forked child, which leaves the parent its lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def release(self) -> None:
        """Gives the lock back; may be called twice. In a forked child it leaves the parent's lock alone."""
        if self._descriptor >= 0 and os.getpid() == self._owner:
            # First, and while the descriptor is known: a Ctrl-C after the next line leaves it open, but not locked.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self.drop()


def waited(open: Callable[[], _T], seconds: float) -> _T:
    """What `open` returns, called again for up to so many seconds while the store is locked; then StoreLocked."""
    end = monotonic() + seconds
    while True:
        try:
            return open()
        except StoreLocked:
            if monotonic() >= end:
                raise
            sleep(_PAUSE)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path` for a while. StoreFailed where it cannot be made or written."""
    try:
        lock = StoreLock(path)
    except OSError as error:
        message = f"the store {path.parent} cannot be written ({error.strerror}); look at its permissions"
        raise StoreFailed(message) from error
    try:
        yield
    finally:
        lock.release()

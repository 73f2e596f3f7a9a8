"""What goes wrong with a store's file, in our words and with the cure."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sophia.errors import SophiaError, StoreCorrupt, StoreFailed, StoreLocked

__all__ = ["corrupt", "guarded"]

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# What speaks of the moment and not of the file's contents; all else is damage.
_FAILED = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_PROTOCOL,
)


@contextmanager
def guarded(file: Path) -> Iterator[None]:
    """Turns SQLite's and the system's words about `file` into ours: StoreLocked, StoreFailed or StoreCorrupt."""
    try:
        yield
    except (SophiaError, sqlite3.ProgrammingError):
        raise  # said already; a closed store
    except OSError as error:
        message = f"the store {file.parent} cannot be used ({error.strerror}); make room or look at its permissions"
        raise StoreFailed(message) from error
    except (sqlite3.Error, UnicodeDecodeError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            message = f"the store {file} is used by another program ({error}); close it there"
            raise StoreLocked(message) from error
        if code == sqlite3.SQLITE_FULL:
            message = (
                f"the store {file} cannot grow ({error}); make room on the disk and run again: nothing that was "
                "acknowledged is lost"
            )
            raise StoreFailed(message) from error
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK:
            message = (
                f"the store {file} was being made when its process was killed; the next run that uses it takes the "
                "broken piece back, and nothing is lost"
            )
            raise StoreFailed(message) from error
        if code in _FAILED:
            message = (
                f"the store {file} cannot be used ({error}); look at the disk and its permissions, then run again: "
                "nothing that was acknowledged is lost"
            )
            raise StoreFailed(message) from error
        raise corrupt(file, error) from error


def corrupt(file: Path, error: object) -> StoreCorrupt:
    """What is damaged, as an error with its cure."""
    return StoreCorrupt(
        f"the store {file} is damaged ({error}); run `sophia store repair --store {file.parent}`, restore a backup of "
        f"it, or move the folder {file.parent} away and run again"
    )

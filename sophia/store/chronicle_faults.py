"""What DuckDB says of the chronicle, as errors that name the file and the cure."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from sophia.errors import ConfigError, StoreCorrupt, StoreFailed, StoreLocked

__all__ = ["engine", "failed", "first_line", "is_unfit", "refused"]

_LOCKED = "Could not set lock on file"
_DAMAGE = ("Corrupt", "replaying WAL", "checksum")
_REFUSALS = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE,
    errno.ENOMEM,
)  # fmt: skip


def engine() -> Any:
    """DuckDB, once it is needed."""
    import duckdb

    return duckdb


def _is_damage(error: BaseException) -> bool:
    """Whether DuckDB says that a file or its log cannot be read, or has not the tables that it should have; not where
    the system has refused something that says nothing of what is in the file."""
    d = engine()
    kinds = (d.IOException, d.SerializationException, d.InternalException, d.FatalException, d.CatalogException)
    words = str(error)
    if _LOCKED in words or any(os.strerror(number) in words for number in _REFUSALS):
        return False
    return any(sign in words for sign in _DAMAGE) or isinstance(error, kinds)


def is_unfit(error: BaseException) -> bool:
    """Whether a statement of ours failed for what is in the file: damage, or other tables than those of its format."""
    return _is_damage(error) or isinstance(error, engine().ProgrammingError)


def failed(file: Path, error: BaseException) -> StoreFailed | StoreCorrupt | StoreLocked:
    """The error of a statement of ours."""
    if _LOCKED in str(error):
        return StoreLocked(f"{file} is in use by another process; wait for it, or end it")
    if is_unfit(error):
        return StoreCorrupt(f"{file} is damaged ({first_line(error)[:200]})")
    return StoreFailed(f"{file} cannot be used ({first_line(error)}); look at the disk and its permissions")


def refused(file: Path, error: BaseException) -> ConfigError | StoreCorrupt:
    """The error of a statement that was asked."""
    if _is_damage(error) and not isinstance(error, engine().CatalogException):  # those are of the question
        return StoreCorrupt(f"{file} is damaged ({first_line(error)[:200]})")
    return ConfigError(" ".join(str(error).split()))


def first_line(error: BaseException) -> str:
    """What it says, without the lines that show where in a statement."""
    return str(error).partition("\n")[0]

"""What DuckDB says of the chronicle, as errors that name the file and the cure.

Of a statement of ours each error says something of the file. One that was asked may fail in any way and with any words
(those of the data among them), so it condemns the file only where reading all of it fails, too.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from sophia.errors import StoreCorrupt, StoreFailed, StoreLocked

__all__ = ["damaged", "engine", "failed", "first_line", "is_suspicious", "is_unfit"]

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


def _is_of_the_system(error: BaseException) -> bool:
    """Whether the system has refused something, which says nothing of what is in the file."""
    words = str(error)
    return _LOCKED in words or any(os.strerror(number) in words for number in _REFUSALS)


def is_suspicious(error: BaseException) -> bool:
    """Whether statements fail so where a file or its log cannot be read; some do for what is in the data, too."""
    d = engine()
    kinds = (d.IOException, d.SerializationException, d.InternalException, d.FatalException)
    said = isinstance(error, kinds) or any(sign in str(error) for sign in _DAMAGE)
    return said and not _is_of_the_system(error)


def is_unfit(error: BaseException) -> bool:
    """Whether a statement of ours failed for what is in the file: damage, or other tables than those of its format."""
    return is_suspicious(error) or (isinstance(error, engine().ProgrammingError) and not _is_of_the_system(error))


def failed(file: Path, error: BaseException) -> StoreFailed | StoreCorrupt | StoreLocked:
    """The error of a statement of ours."""
    if _LOCKED in str(error):
        return StoreLocked(f"{file} is in use by another process; wait for it, or end it")
    if is_unfit(error):
        return damaged(file, error)
    return StoreFailed(f"{file} cannot be used ({first_line(error)}); look at the disk and its permissions")


def damaged(file: Path, error: BaseException) -> StoreCorrupt:
    """The error of a file that cannot be read."""
    return StoreCorrupt(f"{file} is damaged ({first_line(error)[:200]})")


def first_line(error: BaseException) -> str:
    """What it says, without the lines that show where in a statement."""
    return str(error).partition("\n")[0]

"""Which files a command must not write: its inputs, the files that it uses itself, and those of a store."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from sophia.store.folder import DATABASE
from sophia.stream.sources import Source

__all__ = ["Guard"]

# Device and number of what is there, the real path of what is not.
_Identity = tuple[int, int] | str


class Guard:
    """Knows files by what they are and not by how they are named: links, other spellings and descriptors are seen.

    Devices and sockets are never guarded: the same terminal may be read and written.
    """

    def __init__(self, sources: Iterable[Source] = (), *, store: str | None = None) -> None:
        self._kept: dict[_Identity, str] = {}
        self._store = store
        for source in sources:
            file = source.fd if source.path is None else source.path
            if file is not None:
                self.keep(file, f"is an input ({'standard input' if source.name == '-' else source.name})")

    def keep(self, file: str | os.PathLike[str] | int, why: str) -> None:
        """From now on this file (or what this descriptor is open for) is not to be written; `why` is a predicate."""
        known = _identity(file)
        if known is not None:
            self._kept.setdefault(known, why)

    def trouble(self, file: str | os.PathLike[str] | int) -> str | None:
        """Why this file must not be written, as a predicate; None where it may be."""
        known = _identity(file)
        if known is not None and (why := self._kept.get(known)):
            return why
        return None if isinstance(file, int) else self._in_a_store(os.path.realpath(file))

    def _in_a_store(self, path: str) -> str | None:
        """Any depth of the store that is in use; for every other one, the folder that has its database."""
        if self._store is not None:
            store = os.path.realpath(self._store)
            if path == store:
                return f"is the store {self._store}"
            if path.startswith(os.path.join(store, "")):  # noqa: PTH118 (the store may be /)
                return f"lies in the store {self._store}"
            if store.startswith(os.path.join(path, "")):  # noqa: PTH118
                return f"is a folder above the store {self._store}"
        folder = os.path.dirname(path)  # noqa: PTH120
        return f"lies in the store {folder}" if os.path.lexists(os.path.join(folder, DATABASE)) else None  # noqa: PTH118


def _identity(file: str | os.PathLike[str] | int) -> _Identity | None:
    try:
        found = os.stat(file)  # noqa: PTH116 (a descriptor, too)
    except OSError:
        return None if isinstance(file, int) else os.path.realpath(file)
    guarded = stat.S_ISREG(found.st_mode) or stat.S_ISFIFO(found.st_mode)
    return (found.st_dev, found.st_ino) if guarded else None

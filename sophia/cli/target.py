"""Where the decisions of a run go: a file, a FIFO or device, an open descriptor, or a folder of the run's own."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import BinaryIO

from sophia.errors import ConfigError
from sophia.stream.output import Output
from sophia.stream.sources import descriptor_of

__all__ = ["RUNS", "Target", "mode_of", "refuse_long_names"]

RUNS = "sophia-out"
"""The folder of the folders of runs."""

# Seconds between two looks for the reader of a FIFO, and until the user is told what is waited for.
_NAP = 0.05
_PATIENCE = 1.0


class Target:
    """What --out names: told apart and looked at before anything is written. Raises ConfigError for what cannot be.

    `folder` is where the other files of the run lie; None where they get a folder of their own: without a name, and
    where the name is no regular file, whose folder (`/dev`, say) is not a place for them.
    """

    def __init__(self, out: str | None) -> None:
        self.name = out
        self.descriptor = None if out is None else 1 if out == "-" else descriptor_of(out)
        self.folder: Path | None = None
        self._path: Path | None = None
        self._special = False
        self._opened: int | None = None
        if out is None or self.descriptor is not None:
            _refuse_unwritable(Path(RUNS, "new"), f"the folder {RUNS} cannot be written; use --out FILE")
            if self.descriptor not in (None, 1):
                self._refuse_closed()
            return
        self._path = path = Path(out)
        mode = mode_of(path, f"--out {out}")
        if mode is None or stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            self.folder = path.parent
            _refuse_unwritable(path, f"--out {out}: name a file in a folder that can be written")
            refuse_long_names(path, f"--out {out}")
            return
        self._special = True
        _refuse_unwritable(Path(RUNS, "new"), f"--out {out} is no regular file, so a folder {RUNS} is needed here")
        if stat.S_ISSOCK(mode) or not os.access(path, os.W_OK):
            message = f"--out {out} cannot be opened for writing; name a file, a FIFO or a device that can be"
            raise ConfigError(message)

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            os.close(self._opened)
            self._opened = None

    @property
    def file(self) -> Path | int | None:
        """What is written, where that is known before the run."""
        return self.descriptor if self.descriptor is not None else self._path

    @property
    def told(self) -> str:
        """What has the decisions, for a reader of the folder of the run."""
        if self.folder is not None and self._path is not None:
            return self._path.name
        return "decisions.jsonl" if self.name is None else "the output of the run"

    @property
    def live(self) -> bool:
        """It may have a reader, who can go away."""
        return self.descriptor is not None or self._special

    def connect(self, stopped: Callable[[], bool], tell: Callable[[str], None]) -> bool:
        """Opens what is no regular file; a FIFO has to have a reader, who is waited for. False if `stopped` before.

        An open of a FIFO that blocks would be resumed after a signal, and so never end.
        """
        if not self._special:
            return True
        assert self._path is not None
        since = monotonic()
        told = False
        while not stopped():
            try:
                self._opened = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != errno.ENXIO or not self._path.is_fifo():
                    message = f"--out {self.name}: {error.strerror}; name a file in a folder that can be written"
                    raise ConfigError(message) from error
            else:
                os.set_blocking(self._opened, True)
                return True
            if not told and monotonic() - since > _PATIENCE:
                told = True
                tell(f"--out {self.name} is a FIFO; waiting for its reader")
            sleep(_NAP)
        return False

    def regular(self, folder: Path) -> Path | None:
        """The regular file that the decisions go to, in the run's `folder` where it has no name of its own; None where
        they go elsewhere, or where that cannot be found out."""
        if self._special:
            return None
        if self.descriptor is None:
            return self._path or folder / "decisions.jsonl"
        try:
            if stat.S_ISREG(os.fstat(self.descriptor).st_mode):
                return Path(f"/proc/self/fd/{self.descriptor}").readlink()
        except OSError:
            pass
        return None

    def open(self, folder: Path) -> BinaryIO:
        """Where decisions are written to; a regular file is emptied now. `folder` is that of the run."""
        if self.descriptor is not None:
            return Output(self.descriptor, "standard output" if self.descriptor == 1 else str(self.name))
        if self._opened is not None:
            return Output(self._opened, str(self.name))
        try:
            return (self._path or folder / "decisions.jsonl").open("wb")
        except OSError as error:
            message = f"--out {self._path or folder}: {error.strerror}; name a file in a folder that can be written"
            raise ConfigError(message) from error

    def _refuse_closed(self) -> None:
        assert self.descriptor is not None
        try:
            readable_only = fcntl.fcntl(self.descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        except OSError:
            readable_only = True
        if readable_only:
            message = f"--out {self.name} is not open for writing; redirect it, or name a file"
            raise ConfigError(message)


def mode_of(path: Path, told: str) -> int | None:
    """What stands under a name; None where nothing does. ConfigError for a name that nothing can have."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        message = f"{told}: {error.strerror}; name another file"
        raise ConfigError(message) from error


def refuse_long_names(path: Path, told: str) -> None:
    """ConfigError where the file, or a folder that has to be made for it, has a name that nothing can have."""
    missing = [path.name]
    above = path.absolute().parent
    while not os.path.lexists(above):
        missing.append(above.name)
        above = above.parent
    for name in missing:
        mode_of(above / name, told)


def _refuse_unwritable(path: Path, message: str) -> None:
    above = path.absolute().parent
    while not os.path.lexists(above):
        above = above.parent
    if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(message)
    if path.exists() and not os.access(path, os.W_OK):
        raise ConfigError(message)

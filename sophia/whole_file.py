"""Files that are there whole or not at all: written beside and renamed; read from one open regular file."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from sophia.errors import ConfigError, InputError

__all__ = ["open_whole", "refuse_foreign", "sync", "write_whole"]

_BEGIN_BYTES = 64


def write_whole(
    path: str | os.PathLike[str], what: str, is_own: Callable[[bytes], bool], write: Callable[[BinaryIO], object]
) -> None:
    """Calls `write` with a new file beside `path`, makes that durable, and gives it the name.

    What is there is replaced only where `is_own` says so of its first 64 bytes; its mode stays. A link is followed.
    `what` is what errors call the file. ConfigError where it cannot be written, or is not ours to replace. Whatever
    ends it, nothing of a half-written file is left.
    """
    target, mode = refuse_foreign(path, what, is_own)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{secrets.token_hex(8)}.part")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                if mode is not None:
                    os.fchmod(handle, mode)
                write(file)
                file.flush()
                os.fsync(handle)
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        sync(target.parent)
    except OSError as error:
        raise _cannot_be_written(path, what, error) from error


def refuse_foreign(path: str | os.PathLike[str], what: str, is_own: Callable[[bytes], bool]) -> tuple[Path, int | None]:
    """The file that `path` leads to, and the mode of what is there, None where nothing is. ConfigError where that is
    not ours to replace, or cannot be seen."""
    try:
        target = Path(os.path.realpath(path))
        mode = _mode_of(target, what, is_own)
    except ConfigError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character, which each release of Python words anew
        raise _cannot_be_written(path, what, error) from error
    return target, mode


def open_whole(path: str | os.PathLike[str], what: str) -> BinaryIO:
    """The file, open for reading; it stays what it is though another takes its name. InputError where there is none, or
    it is no regular file: a pipe would block."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                message = f"{what} {os.fspath(path)!r} is no regular file; name one that save() wrote"
                raise InputError(message)
            return os.fdopen(handle, "rb")
        except BaseException:
            os.close(handle)
            raise
    except InputError:
        raise
    except (OSError, ValueError) as error:
        message = f"{what} {os.fspath(path)!r} cannot be read ({_reason(error)}); name one that save() wrote"
        raise InputError(message) from error


def _reason(error: OSError | ValueError) -> object:
    return (error.strerror if isinstance(error, OSError) else None) or error


def _cannot_be_written(path: str | os.PathLike[str], what: str, error: OSError | ValueError) -> ConfigError:
    cure = "name a file in a folder that can be written"
    return ConfigError(f"{what} {os.fspath(path)!r} cannot be written ({_reason(error)}); {cure}")


def _mode_of(target: Path, what: str, is_own: Callable[[bytes], bool]) -> int | None:
    """The mode of what is there, None where nothing is. ConfigError for what is not ours."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    own = stat.S_ISREG(found.st_mode)
    if own and found.st_size:
        with target.open("rb") as file:
            own = is_own(file.read(_BEGIN_BYTES))
    if not own:
        message = f"{what} {str(target)!r} would replace something else that is there; name another file"
        raise ConfigError(message)
    return stat.S_IMODE(found.st_mode)


def sync(path: Path) -> None:
    """Forces a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # what is no file must not make us wait
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

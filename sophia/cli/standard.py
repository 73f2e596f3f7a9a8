"""The three standard streams, as a command can rely on them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["abandon", "secure", "settle"]


class _Talk(io.TextIOWrapper):
    """Standard error that never stops a command: nobody may be there to read it."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            return


class _Told(io.TextIOWrapper):
    """Standard output that says what it is when it cannot be written."""

    def write(self, text: str) -> int:
        with _naming():
            return super().write(text)

    def flush(self) -> None:
        with _naming():
            super().flush()


@contextmanager
def _naming() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon()  # what is still held would fail again
        from sophia.errors import OutputFailed

        message = (
            f"standard output cannot be written ({error.strerror or error}); make room where it goes, and run again"
        )
        raise OutputFailed(message) from error


def secure() -> None:
    """Makes descriptors 0 to 2 and their files usable in any state in which the shell handed them over.

    One that is closed (`<&-`, `>&-`, `2>&-`) would be the number of the next file that is opened, say the store's.
    So each is taken: input by something that cannot be read, output by a pipe without a reader, errors by the
    null device. Text that the encoding of standard output does not have is escaped.
    """
    if not _is_open(0):
        _take(0, os.open(os.devnull, os.O_WRONLY))
    if not _is_open(1):
        out, into = os.pipe()
        os.close(out)
        _take(1, into)
    if not _is_open(2):
        _take(2, os.open(os.devnull, os.O_WRONLY))
    if sys.stdout is None:
        sys.stdout = _Told(open(1, "wb", closefd=False), encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    elif sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.flush()
        sys.stdout = _Told(
            open(1, "wb", closefd=False),  # noqa: SIM115
            encoding=sys.stdout.encoding,
            errors="backslashreplace",
            line_buffering=sys.stdout.line_buffering,
            write_through=sys.stdout.write_through,
        )
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if sys.stderr is None or (sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper)):
        encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
        raw = open(2, "wb", buffering=0, closefd=False)  # noqa: SIM115
        sys.stderr = _Talk(raw, encoding=encoding, errors="backslashreplace", write_through=True)


def settle(code: int) -> int:
    """Writes what standard output still holds; 0 if its reader has gone, as `| head` does, else `code`.

    Raises OutputFailed where it cannot be written.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        abandon()
        return 0
    return code


def abandon() -> None:
    """Standard output has no reader: what the interpreter writes at its exit goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _take(wanted: int, fd: int) -> None:
    if fd != wanted:
        os.dup2(fd, wanted)
        os.close(fd)

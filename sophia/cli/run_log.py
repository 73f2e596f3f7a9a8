"""run.log: what happened in a run, for whoever asks later."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from sophia.stream.partial import Partial

__all__ = ["RunLog"]

_LINES = 5000
_WIDTH = 2000
_TRACEBACK = 20_000


class RunLog:
    """A text file of at most 5,000 lines: time, kind, words. Flushed each line, so that it survives a kill.

    It is a new file, so that a run that still writes the log of this name goes on in the old one. A log that cannot be
    written never ends the run that it tells of.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left = _LINES
        self._file: io.TextIOWrapper | None = None
        with suppress(OSError):
            log = Partial(path)
            try:
                log.keep(close=False)
                self._file = io.TextIOWrapper(log.file, encoding="utf-8", errors="backslashreplace")
            finally:
                if self._file is None:
                    log.drop()

    def write(self, kind: str, words: str) -> None:
        """One line; what is too long for it is cut."""
        line = " ".join(words.split("\n"))
        if len(line) > _WIDTH:
            line = line[:_WIDTH] + " ..."
        self._put(kind, line)

    def failure(self, error: BaseException) -> None:
        """An error that ends the run; with its traceback where no user could have caused it."""
        from sophia.cli.exits import Exit, exit_of

        if isinstance(error, BrokenPipeError):
            self.write("end", "the reader of the output has gone")
            return
        self.write("error", f"{type(error).__name__}: {error}")
        if exit_of(error) is Exit.INTERNAL:
            import traceback

            trace = "".join(traceback.format_exception(error))
            self._put("traceback", trace[-_TRACEBACK:].rstrip("\n"))
            if self._is_there():
                error.add_note(f"traceback in {self.path}")

    def close(self) -> None:
        """May be called twice."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _is_there(self) -> bool:
        """Whether this log can still be read under its name."""
        if self._file is None:
            return False
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except (OSError, ValueError):
            return False

    def _put(self, kind: str, words: str) -> None:
        if self._file is None or not self._left:
            return
        self._left -= 1
        if not self._left:
            kind, words = "end", f"further lines are left out: this log has at most {_LINES}"
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with suppress(OSError, ValueError):
            self._file.write(f"{stamp} {kind:<9} {words}\n")
            self._file.flush()

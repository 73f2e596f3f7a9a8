"""The report page of a run: settled before anything is written, gathered while it runs, written at its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sophia.cli.outputs import input_behind
from sophia.errors import ConfigError, SophiaError

if TYPE_CHECKING:
    from sophia.brain import Sophia
    from sophia.stream.collect import Collector
    from sophia.stream.counts import Counts
    from sophia.stream.summary import Summary

__all__ = ["Report"]

_NAME = "report.html"
_CURE = 'pip install "sophia-hlb[brain]" brings it'


class Report:
    """What --report asks for: `none`, a file, or (None) report.html beside the decisions where its packages are there.

    Raises ConfigError for a file that cannot be the page, or when the packages for it are missing. Nothing that only
    the page needs is loaded without one.
    """

    def __init__(
        self, wanted: str | None, *, inputs: Sequence[str] = (), store: str | None = None, quiet: bool = False
    ) -> None:
        self.collector: Collector | None = None
        """To be handed to the run; None when there will be no page."""
        self._file = None if wanted in (None, "none") else Path(str(wanted))
        self._quiet = quiet
        self._on = wanted != "none"
        if not self._on:
            return
        from sophia.stream.report import missing

        lacking = " and ".join(missing())
        if self._file is not None:
            if lacking:
                message = f"--report {wanted}: it needs {lacking}; {_CURE}"
                raise ConfigError(message)
            _refuse(self._file, inputs, store)
        elif lacking:
            self._on = False
            self._say(f"sophia: no {_NAME}: it needs {lacking}; {_CURE}")

    def collect(self, brain: Sophia) -> Collector | None:
        """Begins to gather, before the first decision of the run."""
        if self._on:
            from sophia.stream.collect import Collector

            self.collector = Collector(max((pattern.id for pattern in brain.patterns()), default=0))
        return self.collector

    def write(
        self, folder: Path, summary: Summary, counts: Counts, brain: Sophia, *, cost_per_call: float = 0.0
    ) -> None:
        """Writes the page, after everything else of the run."""
        if self.collector is None:
            return
        from sophia.stream.report import write_report

        path = self._file or folder / _NAME
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_report(path, self.collector, summary, counts, brain, cost_per_call=cost_per_call)
        except ImportError as error:  # installed, and broken
            message = f"no {path.name}: a package that it needs cannot be loaded ({error})"
            if self._file is not None:
                raise SophiaError(message) from error
            self._say(f"sophia: {message}")
        else:
            if not summary.output_gone:  # whoever closes the pipe early has no questions
                self._say(f"  report: {path}")

    def _say(self, words: str) -> None:
        if self._quiet or sys.stderr is None:
            return
        with suppress(OSError, ValueError):  # words that cannot be told never end a run
            sys.stderr.write(words + "\n")
            sys.stderr.flush()


def _refuse(file: Path, inputs: Sequence[str], store: str | None) -> None:
    """A name that is no page, or whose file must not be replaced, or cannot be."""
    message = ""
    if file.suffix.lower() not in (".html", ".htm"):
        message = "the page is a file whose name ends in .html; or use none"
    elif file.is_dir():
        message = "is a folder; name a file in it"
    elif store is not None and Path(store).resolve() in file.resolve().parents:
        message = f"lies in the store {store}; name a file elsewhere"
    elif input_behind(file, inputs):
        message = "is an input; it would be overwritten"
    else:
        there = next((folder for folder in file.absolute().parents if folder.exists()), None)
        if there is None or not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            message = f"{there} is not a folder that can be written; name a file in one"
    if message:
        message = f"--report {file}: {message}"
        raise ConfigError(message)

"""The report page of a run: settled before anything is written, gathered while it runs, written at its end."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sophia.cli.target import mode_of, refuse_long_names
from sophia.errors import ConfigError, OutputFailed, SophiaError

if TYPE_CHECKING:
    from sophia.brain import Sophia
    from sophia.stream.collect import Collector
    from sophia.stream.counts import Counts
    from sophia.stream.score import Score
    from sophia.stream.summary import Summary

__all__ = ["Report"]

_NAME = "report.html"
_CURE = 'pip install jinja2 matplotlib (the extra "brain") brings it'


class Report:
    """What --report asks for: `none`, a file, or (None) report.html beside the decisions where its packages are there.

    Raises ConfigError for a file that cannot be the page, or when the packages for it are missing. Nothing that only
    the page needs is loaded without one.
    """

    def __init__(self, wanted: str | None, *, quiet: bool = False) -> None:
        self.collector: Collector | None = None
        """To be handed to the run; None when there will be no page."""
        self.file = None if wanted in (None, "none") else Path(str(wanted))
        """The page, where it has a name of its own."""
        self._quiet = quiet
        self._on = wanted != "none"
        if not self._on:
            return
        from sophia.stream.report import missing

        lacking = " and ".join(missing())
        if self.file is not None:
            if lacking:
                message = f"--report {wanted}: it needs {lacking}; {_CURE}"
                raise ConfigError(message)
            _refuse(self.file, str(wanted))
        elif lacking:
            self._on = False
            self._say(f"sophia: no {_NAME}: it needs {lacking}; {_CURE}")

    @property
    def beside(self) -> bool:
        """There will be a page beside the other files of the run."""
        return self._on and self.file is None

    def page(self, folder: Path) -> Path | None:
        """The page that there will be for a run with this folder, or None."""
        return (self.file or folder / _NAME) if self._on else None

    def collect(self, brain: Sophia) -> Collector | None:
        """Begins to gather, before the first decision of the run."""
        if self._on:
            from sophia.stream.collect import Collector

            self.collector = Collector(brain.thalamus.patterns.newest, brain.settings.sensor_alarm)
        return self.collector

    def write(
        self,
        folder: Path,
        summary: Summary,
        counts: Counts,
        brain: Sophia,
        *,
        cost_per_call: float = 0.0,
        score: Score | None = None,
        store: str | None = None,
        decisions: str = "decisions.jsonl",
    ) -> None:
        """Writes the page, after everything else of the run."""
        if self.collector is None:
            return
        from sophia.stream.report import write_report

        path = self.file or folder / _NAME
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_report(
                path,
                self.collector,
                summary,
                counts,
                brain,
                cost_per_call=cost_per_call,
                score=score,
                store=store,
                decisions=decisions,
            )
        except ImportError as error:  # installed, and broken
            message = f"no {path.name}: a package that it needs cannot be loaded ({error})"
            if self.file is not None:
                raise SophiaError(message) from error
            self._say(f"sophia: {message}")
        except OSError as error:
            message = f"{path} cannot be written ({error.strerror or error}); all other files of the run are"
            raise OutputFailed(message) from error
        else:
            if not summary.output_gone:  # whoever closes the pipe early has no questions
                self._say(f"  report: {path}")

    def _say(self, words: str) -> None:
        if self._quiet or sys.stderr is None:
            return
        with suppress(OSError, ValueError):  # words that cannot be told never end a run
            sys.stderr.write(words + "\n")
            sys.stderr.flush()


def _refuse(file: Path, wanted: str) -> None:
    """A name that is no page, or where no file can be made."""
    told = f"--report {wanted or repr(wanted)}"
    message = ""
    if file.suffix.lower() not in (".html", ".htm"):
        message = "the page is a file whose name ends in .html; or use none"
    elif stat.S_ISDIR(mode := mode_of(file, told) or 0):
        message = "is a folder; name a file in it"
    elif mode and not stat.S_ISREG(mode):
        message = "is no regular file; name one, or use none"
    else:
        there = next((folder for folder in file.absolute().parents if os.path.lexists(folder)), None)
        if there is None or not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            message = f"{there} is not a folder that can be written; name a file in one"
    if message:
        message = f"{told}: {message}"
        raise ConfigError(message)
    refuse_long_names(file, told)

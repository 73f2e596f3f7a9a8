"""The files that a run leaves: decisions, patterns, alarms, summary, log; in a folder of its own, or beside --out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from sophia.cli.guard import Guard
from sophia.cli.run_log import RunLog
from sophia.cli.target import RUNS, Target
from sophia.errors import ConfigError, OutputFailed
from sophia.stream.partial import Partial, sweep

__all__ = ["Outputs", "refuse_outputs"]

_SUMMARY = "summary.json"
_PATTERNS = "patterns.jsonl"
_SESSIONS = "sessions.jsonl"
_ALARMS = "alarms.jsonl"
_LOG = "run.log"
_PAGE = "report.html"
_OWN_NAMES = (_PATTERNS, _SESSIONS, _ALARMS, _SUMMARY, _LOG, _PAGE)
# Bytes of a summary that is somebody else's, or was ours.
_MAX_SUMMARY = 1 << 24


class Outputs:
    """The open files of one run, to be used in a ``with`` block; nothing is written before it is made.

    `target` is what --out names; with `sessions` there is a file of those that have ended. Each file but the decisions,
    the alarms and the log is whole or not there, and two runs in one folder do not meet: the last to end has the names.
    An error that leaves the block is told to the log, with its traceback where it is not a user's.
    """

    def __init__(self, target: Target, *, sessions: bool = False) -> None:
        self._target = target
        self.replaced: str | None = None
        """The decisions of another run in this folder, whose other files give way to those of this one."""
        if target.folder is not None:
            self.folder = target.folder
            self._make_folder()
            self.replaced = self._other_run()
            sweep(self.folder, _OWN_NAMES)
        else:
            self.folder = _run_folder()
        self.decisions: BinaryIO = target.open(self.folder)
        self.log = RunLog(self.folder / _LOG)
        self._partial = {name: Partial(self.folder / name) for name in (_PATTERNS, _SESSIONS)[: 1 + sessions]}
        self.patterns: BinaryIO = self._partial[_PATTERNS].file
        self.alarms: BinaryIO = self._live(_ALARMS)
        self.sessions: BinaryIO | None = self._partial[_SESSIONS].file if sessions else None

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.log.failure(error)
        for partial in self._partial.values():
            partial.drop()
        try:
            self.decisions.close()
        finally:
            self.alarms.close()
            self.log.close()

    def files(self, page: Path | None) -> dict[str, Path]:
        """The files of this run by what they are (see :mod:`sophia.store.outputs`), with its report `page`, if any."""
        found = {
            name: self.folder / file for name, file in (("log", _LOG), ("patterns", _PATTERNS), ("alarms", _ALARMS))
        }
        if self.sessions is not None:
            found["sessions"] = self.folder / _SESSIONS
        if page is not None:
            found["report"] = page
        if (decisions := self._target.regular(self.folder)) is not None:
            found["decisions"] = decisions
        return {kind: path.resolve() for kind, path in found.items()}

    def keep(self) -> str | None:
        """Patterns and sessions are whole: gives their files their names. Returns the run that ended meanwhile, see
        `replaced`."""
        other = self._other_run()
        for name, partial in self._partial.items():
            try:
                partial.keep()
            except OSError as error:
                raise self._failed(name, error) from error
        return None if other == self.replaced else other

    def write(self, name: str, text: str) -> None:
        """Replaces a file of the run as a whole, so that a reader never sees half of it."""
        try:
            with Partial(self.folder / name) as partial:
                partial.file.write(text.encode())
                partial.keep()
        except OSError as error:
            raise self._failed(name, error) from error

    def _live(self, name: str) -> BinaryIO:
        """A new file that has its name from the first, for whoever watches it; a run that still writes the one of this
        name goes on in that."""
        try:
            new = Partial(self.folder / name)
            new.keep(close=False)
        except OSError as error:
            raise self._failed(name, error) from error
        return new.file

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"--out {self._target.name}: {error.strerror}; name a file in a folder that can be written"
            raise ConfigError(message) from error

    def _other_run(self) -> str | None:
        """What the summary in this folder calls its decisions, where those are not the ones of this run."""
        name = self._target.name
        if self._target.folder is None or name is None:
            return None
        try:
            with (self.folder / _SUMMARY).open("rb") as file:
                found = json.loads(file.read(_MAX_SUMMARY))["settings"]["out"]
        except (OSError, ValueError, RecursionError, LookupError, TypeError):
            return None
        if not isinstance(found, str) or Path(found).name == Path(name).name:
            return None
        return found

    def _failed(self, name: str, error: OSError) -> OutputFailed:
        path = self.folder / name
        if isinstance(error, FileNotFoundError):
            message = (
                f"{path} cannot be written: the folder {self.folder} was removed or renamed during the run, and the "
                "decisions with it, if they were in it; run again and leave it there until the end"
            )
        else:
            message = f"{path} cannot be written ({error.strerror}); all decisions are; make room for the next run"
        return OutputFailed(message)


def refuse_outputs(guard: Guard, target: Target, page: Path | None, *, beside: bool, summary: bool) -> None:
    """Raises ConfigError for a file that must not be written, before anything is.

    One that is an input would be emptied before it is read, or the run would read its own decisions; one in a store
    would destroy it. `page` is the report page that has a name, `beside` says that there is one without;
    `summary` that the summary goes to standard output.
    """
    told = f"--out {target.name}"
    if target.descriptor is not None and (why := guard.trouble(target.descriptor)):
        message = f"{told} goes to a file that {why}; the run would read its own decisions: name another file"
        raise ConfigError(message)
    guard.keep(2, "is where standard error goes")
    if target.folder is not None and target.name is not None:
        if Path(target.name).name in _OWN_NAMES:
            message = f"{told} is a file that sophia writes itself; give the decisions a name of their own"
            raise ConfigError(message)
        _refuse(guard, Path(target.name), told)
        for name in _OWN_NAMES if beside else _OWN_NAMES[:-1]:
            _refuse(guard, target.folder / name, f"{target.folder / name}, which is written beside {told},")
            guard.keep(target.folder / name, "is a file that sophia writes itself")
    if summary:
        guard.keep(1, "is where the summary goes")
    if isinstance(target.file, Path):
        _refuse(guard, target.file, told)  # again: it may be a link to one of these
        guard.keep(target.file, f"is the file of {told}")
    if page is not None:
        _refuse(guard, page, f"--report {page}")


def _refuse(guard: Guard, file: Path, told: str) -> None:
    if why := guard.trouble(file):
        message = f"{told} {why}; it would be overwritten: name a file elsewhere"
        raise ConfigError(message)


def _run_folder() -> Path:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for attempt in range(1, 1000):
        folder = Path(RUNS) / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            message = f"the folder {folder} cannot be made ({error.strerror}); use --out FILE"
            raise ConfigError(message) from error
        return folder
    message = f"the folder sophia-out has 1000 runs of {stamp}; use --out FILE"
    raise ConfigError(message)

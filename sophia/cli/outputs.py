"""The files that a run leaves: decisions, patterns, summary, log; in a folder of its own, or beside --out FILE."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from sophia.cli.run_log import RunLog
from sophia.errors import ConfigError, OutputFailed
from sophia.stream.output import Output

__all__ = ["Outputs", "input_behind", "refuse_outputs"]

_RUNS = "sophia-out"
_OWN_NAMES = ("patterns.jsonl", "summary.json", "run.log", "report.html")


class Outputs:
    """The open files of one run, to be used in a ``with`` block; nothing is written before it is made.

    `out` is the name that --out gave, `-` for standard output, None for a folder `sophia-out/<UTC time>`. An error
    that leaves the block is told to the log, with its traceback where it is not a user's.
    """

    def __init__(self, out: str | None) -> None:
        self.out = out
        if out is not None and out != "-":
            path = Path(out)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self.decisions: BinaryIO = path.open("wb")
            except OSError as error:
                message = f"--out {out}: {error.strerror}; name a file in a folder that can be written"
                raise ConfigError(message) from error
            self.folder = path.parent
        else:
            self.folder = _run_folder()
            self.decisions = Output(1) if out == "-" else (self.folder / "decisions.jsonl").open("wb")
        self.log = RunLog(self.folder / "run.log")
        self._partial = self.folder / "patterns.jsonl.part"
        self.patterns: BinaryIO = self._partial.open("wb")

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.log.failure(error)
        self.patterns.close()
        self._partial.unlink(missing_ok=True)
        try:
            self.decisions.close()
        finally:
            self.log.close()

    def keep_patterns(self) -> None:
        """The patterns are whole: gives their file its name."""
        self.patterns.close()
        self._partial.replace(self.folder / "patterns.jsonl")

    def write(self, name: str, text: str) -> None:
        """Replaces a file of the run as a whole, so that a reader never sees half of it."""
        path = self.folder / name
        partial = path.with_name(path.name + ".part")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            message = f"{path} cannot be written ({error.strerror}); all decisions are; make room for the next run"
            raise OutputFailed(message) from error


def refuse_outputs(inputs: list[str], out: str | None, store: str | None) -> None:
    """Raises ConfigError for an output that cannot be, before anything is written.

    One that is an input would be emptied before it is read; one in the store would destroy it.
    """
    if out is None or out == "-":
        _refuse_unwritable(Path(_RUNS, "new"), f"the folder {_RUNS} cannot be written; use --out FILE")
        return
    _refuse_unwritable(Path(out), f"--out {out}: name a file in a folder that can be written")
    if Path(out).name in _OWN_NAMES or (store is not None and Path(store).resolve() in Path(out).resolve().parents):
        message = f"--out {out} is a file that sophia writes itself; give the decisions a name of their own"
        raise ConfigError(message)
    if path := input_behind(out, inputs):
        message = f"--out {out} is an input ({path}); it would be overwritten before it is read"
        raise ConfigError(message)


def input_behind(file: str | Path, inputs: Sequence[str]) -> str | None:
    """The name of the input that is this very file, or None."""
    if not Path(file).exists():
        return None
    paths = (path for name in inputs for path in [name, *glob.glob(name)])  # noqa: PTH207 (the readers' own rule)
    return next((path for path in paths if Path(path).is_file() and Path(path).samefile(file)), None)


def _refuse_unwritable(path: Path, message: str) -> None:
    above = path.parent
    while not os.path.lexists(above):
        above = above.parent
    if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
        raise ConfigError(message)


def _run_folder() -> Path:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for attempt in range(1, 1000):
        folder = Path(_RUNS) / (stamp if attempt == 1 else f"{stamp}-{attempt}")
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

"""The command line, as a user calls it: a process of its own in an empty folder."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import sophia

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session", autouse=True)
def own_signals() -> None:
    """The tests may run under `nohup` or in a shell without job control; what they start inherits what is ignored."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def whole_command(tmp_path: Path) -> Run:
    """Calls ``sophia ARGUMENTS`` in the test's folder; standard input is empty unless given."""
    home = Path(sophia.__file__).resolve().parents[1]

    def call(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "sophia", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(home)} | environment,
            timeout=120,
        )

    return call


@pytest.fixture
def command(whole_command: Run) -> Run:
    """The same, but a run makes no report, which would take longer than most tests, unless one is asked for."""

    def call(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
        if arguments and arguments[0] in ("run", "demo") and "--report" not in arguments and "-h" not in arguments:
            arguments += ("--report", "none")
        return whole_command(*arguments, **options)

    return call


DEADLINE = 60.0
"""Seconds that anything awaited may take on a machine that is busy with other things."""


def until(condition: Callable[[], object]) -> None:
    """Waits for something that must come true."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)


class Live:
    """A `sophia` process that is still at work. Standard error is merged with nothing: `said` reads it."""

    def __init__(self, folder: Path, arguments: Sequence[str | Path], **options: Any) -> None:
        home = Path(sophia.__file__).resolve().parents[1]
        self.folder = folder
        self._errors = folder / f"stderr-{time.monotonic_ns()}"
        environment = os.environ | {"PYTHONPATH": str(home)} | options.pop("environment", {})
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "sophia", *map(str, arguments)],
                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": errors, **options},
                cwd=folder,
                env=environment,
            )
        self._lines: queue.Queue[bytes] = queue.Queue()
        if self.process.stdout is not None:
            threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def record(self) -> dict[str, Any]:
        """The next decision."""
        line = self._lines.get(timeout=DEADLINE)
        assert line, f"no more output: {self.said()}"
        decision: dict[str, Any] = json.loads(line)
        return decision

    def skip(self) -> dict[str, Any]:
        """Takes a decision without a look at it."""
        assert self._lines.get(timeout=DEADLINE), f"no more output: {self.said()}"
        return {}

    def records(self, count: int) -> list[dict[str, Any]]:
        """The next decisions."""
        return [self.record() for _ in range(count)]

    def rest(self) -> list[dict[str, Any]]:
        """All decisions up to the end of the output."""
        return [json.loads(line) for line in iter(lambda: self._lines.get(timeout=DEADLINE), b"")]

    def silent(self) -> bool:
        """No decision waits to be read."""
        return self._lines.empty()

    def said(self) -> str:
        """Standard error so far."""
        return self._errors.read_text(errors="replace")

    def until(self, condition: Callable[[], object]) -> None:
        """Waits for something that must come true while the process is at work."""
        until(lambda: condition() or self._check())

    def _check(self) -> None:
        assert self.process.poll() is None, f"exit {self.process.poll()}: {self.said()}"

    def end(self, number: int | None = None) -> int:
        """The exit code; sends a signal first, if one is given."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def _read(self, stdout: Any) -> None:
        for line in stdout:
            self._lines.put(line)
        self._lines.put(b"")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Starts ``sophia ARGUMENTS`` in the test's folder; what still runs at the end is killed.

    A run makes no report, which would take longer than most tests, unless one is asked for.
    """
    started: list[Live] = []

    def call(*arguments: str | Path, **options: Any) -> Live:
        if arguments[0] == "run" and "--report" not in arguments:
            arguments += ("--report", "none")
        live = Live(tmp_path, arguments, **options)
        started.append(live)
        return live

    yield call
    for live in started:
        live.process.kill()
        live.process.wait()
        for pipe in (live.process.stdin, live.process.stdout):
            if pipe is not None:
                pipe.close()


def records(text: bytes) -> list[dict[str, Any]]:
    """The decisions of a run."""
    return [json.loads(line) for line in text.splitlines()]


def without(decisions: Sequence[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    """Decisions less the keys that may differ between two equal runs."""
    return [{key: value for key, value in one.items() if key not in keys} for one in decisions]

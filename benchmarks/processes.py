"""Whole processes, by the operating system's own accounting."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def cpu_seconds(arguments: Sequence[str | Path], folder: Path) -> float:
    """User and system seconds of one finished process; an exit code other than 0 is an error."""
    with subprocess.Popen(
        [str(a) for a in arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{arguments} ended with {process.returncode}: {said.decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime


def interleaved(commands: Mapping[str, Sequence[str | Path]], folder: Path, repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each command, `repeats` times in turn, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(repeats + 1):
        for name, command in commands.items():
            used = cpu_seconds(command, folder)
            if round_:
                seconds[name].append(used)
    return seconds


def sophia(*arguments: str | Path) -> list[str | Path]:
    """The command line of the installed package."""
    return [sys.executable, "-m", "sophia", *arguments]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)

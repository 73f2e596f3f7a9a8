"""The command line, as a user calls it: a process of its own in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import sophia

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def command(tmp_path: Path) -> Run:
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


def records(text: bytes) -> list[dict[str, Any]]:
    """The decisions of a run."""
    return [json.loads(line) for line in text.splitlines()]


def without(decisions: Sequence[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    """Decisions less the keys that may differ between two equal runs."""
    return [{key: value for key, value in one.items() if key not in keys} for one in decisions]

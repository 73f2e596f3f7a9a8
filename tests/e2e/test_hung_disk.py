"""A store whose disk hangs: the run goes on without it, says so, and uses it again when it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from programs import shared

from .crash import HOME
from .test_schema import VALIDATOR

# Long enough for a commit on a busy machine, and short enough to wait for.
PATIENCE = 1.0


@pytest.fixture(scope="module")
def shim(compiler: str, programs: Path) -> Path:
    if sys.platform != "linux":
        pytest.skip("LD_PRELOAD as in Linux")
    return shared(compiler, "hung_disk", programs)


class Running:
    """`sophia run` over standard input, on a disk that hangs while the file `hung` is there."""

    def __init__(self, folder: Path, shim: Path, *more: str) -> None:
        self.hung = folder / "hung"
        self.out = folder / "out.jsonl"
        self.folder = folder
        environment = {
            "PYTHONPATH": str(HOME),
            "LD_PRELOAD": str(shim),
            "HUNG_UNDER": str(folder / "mind"),
            "HUNG_WHILE": str(self.hung),
        }
        command = [sys.executable, "-W", "error", "-m", "sophia", "run", "--store", str(folder / "mind")]
        (folder / "sophia.toml").write_text("[thalamus]\ngestation_inputs = 0\n")
        command += ["--config", str(folder / "sophia.toml")]
        command += ["--out", str(self.out), "--report", "none", "--store-timeout", str(PATIENCE), *more]
        self.process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def say(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def wait_for(self, decisions: int) -> list[dict[str, Any]]:
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            if len(found := self.decisions()) >= decisions:
                return found
            time.sleep(0.02)
        self.process.kill()
        pytest.fail(f"{len(self.decisions())} of {decisions} decisions; {self.process.communicate()}")

    def decisions(self) -> list[dict[str, Any]]:
        text = self.out.read_text() if self.out.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def end(self) -> tuple[int, str, dict[str, Any]]:
        _, said = self.process.communicate(timeout=60)
        folder = next((self.folder / "sophia-out").iterdir(), None) if (self.folder / "sophia-out").exists() else None
        where = folder or self.folder
        summary: dict[str, Any] = json.loads(next(where.rglob("summary.json")).read_text())
        return self.process.returncode, said, summary


def line(i: int) -> str:
    return f"worker {i} has finished job {i * 7} in {i % 5} s"


def known(folder: Path) -> int:
    """How many inputs the store has learned of the pattern."""
    import sophia

    with sophia.open(folder / "mind") as brain:
        return sum(pattern.count for pattern in brain.patterns() if pattern.merged_into is None)


def test_the_stream_goes_on_without_a_store_that_hangs(tmp_path: Path, shim: Path) -> None:
    run = Running(tmp_path, shim, "--format", "lines")
    run.say(*(line(i) for i in range(20)))
    assert {one["route"] for one in run.wait_for(20)[-3:]} == {"reflex"}
    run.hung.touch()
    run.say(line(20))
    assert "fault" not in run.wait_for(20)[-1]
    first = run.wait_for(21)[-1]  # after the timeout, and not before
    run.say(*(line(i) for i in range(21, 40)))
    told = run.wait_for(40)
    assert [one["n"] for one in told] == list(range(1, 41))
    for one in (first, *told[20:]):
        VALIDATOR.validate(one)
        assert one["fault"] == "store"
        assert (one["route"], one["why"]) == ("cortical", "error")
        assert one["answer"] is None
    assert not [one for one in told[:20] if "fault" in one]
    code, said, summary = run.end()  # the disk hangs still, and keeps nobody
    assert code == 4
    assert "the store did not answer in time, once: 20 decisions told without it" in said
    assert summary["faults"] == {"store": {"hung": 1, "decisions": 20}}
    assert summary["decisions"] == 40
    assert summary["routes"]["cortical"] >= 20
    run.hung.unlink()
    assert known(tmp_path) in (20, 21)  # what was acknowledged; the input that hung may be in the store or not


def test_a_store_that_answers_again_is_used_again(tmp_path: Path, shim: Path) -> None:
    run = Running(tmp_path, shim, "--format", "lines")
    run.say(*(line(i) for i in range(20)))
    run.wait_for(20)
    run.hung.touch()
    run.say(line(20))
    assert run.wait_for(21)[-1]["fault"] == "store"
    run.say(*(line(i) for i in range(21, 30)))
    run.wait_for(30)
    run.hung.unlink()
    time.sleep(2 * PATIENCE)  # the breaker asks again after as long
    for i in range(30, 40):
        run.say(line(i))
        told = run.wait_for(i + 1)
    assert "fault" not in told[-1]
    assert told[-1]["route"] == "reflex"
    kept = [one["n"] for one in told if "fault" not in one]
    code, said, summary = run.end()
    assert code == 4
    assert "the store has not answered for 1 s" in said
    assert "the store answers again; 10 decisions" in said or "the store answers again; 11 decisions" in said
    assert "once" in said
    assert summary["faults"]["store"]["decisions"] == 40 - len(kept)
    # All that was told with the store, and the input during which it hung: it was learned, and is committed late.
    assert known(tmp_path) == len(kept) + 1


def test_a_disk_that_is_only_slow_is_waited_for(tmp_path: Path, shim: Path) -> None:
    run = Running(tmp_path, shim, "--format", "lines")
    run.say(*(line(i) for i in range(20)))
    run.wait_for(20)
    run.hung.touch()
    run.say(line(20))
    time.sleep(PATIENCE / 4)
    run.hung.unlink()
    assert "fault" not in run.wait_for(21)[-1]
    code, _, summary = run.end()
    assert (code, summary["faults"]) == (0, {})
    assert known(tmp_path) == 21

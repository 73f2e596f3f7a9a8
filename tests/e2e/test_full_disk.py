"""A disk that is full, or fails, at each change that a run makes: one line, nothing lost, and on again with room.

The folder of the store and of the output are relative to the current folder; tests/native/full_disk.c sees them as
they are, so both are given as whole paths here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from programs import shared

from .crash import HOME, SOPHIA, Told, Trial, stream, unbroken

COUNT = 40
MESSAGES, LINES = stream(COUNT, seed=11)
HOW = ("full", "short", "once")


@pytest.fixture(scope="module")
def shim(compiler: str, programs: Path) -> Path:
    if sys.platform != "linux":
        pytest.skip("LD_PRELOAD as in Linux")
    return shared(compiler, "full_disk", programs)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return unbroken(tmp_path_factory.mktemp("unbroken") / "one", MESSAGES, LINES).decisions


def run(folder: Path, shim: Path, told: Told, first: int, how: str) -> tuple[int, str, int]:
    """One run over what has no decision yet, with the disk full from change `first` on; also counts the changes."""
    trial = Trial(folder, MESSAGES, LINES, told=told)
    trial._runs = len(list(folder.glob("*-out.jsonl")))
    command, out = trial.arguments("--workers", str(1 + first % 2), "--batch", "9")
    watched = folder / "disk"
    watched.mkdir(exist_ok=True)
    store, out = watched / "mind", watched / out.name
    command[command.index("mind")] = str(store)
    environment = {
        "PYTHONPATH": str(HOME),
        "LD_PRELOAD": str(shim),
        "FULL_UNDER": str(watched) + "/",
        "FULL_FROM": str(first),
        "FULL_HOW": how,
        "FULL_COUNT": str(folder / "count"),
    }
    done = subprocess.run(
        [*command, "--out", str(out)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    told.add(out.read_bytes() if out.exists() else b"")
    if out.exists():
        out.rename(folder / out.name)  # the next run has an output of its own
    return done.returncode, done.stderr, int((folder / "count").read_text())


def fail_at(folder: Path, shim: Path, first: int, how: str, expected: list[dict[str, Any]]) -> int:
    """The disk fails at change `first` of a run; then there is room again. Returns the exit code of the first run."""
    folder.mkdir()
    told = Told()
    code, said, _ = run(folder, shim, told, first, how)
    where = f"{how} from {first} on: {said}"
    assert code in (0, 5) or (code == 2 and " --out " in said), where
    if code == 5:
        assert said.startswith("sophia: "), where
        assert said.count("\n") == 1, where
        assert str(folder / "disk") in said, where
        assert any(word in said for word in ("make room", "look at")), where
    elif code == 0:
        assert said == "", where
    for _ in range(2):
        if len(told.decisions) < 2 * COUNT:
            code_after, said, _ = run(folder, shim, told, 0, how)
            assert (code_after, said) == (0, ""), where
    assert told.comparable() == expected, where
    return code


def changes(folder: Path, shim: Path, expected: list[dict[str, Any]]) -> int:
    """How many changes a run makes that nothing disturbs."""
    folder.mkdir()
    told = Told()
    code, said, count = run(folder, shim, told, 0, "full")
    assert (code, said) == (0, "")
    assert told.comparable() == expected
    return count


def test_a_full_disk(tmp_path: Path, shim: Path, expected: list[dict[str, Any]]) -> None:
    count = changes(tmp_path / "whole", shim, expected)
    assert count > 50
    step = count // 4
    codes = [
        fail_at(tmp_path / f"{how}-{first}", shim, first, how, expected)
        for place, how in enumerate(HOW)
        for first in range(1 + 7 * place, count, step)
    ]
    assert codes.count(5) >= len(codes) // 2


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("how", HOW)
def test_a_full_disk_at_each_change(
    tmp_path: Path, shim: Path, expected: list[dict[str, Any]], how: str, part: int
) -> None:
    count = changes(tmp_path / "whole", shim, expected)
    codes = [fail_at(tmp_path / str(i), shim, i, how, expected) for i in range(1 + part, count + 1, 8)]
    assert codes.count(5) >= len(codes) // 2


def test_an_output_that_is_full_while_the_store_is_not(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "in.log").write_text("\n".join(LINES) + "\n")
    command = [*SOPHIA, "run", "in.log", "--store", "mind", "--quiet", "--report", "none", "--out"]
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    full = subprocess.run([*command, "/dev/full"], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert full.returncode == 5
    assert full.stderr.count(b"\n") == 1
    assert b"/dev/full" in full.stderr
    assert b"make room" in full.stderr
    told = Told()
    done = subprocess.run([*command, "-"], cwd=tmp_path, env=environment, capture_output=True, check=True)
    told.add(done.stdout)
    assert told.comparable() == unbroken(tmp_path / "one", [], LINES).decisions

"""A disk that is full, or fails, at each change that a maintenance command makes: one line, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sophia
from sophia.cli.main import main
from sophia.store.check import check
from sophia.store.export import Export

from .test_full_disk import shim as shim

HOME = Path(sophia.__file__).resolve().parents[1]
ACTIONS = ("repair", "compact", "restore", "backup")


def answers(path: Path) -> set[str]:
    return set(Export(path).answers())


def call(shim: Path, folder: Path, arguments: list[str], first: int, how: str) -> tuple[int, str, int]:
    """The command with a disk that fails from change `first` on; also the number of changes it made."""
    environment = {
        "PYTHONPATH": str(HOME),
        "LD_PRELOAD": str(shim),
        "FULL_UNDER": str(folder / "disk") + "/",
        "FULL_FROM": str(first),
        "FULL_HOW": how,
        "FULL_COUNT": str(folder / "count"),
    }
    command = [sys.executable, "-m", "sophia", "store", *arguments]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr, int((folder / "count").read_text())


def prepare(folder: Path, action: str) -> tuple[Path, list[str]]:
    """A store of a process that died, fit for the action, on the watched disk; and the command line."""
    store = folder / "disk" / "mind"
    with sophia.open(folder / "live") as brain:
        for i in range(60):
            brain.complete(brain.route(f"what is tea {i}?"), answer=f"tea {i} " * 40)
        shutil.copytree(folder / "live", store)
    if action == "repair":
        main(["store", "compact", "--store", str(store)])
        data = (store / "sophia.db").read_bytes()
        (store / "sophia.db").write_bytes(data.replace(b"tea 7 tea 7", b"tea 8 tea 8", 1))
    if action == "restore":
        main(["store", "backup", str(folder / "copy"), "--store", str(store)])
        return store, ["restore", str(folder / "copy"), "--force", "--store", str(store)]
    if action == "backup":
        return store, ["backup", str(folder / "disk" / "copy"), "--force", "--store", str(store)]
    return store, [action, "--store", str(store)]


def fail_at(folder: Path, shim: Path, action: str, first: int, how: str) -> int:
    folder.mkdir()
    store, arguments = prepare(folder, action)
    before = answers(store)
    code, said, _ = call(shim, folder, arguments, first, how)
    where = f"{action}, {how} from {first} on: {code} {said}"
    assert code in (0, 5), where
    if code == 5:
        assert said.startswith("sophia: "), where
        assert said.count("\n") == 1, where
    assert answers(store) == before, where
    assert not [name for name in store.iterdir() if ".part" in name.name or ".merged" in name.name], where
    assert main(["store", *arguments]) == 0, where
    assert answers(store) == before, where
    assert check(store).sound, where
    with sophia.open(store) as brain:
        assert brain.notes == [], where
    return code


def changes(folder: Path, shim: Path, action: str) -> int:
    """How many changes the command makes on a disk with room."""
    folder.mkdir()
    _, arguments = prepare(folder, action)
    code, said, count = call(shim, folder, arguments, 0, "full")
    assert (code, said) == (0, "")
    return count


@pytest.mark.parametrize("action", ACTIONS)
def test_a_full_disk(tmp_path: Path, shim: Path, action: str) -> None:
    count = changes(tmp_path / "whole", shim, action)
    assert count > 5
    places = sorted({1, 2, count // 3, count // 2, count - 1})
    codes = [fail_at(tmp_path / str(first), shim, action, first, "full") for first in places]
    assert codes.count(5) >= len(codes) // 2


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("how", ["full", "short", "once"])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_full_disk_at_each_change(tmp_path: Path, shim: Path, action: str, how: str, part: int) -> None:
    count = changes(tmp_path / "whole", shim, action)
    codes = [fail_at(tmp_path / str(first), shim, action, first, how) for first in range(1 + part, count + 1, 4)]
    assert codes.count(5) >= len(codes) // 3

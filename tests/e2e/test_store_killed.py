"""kill -9 in the middle of a change to a store: the old contents or the new, never neither.

The process kills itself at its n-th step that touches the file system, for each n until it comes through: the steps
are those that Python reports to an audit hook. The slow tests take every step, and kill from outside at any time.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sophia
from sophia.cli.main import main
from sophia.store.check import check
from sophia.store.export import Export

HOME = str(Path(sophia.__file__).resolve().parents[1])
DECISIVE = frozenset(("os.rename", "os.remove", "os.link", "os.mkdir"))
ALL = DECISIVE | {"open", "os.chmod", "os.truncate", "sqlite3.connect"}


@pytest.fixture(params=["decisive", pytest.param("all", marks=pytest.mark.slow)])
def steps(request: pytest.FixtureRequest) -> frozenset[str]:
    """At which steps the command is killed, one after the other."""
    return DECISIVE if request.param == "decisive" else ALL


def answers(path: Path) -> set[str]:
    return set(Export(path).answers())


def teach(path: Path, word: str, count: int) -> None:
    with sophia.open(path) as brain:
        for i in range(count):
            brain.complete(brain.route(f"what is {word} {i}?", scope="ana"), answer=f"{word} {i} " * 40)
        brain.route_many([f"{word} {i} of machine {i % 3}" for i in range(20)], kind="line")


def killed_at(steps: frozenset[str], step: int, *arguments: str | Path) -> bool:
    """Whether the command, in a process of its own, was killed at this step, or came through."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = _dying(steps, step, ["store", *map(str, arguments)])
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def _dying(steps: frozenset[str], left: int, arguments: list[str]) -> int:
    def step(event: str, _: object) -> None:
        nonlocal left
        if event in steps:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.addaudithook(step)
    return main(arguments)


@pytest.fixture(params=["closed", "killed"])
def mind(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A store, closed or of a process that died: then its last answers stand in the log only."""
    teach(tmp_path / "live", "tea", 40)
    if request.param == "closed":
        return tmp_path / "live"
    with sophia.open(tmp_path / "live") as brain:
        for i in range(10):
            brain.complete(brain.route(f"in the log {i}"), answer=f"kept {i}")
        shutil.copytree(tmp_path / "live", tmp_path / "mind")
    return tmp_path / "mind"


def each_kill(steps: frozenset[str], mind: Path, tmp_path: Path, *arguments: str | Path) -> list[Path]:
    """The store after a kill at every step of the command, and after the whole command."""
    left = []
    for step in range(200):
        path = tmp_path / f"kill-{step}"
        shutil.copytree(mind, path)
        left.append(path)
        if not killed_at(steps, step, *arguments, "--store", path):
            assert step >= 3
            return left
    pytest.fail("the command never came through")


def opens(path: Path) -> None:
    with sophia.open(path) as brain:
        assert brain.notes == []
        assert brain.route("after all that").n == 1


def test_repair(steps: frozenset[str], mind: Path, tmp_path: Path) -> None:
    database = mind / "sophia.db"
    data = database.read_bytes()
    assert b"tea 7 tea 7" in data
    database.write_bytes(data.replace(b"tea 7 tea 7", b"tea 8 tea 8", 1))
    before = answers(mind)
    damaged = {f.name: f.read_bytes() for f in mind.iterdir() if f.name in ("sophia.db", "sophia.db-wal")}
    states = []
    for path in each_kill(steps, mind, tmp_path, "repair"):
        health = check(path)
        states.append(health.sound)
        assert answers(path) == before
        asides = [f for f in path.glob("damaged-*") if (f / "sophia.db").exists()]
        if health.sound:
            assert any((f / "sophia.db").read_bytes() == damaged["sophia.db"] for f in asides)
        assert main(["store", "repair", "--store", str(path)]) == 0
        assert check(path).sound
        assert answers(path) == before
        assert not [f for f in path.iterdir() if ".part" in f.name or ".merged" in f.name]
        opens(path)
    assert states[0] is False
    assert states[-1] is True


def test_compact(steps: frozenset[str], mind: Path, tmp_path: Path) -> None:
    before = answers(mind)
    for path in each_kill(steps, mind, tmp_path, "compact"):
        assert check(path).sound
        assert answers(path) == before
        assert main(["store", "compact", "--store", str(path)]) == 0
        assert answers(path) == before
        assert {f.name for f in path.iterdir()} <= {"sophia.db", "sophia.db-wal", "sophia.db-shm", "lock", "ack"}
        opens(path)


def test_restore_over_a_store(steps: frozenset[str], mind: Path, tmp_path: Path) -> None:
    teach(tmp_path / "other", "coffee", 30)
    assert main(["store", "backup", str(tmp_path / "copy"), "--store", str(tmp_path / "other")]) == 0
    old, new = answers(mind), answers(tmp_path / "other")
    ends = []
    for path in each_kill(steps, mind, tmp_path, "restore", tmp_path / "copy", "--force"):
        assert check(path).sound
        found = answers(path)
        ends.append(found == new)
        assert found in (old, new)
        opens(path)
        assert main(["store", "restore", str(tmp_path / "copy"), "--force", "--store", str(path)]) == 0
        assert answers(path) == new
        opens(path)
    assert (ends[0], ends[-1]) == (False, True)


def test_restore_into_nothing(steps: frozenset[str], tmp_path: Path) -> None:
    teach(tmp_path / "other", "coffee", 30)
    assert main(["store", "backup", str(tmp_path / "copy"), "--store", str(tmp_path / "other")]) == 0
    new = answers(tmp_path / "other")
    for step in range(200):
        path = tmp_path / f"kill-{step}"
        came_through = not killed_at(steps, step, "restore", tmp_path / "copy", "--store", path)
        if (path / "sophia.db").exists():
            assert answers(path) == new
        else:
            assert main(["store", "restore", str(tmp_path / "copy"), "--store", str(path)]) == 0
        assert check(path).sound
        opens(path)
        if came_through:
            assert step >= 1
            return
    pytest.fail("the command never came through")


def test_backup(steps: frozenset[str], tmp_path: Path) -> None:
    """A backup that was broken off is none; one that it was to replace stays until the new one is whole."""
    teach(tmp_path / "mind", "tea", 30)
    assert main(["store", "backup", str(tmp_path / "copy"), "--store", str(tmp_path / "mind")]) == 0
    old = answers(tmp_path / "mind")
    teach(tmp_path / "mind", "coffee", 30)
    new = answers(tmp_path / "mind")
    for step in range(200):
        target = tmp_path / f"copy-{step}"
        shutil.copytree(tmp_path / "copy", target)
        came_through = not killed_at(steps, step, "backup", target, "--force", "--store", tmp_path / "mind")
        assert main(["store", "restore", str(target), "--store", str(tmp_path / f"out-{step}")]) == 0
        assert answers(tmp_path / f"out-{step}") in ((new,) if came_through else (old, new))
        assert main(["store", "backup", str(target), "--force", "--store", str(tmp_path / "mind")]) == 0
        assert len(list(target.iterdir())) == 2
        if came_through:
            assert step >= 3
            return
    pytest.fail("the command never came through")


@pytest.mark.slow
@pytest.mark.parametrize("action", ["repair", "compact", "restore"])
def test_kills_from_outside_at_any_time(tmp_path: Path, action: str) -> None:
    teach(tmp_path / "mind", "tea", 3000)
    if action == "repair":
        data = (tmp_path / "mind" / "sophia.db").read_bytes()
        (tmp_path / "mind" / "sophia.db").write_bytes(data.replace(b"tea 7 tea 7", b"tea 8 tea 8", 1))
    expected = answers(tmp_path / "mind")
    main(["store", "backup", str(tmp_path / "copy"), "--store", str(tmp_path / "mind")])
    arguments = [action, *([str(tmp_path / "copy"), "--force"] if action == "restore" else [])]
    killed = 0
    for i in range(60):
        path = tmp_path / "one"
        shutil.copytree(tmp_path / "mind", path)
        command = [sys.executable, "-m", "sophia", "store", *arguments, "--store", str(path)]
        with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": HOME}, stdout=subprocess.DEVNULL) as process:
            time.sleep(0.01 * i)
            process.kill()
        killed += process.returncode == -signal.SIGKILL
        assert answers(path) == expected
        if action != "repair":
            assert check(path).sound
        assert main(["store", "repair", "--store", str(path)]) == 0
        assert answers(path) == expected
        shutil.rmtree(path)
    assert killed > 10

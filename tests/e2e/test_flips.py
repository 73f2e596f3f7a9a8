"""A byte that turned, anywhere in the store's files: found and named, or without effect; never a wrong answer.

Each flip is made in a fresh copy of a store that was closed, or that a killed run has left. Then the store is checked,
opened, and asked for everything it holds. What may come of it:

    unaffected   every decision as from the sound store
    noted        it opens and says what it does without; decisions may ask for more thought
    refused      StoreCorrupt (or another of our errors) with a cure
    checked      it opens and differs, and the check (`sophia doctor`) has found the damage

An answer that is not the stored one, another error, and a difference that nothing names are faults.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.errors import SophiaError
from sophia.organs import thalamus
from sophia.store.ack import read
from sophia.store.check import check as check_store
from sophia.stream.pipeline import columns
from sophia.stream.readers import read_batches

from .conftest import Run
from .crash import Trial, stream

MESSAGES, LINES = stream(150, seed=5)
CURES = ("store repair", "move the folder", "look at the disk", "make room", "upgrade", "name another folder")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A store that was closed, with dumps, logs and answers; and one whose run was killed while it wrote to a pipe."""
    home = tmp_path_factory.mktemp("stores")
    for name, lines in (("in.jsonl", MESSAGES), ("in.log", LINES)):
        (home / name).write_text("\n".join(lines) + "\n")
    before = thalamus.LOG_BYTES
    thalamus.LOG_BYTES = 3000  # type: ignore[misc]
    try:
        with sophia.open(home / "closed", settings=sophia.Settings(familiar_capacity=2000, vectors=True)) as brain:
            for events in read_batches([home / "in.jsonl", home / "in.log"], batch=50):
                brain.begin(brain.decide(columns(events)))
                brain.flush()
    finally:
        thalamus.LOG_BYTES = before  # type: ignore[misc]
    for line in range(240, 260):
        trial = Trial(home, MESSAGES, LINES)
        trial.run("--batch", "7", pipe=True, kill_at_line=line)
        assert trial.kills == 1
        if read(home / "mind" / "ack").done:  # else one bit of it can turn unseen, see sophia.store.ack
            break
        shutil.rmtree(home / "mind")
    (home / "mind").rename(home / "killed")
    assert {"sophia.db", "sophia.db-wal", "sophia.db-shm", "ack", "lock"} <= {
        path.name for path in (home / "killed").iterdir()
    }
    return {"closed": home / "closed", "killed": home / "killed"}


def probe(store: Path) -> tuple[list[tuple[Any, ...]], list[str]]:
    """What the store knows: decisions on all that it was fed, and its notes."""
    home = store.parent
    with sophia.open(store, settings=sophia.Settings(familiar_capacity=2000, vectors=True)) as brain:
        out = []
        for events in read_batches([home / "in.jsonl", home / "in.log"], batch=1000):
            made = columns(events)
            made.answers = None
            out += [
                (d.route, d.why, d.pattern, round(d.novelty, 6), d.answer, d.match and d.match[0])
                for d in brain.decide(made).decisions
            ]
        return out, brain.notes


def check(store: Path) -> str:
    """What `sophia doctor` would say of the store."""
    try:
        return "; ".join(check_store(store).problems) or "sound"
    except SophiaError as error:
        return str(error)


def flip(store: Path, rng: random.Random) -> str:
    """Turns one bit, or a whole byte, of one file; half of them where there is something but zeros."""
    path = rng.choice(sorted(path for path in store.rglob("*") if path.is_file() and path.stat().st_size))
    data = bytearray(path.read_bytes())
    places = range(len(data))
    if rng.random() < 0.5:
        places = [place for place, byte in enumerate(data) if byte] or places  # type: ignore[assignment]
    place = rng.choice(places)
    old = data[place]
    data[place] = old ^ (1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(1, 256))
    path.write_bytes(data)
    return f"{path.name} at {place}: {old:#04x} to {data[place]:#04x}"


def after_a_flip(folder: Path, source: Path, seed: int, expected: list[tuple[Any, ...]]) -> str:
    folder.mkdir()
    for name in ("in.jsonl", "in.log"):
        shutil.copy(source.parent / name, folder)
    copies = [folder / "checked", folder / "opened"]
    where = ""
    for copy in copies:
        shutil.copytree(source, copy)
        where = f"seed {seed}, {flip(copy, random.Random(seed))}"
    found = check(copies[0])
    try:
        decisions, notes = probe(copies[1])
    except SophiaError as error:
        return "refused" if any(cure in str(error) for cure in CURES) else f"without a cure: {error} ({where})"
    for decision, sound in zip(decisions, expected, strict=True):
        if decision[4] is not None:
            assert decision[4:] == sound[4:], where  # the stored answer, or none
    if notes:
        return "noted"
    if decisions == expected:
        return "unaffected"
    assert not found.startswith("sound"), where
    return "checked"


def campaign(folder: Path, source: Path, seeds: range) -> Counter[str]:
    sound = folder / "sound"
    sound.mkdir()
    for name in ("in.jsonl", "in.log"):
        shutil.copy(source.parent / name, sound)
    expected, notes = probe(shutil.copytree(source, sound / "mind"))
    assert notes == []
    assert sum(decision[4] is not None for decision in expected) > 20
    outcomes = Counter(after_a_flip(folder / str(seed), source, seed, expected) for seed in seeds)
    assert set(outcomes) <= {"unaffected", "noted", "refused", "checked"}, outcomes
    return outcomes


@pytest.mark.parametrize("state", ["closed", "killed"])
def test_flips(tmp_path: Path, stores: dict[str, Path], state: str) -> None:
    outcomes = campaign(tmp_path, stores[state], range(40))
    assert outcomes["refused"]
    assert outcomes["unaffected"]
    assert outcomes["noted"]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("state", ["closed", "killed"])
def test_many_flips(tmp_path: Path, stores: dict[str, Path], state: str, part: int) -> None:
    outcomes = campaign(tmp_path, stores[state], range(1000 + 100 * part, 1100 + 100 * part))
    print(state, part, dict(outcomes))  # noqa: T201
    assert sum(outcomes.values()) == 100


def test_flips_through_the_command_line(command: Run, tmp_path: Path, stores: dict[str, Path]) -> None:
    """What a user sees: a note or one line, never a traceback."""
    for name in ("in.jsonl", "in.log"):
        shutil.copy(stores["closed"].parent / name, tmp_path)
    for seed in range(4):
        mind = shutil.copytree(stores["killed"], tmp_path / str(seed))
        flip(mind, random.Random(300 + seed))
        for arguments in (("doctor",), ("run", "in.jsonl", "--out", f"{seed}.jsonl", "--quiet", "--report", "none")):
            done = command(*arguments, "--store", str(seed))
            assert done.returncode in ((0, 1) if arguments == ("doctor",) else (0, 5)), done.stderr
            assert b"Traceback" not in done.stderr
            assert b"internal error" not in done.stderr
            assert all(line.startswith(b"sophia: ") for line in done.stderr.splitlines())

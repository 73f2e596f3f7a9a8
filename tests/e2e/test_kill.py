"""kill -9 at any moment: nothing acknowledged is lost, nothing else is known, and the store opens by itself.

A decision is acknowledged when its whole line is in the output. After a kill the lines that come after the last
acknowledged one are fed again, until all have their decision; then all acknowledged decisions together must be those
of one unbroken run, but for the names and places that depend on where a run began. The journal of the store has them,
too, and no others.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from sophia.store.journal import journal_files

from .crash import Trial, Whole, stream, unbroken

COUNT = 700
MESSAGES, LINES = stream(COUNT)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    whole = unbroken(tmp_path_factory.mktemp("unbroken") / "one", MESSAGES, LINES)
    assert {"repeat", "novel", "known-pattern", "danger", "invalid"} <= {one["why"] for one in whole.decisions}
    return whole


SESSIONS = ("--session-key", "context", "--session-key", "re:(user[0-9]|node-[0-9])", "--session-idle", "40")


@pytest.fixture(scope="module")
def in_sessions(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    whole = unbroken(tmp_path_factory.mktemp("sessions") / "one", MESSAGES, LINES, *SESSIONS)
    assert sum(one.get("session_novel") is not None for one in whole.decisions) > 20
    return whole


MEMORY = ("--remember", "--recall")


@pytest.fixture(scope="module")
def remembered(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    whole = unbroken(tmp_path_factory.mktemp("remembered") / "one", MESSAGES, LINES, *MEMORY)
    assert sum(one["match"] is not None and str(one["match"]["id"]).startswith("m") for one in whole.decisions) > 100
    return whole


def kill_over_and_over(folder: Path, seed: int, expected: Whole, *more: str) -> int:
    """One store, killed one to three times; returns how often it really was."""
    rng = random.Random(seed)
    folder.mkdir()
    trial = Trial(folder, MESSAGES, LINES)
    pipe = bool(seed % 2)
    options = ["--workers", str(1 + seed // 2 % 2), *more]
    for _ in range(rng.randint(1, 3)):
        batch = rng.choice(["1", "5", "16", "256"])
        how: dict[str, Any] = {}
        if pipe and rng.random() < 0.5:
            how["kill_at_line"] = rng.randint(1, max(1, trial.left - 1))
        else:
            # A start takes about a third of it: kills fall into opening and recovery as well.
            how["kill_after"] = rng.uniform(0.05, 0.95) * expected.seconds
        trial.run(*options, "--batch", batch, pipe=pipe, **how)
        if not trial.left:
            break
    while trial.left:
        before = trial.left
        assert trial.run(*options, pipe=pipe) == 0, (seed, trial.errors)
        assert trial.left < before
    assert trial.errors == b"", seed
    assert trial.told.comparable() == expected.decisions, seed
    assert journaled(folder / "mind") == trial.told.decisions, seed
    return trial.kills


def journaled(store: Path) -> list[dict[str, Any]]:
    """The records in the journal of a store, as they were told."""
    lines = [line for file in journal_files(store) for line in file.path.read_text().splitlines()]
    return [
        {key: value for key, value in json.loads(line).items() if key not in ("run", "at", "moment")} for line in lines
    ]


def test_kills(tmp_path: Path, expected: Whole) -> None:
    kills, seed = 0, 0
    while kills < 4:
        assert seed < 30
        kills += kill_over_and_over(tmp_path / str(seed), seed, expected)
        seed += 1


def test_kills_while_it_remembers(tmp_path: Path, remembered: Whole) -> None:
    kills, seed = 0, 20
    while kills < 3:
        assert seed < 40
        kills += kill_over_and_over(tmp_path / str(seed), seed, remembered, *MEMORY)
        seed += 1


def test_kills_in_the_middle_of_sessions(tmp_path: Path, in_sessions: Whole) -> None:
    kills, seed = 0, 10
    while kills < 3:
        assert seed < 30
        kills += kill_over_and_over(tmp_path / str(seed), seed, in_sessions, *SESSIONS)
        seed += 1


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_many_kills(tmp_path: Path, expected: Whole, in_sessions: Whole, part: int) -> None:
    kills, seed = 0, 1000 * (part + 1)
    while kills < 10:
        told, more = (in_sessions, SESSIONS) if seed % 3 == 0 else (expected, ())
        kills += kill_over_and_over(tmp_path / str(seed), seed, told, *more)
        seed += 1

"""Stages of life, as a shell sees them; and birth under kill -9."""

from __future__ import annotations

import io
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from time import sleep

import pytest

import sophia
from sophia._core import cpu
from sophia.errors import InputError
from sophia.gestation import life_of
from sophia.store.check import check
from sophia.store.derived import rebuild
from sophia.store.view import StoreView
from sophia.stream.readers import read_batches
from sophia.stream.run import run

from .conftest import Live, Run

START = datetime(2026, 11, 1)
LINES = [f"{START + timedelta(seconds=n * 20)} job {n} finished on host{n % 7} after {n * 13} ms" for n in range(600)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("".join(line + "\n" for line in LINES))
    return path


def births_of(store: Path) -> int:
    """Chapters that tell of a birth."""
    with closing(sqlite3.connect(store / "sophia.db")) as rows:
        return sum(json.loads(data)["title"] == "Birth" for (data,) in rows.execute("SELECT data FROM chapters"))


def test_a_run_says_once_that_the_brain_was_born(command: Run, log: Path) -> None:
    first = command("run", log.name, "--report", "none", "--store", "mind")
    assert first.stderr.decode().count("the brain was born after 200 inputs") == 1
    again = command("run", log.name, "--report", "none", "--store", "mind")
    assert b"was born" not in again.stderr
    told = command("status", "--store", "mind").stdout.decode()
    assert "stage      fluid" in told
    assert "in run 1, after 200 inputs" in told
    facts = json.loads(command("status", "--store", "mind", "--json").stdout)
    assert (facts["stage"], facts["chapters"], facts["birth"]["inputs"]) == ("fluid", 3, 200)  # one of each run


def test_status_of_what_is_not_born(command: Run, log: Path) -> None:
    assert command("status").returncode == 3
    assert command("run", log.name, "--limit", "50", "--report", "none", "--quiet").returncode == 0
    assert "stage      gestating: 50 of 200 inputs" in command("status").stdout.decode()
    refused = command("crystallise")
    assert (refused.returncode, b"not born yet" in refused.stderr) == (4, True)


def test_gestate_until_birth(command: Run, log: Path, tmp_path: Path) -> None:
    for share in ("60%", "100%"):
        done = command("gestate", log.name, "--store", "mind")
        assert f"still gestating: {share} of the inputs and 0% of the time" in done.stderr.decode()
        assert (done.returncode, done.stdout) == (0, b"")
    assert not (tmp_path / "sophia-out").exists()
    done = command("gestate", log.name, "--store", "other", "--least", "300", "--time", "0s")
    assert b"born after 300 inputs" in done.stderr
    done = command("gestate", log.name, "--store", "other")
    assert b"born before (fluid); nothing was read" in done.stderr
    assert command("gestate", "none.log", "--store", "third").returncode == 3
    assert command("gestate", log.name, "--time", "24").returncode == 2


def test_gestate_ends_the_wait_that_it_names(command: Run, log: Path, tmp_path: Path) -> None:
    done = command("gestate", log.name, "--store", "mind", "--least", "400")
    assert "end the wait with --time 0s or a smaller --least" in done.stderr.decode()
    done = command("gestate", log.name, "--store", "mind", "--time", "0s")
    assert b"born after 600 inputs; `sophia status --store mind` says" in done.stderr
    (tmp_path / "sophia.toml").write_text("[thalamus]\ngestation_inputs = 50\ngestation_seconds = 0\n")
    done = command("gestate", log.name, "--store", "set", "--config", "sophia.toml")
    assert b"born after 50 inputs" in done.stderr


def test_gestate_without_a_store_leaves_none(command: Run, log: Path, tmp_path: Path) -> None:
    for _ in range(2):
        done = command("gestate", log.name, "--no-store", "--least", "60", "--time", "0s")
        assert b"born after 60 inputs, and forgotten again without a store" in done.stderr
    assert not (tmp_path / ".sophia").exists()


def test_gestate_reads_fields_as_a_run_does(command: Run, tmp_path: Path) -> None:
    records = [
        {"text": f"where is parcel {n}?", "reply": f"in town {n}", "answer": "no", "job": f"j{n % 3}"}
        for n in range(60)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    flags = ("--answer-key", "reply", "--session-key", "job", "--store", "mind", "--least", "60", "--time", "0s")
    assert command("gestate", "in.jsonl", *flags).returncode == 0
    with sophia.open(tmp_path / "mind") as brain:
        assert brain.route("where is parcel 7?").answer == "in town 7"
        assert brain.thalamus.has_sessions


def test_inputs_that_cannot_be_read_give_no_birth(command: Run, tmp_path: Path) -> None:
    bad = '{"text": 5}\n' * 300
    (tmp_path / "bad.jsonl").write_text(bad + '{"text": "one"}\n' * 3)
    done = command("gestate", "bad.jsonl", "--store", "mind", "--least", "5", "--time", "0s")
    assert "60% of the inputs" in done.stderr.decode()
    assert "300 inputs cannot be read; they do not count" in done.stderr.decode()
    assert b"born" not in command("run", "bad.jsonl", "--no-store", "--report", "none").stderr


def test_a_gate_on_alarms_says_why_it_cannot_fire(command: Run, tmp_path: Path) -> None:
    times = [f"2026-03-01T{n // 60:02}:{n % 60:02}:00Z beat\n" for n in range(100)]
    (tmp_path / "in.log").write_text("".join(times))
    run = ("run", "in.log", "--store", "mind", "--report", "none", "--fail-on", "alarm")
    assert b"the brain is not born yet, so there can be no alarm" in command(*run).stderr
    for _ in range(2):
        assert b"there can be no alarm" not in command(*run).stderr.replace(b"the brain is not born yet", b"")
    assert command("crystallise", "--store", "mind").returncode == 0
    done = command(*run)
    assert b"crystalline" in done.stderr
    assert b"there can be no alarm" not in done.stderr
    assert command(*run, "--resume-answers").returncode == 4


def test_a_crystalline_store_refuses_what_would_change_it(command: Run, log: Path, tmp_path: Path) -> None:
    assert command("run", log.name, "--store", "mind", "--report", "none", "--quiet").returncode == 0
    assert command("crystallise", "--store", "mind").stdout == b"mind: crystalline\n"
    before = (tmp_path / "mind" / "sophia.db").read_bytes()
    for arguments in (
        ("remember", "x"),
        ("forget", "--scope", ""),
        ("forget", "--id", "1"),
        ("store", "consolidate"),
        ("route", "x", "--answer", "y"),
    ):
        refused = command(*arguments, "--store", "mind")
        assert (refused.returncode, b"crystalline" in refused.stderr) == (4, True), arguments
    done = command("run", log.name, "--store", "mind", "--report", "none", "--out", "out.jsonl", "--remember")
    assert done.returncode == 0
    routes = {json.loads(line)["route"] for line in (tmp_path / "out.jsonl").read_bytes().splitlines()}
    assert routes == {"reflex"}
    assert (tmp_path / "mind" / "sophia.db").read_bytes() == before
    assert command("crystallise", "--undo", "--store", "mind").stdout == b"mind: fluid\n"
    assert command("remember", "x", "--store", "mind").stdout == b"1\n"


@pytest.mark.parametrize("level", cpu.simd_levels())
@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_level_and_number_of_workers_calibrates_alike(
    command: Run, log: Path, tmp_path: Path, level: str, workers: str
) -> None:
    log.write_text("".join(line + "\n" for line in LINES[:250]) + "a new thing\nrm -rf / now\n" * 3)
    found = []
    for store, more, simd in (("usual", ("--batch", "7"), cpu.simd_levels()[-1]), ("other", (), level)):
        done = command(
            "run", log.name, "--store", store, "--workers", workers, "--out", f"{store}.jsonl", *more,
            "--report", "none", "--quiet", SOPHIA_SIMD=simd,
        )  # fmt: skip
        assert done.returncode == 0
        with StoreView(tmp_path / store / "sophia.db") as view:
            tables = [rebuild(name, *view.derived(name)).dump() for name in ("words", "drift")]
            rhythms = rebuild("rhythms", *view.derived("rhythms"))
            birth = json.loads(view.meta("life") or "")["birth"]
        records = [json.loads(line) | {"us": 0} for line in (tmp_path / f"{store}.jsonl").read_bytes().splitlines()]
        assert records[-1]["salience"]["urgency"] > 0.3
        tables.append([rhythms.rhythm(one) for one in range(5)])
        found.append((tables, birth | {"at": "", "seconds": 0}, records))
    assert found[0] == found[1]


def test_two_processes_on_one_store_are_born_once(command: Run, start: Callable[..., Live], tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("".join(line + "\n" for line in LINES))
    first = start("run", "app.log", "--store", "mind", "--rate", "100", "--batch", "4", "--out", "one.jsonl", "--quiet")
    first.until(lambda: (tmp_path / "mind" / "sophia.db").exists())
    refused = 0
    while first.process.poll() is None and refused < 20:
        done = command("run", "app.log", "--store", "mind", "--limit", "300", "--out", "two.jsonl", "--quiet")
        assert done.returncode in (0, 4)  # 4: the other process has the store
        refused += done.returncode == 4
    assert refused > 0
    first.process.kill()  # in the middle of it; the next one is born of what it had told
    first.process.wait()
    assert command("run", "app.log", "--store", "mind", "--quiet").returncode == 0
    facts = json.loads(command("status", "--store", "mind", "--json").stdout)
    assert (facts["stage"], facts["birth"]["inputs"]) == ("fluid", 200)
    assert births_of(tmp_path / "mind") == 1
    assert check(tmp_path / "mind").sound


def kills(tmp_path: Path, count: int, seed: int, rate: int = 2000) -> int:
    """Runs over one input are killed again and again; each goes on behind what was acknowledged. How many were."""
    whole = tmp_path / "whole"
    (tmp_path / "whole.log").write_text("".join(line + "\n" for line in LINES))
    with sophia.open(whole) as brain:
        run(read_batches([str(tmp_path / "whole.log")]), brain, io.BytesIO(), io.BytesIO())
        undisturbed = told_of(brain)
    draw = random.Random(seed)
    home = str(Path(sophia.__file__).resolve().parents[1])
    told: list[bytes] = []
    births = set()
    died = 0
    for number in range(count + 1):
        rest = LINES[len(told) :]
        if not rest:
            break
        (tmp_path / "rest.log").write_text("".join(line + "\n" for line in rest))
        out = tmp_path / f"out-{number}.jsonl"
        command = [sys.executable, "-m", "sophia", "run", "rest.log", "--store", "mind", "--out", str(out)]
        more = ["--report", "none", "--batch", "4", "--rate", str(rate), "--workers", str(draw.randint(1, 2))]
        with subprocess.Popen(
            [*command, *more], cwd=tmp_path, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": home}
        ) as process:
            if number < count:
                sleep(0.25 + draw.random() * 0.15)
                process.kill()
            process.communicate()
            died += process.returncode < 0
        if out.exists():
            told += [line for line in out.read_bytes().split(b"\n")[:-1] if line]
        with suppress(InputError):  # it was killed before anything stood in the store
            if (birth := life_of(tmp_path / "mind")["birth"]) is not None:
                births.add(json.dumps({**birth, "seconds": None}))
    assert len(told) == len(LINES)
    with sophia.open(tmp_path / "mind") as brain:  # what the last one left is learned
        assert brain.birth is not None
        assert told_of(brain) == undisturbed
        births.add(json.dumps({**brain.birth, "seconds": None}))
        assert brain.birth["inputs"] == 200
    assert len(births) == 1
    decided = [json.loads(line) for line in told]
    assert [one["why"] == "gestating" for one in decided[10:200]] == [True] * 190
    assert not [one for one in decided[200:] if one["why"] == "gestating"]
    assert births_of(tmp_path / "mind") == 1
    assert check(tmp_path / "mind").sound
    return died


def told_of(brain: sophia.Sophia) -> tuple[object, ...]:
    """What a brain has calibrated, and the rhythms that it knows."""
    brain.flush()
    assert brain.birth is not None
    rhythms = brain.thalamus.rhythms
    return (
        {**brain.birth, "at": "", "run": 0, "seconds": 0},
        [(one.id, one.template, rhythms.rhythm(one.id)) for one in brain.patterns()],
        brain.thalamus.dump("drift"),
        brain.thalamus.hot_path.tally,
    )


def test_it_is_born_once_under_some_kills(tmp_path: Path) -> None:
    kills(tmp_path, 4, 1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
def test_it_is_born_once_under_fifty_kills(tmp_path: Path, seed: int) -> None:
    assert kills(tmp_path, 20, 10 + seed, 150) >= 10

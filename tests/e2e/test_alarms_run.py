"""Lines that fall silent or come far too often, as a shell sees it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from .conftest import Live, Run

START = datetime(2026, 11, 1)


def stream(beats: range, *, silent: range = range(0), burst: int = -1) -> list[str]:
    """Lines of two hours and more: a heartbeat every 5 minutes but for the silent ones, and requests all the time."""
    made = []
    for n in range(beats.start * 300, beats.stop * 300, 10):
        at = START + timedelta(seconds=n)
        made.append(f"{at} web request {n * 7} took {n % 97} ms")
        if n % 300 == 0 and n // 300 not in silent:
            made.append(f"{at} worker 3 heartbeat {n}")
        if n // 600 == burst and n % 600 < 60:
            made += [f"{at} web request {n * 7 + i} took {i} ms" for i in range(40)]
    return made


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


@pytest.mark.parametrize("more", [(), ("--batch", "3"), ("--workers", "1"), ("--workers", "2", "--no-store")])
def test_a_heartbeat_that_stops_is_alarmed(command: Run, tmp_path: Path, more: tuple[str, ...]) -> None:
    """It came every 5 minutes, and has not come for 40."""
    write(tmp_path / "app.log", stream(range(60), silent=range(40, 48)))
    done = command("run", "app.log", "--out", "out/d.jsonl", "--fail-on", "alarm", *more)
    assert done.returncode == 1
    (alarm,) = [json.loads(line) for line in (tmp_path / "out" / "alarms.jsonl").read_bytes().splitlines()]
    assert (alarm["kind"], alarm["source"], alarm["usual"]) == ("silence", "app.log", 300.0)
    assert alarm["since"] == "2026-11-01T03:15:00Z"
    assert 600 <= alarm["found"] <= 2400
    patterns = [json.loads(line) for line in (tmp_path / "out" / "patterns.jsonl").read_bytes().splitlines()]
    assert "heartbeat" in {one["id"]: one["template"] for one in patterns}[alarm["pattern"]]
    said = done.stderr.decode()
    assert said.count("alarm: app.log: pattern") == 1
    assert "heartbeat <*>' has not come for" in said
    assert "where 5 min is usual" in said
    assert "alarms: silence 1; see alarms.jsonl" in said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["alarms"] == {"silence": 1}
    assert " alarm     app.log: pattern" in (tmp_path / "out" / "run.log").read_text()


def test_a_burst_is_alarmed_and_urgent(command: Run, tmp_path: Path) -> None:
    write(tmp_path / "app.log", stream(range(60), burst=20))
    assert command("run", "app.log", "--out", "out/d.jsonl").returncode == 0
    alarms = [json.loads(line) for line in (tmp_path / "out" / "alarms.jsonl").read_bytes().splitlines()]
    assert [one["kind"] for one in alarms] == ["rate"]
    decisions = [json.loads(line) for line in (tmp_path / "out" / "d.jsonl").read_bytes().splitlines()]
    urgent = [one["n"] for one in decisions if one["salience"] and one["salience"]["urgency"] == 0.75]
    assert urgent == [alarms[0]["n"]]


def test_nothing_is_alarmed_where_all_is_as_ever(command: Run, tmp_path: Path) -> None:
    write(tmp_path / "app.log", stream(range(60)))
    done = command("run", "app.log", "--out", "out/d.jsonl", "--fail-on", "alarm")
    assert done.returncode == 0
    assert (tmp_path / "out" / "alarms.jsonl").read_bytes() == b""
    assert b"alarm" not in done.stderr


def test_without_times_the_gate_says_that_it_is_none(command: Run, tmp_path: Path) -> None:
    write(tmp_path / "app.log", [line[20:] for line in stream(range(60), silent=range(40, 48))])
    done = command("run", "app.log", "--out", "out/d.jsonl", "--fail-on", "alarm")
    assert done.returncode == 0
    assert b"no input names a time that is known" in done.stderr


def test_the_files_of_a_run_that_alarmed_are_forgotten(command: Run, tmp_path: Path) -> None:
    lines = stream(range(60), silent=range(40, 48))
    records = [
        json.dumps({"text": line[20:], "ts": line[:19], "scope": "ana" if "heartbeat" in line else "bo"})
        for line in lines
    ]
    write(tmp_path / "app.jsonl", records)
    assert command("run", "app.jsonl", "--out", "out/d.jsonl", "--fail-on", "alarm").returncode == 1
    assert "has not come" in (tmp_path / "out" / "run.log").read_text()
    assert (tmp_path / "out" / "alarms.jsonl").read_bytes().count(b"\n") == 1
    assert command("forget", "--scope", "ana").returncode == 0
    for path in (tmp_path / "out").iterdir():
        assert b"heartbeat" not in path.read_bytes(), path
    assert (tmp_path / "out" / "alarms.jsonl").read_bytes() == b""


def test_alarms_are_told_when_they_are_raised(start: Callable[..., Live], tmp_path: Path) -> None:
    lines = stream(range(60), silent=range(40, 48))
    place = next(n for n, line in enumerate(lines) if "03:36:00" in line)
    write(tmp_path / "app.log", lines[:place])
    run = start("run", "app.log", "--follow", "--out", "out/d.jsonl")
    run.until(lambda: "has not come for" in run.said())
    run.until(lambda: (tmp_path / "out" / "alarms.jsonl").read_bytes().count(b"\n") == 1)
    assert run.said().index("was born after 200 inputs") < run.said().index("has not come for")
    run.end(signal.SIGKILL)
    assert (tmp_path / "out" / "alarms.jsonl").read_bytes().count(b"\n") == 1


def test_a_silence_over_two_runs(command: Run, tmp_path: Path) -> None:
    """The rhythm is the store's: what the first run has learned is missed in the second one."""
    lines = stream(range(40))
    assert command("run", write(tmp_path / "app.log", lines).name, "--quiet").returncode == 0
    told = command("status").stdout.decode()
    assert "every 5 min, at most 5 min" in told
    facts = json.loads(command("status", "--json").stdout)
    beat = next(one for one in facts["rhythms"] if "heartbeat" in one["template"])
    assert (beat["gap"], beat["comings"]) == (300.0, 40)
    rest = [line for line in stream(range(40, 60)) if "heartbeat" not in line]
    write(tmp_path / "app.log", rest)
    done = command("run", "app.log", "--out", "out/d.jsonl")
    assert done.stderr.decode().count("has not come for") == 1


def test_messages_with_a_time_of_their_own(command: Run, tmp_path: Path) -> None:
    lines = stream(range(60), silent=range(40, 48))
    write(tmp_path / "app.jsonl", [json.dumps({"text": line[20:], "ts": line[:19]}) for line in lines])
    done = command("run", "app.jsonl", "--out", "out/d.jsonl", "--tz", "+02:00")
    assert done.stderr.decode().count("has not come for") == 1
    (alarm,) = [json.loads(line) for line in (tmp_path / "out" / "alarms.jsonl").read_bytes().splitlines()]
    assert alarm["since"] == "2026-11-01T01:15:00Z"


def test_two_inputs_have_clocks_of_their_own(command: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.log", stream(range(60)))
    later = [line.replace("2026-11-0", "2027-03-1").replace("heartbeat", "pulse") for line in stream(range(60))]
    write(tmp_path / "b.log", later)
    done = command("run", "a.log", "b.log", "--out", "out/d.jsonl", "--fail-on", "alarm")
    assert done.returncode == 0, done.stderr


def test_forgetting_a_scope_forgets_its_rhythms(command: Run, tmp_path: Path) -> None:
    lines = [
        json.dumps({"text": line[20:], "ts": line[:19], "scope": "ana" if "heartbeat" in line else "bo"})
        for line in stream(range(40))
    ]
    write(tmp_path / "app.jsonl", lines)
    assert command("run", "app.jsonl", "--quiet").returncode == 0
    assert "heartbeat" in command("status").stdout.decode()
    assert command("forget", "--scope", "ana").returncode == 0
    told = command("status").stdout.decode()
    assert "heartbeat" not in told
    assert "request" in told

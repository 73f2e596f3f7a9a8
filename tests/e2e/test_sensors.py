"""`sophia run --format sensor`: rows of numbers to decisions, anomalies, summary and report; over runs and kills."""

from __future__ import annotations

import json
import math
import random
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from .conftest import Live, Run, records, until, without

Start = Callable[..., Live]

COUNT = 1500
ODD = {900: 95.0, 1200: -40.0}


def write(path: Path, count: int = COUNT, start: int = 0) -> Path:
    """A swing of an hour, every minute; two numbers that are not like it."""
    rows = ["timestamp,celsius,bar"]
    for i in range(count):
        celsius = ODD.get(i, 20 + 5 * math.sin(2 * math.pi * i / 60))
        rows.append(f"2026-03-0{1 + i // 1440} {i // 60 % 24:02}:{i % 60:02}:00,{celsius:.2f},{2 + i % 3}")
    path.write_text("\n".join([rows[0], *rows[1 + start :]]) + "\n")
    return path


def ended_or_wrote(running: Live, out: Path, size: int) -> bool:
    return running.process.poll() is not None or (out.exists() and out.stat().st_size > size)


FLAGS = ("--format", "sensor", "--sensor-warmup", "400", "--sensor-rest", "100", "--sensor-alarm", "0.9")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--format", "sensor", "--context-key", "a", "--text-key", "b"), b"--text-key, --context-key: without use"),
        (("--sensor", "pump", "--value-key", "celsius"), b"--value-key, --sensor: without use"),
        (
            ("--sensor-range", "0:9", "--sensor-warmup", "9", "--sensor-rest", "9", "--sensor-alarm", ".5"),
            b"sophia: --sensor-range, --sensor-warmup, --sensor-rest, --sensor-alarm: without use",
        ),
    ],
)
def test_names_of_no_use_are_told(command: Run, tmp_path: Path, flags: tuple[str, ...], said: bytes) -> None:
    write(tmp_path / "pump.csv", 20)
    done = command("run", "pump.csv", *flags, "--no-store", "--report", "none")
    assert done.returncode == 0
    assert said + b", as the format is" in done.stderr


@pytest.mark.parametrize("follow", [(), ("--follow",)])
@pytest.mark.parametrize(("flags", "said"), [(("--format", "sensor"), b"run --format sensor -"), ((), b"run -")])
def test_what_to_do_about_another_encoding_has_the_format(
    command: Run, tmp_path: Path, follow: tuple[str, ...], flags: tuple[str, ...], said: bytes
) -> None:
    data = "ts,x\n0,1\n".encode("utf-16")
    (tmp_path / "pump.csv").write_bytes(data)
    for name, given in (("pump.csv", b""), ("-", data)):
        done = command("run", name, *flags, *follow, "--no-store", "--report", "none", "--out", "-", stdin=given)
        assert done.returncode == 3
        assert b"try: iconv -f UTF-16 -t UTF-8 " + name.encode() + b" | sophia " + said + b"\n" in done.stderr


def test_unusual_numbers_are_told(command: Run, tmp_path: Path) -> None:
    write(tmp_path / "pump.csv")
    done = command(
        "run", "pump.csv", *FLAGS, "--no-store", "--out", "d.jsonl", "--fail-on", "anomaly", "--report", "report.html"
    )
    assert done.returncode == 1
    decided = records((tmp_path / "d.jsonl").read_bytes())
    assert [one["n"] - 1 for one in decided if one["anomaly"] >= 0.9 and not one["resting"]] == list(ODD)
    resting = [one for one in decided if one["resting"]]
    assert {one["route"] for one in resting} <= {"deep_thought"}
    for i in ODD:
        one = decided[i]
        assert (one["route"], one["why"], one["sensor"], one["channel"]) == (
            "deep_thought",
            "novel",
            "pump.csv",
            "celsius",
        )
        assert one["line"] == i + 2
    odd = {*ODD, *(one["n"] - 1 for one in resting)}
    assert all(one["route"] == "reflex" for i, one in enumerate(decided) if i >= 200 and i not in odd)
    error = done.stderr.decode()
    assert "anomaly: pump.csv:902: 2026-03-01 15:00:00+00:00: celsius is 95 (score " in error
    assert "sensors: 1,500 samples, anomalies: 2" in error
    assert "--fail-on anomaly: 2 samples" in error
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["sensors"]["samples"], summary["sensors"]["anomalies"]) == (COUNT, 2)
    page = (tmp_path / "report.html").read_text()
    assert "2 samples of sensors were" in page
    assert "celsius is 95" in page
    assert "hardly ever followed each other" in page
    assert [page.count(f'aria-label="{name} over the inputs, least and') for name in ("celsius", "bar")] == [1, 1]
    assert page.count("as a table</summary>") >= 2
    assert "celsius" not in (tmp_path / "run.log").read_text()


def test_a_range_that_begins_with_a_minus(command: Run, tmp_path: Path) -> None:
    write(tmp_path / "pump.csv", 20)
    done = command("run", "pump.csv", *FLAGS, "--sensor-range=-5:-4", "--no-store")
    assert done.returncode == 0
    assert b"all 20 samples of 'celsius' are outside the range -5:-4 that is given (--sensor-range)" in done.stderr
    assert b"--sensor-range=-5:5" in command("run", "--help").stdout


def test_each_of_several_sensors_is_told(command: Run, tmp_path: Path) -> None:
    rows, draw = ["ts,sensor,x"], random.Random(7)
    for i in range(600):
        noise = draw.randrange(100) if i >= 200 else 20
        rows += [f"{i},noisy,{noise}", f"{i},{'plant/' * 30}quiet,{90 if i == 580 else 20}"]
    (tmp_path / "all.csv").write_text("\n".join(rows) + "\n")
    rules = ("--sensor-warmup", "100", "--sensor-rest", "5", "--sensor-alarm", ".6", "--sensor-range", "0:100")
    done = command("run", "all.csv", "--format", "sensor", *rules, "--no-store", "--out", "d.jsonl")
    assert done.returncode == 0
    said = done.stderr.decode()
    assert said.count(": noisy: x is") == 5
    assert "anomaly: 5 of noisy named; further ones of it are in the decisions alone" in said
    assert "plant/quiet: x is 90 (score" in said
    found = json.loads((tmp_path / "summary.json").read_text())["sensors"]
    assert list(found["by_sensor"]) == ["noisy", "plant/" * 30 + "quiet"]
    assert found["by_sensor"]["plant/" * 30 + "quiet"] == {"samples": 600, "anomalies": 1}
    assert sum(one["anomalies"] for one in found["by_sensor"].values()) == found["anomalies"] > 6


def test_workers_batches_and_runs_change_nothing(command: Run, tmp_path: Path) -> None:
    write(tmp_path / "pump.csv")
    found = []
    for batch, workers in ((1, 1), (7, 2), (4096, 1)):
        out = tmp_path / f"d{batch}.jsonl"
        more = ["--batch", str(batch), "--workers", str(workers), "--quiet", "--report", "none"]
        done = command("run", "pump.csv", *FLAGS, "--store", f"s{batch}", "--out", out, *more)
        assert done.returncode == 0, done.stderr
        found.append(without(records(out.read_bytes()), "us"))
    assert all(one == found[0] for one in found)
    parts = []
    for i in range(3):
        write(tmp_path / "pump.csv", 500 * (i + 1), 500 * i)
        out = tmp_path / f"part{i}.jsonl"
        done = command("run", "pump.csv", *FLAGS, "--store", "parts", "--out", out, "--quiet", "--report", "none")
        assert done.returncode == 0, done.stderr
        parts += records(out.read_bytes())
    assert [one["anomaly"] for one in parts] == [one["anomaly"] for one in found[0]]


@pytest.mark.parametrize("seed", range(3))
def test_killed_runs_go_on_as_if_nothing_had_been(start: Start, command: Run, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    flags = [*FLAGS, "--sensor-range", "bar=0:10", "--quiet", "--batch", draw.choice(["1", "64"])]
    write(tmp_path / "pump.csv")
    done = command("run", "pump.csv", *flags, "--no-store", "--out", "-")
    expected = [one["anomaly"] for one in records(done.stdout)]
    found: list[float] = []
    killed = 0
    for part in range(4):
        write(tmp_path / "pump.csv", COUNT, len(found))
        out = tmp_path / f"{part}.jsonl"
        running = start("run", "pump.csv", *flags, "--store", "s", "--out", out, "--rate", "2000")
        wanted = 400_000 if part == 3 else draw.randrange(1, 200_000)
        until(partial(ended_or_wrote, running, out, wanted))
        killed += running.end(signal.SIGKILL) != 0
        whole = out.read_bytes().rpartition(b"\n")[0] if out.exists() else b""
        found += [one["anomaly"] for one in records(whole)]
        if len(found) == COUNT:
            break
    write(tmp_path / "pump.csv", COUNT, len(found))
    done = command("run", "pump.csv", *flags, "--store", "s", "--out", "-")
    found += [one["anomaly"] for one in records(done.stdout)]
    assert killed
    assert found == expected


def test_settings_of_a_file_and_columns(command: Run, tmp_path: Path) -> None:
    rows = "".join(f"{i};p{i % 2};{20 + i % 4},5;ok\n" for i in range(300))
    (tmp_path / "p.csv").write_text("t;pump;temp;state\n" + rows + "300;p0;99,5;ok\n301;p1;bad;ok\n")
    (tmp_path / "s.toml").write_text(
        '[thalamus]\nsensor_warmup = 100\nsensor_range = ["temp=0:100"]\n'
        '[run]\nformat = "sensor"\nvalue_key = "temp"\nsensor_key = "pump"\n'
    )
    done = command("run", "p.csv", "--config", "s.toml", "--no-store", "--out", "d.jsonl")
    assert done.returncode == 0, done.stderr
    decided = records((tmp_path / "d.jsonl").read_bytes())
    assert [(one["n"], one["sensor"]) for one in decided if one["anomaly"] >= 0.75] == [(301, "p0")]
    assert (decided[301]["reason"], decided[301]["route"]) == ("not-a-number", "deep_thought")
    assert b"p.csv:303: not-a-number" in done.stderr
    refused = command("run", "p.csv", "--format", "sensor", "--no-store")
    assert refused.returncode == 3
    assert b"column 'pump' holds 'p0', no number; --value-key NAME" in refused.stderr
    refused = command("run", "p.csv", "--sensor-range", "hot", "--no-store")
    assert refused.returncode == 2
    assert b"'hot' is no range; write LOW:HIGH" in refused.stderr


def test_what_could_not_be_judged_is_told(command: Run, tmp_path: Path) -> None:
    write(tmp_path / "short.csv", 300)
    done = command("run", "short.csv", *FLAGS, "--no-store", "--fail-on", "anomaly")
    assert done.returncode == 0
    assert done.stderr.count(b"1 sensor is still warming up, and nothing was judged of it: up to 100 samples") == 2
    (tmp_path / "a.log").write_text("a line\n")
    done = command("run", "a.log", "--no-store", "--fail-on", "anomaly")
    assert b"no input is a sample of a sensor" in done.stderr
    parts = []
    for i in range(3):
        write(tmp_path / f"day{i}.csv", 500 * (i + 1), 500 * i)
        parts.append(f"day{i}.csv")
    done = command("run", *parts, *FLAGS, "--sensor", "pump", "--no-store", "--out", "-")
    assert b"anomaly: day1.csv:402: 2026-03-01 15:00:00+00:00: pump: celsius is 95" in done.stderr


def test_a_sensor_that_is_followed(start: Start, tmp_path: Path) -> None:
    path = write(tmp_path / "pump.csv", 800)
    running = start("run", "pump.csv", "--follow", *FLAGS, "--no-store", "--out", "-", "--limit", "801")
    running.records(800)
    with path.open("a") as file:
        file.write("2026-03-01 13:20:00,77,2\n")
    assert running.record()["channel"] == "celsius"
    assert running.end() == 0
    assert "anomaly: pump.csv:802" in running.said()

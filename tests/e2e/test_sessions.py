"""`sophia run --session-key`: what is new about the sessions of a stream, from its files to its files."""

from __future__ import annotations

import csv
import json
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Live, Run, records, without

STEPS = {
    "r": "Receiving block {0} src: /10.0.0.{1}:50010",
    "s": "Stored block {0} of size {1}",
    "a": "Acknowledged block {0} to 10.0.0.{1}",
    "c": "Closing block {0} after {1} ms",
}
USUAL, EARLY, SWAPPED = "rsac", "rsa", "rasc"


def plays(rng: random.Random, *kinds: str) -> list[tuple[str, str]]:
    """Lines of sessions of these kinds, mixed: (session, line)."""
    waiting = [
        [(f"blk_{i}", STEPS[step].format(f"blk_{i}", rng.randrange(250))) for step in kind]
        for i, kind in enumerate(kinds)
    ]
    out = []
    while waiting:
        session = rng.choice(waiting[:4])
        out.append(session.pop(0))
        waiting = [one for one in waiting if one]
    return out


LINES = plays(random.Random(3), *[USUAL] * 60, EARLY, *[USUAL] * 20, SWAPPED)
NOVEL = {"blk_60", "blk_81"}


def sessions(folder: Path) -> list[dict[str, Any]]:
    return records((folder / "sessions.jsonl").read_bytes())


def novel(folder: Path) -> set[str]:
    """New sessions, but for the first ones, which teach what is usual."""
    return {one["session"] for one in sessions(folder) if one["novel"]} & NOVEL | {
        one["session"] for one in sessions(folder) if one["novel"] and int(one["session"][4:]) > 20
    }


def write_log(path: Path, lines: list[tuple[str, str]] = LINES) -> Path:
    path.write_text("".join(f"{line}\n" for _, line in lines))
    return path


def write_json(path: Path, lines: list[tuple[str, str]] = LINES) -> Path:
    path.write_text("".join(json.dumps({"text": line, "block": name}) + "\n" for name, line in lines))
    return path


def write_csv(path: Path) -> Path:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([("Block", "text"), *LINES])
    return path


@pytest.mark.parametrize(
    ("make", "name", "key"),
    [(write_log, "a.log", "re:(blk_[0-9]+)"), (write_json, "a.jsonl", "block"), (write_csv, "a.csv", "block")],
)
def test_every_format_has_sessions(
    command: Run, tmp_path: Path, make: Callable[[Path], Path], name: str, key: str
) -> None:
    done = command("run", make(tmp_path / name), "--session-key", key, "--no-store", "--out", "d.jsonl")
    assert done.returncode == 0, done.stderr
    assert novel(tmp_path) == NOVEL
    told = sessions(tmp_path)
    assert len(told) == 82
    decided = records((tmp_path / "d.jsonl").read_bytes())
    assert [one["session"] for one in decided] == [session for session, _ in LINES]
    by_name = {one["session"]: one for one in told}
    assert by_name["blk_60"]["counts_novel"]
    assert not by_name["blk_60"]["orders_novel"]
    swapped = by_name["blk_81"]
    assert (swapped["inputs"], swapped["counts_novel"], swapped["orders_novel"]) == (4, False, 3)
    raised = [one for one in decided if one["session"] == "blk_81" and one["session_novel"]]
    assert [one["session_novel"] for one in raised] == swapped["orders"]
    assert all((one["route"], one["why"]) == ("deep_thought", "novel") for one in raised)
    summary = json.loads((tmp_path / "summary.json").read_text())["sessions"]
    assert (summary["ended"], summary["open"]) == (82, 0)
    assert summary["novel"] == sum(one["novel"] for one in told)
    assert summary["inputs_raised"] == sum(one["session_novel"] is not None for one in decided)
    assert b"sessions: 82 ended" in done.stderr


def test_workers_and_batches_change_nothing(command: Run, tmp_path: Path) -> None:
    write_json(tmp_path / "a.jsonl")
    found = []
    for batch, workers in ((1, 1), (7, 2), (4096, 1), (256, 4)):
        out = tmp_path / f"{batch}" / "d.jsonl"
        more = ["--batch", str(batch), "--workers", str(workers), "--session-idle", "30", "--quiet"]
        done = command("run", "a.jsonl", "--session-key", "block", "--store", f"s{batch}", "--out", out, *more)
        assert done.returncode == 0, done.stderr
        found.append((without(records(out.read_bytes()), "us"), (out.parent / "sessions.jsonl").read_bytes()))
    assert all(one == found[0] for one in found)
    assert {one["ended"] for one in sessions(tmp_path / "1")} == {"idle", "end"}


def test_what_is_known_can_be_kept_as_it_is(command: Run, tmp_path: Path) -> None:
    """Learned on a good day; then each new session is told, again and again."""
    good = write_json(tmp_path / "good.jsonl", plays(random.Random(1), *[USUAL] * 30))
    bad = write_json(tmp_path / "bad.jsonl", plays(random.Random(2), USUAL, EARLY, SWAPPED, EARLY, SWAPPED))
    more = ["--session-key", "block", "--store", "s", "--quiet"]
    assert command("run", good, *more).returncode == 0
    gates = ["--fail-on", "novel-session", "--out", "d.jsonl"]
    for _ in range(2):
        done = command("run", bad, *more, "--no-session-learn", *gates)
        assert done.returncode == 1
        assert b"novel-session: 4 sessions" in done.stderr
        assert sorted(one["session"] for one in sessions(tmp_path) if one["novel"]) == [
            "blk_1",
            "blk_2",
            "blk_3",
            "blk_4",
        ]
    assert command("run", bad, *more, *gates).returncode == 1
    assert len([one for one in sessions(tmp_path) if one["novel"]]) == 2
    assert command("run", bad, *more, *gates).returncode == 0


def test_sessions_of_an_interrupted_run_go_on_in_the_next(
    start: Callable[..., Live], command: Run, tmp_path: Path
) -> None:
    good = write_json(tmp_path / "good.jsonl", plays(random.Random(1), *[USUAL] * 30))
    assert command("run", good, "--session-key", "block", "--quiet").returncode == 0
    lines = plays(random.Random(4), USUAL)
    path = write_json(tmp_path / "a.jsonl", lines[:1])
    live = start("run", "--follow", path, "--session-key", "block", "--out", "-", "--quiet")
    assert live.record()["session"] == "blk_0"
    assert live.end(signal.SIGINT) == 130
    (folder,) = [
        one for one in (tmp_path / "sophia-out").iterdir() if b'"open": 1' in (one / "summary.json").read_bytes()
    ]
    assert sessions(folder) == []
    done = command("run", write_json(tmp_path / "b.jsonl", lines[1:]), "--session-key", "block", "--out", "d.jsonl")
    assert done.returncode == 0
    (ended,) = sessions(tmp_path)
    assert (ended["novel"], ended["inputs"], ended["first_run"], ended["last_run"]) == (False, 4, 2, 3)


def test_without_a_store_an_interrupted_run_tells_what_it_knows(start: Callable[..., Live], tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.jsonl", LINES[:3])
    live = start("run", "--follow", path, "--session-key", "block", "--out", "d.jsonl", "--no-store", "--quiet")
    live.until(lambda: (tmp_path / "d.jsonl").exists() and (tmp_path / "d.jsonl").read_bytes().count(b"\n") == 3)
    assert live.end(signal.SIGTERM) == 143
    assert sum(one["inputs"] for one in sessions(tmp_path)) == 3


@pytest.mark.parametrize(
    ("value", "words"), [("re:blk_[0-9]+", "0 groups"), ("re:(blk", "RE2 does not take it"), ("", "it must be a name")]
)
def test_a_key_that_cannot_be_used_is_told_before_anything_is_written(
    command: Run, tmp_path: Path, value: str, words: str
) -> None:
    log = write_log(tmp_path / "a.log")
    done = command("run", log, "--session-key", value)
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert list(tmp_path.iterdir()) == [log]


def test_a_key_that_is_nowhere_is_told(command: Run, tmp_path: Path) -> None:
    done = command("run", write_json(tmp_path / "a.jsonl"), "--session-key", "blocks", "--out", "d.jsonl")
    assert done.returncode == 0
    assert b"no input had one" in done.stderr
    assert sessions(tmp_path) == []
    assert "session" not in records((tmp_path / "d.jsonl").read_bytes())[0]


def test_without_a_key_there_are_none(command: Run, tmp_path: Path) -> None:
    assert command("run", write_json(tmp_path / "a.jsonl"), "--out", "d.jsonl").returncode == 0
    assert not (tmp_path / "sessions.jsonl").exists()
    assert json.loads((tmp_path / "summary.json").read_text())["sessions"] is None


def test_settings_come_from_a_file(command: Run, tmp_path: Path) -> None:
    (tmp_path / "sophia.toml").write_text(
        '[thalamus]\nsession_ngram = 3\nsession_limit = 2\nsession_counts = "exact"\n[run]\nsession_key = "block"\n'
    )
    write_json(tmp_path / "a.jsonl")
    done = command("run", "a.jsonl", "--config", "sophia.toml", "--out", "d.jsonl", "--no-store", "--quiet")
    assert done.returncode == 0, done.stderr
    assert {len(one["session_novel"] or "abc") for one in records((tmp_path / "d.jsonl").read_bytes())} == {3}
    assert "room" in {one["ended"] for one in sessions(tmp_path)}


def test_the_report_shows_new_sessions(whole_command: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    lines = [*LINES, ("<script>alert(1)</script>", STEPS["a"]), ("<script>alert(1)</script>", STEPS["r"])]
    done = whole_command("run", write_json(tmp_path / "a.jsonl", lines), "--session-key", "block", "--out", "d.jsonl")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "The first new sessions" in page
    assert "&lt;script&gt;alert" in page
    assert "<script" not in page
    assert "had never been seen (patterns" in page


def test_faults_take_no_part(command: Run, tmp_path: Path) -> None:
    rows = [{"text": STEPS[step], "block": name} for name in "ab" for step in USUAL]
    text = (
        "".join(json.dumps(row) + "\n" for row in rows) + '{"text": "", "block": "a"}\n{"text": 7, "block": "c"}\n{\n'
    )
    (tmp_path / "a.jsonl").write_text(text)
    done = command("run", "a.jsonl", "--session-key", "block", "--out", "d.jsonl", "--no-store", "--quiet")
    assert done.returncode == 0
    told = {one["session"]: (one["inputs"], one["sound"], one["novel"]) for one in sessions(tmp_path)}
    assert told == {"a": (5, False, True), "b": (4, True, True), "c": (1, False, False)}

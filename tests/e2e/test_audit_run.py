"""The error budget through the command line: a stream in which the right answers change."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.organs.audit import false_serve_interval

from .conftest import Run, records, without

QUESTIONS = ["When do you open?", "Where are you?", "Who are you?", "Do you ship to Spain?"]


def stream(count: int, changes_at: int) -> bytes:
    """Questions in turn with their answers; from `changes_at` on each time another."""
    lines = []
    for i in range(count):
        question = QUESTIONS[i % len(QUESTIONS)]
        answer = f"answer to {question}" if i < changes_at else f"answer {i} to {question}"
        lines.append(json.dumps({"text": question, "answer": answer}))
    return "\n".join(lines).encode() + b"\n"


def summary_of(folder: Path) -> dict[str, Any]:
    (found,) = list(folder.glob("sophia-out/*/summary.json"))
    return json.loads(found.read_bytes())["audit"]  # type: ignore[no-any-return]


def decided(command: Run, stdin: bytes, *arguments: str) -> list[dict[str, Any]]:
    done = command("run", "-", "--out", "-", "--quiet", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return records(done.stdout)


def test_answers_that_change_are_found_and_switched_off(command: Run, tmp_path: Path) -> None:
    done = command("run", "-", "--out", "-", "--audit", "1", "--audit-budget", "0.05", stdin=stream(400, 200))
    assert done.returncode == 0
    decisions = records(done.stdout)
    served = [d for d in decisions if d["answer"] is not None]
    wrong = [d for d in served if d["agrees"] is False]
    first = next(d["n"] for d in decisions if d["withheld"])
    assert all(d["audit"] for d in served)
    assert all(d["agrees"] for d in served if d["n"] <= 200)
    assert all(d["n"] < first for d in served)
    assert all(d["withheld"] and d["why"] == "known-pattern" for d in decisions[first - 1 :])
    assert 200 < wrong[-1]["n"] == first - 1
    audit = summary_of(tmp_path)
    assert audit["drawn"] == len(served)
    assert audit["differed"] == len(wrong)
    assert (audit["open"], audit["answers_off"], audit["withheld"]) == (0, True, 400 - first + 1)
    assert audit["interval"] == [round(end, 6) for end in false_serve_interval(len(wrong), len(served))]
    assert audit["interval"][0] > audit["budget"] == 0.05
    # One wrong answer less would not have been enough.
    assert false_serve_interval(len(wrong) - 1, len(served) - 1)[0] <= 0.05
    text = done.stderr.decode()
    assert f"audited: {len(served)}, of them {len(served)} compared, {len(wrong)} wrong: " in text
    assert "answers are switched off" in text


@pytest.mark.parametrize("arguments", [["--batch", "1"], ["--batch", "7"], ["--workers", "2"], ["--batch", "401"]])
def test_nothing_changes_by_batches_and_workers(command: Run, arguments: list[str]) -> None:
    options = ("--no-store", "--audit", "0.4", "--audit-budget", "0.05")
    inputs = stream(400, 150)
    expected = decided(command, inputs, *options)
    assert any(d["withheld"] for d in expected)
    assert {d["agrees"] for d in expected} == {None, True, False}
    assert without(decided(command, inputs, *options, *arguments), "us") == without(expected, "us")


def test_the_switch_survives_until_the_user_resumes(command: Run, tmp_path: Path) -> None:
    options = ("--audit", "1", "--audit-budget", "0.05")
    decided(command, stream(300, 100), *options)
    question = json.dumps({"text": QUESTIONS[0]}).encode()
    done = command("run", "-", "--out", "-", stdin=question)
    assert b"answers are switched off" in done.stderr
    assert records(done.stdout)[0]["withheld"]
    (again,) = decided(command, question, "--resume-answers")
    assert (again["withheld"], again["route"]) == (False, "reflex")
    assert again["answer"].startswith("answer ")
    done = command("run", "-", "--out", "-", stdin=question)
    assert records(done.stdout)[0]["answer"] == again["answer"]
    assert b"switched off" not in done.stderr


def test_a_killed_run_leaves_the_switch_where_the_records_say(tmp_path: Path) -> None:
    """kill -9 right after the record that says `withheld` can be read."""
    home = Path(sophia.__file__).resolve().parents[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sophia", "run", "-", "--out", "-", "--quiet"),
            *("--batch", "8", "--audit", "1", "--audit-budget", "0.05"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(home)},
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(stream(200, 60))
    process.stdin.flush()
    try:
        while not json.loads(process.stdout.readline())["withheld"]:
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.stdin.close()
        process.stdout.close()
        assert process.wait(60) == -signal.SIGKILL
    with sophia.open(tmp_path / ".sophia") as brain:
        assert brain.audit.answers_off
        assert brain.audit.differed > 0
        assert brain.route(QUESTIONS[0]).withheld


def test_drawn_inputs_without_an_answer_are_open(command: Run, tmp_path: Path) -> None:
    question = json.dumps({"text": QUESTIONS[0]}).encode() + b"\n"
    done = command("run", "-", "--out", "-", "--audit", "1", "--cost-per-call", "2", stdin=stream(1, 1) + 50 * question)
    assert [d["agrees"] for d in records(done.stdout)] == [None] * 51
    audit = summary_of(tmp_path)
    assert (audit["drawn"], audit["open"], audit["false_serve_rate"], audit["interval"]) == (50, 50, None, None)
    assert b"audited: 50, of them 0 compared, 0 wrong; 50 open" in done.stderr
    (totals,) = [json.loads(path.read_bytes()) for path in tmp_path.glob("sophia-out/*/summary.json")]
    assert totals["served_from_memory"] == 50
    assert totals["saved"] == {"calls": 0, "cost_per_call": 2.0, "cost": 0.0}
    assert b"answered from memory: 50, calls avoided: 0 (saved 0.00);" in done.stderr


def test_identical_inputs_of_one_batch_are_as_one_at_a_time(command: Run) -> None:
    """A stream needs no single flight: the second of two identical inputs sees what the first has left."""
    lines = [
        {"text": "When?", "answer": "Now."},
        {"text": "when"},
        {"text": "When?"},
        {"text": "Why?"},
        {"text": "Why?"},
    ]
    inputs = "\n".join(json.dumps(line) for line in lines * 20).encode()
    together = decided(command, inputs, "--no-store", "--batch", "256")
    assert without(decided(command, inputs, "--no-store", "--batch", "1"), "us") == without(together, "us")
    assert [d["answer"] for d in together[:3]] == [None, "Now.", "Now."]
    assert [d["why"] for d in together[3:5]] == ["novel", "known-pattern"]


@pytest.mark.parametrize("flags", [["--audit", "2"], ["--audit", "1%"], ["--audit-budget", "-1"], ["--audit", "nan"]])
def test_a_bad_share_is_a_usage_error(command: Run, flags: list[str]) -> None:
    done = command("run", "-", *flags)
    assert done.returncode == 2
    assert f"{flags[1]!r} is not a share between 0 and 1" in done.stderr.decode()


def test_without_an_audit_the_summary_says_so(command: Run, tmp_path: Path) -> None:
    done = command("run", "-", "--out", "-", stdin=stream(20, 20))
    assert summary_of(tmp_path)["drawn"] == 0
    assert b"audit" not in done.stderr
    assert not any(d["audit"] or d["withheld"] for d in records(done.stdout))

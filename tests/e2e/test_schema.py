"""The decision record is what its JSON Schema says, with every route and every why that a run can have."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from intent_texts import OUTSIDE, examples, labelled

from sophia._core.decision import WHYS
from sophia.stream.demo import demo_path
from sophia.stream.event import REASONS

from .conftest import Run, records

SCHEMA = json.loads((resources.files("sophia.stream") / "decision.schema.json").read_text(encoding="utf-8"))
OF_SESSIONS, OF_SENSORS = ("session", "session_novel"), ("sensor", "anomaly", "channel", "resting")
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert {*SCHEMA["required"], "model", "fault", *OF_SESSIONS, *OF_SENSORS} == set(SCHEMA["properties"])
    assert set(WHYS) <= set(SCHEMA["properties"]["why"]["enum"])
    assert {None, *REASONS, "too-long", "invalid"} == set(SCHEMA["properties"]["reason"]["enum"])


def test_every_record_of_several_runs(command: Run, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("".join(f"worker {i % 7} finished job {i}\n" for i in range(50)) + "rm -rf / as root\n")
    table = tmp_path / "table.csv"
    table.write_text('id,text,user,session,time\n1,"two\nlines",ana,s,2026-01-01 10:00\n2,a,b,c,d,e,f,g\n3,?,,,\n4\n')
    bad = tmp_path / "bad.jsonl"
    long = b'{"text": "' + b" ".join(b"word" for _ in range(300)) + b'"}\n'
    bad.write_bytes(
        b'{"text": "What is the time?", "answer": "Ten."}\n{"text": "what is the time"}\n{"text": "what is the time"}\n'
        b'{"x": 1}\n{"text": 1}\n[]\n{\n{"text": ""}\n{"text": "\xff"}\n{"text": "a\\u0000"}\n{"text": "'
        + b"x" * 30_000
        + b'"}\n{"text": "rm -rf / now \xff"}\n{"text": "a'
        + "\u0301".encode() * 40
        + b'"}\n'
        + long * 2
        + b'{"text": "user ana is here"}\n{"text": "user bob is here"}\n{"text": "user ida is here"}\n'
        b'{"text": "user eve is here"}\n{"text": "user leo is here"}\n'
    )
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("time,x\n" + "".join(f"{i},{i % 4}\n" for i in range(60)) + "60,9\n61,bad\n62,\n")
    seen: list[dict[str, Any]] = []
    for arguments in (
        [demo_path()],
        [log],
        [table],
        [bad, "--format", "jsonl"],
        [log, demo_path(), table, "--sample", "0.5"],
        [demo_path(), "--no-cache", "--mask", "none"],
        [log, "--session-key", "re:^(worker [0-6])"],
        [table, "--session-key", "session"],
        [numbers, "--format", "sensor", "--sensor-warmup", "20"],
    ):
        done = command("run", *arguments, "--out", "-", "--quiet", "--no-store")
        assert done.returncode == 0, done.stderr
        seen += records(done.stdout)
    own = {*OF_SESSIONS, *OF_SENSORS}
    assert all([key for key in record if key not in own] == SCHEMA["required"] for record in seen)
    assert {tuple(key for key in record if key in own) for record in seen} == {(), OF_SESSIONS, OF_SENSORS}
    assert {bool(record["channel"]) for record in seen if "sensor" in record} == {True, False}
    assert {type(record["session_novel"]) for record in seen if "session" in record} == {list, type(None)}
    labelled(tmp_path / "labelled.csv", examples())
    assert command("fit", "labelled.csv", "--model", "model", "--quiet").returncode == 0
    (tmp_path / "asked.txt").write_text("\n".join([*examples()[0], *OUTSIDE]), encoding="utf-8")
    done = command("run", "asked.txt", "--model", "model", "--out", "-", "--quiet", "--no-store")
    judged = records(done.stdout)
    assert all(set(record) == {*SCHEMA["required"], "model"} for record in judged)
    seen += judged
    for record in seen:
        VALIDATOR.validate(record)
    assert {record["route"] for record in seen} == {"reflex", "cortical", "deep_thought"}
    assert {record["why"] for record in seen} == set(WHYS) - {"error"}  # see test_hung_disk.py
    assert {record["verdict"] for record in seen} == {"allow", "flag", "veto"}
    assert {record["reason"] for record in seen} >= {
        None, "not-json", "not-csv", "not-an-object", "no-text", "not-a-string", "not-utf8", "nul", "empty", "too-long",
        "invalid", "not-a-number",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"route": "deep"}, {"why": "because"}, {"n": 0}, {"novelty": 1.5}, {"danger": {"rule": "x"}}, {"reason": "odd"},
        {"verdict": "veto"}, {"answer": 7}, {"route": "reflex", "verdict": "flag"},
        {"reason": "nul", "route": "cortical"}, {"session": "a"}, {"session": "", "session_novel": None},
        {"session": "a", "session_novel": []}, {"session": "a", "session_novel": [1, 2], "route": "cortical"},
        {"match": {"id": "1.1"}}, {"sensor": "a"}, {"anomaly": 0.5, "channel": None},
        {"sensor": "a", "anomaly": 2.0, "channel": None, "resting": False}, {"k": [1.0]}, {"line": 0},
    ],
)  # fmt: skip
def test_what_is_no_record(command: Run, change: dict[str, Any]) -> None:
    done = command("run", "-", "--out", "-", "--quiet", "--no-store", stdin=b"one line\n")
    (record,) = records(done.stdout)
    VALIDATOR.validate(record)
    assert list(VALIDATOR.iter_errors(record | change))
    for name in SCHEMA["required"]:
        assert list(VALIDATOR.iter_errors({key: value for key, value in record.items() if key != name}))

"""`sophia ask`: questions about what was decided."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sophia.store.chronicle import missing

from .conftest import Run

pytestmark = pytest.mark.skipif(bool(missing()), reason="needs duckdb and pyarrow")


@pytest.fixture
def store(command: Run, tmp_path: Path) -> Path:
    lines = [{"text": f"user {n} logged in", "ts": f"2026-11-30T{8 + n // 30:02}:00:00Z"} for n in range(240)]
    lines[200]["text"] = "the disk of node 7 is full"
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = command("run", "in.jsonl", "--store", "mind", "--out", "out", "--report", "none", "--quiet")
    assert done.returncode == 0
    return tmp_path / "mind"


def test_what_was_new_is_answered(command: Run, store: Path) -> None:
    done = command("ask", "what was new after 2026-11-30 14:00?", "--store", "mind")
    assert (done.returncode, done.stderr) == (0, b"")
    said, names, *rows = done.stdout.decode().splitlines()
    assert said == "patterns that were first seen from 2026-11-30 14:00:00 UTC:"
    assert names.split() == ["seen", "source", "line", "decisions", "template"]
    assert len(rows) == 1
    assert "in.jsonl  201" in rows[0]
    assert rows[0].endswith("the disk of node <*> is full")


def test_words_may_come_one_by_one_and_a_zone_counts(command: Run, store: Path) -> None:
    words = ["how", "many", "inputs", "were", "there", "since", "2026-11-30", "16:00"]
    done = command("ask", *words, "--tz", "Europe/Berlin", "--json", "--store", "mind")
    assert json.loads(done.stdout)["inputs"] == 30  # from 15:00 in UTC on
    done = command("ask", "what", "was", "dangerous?", "--store", "mind")
    assert done.stdout == b"inputs that a danger rule hit in all that is kept:\nnone\n"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (["why is the sky blue?"], b"cannot be answered from what was decided: 'why', 'sky', 'blue'"),
        (["what was new after 25:00?"], b"hour must be in 0..23"),
        (["what was new?", "--tz", "Mars/Base"], b"'Mars/Base' is no time zone"),
        (["what was new?", "--tz", "/etc/passwd"], b"is no time zone"),
    ],
)
def test_what_cannot_be_answered_is_said(command: Run, store: Path, question: list[str], words: bytes) -> None:
    done = command("ask", *question, "--store", "mind")
    assert (done.returncode, done.stdout) == (2, b"")
    assert words in done.stderr
    assert not (store / "weaver.duckdb").exists()


def test_it_is_said_where_no_input_has_a_time(command: Run, tmp_path: Path) -> None:
    """Else "what fell silent?" would be answered with none, after all had."""
    (tmp_path / "in.log").write_text("".join(f"worker {n} is up\n" for n in range(40)))
    assert command("run", "in.log", "--store", "mind", "--out", "o", "--report", "none", "--quiet").returncode == 0
    for question in ("what fell silent?", "what was new?"):
        told = command("ask", question, "--store", "mind").stdout.splitlines()
        assert told[1].startswith(b"(no input has a time of its own: ")


def test_a_store_that_is_none(command: Run, tmp_path: Path) -> None:
    done = command("ask", "what was new?", "--store", "nowhere")
    assert done.returncode == 3

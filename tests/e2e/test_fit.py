"""`sophia fit`, and what `run` and `route` make of its model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from intent_texts import OUTSIDE, examples, labelled, split

import sophia

from .conftest import Run, records


@pytest.fixture
def files(tmp_path: Path) -> Path:
    train, test = split()
    labelled(tmp_path / "train.csv", train)
    labelled(tmp_path / "test.csv", (test[0] + OUTSIDE[1::2], test[1] + ["elsewhere"] * len(OUTSIDE[1::2])))
    (tmp_path / "outside.txt").write_text("\n".join(OUTSIDE[::2]) + "\n", encoding="utf-8")
    return tmp_path


def test_from_labels_to_scores(command: Run, files: Path) -> None:
    done = command("fit", "train.csv", "--out-of-scope", "outside.txt", "--model", "model")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b""
    told = done.stderr.decode()
    for words in ("held-out accuracy", "threshold", "best over both", "written to model/intents.sophia"):
        assert words in told
    assert (files / "model" / "intents.sophia").is_file()

    done = command("run", "test.csv", "--model", "model", "--score", "--json", "--out", "d.jsonl", "--no-store")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    decided = records((files / "d.jsonl").read_bytes())
    score = summary["score"]["intents"]
    test = split()[1]
    right = sum(record["intent"] == label for record, label in zip(decided, test[1], strict=False))
    assert score["in_scope"] == len(test[0])
    assert score["right"] == pytest.approx(right / len(test[0]), abs=1e-4)
    assert score["right"] > 0.85
    assert score["out_of_scope"] == 5
    assert score["out_of_scope_recall"] >= 0.6
    for row in score["intents"]:
        taken = sum(record["intent"] == row["intent"] for record in decided)
        true = sum(r["intent"] == row["intent"] == label for r, label in zip(decided, test[1], strict=False))
        there = test[1].count(row["intent"])
        assert row["precision"] == pytest.approx(true / taken, abs=1e-4)
        assert row["recall"] == pytest.approx(true / there, abs=1e-4)
        assert row["f1"] == pytest.approx(2 * true / (taken + there), abs=1e-4)
    assert score["macro"]["f1"] == pytest.approx(sum(r["f1"] for r in score["intents"]) / 4, abs=1e-3)
    assert {record["model"] for record in decided} == {summary["model"]}
    assert b"macro precision" in done.stderr

    done = command("route", "switch on the lamp now", "--model", "model", "--no-store")
    (record,) = records(done.stdout)
    assert (record["intent"], record["route"], record["model"]) == ("light", "cortical", summary["model"])


def test_the_same_input_gives_the_same_file(command: Run, files: Path) -> None:
    reports = []
    for name, workers in (("one", "1"), ("two", "3")):
        done = command("fit", "train.csv", "--model", name, "--json", "--quiet", "--workers", workers)
        assert (done.returncode, done.stderr) == (0, b"")
        reports.append(json.loads(done.stdout) | {"model": ""})
    assert reports[0] == reports[1]
    one, two = ((files / name / "intents.sophia").read_bytes() for name in ("one", "two"))
    assert one == two


def test_json_lines_and_other_names(command: Run, files: Path) -> None:
    rows = [{"utterance": text, "intent": label} for text, label in zip(*examples(), strict=True)]
    rows += [{"utterance": "nobody labelled this"}, {"utterance": " ", "intent": "light"}]
    (files / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n", encoding="utf-8")
    done = command("fit", "rows.jsonl", "--text-key", "utterance", "--label-key", "intent", "--model", "m.sophia")
    assert done.returncode == 0, done.stderr
    assert b"1 inputs without a label" in done.stderr
    assert b"not-json" in done.stderr
    assert (files / "m.sophia").is_file()
    done = command("route", "switch on the lamp now", "--model", "m.sophia", "--no-store")
    assert records(done.stdout)[0]["intent"] == "light"


def test_a_settings_file_names_the_model(command: Run, files: Path) -> None:
    assert command("fit", "train.csv", "--model", "conf/model", "--quiet").returncode == 0
    (files / "conf" / "sophia.toml").write_text('[run]\nmodel = "model"\nno_store = true\n', encoding="utf-8")
    done = command("route", "switch on the lamp now", "--config", "conf/sophia.toml")
    assert records(done.stdout)[0]["intent"] == "light"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.csv"], 3, b"none.csv"),
        (["one.csv"], 3, b"at least two labels"),
        (["outside.txt"], 3, b"--label-key"),
        (["train.csv", "--out-of-scope", "empty.txt"], 2, b"empty.txt"),
        (["train.csv", "--in-scope-loss", "nan"], 2, b"share"),
        (["train.csv", "--reflex-safe", "nothing"], 3, b"'nothing'"),
        (["train.csv", "--validation", "other.csv"], 3, b"'unheard'"),
    ],
)
def test_what_cannot_be_fitted(command: Run, files: Path, arguments: list[str], code: int, words: bytes) -> None:
    (files / "one.csv").write_text("text,label\na b,x\nc d,x\n", encoding="utf-8")
    (files / "other.csv").write_text("text,label\na b,unheard\n", encoding="utf-8")
    (files / "empty.txt").write_text("\n", encoding="utf-8")
    done = command("fit", *arguments, "--model", "model")
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert not (files / "model").exists()


def test_a_model_that_is_not_there_or_damaged(command: Run, files: Path) -> None:
    done = command("run", "train.csv", "--model", "model", "--no-store")
    assert done.returncode == 3
    assert b"sophia fit" in done.stderr
    (files / "model").mkdir()
    (files / "model" / "intents.sophia").write_bytes(b"SOPHINT\n\x01" + bytes(100))
    done = command("run", "train.csv", "--model", "model", "--no-store")
    assert done.returncode == 5
    assert b"is damaged" in done.stderr
    assert not (files / "sophia-out").exists()


def test_alert_labels_are_scored_as_before(command: Run, files: Path) -> None:
    """Labels that a router does not know are no intents: the score is that of alerts."""
    assert command("fit", "train.csv", "--model", "model", "--quiet").returncode == 0
    rows = '{"text": "drop table users;", "label": "attack"}\n{"text": "a quiet line", "label": "normal"}\n'
    (files / "rows.jsonl").write_text(rows, encoding="utf-8")
    told = []
    for model in ([], ["--model", "model"]):
        done = command("run", "rows.jsonl", *model, "--score", "--json", "--no-store", "--out", "d.jsonl")
        told.append(json.loads(done.stdout)["score"])
        assert b"deep thought" in done.stderr
    assert told[1].pop("intents")["in_scope"] == 0
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train.csv", "--model", "train.csv"], "is an input (train.csv)"),
        (["t*.csv", "--model", "./train.csv"], "is an input (train.csv)"),
        (["link.csv", "--model", "train.csv"], "is an input (link.csv)"),
        (["train.csv", "--model", "hard.csv"], "is an input (train.csv)"),
        (["-", "--model", "train.csv"], "is an input (standard input)"),
        (["train.csv", "--validation", "test.csv", "--model", "test.csv"], "is an input (test.csv)"),
        (["train.csv", "--out-of-scope", "outside.txt", "--model", "outside.txt"], "is an input (outside.txt)"),
        (["data/intents.sophia", "--model", "data"], "is an input (data/intents.sophia)"),
        (["train.csv", "--model", "notes.txt"], "would replace something else"),
        (["train.csv", "--model", "data"], "would replace something else"),
        (["train.csv", "--model", "notes.txt/model"], "cannot be written"),
        (["train.csv", "--model", "a" * 300], "cannot be written (File name too long)"),
    ],
)
def test_a_model_never_takes_the_place_of_data(command: Run, files: Path, arguments: list[str], words: str) -> None:
    (files / "link.csv").symlink_to("train.csv")
    (files / "hard.csv").hardlink_to(files / "train.csv")
    (files / "notes.txt").write_text("mine\n")
    (files / "data").mkdir()
    (files / "data" / "intents.sophia").write_bytes((files / "train.csv").read_bytes())
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    done = _with_input(files, arguments) if arguments[0] == "-" else command("fit", *arguments)
    assert done.returncode == 2, done.stderr
    assert words.encode() in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


def _with_input(folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[bytes]:
    """`sophia fit` whose standard input is the training data themselves."""
    home = Path(sophia.__file__).resolve().parents[1]
    with (folder / "train.csv").open("rb") as data:
        return subprocess.run(
            [sys.executable, "-m", "sophia", "fit", *arguments],
            stdin=data,
            capture_output=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(home)},
            timeout=120,
            check=False,
        )


@pytest.mark.parametrize("first", [["run", "train.csv"], ["route", "switch on the lamp"]])
@pytest.mark.parametrize("content", [b"text,label\n", b"SOPH", b"", b"x" * 100])
def test_what_is_not_a_model_cannot_be_used(command: Run, files: Path, first: list[str], content: bytes) -> None:
    (files / "model.csv").write_bytes(content)
    done = command(*first, "--model", "model.csv", "--store", "mind")
    assert done.returncode == 2
    assert done.stderr.startswith(b"sophia: model.csv is not a model of sophia: ")
    assert done.stderr.count(b"\n") == 1
    assert not (files / "mind").exists()
    assert not (files / "sophia-out").exists()

"""`--config sophia.toml`: what it says holds, what a flag says holds more, and what is wrong in it is told at once."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from sophia import Settings
from sophia.config import RunSettings, memory_bounds, read_config
from sophia.stream.demo import demo_path

from .conftest import Run, records

DOCS = Path(__file__).resolve().parents[2] / "docs" / "run.md"


def test_a_file_sets_what_flags_set(command: Run, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "rules.toml").write_text(
        '[[rule]]\nid = "acme.tea"\ndescription = "x"\npattern = \'\\btea\\b\'\nseverity = "low"\n'
    )
    (tmp_path / "more.toml").write_text(
        '[[rule]]\nid = "acme.rum"\ndescription = "x"\npattern = \'\\brum\\b\'\nseverity = "low"\n'
    )
    (tmp_path / "conf" / "sophia.toml").write_text(
        '[thalamus]\non_danger = "flag"\nmax_chars = 30\n'
        '[run]\ntext_key = "body"\nrules = "rules.toml"\nno_store = true\n'
    )
    (tmp_path / "in.jsonl").write_text(
        '{"body": "a cup of tea"}\n{"body": "a glass of rum"}\n{"body": "a text of more than thirty characters"}\n'
    )
    base = ["run", "in.jsonl", "--config", "conf/sophia.toml", "--out", "-", "--quiet"]
    decisions = records(command(*base).stdout)
    assert [d["verdict"] for d in decisions] == ["flag", "allow", "allow"]
    assert [d["why"] for d in decisions] == ["danger", "novel", "too-long"]
    assert not (tmp_path / ".sophia").exists()
    decisions = records(command(*base, "--max-chars", "99", "--rules", "more.toml", "--store", "mind").stdout)
    assert [d["verdict"] for d in decisions] == ["flag", "flag", "allow"]
    assert decisions[2]["why"] == "novel"
    assert (tmp_path / "mind").exists()
    routed = command("route", "a cup of tea", "--config", "conf/sophia.toml", "--no-store")
    assert json.loads(routed.stdout)["danger"]["rule"] == "acme.tea"


def test_the_policy_does_not_depend_on_where_a_setting_comes_from(command: Run, tmp_path: Path) -> None:
    (tmp_path / "sophia.toml").write_text("[thalamus]\nmax_chars = 77\nseed = 5\n")
    told = ["--max-chars", "77", "--seed", "5"]
    one, other = (
        records(command("run", demo_path(), *flags, "--limit", "1", "--out", "-", "--no-store", "--quiet").stdout)
        for flags in (["--config", "sophia.toml"], told)
    )
    assert one[0]["policy_version"] == other[0]["policy_version"]


def test_everything_wrong_is_told_at_once_and_nothing_is_written(command: Run, tmp_path: Path) -> None:
    (tmp_path / "sophia.toml").write_text('[thalamus]\nmax_char = 5\n[run]\nbatch = "many"\nretries = 3\n')
    done = command("run", demo_path(), "--config", "sophia.toml")
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[:3] == [
        "sophia: 3 settings cannot be used:",
        "  sophia.toml:2: unknown key 'max_char' in [thalamus]; did you mean 'max_chars'?",
        "  sophia.toml:4: batch is 'many'; it must be a whole number from 1 to 65536",
    ]
    assert done.stderr.decode().splitlines()[3].startswith("  sophia.toml:5: unknown key 'retries' in [run]")
    assert [path.name for path in tmp_path.iterdir()] == ["sophia.toml"]


@pytest.mark.parametrize("name", ["sophia.toml", "a folder"])
def test_a_file_that_cannot_be_read(command: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "a folder").mkdir()
    done = command("run", demo_path(), "--config", name)
    assert done.returncode == 2
    assert f"{name}:1: the settings file cannot be read".encode() in done.stderr


def test_the_example_of_the_docs_is_the_default(tmp_path: Path) -> None:
    text = DOCS.read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    path = tmp_path / "sophia.toml"
    path.write_text(example)
    brain, run = read_config(path)
    assert brain == Settings(ttl=2_592_000.0, **memory_bounds(512 << 20))  # type: ignore[arg-type]
    assert run.changed() == {
        "text_key": ("body", "text"),
        "value_key": ("celsius",),
        "sensor": "pump",
        "rules": (str(tmp_path / "rules.toml"),),
        "model": str(tmp_path / "model"),
        "fail_on": ("danger", "error-rate>0.01"),
        "session_key": ("job", "re:(blk_-?[0-9]+)"),
    }
    path.write_text(re.sub(r"^# (\w+ = )", r"\1", example, flags=re.M).replace("max_memory", "# max_memory"))
    assert read_config(path)[0] == Settings(ttl=2_592_000.0)


def test_the_docs_name_every_flag_and_every_setting(command: Run) -> None:
    text = DOCS.read_text(encoding="utf-8")
    help = command("run", "--help").stdout.decode()
    flags = set(re.findall(r"--[a-z][a-z-]+", help)) - {"--help", "--version"}
    assert flags <= set(re.findall(r"--[a-z][a-z-]+", text))
    for setting in fields(Settings):
        assert setting.name in text
    for setting in fields(RunSettings):
        assert f"--{setting.name.replace('_', '-')}" in text

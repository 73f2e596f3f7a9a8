"""`--config sophia.toml`: what it says holds, what a flag says holds more, and what is wrong in it is told at once."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from sophia import Settings
from sophia.config import RunSettings, load_config, memory_bounds, read_config
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


def test_the_example_of_the_docs_can_be_used(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)
    path = tmp_path / "sophia.toml"
    path.write_text(example)
    brain, run = read_config(path)
    bounds: dict[str, Any] = memory_bounds(512 << 20)
    assert brain == Settings(on_danger="flag", max_chars=40_000, ttl=2_592_000.0, **bounds)
    assert run.changed() == {
        "text_key": ("body", "text"),
        "rules": (str(tmp_path / "rules.toml"),),
        "fail_on": ("danger", "error-rate>0.01"),
    }


def test_the_list_of_the_docs_is_what_init_writes(command: Run) -> None:
    (listed,) = re.findall(r"```toml\n(.*?)```", (DOCS.parent / "settings.md").read_text(encoding="utf-8"), re.S)
    assert command("config", "init", "-").stdout.decode() == listed


def test_init_writes_every_setting_with_its_default(command: Run, tmp_path: Path) -> None:
    done = command("config", "init")
    assert (done.returncode, done.stderr) == (0, b"")
    path = tmp_path / "sophia.toml"
    text = path.read_text(encoding="utf-8")
    assert read_config(path) == (Settings(), RunSettings())
    path.write_text(re.sub(r"^#(\w+ = )", r"\1", text.replace("#max_memory", "# max_memory"), flags=re.M))
    config = load_config(path)
    unset = {one.name for one in fields(RunSettings) if one.default is None}
    named = {one.name for holder in (Settings, RunSettings) for one in fields(holder)}
    assert config.places.keys() == named - unset
    files = {name: str(tmp_path / value) for name, value in {"store": ".sophia"}.items()}
    assert (config.settings, config.run) == (Settings(), RunSettings().with_changes(**files))
    assert all(f"# {name} is not set" in text for name in unset)


def test_init_does_not_write_over_a_file(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[run]\nbatch = 7\n")
    done = command("config", "init", "mine.toml")
    assert done.returncode == 2
    assert b"--force" in done.stderr
    assert path.read_text() == "[run]\nbatch = 7\n"
    assert command("config", "init", "mine.toml", "--force").returncode == 0
    assert "#batch = 256" in path.read_text()
    assert command("config", "init", "nowhere/deep/mine.toml").returncode == 0
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".part"] == []


def test_check_says_everything_that_is_wrong(command: Run, tmp_path: Path) -> None:
    path = tmp_path / "sophia.toml"
    path.write_text("[thalamus]\nmax_char = 5\n[run]\nbatch = 0\n")
    environment = {"SOPHIA_RUN_BACH": "7", "SOPHIA_MEMORY_TTL": "long"}
    expected = [
        "sophia.toml:2: unknown key 'max_char' in [thalamus]; did you mean 'max_chars'?",
        "sophia.toml:4: batch is 0; it must be a whole number from 1 to 65536",
        "SOPHIA_MEMORY_TTL: ttl is 'long'; use 0 to keep answers, or a positive number of seconds, "
        "or a duration such as '30d'",
        "SOPHIA_RUN_BACH: no setting has this name; did you mean 'SOPHIA_RUN_BATCH'?",
    ]
    done = command("config", "check", **environment)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == [
        "sophia: 4 settings cannot be used:",
        *[f"  {one}" for one in expected],
    ]
    told = json.loads(command("config", "check", "--json", **environment).stdout)
    assert told == {"file": "sophia.toml", "faults": expected}
    path.write_text("[run]\nbatch = 9\n")
    assert command("config", "check").stdout == b"sophia.toml: 1 setting, nothing wrong\n"
    path.unlink()
    assert command("config", "check").returncode == 2
    assert command("config").returncode == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[memory]\nttl = 1" + "0" * 400, "sophia.toml:2: ttl is 1"),
        ("[run]\n\ntz = 'Mars/Phobos'", "sophia.toml:3: tz is 'Mars/Phobos'; use UTC"),
        ("[run]\nrules = ['nope.toml']", "sophia.toml:2: rules: nope.toml:1"),
        ("[thalamus]\nmask = 'nope'", "sophia.toml:2: mask: "),
        ("[run]\nmodel = 'nope'", "sophia.toml:2: model: "),
        ("run = 3", "'run' is a section"),
        ("[[run]]\nbatch = 3", "'run' is a section"),
    ],
)
def test_check_finds_what_a_run_would_refuse(command: Run, tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "sophia.toml").write_text(text)
    done = command("config", "check")
    assert (done.returncode, done.stdout) == (2, b"")
    assert complaint in done.stderr.decode()


def test_many_faults_are_told_in_time(command: Run, tmp_path: Path) -> None:
    lines = "".join([f"unknown_{n} = {n}\n" for n in range(20_000)])
    (tmp_path / "sophia.toml").write_text(f"[run]\n{lines}")
    done = command("config", "check", "--json")
    faults = json.loads(done.stdout)["faults"]
    assert len(faults) == 20_000
    assert faults[19_999].startswith("sophia.toml:20001: unknown key 'unknown_19999' in [run]")


def test_what_variables_may_say(command: Run) -> None:
    def batch(**variables: str) -> Any:
        done = command("config", "show", "--json", "--changed", **variables)
        return json.loads(done.stdout).get("run", {}) if done.returncode == 0 else done.stderr.decode()

    assert batch() == {}
    assert batch(SOPHIA_CONFIG="") == {}
    assert batch(SOPHIA_RUN_TEXT_KEY='["a",\n"b"]')["text_key"]["value"] == ["a", "b"]
    assert batch(SOPHIA_RUN_TEXT_KEY="a b")["text_key"]["value"] == ["a b"]
    assert "SOPHIA_RUN_TEXT_KEY: text_key is '[a, b]'" in batch(SOPHIA_RUN_TEXT_KEY="[a, b]")
    assert "batch is '1\\nx = 2'" in batch(SOPHIA_RUN_BATCH="1\nx = 2")
    told = batch(SOPHIA_THALAMUS_CORTICAL_CONFIDENCE="0.9")
    assert told.startswith("sophia: SOPHIA_THALAMUS_CORTICAL_CONFIDENCE: reflex_confidence is 0.75; it is below")


def test_what_holds_and_where_it_is_from(command: Run, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "mine.toml").write_text("[memory]\nttl = '1h'\nmax_memory = '256M'\n[run]\nrules = 'r.toml'\n")
    environment = {"SOPHIA_CONFIG": "conf/mine.toml", "SOPHIA_RUN_BATCH": "64", "SOPHIA_RUN_STORE": "123"}
    shown = command("config", "show", "--changed", **environment).stdout.decode()
    bounds = memory_bounds(256 << 20)
    assert shown == (
        "[memory]\nttl = 3600.0  # conf/mine.toml:2\n"
        + "".join([f"{name} = {value}  # max_memory, conf/mine.toml:3\n" for name, value in bounds.items()])
        + '\n[run]\nstore = "123"  # SOPHIA_RUN_STORE\nrules = ["conf/r.toml"]  # conf/mine.toml:5\n'
        "batch = 64  # SOPHIA_RUN_BATCH\n"
    )
    everything = json.loads(command("config", "show", "--json", **environment).stdout)
    assert everything["run"]["batch"] == {"value": 64, "from": "SOPHIA_RUN_BATCH"}
    assert everything["thalamus"]["on_danger"] == {"value": "auto", "from": "default"}
    (tmp_path / "all.toml").write_text(command("config", "show", **environment).stdout.decode())
    again = load_config(tmp_path / "all.toml")
    assert again.run.batch == 64
    assert again.settings.cache_bytes == bounds["cache_bytes"]


def test_variables_override_a_file_and_flags_override_them(command: Run, tmp_path: Path) -> None:
    (tmp_path / "sophia.toml").write_text("[thalamus]\nmax_chars = 10\n[run]\nno_store = true\n")
    (tmp_path / "in.txt").write_text("a line of some words\n")
    base = ["run", "in.txt", "--out", "-", "--quiet", "--report", "none"]

    def why(*flags: str, **variables: str) -> str:
        done = command(*base, *flags, SOPHIA_CONFIG="sophia.toml", **variables)
        assert done.returncode == 0, done.stderr
        return str(records(done.stdout)[0]["why"])

    assert why() == "too-long"
    assert why(SOPHIA_THALAMUS_MAX_CHARS="100") == "novel"
    assert why("--max-chars", "11", SOPHIA_THALAMUS_MAX_CHARS="100") == "too-long"
    assert not (tmp_path / ".sophia").exists()
    done = command(*base, SOPHIA_THALAMUS_MAX_CHARS="none")
    assert done.returncode == 2
    assert done.stderr.startswith(b"sophia: SOPHIA_THALAMUS_MAX_CHARS: max_chars is 'none'; it must be a whole number")


def test_the_docs_name_every_flag_and_every_setting(command: Run) -> None:
    text = DOCS.read_text(encoding="utf-8")
    listed = (DOCS.parent / "settings.md").read_text(encoding="utf-8")
    help = command("run", "--help").stdout.decode()
    flags = set(re.findall(r"--[a-z][a-z-]+", help)) - {"--help", "--version"}
    assert flags <= set(re.findall(r"--[a-z][a-z-]+", text))
    for setting in fields(Settings):
        assert f"{setting.name} = " in listed
    for setting in fields(RunSettings):
        assert f"--{setting.name.replace('_', '-')}" in text

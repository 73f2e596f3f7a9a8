"""A settings file that changes while a run goes on: however it is saved, the last that can be used holds, and no
decision mixes two."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.config import load_config
from sophia.errors import ConfigError

from .conftest import Live, Run, until

pytestmark = [
    pytest.mark.skipif(find_spec("watchfiles") is None, reason="needs watchfiles"),
    pytest.mark.once,
]

Start = Callable[..., Live]

LINE = "a line of some words, which are more than twenty characters\n"
SHORT, LONG = "[thalamus]\nmax_chars = 20\n", "[thalamus]\nmax_chars = 2000\n"
WRONG = "[thalamus]\nmax_char = 20\n"
HALF = "[thalamus]\nmax_ch"
FIXED = "[thalamus]\nmax_chars = 20\n[memory]\npattern_capacity = 99\n"


TEXTS = [SHORT, LONG, WRONG, HALF, FIXED, LONG + 'on_danger = "veto"\n', "", "[memory]\nttl = 60\n"]
LAST = SHORT + 'on_danger = "flag"\n'


def policy(text: str, folder: Path) -> str:
    """The policy version of a brain that is opened with what a file says."""
    file = folder / "expected.toml"
    file.write_text(text)
    with sophia.open(None, settings=load_config(file).settings) as brain:
        return brain.policy_version


class Following:
    """A run that follows `in.log`, and `sophia.toml`."""

    def __init__(self, start: Start, folder: Path, *flags: str, config: str = "sophia.toml") -> None:
        self.log = folder / "in.log"
        self.log.write_text(LINE)
        self.live = start("run", "in.log", "--follow", "--config", config, "--out", "-", "--no-store", *flags)
        self.first = self.live.record()

    def decide(self) -> dict[str, Any]:
        """What becomes of one more line."""
        with self.log.open("a") as log:
            log.write(LINE)
        return self.live.record()

    def why(self, wanted: str) -> dict[str, Any]:
        """Waits until lines are decided so."""
        end = time.monotonic() + 30
        while (decision := self.decide())["why"] != wanted:
            assert time.monotonic() < end, self.live.said()
            time.sleep(0.02)
        return decision

    def told(self, words: str, times: int = 1) -> None:
        """Waits until something was told; so often it must be."""
        self.live.until(lambda: words in self.live.said())
        time.sleep(0.7)
        assert self.live.said().count(words) == times, self.live.said()

    def end(self) -> None:
        assert self.live.end(signal.SIGINT) == 130
        assert "Traceback" not in self.live.said()


@pytest.fixture
def run(start: Start, tmp_path: Path) -> Iterator[Following]:
    (tmp_path / "sophia.toml").write_text(LONG)
    following = Following(start, tmp_path)
    assert following.first["why"] != "too-long"
    yield following
    following.end()


def by_rename(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)


@pytest.mark.parametrize("save", [Path.write_text, by_rename])
def test_a_change_holds_from_then_on(run: Following, tmp_path: Path, save: Callable[[Path, str], object]) -> None:
    path = tmp_path / "sophia.toml"
    for text, why in ((SHORT, "too-long"), (LONG, "known-pattern"), (SHORT, "too-long")):
        save(path, text)
        assert run.why(why)["policy_version"] == policy(text, tmp_path)
    run.told("sophia.toml holds from now on, policy", 3)
    run.told("max_chars = 20\n", 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WRONG, "unknown key 'max_char' in [thalamus]; did you mean 'max_chars'?"),
        (HALF, "sophia.toml:2: the settings file is not TOML"),
        ("[thalamus]\nmax_chars = 0\non_danger = 5\n", "\n  sophia.toml:3: on_danger is 5; use"),
        (FIXED, "pattern_capacity cannot change live: it is 50000, and 99 holds from the next start"),
        ("[run]\nbatch = 7\n[thalamus]\nmax_chars = 20\n", "batch cannot change live"),
        ("[run]\nrules = 'nowhere.toml'\n[thalamus]\nmax_chars = 20\n", "nowhere.toml"),
    ],
)
def test_what_cannot_be_taken_is_told_once_and_changes_nothing(
    run: Following, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "sophia.toml"
    time.sleep(1.1)
    path.write_text(text)
    run.told(words)
    run.told("is not taken, and what held before holds on")
    path.write_text(text + "\n# a remark\n")
    run.told("is not taken, and what held before holds on")
    assert run.decide()["policy_version"] == run.first["policy_version"]
    path.write_text(LONG)
    run.told("says again what holds")
    path.write_text(SHORT)
    assert run.why("too-long")["policy_version"] == policy(SHORT, tmp_path)


def test_rules_are_read_anew(run: Following, tmp_path: Path) -> None:
    rule = '[[rule]]\nid = "acme.words"\ndescription = "x"\npattern = "some words"\nseverity = "low"\n'
    (tmp_path / "rules.toml").write_text(rule)
    (tmp_path / "sophia.toml").write_text(LONG + "[run]\nrules = 'rules.toml'\n")
    assert run.why("danger")["danger"]["rule"] == "acme.words"
    (tmp_path / "sophia.toml").write_text(LONG)
    run.why("known-pattern")


def test_a_flag_overrides_what_comes_later(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sophia.toml").write_text(LONG)
    run = Following(start, tmp_path, "--max-chars", "3000")
    (tmp_path / "sophia.toml").write_text(SHORT + 'on_danger = "veto"\n')
    run.told("on_danger = 'veto'")
    assert run.decide()["why"] != "too-long"
    run.end()


def test_a_link_that_is_turned_and_a_file_that_goes_and_comes(start: Start, tmp_path: Path) -> None:
    for name, text in (("one", LONG), ("two", SHORT)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sophia.toml").write_text(text)
    (tmp_path / "conf").mkdir()
    link = tmp_path / "conf" / "sophia.toml"
    link.symlink_to("../one/sophia.toml")
    run = Following(start, tmp_path, config="conf/sophia.toml")
    beside = link.with_name("turned")
    beside.symlink_to("../two/sophia.toml")
    beside.replace(link)
    run.why("too-long")
    link.unlink()
    run.told("cannot be read")
    assert run.decide()["why"] == "too-long"
    link.write_text(LONG)
    run.why("known-pattern")
    run.end()


def test_a_short_run_does_not_follow(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sophia.toml").write_text(LONG)
    (tmp_path / "in.log").write_text(LINE * 5)
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['watchfiles'] = None\n")  # it fails to import
    path = os.pathsep.join([str(tmp_path), str(Path(sophia.__file__).resolve().parents[1])])
    live = start(
        "run", "in.log", "--config", "sophia.toml", "--out", "-", "--no-store", environment={"PYTHONPATH": path}
    )
    assert len(live.rest()) == 5
    assert live.end() == 0
    assert "sophia.toml" not in live.said()


def test_what_cannot_be_watched_is_told_and_the_run_goes_on(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sophia.toml").write_text(LONG)
    broken = "def awatch(*_, **__):\n    raise OSError('OS file watch limit reached')\n"
    broken = f"import watchfiles\n{broken}watchfiles.awatch = awatch\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    path = os.pathsep.join([str(tmp_path), str(Path(sophia.__file__).resolve().parents[1])])
    (tmp_path / "in.log").write_text(LINE)
    live = start(
        "run",
        "in.log",
        "--follow",
        "--config",
        "sophia.toml",
        "--out",
        "-",
        "--no-store",
        environment={"PYTHONPATH": path},
    )
    live.record()
    live.until(lambda: "sophia.toml is not followed: OS file watch limit reached" in live.said())
    with (tmp_path / "in.log").open("a") as log:
        log.write(LINE)
    live.record()
    assert live.end(signal.SIGINT) == 130
    assert "Traceback" not in live.said()


def test_a_pipe_is_read_once(start: Start, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "in.log").write_text(LINE)
    live = start("run", "in.log", "--follow", "--config", "pipe.toml", "--out", "-", "--no-store")
    (tmp_path / "pipe.toml").write_text(SHORT)
    assert live.record()["why"] == "too-long"
    time.sleep(2)
    with (tmp_path / "in.log").open("a") as log:
        log.write(LINE)
    assert live.record()["why"] == "too-long"
    assert live.end(signal.SIGINT) == 130


def test_a_file_that_becomes_a_pipe_is_not_opened(run: Following, tmp_path: Path) -> None:
    (tmp_path / "sophia.toml").unlink()
    os.mkfifo(tmp_path / "sophia.toml")
    run.told("is no regular file")
    assert run.decide()["policy_version"] == run.first["policy_version"]


def test_the_file_of_the_variable_is_not_written_over(command: Run, tmp_path: Path) -> None:
    (tmp_path / "conf.toml").write_text(LONG)
    (tmp_path / "in.log").write_text(LINE)
    done = command("run", "in.log", "--out", "conf.toml", "--no-store", SOPHIA_CONFIG="conf.toml")
    assert done.returncode == 2
    assert (tmp_path / "conf.toml").read_text() == LONG


def edits(path: Path, chance: random.Random) -> Iterator[str | None]:
    """Edits of the file, one each time: what it says then, None where it is not there."""
    while True:
        text = chance.choice(TEXTS)
        kind = chance.randrange(6)
        if kind == 0:
            path.unlink(missing_ok=True)
            yield None
            continue
        if kind == 1:  # in two halves
            with path.open("w") as file:
                file.write(text[: len(text) // 2])
                file.flush()
                time.sleep(chance.choice((0.0, 0.08)))
                file.write(text[len(text) // 2 :])
        elif kind == 2:
            path.write_text(text)
        elif kind == 3 and path.exists():
            aside = path.with_name("aside.toml")
            path.replace(aside)
            text = aside.read_text()
            aside.replace(path)
        else:
            by_rename(path, text)
        yield text


@pytest.mark.parametrize("seed", [1, 2])
def test_random_edits_under_load(start: Start, tmp_path: Path, seed: int) -> None:
    """A hundred each: the last file that can be used holds, and no decision mixes two policies."""
    path, chance = tmp_path / "sophia.toml", random.Random(seed)
    path.write_text(LONG)
    versions = {policy(LONG, tmp_path): load_config(path).settings}
    os.mkfifo(tmp_path / "pipe")
    options = ("--config", "sophia.toml", "--out", "out.jsonl", "--no-store", "--batch", "64", "--follow")
    live = start("run", "pipe", *options)
    edit = edits(path, chance)
    with (tmp_path / "pipe").open("w") as pipe:
        told = 0
        for _ in range(100):
            next(edit)
            deadline = time.monotonic() + chance.choice((0.0, 0.01, 0.1, 0.2))
            while True:
                for _ in range(20):
                    pipe.write(f"line {told} of some words, more than twenty characters\n")
                    told += 1
                pipe.flush()
                if time.monotonic() >= deadline:
                    break
        path.write_text(LAST)
        live.until(lambda: "on_danger = 'flag'" in live.said().split("holds from now on")[-1])
        for _ in range(64):
            pipe.write(f"line {told} of some words, more than twenty characters\n")
            told += 1
    until(lambda: (tmp_path / "out.jsonl").read_bytes().count(b"\n") == told)
    assert live.end(signal.SIGINT) == 130
    for text in (LAST, *TEXTS, *[text[: len(text) // 2] for text in TEXTS]):  # half a file may be one that can be used
        with suppress(ConfigError):
            version = policy(text, tmp_path)
            versions[version] = load_config(tmp_path / "expected.toml").settings
    seen: list[str] = []
    for line in (tmp_path / "out.jsonl").read_bytes().splitlines():
        record = json.loads(line)
        settings = versions[record["policy_version"]]
        assert (record["why"] == "too-long") == (settings.max_chars == 20), record
        if not seen or seen[-1] != record["policy_version"]:
            seen.append(record["policy_version"])
    assert versions[seen[-1]].on_danger == "flag"
    assert len(seen) > 5
    said = [line for line in live.said().splitlines() if "sophia.toml" in line]
    assert not [one for one, two in pairwise(said) if one == two and "is not taken" in one]
    assert "Traceback" not in live.said()


def test_what_a_random_edit_says_is_known(tmp_path: Path) -> None:
    """The test above would say little if all its files could be used, or none."""
    path = tmp_path / "sophia.toml"
    good = bad = 0
    for _, text in zip(range(300), edits(path, random.Random(3)), strict=False):
        try:
            load_config(path)
        except ConfigError:
            bad += 1
        else:
            assert text is not None
            good += 1
    assert good > 80
    assert bad > 80

"""Settings: frozen, and checked with the value, the place and the cure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import sophia
from sophia import Settings
from sophia.config import RunSettings, memory_bounds, read_config
from sophia.errors import ConfigError
from sophia.setting_kinds import parse_duration, parse_fail_on, parse_size


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"on_danger": "shrug"}, "'shrug'"),
        ({"reflex_confidence": 1.5}, "1.5"),
        ({"cortical_confidence": float("nan")}, "nan"),
        ({"cortical_confidence": 0.9}, "below"),
        ({"max_chars": 0}, "max_chars"),
        ({"ttl": -1.0}, "ttl"),
        ({"cache_entries": 1.5}, "cache_entries"),
        ({"seed": "x"}, "seed"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_bad_values_name_themselves(changes: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Settings().with_changes(**changes)


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().ttl = 1.0  # type: ignore[misc]


def test_decisions_depend_on_what_the_policy_names() -> None:
    assert Settings().decision_text() == Settings(cache=False, ttl=5.0).decision_text()
    assert Settings().decision_text() != Settings(max_chars=10).decision_text()


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(on_danger="shrug", ttl=-1.0, vectors=1)  # type: ignore[arg-type]
    assert [line.split()[0] for line in str(caught.value).split("\n")] == ["on_danger", "ttl", "vectors"]


def test_what_was_changed() -> None:
    assert Settings().changed() == {}
    assert RunSettings(batch=7, rules=("a.toml",)).changed() == {"batch": 7, "rules": ("a.toml",)}


GOOD = """
# the comment names max_chars = 0
[thalamus]
on_danger = "flag"
mask = "masks.txt"
seed = 7

[memory]
ttl = "30d"
max_memory = "512M"
pattern_capacity = 1000

[run]
text_key = ["body", "text"]
scope_key = "who"
rules = "rules/mine.toml"
store = "/srv/mind"
fail_on = ["danger", "error-rate>0.01"]
on_error = "stop"
"""


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "sophia.toml"
    path.write_text(GOOD)
    brain, run = Settings.load(path), RunSettings.load(path)
    assert (brain.on_danger, brain.seed, brain.ttl) == ("flag", 7, 2_592_000.0)
    assert brain.mask == str(tmp_path / "masks.txt")
    assert brain.pattern_capacity == 1000
    assert brain.cache_bytes == memory_bounds(512 << 20)["cache_bytes"]
    assert (run.text_key, run.scope_key) == (("body", "text"), ("who",))
    assert (run.rules, run.store) == ((str(tmp_path / "rules/mine.toml"),), "/srv/mind")
    assert (run.fail_on, run.on_error) == (("danger", "error-rate>0.01"), "stop")
    with sophia.open(None, settings=brain.with_changes(mask="none")) as mind:
        assert mind.settings.ttl == 2_592_000.0


BAD = """rules = "x"
[thalmus]
x = 1
[thalamus]
on_dangr = "veto"   # on_danger = "veto"
on_danger = "shrug"
max_chars = 1.5
reflex_confidence = 0.2
ttl = "30d"
[memory]
'ttl' = "forever"
max_memory = "1M"
cache_bytes = "1M"
note = '''
cache_entries = 0
'''
cache_entries = 5000000
[run]
fail_on = ["danger", "rate>1"]
"batch" = 0
workers = true
"""


def test_everything_wrong_in_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sophia.toml"
    path.write_text(BAD)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    lines = str(caught.value).split("\n")
    assert [line.partition(": ")[0] for line in lines] == [
        f"{path}:{number}" for number in (1, 2, 5, 6, 7, 8, 9, 11, 12, 13, 14, 19, 20, 21)
    ]
    for number, words in (
        (1, "'rules' belongs into the section [run]"),
        (2, "did you mean 'thalamus'"),
        (5, "unknown key 'on_dangr' in [thalamus]; did you mean 'on_danger'?"),
        (6, "on_danger is 'shrug'; use 'auto', 'veto' or 'flag'"),
        (8, "below cortical_confidence 0.5"),
        (9, "'ttl' belongs into the section [memory], not [thalamus]"),
        (11, "ttl is 'forever'"),
        (13, "cannot hold the tables of 5000000 entries"),
        (20, "batch is 0; it must be a whole number from 1 to 65536"),
    ):
        assert any(line.startswith(f"{path}:{number}: ") and words in line for line in lines), (number, words)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[run]\nbatch = \n", 2),
        ("[run]\nbatch = 1\nbatch = 2\n", 3),
        ("x = " + "[" * 5000, 1),
        ("x = " + "9" * 5000, 1),
        ("thalamus = 3\n", 1),
        ("[[run]]\nbatch = 1\n", 1),
        ("run.batch = 0\n", 1),
        ("run = {workers = 1, batch = 0}\n", 1),
    ],
)
def test_files_that_are_no_settings(tmp_path: Path, text: str, place: int) -> None:
    path = tmp_path / "sophia.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"sophia.toml:{place}: "):
        read_config(path)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml:1: the settings file cannot be read"):
        Settings.load("nowhere.toml")


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_duration, "1.5h", 5400.0),
        (parse_duration, "2w", 1_209_600.0),
        (parse_size, "64KiB", 65_536),
        (parse_size, "1.5g", 3 << 29),
        (parse_size, "10", 10),
        (parse_fail_on, "error-rate>5%", ("error-rate", 0.05)),
    ],
)
def test_units(parse: Callable[[object], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("parse", [parse_duration, parse_size, parse_fail_on])
@pytest.mark.parametrize(
    "text", ["", "x", "-1d", "1y", "1 2", "nan", "inf", "1e9", "\u0663d", True, None, [], "9" * 400]
)
def test_what_is_no_unit(parse: Callable[[object], object], text: object) -> None:
    with pytest.raises(ValueError, match=r"write a number|use danger"):
        parse(text)


@pytest.mark.parametrize("size", [128 << 20, 1 << 30, 1 << 48])
def test_bounds_of_memory_are_settings(size: int) -> None:
    settings = Settings(**memory_bounds(size))  # type: ignore[arg-type]
    assert settings.cache_bytes < size
    with pytest.raises(ConfigError, match="128M"):
        memory_bounds(1 << 20)

"""What makes a text new: the built-in masks, none, or the user's own before them. Never what makes a repeat."""

from __future__ import annotations

from pathlib import Path

import pytest

import sophia
from sophia import PatternTable, Settings
from sophia.errors import ConfigError
from sophia.organs.masks import Masks


def whys(settings: Settings, texts: list[str], store: Path | None = None) -> list[str]:
    with sophia.open(store, settings=settings) as brain:
        one = [brain.route(text).why for text in texts]
    with sophia.open(None, settings=settings) as brain:
        many = [decision.why for decision in brain.route_many(texts)]
    assert store is not None or one == many
    return one


def test_without_masks_a_number_makes_a_text_new() -> None:
    texts = ["job 17 is done", "job 18 is done", "job 17 is done"]
    assert whys(Settings(), texts) == ["novel", "known-pattern", "known-pattern"]
    assert whys(Settings(mask="none"), texts) == ["novel", "novel", "known-pattern"]


def test_without_masks_what_varies_is_still_found() -> None:
    table = PatternTable(masks=False)
    for i in range(40):
        table.observe(f"job {i} \t of  the   night is done")
    assert not table.masks
    assert len(table) < 5
    assert "job <*> of the night is done" in {pattern.template for pattern in table.patterns()}


def test_a_table_without_masks_is_kept_as_one() -> None:
    table = PatternTable(masks=False)
    table.observe("job 17 is done")
    for kept in (PatternTable.load(table.dump()), PatternTable.restore(table.changes(), masks=False)):
        assert not kept.masks
        assert kept.match("job 17 is done").id == 1
        assert kept.match("job 18 is done").fresh
    assert PatternTable.load(PatternTable().dump()).masks


def test_long_and_odd_lines_without_masks() -> None:
    table = PatternTable(masks=False)
    for text in ("", " ", "x" * 100_000, "x " * 100_000, "\0 \x1f", "é" * 5000, "<*> <*>", "a" * 4095 + " b c"):
        first = table.observe(text)
        assert table.observe(text).id == first.id


def file_of(folder: Path, text: str) -> str:
    path = folder / "masks.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_users_masks_come_before_the_automatic_ones(tmp_path: Path) -> None:
    texts = ["user ana logged in 3 times", "user boris logged in 4 times", "user ana logged out"]
    assert whys(Settings(), texts)[1] == "novel"
    mine = Settings(mask=file_of(tmp_path, "# who\n\nuser \\w+\n"))
    assert whys(mine, texts) == ["novel", "known-pattern", "novel"]


def test_masks_never_reach_a_cache_key(tmp_path: Path) -> None:
    settings = Settings(mask=file_of(tmp_path, "user \\w+"))
    with sophia.open(tmp_path / "mind", settings=settings) as brain:
        brain.complete(brain.route("Which plan has user ana?"), answer="The small one.")
        assert brain.route("Which plan has user ana?").answer == "The small one."
        assert brain.route("Which plan has user boris?").answer is None
    with sophia.open(tmp_path / "mind", settings=settings) as brain:
        assert brain.route("Which plan has user boris?").why == "known-pattern"


def test_a_rejected_text_is_novel_again(tmp_path: Path) -> None:
    for mask in ("none", file_of(tmp_path, "user \\w+")):
        with sophia.open(None, settings=Settings(mask=mask)) as brain:
            first = brain.route("user ana is here")
            assert brain.route("user ana is here").why != "novel"
            brain.reject(first)
            assert brain.route("user ana is here").why == "novel"


def test_other_masks_are_another_policy(tmp_path: Path) -> None:
    versions = set()
    for mask in ("auto", "none", file_of(tmp_path, "a+")):
        with sophia.open(None, settings=Settings(mask=mask)) as brain:
            versions.add(brain.policy_version)
    with sophia.open(None, settings=Settings(mask=file_of(tmp_path, "b+"))) as brain:
        versions.add(brain.policy_version)
    assert len(versions) == 4


@pytest.mark.parametrize(
    "text", ["", "a", "user ana", "naïve user bo", "\u00a0", "x" * 50_000, "user a " * 3000, "a\0b"]
)
def test_any_text_may_be_masked(tmp_path: Path, text: str) -> None:
    settings = Settings(mask=file_of(tmp_path, "user \\w+|ï"), vectors=True)
    with sophia.open(None, settings=settings) as brain:
        one = [brain.route(text) for _ in range(2)]
    with sophia.open(None, settings=settings) as brain:
        many = brain.route_many([text, text])
    assert [d.why for d in one] == [d.why for d in many]
    assert [d.pattern for d in one] == [d.pattern for d in many]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "masks.txt:1: no mask in it"),
        ("# only a comment\n", "masks.txt:1: no mask in it"),
        ("fine\n(\n", "masks.txt:2: RE2 does not take this mask"),
        ("fine\n\n(a)\\1\n", "masks.txt:3: RE2 does not take this mask"),
        ("x*\n", "masks.txt:1: this mask matches the empty text"),
        ("a\n" * 300, "masks.txt:1: 300 masks are over 200"),
        ("a" * 70_000, "masks.txt:1: the mask file is over 64 KiB"),
    ],
)
def test_a_mask_that_cannot_be_taken(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", "\\(")):
        sophia.open(tmp_path / "mind", settings=Settings(mask=file_of(tmp_path, text)))
    with sophia.open(tmp_path / "mind"):
        pass  # nothing is left locked


def test_a_mask_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere:1: the mask file cannot be read"):
        Masks.load("nowhere")
    (tmp_path / "bytes").write_bytes(b"a\n\xff")
    with pytest.raises(ConfigError, match="bytes:2: the mask file is not UTF-8"):
        Masks.load(str(tmp_path / "bytes"))

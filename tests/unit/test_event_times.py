"""The times that inputs name: on decisions, in the journal, in chapters and in tables; and what names none has none."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia._core.decision import set_moments
from sophia._core.tally import Tally
from sophia.organs.batch import Columns
from sophia.store.chronicle import missing
from sophia.store.journal import journal_files

START = datetime(2026, 11, 29, 23, 59, 30, tzinfo=UTC)
FORMS = {
    "iso": lambda at: f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03}",
    "zone": lambda at: f"{at + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}+02:00",
    "apache": lambda at: f"10.0.0.1 - - [{at:%d/%b/%Y:%H:%M:%S} +0000]",
    "epoch": lambda at: f"{at.timestamp():.3f}",
    "hdfs": lambda at: f"{at:%y%m%d %H%M%S}",
}
YEARLESS = {
    "syslog": lambda at: f"{at:%b %d %H:%M:%S}",
    "clock": lambda at: f"{at:%H:%M:%S}",
    "boot": lambda at: f"[{at.timestamp() % 10_000:12.6f}]",
    "none": lambda at: "note:",
}


def lines(form: Any, count: int = 40) -> list[str]:
    return [f"{form(START + timedelta(seconds=1.5 * n))} worker {n} is up" for n in range(count)]


def decide(brain: sophia.Sophia, texts: list[str], **columns: Any) -> list[Any]:
    return brain.decide(Columns(texts, lines=[True] * len(texts), sources=["a.log"] * len(texts), **columns)).decisions


@pytest.mark.parametrize("form", FORMS)
def test_lines_name_times(form: str) -> None:
    with sophia.open(None) as brain:
        found = [one.moment for one in decide(brain, lines(FORMS[form]))]
    told = found[2:] if form == "epoch" else found  # a number is a time when three lines have one
    assert None not in told
    for n, moment in enumerate(told, len(found) - len(told)):
        assert abs(moment - START.timestamp() - 1.5 * n) < (0.01 if form in ("iso", "zone", "epoch") else 1)


@pytest.mark.parametrize("form", YEARLESS)
def test_what_names_no_year_names_no_time(form: str) -> None:
    with sophia.open(None) as brain:
        assert {one.moment for one in decide(brain, lines(YEARLESS[form]))} == {None}


def test_stamps_name_times() -> None:
    stamps: list[Any] = [
        "2026-11-30T12:00:00Z", "2026-11-30T14:00:00+02:00", "1796040000", 1796040000, 1796040000.0,
        datetime(2026, 11, 30, 12, tzinfo=UTC), datetime(2026, 11, 30, 12), None, "noon", "12:00",
    ]  # fmt: skip
    with sophia.open(None) as brain:
        batch = brain.decide(Columns(["tea is ready"] * len(stamps), stamps=stamps))
        assert [one.moment for one in batch.decisions] == [1796040000.0] * 7 + [None] * 3
        again = pickle.loads(pickle.dumps(batch.decisions))
        assert again == batch.decisions
        assert [one.moment for one in again] == [one.moment for one in batch.decisions]
        assert "moment" not in batch.decisions[0].to_dict()  # a record has what the input said


def test_a_crystalline_brain_reads_times_too(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "s") as brain:
        decide(brain, lines(FORMS["iso"], 400))
        brain.crystallise()
    with sophia.open(tmp_path / "s") as brain:
        assert all(one.moment for one in decide(brain, lines(FORMS["iso"])))


def test_only_what_fits_is_set() -> None:
    with sophia.open(None) as brain:
        made = list(brain.route_many(["a", "b"]))
    for keys, wrong in (("ab", []), ("ab", [1.0]), ("a", [1.0, 1.0]), ("abc", [1.0, 1.0]), ("ab", [1.0] * 3)):
        with pytest.raises(ValueError, match="there is one of each"):
            set_moments(made, list(keys), wrong, 0.0, {})
    with pytest.raises(TypeError):
        set_moments([None], ["a"], [1.0], 0.0, {})  # type: ignore[list-item]
    latest: dict[str, float] = {}
    set_moments(made, ["a", "a"], [math.nan, 5.0], 10.0, latest)
    assert ([one.moment for one in made], latest) == ([None, None], {})


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_line_that_names_no_time_is_of_the_one_before_it_in_its_source(size: int) -> None:
    at = lines(FORMS["iso"], 3)
    texts = ["first", at[0], "  at trace(1)", at[1], "other", at[2], "  at trace(2)"]
    sources = ["a", "a", "a", "b", "c", "a", "b"]
    found: list[float | None] = []
    with sophia.open(None) as brain:
        for start in range(0, len(texts), size):
            part = slice(start, start + size)
            some: list[str | None] = [*texts[part]]
            found += [
                one.moment
                for one in brain.decide(Columns(some, lines=[True] * len(some), sources=[*sources[part]])).decisions
            ]
        message = brain.decide(Columns(["no line of a log"], sources=["a"])).decisions
    first = START.timestamp()
    assert found == [None, first, first, first + 1.5, None, first + 3.0, first + 1.5]
    assert message[0].moment is None


def test_a_tally_has_the_first_and_the_last() -> None:
    with sophia.open(None) as brain:
        texts = ["no time", *lines(FORMS["iso"], 3), "none either"]
        named = decide(brain, texts)
        stamped = decide(brain, ["x", "y"], stamps=["2026-11-30T12:00:00+02:00", "noon"])
    tally = Tally()
    tally.add(named)
    assert (tally.first_event, tally.last_event) == (START.timestamp(), START.timestamp() + 3.0)
    tally.add(stamped)
    assert (tally.first_event, tally.last_event) == (START.timestamp(), "2026-11-30T12:00:00+02:00")


@pytest.mark.parametrize("size", [64, 256, 9000])
def test_sources_without_number(size: int) -> None:
    """The latest times of some thousand are kept, whatever the batches."""
    at = FORMS["iso"](START)
    texts = [f"{at} worker is up"] * 4200 + ["  at trace(1)"] * 4200
    sources = [f"s{n}" for n in range(4200)] * 2
    found: list[float | None] = []
    with sophia.open(None) as brain:
        for start in range(0, len(texts), size):
            some: list[str | None] = [*texts[start : start + size]]
            columns = Columns(some, lines=[True] * len(some), sources=[*sources[start : start + size]])
            found += [one.moment for one in brain.decide(columns).decisions]
    assert found[:4200] == [START.timestamp()] * 4200
    assert found[4200:] == [None] * 104 + [START.timestamp()] * 4096


def test_a_time_that_cannot_be_read_is_not_that_of_the_line_before() -> None:
    """Lines of another form than those before: no time is better than a wrong one."""
    texts = lines(FORMS["iso"], 6) + [
        f"[{START + timedelta(hours=9, minutes=n):%a %b %d %H:%M:%S %Y}] oops" for n in range(20)
    ]
    texts.insert(3, "  at trace(1)")
    with sophia.open(None) as brain:
        found = [one.moment for one in decide(brain, texts)]
    assert found[3] == found[2]
    for text, moment in zip(texts[7:], found[7:], strict=True):
        if moment is not None:
            assert datetime.fromtimestamp(moment, UTC).strftime("%a %b %d %H:%M:%S %Y") in text
    assert found[7] is None
    assert found[-1] is not None


def test_what_is_no_time_is_no_event_time_of_a_chapter() -> None:
    with sophia.open(None) as brain:
        stamps = ["garbage (x)", "2026-11-30T10:00:00+02:00", "noon", "NaN"]
        tally = Tally()
        tally.add(decide(brain, ["a", "b", "c", "d"], stamps=stamps))
    assert (tally.first_event, tally.last_event) == ("2026-11-30T10:00:00+02:00", "2026-11-30T10:00:00+02:00")


@pytest.mark.skipif(bool(missing()), reason="needs duckdb and pyarrow")
def test_from_a_log_to_an_answer(tmp_path: Path) -> None:
    """The lines of a night, decided at any time: what was new is asked for by the time of the lines."""
    texts = lines(FORMS["iso"], 400)
    texts[300] = f"{FORMS['iso'](START + timedelta(seconds=450))} disk full"
    (tmp_path / "night.log").write_text("\n".join([*texts, "  at trace(1)"]) + "\n")

    def command(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "sophia", *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command("run", "night.log", "--store", "mind", "--out", "o.jsonl", "--quiet", "--report", "none")
    times = [START.timestamp() + 1.5 * n for n in (*range(400), 399)]
    (journal,) = journal_files(tmp_path / "mind")
    assert [json.loads(line).get("moment") for line in journal.path.read_bytes().splitlines()] == times
    assert not any("moment" in json.loads(line) for line in (tmp_path / "o.jsonl").read_bytes().splitlines())
    query = "SELECT epoch(event) AS at FROM decisions ORDER BY n"
    told = command("weave", "--store", "mind", "--json", "--sql", query)
    events = [json.loads(line)["at"] for line in told.splitlines()]
    assert events == times
    found = command("ask", "what was new after 2026-11-30 00:05Z?", "--store", "mind", "--json")
    assert [json.loads(line)["line"] for line in found.splitlines()] == [401, 301]
    (chapter,) = [
        one for one in map(json.loads, command("weave", "--store", "mind", "--json").splitlines()) if "from" in one
    ]
    assert chapter["events"] == ["2026-11-29T23:59:30Z", "2026-11-30T00:09:28Z"]

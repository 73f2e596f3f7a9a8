"""What a brain finds to be usual before its birth, and what that changes afterwards."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.errors import StoreCorrupt
from sophia.forgetting import forget_scope
from sophia.gestation import Gestation, life_of
from sophia.organs.batch import Columns
from sophia.store.check import check
from sophia.store.overview import overview
from sophia.store.repair import repair

LINES = [f"job {n} finished on host{n % 3} after {n * 7 % 90} s" for n in range(150)]
LINES += [f"disk {n} is full" if n % 3 else f"authentication failure for user{n}" for n in range(150)]
MESSAGES = [
    f"please send the {noun} to {name}" for noun in ("book", "cup", "lamp") for name in ("ana", "bo", "cy", "di")
]


def born(path: Path | None = None, *, size: int = 64, cut: int = 0, **options: Any) -> tuple[Any, list[Any]]:
    """The birth of a brain that reads all lines, and what it says of them; closed and opened after each `cut`."""
    settings = sophia.Settings(gestation_inputs=200)
    said: list[Any] = []
    for begin in range(0, len(LINES), cut or len(LINES)):
        with sophia.open(path, settings=settings, clock=lambda: 1e9, **options) as brain:
            for start in range(begin, min(len(LINES), begin + (cut or len(LINES))), size):
                some = LINES[start : min(start + size, begin + (cut or len(LINES)))]
                said += [(d.route, d.why, d.novelty, d.salience) for d in brain.route_many(some, kind="line")]
            birth = brain.birth
    return birth, said


def test_a_birth_tells_what_is_usual() -> None:
    birth, _ = born()
    usual = birth["calibration"]["line"]
    assert usual["inputs"] == birth["inputs"] == 200
    assert usual["sightings"] >= 1
    assert usual["confident"] == round(usual["sightings"] / (usual["sightings"] + 1), 4)
    for name in ("novelty", "complexity", "surprise", "length", "entropy", "rarity"):
        assert usual[name]["p50"] <= usual[name]["p90"] <= usual[name]["p99"]
    assert usual["often"][0]["rule"].startswith("log.auth")
    assert birth["drift"]["windows"] == 200 // 32
    assert 0.0 < birth["drift"]["mean"] <= 1.0
    assert birth["words"] > 5
    assert json.loads(json.dumps(birth)) == birth


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("size", [7, 256])
def test_levels_workers_and_batches_give_the_same_birth(simd: str, workers: int, size: int) -> None:
    assert born(size=size, workers=workers) == born()


@pytest.mark.parametrize("cut", [1, 13, 150, 199, 200, 201])
def test_a_store_that_is_closed_and_opened_is_as_if_it_never_was(tmp_path: Path, cut: int) -> None:
    birth, said = born()
    path = tmp_path / "mind"
    again, told = born(path, cut=cut) if cut > 1 else born(path, cut=25)
    assert told == said
    assert again | {"run": 1} == birth
    assert check(path).sound
    facts = overview(path)
    assert facts["words"]["documents"] == 200
    assert facts["drift"]["windows"] == 6


def test_inputs_of_a_killed_run_are_observed_once(tmp_path: Path) -> None:
    birth, said = born()
    settings = sophia.Settings(gestation_inputs=200)
    told: list[Any] = []
    for start in range(0, len(LINES), 50):
        with sophia.open(tmp_path, settings=settings, clock=lambda: 1e9) as brain:
            batch = brain.decide(Columns(LINES[start : start + 50], lines=[True] * 50))
            told += [(d.route, d.why, d.novelty, d.salience) for d in batch.decisions]
            brain.begin(batch)
            brain.discard()  # as a process leaves it that dies now
    assert told == said
    with sophia.open(tmp_path, settings=settings) as brain:
        assert brain.birth is not None
        assert brain.birth | {"run": 1} == birth


def test_each_kind_has_a_measure_of_its_own() -> None:
    columns = Columns([*LINES[:100], *MESSAGES], lines=[True] * 100 + [False] * len(MESSAGES))
    with sophia.open(None, settings=sophia.Settings(gestation_inputs=100 + len(MESSAGES))) as brain:
        brain.decide(columns)
        assert brain.birth is not None
        assert brain.birth["calibration"].keys() == {"line", "message"}
        text = "please send the moon to everyone"
        line, message = brain.route(text, kind="line"), brain.route(text)
        assert line.salience is not None
        assert message.salience is not None
        assert line.salience.complexity != message.salience.complexity


def test_more_sightings_are_asked_for_and_never_fewer() -> None:
    ones = [f"{chr(97 + n % 26)}{chr(97 + n // 26)} came once" for n in range(200)]
    twice = [line for line in LINES[:100] for _ in range(2)]
    for lines, known in ((ones, 8), (twice, 3)):
        with sophia.open(None) as brain:
            brain.route_many(lines, kind="line")
            again = [brain.route(f"restart of unit {n}", kind="line") for n in range(12)]
        first = next(n for n, one in enumerate(again) if one.route == "reflex")
        assert first >= known  # by default three sightings are enough; here as many as are usual
        assert {one.why for one in again[first:]} == {"known-pattern"}
    with sophia.open(None, settings=sophia.Settings(reflex_confidence=0.95)) as brain:
        brain.route_many(twice, kind="line")
        again = [brain.route(f"restart of unit {n}", kind="line") for n in range(30)]
    assert next(n for n, one in enumerate(again) if one.route == "reflex") >= 19  # what the user asks for stands


def test_counts_of_rules_go_on_in_the_next_run(tmp_path: Path) -> None:
    for _ in range(2):
        with sophia.open(tmp_path) as brain:
            brain.route_many(LINES, kind="line")
            tally = brain.thalamus.hot_path.tally
    assert tally["line"]["seen"] == 2 * len(LINES)
    assert sum(tally["line"]["hits"].values()) == 100
    assert tally["message"] == {"seen": 0, "hits": {}}
    with sophia.open(tmp_path) as brain:
        assert brain.thalamus.hot_path.tally == tally
        brain.crystallise()
        brain.route_many(LINES, kind="line")
        assert brain.thalamus.hot_path.tally == tally  # it learns nothing


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[]",
        '{"line":{"seen":1,"hits":{}},"message":{"seen":0,"hits":{}},"moments":7}',
        '{"line":{"seen":1,"hits":{"a":2}},"message":{"seen":0,"hits":{}},"moments":[]}',
        '{"line":{"seen":1,"hits":{"a":"x"}},"message":{"seen":0,"hits":{}},"moments":[]}',
        '{"message":{}}',
        '{"line":{"seen":-1,"hits":{}},"message":{"seen":0}}',
    ],
)
def test_damaged_counts_begin_anew(tmp_path: Path, value: str) -> None:
    from sophia.store.store import Store

    with sophia.open(tmp_path) as brain:
        brain.route_many(LINES[:10], kind="line")
    store = Store(tmp_path)
    store.set_meta("tally", value)
    store.close()
    with sophia.open(tmp_path) as brain:
        assert len([note for note in brain.notes if "counts of rules" in note]) == 1
        brain.route_many(LINES[:10], kind="line")
    with sophia.open(tmp_path) as brain:
        assert brain.notes == []


@pytest.mark.parametrize("name", ["words", "drift"])
def test_a_damaged_table_starts_anew(tmp_path: Path, name: str) -> None:
    born(tmp_path)
    with closing(sqlite3.connect(tmp_path / "sophia.db")) as rows:
        rows.execute("UPDATE dumps SET data = x'00' WHERE name = ?", (name,))
        rows.commit()
    with sophia.open(tmp_path) as brain:
        assert [note for note in brain.notes if f"the {name} table" in note]
        assert brain.stage == "fluid"
        assert brain.route(LINES[0], kind="line").salience is not None
    with sophia.open(tmp_path) as brain:
        lost = [note for note in brain.notes if "words that were counted before the brain's birth are lost" in note]
        assert len(lost) == len(brain.notes) == (name == "words")


def test_words_that_are_lost_make_nothing_rare(tmp_path: Path) -> None:
    born(tmp_path)
    text = f"a text of {' '.join(f'strange{n}' for n in range(20))}"
    with sophia.open(tmp_path) as brain:
        brain.crystallise()
        known = brain.route(text, kind="line").salience
    with closing(sqlite3.connect(tmp_path / "sophia.db")) as rows:
        rows.execute("DELETE FROM dumps WHERE name = 'words'")
        rows.commit()
    with sophia.open(tmp_path) as brain:
        lost = brain.route(text, kind="line").salience
    assert known is not None
    assert lost is not None
    assert lost.complexity < known.complexity


def damage(path: Path, statement: str) -> None:
    """One value of a row is changed, and not its checksum."""
    with closing(sqlite3.connect(path / "sophia.db")) as rows:
        assert rows.execute(statement).rowcount >= 1
        rows.commit()


def test_a_repair_keeps_what_was_counted_before_birth(tmp_path: Path) -> None:
    birth, _ = born(tmp_path)
    with sophia.open(tmp_path) as brain:
        brain.route_many([f"one more of {n}" for n in range(40)], kind="line")
    damage(tmp_path, "UPDATE log SET changes = x'00' WHERE name = 'familiar'")
    done = repair(tmp_path)
    assert done.state == "repaired"
    assert not {"words", "drift", "life"} & set(done.anew)
    assert "familiar" in done.anew
    facts = overview(tmp_path)
    assert facts["words"]["documents"] == 200
    assert facts["drift"]["windows"] == 6
    with sophia.open(tmp_path) as brain:
        assert brain.birth == birth


def test_a_repair_before_birth_counts_anew(tmp_path: Path) -> None:
    with sophia.open(tmp_path) as brain:
        brain.route_many(LINES[:100], kind="line")
    damage(tmp_path, "UPDATE log SET changes = x'00'")
    done = repair(tmp_path)
    assert {"words", "drift", "familiar"} <= set(done.anew)
    assert "life" not in done.anew


def test_a_repair_that_lost_the_stage_of_life_says_so(tmp_path: Path) -> None:
    born(tmp_path)
    with sophia.open(tmp_path) as brain:
        brain.crystallise()
    damage(tmp_path, "UPDATE meta SET value = 'x' WHERE name = 'life'")
    done = repair(tmp_path)
    assert "life" in done.anew
    with sophia.open(tmp_path) as brain:
        assert brain.stage != "crystalline"


@pytest.mark.parametrize("column", ["texts", "scopes", "contexts", "answers", "names"])
@pytest.mark.parametrize("bad", [7, "\ud800"])
def test_a_batch_that_is_refused_teaches_nothing(column: str, bad: Any) -> None:
    if column == "texts" and bad != 7:
        pytest.skip("a text that cannot be encoded is an input of its own: `invalid`")
    values: list[Any] = [*("x" for _ in range(29)), bad]
    given: dict[str, Any] = {"texts": LINES[:30], "lines": [True] * 30, column: values}
    with sophia.open(None, settings=sophia.Settings(gestation_inputs=20)) as brain:
        with pytest.raises((TypeError, UnicodeEncodeError)):
            brain.thalamus.route_batch(Columns(**given), 1)
        assert brain.thalamus.gestation.inputs == 0
        assert brain.birth is None
        assert brain.patterns() == []


def test_a_clock_that_no_calendar_has() -> None:
    with sophia.open(None, clock=lambda: 1e15) as brain:
        brain.route_many(LINES, kind="line")
        assert brain.birth is not None
        assert json.loads(json.dumps(brain.birth)) == brain.birth


@pytest.mark.parametrize(
    "scale",
    [
        {},
        {"length": [1]},
        {"length": 7},
        {"length": [1] * 64, "entropy": [1] * 64, "rarity": ["x"] * 64, "distance": [1] * 64, "crowded": 0},
        {"length": [1] * 64, "entropy": [1] * 64, "rarity": [-1] * 64, "distance": [1] * 64, "crowded": 0},
    ],
)
def test_a_birth_that_cannot_be_measured_by(scale: dict[str, Any]) -> None:
    gestation = Gestation(inputs=1, seconds=0.0)
    gestation.bear(1e9, 1, 0)
    told = json.loads(gestation.state())
    told["birth"]["calibration"] = {"line": {"scale": scale, "confident": 0.5}}
    with pytest.raises(StoreCorrupt, match="the stage of life cannot be read"):
        Gestation(inputs=1, seconds=0.0, state=json.dumps(told))


def test_a_birth_of_an_older_version_has_no_scale() -> None:
    gestation = Gestation(inputs=1, seconds=0.0)
    gestation.bear(1e9, 1, 0)
    told = json.loads(gestation.state())
    told["birth"]["calibration"] = {"line": {"inputs": 200, "familiar": 0.5}}
    again = Gestation(inputs=1, seconds=0.0, state=json.dumps(told))
    assert list(again.scales()) == []
    assert again.stage == "fluid"


def test_forgetting_leaves_no_text_of_a_window(tmp_path: Path) -> None:
    with sophia.open(tmp_path) as brain:
        brain.route_many(["the secret garden of ana"] * 5, scope="ana")
        brain.route_many(["the others"] * 5, scope="bo")

    def kept() -> str:
        with closing(sqlite3.connect(tmp_path / "sophia.db")) as rows:
            return str(rows.execute("SELECT value FROM meta WHERE name = 'life'").fetchone())

    assert "secret garden" in kept()
    done = forget_scope(tmp_path, "ana")
    assert "secret garden" not in kept()
    assert [words for words in done.remains if "5 inputs that were observed before birth" in words]
    with sophia.open(tmp_path) as brain:
        assert brain.stage != "crystalline"
        brain.route_many(LINES, kind="line")
        assert brain.stage == "fluid"
    assert life_of(tmp_path)["birth"]["inputs"] == 200

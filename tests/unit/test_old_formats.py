"""Stores of every format that was ever written open, and hold what they held."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from fixtures.make import ANSWERS, LINES, MEMORIES, SETTINGS, UNFINISHED

import sophia
from sophia.organs.hippocampus import Hippocampus
from sophia.store import schema

FIXTURES = Path(__file__).parent.parent / "fixtures"


def unpack(number: int, folder: Path) -> Path:
    """The fixture of one format, as a store in `folder`."""
    folder.mkdir()
    (folder / "sophia.db").write_bytes(gzip.decompress((FIXTURES / f"store-{number}.db.gz").read_bytes()))
    return folder


def kept(store: Path) -> dict[str, str]:
    """The answers in a store, and the policy of each."""
    with closing(sqlite3.connect(store / "sophia.db")) as rows:
        return dict(rows.execute("SELECT answer, policy FROM answers").fetchall())


@pytest.mark.parametrize("number", range(1, schema.FORMAT + 1))
def test_an_old_store_opens_and_holds_what_it_held(tmp_path: Path, number: int) -> None:
    store = unpack(number, tmp_path / "mind")
    for _ in range(2):  # the second opening finds the present format
        answers = kept(store)
        assert answers.keys() == set(ANSWERS.values())
        with sophia.open(store, settings=SETTINGS.with_changes(gestation_inputs=0)) as brain:
            assert brain.notes == []
            # Served under the policy alone that they were stored under: rules and Unicode tables may be others here.
            served = set(answers.values()) == {brain.policy_version}
            found = {text: brain.route(text, scope="ana").answer for text in ANSWERS}
            assert found == (ANSWERS if served else dict.fromkeys(ANSWERS))
            assert brain.route("Is it raining?").answer is None
            assert {d.why for d in brain.route_many(LINES, kind="line")} == {"known-pattern"}
            if number > 1:
                assert {d.why for d in brain.route_many(UNFINISHED, kind="line")} == {"known-pattern"}
            assert brain.thalamus.idf.documents > len(LINES)
        with Hippocampus.open(store) as memory:
            assert [memory.get(i + 1).text for i in range(len(memory))] == list(MEMORIES if number > 2 else ())
            assert memory.stats()["last_id"] == (4 if number > 2 else 0)

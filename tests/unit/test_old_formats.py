"""Stores of every format that was ever written open, and hold what they held."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from fixtures.make import ANSWERS, LINES, SETTINGS, UNFINISHED

import sophia
from sophia.store import schema

FIXTURES = Path(__file__).parent.parent / "fixtures"


def unpack(number: int, folder: Path) -> Path:
    """The fixture of one format, as a store in `folder`."""
    folder.mkdir()
    (folder / "sophia.db").write_bytes(gzip.decompress((FIXTURES / f"store-{number}.db.gz").read_bytes()))
    return folder


@pytest.mark.parametrize("number", range(1, schema.FORMAT + 1))
def test_an_old_store_opens_and_holds_what_it_held(tmp_path: Path, number: int) -> None:
    store = unpack(number, tmp_path / "mind")
    for _ in range(2):  # the second opening finds the present format
        with sophia.open(store, settings=SETTINGS) as brain:
            assert brain.notes == []
            assert {text: brain.route(text, scope="ana").answer for text in ANSWERS} == ANSWERS
            assert brain.route("Is it raining?").answer is None
            assert {d.why for d in brain.route_many(LINES, kind="line")} == {"known-pattern"}
            if number > 1:
                assert {d.why for d in brain.route_many(UNFINISHED, kind="line")} == {"known-pattern"}
            assert brain.thalamus.idf.documents > len(LINES)

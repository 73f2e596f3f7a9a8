"""Every fuzz target over its seeds and some mutations of them; `run.py` goes on where this ends."""

from __future__ import annotations

from typing import Any

import pytest

from fuzz import targets
from fuzz.mutate import mutations

MUTATIONS = 200
SLOW = {"store": 20, "route": 40, "encode": 60, "danger": 60}


@pytest.fixture(params=targets.NAMES)
def target(request: pytest.FixtureRequest) -> Any:
    return targets.load(request.param)


def test_seeds_and_their_mutations(target: Any) -> None:
    name = target.__name__.rpartition(".")[2]
    given = target.seeds()
    assert given
    for data in (b"", *given, *mutations(given, SLOW.get(name, MUTATIONS), seed=len(name))):
        try:
            target.check(data)
        except BaseException as error:
            error.add_note(f"target {name}, input {data!r}")
            raise

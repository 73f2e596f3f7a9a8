"""Threads remember, forget and recall while the store refuses now and then: what was acknowledged is there, no more."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest

from sophia.errors import StoreFailed
from sophia.organs.hippocampus import Hippocampus
from sophia.store.store import Store
from tests.sealing import small_segments

pytestmark = pytest.mark.stress

SECONDS = 2.0


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with small_segments(20, 200):
        yield


@pytest.mark.parametrize("durability", ["disk", "os", "memory"])
def test_what_was_acknowledged_is_there_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    whole, draw = Store.remember, random.Random(5)

    def refusing(self: Store, *given: object) -> None:
        if draw.random() < 0.2:
            message = "no room"
            raise StoreFailed(message)
        whole(self, *given)

    memory = Hippocampus.open(tmp_path / "mind", durability=durability)  # type: ignore[arg-type]
    monkeypatch.setattr(Store, "remember", refusing)
    told: set[int] = set()
    gone: set[int] = set()
    wrong: list[object] = []
    lock = threading.Lock()
    end = monotonic() + SECONDS

    def work(number: int) -> None:
        mine = random.Random(number)
        scope = str(number)
        while monotonic() < end:
            try:
                _step(memory, mine, scope, told, gone, lock, wrong.append)
            except StoreFailed:
                pass
            except BaseException as error:
                wrong.append(error)
                raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    monkeypatch.setattr(Store, "remember", whole)
    assert not wrong
    assert {m.id for m in memory.recall(None, 10**6)} == told - gone
    memory.close()
    with Hippocampus.open(tmp_path / "mind") as again:
        assert {m.id for m in again.recall(None, 10**6)} == told - gone


def _step(
    memory: Hippocampus,
    draw: random.Random,
    scope: str,
    told: set[int],
    gone: set[int],
    lock: threading.Lock,
    complain: Callable[[object], None],
) -> None:
    kind = draw.random()
    if kind < 0.6:
        many = draw.choice([1, 1, 1, 3, 40])
        ids = memory.remember_many([f"of {scope} {draw.random()}" for _ in range(many)], scope=scope)
        with lock:
            told.update(ids)
    elif kind < 0.75:
        with lock:
            id = draw.choice(list(told)) if told else 0
        if memory.forget(id):
            with lock:
                gone.add(id)
    elif kind < 0.8:
        memory.flush()
    else:
        for found in memory.recall(f"of {scope}", 5, scope=scope):
            if found.scope != scope or not str(found.text).startswith(f"of {scope} "):
                complain(found)

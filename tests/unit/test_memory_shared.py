"""A Hippocampus that several use at once: threads, processes, forked children, interrupts, and closing meanwhile."""

from __future__ import annotations

import multiprocessing
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sophia.errors import SophiaError, StoreFailed
from sophia.organs.hippocampus import Hippocampus
from sophia.store.store import Store

WRITER = """
import sys
from sophia.organs.hippocampus import Hippocampus
for i in range(10):
    with Hippocampus.open(sys.argv[1], wait=60) as memory:
        for k in range(10):
            memory.remember(f"{sys.argv[2]} {i} {k}", scope=sys.argv[2])
"""


def test_threads_share_commits_and_each_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls, gate = Store.remember, [], threading.Event()

    def slow(self: Store, rows: list, *given: object) -> None:
        calls.append(len(rows))
        gate.wait(10)
        if len(calls) == 2:
            message = "no room"
            raise StoreFailed(message)
        whole(self, rows, *given)

    monkeypatch.setattr(Store, "remember", slow)
    told: list[object] = []

    def remember(text: str) -> None:
        try:
            told.append(memory.remember(text))
        except StoreFailed as error:
            told.append(error)

    with Hippocampus.open(tmp_path / "mind") as memory:
        threads = [threading.Thread(target=remember, args=(f"t{i}",)) for i in range(9)]
        threads[0].start()
        while not calls:
            pass
        for thread in threads[1:]:
            thread.start()
        while memory.stats()["waiting"] < 8:
            pass
        gate.set()
        for thread in threads:
            thread.join(30)
        assert calls == [1, 8]
        assert sum(isinstance(each, StoreFailed) for each in told) == 8
        assert len(memory) == 1
        assert memory.remember("next") == 10


def test_processes_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "mind"
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"p{n}"]) for n in range(8)]
    assert [process.wait(120) for process in running] == [0] * 8
    with Hippocampus.open(path) as memory:
        assert len(memory) == 800
        texts = [memory.get(id).text for id in range(1, 801)]
    assert len(set(texts)) == 800


def _in_child(memory: Hippocampus, found: multiprocessing.SimpleQueue) -> None:
    try:
        memory.recall("one")
        found.put("no error")
    except StoreFailed as error:
        found.put(str(error))
    memory.close()  # of the parent: nothing happens


def test_a_forked_child_is_told_to_open_it_anew(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / "mind") as memory:
        memory.remember("one")
        fork = multiprocessing.get_context("fork")
        found = fork.SimpleQueue()
        child = fork.Process(target=_in_child, args=(memory, found))
        child.start()
        child.join(30)
        assert "open it anew" in found.get()
        assert memory.remember("two") == 2


@pytest.mark.parametrize("durability", ["disk", "os", "memory"])
def test_closing_while_others_remember_loses_nothing_that_was_acknowledged(tmp_path: Path, durability: str) -> None:
    for round_ in range(8):
        path = tmp_path / f"mind-{round_}"
        memory = Hippocampus.open(path, durability=durability)  # type: ignore[arg-type]
        told: list[int] = []

        def remember(memory: Hippocampus = memory, told: list[int] = told) -> None:
            with suppress(SophiaError):
                while True:
                    told.append(memory.remember("a"))

        threads = [threading.Thread(target=remember) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(told) < 5 * round_:
            pass
        memory.close()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        with Hippocampus.open(path) as again:
            assert set(told) <= set(again.recall(None, 100_000).ids)


def test_a_close_that_fails_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Store.remember

    def full(self: Store, *given: object) -> None:
        message = "no room"
        raise StoreFailed(message)

    memory = Hippocampus.open(tmp_path / "mind", durability="memory")
    memory.remember_many(["one"] * 100)
    monkeypatch.setattr(Store, "remember", full)
    with pytest.raises(StoreFailed, match="no room"):
        memory.close()
    with pytest.raises(StoreFailed, match="no room"):
        memory.remember_many(["refused"] * 200)
    assert len(memory) == 100
    monkeypatch.setattr(Store, "remember", whole)
    memory.close()
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert len(memory) == 100


def test_what_is_forgotten_while_others_remember_does_not_come_back(tmp_path: Path) -> None:
    with Hippocampus.open(tmp_path / "mind", durability="memory") as memory:
        stop = threading.Event()

        def remember() -> None:
            while not stop.is_set():
                memory.remember("s", scope="s")

        thread = threading.Thread(target=remember)
        thread.start()
        for _ in range(30):
            memory.forget(scope="s")
        stop.set()
        thread.join(30)
        left = set(memory.recall(None, 100_000).ids)
    with Hippocampus.open(tmp_path / "mind") as memory:
        assert set(memory.recall(None, 100_000).ids) == left


class _Alarm(Exception):
    """Raised by a signal, as Ctrl-C is, wherever the interpreter happens to be."""


def interrupted(seconds: float, call: Callable[[], object]) -> None:
    """Calls, and raises `_Alarm` in the midst of it unless it is done before."""
    armed = [True]

    def ring(*_: object) -> None:
        if armed:
            armed.clear()
            raise _Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        call()
        armed.clear()
    except _Alarm:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("durability", ["disk", "memory"])
def test_interrupts_leave_what_is_found_as_the_store_has_it(tmp_path: Path, durability: str) -> None:
    draw = random.Random(3)
    kept: dict[int, str] = {}
    for round_ in range(6):
        memory = Hippocampus.open(tmp_path / "mind", durability=durability)  # type: ignore[arg-type]
        for number in range(25):
            text = f"word{round_}x{number} said"

            def remember(memory: Hippocampus = memory, text: str = text) -> None:
                kept[memory.remember(text)] = text

            interrupted(draw.random() * 0.002, remember)
            if number % 5 == 4 and kept:
                gone = draw.choice(list(kept))
                del kept[gone]
                interrupted(draw.random() * 0.002, lambda memory=memory, gone=gone: memory.forget(gone))
        found = {m.id: m.text for m in memory.recall(None, 10_000)}
        assert kept.items() <= found.items()
        for id, said in list(found.items())[:5]:
            assert said is not None
            assert memory.recall(said.split()[0], 1).ids == [id]
        interrupted(draw.random() * 0.002, memory.close)
        memory.close()
        with Hippocampus.open(tmp_path / "mind") as again:
            left = {m.id: m.text for m in again.recall(None, 10_000)}
            assert kept.items() <= left.items()
            # More is there only where an interrupted call had come so far already.
            assert {id: text for id, text in left.items() if id in found} == found

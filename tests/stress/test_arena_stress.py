"""A million bind + reset cycles, and references taken from many threads."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from sophia._core import hdc, vector
from sophia._core.arena import HDCArena

pytestmark = pytest.mark.stress
MILLION = 1_000_000


def resident() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


def least_growth(work: Callable[[], None]) -> int:
    """Bytes by which the process grows at least in three runs: a leak shows in each of them, and what the system
    does to the pages of earlier tests in one of them at most."""
    growth = []
    for _ in range(3):
        before = resident()
        work()
        growth.append(resident() - before)
    return min(growth)


@pytest.mark.memory
def test_a_million_bind_and_reset_cycles_allocate_nothing() -> None:
    arena = HDCArena()
    a, b = hdc.random("a"), hdc.random("b")
    bind, reset = hdc.bind, arena.reset
    for _ in range(1000):
        bind(a, b, arena=arena)
        reset()
    chunks, misses = arena.chunk_allocations, vector.pool_counters()["misses"]

    def work() -> None:
        for _ in range(MILLION):
            bind(a, b, arena=arena)
            reset()

    assert least_growth(work) < 1 << 20
    assert arena.chunk_allocations == chunks == 1
    assert vector.pool_counters()["misses"] == misses
    assert arena.high_water == 1280


@pytest.mark.memory
def test_a_million_fresh_results_come_from_the_pool() -> None:
    a, b = hdc.random("a"), hdc.random("b")
    misses = []

    def work() -> None:
        hdc.bind(a, b)
        before = vector.pool_counters()["misses"]
        for _ in range(MILLION):
            hdc.bind(a, b)
        misses.append(vector.pool_counters()["misses"] - before)

    # A thread of its own: the pool of this one has no room for another size where earlier tests used eight.
    with ThreadPoolExecutor(1) as own:
        assert own.submit(least_growth, work).result() < 1 << 20
    assert misses == [0, 0, 0]


def test_references_from_many_threads_balance() -> None:
    shared = hdc.random("a").freeze()
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(20):
            vector.churn_references(shared, 20_000)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.references == 1
    assert shared == hdc.random("a")


def hand_over(rounds: int) -> None:
    """Blocks made in one thread are given back by others; no byte changes."""

    def drop(batch: list[vector.SharedVector], seen: list[int]) -> None:
        seen += [shared.digest for shared in batch]
        batch.clear()

    for round_ in range(rounds):
        batch = [hdc.random(round_, i).freeze() for i in range(50)]
        expected = [hdc.random(round_, i).freeze().digest for i in range(50)]
        seen: list[int] = []
        thread = threading.Thread(target=drop, args=(batch, seen))
        thread.start()
        thread.join()
        assert seen == expected
        assert batch == []


def test_the_last_reference_may_go_in_any_thread() -> None:
    hand_over(20)


@pytest.mark.memory
def test_nothing_grows_where_the_last_reference_goes_in_another_thread() -> None:
    before = resident()
    hand_over(200)
    assert resident() - before < 4 << 20


def test_long_operations_run_without_the_gil_and_hold_off_a_reset() -> None:
    """A thread bundles arena vectors for milliseconds while this one tries to reset the arena."""
    arena = HDCArena(limit_bytes=1 << 30)
    parts = [hdc.random(i, dim=1 << 20, arena=arena) for i in range(300)]
    expected = hdc.bundle(parts)
    running = threading.Event()
    results = []

    def work() -> None:
        running.set()
        results.extend(hdc.bundle(parts) for _ in range(20))

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    refused = 0
    while thread.is_alive() and not refused:
        mark = arena.mark()
        try:
            arena.rewind(mark)
        except BufferError:
            refused += 1
    thread.join()
    assert all(result == expected for result in results)
    assert refused

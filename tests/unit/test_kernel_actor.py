"""Kernel actors: what they answer, in which order, and what becomes of messages that find no room or no pool."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from sophia._core import hdc
from sophia._core.kernel_actor import Bundler, KernelActor, Searcher
from sophia._core.pool import KernelPool
from sophia.errors import ActorStopped, MailboxFull, PoolForked, ShapeError

ROWS = hdc.random_rows(100, "items")
PARTS = [hdc.random("items", i).freeze() for i in range(100)]


@pytest.fixture(params=[1, 2])
def pool(request: pytest.FixtureRequest) -> Iterator[KernelPool]:
    with KernelPool(request.param) as pool:
        yield pool


@pytest.mark.parametrize("model", ["BSC", "MAP"])
def test_a_bundler_votes_on_what_it_was_told(pool: KernelPool, simd: str, model: str) -> None:
    parts = [hdc.random("parts", i, dim=1000, model=model).freeze() for i in range(20)]
    weights = [i % 7 - 2 for i in range(20)]
    bundler = pool.actor(Bundler, model, 1000)
    jobs = []
    for part, weight in zip(parts, weights, strict=True):
        bundler.tell(part, weight)
        jobs.append(bundler.bundle())
    for i, job in enumerate(jobs):
        assert job.result() == hdc.bundle(parts[: i + 1], weights=weights[: i + 1])
    pool.close()  # the last answer comes a moment before its message counts as handled
    assert bundler.stats() == {"sent": 40, "handled": 40, "dropped": 0, "waiting": 0, "refused": 0}


def test_nothing_told_is_no_bundle(pool: KernelPool) -> None:
    bundler = Bundler(pool)
    with pytest.raises(ValueError, match="no vectors"):
        bundler.bundle().result()
    bundler.tell(PARTS[0])
    bundler.tell(PARTS[0], -1)
    with pytest.raises(ValueError, match="no vectors"):
        bundler.bundle().result()


def test_told_from_many_threads(pool: KernelPool) -> None:
    bundler = pool.actor(Bundler, home=0, capacity=64)
    refused = []

    def tell(number: int) -> None:
        for i in range(2000):
            while True:
                try:
                    bundler.tell(PARTS[(number + i) % 100])
                    break
                except MailboxFull:
                    refused.append(1)

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job = None
    while job is None:
        try:
            job = bundler.bundle()
        except MailboxFull:
            refused.append(1)
    assert job.result() == hdc.bundle(PARTS, weights=[80] * 100)
    pool.close()
    stats = bundler.stats()
    assert (stats["sent"], stats["handled"], stats["refused"]) == (8001, 8001, len(refused))
    assert all(part.references == 1 for part in PARTS)


def test_a_searcher_finds_what_the_pool_does(pool: KernelPool, simd: str) -> None:
    for rows in (ROWS, PARTS):
        searcher = pool.actor(Searcher, rows, 3, home=0)
        jobs = [searcher.nearest(part) for part in PARTS]
        for i, job in enumerate(jobs):
            wanted = hdc.topk(PARTS[i], ROWS, 3)
            assert [part.tolist() for part in job.result()] == [part.tolist() for part in wanted]
    assert pool.stats()["asked"] == pool.stats()["done"] == 200


def test_awaited(pool: KernelPool) -> None:
    searcher = Searcher(pool, ROWS, 1)

    async def main() -> list[int]:
        return [int((await searcher.nearest(part))[1][0]) for part in PARTS]

    assert asyncio.run(main()) == list(range(100))


def test_an_ask_can_be_cancelled() -> None:
    with KernelPool(1, inline_below=0) as pool:
        pool.distances(PARTS[0], np.zeros((320_000, 1280), np.uint8))
        searcher = Searcher(pool, ROWS, 1)
        jobs = [searcher.nearest(part) for part in PARTS[:10]]
        cancelled = jobs[5].cancel()
        assert jobs[6].result()[1].tolist() == [6]
        assert cancelled == jobs[5].cancelled()
        assert pool.stats()["cancelled"] == cancelled


def test_a_tell_copies_and_allocates_nothing(pool: KernelPool) -> None:
    bundler = Bundler(pool)
    bundler.tell(PARTS[0])
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(500):
            bundler.tell(PARTS[1])
        assert tracemalloc.get_traced_memory()[0] - before < 500
    finally:
        tracemalloc.stop()


def test_what_a_dropped_actor_was_told_is_let_go(pool: KernelPool) -> None:
    for _ in range(50):
        bundler = Bundler(pool, capacity=512)
        for part in PARTS:
            bundler.tell(part)
        del bundler
    gc.collect()
    assert all(part.references == 1 for part in PARTS)
    searcher = Searcher(pool, ROWS, 1)
    job = searcher.nearest(PARTS[7])
    del searcher
    assert job.result()[1].tolist() == [7]


def test_wrong_messages_are_refused(pool: KernelPool) -> None:
    bundler = Bundler(pool)
    with pytest.raises(ShapeError, match="dim=99"):
        bundler.tell(hdc.random(1, dim=99).freeze())
    with pytest.raises(TypeError):
        bundler.tell(hdc.random(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="overflow"):
        bundler.tell(PARTS[0], 1 << 31)
    with pytest.raises(TypeError, match="whole"):
        bundler.tell(PARTS[0], 1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="home"):
        Bundler(pool, home=7)
    with pytest.raises(ValueError, match="capacity"):
        Bundler(pool, capacity=1)
    with pytest.raises(ValueError, match="k:"):
        Searcher(pool, ROWS, 0)
    dirty = ROWS.copy()
    dirty[3, 1279] = 1
    with pytest.raises(ShapeError, match="row 3"):
        Searcher(pool, dirty)
    with pytest.raises(ShapeError):
        Searcher(pool, ROWS).nearest(hdc.random(1, dim=640))
    for kind in (KernelActor,):
        with pytest.raises(TypeError):
            kind()
    with pytest.raises(TypeError):
        Bundler.__new__(Bundler).tell(PARTS[0])
    assert bundler.stats()["sent"] == 0


def test_a_full_mailbox_refuses() -> None:
    with KernelPool(1, inline_below=0) as pool:
        bundler = Bundler(pool, capacity=4)
        pool.distances(PARTS[0], np.zeros((320_000, 1280), np.uint8))
        told = refused = 0
        while not refused and told < 10_000:
            try:
                bundler.tell(PARTS[told % 100])
                told += 1
            except MailboxFull:
                refused += 1
        pool.close(timeout=60)
        stats = bundler.stats()
        assert (stats["sent"], stats["handled"], stats["refused"]) == (told, told, refused)
    assert all(part.references == 1 for part in PARTS)


def test_the_end_of_the_pool_is_the_end_of_its_actors() -> None:
    pool = KernelPool(1, inline_below=0)
    bundler, searcher = Bundler(pool), Searcher(pool, ROWS, 1)
    for _ in range(10):
        pool.distances(PARTS[0], np.zeros((320_000, 1280), np.uint8))
    for part in PARTS:
        bundler.tell(part)
    job = searcher.nearest(PARTS[0])
    pool.close(timeout=0)
    stats = bundler.stats()
    assert stats["waiting"] == 0
    assert stats["handled"] + stats["dropped"] == stats["sent"] == 100
    with pytest.raises(ActorStopped):
        job.result()
    for call in (lambda: bundler.tell(PARTS[0]), bundler.bundle, lambda: searcher.nearest(PARTS[0])):
        with pytest.raises(ActorStopped):
            call()
    with pytest.raises(ActorStopped):
        Bundler(pool)
    assert all(part.references == 1 for part in PARTS)
    assert pool.stats()["waiting"] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_in_a_forked_child_an_actor_is_dead_and_goes_quietly() -> None:
    pool = KernelPool(1, inline_below=0)
    bundler = Bundler(pool)
    pool.distances(PARTS[0], np.zeros((320_000, 1280), np.uint8))
    bundler.tell(PARTS[0])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            bundler.tell(PARTS[0])
        except PoolForked:
            del bundler, pool
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bundler.bundle().result() == PARTS[0].copy()
    pool.close()

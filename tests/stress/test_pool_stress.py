"""The native pool under load: every job is accounted for, whoever submits, waits, cancels or closes."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from sophia._core import hdc
from sophia._core.job import Job
from sophia._core.pool import KernelPool
from sophia.errors import ActorStopped, MailboxFull, ShapeError

pytestmark = [pytest.mark.stress, pytest.mark.usefixtures("pace")]

ROWS = hdc.random_rows(64, "items")
SHARED = [hdc.random("items", i).freeze() for i in range(64)]


class Account:
    """What one submitter saw of its jobs."""

    def __init__(self) -> None:
        self.done = self.cancelled = self.full = self.stopped = 0

    @property
    def asked(self) -> int:
        return self.done + self.cancelled + self.full + self.stopped


def in_a_thread(pool: KernelPool, account: Account, seed: int, n: int) -> None:
    rng = random.Random(seed)
    jobs = []
    for i in range(n):
        try:
            jobs.append((i % 64, pool.nearest(SHARED[i % 64], ROWS if i % 2 else SHARED, 1)))
        except MailboxFull:
            account.full += 1
        if rng.random() < 0.1 and jobs:
            jobs[rng.randrange(len(jobs))][1].cancel()
        if rng.random() < 0.05:
            while jobs:
                settle(jobs.pop(), account)
    while jobs:
        settle(jobs.pop(), account)


def settle(one: tuple[int, object], account: Account) -> None:
    row, job = one
    try:
        assert job.result()[1].tolist() == [row]  # type: ignore[attr-defined]
        account.done += 1
    except CancelledError:
        account.cancelled += 1


async def in_a_loop(pool: KernelPool, account: Account, seed: int, n: int) -> None:
    rng = random.Random(seed)

    async def one(row: int) -> None:
        try:
            job = pool.nearest(SHARED[row], ROWS, 1)
        except MailboxFull:
            account.full += 1
            return
        try:
            assert (await job)[1].tolist() == [row]
            account.done += 1
        except asyncio.CancelledError:
            # a job that ran while its task was cancelled is done, though nobody takes its result
            assert job.cancelled() or not job.cancel()
            if job.cancelled():
                account.cancelled += 1
            else:
                account.done += 1

    for _ in range(n // 50):
        tasks = [asyncio.create_task(one(i)) for i in range(50)]
        for task in tasks:
            if rng.random() < 0.2:
                await asyncio.sleep(0)
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_every_job_is_accounted_for(workers: int) -> None:
    accounts = [Account() for _ in range(5)]
    with KernelPool(workers, inline_below=0, capacity=128) as pool:
        threads = [threading.Thread(target=in_a_thread, args=(pool, accounts[i], i, 3000)) for i in range(3)]
        threads += [
            threading.Thread(target=lambda i=i: asyncio.run(in_a_loop(pool, accounts[i], i, 2000))) for i in (3, 4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    stats = pool.stats()
    # a task that is cancelled before its first step has asked for nothing
    assert stats["asked"] == sum(account.asked for account in accounts)
    assert stats["done"] == sum(account.done for account in accounts)
    assert stats["cancelled"] == sum(account.cancelled for account in accounts)
    assert stats["refused"] == stats["full"] == sum(account.full for account in accounts)
    assert stats["waiting"] == 0
    assert stats["asked"] == stats["done"] + stats["cancelled"] + stats["refused"]


def test_threads_that_take_one_result() -> None:
    """All have the same, and all of it is right; a wrong operand is told to each of them."""
    k = 50
    dirty = np.zeros((50, 1280), np.uint8)
    dirty[17, -1] = 128
    wanted = {row: hdc.topk(SHARED[row], ROWS, k)[1].tolist() for row in range(20)}
    with KernelPool(2, inline_below=0) as pool, ThreadPoolExecutor(4) as threads:
        for row in range(20):
            job = pool.nearest(SHARED[row], ROWS, k)
            answers = list(threads.map(lambda _, job=job: job.result(), range(4)))
            assert all(numbers is answers[0][1] for _, numbers in answers)
            assert answers[0][1].tolist() == wanted[row]
            wrong = pool.distances(SHARED[row], dirty)
            errors = list(threads.map(lambda _, wrong=wrong: error_of(wrong), range(4)))
            assert all(isinstance(error, ShapeError) and "row 17" in str(error) for error in errors)


def error_of(job: Job[object]) -> Exception | None:
    try:
        job.result()
    except Exception as error:
        return error
    return None


def test_closed_under_load() -> None:
    for round_ in range(20):
        pool = KernelPool(2, inline_below=0, capacity=256)
        accounts = [Account() for _ in range(3)]

        def submit(account: Account, pool: KernelPool = pool) -> None:
            jobs = []
            for i in range(100_000):
                try:
                    jobs.append(pool.distances(SHARED[i % 64], ROWS))
                except MailboxFull:
                    account.full += 1
                except ActorStopped:
                    account.stopped += 1
                    break
            for job in jobs:
                try:
                    job.result()
                    account.done += 1
                except ActorStopped:
                    account.cancelled += 1

        threads = [threading.Thread(target=submit, args=(account,)) for account in accounts]
        for thread in threads:
            thread.start()
        threading.Event().wait(0.002 * round_)
        pool.close(timeout=0.001 * (round_ % 3))
        for thread in threads:
            thread.join()
        stats = pool.stats()
        assert stats["waiting"] == 0
        assert stats["asked"] == sum(account.asked for account in accounts)
        assert stats["done"] == sum(account.done for account in accounts)
        assert stats["cancelled"] == sum(account.cancelled for account in accounts)
        assert stats["refused"] == sum(account.full + account.stopped for account in accounts)


@pytest.mark.memory
def test_jobs_that_nobody_waits_for_do_not_grow_the_process() -> None:
    process = psutil.Process()
    with KernelPool(2, inline_below=0) as pool:

        def churn(n: int) -> None:
            for i in range(n):
                try:
                    pool.nearest(SHARED[i % 64], SHARED, 3)
                except MailboxFull:  # the workers may have no core for a while
                    time.sleep(0.001)

        churn(20_000)
        gc.collect()
        before = process.memory_info().rss
        churn(60_000)
        gc.collect()
        assert process.memory_info().rss - before < 8 << 20
    assert all(sys.getrefcount(vector) < 100 for vector in SHARED)
    assert all(vector.references == 1 for vector in SHARED)


def test_both_workers_take_part_in_longer_jobs() -> None:
    """How they share them depends on what else the machine does; that one leaves all to the other is a fault."""
    rows = np.ascontiguousarray(np.tile(ROWS, (40, 1)))
    with KernelPool(2, inline_below=0) as pool:
        rounds = 0
        while min(worker["runs"] for worker in pool.stats()["workers"]) < 10:
            rounds += 1
            assert rounds <= 100
            for job in [pool.distances(SHARED[0], rows) for _ in range(100)]:
                job.result()
        assert sum(worker["runs"] for worker in pool.stats()["workers"]) == 100 * rounds

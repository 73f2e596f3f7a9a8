"""Jobs of the native pool as event loops and threads wait for them: results, cancelling, loops that end first."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import numpy as np
import pytest
from hesitant_loop import run_hesitantly

from sophia._core import hdc
from sophia._core.job import Job
from sophia._core.pool import KernelPool

ROWS = hdc.random_rows(300, "items")
QUERY = hdc.random("items", 42)
SHARED = [hdc.random("items", i).freeze() for i in range(60)]


# ---- asyncio ----


def test_awaited(pool: KernelPool) -> None:
    async def one(i: int) -> int:
        return int((await pool.nearest(SHARED[i % 60], ROWS, 1))[1][0])

    async def main() -> list[int]:
        return await asyncio.gather(*[one(i) for i in range(500)])

    assert asyncio.run(main()) == [i % 60 for i in range(500)]
    stats = pool.stats()
    assert stats["asked"] == stats["done"] == 500
    assert 0 < stats["bell_writes"] <= 500


def test_gathered_and_awaited_twice(pool: KernelPool) -> None:
    async def main() -> None:
        job = pool.distances(QUERY, ROWS)

        async def wait() -> object:
            return await job

        first, second = await asyncio.gather(wait(), wait())
        assert first is second is job.result()
        await asyncio.gather(*[pool.distances(QUERY, ROWS) for _ in range(20)])

    asyncio.run(main())


def test_a_cancelled_task_cancels_its_job(slow_rows: np.ndarray) -> None:
    async def main(pool: KernelPool) -> None:
        first = pool.distances(QUERY, slow_rows)
        job = pool.distances(QUERY, ROWS)

        async def wait() -> object:
            return await job

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert job.cancelled()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait_for(pool.distances(QUERY, ROWS)), 0.0001)
        await first

    async def wait_for(job: Job[object]) -> object:
        return await job

    with KernelPool(1, inline_below=0) as pool:
        asyncio.run(main(pool))
        stats = pool.stats()
        assert (stats["done"], stats["cancelled"], stats["asked"]) == (1, 2, 3)


def test_a_job_for_which_others_wait_is_not_cancelled_with_one_of_them(slow_rows: np.ndarray) -> None:
    async def main(pool: KernelPool) -> None:
        first = pool.distances(QUERY, slow_rows)
        kept, given_up = pool.distances(QUERY, ROWS), pool.distances(QUERY, ROWS)

        async def wait(job: Job[np.ndarray]) -> np.ndarray:
            return await job

        stays, leaves = (asyncio.create_task(wait(kept)) for _ in range(2))
        both = [asyncio.create_task(wait(given_up)) for _ in range(2)]
        await asyncio.sleep(0)
        leaves.cancel()
        both[0].cancel()
        for task in (leaves, both[0]):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not kept.cancelled()
        assert not given_up.cancelled()
        both[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await both[1]
        assert given_up.cancelled()
        assert (await stays)[42] == 0
        await first

    with KernelPool(1, inline_below=0) as pool:
        asyncio.run(main(pool))
        stats = pool.stats()
        assert (stats["done"], stats["cancelled"]) == (2, 1)


def test_a_job_for_which_a_thread_waits_is_not_cancelled_with_a_task(slow_rows: np.ndarray) -> None:
    with KernelPool(1, inline_below=0) as pool:
        first = pool.distances(QUERY, slow_rows)
        job = pool.distances(QUERY, ROWS)
        got: list[object] = []
        thread = threading.Thread(target=lambda: got.append(job.result()))
        thread.start()
        time.sleep(0.001)

        async def main() -> None:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(wait(), 0.0001)

        async def wait() -> object:
            return await job

        if not first.done():
            asyncio.run(main())
        thread.join()
        assert got[0][42] == 0  # type: ignore[index]


class OneFails(asyncio.SelectorEventLoop):
    """A loop whose second future cannot be given its result."""

    made = 0

    def create_future(self) -> asyncio.Future[None]:
        self.made += 1
        return Stubborn(loop=self) if self.made == 2 else super().create_future()


class Stubborn(asyncio.Future):  # type: ignore[type-arg]
    def set_result(self, result: object) -> None:
        raise RuntimeError("stubborn")


def test_a_future_that_takes_no_result_does_not_keep_the_others_from_theirs(slow_rows: np.ndarray) -> None:
    loop = OneFails()
    said: list[BaseException] = []
    loop.set_exception_handler(lambda _, context: said.append(context["exception"]))
    with KernelPool(1, inline_below=0) as pool:
        jobs = [pool.distances(QUERY, slow_rows), *[pool.distances(QUERY, ROWS) for _ in range(4)]]

        async def wait(job: Job[np.ndarray]) -> int:
            return int((await job)[42])

        tasks = [loop.create_task(wait(job)) for job in jobs]
        others = [task for i, task in enumerate(tasks) if i != 1]
        done = loop.run_until_complete(asyncio.wait(others, timeout=20))[0]
        assert done == set(others)
        assert all(job.done() for job in jobs)
        del jobs
        tasks[1].cancel()
        loop.run_until_complete(asyncio.wait(tasks))
        loop.close()
    assert [str(error) for error in said] == ["stubborn"]


def test_awaiters_in_a_closed_loop_hold_nothing_back(slow_rows: np.ndarray) -> None:
    """Their loop was closed while they waited: whoever takes the finished jobs back meets their futures."""
    rows = bytearray(ROWS.tobytes())
    loop = asyncio.new_event_loop()
    with KernelPool(1, inline_below=0) as pool:

        async def leave() -> list[asyncio.Task[object]]:
            async def wait(job: Job[np.ndarray]) -> object:
                return await job

            jobs = [pool.distances(QUERY, slow_rows)]
            for _ in range(3):
                jobs.append(pool.distances(QUERY, np.frombuffer(rows, np.uint8).reshape(300, 1280)))
            tasks = [asyncio.create_task(wait(job)) for job in jobs]
            await asyncio.sleep(0)
            return tasks

        tasks = loop.run_until_complete(leave())
        loop.close()
        assert pool.distances(QUERY, ROWS).result()[42] == 0  # of one worker, so the others are done

        async def elsewhere() -> int:
            return int((await pool.distances(QUERY, ROWS))[42])

        assert asyncio.run(elsewhere()) == 0
        assert pool.stats()["waiting"] == 0
        for task in tasks:
            task.get_coro().close()  # type: ignore[union-attr]
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        del tasks, task
        gc.collect()
        rows.extend(b"x")  # BufferError where anybody still held it


def test_a_job_that_another_cancels(slow_rows: np.ndarray) -> None:
    async def main(pool: KernelPool) -> None:
        first = pool.distances(QUERY, slow_rows)
        job = pool.distances(QUERY, ROWS)
        asyncio.get_running_loop().call_soon(job.cancel)
        with pytest.raises(asyncio.CancelledError):
            await job
        await first

    with KernelPool(1, inline_below=0) as pool:
        asyncio.run(main(pool))


def test_a_job_that_runs_goes_on_without_its_task(slow_rows: np.ndarray) -> None:
    async def main(pool: KernelPool) -> Job[np.ndarray]:
        job = pool.distances(QUERY, slow_rows)

        async def wait() -> object:
            return await job

        while "running" not in repr(job):
            await asyncio.sleep(0.001)
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return job

    with KernelPool(1, inline_below=0) as pool:
        assert asyncio.run(main(pool)).result().shape == (len(slow_rows),)
        assert pool.stats()["done"] == 1


def test_a_loop_that_is_closed_first(slow_rows: np.ndarray) -> None:
    with KernelPool(1, inline_below=0) as pool:
        jobs: list[Job[np.ndarray]] = []

        async def leave() -> None:
            async def wait(job: Job[np.ndarray]) -> None:
                await job

            jobs.append(pool.distances(QUERY, slow_rows))
            while "running" not in repr(jobs[0]):
                await asyncio.sleep(0.001)
            jobs.append(pool.distances(QUERY, ROWS))
            loop.tasks = [loop.create_task(wait(job)) for job in jobs]  # type: ignore[attr-defined]
            await asyncio.sleep(0)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        for task in loop.tasks:  # type: ignore[attr-defined]
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

        async def again() -> object:
            return await jobs[0]

        assert asyncio.run(again()).shape == (len(slow_rows),)  # type: ignore[attr-defined]
        assert jobs[1].cancelled()
        assert pool.distances(QUERY, ROWS).result()[42] == 0


def test_one_job_is_not_awaited_in_two_loops(slow_rows: np.ndarray) -> None:
    with KernelPool(1, inline_below=0) as pool:
        job = pool.distances(QUERY, slow_rows)
        started, ended = threading.Event(), threading.Event()

        async def wait() -> object:
            asyncio.get_running_loop().call_soon(started.set)
            try:
                return await job
            finally:
                ended.set()

        thread = threading.Thread(target=lambda: asyncio.run(wait()))
        thread.start()
        started.wait()

        async def other() -> object:
            return await job

        if not ended.is_set():
            with pytest.raises(RuntimeError, match="another event loop"):
                asyncio.run(other())
        assert job.result().shape == (len(slow_rows),)
        thread.join()


# ---- threads that come in between ----


def test_a_job_that_is_finished_and_taken_while_its_waiter_makes_a_future(
    pool: KernelPool, slow_rows: np.ndarray
) -> None:
    """Each submission takes what is finished, as another thread's may at any step of Python's."""
    jobs: list[Job[np.ndarray]] = []

    class Loop(asyncio.SelectorEventLoop):
        def create_future(self) -> asyncio.Future[object]:
            future = super().create_future()
            if jobs:
                while not jobs[0].done():
                    time.sleep(1e-4)
                for _ in range(2):  # with one worker it is on the list of those finished before the second is begun
                    pool.bind(QUERY, QUERY).result()
            return future

    async def main() -> None:
        for _ in range(3):
            job = pool.distances(QUERY, slow_rows)
            jobs.append(job)
            async with asyncio.timeout(30):
                assert len(await job) == len(slow_rows)
            jobs.clear()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())


def test_loops_that_come_to_the_same_job_at_once(pool: KernelPool, slow_rows: np.ndarray) -> None:
    """One of them has it, the others are told so; none waits for ever."""
    for _ in range(3):
        job = pool.distances(QUERY, slow_rows)
        begin = threading.Barrier(3)
        outcomes: list[str] = []

        async def take(
            job: Job[np.ndarray] = job, begin: threading.Barrier = begin, outcomes: list[str] = outcomes
        ) -> None:
            begin.wait()
            try:
                assert len(await asyncio.wait_for(job, 30)) == len(slow_rows)
                outcomes.append("done")
            except RuntimeError as error:
                outcomes.append("told" if "another event loop" in str(error) else repr(error))

        threads = [threading.Thread(target=run_hesitantly, args=(take(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 3
        assert {"done"} <= set(outcomes) <= {"done", "told"}

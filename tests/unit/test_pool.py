"""The native pool: its results, its errors, who waits and who cancels, fork, exit, and what is left afterwards."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sophia._core import hdc, kindex
from sophia._core.job import Completions, Ear, Job
from sophia._core.kernel_actor import Searcher
from sophia._core.pool import KernelPool
from sophia._core.vector import Hypervector, SharedVector
from sophia.errors import ActorStopped, AskTimeout, MailboxFull, PoolForked, ShapeError

ROWS = hdc.random_rows(300, "items")
QUERY = hdc.random("items", 42)
SHARED = [hdc.random("items", i).freeze() for i in range(60)]


def tasks() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def settled(holds: Callable[[], bool]) -> bool:
    """Whether it holds, now or within seconds: a thread of the pool may be about to."""
    deadline = time.monotonic() + 30.0
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.001)
    return holds()


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


# ---- results ----


def test_distances_are_those_of_the_core(pool: KernelPool, simd: str) -> None:
    wanted = hdc.hamming(QUERY, ROWS).tolist()
    assert pool.distances(QUERY, ROWS).result().tolist() == wanted
    assert pool.distances(QUERY, ROWS.view("uint64")).result().tolist() == wanted
    assert pool.distances(np.asarray(QUERY), ROWS).result().tolist() == wanted
    assert pool.distances(QUERY, SHARED).result().tolist() == wanted[:60]
    assert pool.distances(SHARED[42], tuple(SHARED)).result().tolist() == wanted[:60]
    assert pool.distances(QUERY, ROWS[:0]).result().shape == (0,)


def test_nearest_is_topk(pool: KernelPool, simd: str) -> None:
    for rows in (ROWS, SHARED):
        for k in (1, 7, 1000):
            scores, numbers = pool.nearest(QUERY, rows, k).result()
            wanted = hdc.topk(QUERY, rows, k)
            assert scores.tolist() == wanted[0].tolist()
            assert numbers.tolist() == wanted[1].tolist()
            assert scores.dtype == np.uint32
            assert numbers.dtype == np.int64


def test_nearest_over_several_spans(pool: KernelPool) -> None:
    rows = np.zeros((40_000, 64), np.uint8)
    rows[::7, 0] = 1
    rows[39_999] = 255
    query = np.full(64, 255, np.uint8)
    for k in (1, 3, 6000):
        got = pool.nearest(query, rows, k, dim=512).result()
        wanted = hdc.topk(query, rows, k, dim=512)
        assert [part.tolist() for part in got] == [part.tolist() for part in wanted]
    wanted = hdc.hamming(query, rows, dim=512).tolist()
    assert pool.distances(query, rows, dim=512).result().tolist() == wanted


@pytest.mark.parametrize("model", ["BSC", "MAP"])
def test_bind_is_bind(pool: KernelPool, simd: str, model: str) -> None:
    a, b = (hdc.random(name, model=model, dim=1000) for name in "ab")
    rows = hdc.random_rows(20, "rows", model=model, dim=1000)
    vectors = [hdc.random("rows", i, model=model, dim=1000).freeze() for i in range(20)]
    assert pool.bind(a, b).result() == hdc.bind(a, b)
    assert isinstance(pool.bind(a, b.freeze()).result(), Hypervector)
    wanted = hdc.bind(a, rows, dim=1000)
    assert (pool.bind(a, rows, dim=1000).result() == wanted).all()
    assert (pool.bind(rows, a, dim=1000).result() == wanted).all()
    assert (pool.bind(a, vectors).result() == wanted).all()
    assert not pool.bind(vectors, rows).result().any() or model == "MAP"


@pytest.mark.parametrize("model", ["BSC", "MAP"])
@pytest.mark.parametrize("n", [1, 2, 5, 200, 300])
def test_bundle_is_bundle(pool: KernelPool, simd: str, model: str, n: int) -> None:
    rows = hdc.random_rows(n, "rows", model=model)
    assert pool.bundle(rows).result() == hdc.bundle(rows)
    vectors = [hdc.random("rows", i, model=model).freeze() for i in range(n)]
    assert pool.bundle(vectors).result() == hdc.bundle(vectors)


def test_similarities_are_those_of_the_kindex(pool: KernelPool, simd: str) -> None:
    values = np.random.default_rng(1).random((300, 8))
    values[5, 3] = np.nan
    for m in (1, 7, 300):
        assert (pool.similarities(values[:m], values).result() == kindex.similarities(values[:m], values)).all()


def test_out_takes_the_distances(pool: KernelPool) -> None:
    out = np.zeros(300, np.uint32)
    assert pool.distances(QUERY, ROWS, out).result() is out
    assert out[42] == 0
    assert out[41]


def test_a_result_is_made_once(pool: KernelPool) -> None:
    job = pool.nearest(QUERY, ROWS, 2)
    assert job.result() is job.result()


# ---- errors ----


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda pool: pool.distances(QUERY, hdc.random_rows(3, 1, dim=640), dim=640), ShapeError, "query"),
        (lambda pool: pool.distances(QUERY, ROWS, np.zeros(299, np.uint32)), ShapeError, "299"),
        (lambda pool: pool.distances(QUERY, ROWS, np.zeros(300, np.int32)), ShapeError, "uint32"),
        (lambda pool: pool.distances(QUERY, []), ValueError, "empty"),
        (lambda pool: pool.distances(QUERY, [QUERY]), TypeError, "freeze"),
        (lambda pool: pool.distances(QUERY, [SHARED[0], hdc.random(1, dim=99).freeze()]), ShapeError, "element 1"),
        (lambda pool: pool.distances(ROWS, ROWS), ShapeError, "one vector"),
        (
            lambda pool: pool.distances(hdc.random(1, model="MAP"), hdc.random_rows(2, 1, model="MAP")),
            ShapeError,
            "MAP",
        ),
        (lambda pool: pool.distances(QUERY, 7), TypeError, "buffer"),
        (lambda pool: pool.distances(np.full(1280, 255, np.uint8), ROWS), ShapeError, "bit set"),
        (lambda pool: pool.nearest(QUERY, ROWS, 0), ValueError, "k:"),
        (lambda pool: pool.nearest(QUERY, ROWS[:0]), ValueError, "rows"),
        (lambda pool: pool.bind(QUERY, hdc.random(1, model="MAP")), ShapeError, "MAP"),
        (lambda pool: pool.bind(ROWS, SHARED), ShapeError, "300 rows"),
        (lambda pool: pool.bundle(ROWS[:0]), ValueError, "votes"),
        (lambda pool: pool.similarities(np.zeros((2, 7)), np.zeros((2, 8))), ShapeError, "8 values"),
    ],
)
def test_wrong_operands_are_refused_at_once(pool: KernelPool, call, error, words) -> None:
    with pytest.raises(error, match=words):
        call(pool)
    assert pool.stats()["asked"] == 0


def test_padding_that_only_the_scan_sees_is_the_results_error(pool: KernelPool) -> None:
    rows = ROWS.copy()
    rows[7, 1279] = 1
    for job in (pool.distances(QUERY, rows), pool.nearest(QUERY, rows, 1)):
        for _ in range(2):
            with pytest.raises(ShapeError, match="row 7"):
                job.result()


def test_out_that_lies_in_the_rows_is_refused(pool: KernelPool) -> None:
    rows = ROWS.copy()
    with pytest.raises(ValueError, match="overlaps"):
        pool.distances(QUERY, rows, rows.reshape(-1).view(np.uint32)[:300])


@pytest.mark.parametrize(
    "settings",
    [{"workers": 0}, {"workers": 2000}, {"capacity": 1}, {"inline_below": -1.0}, {"inline_below": float("nan")}],
)
def test_impossible_settings(settings) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        KernelPool(**settings)


def test_what_is_not_made_by_hand() -> None:
    for kind in (Job, Ear, Completions):
        with pytest.raises(TypeError):
            kind()
    with pytest.raises(TypeError):
        Job.__new__(Job).result()
    with pytest.raises(TypeError):
        KernelPool.__new__(KernelPool).distances(QUERY, ROWS)
    KernelPool.__new__(KernelPool).close()


# ---- room, cancelling, time ----


def test_beyond_its_room_a_pool_refuses(slow_rows: np.ndarray) -> None:
    with KernelPool(1, inline_below=0, capacity=4) as pool:
        first = pool.distances(QUERY, slow_rows)
        taken = []
        full = None
        while full is None:
            try:
                taken.append(pool.distances(QUERY, ROWS))
            except MailboxFull as error:
                full = error
        assert len(taken) >= 3  # more where the first ones are done meanwhile
        assert first.result().shape == (len(slow_rows),)
        for job in taken:
            assert job.result()[42] == 0
        stats = pool.stats()
        assert stats["full"] == stats["refused"] == 1
        assert stats["asked"] == stats["done"] + 1 == len(taken) + 2


def test_what_has_not_begun_can_be_cancelled(slow_rows: np.ndarray) -> None:
    with KernelPool(1, inline_below=0) as pool:
        first = pool.distances(QUERY, slow_rows)
        out = np.full(300, 7, np.uint32)
        waiting = pool.distances(QUERY, ROWS, out)
        while "running" not in repr(first):
            time.sleep(0.001)
        assert not first.cancel()
        assert not first.cancelled()
        assert waiting.cancel()
        assert waiting.cancel()
        assert waiting.cancelled()
        assert waiting.done()
        with pytest.raises(concurrent.futures.CancelledError):
            waiting.result()
        assert pool.stats()["cancelled"] == 1
        first.result()
        assert not first.cancel()
    assert (out == 7).all()
    assert pool.stats()["asked"] == 2


def test_a_result_that_does_not_come_in_time(slow_rows: np.ndarray) -> None:
    with KernelPool(1, inline_below=0) as pool:
        job = pool.distances(QUERY, slow_rows)
        with pytest.raises(AskTimeout):
            job.result(timeout=0.001)
        with pytest.raises(AskTimeout):
            job.result(0)
        assert job.result(60).shape == (len(slow_rows),)


# ---- the inline rule ----


def test_short_work_is_done_here() -> None:
    with KernelPool(1) as pool:
        assert pool.distances(QUERY, ROWS[:10]).done()
        assert pool.bind(QUERY, QUERY).done()
        stats = pool.stats()
        assert stats["inline"] == stats["done"] == stats["asked"] == 2
        assert stats["workers"][0]["runs"] == 0
        pool.distances(QUERY, ROWS[:1].repeat(4000, axis=0)).result()
        assert pool.stats()["workers"][0]["runs"] == 1


# ---- zero copy ----


def test_the_workers_read_where_the_bytes_are(pool: KernelPool) -> None:
    """A worker that is held up sees what is written meanwhile: nothing was copied."""
    rows = np.zeros((4, 1280), np.uint8)
    gate = [pool.distances(QUERY, np.zeros((200_000, 1280), np.uint8)) for _ in range(3)]
    query = np.zeros(1280, np.uint8)
    job = pool.distances(query, rows)
    if not job.done():
        rows[2, 0] = 7
    late = job.done()
    assert job.result().tolist() == [0, 0, 3, 0] or late
    for one in gate:
        one.result()


def test_vectors_are_lent_and_not_copied(pool: KernelPool) -> None:
    vectors = [hdc.random("items", i).freeze() for i in range(200)]
    pool.distances(QUERY, vectors).result()
    tracemalloc.start()
    try:
        jobs = [pool.nearest(QUERY, vectors, 1) for _ in range(50)]
        taken = tracemalloc.get_traced_memory()[1]
        for job in jobs:
            job.result()
    finally:
        tracemalloc.stop()
    assert taken < 50 * (2000 + 8 * 200)  # a job and its tuple; the vectors alone would be 12.8 MB
    assert all(vector.references == 1 for vector in vectors)


def test_operands_are_let_go_with_the_result(pool: KernelPool) -> None:
    rows = bytearray(ROWS.tobytes())
    job = pool.distances(QUERY, np.frombuffer(rows, np.uint8).reshape(300, 1280))
    job.result()
    gc.collect()
    rows.extend(b"x")  # BufferError where anybody still held it


# ---- the end ----


@linux
def test_nothing_is_left_of_a_closed_pool() -> None:
    threads, files = tasks(), descriptors()
    for _ in range(5):
        with KernelPool(2, inline_below=0) as pool:

            async def main(pool: KernelPool) -> None:
                await pool.distances(QUERY, ROWS)

            for _ in range(4):
                asyncio.run(main(pool))
            assert tasks() == threads + 2
            assert settled(lambda: descriptors() <= files + 1)  # of the last loop; a worker closes it when it has rung
        assert (tasks(), descriptors()) == (threads, files)
        pool.close()
    pool = KernelPool(2, inline_below=0)
    job = pool.distances(QUERY, ROWS)
    del pool
    gc.collect()
    assert tasks() == threads
    assert job.result()[42] == 0


@linux
def test_closed_inside_a_loop() -> None:
    files = descriptors()

    async def main() -> None:
        inner = descriptors()
        pool = KernelPool(1, inline_below=0)
        job = pool.distances(QUERY, np.zeros((100_000, 1280), np.uint8))

        async def wait() -> object:
            return await job

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        pool.close()
        assert (await task).shape == (100_000,)  # type: ignore[attr-defined]
        assert descriptors() == inner

    asyncio.run(main())
    assert descriptors() == files


def test_a_closed_pool_refuses() -> None:
    pool = KernelPool(1)
    pool.close()
    pool.close()
    assert pool.closed
    with pytest.raises(ActorStopped):
        pool.distances(QUERY, ROWS)
    stats = pool.stats()
    assert stats["asked"] == stats["refused"] == 1


def test_close_drains(slow_rows: np.ndarray) -> None:
    pool = KernelPool(2, inline_below=0)
    jobs = [pool.distances(QUERY, ROWS) for _ in range(200)]
    pool.close(timeout=60)
    assert all(job.result()[42] == 0 for job in jobs)
    assert pool.stats()["done"] == 200


def test_close_at_the_deadline_drops_the_rest(slow_rows: np.ndarray) -> None:
    pool = KernelPool(1, inline_below=0)
    jobs = [pool.distances(QUERY, slow_rows) for _ in range(50)]
    pool.close(timeout=0.02)
    kept = [job.done() for job in jobs]
    assert all(kept)
    with pytest.raises(ActorStopped, match="closed before"):
        jobs[-1].result()
    stats = pool.stats()
    assert stats["waiting"] == 0
    assert stats["asked"] == 50 == stats["done"] + stats["cancelled"]
    with pytest.raises(ValueError, match="timeout"):
        KernelPool(1).close(float("nan"))


@pytest.mark.parametrize("kind", ["bundle", "bundle of MAP", "similarities"])
def test_what_runs_at_the_deadline_is_cut_short(kind: str) -> None:
    """A job of 30 ms and more. On a busy machine it may be done before the close; not ten times."""
    for _ in range(10):
        pool = KernelPool(1, inline_below=0)
        job: Job[object]
        if kind == "similarities":
            job = pool.similarities(np.zeros((1, 8)), np.zeros((8_000_000, 8)))  # type: ignore[assignment]
        elif kind == "bundle":
            job = pool.bundle([SHARED[0]] * 3_000_000)  # type: ignore[assignment]
        else:
            job = pool.bundle([hdc.random(1, model="MAP").freeze()] * 300_000)  # type: ignore[assignment]
        while "waiting" in repr(job):
            time.sleep(0)
        pool.close(timeout=0)
        if "dropped" in repr(job):
            break
    with pytest.raises(ActorStopped, match="closed before"):
        job.result()


def test_a_bundle_over_several_spans(pool: KernelPool) -> None:
    for model in ("BSC", "MAP"):
        rows = hdc.random_rows(40_001, "rows", model=model, dim=100)
        assert pool.bundle(rows, dim=100).result() == hdc.bundle(rows, dim=100)
        wide = hdc.random_rows(300, "rows", model=model, dim=2_000_000)
        assert pool.bundle(wide, dim=2_000_000).result() == hdc.bundle(wide, dim=2_000_000)
        del wide


def test_similarities_over_several_spans(pool: KernelPool) -> None:
    rows = np.random.default_rng(2).random((1_100_000, 8))
    got = pool.similarities(rows[:2], rows).result()
    assert (got == kindex.similarities(rows[:2], rows)).all()


def test_exit_with_queued_work_ends() -> None:
    """All pools have 2 s together; the time that one has by itself would be 150 s for all of these."""
    code = """
        import numpy as np
        from sophia._core import hdc
        from sophia._core.pool import KernelPool
        pools = [KernelPool(1, inline_below=0) for _ in range(30)]
        query, rows = hdc.random(1), np.zeros((320_000, 1280), np.uint8)
        jobs = [pool.distances(query, rows) for pool in pools for _ in range(100)]
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=100, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@linux
def test_no_worker_is_left_when_the_interpreter_ends() -> None:
    """What was registered before the pool's module was there is called after its own end."""
    code = """
        import atexit, os
        import numpy as np
        before = []
        atexit.register(lambda: print(len(os.listdir("/proc/self/task")) - before[0]))
        from sophia._core import hdc
        from sophia._core.pool import KernelPool
        before.append(len(os.listdir("/proc/self/task")))
        pool = KernelPool(3, inline_below=0)
        jobs = [pool.distances(hdc.random(1), np.zeros((320_000, 1280), np.uint8)) for _ in range(100)]
        print(len(os.listdir("/proc/self/task")) - before[0])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=100, check=False, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"3\n0\n", b"")


def test_workers_need_no_gil() -> None:
    """The thread that waits for them keeps it: whoever asked for it would get it after an hour."""
    before = sys.getswitchinterval()
    with KernelPool(2, inline_below=0) as pool:
        searcher = pool.actor(Searcher, ROWS, 1)
        sys.setswitchinterval(3600)
        try:
            jobs: list[Job[object]] = [
                pool.distances(QUERY, ROWS),
                pool.nearest(QUERY, SHARED, 1),
                pool.bind(QUERY, SHARED),
                pool.bundle(SHARED),
                pool.similarities(np.zeros((2, 8)), np.zeros((9, 8))),
                searcher.nearest(QUERY),
            ]
            while not all(job.done() for job in jobs):
                pass
        finally:
            sys.setswitchinterval(before)
        assert [job.result() is not None for job in jobs] == [True] * 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told_so(slow_rows: np.ndarray) -> None:
    pool = KernelPool(2, inline_below=0)
    finished = pool.distances(QUERY, ROWS)
    finished.result()
    job = pool.distances(QUERY, slow_rows)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            refused = 0
            for call in (lambda: pool.distances(QUERY, ROWS), job.result, job.done, job.cancel, pool.stats):
                try:
                    call()
                except PoolForked:
                    refused += 1
            good = finished.result()[42] == 0
            pool.close()
            del pool, job, finished, call
            gc.collect()
            with KernelPool(1, inline_below=0) as fresh:
                good = good and fresh.distances(QUERY, ROWS).result()[42] == 0
            status = 0 if refused == 5 and good else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert job.result().shape == (len(slow_rows),)
    pool.close()


def test_pinned_workers_say_where_they_are() -> None:
    with KernelPool(2, pin=True, inline_below=0) as pool:
        for _ in range(100):
            pool.distances(QUERY, ROWS).result()
        places = [worker["pinned"] for worker in pool.stats()["workers"]]
    if sys.platform.startswith("linux"):
        usable = os.sched_getaffinity(0)
        assert all(place is None or place in usable for place in places)
    with KernelPool(1) as pool:
        assert pool.stats()["workers"][0]["pinned"] is None


def test_a_shared_vector_outlives_the_callers_reference(pool: KernelPool) -> None:
    def start() -> Job[np.ndarray]:
        vectors: list[SharedVector] = [hdc.random("items", i).freeze() for i in range(10)]
        return pool.distances(vectors[3], vectors)

    jobs = [start() for _ in range(50)]
    gc.collect()
    assert all(job.result()[3] == 0 for job in jobs)

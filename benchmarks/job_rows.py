"""Kernel jobs on native workers beside ThreadPoolExecutor, and what a second worker costs and brings.

Two workers can only be quicker where the machine gives two cores: a calibration stands beside, two native threads that
spin at the same time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.harness import Bar, Contender, Row, Suite, Timing, ratio, spread
from sophia._core import hdc
from sophia._core.pool import KernelPool
from sophia._core.vector import SharedVector, churn_references

JOBS = 500


def jobs(suite: Suite) -> None:
    query = hdc.random("items", 42)
    _beside_executor(suite, query)
    _workers(suite, query)


def _beside_executor(suite: Suite, query: object) -> None:
    def ours(pool: KernelPool, rows: np.ndarray) -> list[np.ndarray]:
        asked = [pool.distances(query, rows) for _ in range(JOBS)]
        return [job.result() for job in asked]

    def theirs(executor: ThreadPoolExecutor, rows: np.ndarray) -> list[np.ndarray]:
        asked = [executor.submit(hdc.hamming, query, rows) for _ in range(JOBS)]
        return [future.result() for future in asked]

    def bars(timings: dict[str, Timing]) -> list[Bar]:
        executor, here = timings["ThreadPoolExecutor(1)"], timings["sophia, done where it is asked"]
        return [
            Bar("times ThreadPoolExecutor, CPU a job on a worker", ratio(executor, timings["sophia"]), ">=", 5.0),
            Bar("times ThreadPoolExecutor, CPU a job as pools do it by default", ratio(executor, here), ">=", 5.0),
        ]

    with (
        KernelPool(1, inline_below=0) as one,
        KernelPool(2, inline_below=0) as two,
        KernelPool(2) as inline,
        ThreadPoolExecutor(1) as executor,
        ThreadPoolExecutor(2) as executors,
    ):
        for kernels in (1, 16):
            rows = hdc.random_rows(kernels, "items")
            expected = np.atleast_1d(hdc.hamming(query, rows))
            for result in (*ours(one, rows), *ours(two, rows), *ours(inline, rows), *theirs(executor, rows)):
                if not np.array_equal(np.atleast_1d(result), expected):
                    raise AssertionError("a job and the kernel called directly differ")
            names = {"ours": ours, "theirs": theirs, "one": one, "two": two, "inline": inline, "rows": rows}
            names |= {"executor": executor, "executors": executors, "hamming": hdc.hamming, "query": query}
            timings = suite.compare(
                f"jobs of {kernels} kernel{'s' * (kernels > 1)}, 1 worker",
                {
                    "sophia": Contender("ours(one, rows)", names, JOBS),
                    "ThreadPoolExecutor(1)": Contender("theirs(executor, rows)", names, JOBS),
                    "sophia, 2 workers": Contender("ours(two, rows)", names, JOBS),
                    "ThreadPoolExecutor(2)": Contender("theirs(executors, rows)", names, JOBS),
                    "sophia, done where it is asked": Contender("ours(inline, rows)", names, JOBS),
                    "the kernel, called": Contender("hamming(query, rows)", names),
                },
                unit="us",
                bars=bars if kernels == 1 else lambda _timings: [],
                note=f"{JOBS} asked, then each waited for; by default so short a job is done where it is asked",
            )
            walls = ", ".join(f"{name} {timing.wall_median / 1e3:.3g}" for name, timing in timings.items())
            print(f"    wall, us: {walls}", flush=True)


def _workers(suite: Suite, query: object, rounds: int = 11) -> None:
    first, second = (SharedVector.from_bytes(b"\x01" * 10_000, 10_000, "MAP") for _ in range(2))
    for us in (10, 100, 1000):
        rows = _rows_of(query, us)
        many = min(1000, 40_000 // us)  # a pool has room for 1,024
        # results have their places before: fresh memory would be what is measured
        places = [np.empty(len(rows), np.uint32) for _ in range(many)]
        with KernelPool(1, inline_below=0) as one, KernelPool(2, inline_below=0) as two, ThreadPoolExecutor(2) as pair:

            def run(pool: KernelPool, places=places, rows=rows) -> None:  # type: ignore[no-untyped-def]
                asked = [pool.distances(query, rows, place) for place in places]
                for job in asked:
                    job.result()

            def spin(threads: int, pair: ThreadPoolExecutor = pair) -> None:
                futures = [pair.submit(churn_references, each, 1_000_000) for each in (first, second)[:threads]]
                for future in futures:
                    future.result()

            ones, twos, gains, shares, calibrations = [], [], [], [], []
            for pool in (one, two):
                run(pool)
            for _ in range(rounds):
                before = [worker["runs"] for worker in two.stats()["workers"]]
                cpu, wall = _timed(lambda: run(one))
                cpu2, wall2 = _timed(lambda: run(two))
                ran = [w["runs"] - b for w, b in zip(two.stats()["workers"], before, strict=True)]
                ones.append(cpu / many)
                twos.append(cpu2 / many)
                gains.append(wall / wall2)
                shares.append(max(ran) / sum(ran))
                _, alone = _timed(lambda: spin(1))
                _, both = _timed(lambda: spin(2))
                calibrations.append(2 * alone / both)
        a, b = Timing(tuple(ones), tuple(ones)), Timing(tuple(twos), tuple(twos))
        low, high = spread(b, a)
        bars = []
        if us == 100:
            bars = [
                Bar("CPU a job with 2 workers, times 1", ratio(b, a), "<=", 1.10),
                Bar("share of the jobs that the busier worker does", statistics.median(shares), "<=", 0.60),
            ]
        note = f"CPU with 2 workers is {ratio(b, a):.3g} [{low:.3g}..{high:.3g}] times that with 1; the busier does "
        note += f"{statistics.median(shares):.0%} [{min(shares):.0%}..{max(shares):.0%}]; wall: 2 workers are "
        note += f"{statistics.median(gains):.3g} [{min(gains):.3g}..{max(gains):.3g}] times as quick, two threads that "
        note += f"only spin {statistics.median(calibrations):.3g} [{min(calibrations):.3g}..{max(calibrations):.3g}]"
        row = Row(f"jobs of {us:,} us, CPU", "us", a.median / 1e3, {"2 workers": b.median / 1e3}, bars, note)
        suite.add(row)


def _rows_of(query: object, us: int) -> np.ndarray:
    """As many rows as the distances of one job take so many microseconds for."""
    count = 256
    for _ in range(4):
        rows = hdc.random_rows(count, "items")
        begin = time.thread_time_ns()
        for _ in range(20):
            hdc.hamming(query, rows)
        count = max(1, round(count * us * 1e3 * 20 / (time.thread_time_ns() - begin)))
    return hdc.random_rows(count, "items")


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Nanoseconds of the process's CPU time, and of wall time."""
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    work()
    return time.process_time_ns() - cpu, time.perf_counter_ns() - wall

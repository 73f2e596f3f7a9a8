"""What a result's memory costs: from the pool, from an arena, from the system allocator."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from benchmarks.harness import Bar, Contender, Row, Suite, Timing, ratio

CYCLES = 1_000_000


def resident() -> int:
    """Resident bytes of this process; 0 where /proc is not."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def results(suite: Suite) -> None:
    from sophia._core import hdc, vector
    from sophia._core.arena import HDCArena

    a, b = hdc.random("a"), hdc.random("b")
    arena = HDCArena()
    names = {
        "bind": hdc.bind,
        "a": a,
        "b": b,
        "arena": arena,
        "reset": arena.reset,
        "keep": vector.set_pool_blocks,
    }
    # two calls for each contender, so that what differs is where the result's memory comes from
    contenders = {
        "sophia": Contender("bind(a, b, None, arena); reset()", names),
        "pool": Contender("bind(a, b); noop()", names | {"noop": HDCArena().reset}),
        "memalign": Contender("bind(a, b); noop()", names | {"noop": HDCArena().reset}),
    }

    def bars(t: dict[str, Timing]) -> list[Bar]:
        return [
            Bar(
                "bind into an arena + reset against a fresh memalign'd result",
                ratio(t["sophia"], t["memalign"]),
                "<=",
                1,
            )
        ]

    timings = _interleaved(contenders, vector.set_pool_blocks)
    row = Row(
        "bind, 10,000 bits, and where its result lives",
        "ns",
        timings["sophia"].median,
        {name: timing.median for name, timing in timings.items() if name != "sophia"},
        bars(timings),
    )
    suite.add(row)


def _interleaved(contenders: dict[str, Contender], keep: object) -> dict[str, Timing]:
    """The harness's rounds, with the pool turned off around the contender that must not have it."""
    from benchmarks.harness import _once

    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(15):
        for name, contender in contenders.items():
            before = keep(0) if name == "memalign" else None  # type: ignore[operator]
            used, passed = _once(contender, 100_000)
            if before is not None:
                keep(before)  # type: ignore[operator]
            cpu[name].append(used)
            wall[name].append(passed)
    return {name: Timing(tuple(cpu[name]), tuple(wall[name])) for name in contenders}


def million(suite: Suite) -> None:
    from sophia._core import hdc, vector
    from sophia._core.arena import HDCArena

    a, b = hdc.random("a"), hdc.random("b")
    arena = HDCArena()
    bind, reset = hdc.bind, arena.reset
    bind(a, b, None, arena)
    reset()
    gc.collect()
    chunks, misses, memory = arena.chunk_allocations, vector.pool_counters()["misses"], resident()
    for _ in range(CYCLES):
        bind(a, b, None, arena)
        reset()
    asked = arena.chunk_allocations - chunks + vector.pool_counters()["misses"] - misses
    growth = (resident() - memory) / 1024
    suite.add(
        Row(
            "a million bind + reset: blocks asked of the system",
            "blocks",
            asked,
            bars=[Bar("system allocations in a million bind + reset", asked, "<=", 0)],
            note="no peer: numpy and torch have no arena",
        )
    )
    suite.add(
        Row(
            "a million bind + reset: growth of the process",
            "KiB",
            growth,
            bars=[Bar("RSS growth over a million bind + reset, KiB", growth, "<=", 256)],
            note="no peer: numpy and torch have no arena",
        )
    )


def messages(suite: Suite) -> None:
    """A SharedVector is made once and then sent for nothing."""
    from sophia._core import hdc

    a = hdc.random("a")
    import numpy as np

    x = np.asarray(a).copy()
    names = {"a": a, "x": x}
    suite.compare(
        "freeze (one copy into a counted block) against bytes(array)",
        {"sophia": Contender("a.freeze()", names), "numpy tobytes": Contender("x.tobytes()", names)},
    )


def run() -> Suite:
    suite = Suite("arena", ("numpy",))
    results(suite)
    million(suite)
    messages(suite)
    return suite

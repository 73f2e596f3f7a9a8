"""Interleaved timing, bars, and the report of a suite.

A contender is a statement and its names, timed by :mod:`timeit`'s loop, so that no lambda stands between the
clock and the call. Contenders of one row run in turn (A B C, C A B, ...), so a drift of the machine meets all.
"""

from __future__ import annotations

import gc
import json
import operator
import os
import platform
import random
import statistics
import sys
import time
import timeit
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

OPERATORS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Contender:
    """One side of a comparison: `statement` runs with `names` in scope; `per_call` units of work a run."""

    statement: str
    names: Mapping[str, object]
    per_call: float = 1.0


@dataclass(frozen=True)
class Timing:
    """Nanoseconds of CPU and wall time for each unit of work, over the interleaved repeats."""

    cpu: tuple[float, ...]
    wall: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.cpu)

    @property
    def best(self) -> float:
        return min(self.cpu)

    @property
    def wall_median(self) -> float:
        return statistics.median(self.wall)


@dataclass(frozen=True)
class Bar:
    """A limit that a row must keep: `value` `op` `limit`."""

    text: str
    value: float
    op: str
    limit: float
    held: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "held", OPERATORS[self.op](self.value, self.limit))


@dataclass
class Row:
    """One measured thing: our median, the peers' medians, the bars, and why a row has no peer."""

    id: str
    unit: str
    ours: float
    peers: dict[str, float] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)
    note: str = ""


def _once(contender: Contender, loops: int) -> tuple[float, float]:
    timer = timeit.Timer(contender.statement, globals=dict(contender.names), timer=time.process_time_ns)
    wall = time.perf_counter_ns()
    cpu = timer.timeit(loops)
    wall = time.perf_counter_ns() - wall
    scale = loops * contender.per_call
    return cpu / scale, wall / scale


def _loops(contender: Contender, target_ns: float) -> int:
    loops = 1
    while True:
        cpu, _ = _once(contender, loops)
        total = cpu * loops * contender.per_call
        if total >= target_ns / 4:
            return max(1, int(loops * target_ns / total))
        loops *= 4


def interleave(contenders: Mapping[str, Contender], *, repeats: int = 11, target_ms: float = 20.0) -> dict[str, Timing]:
    """Times all contenders in turn, `repeats` rounds of about `target_ms` CPU each.

    Each round has an order of its own, drawn with a fixed seed: a contender finds in the caches what the one before
    it left there, and a fixed order would give that to the same one every time. A turn begins with a run that is not
    counted: ordinary pages that nobody touched for a second were seen to cost 10 us each on a virtual machine, which
    is the hypervisor's time, and falls on whoever is quick.
    """
    loops = {name: _loops(contender, target_ms * 1e6) for name, contender in contenders.items()}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    try:
        turns, draw = list(contenders), random.Random(repeats)
        for _ in range(repeats):
            draw.shuffle(turns)
            for name in turns:
                _once(contenders[name], 1)
                used, passed = _once(contenders[name], loops[name])
                cpu[name].append(used)
                wall[name].append(passed)
    finally:
        gc.enable()
    return {name: Timing(tuple(cpu[name]), tuple(wall[name])) for name in contenders}


def ratio(slow: Timing, fast: Timing) -> float:
    """The median over the rounds of slow / fast, paired round by round."""
    return statistics.median(s / f for s, f in zip(slow.cpu, fast.cpu, strict=True))


def spread(slow: Timing, fast: Timing) -> tuple[float, float]:
    """Lowest and highest of the paired ratios."""
    pairs = [s / f for s, f in zip(slow.cpu, fast.cpu, strict=True)]
    return min(pairs), max(pairs)


def version(distribution: str) -> str:
    """Installed version of a distribution, or the word that it is absent."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


class Suite:
    """Collects the rows of one suite and prints them as they come."""

    def __init__(self, name: str, distributions: tuple[str, ...] = ()) -> None:
        from sophia._core import cpu

        self.name = name
        self.rows: list[Row] = []
        self.versions = {"sophia-hlb": version("sophia-hlb"), "python": platform.python_version()}
        self.versions |= {name: version(name) for name in distributions}
        self.machine = {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "simd": cpu.simd_level(),
        }
        print(f"# {name}: {self.machine['processor']}, {self.machine['simd']}", flush=True)
        print("# " + ", ".join(f"{key} {value}" for key, value in self.versions.items()), flush=True)

    def compare(
        self,
        row_id: str,
        contenders: Mapping[str, Contender],
        *,
        unit: str = "ns",
        bars: Callable[[dict[str, Timing]], list[Bar]] = lambda _timings: [],
        repeats: int = 11,
        target_ms: float = 20.0,
        note: str = "",
    ) -> dict[str, Timing]:
        """Times the contenders (the first is ours, named "sophia") and adds the row."""
        scale = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]
        timings = interleave(contenders, repeats=repeats, target_ms=target_ms)
        ours = timings["sophia"]
        peers = {name: timing.median / scale for name, timing in timings.items() if name != "sophia"}
        row = Row(row_id, unit, ours.median / scale, peers, bars(timings), note)
        parts = [f"{row_id}: sophia {ours.median / scale:.4g} {unit} (best {ours.best / scale:.4g}, "]
        parts.append(f"wall {ours.wall_median / scale:.4g})")
        for name, timing in timings.items():
            if name != "sophia":
                low, high = spread(timing, ours)
                parts.append(
                    f"; {name} {timing.median / scale:.4g} = {ratio(timing, ours):.3g}x [{low:.3g}..{high:.3g}]"
                )
        print("".join(parts), flush=True)
        self.add(row, quiet=True)
        return timings

    def add(self, row: Row, *, quiet: bool = False) -> None:
        """Adds a row that was measured elsewhere."""
        if not quiet:
            peers = "".join(f"; {name} {value:.4g}" for name, value in row.peers.items())
            print(f"{row.id}: {row.ours:.4g} {row.unit}{peers}", flush=True)
        if row.note:
            print(f"    {row.note}", flush=True)
        for bar in row.bars:
            mark = "held" if bar.held else "MISSED"
            print(f"    {mark}: {bar.text}: {bar.value:.4g} {bar.op} {bar.limit:g}", flush=True)
        self.rows.append(row)

    def skip(self, what: str, why: str) -> None:
        """Says that a row or a peer is not there, and why."""
        print(f"skipped {what}: {why}", flush=True)

    def missed(self) -> list[Bar]:
        return [bar for row in self.rows for bar in row.bars if not bar.held]

    def to_json(self) -> str:
        return json.dumps(
            {
                "suite": self.name,
                "machine": self.machine,
                "versions": self.versions,
                "rows": [asdict(row) for row in self.rows],
            },
            indent=2,
        )


def _processor() -> str:
    if sys.platform == "linux":
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(("model name", "Model")):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

"""Memory against its peers by size: recall of one and of eight, by sketch, rows by id, ingest, and single adds.

Beside sophia stand LanceDB, pylance (which reads LanceDB's table), FAISS IndexBinaryFlat, usearch and numpy, each if it
is installed (the extras `brain` and `bench`, pylance, usearch). Every answer is first compared with numpy's exact one:
the same distances, and the same ids but for ties at the last place, which only sophia promises to break by id. FAISS,
usearch and numpy hold rows of 1,280 bytes in memory, as sophia's segments do; LanceDB and sophia have theirs in files.
What waits for the disk is wall time with CPU time beside it, all else CPU time of all threads; on one core (taskset)
both say the same.

SOPHIA_BENCH_ROWS names the sizes; "10000,100000" if it is not set. A million rows need 10 GB of memory and 8 of disk.
Up to 100,000 rows a recall compares all bits of all by default, so the rows by sketch are 101,000 at the least.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import sophia
from benchmarks import data
from benchmarks.bench_arena import resident
from benchmarks.bench_memory import BYTES, GROUP
from benchmarks.harness import Bar, Contender, Row, Suite, Timing, ratio
from benchmarks.recall_peers import (
    BATCH,
    Peers,
    Rows,
    answers,
    check,
    clustered,
    disk_reads,
    drop,
    lance_nearest,
    nearest,
    packed,
    pylance_nearest,
    size_of,
    uniform,
)

LARGE = 100_000  # rows up to which a recall is exact by default, and from which on the bars of searches hold
SINGLES, LEAST_SINGLES, PATIENCE = 5_000, 2_000, 60.0  # seconds after which a peer may stop at the least
GRAPH_SECONDS = 20.0  # that usearch may build its graph
COLD = 40
FAISS, SMALL, GRAPH = "FAISS IndexBinaryFlat", f"sophia, groups of {GROUP}", "usearch HNSW"


def run() -> Suite:
    suite = Suite("recall", ("numpy", "faiss-cpu", "lancedb", "pylance", "usearch", "pyarrow"))
    peers = Peers(suite)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _singles(suite, root, peers)
        for size in map(int, os.environ.get("SOPHIA_BENCH_ROWS", "10000,100000").split(",")):
            _by_size(suite, root / "rows", peers, size)
            _by_sketch(suite, root / "sketched", peers, size)
        _texts(suite, root, peers)
    return suite


# ---------------------------------------------------------------------------------------------------- single adds


@dataclass
class _Single:
    """What single adds of one side came to."""

    count: int
    ms: float
    cpu_ms: float
    grown: float
    files: int
    disk: float


def _singles(suite: Suite, root: Path, peers: Peers) -> None:
    rows, folder = uniform(SINGLES, "singles"), root / "single"
    with sophia.Hippocampus.open(folder / "ours") as memory, sophia.Hippocampus.open(folder / "fresh") as fresh:
        told = {"sophia": _one_by_one(lambda at: memory.remember(rows[at, :BYTES]), folder / "ours", SINGLES)}
        fresh.remember_many(packed(rows))
        names: dict[str, object] = {"memory": memory, "fresh": fresh, "query": rows[7, :BYTES].copy()}
        sides = {"sophia": Contender("memory.recall(query)", names)}
        sides["sophia, made in one go"] = Contender("fresh.recall(query)", names)
        check(sides, rows, rows[7:8])
        if peers.lancedb is not None:
            base = peers.lancedb.connect(folder / "lance")
            table = base.create_table("rows", schema=peers.arrow(rows[:1], 1).schema)
            told["lancedb"] = _one_by_one(
                lambda at: table.add(peers.arrow(rows[at : at + 1], at + 1)), folder / "lance", LEAST_SINGLES
            )
            some = rows[: told["lancedb"].count]
            other = peers.lancedb.connect(folder / "fresh-lance").create_table("rows", peers.arrow(some, 1))
            names |= {"near": lance_nearest, "table": table, "other": other}
            theirs = {"lancedb": Contender("near(table, query)", names)}
            theirs["lancedb, made in one go"] = Contender("near(other, query)", names)
            check(theirs, some, rows[7:8])
            sides |= theirs
        _say_singles(suite, told)
        timings = suite.compare("a recall after single adds", sides, unit="us", repeats=7)
        later = {side: ratio(timings[side], timings[f"{side}, made in one go"]) for side in told}
        ours = later.pop("sophia")
        bars = [Bar("times a store made in one go", ours, "<=", 1.5)]
        suite.add(Row("the same, times a store made in one go", "x", ours, later, bars))
    shutil.rmtree(folder)


def _one_by_one(add: Callable[[int], object], folder: Path, least: int) -> _Single:
    add(0)
    gc.collect()
    before, spent, end, cpu = resident(), [], time.monotonic() + PATIENCE, time.process_time()
    for at in range(1, SINGLES):
        start = time.perf_counter()
        add(at)
        spent.append(1e3 * (time.perf_counter() - start))
        if at + 1 >= least and time.monotonic() > end:
            break
    cpu = 1e3 * (time.process_time() - cpu) / len(spent)
    grown, count = (resident() - before) / 1e6, len(spent) + 1
    files, size = size_of(folder)
    return _Single(count, statistics.median(spent), cpu, grown, files, size / (count * BYTES))


def _say_singles(suite: Suite, told: Mapping[str, _Single]) -> None:
    shown = ", ".join(f"{side} {one.count:,} adds of {one.cpu_ms:.3g} ms CPU" for side, one in told.items())
    for text, unit, name, note in (
        ("a single add, p50", "ms", "ms", f"wall; {shown}; sophia waits for the disk, lancedb does not"),
        ("files after single adds", "files", "files", ""),
        ("disk after single adds, for each byte of payload", "x", "disk", "as it stands, open"),
        ("growth of the process over single adds", "MB", "grown", ""),
    ):
        values = {side: float(getattr(one, name)) for side, one in told.items()}
        ours = values.pop("sophia")
        bars = [Bar("disk, times the payload", ours, "<=", 5.0)] if name == "disk" else []
        suite.add(Row(text, unit, ours, values, bars, note))


# ---------------------------------------------------------------------------------------------------- by size


def _by_size(suite: Suite, folder: Path, peers: Peers, size: int) -> None:
    """Uniform rows. The store is closed in between, so it is read from its segments."""
    rows = uniform(size, "rows")
    names = _ingest(suite, folder, peers, rows)
    names |= {"rows": rows, "near": lance_nearest, "pa": peers.pa, "pylance": pylance_nearest, "nearest": nearest}
    if peers.lance is not None:
        names["dataset"] = peers.lance.dataset(folder / "lance" / "rows.lance")
    if peers.usearch is not None:
        names |= {"look": peers.usearch.search, "metric": peers.usearch.MetricKind.Hamming}
    with sophia.Hippocampus.open(folder / "ours") as memory:
        names["memory"] = memory
        _one_query(suite, names)
        _eight_queries(suite, names)
        _warm(suite, names)
        _cold(suite, names, folder)
    shutil.rmtree(folder)


def _ingest(suite: Suite, folder: Path, peers: Peers, rows: Rows) -> dict[str, Any]:
    """Ten thousand rows of each side in turn. A rate is that of all rows, with what is put in order now and then."""
    names: dict[str, Any] = {}
    with sophia.Hippocampus.open(folder / "ours") as memory, sophia.Hippocampus.open(folder / "small") as small:
        adds: dict[str, Callable[[int, int], object]] = {
            "sophia": lambda start, end: memory.remember_many(packed(rows[start:end])),
            SMALL: lambda start, end: small.remember_many(packed(rows[start:end])),
        }
        if peers.lancedb is not None:
            schema = peers.arrow(rows[:1], 1).schema
            table = names["table"] = peers.lancedb.connect(folder / "lance").create_table("rows", schema=schema)
            adds["lancedb"] = lambda start, end: table.add(peers.arrow(rows[start:end], start + 1))
        if peers.faiss is not None:
            flat = names["flat"] = peers.flat(rows[:0])
            adds[FAISS] = lambda start, end: flat.add(rows[start:end])
        if peers.usearch is not None:
            kind, metric = peers.usearch.ScalarKind.B1, peers.usearch.MetricKind.Hamming
            graph = peers.usearch.Index(ndim=8 * rows.shape[1], metric=metric, dtype=kind)
            adds[GRAPH] = lambda start, end: graph.add(np.arange(start, end), rows[start:end], threads=1)
        wall, cpu, taken = _rates(adds, len(rows))
    shutil.rmtree(folder / "small")
    note = "wall; a second of CPU: " + ", ".join(f"{side} {rate:,.0f}" for side, rate in cpu.items())
    note += "; sophia waits for the disk, lancedb does not, the others have none"
    if short := [f"{side} {count:,}" for side, count in taken.items() if count < len(rows)]:
        note += f"; not all rows: {', '.join(short)}"
    bars = [Bar(f"rows a second in groups of {GROUP}", wall[SMALL], ">=", 50_000)]
    title = f"ingest of {len(rows):,} rows, durable, {BATCH:,} at a time"
    suite.add(Row(title, "rows/s", wall.pop("sophia"), wall, bars, note))
    return names


def _rates(adds: Mapping[str, Callable[[int, int], object]], many: int) -> tuple[dict[str, Any], ...]:
    """Rows a second of wall and of CPU time, and how many rows: a graph and small groups need not take a million."""
    wall, cpu, taken = dict.fromkeys(adds, 0.0), dict.fromkeys(adds, 0.0), dict.fromkeys(adds, 0)
    steps, turns = {SMALL: GROUP, GRAPH: 1_000}, list(adds)
    for start in range(0, many, BATCH):
        turns.append(turns.pop(0))
        for side in turns:
            for begin in range(start, min(many, start + BATCH), steps.get(side, BATCH)):
                if (side == GRAPH and wall[side] > GRAPH_SECONDS) or (side == SMALL and begin >= LARGE):
                    break
                end = min(many, start + BATCH, begin + steps.get(side, BATCH))
                clocks = time.perf_counter(), time.process_time()
                adds[side](begin, end)
                wall[side] += time.perf_counter() - clocks[0]
                cpu[side] += time.process_time() - clocks[1]
                taken[side] += end - begin
    return {s: taken[s] / wall[s] for s in adds}, {s: taken[s] / cpu[s] for s in adds}, taken


def _against(names: Mapping[str, Any], statements: Mapping[str, tuple[str, str]]) -> dict[str, Contender]:
    """The sides whose name in scope is there: side to (that name, statement)."""
    return {side: Contender(told, names) for side, (need, told) in statements.items() if names.get(need) is not None}


def _bar(rows: int, side: str, peer: str, limit: float, text: str) -> Callable[[dict[str, Timing]], list[Bar]]:
    def bars(timings: dict[str, Timing]) -> list[Bar]:
        there = rows >= LARGE and peer in timings
        return [Bar(text, ratio(timings[side], timings[peer]), "<=", limit)] if there else []

    return bars


def _one_query(suite: Suite, names: Mapping[str, Any]) -> None:
    rows, one = names["rows"], uniform(1, "queries")
    sides = _against(
        {**names, "one": one, "query": one[0, :BYTES].copy()},
        {
            "sophia": ("memory", "memory.recall(query, exact=True)"),
            FAISS: ("flat", "flat.search(one, 10)"),
            "usearch, exact": ("look", "look(rows, one[0], 10, metric, exact=True, threads=1)"),
            "lancedb": ("table", "near(table, query)"),
            "pylance": ("dataset", "pylance(pa, dataset, query)"),
            "numpy": ("rows", "nearest(rows, one[0])"),
        },
    )
    check(sides, rows, one)
    bars = _bar(len(rows), "sophia", FAISS, 0.8, "times FAISS")
    suite.compare(f"one query, top 10 of {len(rows):,}, exact", sides, unit="ms", repeats=5, bars=bars)


def _eight_queries(suite: Suite, names: Mapping[str, Any]) -> None:
    rows, eight = names["rows"], uniform(8, "queries")
    sides = _against(
        {**names, "eight": eight, "queries": packed(eight)},
        {
            "sophia": ("memory", "memory.recall_many(queries, exact=True)"),
            f"{FAISS}, one": ("flat", "flat.search(eight[:1], 10)"),
            FAISS: ("flat", "flat.search(eight, 10)"),
            "usearch, exact": ("look", "look(rows, eight, 10, metric, exact=True, threads=1)"),
            "lancedb": ("table", "near(table, queries)"),
        },
    )
    check(sides, rows, eight)
    each = {side: Contender(c.statement, c.names, 1 if "one" in side else 8) for side, c in sides.items()}
    bars = _bar(len(rows), "sophia", f"{FAISS}, one", 0.5, "a query, times FAISS with one")
    note = "pylance takes one query at a time; numpy gains nothing from eight"
    title = f"eight queries a pass, each, top 10 of {len(rows):,}, exact"
    suite.compare(title, each, unit="ms", repeats=5, bars=bars, note=note)


_READS = {
    "sophia": ("memory", "memory.get(next(ids)).vector"),
    "sophia, copied": ("memory", "memory.get(next(ids)).vector.tobytes()"),
    "pylance take": ("dataset", "dataset.take([next(ids) - 1], columns=['vector'])"),
    "lancedb take_offsets": ("table", "table.take_offsets([next(ids) - 1]).select(['vector']).to_arrow()"),
    "lancedb where id": ("table", "table.search().where(f'id = {next(ids)}').select(['vector']).to_arrow()"),
}


def _reads(names: Mapping[str, Any]) -> dict[str, Contender]:
    """How each side reads the row of an id; random ids."""
    ids = np.random.default_rng(1).integers(1, len(names["rows"]) + 1, 9_973).tolist()
    return _against({**names, "ids": itertools.cycle(ids)}, _READS)


def _warm(suite: Suite, names: Mapping[str, Any]) -> None:
    sides, rows = _reads(names), names["rows"]
    names["memory"].recall(rows[0, :BYTES], exact=True)  # so that all pages are there
    for side, contender in sides.items():
        found = eval(contender.statement, {**contender.names, "ids": iter([4321])})
        row = found["vector"].combine_chunks().flatten().to_numpy() if hasattr(found, "column_names") else found
        assert bytes(row) == rows[4320, :BYTES].tobytes(), f"{side} reads another row"

    def bars(timings: dict[str, Timing]) -> list[Bar]:
        return [Bar("a warm row, us", timings["sophia"].median / 1e3, "<=", 1.0)]

    note = "random ids; a row of sophia is a view, and has been read only where it was copied"
    suite.compare(f"a warm row of {len(rows):,} by its id", sides, unit="us", repeats=5, bars=bars, note=note)


def _cold(suite: Suite, names: Mapping[str, Any], folder: Path) -> None:
    sides, title = _reads(names), f"a cold row of {len(names['rows']):,} by its id"
    sides["sophia"] = sides.pop("sophia, copied")
    if not Path("/proc/self/io").exists():
        suite.skip(title, "this system does not tell what was read from the disk")
        return
    files = [file for file in folder.rglob("*") if file.suffix in (".arrow", ".lance") and file.is_file()]
    spent: dict[str, list[float]] = {side: [] for side in sides}
    read: dict[str, list[int]] = {side: [] for side in sides}
    turns = list(sides)
    for _ in range(COLD):
        turns.append(turns.pop(0))
        for side in turns:
            drop(files)
            before, start = disk_reads(), time.perf_counter()
            eval(sides[side].statement, dict(sides[side].names))
            spent[side].append(1e6 * (time.perf_counter() - start))
            read[side].append(disk_reads() - before)
    if not all(statistics.median(sizes) for sizes in read.values()):
        suite.skip(title, "the files stayed in the cache of this system")
        return
    medians = {side: statistics.median(times) for side, times in spent.items()}
    kib = ", ".join(f"{side} {statistics.median(sizes) / 1024:,.0f}" for side, sizes in read.items())
    note = f"wall; all pages of {len(files)} segment and data files were dropped before each read; KiB read: {kib}"
    suite.add(Row(title, "us", medians.pop("sophia"), medians, note=note))


# ---------------------------------------------------------------------------------------------------- by sketch


def _by_sketch(suite: Suite, folder: Path, peers: Peers, size: int) -> None:
    if size < LARGE:
        suite.skip(f"default recall of {size:,} rows", f"up to {LARGE:,} it compares all bits of all")
        return
    many = max(size, LARGE + 1_000)
    for per_cluster in (0, 100, 1_000):
        rows, queries = clustered(many, per_cluster, 20) if per_cluster else (uniform(many, "s"), uniform(20, "q"))
        with sophia.Hippocampus.open(folder, durability="os") as memory:
            for start in range(0, many, BATCH):
                memory.remember_many(packed(rows[start : start + BATCH]))
        what = f"{per_cluster:,} rows a cluster" if per_cluster else "uniform rows"
        _default(suite, folder, peers, what, rows, queries)
        shutil.rmtree(folder)


def _default(suite: Suite, folder: Path, peers: Peers, what: str, rows: Rows, queries: Rows) -> None:
    """The default recall of a store that was closed, so that it has sketches, beside all bits of all."""
    with sophia.Hippocampus.open(folder) as memory:
        names: dict[str, Any] = {"memory": memory, "asked": packed(queries), "queries": queries}
        names["flat"] = None if peers.faiss is None else peers.flat(rows)
        every = {
            "sophia, exact": ("memory", "memory.recall_many(asked[:3], exact=True)"),
            FAISS: ("flat", "flat.search(queries[:3], 10)"),
        }
        check(_against(names, every), rows, queries)
        exact = answers(memory.recall_many(names["asked"], exact=True))
        found = [len({*memory.recall(query).ids} & {id for _, id in hits})
                 for query, hits in zip(names["asked"], exact, strict=True)]  # fmt: skip
        recall = statistics.fmean(found) / 10
        sides = {"sophia": Contender("for query in asked: memory.recall(query)", names, len(queries))}
        sides |= _against(names, {
            "sophia, exact": ("memory", "memory.recall(asked[0], exact=True)"),
            FAISS: ("flat", "flat.search(queries[:1], 10)"),
        })  # fmt: skip

        def bars(timings: dict[str, Timing]) -> list[Bar]:
            held = [Bar("recall@10", recall, ">=", 0.99)]
            return held + _bar(len(rows), "sophia", FAISS, 0.2, "times FAISS")(timings) if "cluster" in what else []

        note = f"recall@10 {recall:.3f} over {len(queries)} queries; the other peers have no sketch"
        title = f"default recall, top 10 of {len(rows):,}, {what}"
        suite.compare(title, sides, unit="ms", bars=bars, repeats=5, note=note)


def _texts(suite: Suite, root: Path, peers: Peers) -> None:
    """Every run of 8 and of 12 words of LoCoMo's turns, so that there are enough, asked for by its questions."""
    path = data.find("memory", "locomo7.json")
    if path is None:
        suite.skip("default recall of real text", data.ADVICE)
        return
    samples = json.loads(path.read_text(encoding="utf-8"))
    said = [part for sample in samples for part in sample["conversation"].values() if isinstance(part, list)]
    turns = [turn["text"].split() for session in said for turn in session]
    runs = (
        " ".join(words[at : at + n]) for n in (8, 12) for words in turns for at in range(max(1, len(words) - n + 1))
    )
    rows = _encoded(root / "texts", [text for text in dict.fromkeys(runs) if text])
    questions = _encoded(root / "questions", [asked["question"] for sample in samples for asked in sample["qa"]][::30])
    _default(suite, root / "texts", peers, "runs of words of LoCoMo", rows, questions)


def _encoded(folder: Path, texts: list[str]) -> Rows:
    """Remembers texts; their vectors, padded to 1,280 bytes."""
    made = np.zeros_like(uniform(len(texts), ""))
    with sophia.Hippocampus.open(folder, durability="os") as memory:
        for start in range(0, len(texts), BATCH):
            memory.remember_many(texts[start : start + BATCH])
        for at in range(len(texts)):
            made[at, :BYTES] = memory.get(at + 1).vector
    return made

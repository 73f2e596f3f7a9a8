"""Remembering and recalling packed vectors of 10,000 bits: durable writes, disk, reads, exact search, growth.

The payload of a memory is its vector and its text. Times of writes are wall times, since they wait for the disk, beside
a raw append and fdatasync of the same bytes in the same turn. Search is checked against FAISS and numpy first.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import sophia
from benchmarks.bench_arena import resident
from benchmarks.harness import Bar, Contender, Row, Suite, Timing, ratio
from sophia._core.hdc import random_rows
from sophia.store.compaction import compact

DIM = 10_000
BYTES = DIM // 8
TEXT = "a note of fifty characters, more or less, as it is"
PAYLOAD = BYTES + len(TEXT)
GROUP = 256


def run() -> Suite:
    suite = Suite("memory", ("numpy", "faiss-cpu", "lancedb"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _singles(suite, root)
        _groups(suite, root)
        _reads(suite, root)
        _search(suite, root)
        _growth(suite, root)
    return suite


def vectors(count: int, name: str) -> np.ndarray:
    """Packed random vectors, [count, 1250]."""
    return np.ascontiguousarray(np.asarray(random_rows(count, name, dim=DIM))[:, :BYTES])


def _wall(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _singles(suite: Suite, root: Path) -> None:
    rows = vectors(400, "single")
    file = os.open(root / "raw", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    ours, raw = [], []
    with sophia.Hippocampus.open(root / "single") as memory:
        for number, row in enumerate(rows):
            data = row.tobytes() + TEXT.encode()

            def append(data: bytes = data) -> None:
                os.write(file, data)
                os.fdatasync(file)

            sides = [(ours, lambda row=row: memory.remember(row, answer=TEXT)), (raw, append)]
            for found, work in sides if number % 2 else reversed(sides):
                found.append(1e6 * _wall(work))  # type: ignore[arg-type]
    os.close(file)
    p50, least = statistics.median(ours), statistics.median(raw)
    suite.add(
        Row(
            "one durable remember, p50",
            "us",
            p50,
            {"append + fdatasync": least},
            [Bar("times a raw append + fdatasync", p50 / least, "<=", 2.0)],
            f"p90 {statistics.quantiles(ours, n=10)[-1]:.0f} us, raw {statistics.quantiles(raw, n=10)[-1]:.0f} us",
        )
    )


def _groups(suite: Suite, root: Path) -> None:
    rows = vectors(100 * GROUP, "group")
    rates = []
    with sophia.Hippocampus.open(root / "group") as memory:
        for start in range(0, len(rows), GROUP):
            batch = list(rows[start : start + GROUP])
            rates.append(GROUP / _wall(lambda batch=batch: memory.remember_many(batch, answer=TEXT)))  # type: ignore[misc]
    rate = statistics.median(rates)
    suite.add(
        Row(
            f"durable, in groups of {GROUP}", "rows/s", rate, {},
            [Bar("rows a second", rate, ">=", 50_000)], "no peer here waits for the disk",
        )
    )  # fmt: skip
    payload = len(rows) * PAYLOAD
    before = _size(root / "group") / payload
    compact(root / "group")
    after = _size(root / "group") / payload
    bars = [Bar("disk, times the payload", before, "<=", 5.0), Bar("after compact", after, "<=", 3.5)]
    suite.add(Row("disk for each byte of payload", "x", before, {"after compact": after}, bars))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _reads(suite: Suite, root: Path) -> None:
    with sophia.Hippocampus.open(root / "group") as memory:

        def bars(timings: dict[str, Timing]) -> list[Bar]:
            return [Bar("a warm row, us", timings["sophia"].median / 1e3, "<=", 1.0)]

        names = {"get": memory.get, "id": 4321}
        suite.compare("a warm row by its id", {"sophia": Contender("get(id).vector", names)}, unit="us", bars=bars)


def _search(suite: Suite, root: Path) -> None:
    many = 100_000
    rows, queries = vectors(many, "rows"), vectors(8, "queries")
    with sophia.Hippocampus.open(root / "search", durability="memory") as memory:
        for start in range(0, many, 10_000):
            memory.remember_many(list(rows[start : start + 10_000]))
        names: dict[str, object] = {"memory": memory, "query": queries[0], "queries": list(queries)}
        sides = {
            "sophia": Contender("memory.recall(query)", names),
            "sophia, 8 a pass": Contender("memory.recall_many(queries)", names, 8),
        }
        distances = np.bitwise_count(rows ^ queries[0]).sum(axis=1)
        expected = [(int(distances[at]), int(at) + 1) for at in np.lexsort((np.arange(many), distances))[:10]]
        assert [(m.distance, m.id) for m in memory.recall(queries[0])] == expected
        try:
            import faiss
        except ImportError:
            suite.skip("FAISS", "pip install faiss-cpu")
        else:
            faiss.omp_set_num_threads(1)
            flat = faiss.IndexBinaryFlat(DIM)
            flat.add(rows)
            assert sorted(flat.search(queries[:1], 10)[0][0].tolist()) == [distance for distance, _ in expected]
            sides["FAISS IndexBinaryFlat"] = Contender("flat.search(one, 10)", {"flat": flat, "one": queries[:1]})

        def bars(timings: dict[str, Timing]) -> list[Bar]:
            peer = timings.get("FAISS IndexBinaryFlat")
            return [] if peer is None else [Bar("times FAISS", 1 / ratio(peer, timings["sophia"]), "<=", 0.8)]

        suite.compare(f"top 10 of {many:,}, exact", sides, unit="ms", bars=bars, repeats=7)


def _growth(suite: Suite, root: Path) -> None:
    rows = vectors(5_000, "growth")
    with sophia.Hippocampus.open(root / "slow", durability="os") as memory:
        for row in rows:
            memory.remember(row)
    with sophia.Hippocampus.open(root / "fresh", durability="os") as memory:
        memory.remember_many(list(rows))
    with sophia.MemoryReader.open(root / "slow") as slow, sophia.MemoryReader.open(root / "fresh") as fresh:
        names = {"slow": slow, "fresh": fresh, "query": rows[7]}

        def bars(timings: dict[str, Timing]) -> list[Bar]:
            return [Bar("times a store made in one go", 1 / ratio(timings["fresh"], timings["sophia"]), "<=", 1.5)]

        suite.compare(
            "a recall after 5,000 single remembers",
            {"sophia": Contender("slow.recall(query)", names), "fresh": Contender("fresh.recall(query)", names)},
            unit="us",
            bars=bars,
        )
        files, size = sum(f.is_file() for f in (root / "slow").rglob("*")), _size(root / "slow")
        suite.add(
            Row("files after 5,000 single remembers", "files", files, note=f"{size / (5_000 * BYTES):.2f}x the payload")
        )
    with sophia.Hippocampus.open(root / "slow") as memory:
        for row in rows[:1_000]:
            memory.recall(row)
        before = resident()
        for number in range(10_000):
            memory.recall(rows[number % len(rows)])
        grown = 100 * (resident() - before) / max(1, before)
        bars_ = [Bar("growth of the process, %", grown, "<=", 5.0)]
        suite.add(Row("10,000 recalls", "% of RSS", grown, bars=bars_))

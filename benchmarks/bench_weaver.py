"""The Weaver: filling and asking the chronicle, what reading along costs a run, and where its chapters end.

The tables are those of the chronicle, all columns, filled from the journal of a run over logs. Each way to fill them
must leave the same rows, and each way to ask must give the same answer, before any is timed. What a run pays is the CPU
time of whole processes, in pairs, each into a store of its own with its journal on.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sophia
from benchmarks import data, processes
from benchmarks.harness import Bar, Contender, Row, Suite, Timing
from sophia.actors.orchestrator import Orchestrator
from sophia.organs.batch import Batch, Columns
from sophia.organs.weaver import Weaver
from sophia.organs.weaver_organ import WeaverOrgan
from sophia.store import chronicle
from sophia.store.chronicle_lines import records
from sophia.store.journal import journal_files
from sophia.store.reading import Reading
from sophia.stream.event import PLAIN, Event

if TYPE_CHECKING:
    import duckdb

Batched = tuple[list[Event], Batch]

LINES = 100_000
BATCH = 1000
FEW = 100  # rows of one executemany: each takes a millisecond
COPIES = 10  # of the journal: a million decisions
BEAT = 0.001  # seconds between two turns of the heartbeat
JOINED = (1, 2, 3)  # seeds of the draws of five logs
OWN = {"HPC": 2}
"""Turns that a log has of itself: HPC goes from nodes' states to temperatures at line 711, and to links' errors at
1457. They were found by reading it where it had been cut."""

_HEAD = re.compile(rb'\{"run": \d+, "at": [\d.]+, ')


def run() -> Suite:
    suite = Suite("weaver", ("duckdb", "pyarrow", "numpy"))
    logs = {name: _inputs([path]) for name, path in data.loghub().items()}
    if not logs:
        suite.skip("all of it", data.ADVICE)
        return suite
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [line for log in logs.values() for line in log]
        path = _written(folder / "100k.log", (lines * (LINES // len(lines) + 1))[:LINES])
        if lacking := chronicle.missing():
            suite.skip("the chronicle", f"it needs {' and '.join(lacking)}")
        else:
            store = folder / "store"
            processes.cpu_seconds(_run(path, folder, store), folder)
            _filling(suite, folder, store)
            _asking(suite, folder, store)
        _reading_along(suite, folder, f"{LINES:,} loghub lines", path)
        irc = data.find("streams", "irc")
        if irc is None:
            suite.skip("chat", data.ADVICE)
        else:
            chat = _written(folder / "chat.txt", _inputs(sorted(irc.glob("*.raw.txt"))))
            _reading_along(suite, folder, "#ubuntu", chat)
        longest = (logs["OpenSSH"] * (LINES // len(logs["OpenSSH"]) + 1))[:LINES]
        _reading_along(suite, folder, f"{LINES:,} lines of OpenSSH", _written(folder / "ssh.log", longest))
        _joints(suite, folder, logs)
        _heartbeat(suite, "logs", lines)
        if irc is not None:
            _heartbeat(suite, "#ubuntu", chat.read_bytes().splitlines())
    return suite


def _inputs(paths: Iterable[Path]) -> list[bytes]:
    """Lines with something in them."""
    return [line for path in paths for line in path.read_bytes().split(b"\n") if line.strip()]


def _written(path: Path, lines: Sequence[bytes]) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def _run(path: Path, folder: Path, store: Path, *more: str) -> list[str | Path]:
    out = folder / "out.jsonl"
    return processes.sophia("run", path, "--quiet", "--report", "none", "--out", out, "--store", store, *more)


def _decisions(store: Path) -> list[bytes]:
    """The lines of its journal, but for those of alarms."""
    lines = [line for file in journal_files(store) for line in file.path.read_bytes().splitlines(keepends=True)]
    return [line for line in lines if b', "alarm": {' not in line]


def _filling(suite: Suite, folder: Path, store: Path) -> None:
    """Batches of 1,000 into tables of one file; each way has a table of its own."""
    lines = _decisions(store)
    assert len(lines) == LINES
    piece = b"".join(lines)[: chronicle._CHUNK].rpartition(b"\n")[0] + b"\n"
    together = piece.count(b"\n")
    texts = [b"".join(lines[start : start + BATCH]) for start in range(0, 20 * BATCH, BATCH)]
    connection = chronicle._connected(folder / "filling.duckdb")
    take = chronicle._TAKE.format(file=1)

    def arrow(table: Any, statement: str) -> None:
        connection.execute("BEGIN")
        connection.register("records", table)
        connection.execute(statement)
        connection.execute("COMMIT")
        connection.unregister("records")

    def append(rows: Sequence[tuple[Any, ...]]) -> None:
        with connection.appender("appended") as appender:
            for row in rows:
                appender.append_row(*row)

    def append_rows(rows: Sequence[tuple[Any, ...]]) -> None:
        with connection.appender("appended_at_once") as appender:
            appender.append_rows(rows)

    def execute_many(rows: Sequence[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(rows[0]))
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO executed VALUES ({marks})", rows)
        connection.execute("COMMIT")

    for name in ("taken_in", "bare", "appended", "appended_at_once", "executed"):
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM decisions LIMIT 0")
    tables = [records(text)[0] for text in texts]
    into = take.replace("INTO decisions", "INTO taken_in")
    arrow(tables[0], into)
    found = connection.sql("SELECT * FROM taken_in ORDER BY n")
    columns, rows = found.to_arrow_table(), found.fetchall()
    arrow(columns, "INSERT INTO bare SELECT * FROM records")
    append(rows)
    append_rows(rows)
    execute_many(rows)
    for name in ("bare", "appended", "appended_at_once", "executed"):
        assert connection.execute(f"SELECT * FROM {name} ORDER BY n").fetchall() == rows, name
    names = {
        "arrow": arrow, "rows": rows, "append": append, "append_rows": append_rows, "few": rows[:FEW],
        "execute_many": execute_many, "columns": columns, "into": into, "records": records,
        "bare": "INSERT INTO bare SELECT * FROM records",
        "text": cycle(texts).__next__, "table": cycle(tables).__next__, "piece": records(piece)[0],
    }  # fmt: skip
    sides = {
        "sophia": Contender("arrow(table(), into)", names, BATCH),
        "sophia, with its parse": Contender("arrow(records(text())[0], into)", names, BATCH),
        "sophia, the parse": Contender("records(text())", names, BATCH),
        "sophia, 4 MB at once": Contender("arrow(piece, into)", names, together),
        "columns as they are": Contender("arrow(columns, bare)", names, BATCH),
        "appender, append_row": Contender("append(rows)", names, BATCH),
        "appender, append_rows": Contender("append_rows(rows)", names, BATCH),
        "executemany": Contender("execute_many(few)", names, FEW),
    }

    def bars(timings: dict[str, Timing]) -> list[Bar]:
        rates = {name: 1e9 / timing.median for name, timing in timings.items()}
        walls = {name: 1e9 / timing.wall_median for name, timing in timings.items()}
        print(f"    rows/s CPU: {', '.join(f'{name} {rate:,.0f}' for name, rate in rates.items())}", flush=True)
        print(f"    rows/s wall: {', '.join(f'{name} {rate:,.0f}' for name, rate in walls.items())}", flush=True)
        return [Bar(f"rows a CPU second by Arrow, {BATCH:,} at once, the insert alone", rates["sophia"], ">=", 150_000)]

    note = (
        f"a row of the {len(rows[0])} columns, in transactions of {BATCH:,} rows ({FEW} of executemany), the commit "
        "with it. 'sophia' is the chronicle's statement on what was parsed before, and so is '4 MB at once', which are "
        f"the {together:,} rows that the chronicle takes together; what the peers take was made before"
    )
    suite.compare(f"filling, {BATCH:,} rows at once", sides, unit="us", bars=bars, target_ms=40.0, note=note)
    connection.close()


def _asking(suite: Suite, folder: Path, store: Path) -> None:
    """A million decisions: the journal ten times, as ten runs over a hundred hours."""
    lines = _decisions(store)
    rests = [line[found.end() :] for line in lines if (found := _HEAD.match(line)) is not None]
    assert len(rests) == LINES
    files: list[Path] = []
    shutil.rmtree(store / "decisions")
    (store / "decisions").mkdir()
    for copy in range(COPIES):
        for start in range(0, LINES, LINES // 4):
            files.append(store / "decisions" / f"decisions-{len(files) + 1:08}.jsonl")
            first = 1.75e9 + 0.36 * (copy * LINES + start)
            made = [
                b'{"run": %d, "at": %.3f, ' % (copy + 1, first + 0.36 * i) + rest
                for i, rest in enumerate(rests[start : start + LINES // 4])
            ]
            files[-1].write_bytes(b"".join(made))
    with chronicle.Chronicle(store) as open_one:
        cpu, wall = time.process_time(), time.perf_counter()
        taken = open_one.catch_up()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        assert taken == COPIES * LINES
        plain = _sqlite(folder, open_one._connection)
    size = sum(file.stat().st_size for file in files)
    note = (
        f"{taken:,} decisions, {size / 1e6:,.0f} MB of the journal in pieces of 4 MB, once; {taken / wall:,.0f} rows/s "
        f"by the clock; the file has {(store / 'weaver.duckdb').stat().st_size / 1e6:,.0f} MB"
    )
    suite.add(Row("filling, `sophia weave` for the first time", "rows/s CPU", taken / cpu, {}, [], note))
    with Reading(store / "weaver.duckdb") as reading:
        names = {"reading": reading, "files": files, "by_arrow": _by_arrow, "plain": plain, "by_sqlite": _by_sqlite}
        ours = sorted(
            (int(hour.timestamp()) // 3600, *counts)
            for hour, *counts in reading.ask("SELECT * FROM routes_per_hour")[1]
        )
        assert sum(row[1] for row in ours) == taken
        assert _by_arrow(files) == ours
        assert _by_sqlite(plain) == ours
        sides = {
            "sophia": Contender("list(reading.ask('SELECT * FROM routes_per_hour')[1])", names),
            "JSON lines by pyarrow": Contender("by_arrow(files)", names),
            "sqlite3": Contender("by_sqlite(plain)", names),
        }
        note = f"{len(ours)} hours; sqlite3 has a table of the three columns that are asked for and no more"
        suite.compare(f"routes per hour of {taken:,} decisions", sides, unit="ms", repeats=3, target_ms=1.0, note=note)
    plain.close()
    shutil.rmtree(store)


def _sqlite(folder: Path, connection: duckdb.DuckDBPyConnection) -> sqlite3.Connection:
    plain = sqlite3.connect(folder / "plain.db")
    plain.execute("CREATE TABLE decisions (at REAL, route TEXT, rule TEXT)")
    found = connection.execute("SELECT epoch(decided), route, rule FROM decisions")
    while rows := found.fetchmany(100_000):
        plain.executemany("INSERT INTO decisions VALUES (?, ?, ?)", rows)
    plain.commit()
    return plain


def _by_sqlite(plain: sqlite3.Connection) -> list[tuple[int, ...]]:
    return plain.execute(
        "SELECT CAST(at / 3600 AS INTEGER) AS hour, count(*), sum(route = 'reflex'), sum(route = 'cortical'), "
        "sum(route = 'deep_thought'), count(rule) FROM decisions GROUP BY hour ORDER BY hour"
    ).fetchall()


def _by_arrow(files: Sequence[Path]) -> list[tuple[int, ...]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import json as arrow_json

    schema = pa.schema([("at", pa.float64()), ("route", pa.string()), ("danger", pa.struct([("rule", pa.string())]))])
    options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    table = pa.concat_tables([arrow_json.read_json(file, parse_options=options) for file in files])
    hours = pc.cast(pc.floor(pc.divide(table["at"], 3600.0)), pa.int64())
    routes = {
        name: pc.cast(pc.equal(table["route"], name), pa.int64()) for name in ("reflex", "cortical", "deep_thought")
    }
    danger = pc.cast(pc.is_valid(pc.struct_field(table["danger"], "rule")), pa.int64())
    counted = pa.table({"hour": hours, **routes, "danger": danger}).group_by("hour")
    sums = counted.aggregate([("hour", "count"), *((name, "sum") for name in (*routes, "danger"))])
    names = ("hour", "hour_count", *(f"{name}_sum" for name in (*routes, "danger")))
    return sorted(zip(*(sums[name].to_pylist() for name in names), strict=True))


def _reading_along(suite: Suite, folder: Path, name: str, path: Path, pairs: int = 9) -> None:
    """Whole processes in pairs, now the one first, now the other, after a pair that is not counted. Twelve logs
    that are repeated turn into each other every 2,000 lines, and each turn costs a chapter; one log alone has none."""
    lines = len(_inputs([path]))
    used: dict[str, list[float]] = {"": [], "--no-weave": []}
    store, chapters = folder / "along", 0
    for pair in range(pairs + 1):
        for flag in sorted(used, reverse=bool(pair % 2)):
            seconds = processes.cpu_seconds(_run(path, folder, store, *([flag] if flag else [])), folder)
            chapters = max(chapters, len(_chapters(store)))
            shutil.rmtree(store)
            if pair:
                used[flag].append(seconds)
    parts = [without / with_it for with_it, without in zip(used[""], used["--no-weave"], strict=True)]
    medians = {flag: statistics.median(seconds) for flag, seconds in used.items()}
    rates = {flag: lines / seconds for flag, seconds in medians.items()}
    more = statistics.median(a - b for a, b in zip(used[""], used["--no-weave"], strict=True))
    note = (
        f"{pairs} pairs of whole processes, ratios {min(parts):.3f} to {max(parts):.3f}; medians {medians['']:.3f} and "
        f"{medians['--no-weave']:.3f} s, {1e6 * more / lines:.2f} us a line more; {chapters} chapters"
    )
    bars = [Bar(f"{name}: lines a CPU second, times those of --no-weave", statistics.median(parts), ">=", 0.95)]
    row = Row(f"reading along, {name}", "lines/s CPU", rates[""], {"--no-weave": rates["--no-weave"]}, bars, note)
    suite.add(row)


def _joints(suite: Suite, folder: Path, logs: dict[str, list[bytes]]) -> None:
    """Logs joined end to end in one file, as `sophia run` tells them with all defaults; and each by itself."""
    single = {name: len(_cuts(folder, log)) for name, log in logs.items()}
    others = sum(max(0, count - OWN.get(name, 0)) for name, count in single.items())
    told = ", ".join(f"{name} {count}" for name, count in single.items() if count)
    note = f"cuts: {told or 'none'}; HPC goes over from states to temperatures at 711, and to errors at 1457"
    bars = [Bar(f"cuts in {len(logs)} logs, but for HPC's own two", others, "<=", 0)]
    suite.add(Row("cuts in logs by themselves", "cuts", sum(single.values()), {}, bars, note))
    worst, false = [], []
    for seed in JOINED:
        chosen = random.Random(seed).sample(sorted(logs), 5)
        cuts = _cuts(folder, [line for name in chosen for line in logs[name]])
        ends = [sum(len(logs[name]) for name in chosen[:count]) for count in range(1, len(chosen))]
        nearest = [min(cuts, key=_near(end), default=0) for end in ends]
        away = [cut - end for cut, end in zip(nearest, ends, strict=True)]
        worst.append(max(map(abs, away)))
        false.append(len(set(cuts) - set(nearest)))
        print(f"    {', '.join(chosen)}: cuts {cuts}, by {away} from the joints, {false[-1]} others", flush=True)
    ours = max(worst)
    bars = [
        Bar("of twelve joints, lines from the worst to its cut", ours, "<=", 50),
        Bar("cuts that are of no joint, in all three; those within HPC count", sum(false), "<=", 2),
    ]
    note = f"draws with the seeds {', '.join(map(str, JOINED))}; no peer here reads a stream and tells where it turns"
    suite.add(Row("five logs joined, the worst cut", "lines", ours, {}, bars, note))


def _near(end: int) -> Callable[[int], int]:
    return lambda cut: abs(cut - end)


def _cuts(folder: Path, lines: Sequence[bytes]) -> list[int]:
    """How many lines there were before each chapter but the first."""
    store = folder / "cuts"
    processes.cpu_seconds(_run(_written(folder / "cuts.log", lines), folder, store), folder)
    told = _chapters(store)
    shutil.rmtree(store)
    return [int(chapter["from"].rpartition(":")[2]) - 1 for chapter in told[1:]]


def _chapters(store: Path) -> list[dict[str, Any]]:
    """Of a store, without its birth."""
    command = [str(part) for part in processes.sophia("weave", "--json", "--store", store)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=store.parent)
    return [chapter for chapter in map(json.loads, done.stdout.splitlines()) if "from" in chapter]


def _heartbeat(suite: Suite, what: str, lines: Sequence[bytes]) -> None:
    """How late a task of the event loop is at worst that wants to run each millisecond, while lines are woven as in a
    run, read and told on the loop by an organ, in steps; and told at once."""
    texts = [line.decode(errors="replace") for line in lines]
    woven: list[Batched] = []
    with sophia.open(None) as brain:
        for start in range(0, len(texts), 256):
            some: list[str | None] = [*texts[start : start + 256]]
            events = [Event(start + i, "log", start + i, text, flags=PLAIN) for i, text in enumerate(some, 1)]
            woven.append((events, brain.decide(Columns(some, lines=[True] * len(some)))))
    gc.collect()
    gc.freeze()  # what is kept here for all sides is not to be gone through by a collection while one of them is timed
    sides: dict[str, Callable[[list[Batched]], Any]] = {"organ": _in_organ, "loop": _on_loop, "nothing": _nothing}
    late: dict[str, list[float]] = {name: [] for name in sides}
    chapters = 0
    for turn in range(8):
        for name, side in sides.items():
            found, told = asyncio.run(_latest(side(woven)))
            chapters = max(chapters, told)
            if turn:  # the first one imports what it needs
                late[name].append(1e3 * found)
    gc.unfreeze()
    medians = {name: statistics.median(values) for name, values in late.items()}
    ours = medians.pop("organ")
    note = (
        f"medians of 7 of the latest beat; {chapters} chapters of {len(lines):,} lines, which come as fast as they are "
        f"taken; the highest of all: {', '.join(f'{name} {max(values):.1f}' for name, values in late.items())}"
    )
    peers = {"on the loop itself": medians["loop"], "nothing woven": medians["nothing"]}
    bars = [Bar(f"{what}: milliseconds that the loop is held at worst", ours, "<=", 5.0)]
    suite.add(Row(f"the event loop held while weaving {what}", "ms", ours, peers, bars, note))


async def _latest(work: Any) -> tuple[float, Any]:
    """The latest beat, in seconds, while `work` goes on; and what that gives."""
    late = 0.0

    async def beat() -> None:
        nonlocal late
        while True:
            due = time.perf_counter() + BEAT
            await asyncio.sleep(BEAT)
            late = max(late, time.perf_counter() - due)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(10 * BEAT)
    late = 0.0
    found = await work
    await asyncio.sleep(2 * BEAT)
    beating.cancel()
    return late, found


async def _in_organ(woven: list[Batched]) -> int:
    chapters: list[dict[str, Any]] = []
    weaver = Weaver()
    async with Orchestrator() as organs:
        teller = organs.spawn(WeaverOrgan(weaver, chapters.append), "weaver", capacity=64)
        for events, batch in woven:
            for stretch in weaver.follow(events, batch):
                sent = teller.tell(stretch)
                if not sent:
                    await sent
            await asyncio.sleep(0)
        for stretch in weaver.finish():
            teller.tell(stretch)
        await organs.stop(teller, None)
    return len(chapters)


async def _on_loop(woven: list[Batched]) -> int:
    chapters: list[dict[str, Any]] = []
    weaver = Weaver()
    for events, batch in woven:
        chapters += [weaver.tell(stretch) for stretch in weaver.follow(events, batch)]
        await asyncio.sleep(0)
    chapters += weaver.end()
    return len(chapters)


async def _nothing(woven: list[Batched]) -> int:
    for _ in woven:
        await asyncio.sleep(BEAT)
    return 0

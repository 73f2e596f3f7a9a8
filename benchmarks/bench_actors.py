"""Actors beside queues, threads and other runtimes of actors: what a message costs, and who overtakes whom.

Each message is one vector of 10,000 components that nobody copies: a SharedVector with us, the same int8 array in numpy
with the others. The time is the process's CPU time, of all threads; wall time stands beside it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
import statistics
import time
import tracemalloc
from collections.abc import Mapping
from functools import partial

import numpy as np

from benchmarks import actor_peers as peers
from benchmarks import actor_sides as sides
from benchmarks.actor_sides import ROOM, Echo, Held, Keeping, Ours, Side, Sink, opened
from benchmarks.breaker_rows import breakers
from benchmarks.harness import Bar, Contender, Row, Suite, Timing, ratio, spread
from benchmarks.job_rows import jobs
from sophia._core.vector import SharedVector, churn_references
from sophia.actors import Actor, Orchestrator

DIM = 10_000
ROUND = 4096
ARRAY = np.random.default_rng(1).choice(np.array([-1, 1], dtype=np.int8), DIM)
SHARED = SharedVector.from_bytes(ARRAY.tobytes(), DIM, "MAP")

Kinds = dict[str, type[Side]]


def run() -> Suite:
    suite = Suite("actors", ("pykka", "xoscar", "thespian", "purgatory", "pybreaker", "numpy"))
    absent = {name for name in ("pykka", "xoscar", "thespian") if importlib.util.find_spec(name) is None}
    for name in sorted(absent):
        suite.skip(name, "not installed")

    def there(kinds: Kinds) -> Kinds:
        """Those whose package is installed; ours come first."""
        return {name: kind for name, kind in kinds.items() if name.split()[0].strip(",").lower() not in absent}

    _tells(suite, there)
    _batches(suite)
    _asks(suite, there)
    _queued(suite, there)
    _wakeups(suite)
    _overtaking(suite)
    _references(suite)
    breakers(suite)
    jobs(suite)
    return suite


def payload(kind: type[Side]) -> object:
    return SHARED if issubclass(kind, Ours) else ARRAY


def _agree(kinds: Kinds, **options: int) -> None:
    """Each side hands every message over, unchanged."""
    with opened(kinds, payload, sink=Keeping, **options) as opened_sides:
        for name, side in opened_sides.items():
            side.round(256)
            kept = side.sink.kept
            if len(kept) != 256 * side.receivers or any(message is not side.payload for message in kept):
                raise AssertionError(f"{name} lost or changed a message: {len(kept)} of {256 * side.receivers}")
    if bytes(memoryview(SHARED)) != ARRAY.tobytes():
        raise AssertionError("the payloads differ")


def _compare(suite: Suite, row: str, kinds: Kinds, limits: Mapping[str, float], note: str = "", **options: int) -> None:
    """A row of rounds; `limits` are the least that a peer is to cost beside ours."""
    _agree(kinds, **options)
    receivers = options.get("receivers", 1)
    messages = ROUND // receivers

    def bars(timings: dict[str, Timing]) -> list[Bar]:
        return [
            Bar(f"times {name}, CPU a message", ratio(timings[name], timings["sophia"]), ">=", limit)
            for name, limit in limits.items()
            if name in timings
        ]

    with opened(kinds, payload, sink=Sink, **options) as opened_sides:
        contenders = {
            name: Contender("round()", {"round": partial(side.round, messages)}, per_call=messages * receivers)
            for name, side in opened_sides.items()
        }
        timings = suite.compare(row, contenders, bars=bars, note=note)
        walls = ", ".join(f"{name} {timing.wall_median:.4g}" for name, timing in timings.items())
        print(f"    wall, ns: {walls}", flush=True)


def _tells(suite: Suite, there) -> None:  # type: ignore[no-untyped-def]
    queue = {"asyncio.Queue(1024)": peers.AsyncioQueue}
    threads = {"SimpleQueue and a thread": peers.SimpleQueue, "Pykka": peers.Pykka}
    others = {"ThreadPoolExecutor(1)": peers.Executor, "Thespian simpleSystemBase": peers.Thespian}
    xoscar: Kinds = {"xoscar": peers.Xoscar}
    unawaited = {"xoscar, one await in 64": peers.XoscarUnawaited}
    quick = {"asyncio.Queue, nowait": peers.AsyncioQueueNowait}
    _compare(
        suite,
        "tell 1 -> 1",
        there({"sophia": Ours} | queue | quick | threads | xoscar | unawaited | others),
        {"asyncio.Queue(1024)": 5.0, "Pykka": 15.0, "xoscar": 50.0},
        "told to an actor on the loop, awaited only where it is full; SimpleQueue and Pykka have no bound",
    )
    _compare(
        suite,
        "tell 1 -> 1, other ways",
        {"sophia": sides.OursUrgent, "each tell awaited": sides.OursAwaited},
        {},
        "four priorities in turn first; all are ours",
    )
    _compare(
        suite,
        "tell 1 -> 1, into a thread",
        there({"sophia": sides.OursInThread} | threads | {"ThreadPoolExecutor(1)": peers.Executor}),
        {},
        "ours is bounded: its sender sleeps where it is full",
    )
    _compare(
        suite,
        "tell 1 -> 8",
        there({"sophia": Ours, "sophia broadcast_to_all": sides.OursBroadcast} | queue | threads | xoscar),
        {},
        "a message to one of eight receivers",
        receivers=8,
    )
    _compare(
        suite,
        "tell 8 -> 1",
        there({"sophia": Ours} | queue | threads | xoscar),
        {},
        "eight coroutines, or eight threads",
        senders=8,
    )


def _batches(suite: Suite) -> None:
    kinds = {"sophia": sides.OursBatched, "single tells": Ours, "send_batch, one at a time": sides.OursSentInBatches}
    _compare(
        suite,
        "send_batch of 64 and handle_batch",
        kinds,
        {"single tells": 1.3},
        "all are ours; the handlers count messages and do not look at them",
    )


# Questions: the time until the answer is there, one question after the other


def _asks(suite: Suite, there, rounds: int = 60, questions: int = 200) -> None:  # type: ignore[no-untyped-def]
    kinds = {
        "sophia": Ours,
        "asyncio.Queue and a future": peers.AsyncioQueue,
        "the same with asyncio.timeout": peers.AsyncioQueueLimited,
        "Pykka": peers.Pykka,
        "ThreadPoolExecutor(1)": peers.Executor,
        "Thespian simpleSystemBase": peers.Thespian,
        "xoscar": peers.Xoscar,
    }
    with opened(there(kinds), payload, sink=Echo) as opened_sides:
        times: dict[str, list[list[int]]] = {name: [] for name in opened_sides}
        cpu: dict[str, list[float]] = {name: [] for name in opened_sides}
        turns, draw = list(opened_sides), random.Random(rounds)
        for _ in range(rounds):
            draw.shuffle(turns)
            for name in turns:
                opened_sides[name].ask_times(10)
                begin = time.process_time_ns()
                times[name].append(opened_sides[name].ask_times(questions))
                cpu[name].append((time.process_time_ns() - begin) / questions)
    other = "asyncio.Queue and a future"
    for percent in (50, 90, 99):
        us = {name: float(np.percentile(np.concatenate(each), percent)) / 1e3 for name, each in times.items()}
        ours = us.pop("sophia")
        pairs = [
            float(np.percentile(a, percent) / np.percentile(b, percent))
            for a, b in zip(times["sophia"], times[other], strict=True)
        ]
        text = f"ask p{percent}, times {other}, wall, median of rounds"
        bars = [Bar(text, statistics.median(pairs), "<=", 1.0)] if percent < 99 else []
        note = f"times {other}: {statistics.median(pairs):.3g} [{min(pairs):.3g}..{max(pairs):.3g}]; wall time"
        suite.add(Row(f"ask p{percent}", "us", ours, us, bars, note))
    timings = {name: Timing(tuple(each), tuple(each)) for name, each in cpu.items()}
    us = {name: timing.median / 1e3 for name, timing in timings.items()}
    low, high = spread(timings["sophia"], timings[other])
    note = f"times {other}: {ratio(timings['sophia'], timings[other]):.3g} [{low:.3g}..{high:.3g}]; only ours and the "
    note += "one with asyncio.timeout have a time limit; xoscar calls the actor at once, without a mailbox"
    suite.add(Row("ask, CPU", "us", us.pop("sophia"), us, [], note))


# What waits


def _queued(suite: Suite, there, messages: int = 1000) -> None:  # type: ignore[no-untyped-def]
    kinds = {
        "sophia": Ours,
        "asyncio.Queue(1024)": peers.AsyncioQueue,
        "SimpleQueue and a thread": peers.SimpleQueue,
        "ThreadPoolExecutor(1)": peers.Executor,
        "Pykka": peers.Pykka,
        "xoscar": peers.Xoscar,
    }
    traced: dict[str, float] = {}
    for name, kind in there(kinds).items():
        found = []
        on_loop = issubclass(kind, sides.OnLoop)
        for _ in range(5):
            side = kind(payload(kind), Sink() if on_loop else Held())
            if on_loop:
                side.round(64)
            else:  # its thread waits in the handler of the first message
                side.sink.expect(messages + 1, lambda: None)
                side.queue_up(1)
                side.sink.begun.wait()
            if on_loop:
                side.sink.expect(messages, lambda: None)
            tracemalloc.start()
            found.append(side.queued_bytes(messages) / messages)
            tracemalloc.stop()
            if on_loop:
                side.loop.run_until_complete(_handled(side.sink))
            else:
                side.sink.go.set()
            side.close()
        traced[name] = statistics.median(found)
    ours = traced.pop("sophia")
    note = (
        f"of {messages} that wait, in blocks that tracemalloc sees. It does not see our ring: {ROOM} slots of 32 bytes "
    )
    note += f"for each priority that was ever used, {ROOM * 32:,} bytes, taken once, whatever waits"
    bars = [Bar("traced bytes a queued message", ours, "<=", 1.0)]
    suite.add(Row("memory of a queued message", "bytes", ours, traced, bars, note))


async def _handled(sink: Sink) -> None:
    while sink.left > 0:
        await asyncio.sleep(0)


class Counting(Actor):
    """Notes the order in which messages come; `marked` is the one that is to overtake."""

    def __init__(self, marked: object = None) -> None:
        self.handled = 0
        self.marked = marked
        self.sent_at: int | None = None
        self.overtaken_by: list[int] = []

    def handle(self, message: object) -> None:
        if message is self.marked and self.sent_at is not None:
            self.overtaken_by.append(self.handled - self.sent_at)
            self.sent_at = None
        else:
            self.handled += 1


def _wakeups(suite: Suite) -> None:
    async def count(*, batch: bool) -> int:
        async with Orchestrator() as organs:
            ref = organs.spawn(Counting)
            await ref.ask(SHARED)
            before = ref.mailbox.wakeups
            if batch:
                ref.send_batch([SHARED] * 64)
                await asyncio.sleep(0)
            else:
                for _ in range(64):
                    ref.tell(SHARED)
                    await asyncio.sleep(0)
            await ref.ask(SHARED)
            return ref.mailbox.wakeups - before - 1  # the last question's own

    batch, single = asyncio.run(count(batch=True)), asyncio.run(count(batch=False))
    suite.add(
        Row(
            "wake-ups of 64 messages in one batch",
            "wake-ups",
            batch,
            {"64 tells in turns of their own": single},
            [Bar("wake-ups of a batch, times those of single tells", batch / single, "<=", 0.1)],
            "counted; all are ours",
        )
    )


def _overtaking(suite: Suite, messages: int = 200_000, marks: int = 100) -> None:
    """How many others are handled between the sending of a critical message and its handling, in a flood that keeps the
    mailbox full."""
    marked = SharedVector.from_bytes(ARRAY.tobytes(), DIM, "MAP")

    async def flood_ours() -> list[int]:
        async with Orchestrator() as organs:
            actor = Counting(marked)
            ref = organs.spawn(lambda: actor, capacity=ROOM)

            async def flood() -> None:
                for _ in range(messages):
                    if not (sent := ref.tell(SHARED)):
                        await sent

            flooding = asyncio.create_task(flood())
            while len(actor.overtaken_by) < marks and not flooding.done():
                for _ in range(4):
                    await asyncio.sleep(0)
                if actor.sent_at is None:
                    actor.sent_at = actor.handled
                    ref.tell(marked, "critical")
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)
            if actor.sent_at is not None:
                actor.overtaken_by.append(actor.handled - actor.sent_at)
            return actor.overtaken_by

    async def flood_queue() -> list[int]:
        actor, queue = Counting(marked), asyncio.Queue[object](ROOM)

        async def read() -> None:
            while True:
                actor.handle(await queue.get())

        async def flood() -> None:
            for _ in range(messages):
                await queue.put(SHARED)

        tasks = [asyncio.create_task(read()), asyncio.create_task(flood())]
        while len(actor.overtaken_by) < marks and not tasks[1].done():
            for _ in range(4):
                await asyncio.sleep(0)
            if actor.sent_at is None:
                actor.sent_at = actor.handled
                await queue.put(marked)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if actor.sent_at is not None:  # it never found room
            actor.overtaken_by.append(actor.handled - actor.sent_at)
        return actor.overtaken_by

    ours, theirs = asyncio.run(flood_ours()), asyncio.run(flood_queue())
    suite.add(
        Row(
            "messages handled before a critical one, in a flood",
            "messages, at most",
            max(ours, default=messages),
            {"asyncio.Queue(1024)": float(max(theirs, default=messages))},
            [Bar("others before a critical message", max(ours, default=messages), "<=", 64)],
            f"counted {len(ours)} and {len(theirs)} times; median {statistics.median(ours or [0]):g} and "
            f"{statistics.median(theirs or [0]):g}; asyncio.Queue has no priorities, and who waits for room beside a "
            "sender in a loop may wait until that ends; in asyncio.PriorityQueue an urgent message waits for room, too",
        )
    )


def _references(suite: Suite, cycles: int = 200_000) -> None:
    """Two native threads that take and give back references of one vector, or each of one of its own."""
    from concurrent.futures import ThreadPoolExecutor

    other = SharedVector.from_bytes(ARRAY.tobytes(), DIM, "MAP")
    with ThreadPoolExecutor(2) as pool:

        def both(first: SharedVector, second: SharedVector) -> None:
            for future in [pool.submit(churn_references, vector, cycles) for vector in (first, second)]:
                future.result()

        before = SHARED.references, other.references
        names = {"both": both, "churn": churn_references, "a": SHARED, "b": other, "cycles": cycles}
        timings = suite.compare(
            "a reference taken and given back, by two threads at once",
            {
                "sophia": Contender("both(a, a)", names, 2 * cycles),
                "each its own vector": Contender("both(a, b)", names, 2 * cycles),
                "one thread": Contender("churn(a, cycles)", names, cycles),
            },
            note="of one vector first; without the interpreter's lock; all are ours",
        )
        if (SHARED.references, other.references) != before:
            raise AssertionError("references were lost")
    cores = ", ".join(f"{name} {timing.median / timing.wall_median:.2f}" for name, timing in timings.items())
    print(f"    cores that ran: {cores} (near 2 where both threads ran at once)", flush=True)

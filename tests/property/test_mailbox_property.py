"""A mailbox and its supervisor against a small model in plain Python, on a virtual clock."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from virtual_clock import VirtualLoop

from sophia._core.mailbox import OVERFLOWS, PRIORITIES
from sophia.actors import Actor, Orchestrator, Supervision
from sophia.errors import ActorStopped, MailboxFull

pytestmark = pytest.mark.messages

PATIENCE = 64
PAUSE = 1.0
LEVELS = st.sampled_from(range(len(PRIORITIES)))


class Model:
    """What an actor does that is told numbers and fails on the negative ones."""

    def __init__(self, capacity: int, overflow: str, restarts: int) -> None:
        self.capacity, self.overflow, self.left = capacity, overflow, restarts
        self.queues: list[deque[int]] = [deque() for _ in PRIORITIES]
        self.lines: list[deque[int]] = [deque() for _ in PRIORITIES]
        self.passed = [0] * len(PRIORITIES)
        self.seen: list[int] = []
        self.dead: list[int] = []
        self.failed = self.refused = self.sent = self.restarts = 0
        self.paused = self.stopped = False
        self.now = self.starts = 0.0

    def send(self, level: int, number: int, *, waits: bool) -> str:
        self.sent += 1
        if self.stopped:
            self.dead.append(number)
            return "stopped"
        queue = self.queues[level]
        if len(queue) < self.capacity and not self.lines[level]:
            queue.append(number)
            return "accepted"
        if self.overflow == "wait":
            if waits:
                self.lines[level].append(number)
            else:
                self.refused += 1
            return "waiting"
        if self.overflow == "drop_old":
            self.dead.append(queue.popleft())
            queue.append(number)
            return "accepted"
        if self.overflow == "dead_letter":
            self.dead.append(number)
            return "dead"
        self.refused += 1
        return "full" if self.overflow == "fail" else "dropped"

    def admit(self) -> None:
        for queue, line in zip(self.queues, self.lines, strict=True):
            while line and len(queue) < self.capacity:
                queue.append(line.popleft())

    def next_level(self) -> int:
        waiting = [level for level, queue in enumerate(self.queues) if queue]
        if not waiting or waiting[0] == 0:
            return 0 if waiting else -1
        old = [level for level in waiting[1:] if self.passed[level] >= PATIENCE]
        return old[0] if old else waiting[0]

    def run(self) -> None:
        """Until nothing is left to do, or it has failed."""
        while not self.paused and not self.stopped:
            done = 0  # a turn
            while done < 64 and (level := self.next_level()) >= 0:
                number = self.queues[level].popleft()
                done += 1
                self.passed[level] = 0
                for lower in range(level + 1, len(PRIORITIES)):
                    if self.queues[lower]:
                        self.passed[lower] += 1
                self.seen.append(number)
                if number < 0:
                    self.fail()
                    break
            if self.stopped:
                self.bury()
            self.admit()
            if not any(self.queues):
                return

    def fail(self) -> None:
        self.failed += 1
        if self.left:
            self.left -= 1
            self.paused = True
            self.starts = self.now + PAUSE
        else:
            self.stopped = True

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.paused and self.starts <= until:
            self.now = self.starts
            self.paused = False
            self.restarts += 1
            self.run()
        self.now = until

    def bury(self) -> None:
        for both in zip(self.queues, self.lines, strict=True):
            for queue in both:
                self.dead.extend(queue)
                queue.clear()


class Numbers(Actor):
    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    def handle(self, message: int) -> int:
        self.seen.append(message)
        if message < 0:
            raise ValueError
        return message


class MailboxMachine(RuleBasedStateMachine):
    @initialize(
        capacity=st.sampled_from([2, 4, 256]),
        overflow=st.sampled_from(["wait", "wait", "wait", *OVERFLOWS]),
        restarts=st.integers(0, 3),
    )
    def begin(self, capacity: int, overflow: str, restarts: int) -> None:
        logging.getLogger("sophia.actors").disabled = True
        self.loop = VirtualLoop()
        self.model = Model(capacity, overflow, restarts)
        self.seen: list[int] = []
        self.number = 0
        self.senders: list[asyncio.Task[object]] = []

        async def start() -> None:
            supervision = Supervision(
                restarts=restarts, period=1e6, backoff=PAUSE, backoff_most=PAUSE, jitter=0.0, asked="restart"
            )
            self.organs = Orchestrator(supervision, keep_dead=10_000)
            self.ref = self.organs.spawn(
                lambda: Numbers(self.seen), "numbers", capacity=capacity, overflow=overflow, priority="medium"
            )

        self.loop.run_until_complete(start())
        self.settle()

    def settle(self) -> None:
        """Lets everything run for which no time must pass."""
        now = self.loop.now

        async def turns() -> None:
            for _ in range(80):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())
        assert self.loop.now == now
        self.model.run()

    def step(self, send) -> None:
        """Sends on the loop, without a turn of the actor's."""

        async def once() -> None:
            send()

        self.loop.run_until_complete(once())

    def fresh(self, fails: bool) -> int:
        self.number += 1
        return -self.number if fails else self.number

    def tell_one(self, level: int, number: int) -> None:
        try:
            outcome = self.ref.tell(number, PRIORITIES[level]).outcome
        except MailboxFull:
            outcome = "full"
        assert outcome == self.model.send(level, number, waits=False)

    @rule(level=LEVELS, count=st.integers(1, 6), fails=st.integers(0, 20), then=st.booleans())
    def tell(self, level: int, count: int, fails: int, then: bool) -> None:
        def send() -> None:
            for n in range(count):
                self.tell_one(level, self.fresh(fails == n))

        self.step(send)
        if then:
            self.settle()

    @rule(levels=st.lists(LEVELS, min_size=1, max_size=3), count=st.integers(1, 150))
    def tell_many(self, levels: list[int], count: int) -> None:
        def send() -> None:
            for level in levels:
                for _ in range(count):
                    self.tell_one(level, self.fresh(False))

        self.step(send)

    @rule(level=LEVELS, count=st.integers(0, 100))
    def send_batch(self, level: int, count: int) -> None:
        numbers = [self.fresh(False) for _ in range(count)]

        def send() -> None:
            delivery = self.ref.send_batch(numbers, PRIORITIES[level])
            outcomes = [self.model.send(level, number, waits=False) for number in numbers]
            assert delivery.accepted == outcomes.count("accepted")

        self.step(send)

    @precondition(lambda self: self.model.overflow == "wait")
    @rule(level=LEVELS, count=st.integers(2, 12))
    def wait_for_room(self, level: int, count: int) -> None:
        async def send(number: int) -> object:
            return await self.ref.tell(number, PRIORITIES[level])

        def start() -> None:
            for _ in range(count):
                number = self.fresh(False)
                delivery = self.ref.tell(number, PRIORITIES[level])
                outcome = self.model.send(level, number, waits=True)
                assert delivery.outcome == outcome
                # into the line at once, as the awaiting of a task would only be later
                waits = delivery.__await__()
                if outcome == "waiting":
                    self.senders.append(waits)
                    next(waits)

        self.step(start)

    @rule(level=LEVELS, fails=st.sampled_from([False, False, False, True]))
    def ask(self, level: int, fails: bool) -> None:
        number = self.fresh(fails)
        futures = []

        def send() -> None:
            futures.append(self.ref.ask(number, 1e5, PRIORITIES[level]))
            self.model.send(level, number, waits=True)

        self.step(send)
        self.settle()
        future = futures[0]
        if self.seen and number in self.seen:
            assert future.exception() is not None if fails else future.result() == number
        elif future.done():
            assert isinstance(future.exception(), ActorStopped | MailboxFull)
        else:
            future.add_done_callback(lambda done: done.exception())

    @rule()
    def let_run(self) -> None:
        self.settle()

    @rule(seconds=st.sampled_from([0.3, 0.7, 1.1]))
    def time_passes(self, seconds: float) -> None:
        self.settle()
        off = (self.model.starts - self.model.now - seconds) % PAUSE
        if min(off, PAUSE - off) < 0.05:
            seconds += 0.1  # timers have ticks
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.model.wait(seconds)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "model"):
            return
        self.settle()
        model, counted = self.model, self.organs.counts()
        assert self.seen == model.seen
        assert [letter.message for letter in self.organs.dead_letters.kept] == model.dead
        assert counted["sent"] == model.sent
        assert counted["handled"] == len(model.seen)
        assert counted["failed"] == model.failed
        assert counted["dead"] == len(model.dead)
        assert counted["refused"] == model.refused
        assert counted["waiting"] == sum(map(len, model.queues + model.lines))
        assert counted["running"] == 0
        assert self.ref.restarts == model.restarts
        assert (self.ref.state == "stopped") == model.stopped
        assert (self.ref.state == "restarting") == (model.paused and not model.stopped)

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        self.loop.run_until_complete(self.organs.shutdown())
        counted = self.organs.counts()
        assert counted["sent"] == counted["handled"] + counted["dead"] + counted["refused"]
        assert self.loop.timers == []
        self.loop.close()
        logging.getLogger("sophia.actors").disabled = False


TestMailbox = MailboxMachine.TestCase
TestMailbox.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)

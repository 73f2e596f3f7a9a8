"""Many messages through random faults: all of them are accounted for, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import threading
from collections import Counter

import pytest
from stage import adds_up, play, threads_of_actors

from sophia._core.mailbox import OVERFLOWS, PRIORITIES
from sophia.actors import Actor, ActorRef, Orchestrator, Supervision
from sophia.errors import ActorStopped, AskTimeout, MailboxFull, SophiaError

pytestmark = [pytest.mark.stress, pytest.mark.usefixtures("pace")]

SUPERVISION = {"restarts": None, "backoff": 0.0005, "backoff_most": 0.002}


class Message:
    """One of those that are counted: how many are alive."""

    __slots__ = ("what",)
    alive = 0

    def __init__(self, what: str) -> None:
        self.what = what
        Message.alive += 1

    def __del__(self) -> None:
        Message.alive -= 1


class Fault(Exception):
    """What handlers fail with, on purpose."""


class Plain(Actor):
    def __init__(self, taken: list[Counter[str]]) -> None:
        self.taken: Counter[str] = Counter()
        taken.append(self.taken)

    def handle(self, message: Message) -> str:
        self.taken[message.what] += 1
        if message.what == "raise":
            raise Fault
        if message.what == "exit":
            raise StopIteration
        return message.what


class Many(Plain):
    def handle_batch(self, messages: list[Message]) -> list[object]:
        for message in messages:
            self.taken[message.what] += 1
        return [Fault() if message.what == "raise" else message.what for message in messages]


class Awaited(Plain):
    async def handle(self, message: Message) -> str:
        result = super().handle(message)
        if message.what == "slow":
            await asyncio.sleep(0.005)
        elif message.what == "turn":
            await asyncio.sleep(0)
        return result


def storm(messages: int, seed: int) -> None:
    takers: list[Counter[str]] = []
    heard: Counter[str] = Counter()
    sent: list[int] = []  # by each call that sends
    rng = random.Random(seed)

    def fresh(chance: random.Random) -> Message:
        return Message(chance.choices(["fine", "turn", "slow", "raise", "exit"], [1000, 100, 1, 4, 1])[0])

    async def main() -> None:
        organs = Orchestrator(Supervision(**SUPERVISION), keep_dead=10, seed=seed)
        all_for_one = organs.group("all", Supervision("one_for_all", **SUPERVISION))
        made = 0

        def spawn() -> ActorRef:
            nonlocal made
            made += 1
            blocking = made % 4 == 0
            kind = (Plain, Many)[made // 4 % 2] if blocking else (Plain, Many, Awaited)[made % 3]
            return organs.spawn(
                lambda: kind(takers),
                f"a{made}",
                blocking=blocking,
                capacity=rng.choice([2, 8, 64]),
                overflow=OVERFLOWS[made % len(OVERFLOWS)],
                priority=rng.choice(PRIORITIES[1:]),
                group=all_for_one if made % 5 == 0 else None,
            )

        refs = [spawn() for _ in range(12)]
        loop = asyncio.get_running_loop()
        ended = threading.Event()

        async def ask(ref: ActorRef, message: Message, timeout: float) -> None:
            try:
                sent.append(1)
                heard[await ref.ask(message, timeout)] += 1
            except (Fault, ActorStopped, AskTimeout, MailboxFull, RuntimeError) as error:
                heard[type(error).__name__] += 1

        async def send_from_the_loop(count: int, chance: random.Random) -> None:
            asked: set[asyncio.Task[None]] = set()
            while count > 0:
                ref, priority = chance.choice(refs), chance.choice([None, *PRIORITIES])
                what = chance.random()
                try:
                    if what < 0.5:
                        n = chance.randrange(1, 40)
                        sent.append(n)
                        delivery = ref.send_batch([fresh(chance) for _ in range(n)], priority)
                    elif what < 0.9:
                        n = 1
                        sent.append(1)
                        delivery = ref.tell(fresh(chance), priority)
                    else:
                        n = 1
                        task = asyncio.create_task(ask(ref, fresh(chance), chance.choice([0.003, 1.0])))
                        asked.add(task)
                        task.add_done_callback(asked.discard)
                        if chance.random() < 0.2:
                            loop.call_later(chance.random() * 0.01, task.cancel)
                        delivery = None
                    count -= n
                    if delivery is not None and delivery.outcome == "waiting" and chance.random() < 0.9:
                        await asyncio.wait_for(delivery, 0.01)
                except (MailboxFull, TimeoutError) as error:
                    heard[type(error).__name__] += 1
                if chance.random() < 0.05 or len(asked) > 200:
                    await asyncio.sleep(0)
            await asyncio.gather(*asked, return_exceptions=True)
            await asyncio.sleep(0.02)  # what was to cancel them has been

        def send_from_a_thread(count: int, chance: random.Random) -> None:
            while count > 0 and not ended.is_set():
                ref = chance.choice(refs)
                try:
                    if chance.random() < 0.02:
                        count -= 1
                        sent.append(1)
                        heard[ref.call(fresh(chance), chance.choice([0.002, 1.0]))] += 1
                        continue
                    n = chance.randrange(1, 60)
                    count -= n
                    sent.append(n)
                    delivery = ref.send_batch([fresh(chance) for _ in range(n)], chance.choice([None, *PRIORITIES]))
                    if delivery.outcome == "waiting":
                        delivery.wait(chance.choice([0.0, 0.002, 1.0]))
                except (Fault, SophiaError, RuntimeError) as error:  # of a coroutine that raised StopIteration
                    heard[type(error).__name__] += 1

        async def stop_and_spawn(chance: random.Random) -> None:
            while True:
                await asyncio.sleep(0.02)
                place = chance.randrange(len(refs))
                old, refs[place] = refs[place], spawn()
                await organs.stop(old, 0.05, drain=chance.random() < 0.5)

        threads = [
            threading.Thread(target=send_from_a_thread, args=(messages // 5, random.Random(seed + n))) for n in range(2)
        ]
        for thread in threads:
            thread.start()
        stopping = asyncio.create_task(stop_and_spawn(random.Random(seed)))
        await asyncio.gather(*(send_from_the_loop(messages // 5, random.Random(seed + 10 + n)) for n in range(3)))
        while any(thread.is_alive() for thread in threads):
            await asyncio.sleep(0.001)
        ended.set()
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        report = await organs.shutdown(20.0)
        assert report.hung == ()
        counted = adds_up(organs)
        assert counted["sent"] == sum(sent) >= 0.9 * messages
        taken = sum(takers, Counter())
        assert counted["handled"] == taken.total()
        assert counted["waiting"] == counted["running"] == 0
        assert taken["raise"] > 10
        assert heard["AskTimeout"]
        assert heard["MailboxFull"]
        organs.events.clear()

    logger = logging.getLogger("sophia.actors")
    before, logger.disabled = logger.disabled, True
    try:
        play(main, loop=asyncio.new_event_loop())
    finally:
        logger.disabled = before
    gc.collect()
    assert Message.alive == 0
    assert threads_of_actors() == []


def test_a_hundred_thousand_messages():
    storm(100_000, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_million_messages(seed):
    storm(1_000_000, 100 + seed)


@pytest.mark.parametrize("blocking", [False, True])
def test_a_mailbox_that_is_always_nearly_empty_forgets_nobody(blocking):
    """Each message may find its actor just falling asleep."""

    class Last(Actor):
        def handle(self, message: int) -> None:
            seen.append(message)

    seen: list[int] = []

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Last, blocking=blocking)

        def send() -> None:
            for n in range(20_000):
                ref.tell(n) or pytest.fail("no room")
                if n % 3 == 0:
                    ref.call(-1)

        thread = threading.Thread(target=send)
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.002)
        await organs.shutdown()

    play(main, loop=asyncio.new_event_loop())
    assert [n for n in seen if n >= 0] == list(range(20_000))

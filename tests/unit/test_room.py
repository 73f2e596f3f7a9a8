# Over 600 lines: all that becomes of a message for which there is no room.
"""Room in a mailbox: who waits for it, what becomes of messages that find none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading

import pytest
from stage import Echo, Recorder, adds_up, gated, play, turns

from sophia._core.mailbox import OVERFLOWS
from sophia.actors import Actor, Orchestrator
from sophia.errors import ActorStopped, DeadlockError, MailboxFull

pytestmark = pytest.mark.messages


@pytest.mark.parametrize("capacity", [0, 1, 3, -4, 2**21])
def test_a_capacity_is_a_power_of_two(capacity):
    async def main():
        with pytest.raises(ValueError, match="power of two"):
            Orchestrator().spawn(Echo, capacity=capacity)

    play(main)


@pytest.mark.parametrize("options", [{"overflow": "hope"}, {"priority": "urgent"}])
def test_unknown_words_are_refused(options):
    async def main():
        organs = Orchestrator()
        with pytest.raises(ValueError, match="choose one of"):
            organs.spawn(Echo, **options)
        assert organs.names == []
        with pytest.raises(ValueError, match="choose one of"):
            organs.spawn(Echo).tell(1, "urgent")

    play(main)


def test_senders_wait_for_room_in_the_order_in_which_they_awaited():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        assert [ref.tell(n).outcome for n in range(2)] == ["accepted"] * 2
        first, second = ref.tell("first"), ref.tell("second")
        assert first.outcome == second.outcome == "waiting"
        assert not first

        async def send(delivery):
            return (await delivery).outcome

        tasks = [asyncio.create_task(send(delivery)) for delivery in (second, first)]
        await turns()
        counted = organs.counts()
        assert (counted["sent"], counted["waiting"], counted["refused"]) == (4, 4, 0)
        opened.set()
        assert await asyncio.gather(*tasks) == ["accepted"] * 2
        await turns()
        assert seen == [0, 1, "second", "first"]

    play(main)


def test_nobody_overtakes_those_who_wait_for_room():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        tasks = []
        for n in range(20):

            async def send(n=n):
                return await ref.tell(n)

            tasks.append(asyncio.create_task(send()))
        await turns()
        answer = ref.ask("asked")
        opened.set()
        assert await answer == "asked"
        await asyncio.gather(*tasks)
        assert seen == [*range(20), "asked"]

    play(main)


def test_what_is_never_awaited_is_refused_also_when_it_is_kept():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        kept = [ref.tell(n) for n in range(5)]
        batch = ref.send_batch(range(10))
        assert (batch.outcome, batch.accepted) == ("waiting", 0)
        assert organs.counts()["refused"] == 13
        adds_up(organs)
        opened.set()
        await turns()
        assert seen == [0, 1]
        await organs.shutdown()
        adds_up(organs)
        late = await kept[4]  # there is nobody any more
        assert late.outcome == "stopped"
        assert organs.counts()["refused"] == 13

    play(main)


def test_nobody_overtakes_those_who_wait_where_there_is_room_for_a_moment():
    """In the middle of a turn there is room, and the line has not moved yet."""

    async def main():
        organs, seen = Orchestrator(), []

        class Late(Recorder):
            def handle(self, message):
                super().handle(message)
                if message == 0:
                    delivery = self.ref.tell("late")
                    assert delivery.outcome == "waiting"
                    task.append(asyncio.ensure_future(asyncio.wait_for(delivery, 60.0)))

        task: list = []
        ref = organs.spawn(lambda: Late(seen), capacity=2)
        await turns()
        ref.send_batch([0, 1])
        first = ref.ask("first")
        await first
        await task[0]
        await turns()
        assert seen == [0, 1, "first", "late"]

    play(main)


def test_a_cancelled_sender_has_sent_nothing():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])

        async def send(n):
            await ref.tell(n)

        tasks = [asyncio.create_task(send(n)) for n in (2, 3, 4)]
        await turns()
        tasks[1].cancel()
        await turns()
        opened.set()
        await turns(10)
        assert seen == [0, 1, 2, 4]
        assert tasks[1].cancelled()
        assert organs.counts()["refused"] == 1

    play(main)


@pytest.mark.parametrize("steps", range(8))
def test_a_sender_that_is_cancelled_as_room_is_made_has_sent_or_not(steps):
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])

        async def send():
            await ref.tell("late")

        task = asyncio.create_task(send())
        await turns()
        opened.set()
        await turns(steps)
        cancelled = task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() == cancelled
        await turns(9)
        assert seen in ([0, 1], [0, 1, "late"])
        assert adds_up(organs)["refused"] == 3 - len(seen)
        assert cancelled or len(seen) == 3

    play(main)


def test_a_sender_that_is_cancelled_in_the_turn_in_which_its_message_is_taken():
    """The message is sent, and the cancellation is not lost."""

    async def main():
        organs, tasks = Orchestrator(), []

        class Cancels(Recorder):
            def handle(self, message):
                super().handle(message)
                if message == "taken":  # who sent it has not heard of that yet
                    outcomes.append((deliveries[0].outcome, tasks[0].done()))
                    tasks[0].cancel()

        seen, outcomes = [], []
        ref = organs.spawn(lambda: Cancels(seen), capacity=2)
        ref.send_batch([0, 1])
        deliveries = [ref.tell("taken")]

        async def send():
            await deliveries[0]

        tasks.append(asyncio.create_task(send()))
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()
        assert outcomes == [("accepted", False)]
        assert (seen, adds_up(organs)["refused"]) == ([0, 1, "taken"], 0)

    play(main)


def test_a_delivery_may_be_awaited_twice_and_where_there_was_room():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        assert (await ref.tell(0)).outcome == "accepted"
        assert (await ref.send_batch([1])).accepted == 1
        delivery = ref.tell(2)
        task = asyncio.create_task(asyncio.wait_for(delivery, 9))
        await turns()
        opened.set()
        assert await task is delivery
        assert await delivery is delivery
        assert delivery
        await turns()
        assert seen == [0, 1, 2]

    play(main)


def test_room_is_given_while_an_awaited_handler_works_through_the_rest():
    async def main():
        organs = Orchestrator()
        seen = []

        class Slow(Actor):
            async def handle(self, message):
                await asyncio.sleep(1.0)
                seen.append(message)

        ref = organs.spawn(Slow, capacity=8)
        await turns()
        for n in range(9):
            assert ref.tell(n)
            await turns()
        start = asyncio.get_running_loop().time()
        await ref.tell(9)
        assert asyncio.get_running_loop().time() - start < 1.5
        await organs.shutdown(60)
        assert seen == list(range(10))

    play(main)


def test_those_who_wait_for_room_are_let_in_after_a_restart():
    """The last message that had room fails: nobody else would look for those in the line."""

    async def main():
        organs, seen = Orchestrator(), []
        ref = organs.spawn(lambda: Recorder(seen), capacity=2)
        error = ValueError("no")
        ref.send_batch([1, error])
        await ref.tell(3)
        await asyncio.sleep(1.0)
        assert seen == [1, error, 3]

    play(main)


@pytest.mark.parametrize("drain", [True, False])
def test_stop_while_senders_wait(drain):
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])
        told = asyncio.ensure_future(asyncio.wait_for(ref.tell(2), 60))
        await turns()
        asked = ref.ask(3)
        await turns()
        stop = asyncio.create_task(organs.stop(ref, 5.0, drain=drain))
        await turns()
        assert ref.tell("late").outcome == "stopped"
        opened.set()
        if drain:
            await stop
            assert seen == [0, 1, 2, 3]
            assert await asked == 3
            assert (await told).outcome == "accepted"
        else:
            await stop
            assert seen == []
            with pytest.raises(ActorStopped):
                await asked
            assert (await told).outcome == "stopped"
        assert organs.counts()["dead"] == (1 if drain else 5)

    play(main)


def test_fail_raises_at_the_sender():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2, overflow="fail")
        ref.send_batch([0, 1])
        with pytest.raises(MailboxFull, match="gated"):
            ref.tell(2)
        with pytest.raises(MailboxFull):
            await ref.ask(3)
        batch = ref.send_batch([4, 5])
        assert (batch.outcome, batch.accepted, bool(batch)) == ("dropped", 0, False)
        opened.set()
        await turns()
        assert seen == [0, 1]
        assert organs.counts()["refused"] == 4

    play(main)


def test_drop_new():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2, overflow="drop_new")
        assert [ref.tell(n).outcome for n in range(4)] == ["accepted"] * 2 + ["dropped"] * 2
        with pytest.raises(MailboxFull):
            await ref.ask(4)
        assert (await ref.tell(5)).outcome == "dropped"
        opened.set()
        await turns()
        assert seen == [0, 1]
        assert organs.counts()["refused"] == 4

    play(main)


def test_drop_old_of_the_same_priority():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2, overflow="drop_old")
        asked = ref.ask(0)
        assert [ref.tell(n).outcome for n in range(1, 4)] == ["accepted"] * 3
        with pytest.raises(ActorStopped, match="newer"):
            await asked
        batch = ref.send_batch(range(10, 15))
        assert (batch.outcome, batch.accepted) == ("accepted", 5)
        assert ref.tell("high", "high")
        opened.set()
        await turns()
        assert seen == ["high", 13, 14]
        assert [letter.message for letter in organs.dead_letters.kept] == [0, 1, 2, 3, 10, 11, 12]

    play(main)


def test_who_hears_of_a_dropped_message_may_stop_its_actor():
    async def main():
        organs = Orchestrator()
        ref, _seen, opened = gated(organs, capacity=2, overflow="drop_old")
        organs.dead_letters.subscribe(lambda _: ref.stop())
        assert [ref.tell(n).outcome for n in range(4)] == ["accepted"] * 2 + ["stopped"] * 2
        opened.set()
        await ref.stopped()
        adds_up(organs)

    play(main)


def test_dead_letter_policy():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2, overflow="dead_letter")
        assert [ref.tell(n).outcome for n in range(3)] == ["accepted"] * 2 + ["dead"]
        with pytest.raises(MailboxFull, match="full"):
            await ref.ask(3)
        assert ref.send_batch([4, 5]).outcome == "dead"
        opened.set()
        await turns()
        assert seen == [0, 1]
        assert [letter.message for letter in organs.dead_letters.kept] == [2, 3, 4, 5]

    play(main)


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_a_handler_that_tells_one_that_is_full_goes_on(overflow, blocking):
    """What became of it is a result: who is slow is the other."""

    async def main():
        organs, outcomes = Orchestrator(), []
        full, seen, opened = gated(organs, capacity=2, overflow=overflow)

        class Sends(Actor):
            def handle(self, message):
                try:
                    outcomes.append(full.tell(message).outcome)
                except MailboxFull:
                    outcomes.append("full")

        ref = organs.spawn(Sends, blocking=blocking)
        ref.send_batch(range(3))
        assert await ref.ask(3) is None
        what = {"wait": "waiting", "fail": "full", "drop_new": "dropped", "drop_old": "accepted", "dead_letter": "dead"}
        assert outcomes == ["accepted"] * 2 + [what[overflow]] * 2
        assert (ref.restarts, organs.counts()["failed"]) == (0, 0)
        opened.set()
        await turns()
        assert seen == ([2, 3] if overflow == "drop_old" else [0, 1])

    play(main, patience=0.5 if blocking else 0.0)


class Load:
    """How many there are."""

    alive = 0

    def __init__(self):
        Load.alive += 1

    def __del__(self):
        Load.alive -= 1


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_a_sender_that_is_always_faster_fills_the_mailbox_and_no_more(overflow):
    async def main():
        organs, most = Orchestrator(keep_dead=0), 0

        class Slow(Actor):
            async def handle(self, message):
                await asyncio.sleep(0.01)

        ref = organs.spawn(Slow, capacity=16, overflow=overflow)
        for _ in range(5000):
            try:
                delivery = ref.tell(Load())
            except MailboxFull:
                await turns(1)
            else:
                await (delivery if overflow == "wait" else asyncio.sleep(0))
            most = max(most, Load.alive)
            assert most <= 16 + 3  # one is handled, one is sent
        counted = organs.counts()
        assert most >= 16
        assert (counted["sent"], len(ref.mailbox)) == (5000, 16)
        organs._cells[ref.name].cut()

    play(main)
    assert Load.alive == 0


def test_questions_that_wait_for_room_are_bounded_too():
    async def main():
        organs = Orchestrator()
        ref, _, _ = gated(organs, capacity=2)
        asked = [ref.ask(n, 1e6) for n in range(2 + 65_536)]
        with pytest.raises(MailboxFull, match="65536 senders already wait"):
            await ref.ask("one more", 1e6)
        assert organs.counts()["waiting"] == len(asked)
        organs._cells["gated"].cut()
        await asyncio.sleep(60.0)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ActorStopped}

    play(main)


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_broadcast_never_waits_or_raises(overflow):
    async def main():
        organs = Orchestrator()
        gated(organs, capacity=2, overflow=overflow)
        organs.spawn(Echo, "echo")
        organs.spawn(Echo, "words", accepts=[str])
        outcomes = [organs.broadcast_to_all(n) for n in range(3)]
        assert outcomes[0] == {"gated": "accepted", "echo": "accepted", "words": "not accepted"}
        full = {"wait": "full", "fail": "full", "drop_new": "dropped", "drop_old": "accepted", "dead_letter": "dead"}
        assert outcomes[2]["gated"] == full[overflow]
        organs._cells["gated"].cut()

    play(main)


def test_a_thread_waits_for_room():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])
        results: list = []

        def send() -> None:
            results.append(ref.tell("no room").wait(0.02))
            delivery = ref.tell("later")
            results.append("waits")
            results.append(delivery.wait(10.0))
            results.append(delivery.wait())
            results.append(ref.send_batch(range(2, 12)).wait(10.0))

        thread = threading.Thread(target=send)
        thread.start()
        while "waits" not in results:
            await asyncio.sleep(0.001)
        with pytest.raises(DeadlockError, match="await"):
            ref.tell(0).wait(1.0)
        opened.set()
        while thread.is_alive():
            await asyncio.sleep(0.001)
        await turns()
        assert results == [False, "waits", True, True, True]
        assert seen == [0, 1, "later", *range(2, 12)]
        assert organs.counts()["refused"] == 2

    play(main, loop=asyncio.new_event_loop())


def test_the_loop_does_not_wait_in_a_blocking_way_for_a_thread_of_its_actors():
    async def main():
        organs, free = Orchestrator(), threading.Event()

        class Busy(Actor):
            def handle(self, message):
                free.wait(10.0)

        ref = organs.spawn(Busy, blocking=True, capacity=2)
        while (delivery := ref.tell(1)).outcome == "accepted":
            await turns(1)
        with pytest.raises(DeadlockError, match="await"):
            delivery.wait(1.0)
        free.set()

    play(main, patience=0.02)


def test_waiting_for_room_with_oneself_is_told_at_once():
    async def main():
        organs = Orchestrator()

        class Self(Actor):
            async def handle(self, message):
                if message == "fill":
                    while True:
                        await self.ref.tell("more")

        ref = organs.spawn(Self, capacity=2)
        with pytest.raises(DeadlockError, match="itself"):
            await ref.ask("fill")

    play(main)


def test_two_that_wait_for_room_with_each_other_are_told_at_once():
    async def main():
        organs = Orchestrator()

        class Pair(Actor):
            other = None

            async def handle(self, message):
                if message == "go":
                    await asyncio.sleep(1.0)
                    while True:
                        await self.other.tell("more")
                await asyncio.sleep(100.0)

        one, two = Pair(), Pair()
        refs = [organs.spawn(actor, capacity=2) for actor in (one, two)]
        one.other, two.other = refs[1], refs[0]
        answers = [ref.ask("go", 50) for ref in refs]
        done, late = await asyncio.wait(answers, timeout=10.0)
        assert len(done) == 1
        assert isinstance(done.pop().exception(), DeadlockError)
        for ref in refs:
            organs._cells[ref.name].cut()
        await asyncio.wait(late)
        assert isinstance(late.pop().exception(), ActorStopped)

    play(main)


@pytest.mark.memory
@pytest.mark.skipif(sys.platform != "linux", reason="limits its own address space")
def test_no_memory_for_a_ring_is_an_error_and_no_hang():
    code = """
        import asyncio, resource
        from sophia.actors import Actor, Orchestrator

        class Echo(Actor):
            def handle(self, message):
                return message

        async def main():
            async with Orchestrator() as organs:
                ref = organs.spawn(Echo, capacity=2**20)
                await asyncio.sleep(0)
                pages = int(open("/proc/self/statm").read().split()[0])
                before = resource.getrlimit(resource.RLIMIT_AS)
                resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (16 << 20), before[1]))
                for send in (ref.tell, ref.ask, lambda m: ref.send_batch([m])):
                    try:
                        send(1)
                    except MemoryError:
                        print("no memory")
                resource.setrlimit(resource.RLIMIT_AS, before)
                print(await ref.ask("again"), organs.counts()["sent"])

        asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.split("\n") == ["no memory"] * 3 + ["again 1", ""], ended.stderr

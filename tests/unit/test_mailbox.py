"""What is sent: room, order, priorities, batches, and what is told to senders."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from stage import Echo, Recorder, adds_up, play, turns

from sophia._core.mailbox import OVERFLOWS, PRIORITIES
from sophia.actors import Actor, Orchestrator, handles
from sophia.errors import ActorStopped, AskTimeout, DeadlockError, MailboxFull

pytestmark = pytest.mark.messages


class Gate(Recorder):
    """Starts when it is told to: until then its mailbox fills."""

    def __init__(self, seen: list, opened: asyncio.Event) -> None:
        super().__init__(seen)
        self.opened = opened

    async def on_start(self) -> None:
        await self.opened.wait()


def gated(organs: Orchestrator, **options):
    """An actor that has not started, what it will handle, and what starts it."""
    seen, opened = [], asyncio.Event()
    return organs.spawn(lambda: Gate(seen, opened), "gated", **options), seen, opened


# Room


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


# Order and priorities


def test_the_more_urgent_comes_first_and_equals_in_order():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs)
        for n in range(3):
            for priority in reversed(PRIORITIES):
                ref.tell((priority, n), priority)
        opened.set()
        await turns()
        assert seen == [(priority, n) for priority in PRIORITIES for n in range(3)]

    play(main)


def test_background_is_handled_after_64_more_urgent_ones():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs)
        ref.send_batch(["background"] * 3, "background")
        ref.send_batch(["medium"] * 2)
        ref.send_batch(["critical"] * 400, "critical")
        opened.set()
        await turns(20)
        places = {word: [i for i, one in enumerate(seen) if one == word] for word in ("medium", "background")}
        assert places == {"medium": [64, 130], "background": [65, 131, 196]}

    play(main)


def test_control_overtakes_all_whatever_waits():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs)
        ref.send_batch(["background"] * 2, "background")
        ref.send_batch(["control"] * 500, "control")
        opened.set()
        await turns(20)
        assert seen == ["control"] * 500 + ["background"] * 2

    play(main)


@pytest.mark.parametrize("batches", [False, True])
def test_critical_waits_for_64_background_messages_at_most(batches):
    async def main():
        organs, seen = Orchestrator(), []

        class Log(Actor):
            def handle(self, message):
                seen.append(message)

        if batches:
            Log.handle_batch = lambda self, messages: seen.extend(messages)
        ref = organs.spawn(Log)
        await turns()
        ref.send_batch(["background"] * 1000, "background")
        for _ in range(5):
            await turns(1)
            before = len(seen)
            ref.tell("critical", "critical")
            while "critical" not in seen[before:]:
                await turns(1)
            assert seen.index("critical", before) - before <= 64

    play(main)


def test_critical_actors_go_first_and_background_ones_still_go():
    """Across the actors of one loop: the share of the one in the background is over one in a hundred."""

    async def main():
        organs, seen = Orchestrator(), []

        class Flood(Actor):
            def handle(self, message):
                seen.append("critical")
                self.ref.tell(message)

        class Calm(Actor):
            def handle(self, message):
                seen.append("background")

        calm = organs.spawn(Calm, priority="background")
        await turns()
        floods = [organs.spawn(Flood, priority="critical") for _ in range(3)]
        await turns()
        for flood in floods:
            flood.send_batch(range(10))
        calm.send_batch(range(500))
        await turns(20)
        assert seen[:64] == ["critical"] * 64
        share = seen.count("background") / len(seen)
        assert 0.01 <= share <= 0.05
        gaps = [i for i, one in enumerate(seen) if one == "background"]
        assert max(b - a for a, b in itertools.pairwise(gaps)) <= 130
        for flood in floods:
            organs._cells[flood.name].cut()

    play(main)


def test_a_flood_leaves_the_loop_its_turns():
    async def main():
        organs, seen = Orchestrator(), []

        class Flood(Actor):
            def handle(self, message):
                seen.append(message)
                self.ref.tell(message)

        class Waiting(Actor):
            async def handle(self, message):
                seen.append(message)
                self.ref.tell(message)

        refs = [organs.spawn(kind) for kind in (Flood, Waiting)]
        await turns()
        for ref in refs:
            ref.tell(ref.name)
        for _ in range(50):
            before = len(seen)
            await turns(1)
            assert len(seen) - before <= 512 + 65  # of a turn, and of the task of the one that is awaited
        assert seen.count("flood") > 1000
        assert seen.count("waiting") > 1000
        for ref in refs:
            organs._cells[ref.name].cut()

    play(main)


# Batches


class Batcher(Actor):
    def __init__(self, batches: list) -> None:
        self.batches = batches

    def handle(self, message):
        self.batches.append([message])
        return message

    def handle_batch(self, messages):
        self.batches.append(messages)
        return [ValueError(message) if message == "bad" else message for message in messages]


def test_a_batch_wakes_once_and_is_handled_in_batches_in_order():
    async def main():
        organs, batches = Orchestrator(), []
        ref = organs.spawn(lambda: Batcher(batches))
        await turns()
        before = ref.mailbox.counts()
        delivery = ref.send_batch(range(200))
        assert (delivery.outcome, delivery.accepted) == ("accepted", 200)
        await turns(5)
        after = ref.mailbox.counts()
        assert [len(batch) for batch in batches] == [64, 64, 64, 8]
        assert [one for batch in batches for one in batch] == list(range(200))
        assert after["wakeups"] - before["wakeups"] == 1
        assert after["batches"] - before["batches"] == 4

    play(main)


def test_64_in_a_batch_cost_a_tenth_of_the_wake_ups_of_64_tells():
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Recorder)
        await turns()

        async def cost(send):
            before = ref.mailbox.wakeups
            await send()
            await turns()
            return ref.mailbox.wakeups - before

        async def batch():
            ref.send_batch(range(64))

        async def tells():
            for n in range(64):
                ref.tell(n)
                await turns()

        assert await cost(tells) >= 10 * await cost(batch)

    play(main)


def test_one_bad_message_of_a_batch_fails_alone():
    async def main():
        organs, batches = Orchestrator(), []
        ref = organs.spawn(lambda: Batcher(batches))
        answers = [ref.ask(message) for message in ("a", "bad", "c")]
        results = await asyncio.gather(*answers, return_exceptions=True)
        assert batches == [["a", "bad", "c"]]
        assert results[0::2] == ["a", "c"]
        assert isinstance(results[1], ValueError)
        assert organs.counts()["failed"] == 1

    play(main)


@pytest.mark.parametrize("result", [3, [1], "ab", (1, 2, 3)])
def test_a_batch_handler_that_gives_something_else_fails(result):
    async def main():
        organs = Orchestrator()

        class Wrong(Batcher):
            def handle_batch(self, messages):
                return result

        ref = organs.spawn(lambda: Wrong([]))
        answers = await asyncio.gather(ref.ask(1), ref.ask(2), return_exceptions=True)
        assert all(isinstance(one, TypeError) for one in answers)

    play(main)


def test_a_batch_handler_may_be_a_coroutine():
    async def main():
        organs, batches = Orchestrator(), []

        class Later(Batcher):
            async def handle_batch(self, messages):
                await asyncio.sleep(1.0)
                return super().handle_batch(messages)

        ref = organs.spawn(lambda: Later(batches))
        results = await asyncio.gather(*map(ref.ask, range(100)))
        assert results == list(range(100))
        assert [len(batch) for batch in batches] == [64, 36]
        assert organs.counts()["running"] == 0

    play(main)


def test_messages_of_a_kind_that_is_not_taken_are_named_and_the_rest_goes():
    async def main():
        organs = Orchestrator()
        seen: list = []
        ref = organs.spawn(lambda: Recorder(seen), accepts=[int])
        delivery = ref.send_batch([1, "two", 3, None])
        assert delivery.accepted == 2
        assert [(i, type(error)) for i, error in delivery.errors] == [(1, TypeError), (3, TypeError)]
        assert not delivery
        await turns()
        assert seen == [1, 3]
        assert ref.send_batch([]).outcome == "accepted"
        assert ref.send_batch(n for n in range(2)).accepted == 2
        assert organs.counts()["sent"] == 4

    play(main)


def test_a_batch_takes_no_more_than_there_is_room_for():
    async def main():
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=64)
        delivery = ref.send_batch(range(200))
        assert (delivery.outcome, delivery.accepted) == ("waiting", 64)
        opened.set()
        assert (await delivery).accepted == 200
        await turns()
        assert seen == list(range(200))

    play(main)


# Kinds


def test_kinds_of_messages():
    async def main():
        organs = Orchestrator()

        class Typed(Actor):
            @handles(int, float)
            def number(self, message):
                return "number"

            @handles(str)
            def word(self, message):
                return "word"

        class More(Typed):
            @handles(bytes)
            def raw(self, message):
                return "bytes"

            def word(self, message):
                return "more words"

        typed, more = organs.spawn(Typed), organs.spawn(More)
        assert await typed.ask(1) == "number"
        assert await typed.ask(True) == "number"
        assert await typed.ask("a") == "word"
        with pytest.raises(TypeError, match="takes int, float, str, and no bytes"):
            typed.tell(b"")
        with pytest.raises(TypeError):
            typed.ask(b"")
        assert await more.ask(b"") == "bytes"
        assert await more.ask("a") == "more words"
        any_kind = organs.spawn(Typed, accepts=[object])
        with pytest.raises(TypeError, match="Typed handles no bytes"):
            await any_kind.ask(b"")
        assert organs.counts()["sent"] == 6

    play(main)


# Threads that send


def test_threads_send_and_each_keeps_its_order():
    async def main():
        organs, seen = Orchestrator(), []
        ref = organs.spawn(lambda: Recorder(seen), capacity=64)

        def send(who: int) -> None:
            for n in range(500):
                if not (delivery := ref.tell((who, n))):
                    assert delivery.wait(30.0)

        threads = [threading.Thread(target=send, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            await asyncio.sleep(0.002)
        await organs.shutdown()
        for who in range(4):
            assert [n for sender, n in seen if sender == who] == list(range(500))

    play(main, loop=asyncio.new_event_loop())


def test_a_thread_calls():
    async def main():
        organs = Orchestrator()
        released = asyncio.Event()

        class Slow(Actor):
            async def handle(self, message):
                if message == "hang":
                    try:
                        await released.wait()
                    except asyncio.CancelledError:
                        cancelled.append(threading.current_thread())
                        raise
                return message

        cancelled: list = []
        ref = organs.spawn(Slow)
        result: list = []

        def call() -> None:
            result.append(ref.call(1))
            try:
                ref.call("hang", 0.05)
            except AskTimeout as error:
                result.append(str(error))
            result.append(ref.call(2))
            try:
                ref.ask(3)
            except RuntimeError as error:
                result.append(str(error))

        thread = threading.Thread(target=call)
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.005)
        assert result[0::2] == [1, 2]
        assert "still handling" in result[1]
        assert "call()" in result[3]
        assert cancelled == [threading.main_thread()]
        with pytest.raises(DeadlockError, match="ask"):
            ref.call(1)

    loop = asyncio.new_event_loop()
    loop.set_debug(True)  # which tells of calls from a wrong thread
    play(main, loop=loop)


def test_a_call_that_timed_out_wakes_the_loop_to_cancel():
    """Nothing else happens on the loop: it sleeps until the thread says something."""

    async def main():
        organs = Orchestrator()
        over = asyncio.Event()

        class Slow(Actor):
            async def handle(self, message):
                try:
                    await asyncio.Event().wait()
                finally:
                    over.set()

        ref = organs.spawn(Slow)
        await turns()

        def call() -> None:
            with pytest.raises(AskTimeout):
                ref.call(1, 0.05)

        thread = threading.Thread(target=call)
        thread.start()
        await over.wait()
        thread.join()

    play(main, patience=2.0)


@pytest.mark.parametrize("sender", ["tell", "call"])
def test_after_the_loop_is_closed_nothing_is_taken_and_nobody_waits(sender):
    def keep():
        async def main():
            organs = Orchestrator()
            ref = organs.spawn(Echo)
            assert await ref.ask(1) == 1
            # no shutdown: the loop ends under it
            return organs, ref

        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(main())
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel = lambda *_: True  # the loop closes over the life of the actor
                task._log_destroy_pending = False
            loop.close()

    organs, ref = keep()
    if sender == "tell":
        ref.tell(2)
        assert ref.tell(3).outcome == "stopped"
    else:
        result: list = []

        def call() -> None:
            start = time.monotonic()
            for _ in range(2):
                try:
                    ref.call(2, 60.0)
                except ActorStopped as error:
                    result.append(error)
            result.append(time.monotonic() - start)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join(30.0)
        assert len(result) == 3
        assert result[2] < 20.0
    adds_up(organs)
    assert organs.counts()["dead"] == 2
    ref.stop()

"""What is sent: order, priorities, batches, kinds of messages, threads that send."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading

import pytest
from stage import Echo, Recorder, adds_up, gated, play, turns

from sophia._core.mailbox import PRIORITIES, Mailbox, Runner
from sophia._core.runner import LoopRunner
from sophia._core.wheel import TimerWheel
from sophia.actors import Actor, Orchestrator, handles
from sophia.errors import ActorStopped, AskTimeout, DeadlockError

pytestmark = pytest.mark.messages


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
            for _ in range(2):
                try:
                    ref.call(2, 3600.0)
                except ActorStopped as error:
                    result.append(error)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(30.0)
        assert not thread.is_alive()
        assert len(result) == 2
    adds_up(organs)
    assert organs.counts()["dead"] == 2
    ref.stop()


@pytest.mark.parametrize(
    ("how", "blocking"),
    [(how, blocking) for how in ("tells", "a batch") for blocking in (False, True)]
    + [(how, False) for how in ("awaited tells", "an awaited batch")],
)
def test_a_batch_that_is_sent_on_waits_for_room(how, blocking):
    """What a handler gives of what it sent on is waited for, whatever it is; the slower organ slows the faster."""
    arrived = []

    class Sink(Actor):
        async def handle(self, message):
            await asyncio.sleep(1e-4)
            arrived.append(message)

    class Middle(Actor):
        def handle_batch(self, messages):
            ref = self.orchestrator.ref("sink")
            return ref.send_batch(messages) if "batch" in how else [ref.tell(message) for message in messages]

    class Awaiting(Middle):
        async def handle_batch(self, messages):
            return super().handle_batch(messages)

    async def main():
        async with Orchestrator() as organs:
            organs.spawn(Sink, "sink", capacity=4)
            middle = organs.spawn(Awaiting if "awaited" in how else Middle, "middle", capacity=64, blocking=blocking)
            for alone in range(30):
                await middle.tell(alone)
                if alone % 3 == 0:
                    await asyncio.sleep(1e-3)
            for start in range(30, 300, 30):
                await middle.send_batch(range(start, start + 30))
            answer = await middle.ask(300)
            assert "batch" in how or answer.outcome == "accepted"
            await organs.stop(middle)
            await organs.stop("sink")
        return organs

    organs = play(main, loop=asyncio.new_event_loop())
    assert arrived == list(range(301))
    counted = adds_up(organs)
    assert counted["refused"] == counted["dead"] == counted["failed"] == 0


def test_what_is_made_by_others_is_not_made_directly():
    with pytest.raises(TypeError, match="LoopRunner"):
        Runner()
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        runner = LoopRunner(loop)
        with pytest.raises(TypeError, match="make an Inbox"):
            Mailbox("name", runner, runner, TimerWheel(loop), on_dead=print)

"""Those who wait for room, together or no more: one delivery may have many; who leaves takes nothing from others."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from typing import Any

import pytest
from stage import Recorder, adds_up, gated, play, turns

from sophia._core.mailbox import Delivery
from sophia.actors import Actor, Orchestrator, Terminated

pytestmark = pytest.mark.messages


async def outcome(delivery: Delivery) -> str:
    return (await delivery).outcome


@pytest.mark.parametrize("first", [False, True])
def test_a_coroutine_that_is_cancelled_takes_nothing_from_a_thread_that_waits_with_it(first: bool) -> None:
    async def main() -> None:
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])
        delivery, got, ended = ref.tell(2), [], threading.Event()

        def wait() -> None:
            got.append(delivery.wait(60))
            ended.set()

        thread = threading.Thread(target=wait, daemon=True)
        task = asyncio.create_task(outcome(delivery))
        if first:
            await turns()
        thread.start()
        while organs.counts()["refused"] or organs.counts()["waiting"] < 3:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)  # whatever the thread does meanwhile
        task.cancel()
        await asyncio.wait({task})
        assert delivery.outcome == "waiting"
        opened.set()
        assert await asyncio.to_thread(ended.wait, 10)
        assert (got, delivery.outcome, task.cancelled()) == ([True], "accepted", True)
        await organs.stop(ref)
        assert (seen, adds_up(organs)["refused"]) == ([0, 1, 2], 0)

    play(main, loop=asyncio.new_event_loop())


@pytest.mark.parametrize("leaves", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("batch", [False, True])
def test_of_two_tasks_that_await_one_delivery_each_may_leave_for_itself(leaves: tuple[int, ...], batch: bool) -> None:
    async def main() -> None:
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])
        delivery = ref.send_batch([2]) if batch else ref.tell(2)
        tasks = [asyncio.create_task(outcome(delivery)) for _ in range(2)]
        await turns()
        for number in leaves:
            tasks[number].cancel()
        await turns()
        left = set(leaves) == {0, 1}
        assert delivery.outcome == ("dropped" if left else "waiting")
        opened.set()
        await asyncio.wait(tasks)
        for number, task in enumerate(tasks):
            assert task.cancelled() == (number in leaves)
            assert task.cancelled() or task.result() == "accepted"
        assert await outcome(delivery) == ("dropped" if left else "accepted")
        await organs.stop(ref)
        assert (seen, adds_up(organs)["refused"]) == (([0, 1], 1) if left else ([0, 1, 2], 0))

    play(main)


def test_a_coroutine_that_is_closed_takes_its_message_with_it_and_leaves_nothing() -> None:
    async def main() -> None:
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])
        delivery = ref.tell(2)
        for _ in range(3):
            steps = outcome(delivery)
            if delivery.outcome == "waiting":
                steps.send(None)
            steps.close()
        assert delivery.outcome == "dropped"
        opened.set()
        await turns()
        assert (seen, adds_up(organs)["refused"]) == ([0, 1], 1)

    play(main)


def test_a_thread_that_waits_no_more_takes_nothing_from_a_coroutine() -> None:
    async def main() -> None:
        organs = Orchestrator()
        ref, _, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])
        delivery = ref.tell(2)
        task = asyncio.create_task(outcome(delivery))
        await turns()
        assert await asyncio.to_thread(delivery.wait, 0.0) is False
        assert delivery.outcome == "waiting"
        opened.set()
        assert await task == "accepted"

    play(main, loop=asyncio.new_event_loop())


def test_all_that_wait_are_told_of_the_end() -> None:
    async def main() -> None:
        organs = Orchestrator()
        ref, _, _ = gated(organs, capacity=2)
        ref.send_batch([0, 1])
        delivery = ref.tell(2)
        tasks = [asyncio.create_task(outcome(delivery)) for _ in range(3)]
        thread = asyncio.ensure_future(asyncio.to_thread(delivery.wait, 60))
        await turns()
        tasks[0].cancel()
        await asyncio.sleep(0.05)
        await organs.stop(ref, 0.0, drain=False)
        assert [await task for task in tasks[1:]] == ["stopped"] * 2
        assert await thread is False
        assert adds_up(organs)["dead"] == 3

    play(main, loop=asyncio.new_event_loop())


@pytest.mark.parametrize("kind", ["tell", "batch", "ask"])
def test_those_who_left_fill_no_line(kind: str) -> None:
    class Message:
        pass

    async def main() -> None:
        organs = Orchestrator()
        ref, seen, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])
        await turns()
        held = []
        for _ in range(20):
            tasks = []
            for _ in range(100):
                message = Message()
                held.append(weakref.ref(message))
                if kind == "ask":
                    asked = ref.ask(message, 86400.0)
                    asked.cancel()
                else:
                    sent = ref.tell(message) if kind == "tell" else ref.send_batch([message])
                    tasks.append(asyncio.create_task(outcome(sent)))
                del message
            await turns(1)
            for task in tasks:
                task.cancel()
            await turns()
        sent = task = asked = None
        tasks.clear()
        gc.collect()
        assert sum(one() is not None for one in held) <= 64
        assert len(organs._home.wheel) <= 64
        counts = organs.counts()
        assert counts["refused"] + counts["waiting"] == 2002
        later = ref.ask("later")
        opened.set()
        assert await later == "later"
        assert (seen, len(organs._home.wheel)) == ([0, 1, "later"], 0)
        assert adds_up(organs)["refused"] == 2000

    play(main)


def test_a_line_that_is_full_of_those_who_left_has_room() -> None:
    async def main() -> None:
        organs = Orchestrator()
        ref, _, opened = gated(organs, capacity=2)
        ref.send_batch([0, 1])
        for _ in range(65_600):
            ref.ask("left", 86400.0).cancel()
        task = asyncio.create_task(outcome(ref.tell(2)))
        await turns()
        opened.set()
        assert await task == "accepted"

    play(main)


def test_a_question_that_was_left_has_no_timer_when_its_actor_has_come_to_it() -> None:
    async def main(blocking: bool) -> None:
        organs = Orchestrator()
        opened = threading.Event()

        class Waits(Actor):
            def on_start(self) -> None:
                if blocking:
                    opened.wait(60)

            def handle(self, message: Any) -> Any:
                return message

        ref = organs.spawn(Waits, blocking=blocking)
        for number in range(100):
            ref.ask(number, 86400.0).cancel()
        assert len(organs._home.wheel) >= 100
        opened.set()
        assert await ref.ask("last", 86400.0) == "last"
        await turns()
        assert len(organs._home.wheel) <= 1  # that of the start
        assert adds_up(organs)["dead"] == 100

    play(lambda: main(False))
    play(lambda: main(True), loop=asyncio.new_event_loop())


@pytest.mark.parametrize("overflow", ["wait", "fail", "drop_new", "drop_old", "dead_letter"])
@pytest.mark.parametrize("blocking", [False, True])
def test_who_watches_is_told_of_every_end_though_it_has_no_room(overflow: str, blocking: bool) -> None:
    async def main() -> None:
        organs = Orchestrator()
        told: list[str] = []
        opened = threading.Event()

        class Watcher(Actor):
            def on_start(self) -> None:
                if blocking:
                    opened.wait(60)

            def handle(self, message: Any) -> Any:
                if isinstance(message, Terminated):
                    told.append(message.name)
                return len(told)

        watcher = organs.spawn(Watcher, "watcher", capacity=2, overflow=overflow, blocking=blocking)
        others = [organs.spawn(Recorder, f"other-{number}") for number in range(10)]
        await turns()
        for ref in others:
            ref.watch(watcher)
        for ref in others:
            ref.stop()
        await asyncio.gather(*(ref.stopped() for ref in others))
        opened.set()
        while await watcher.ask("how many", priority="background") < 10:
            await asyncio.sleep(0.01)
        assert told == [f"other-{number}" for number in range(10)]
        assert adds_up(organs)["refused"] == 0

    play(main, loop=asyncio.new_event_loop())


def test_what_a_watcher_has_not_been_told_when_it_ends_is_a_dead_letter() -> None:
    async def main() -> None:
        organs = Orchestrator()
        watcher, _, _ = gated(organs, capacity=2)
        others = [organs.spawn(Recorder) for _ in range(5)]
        await turns()
        for ref in others:
            ref.watch(watcher)
            await organs.stop(ref)
        assert organs.counts()["waiting"] == 5
        await organs.stop(watcher, 0.0, drain=False)
        others.append(organs.spawn(Recorder))
        others[-1].watch(watcher)
        await organs.stop(others[-1])
        assert adds_up(organs)["dead"] == 6

    play(main)


def test_a_broadcast_to_one_that_is_full_says_so_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        organs = Orchestrator()
        _, seen, opened = gated(organs, capacity=2)
        with caplog.at_level(logging.WARNING):
            outcomes = [organs.broadcast_to_all(number)["gated"] for number in range(5)]
            gc.collect()
        assert outcomes == ["accepted"] * 2 + ["full"] * 3
        opened.set()
        await turns()
        assert (seen, adds_up(organs)["refused"]) == ([0, 1], 3)

    play(main)
    assert not caplog.records

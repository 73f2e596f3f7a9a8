# Over 600 lines: what one actor promises, in one file with the clock that all of it is played on.
"""Actors: questions, handlers that are awaited, threads of their own, and what happens around failures."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref

import pytest
from stage import Echo, Recorder, adds_up, play, turns

from sophia.actors import Actor, Orchestrator, Supervision
from sophia.actors.breaker import Breaker
from sophia.errors import ActorStopped, AskTimeout, CircuitOpen, DeadlockError

pytestmark = pytest.mark.messages

BOTH = pytest.mark.parametrize("blocking", [False, True], ids=["loop", "thread"])


class Sleeper(Actor):
    """Sleeps for as long as it is told to, and counts how many of its handlers run at once."""

    def __init__(self, log: list | None = None) -> None:
        self.log = [] if log is None else log
        self.inside = 0

    async def handle(self, message):
        self.inside += 1
        self.log.append(self.inside)
        try:
            await asyncio.sleep(message)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        finally:
            self.inside -= 1
        return message


# Questions


@BOTH
def test_ask_gives_the_answer_or_the_error(blocking):
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Recorder, blocking=blocking)
        assert await ref.ask("a") == "a"
        assert await organs.ask("recorder", None) is None
        with pytest.raises(LookupError, match="no"):
            await ref.ask(LookupError("no"))
        assert await ref.ask("b") == "b"  # whoever asked has heard of it: the actor goes on
        assert (ref.restarts, ref.state) == (0, "running")

    play(main, patience=0.5 if blocking else 0.0)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_nothing_waits_for_ever(timeout):
    async def main():
        with pytest.raises(ValueError, match="positive number"):
            Orchestrator().spawn(Echo).ask(1, timeout)

    play(main)


@BOTH
@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(1), asyncio.CancelledError("x"), GeneratorExit()])
def test_what_no_future_holds_is_told_as_stopped(error, blocking):
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Recorder, blocking=blocking)
        with pytest.raises(ActorStopped, match=type(error).__name__) as caught:
            await ref.ask(error)
        assert caught.value.__cause__ is error

    play(main, patience=0.5 if blocking else 0.0)


def test_a_question_that_still_waits_is_not_handled_after_its_time():
    async def main():
        organs, log = Orchestrator(), []
        ref = organs.spawn(lambda: Sleeper(log))
        first = ref.ask(10.0, 60.0)
        start = asyncio.get_running_loop().time()
        with pytest.raises(AskTimeout, match=r"within 2\.5 s: it had not come"):
            await ref.ask(1.0, 2.5)
        assert asyncio.get_running_loop().time() - start == pytest.approx(2.5, abs=2e-3)
        assert await first == 10.0
        assert await ref.ask(0.0) == 0.0
        assert log == [1, 1]
        assert organs.dead_letters.kept[-1].message == 1.0

    play(main)


def test_the_time_covers_the_wait_for_room():
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Sleeper, capacity=2)
        await turns()
        first = ref.ask(10.0, 60.0)
        await turns()
        ref.send_batch([0.0, 0.0])
        with pytest.raises(AskTimeout):
            await ref.ask(1.0, 2.0)
        assert await first == 10.0
        assert organs.counts()["refused"] == 1

    play(main)


def test_a_handler_that_is_awaited_is_cancelled_when_time_is_up():
    async def main():
        organs, log = Orchestrator(), []
        ref = organs.spawn(lambda: Sleeper(log))
        with pytest.raises(AskTimeout, match="still handling"):
            await ref.ask(100.0, 1.0)
        assert await ref.ask(0.5) == 0.5
        assert log == [1, "cancelled", 1]
        assert ref.restarts == 0
        assert organs.counts()["failed"] == 0

    play(main)


def test_a_handler_that_swallows_its_cancellation_goes_on_and_its_answer_is_late():
    async def main():
        organs = Orchestrator()

        class Stubborn(Actor):
            async def handle(self, message):
                if message == "stubborn":
                    try:
                        await asyncio.sleep(100.0)
                    except asyncio.CancelledError:
                        return "late"
                if message == "own":
                    future = asyncio.get_running_loop().create_future()
                    future.cancel()
                    await future
                return message

        ref = organs.spawn(Stubborn)
        with pytest.raises(AskTimeout):
            await ref.ask("stubborn", 1.0)
        with pytest.raises(ActorStopped, match="CancelledError"):
            await ref.ask("own")
        assert await ref.ask("on") == "on"
        assert organs.counts()["late"] == 1
        # twice: what was cancelled once must not look cancelled for ever
        with pytest.raises(AskTimeout):
            await ref.ask("stubborn", 1.0)
        assert await ref.ask("on") == "on"

    play(main)


def test_a_handler_with_a_time_limit_of_its_own():
    async def main():
        organs = Orchestrator()

        class Careful(Actor):
            async def handle(self, message):
                try:
                    async with asyncio.timeout(1.0):
                        await asyncio.sleep(message)
                except TimeoutError:
                    return "too long"
                return "done"

        ref = organs.spawn(Careful)
        answers = [await ref.ask(seconds, 9.0) for seconds in (0.5, 5.0, 0.5, 5.0)]
        assert answers == ["done", "too long"] * 2

    play(main)


def test_a_handler_that_cancels_its_own_task_ends_alone():
    async def main():
        organs = Orchestrator()

        class Odd(Actor):
            async def handle(self, message):
                if message == "cancel":
                    asyncio.current_task().cancel()
                await asyncio.sleep(0.1)
                return message

        ref = organs.spawn(Odd)
        answers = [ref.ask(message) for message in ("cancel", 1, 2)]
        with pytest.raises(ActorStopped):
            await answers[0]
        assert await asyncio.gather(*answers[1:]) == [1, 2]

    play(main)


def test_a_cancelled_question_is_not_handled():
    async def main():
        organs, log = Orchestrator(), []
        ref = organs.spawn(lambda: Sleeper(log))
        first = ref.ask(1.0)
        second = ref.ask(2.0)
        await turns()
        second.cancel()
        assert await first == 1.0
        await turns()
        assert log == [1]
        assert organs.counts()["dead"] == 1

    play(main)


def test_an_answer_after_the_asker_has_gone_is_counted():
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Sleeper)
        asked = ref.ask(1.0)
        await turns()
        asked.cancel()
        await asyncio.sleep(2.0)
        assert organs.counts()["late"] == 1

    play(main)


@BOTH
@pytest.mark.parametrize("steps", range(8))
def test_who_is_cancelled_at_any_step_of_a_question_is_cancelled(steps, blocking):
    async def main():
        organs, seen = Orchestrator(), []
        ref = organs.spawn(lambda: Recorder(seen), blocking=blocking)
        await ref.ask("first")

        async def ask():
            return await ref.ask("asked")

        task = asyncio.create_task(ask())
        await turns(steps)
        cancelled = task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() == cancelled
        assert cancelled or task.result() == "asked"
        assert await ref.ask("after") == "after"
        counted = adds_up(organs)
        assert (counted["sent"], counted["handled"]) == (2 + (steps > 0), len(seen))
        assert seen in (["first", "after"], ["first", "asked", "after"])

    play(main, patience=0.5 if blocking else 0.0)


def test_who_is_cancelled_in_the_turn_in_which_the_answer_comes_is_cancelled():
    async def main():
        organs = Orchestrator()
        asked = organs.spawn(Echo).ask(1)
        asked.add_done_callback(lambda _: task.cancel())  # before the task that awaits it has its step

        async def ask():
            return await asked

        task = asyncio.create_task(ask())
        await asyncio.wait({task})
        assert task.cancelled()
        assert asked.result() == 1
        assert adds_up(organs)["handled"] == 1

    play(main)


@pytest.mark.parametrize("timeout", [0.997, 0.999, 1.0, 1.001, 1.003, 1.01])
def test_a_time_that_is_up_as_the_answer_comes(timeout):
    """One of the two is told, and the other leaves nothing."""

    async def main():
        organs, log = Orchestrator(), []
        ref = organs.spawn(lambda: Sleeper(log))
        (outcome,) = await asyncio.gather(ref.ask(1.0, timeout), return_exceptions=True)
        await turns()
        answered = outcome == 1.0
        assert answered or isinstance(outcome, AskTimeout)
        late = organs.counts()["late"]
        assert (log, late) in ([([1], 0)] if answered else [([1, "cancelled"], 0), ([1], 1)])
        assert await ref.ask(0.0) == 0.0
        assert adds_up(organs)["handled"] == 2

    play(main)


def test_at_half_open_one_question_tries_and_the_others_are_refused_at_once():
    async def main():
        organs, log, loop = Orchestrator(), [], asyncio.get_running_loop()
        organs.spawn(lambda: Sleeper(log), "slow", breaker=Breaker(open_seconds=5.0))
        organs.breaker("slow").trip()
        await asyncio.sleep(5.1)
        start = loop.time()
        asked = [asyncio.create_task(organs.send_with_timeout("slow", 100.0, 2.0)) for _ in range(50)]
        await turns()
        assert organs.breaker("slow").state == "half_open"
        refused = [one.exception() for one in asked if one.done()]
        assert [type(error) for error in refused] == [CircuitOpen] * 49
        assert (log, loop.time()) == ([1], start)
        with pytest.raises(AskTimeout):  # it hangs: its own time ends it
            await next(one for one in asked if not one.done())
        assert loop.time() - start == pytest.approx(2.0, abs=2e-3)
        assert (organs.breaker("slow").state, log) == ("open", [1, "cancelled"])

    play(main)


# Handlers that are awaited


def test_one_handler_at_a_time_in_order():
    async def main():
        organs, log = Orchestrator(), []
        ref = organs.spawn(lambda: Sleeper(log))
        answers = await asyncio.gather(*(ref.ask(seconds, 60.0) for seconds in (3.0, 0.0, 2.0, 1.0)))
        assert answers == [3.0, 0.0, 2.0, 1.0]
        assert log == [1, 1, 1, 1]

    play(main)


def test_handlers_may_give_anything_that_can_be_awaited():
    async def main():
        organs = Orchestrator()
        echo = organs.spawn(Echo)

        async def nested():
            return echo.ask("nested")  # what is awaited gives something to await

        class Forward(Actor):
            def handle(self, message):
                return {"ask": lambda: echo.ask(1), "tell": lambda: echo.tell(1), "nested": nested}[message]()

        ref = organs.spawn(Forward)
        assert await ref.ask("ask") == 1
        assert (await ref.ask("tell")).outcome == "accepted"
        assert await ref.ask("nested") == "nested"

    play(main)


def test_plain_and_awaited_handlers_mix():
    async def main():
        organs, seen = Orchestrator(), []

        class Mixed(Actor):
            def handle(self, message):
                return self.later(message) if message % 3 == 0 else seen.append(message)

            async def later(self, message):
                await asyncio.sleep(0.01)
                seen.append(message)

        ref = organs.spawn(Mixed)
        ref.send_batch(range(300))
        await organs.shutdown(60.0)
        assert seen == list(range(300))

    play(main)


@pytest.mark.parametrize("cut_after", range(6))
def test_cut_off_at_any_moment_of_a_handlers_life(cut_after):
    """Also before its task has run for the first time, and between two messages."""

    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Sleeper)
        await turns()
        if cut_after % 2:
            assert await ref.ask(0.0) == 0.0
        asked = [ref.ask(50.0, 60.0) for _ in range(3)]
        await turns(cut_after)
        end = await organs.stop(ref, drain=False)
        assert end.error is None
        for one in asked:
            with pytest.raises(ActorStopped):
                await one
        counted = adds_up(organs)
        assert counted["dead"] >= 2

    play(main)


# Waiting for oneself


def test_asking_oneself_is_an_error_at_once():
    async def main():
        organs = Orchestrator()

        class Self(Actor):
            def handle(self, message):
                if message == "plain":
                    return self.ref.ask(1)
                return self.later(message)

            async def later(self, message):
                if message == "gather":
                    return await asyncio.gather(echo.ask(1), asyncio.create_task(self.inner()))
                if message == "stop":
                    return await self.orchestrator.stop(self.ref)
                if message == "stopped":
                    return await self.ref.stopped()
                if message == "shutdown":
                    return await self.orchestrator.shutdown()
                return await self.ref.ask(1)

            async def inner(self):
                return await self.ref.ask(1)

        echo, ref = organs.spawn(Echo), organs.spawn(Self)
        start = asyncio.get_running_loop().time()
        for message in ("plain", "await", "gather", "stop", "stopped", "shutdown"):
            with pytest.raises(DeadlockError):
                await ref.ask(message)
        assert asyncio.get_running_loop().time() - start < 1e-3
        assert ref.state == "running"

    play(main)


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_cycle_of_questions_is_an_error_at_once(length):
    async def main():
        organs = Orchestrator()

        class Ring(Actor):
            next = None

            async def handle(self, message):
                await asyncio.sleep(0)
                return await self.next.ask(message)

        actors = [Ring() for _ in range(length)]
        refs = [organs.spawn(actor, f"r{n}") for n, actor in enumerate(actors)]
        for n, actor in enumerate(actors):
            actor.next = refs[(n + 1) % length]
        with pytest.raises(DeadlockError, match=f"r{length - 1} -> r0"):
            await refs[0].ask("x")
        assert organs.counts()["failed"] == length

    play(main)


def test_a_cycle_of_blocking_actors_is_an_error_at_once():
    async def main():
        organs = Orchestrator()

        class Ring(Actor):
            next = None

            def handle(self, message):
                return self.next.call(message, 100.0)

        actors = [Ring(), Ring()]
        refs = [organs.spawn(actor, blocking=True) for actor in actors]
        actors[0].next, actors[1].next = refs[1], refs[0]
        with pytest.raises(DeadlockError, match="itself"):
            await refs[0].ask("x", 100.0)
        actors[1].next = refs[1]
        with pytest.raises(DeadlockError):
            await refs[1].ask("x", 100.0)

    play(main, patience=0.5)


def test_who_does_not_wait_may_be_asked():
    """A question whose answer no handler waits for closes no cycle."""

    async def main():
        organs, answers = Orchestrator(), []

        class Asks(Actor):
            def handle(self, message):
                if message == "go":
                    other.ask("go").add_done_callback(lambda done: answers.append(done.result()))
                return "first"

        class Back(Actor):
            async def handle(self, message):
                await asyncio.sleep(1.0)
                return await first.ask("back")

        first, other = organs.spawn(Asks), organs.spawn(Back)
        assert await first.ask("go") == "first"
        await asyncio.sleep(2.0)
        assert answers == ["first"]

    play(main)


@pytest.mark.parametrize("where", ["start", "handler"])
def test_a_task_that_an_actor_leaves_behind_may_ask_it(where):
    async def main():
        organs, answers = Orchestrator(), []

        class Ticker(Actor):
            async def tick(self):
                for n in range(3):
                    await asyncio.sleep(1.0)
                    answers.append(await self.ref.ask(n))

            async def on_start(self):
                if where == "start":
                    self.task = asyncio.create_task(self.tick())

            async def handle(self, message):
                if message == "go":
                    self.task = asyncio.create_task(self.tick())
                await asyncio.sleep(0)
                return message

        ref = organs.spawn(Ticker)
        if where == "handler":
            await ref.ask("go")
        while len(answers) < 3:
            ref.tell("busy")
            await asyncio.sleep(0.5)
        assert answers == [0, 1, 2]

    play(main)


def test_an_actor_may_start_another_that_asks_it():
    async def main():
        organs = Orchestrator()

        class Child(Actor):
            async def on_start(self):
                self.name = await parent.ask("name")

            def handle(self, message):
                return self.name

        class Parent(Actor):
            async def handle(self, message):
                if message == "spawn":
                    return self.orchestrator.spawn(Child)
                if message == "spawn and wait":
                    return await self.orchestrator.spawn(Child).ask("name")
                return "parent"

        parent = organs.spawn(Parent)
        child = await parent.ask("spawn")
        assert await child.ask("name") == "parent"
        with pytest.raises(ActorStopped, match="DeadlockError"):  # the child gives up
            await parent.ask("spawn and wait")

    play(main)


def test_asking_oneself_while_starting():
    async def main():
        organs = Orchestrator(Supervision(restarts=0))

        class Self(Actor):
            async def on_start(self):
                await self.ref.ask(1)

        ref = organs.spawn(Self)
        end = await ref.stopped()
        assert isinstance(end.error, DeadlockError)

    play(main)


# Failures


@pytest.mark.parametrize("kind", ["plain", "awaited"])
def test_an_interrupt_in_a_handler_is_the_users_and_the_actor_lives(kind):
    organs_of = []

    async def main():
        organs = Orchestrator()
        organs_of.append(organs)

        class Interrupted(Actor):
            def handle(self, message):
                return self.later(message) if kind == "awaited" else self.now(message)

            def now(self, message):
                if message == "interrupt":
                    raise KeyboardInterrupt
                return message

            async def later(self, message):
                await asyncio.sleep(0)
                return self.now(message)

        ref = organs.spawn(Interrupted)
        assert await ref.ask(1) == 1
        ref.tell("interrupt")
        asked = ref.ask(2)
        try:
            await asyncio.sleep(100.0)
        except asyncio.CancelledError:  # asyncio.run() cancels what runs
            assert await asked == 2
            raise

    loop = asyncio.new_event_loop()
    task = loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.run_until_complete(organs_of[0].shutdown())
    for left in asyncio.all_tasks(loop):
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(left)
    loop.close()
    assert adds_up(organs_of[0])["handled"] == 3
    gc.collect()


@pytest.mark.parametrize("kind", ["plain", "awaited", "blocking"])
def test_an_interrupt_ends_a_program_cleanly(kind):
    made = []

    class Interrupted(Actor):
        def handle(self, message):
            if message == "interrupt":
                raise KeyboardInterrupt
            return message

    class Awaited(Actor):
        async def handle(self, message):
            await asyncio.sleep(0)
            if message == "interrupt":
                raise KeyboardInterrupt

    async def main():
        async with Orchestrator(shutdown_timeout=0.1) as organs:
            made.append(organs)
            ref = organs.spawn(Awaited if kind == "awaited" else Interrupted)
            organs.spawn(Echo, "thread", blocking=True)
            organs.spawn(Sleeper).tell(50.0)
            await turns()
            if kind == "blocking":
                organs.spawn(Interrupted, "b", blocking=True).tell("interrupt")
                while organs.counts()["failed"] < 1:
                    await asyncio.sleep(0.001)
                raise KeyboardInterrupt
            ref.tell("interrupt")
            await asyncio.sleep(100.0)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    gc.collect()
    adds_up(made[0])
    assert made[0].names == []
    for thread in threading.enumerate():
        if thread.name.startswith("sophia-"):
            thread.join(5.0)
            assert not thread.is_alive()


def test_an_interrupt_in_a_thread_is_a_failure_like_another():
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Recorder, blocking=True)
        ref.tell(KeyboardInterrupt())
        assert await ref.ask(1, 60.0) == 1
        assert ref.restarts == 1

    play(main, patience=0.5)


class Thing:
    """Something to be let go."""


@BOTH
@pytest.mark.parametrize("fault", ["none", "raises", "timeout", "cancelled", "stopped", "full", "batch", "restart"])
def test_messages_are_let_go(fault, blocking, monkeypatch):
    monkeypatch.setattr(logging.getLogger("sophia.actors"), "disabled", True)  # records that are kept hold frames

    async def main():
        organs = Orchestrator(Supervision(backoff=0.01), keep_dead=0)

        class Fails(Actor):
            def handle(self, message):
                if fault in ("raises", "restart"):
                    raise ValueError
                if fault == "timeout" and not blocking:
                    return asyncio.sleep(100.0)
                return None

        ref = organs.spawn(Fails, blocking=blocking, capacity=2)
        thing = Thing()
        gone = weakref.ref(thing)
        if fault in ("raises", "timeout"):
            with pytest.raises((ValueError, AskTimeout)) if not (fault == "timeout" and blocking) else _nothing():
                await ref.ask(thing, 1.0)
        elif fault == "cancelled":
            ref.ask(thing).cancel()
        elif fault == "stopped":
            ref.tell(thing)
            organs._cells[ref.name].cut()
            ref.tell(thing)
        elif fault == "full":
            for _ in range(5):
                ref.tell(thing)
        elif fault == "batch":
            ref.send_batch([thing] * 9)
        else:
            ref.tell(thing)
        del thing
        await asyncio.sleep(1.0)
        organs.events.clear()  # the last failures are kept, and with them their frames
        gc.collect()
        assert gone() is None

    play(main, patience=0.05 if blocking else 0.0)


class _nothing:
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


# Threads of their own


def test_a_blocking_actor_has_one_thread_for_all_of_it():
    async def main():
        organs, threads = Orchestrator(), []

        class Blocking(Actor):
            def note(self):
                threads.append(threading.current_thread())

            on_start = on_stop = note

            def handle(self, message):
                self.note()
                if message == "fail":
                    raise ValueError

        ref = organs.spawn(Blocking, blocking=True)
        await ref.ask(1)
        await ref.ask(2)
        ref.tell("fail")
        await ref.ask(3, 60.0)
        await organs.shutdown()
        assert len(set(threads)) == 2  # one for each start
        assert threading.main_thread() not in threads
        assert [threads.count(thread) for thread in dict.fromkeys(threads)] == [5, 3]
        assert not any(thread.is_alive() for thread in threads)

    play(main, patience=0.5)


def test_a_blocking_actor_has_no_coroutines():
    async def main():
        organs = Orchestrator()

        class Later(Actor):
            async def handle(self, message):
                return message

        class Start(Actor):
            async def on_start(self):
                pass

        with pytest.raises(TypeError, match="cannot be awaited"):
            await organs.spawn(Later, blocking=True).ask(1)
        group = organs.group("strict", Supervision(restarts=0))
        end = await organs.spawn(Start, blocking=True, group=group).stopped()
        assert "plain function" in str(end.error)

    play(main, patience=0.5)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), StopIteration(), KeyboardInterrupt()])
def test_a_blocking_actor_that_does_not_start(error):
    async def main():
        organs = Orchestrator(Supervision(restarts=2, backoff=0.01))

        class Bad(Actor):
            def on_start(self):
                starts.append(1)
                raise error

        starts: list = []
        end = await organs.spawn(Bad, blocking=True).stopped()
        assert end.error is error or end.error.__cause__ is error
        assert len(starts) == (1 if isinstance(error, SystemExit) else 3)

    play(main, patience=0.5)

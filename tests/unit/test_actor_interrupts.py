"""Actors and interrupts: a signal's handler raises wherever Python runs, so also between two steps of the runtime."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stage import Echo, Recorder, adds_up, in_thread, play, turns
from virtual_clock import VirtualLoop

from sophia.actors import Actor, Orchestrator, Supervision
from sophia.errors import ActorStopped, AskTimeout

pytestmark = pytest.mark.messages


class Interrupted(VirtualLoop):
    """Raises KeyboardInterrupt so many times where it is asked to call `what`, before or after it takes the call; and
    goes on where one ended it, as programs do that shut down then."""

    def __init__(self, patience: float = 0.0) -> None:
        super().__init__(patience)
        self.times = 0
        self.what = ""
        self.late = False
        self.interrupts = 0

    def run_until_complete(self, future: Any) -> Any:
        future = asyncio.ensure_future(future, loop=self)
        while True:
            try:
                return super().run_until_complete(future)
            except KeyboardInterrupt:
                self.interrupts += 1
                if future.done():
                    raise

    def _asked(self, ask: Callable[..., Any], call: Any, *given: Any, **named: Any) -> Any:
        if not self.times or self.what not in repr(call):
            return ask(*given, **named)
        self.times -= 1
        if self.late:
            ask(*given, **named)
        raise KeyboardInterrupt

    def call_soon(self, call: Any, *given: Any, **named: Any) -> Any:
        return self._asked(super().call_soon, call, call, *given, **named)

    def call_soon_threadsafe(self, call: Any, *given: Any, **named: Any) -> Any:
        return self._asked(super().call_soon_threadsafe, call, call, *given, **named)

    def call_at(self, when: float, call: Any, *given: Any, **named: Any) -> Any:
        return self._asked(super().call_at, call, when, call, *given, **named)


def interrupted(call: Callable[[], object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        call()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_interrupt_while_the_loop_is_asked_for_a_turn_costs_no_later_turn(
    elsewhere: bool, times: int, late: bool
) -> None:
    loop = Interrupted(10.0)

    async def main() -> None:
        organs = Orchestrator()
        one, other = organs.spawn(Echo, "one"), organs.spawn(Echo, "other")
        assert await one.ask(0) == 0
        loop.what, loop.times, loop.late = "_turn", times, late
        if elsewhere:
            in_thread(lambda: interrupted(lambda: one.tell(1)))
        else:
            interrupted(lambda: one.tell(1))
        assert loop.times == 0
        assert await one.ask(2) == 2
        assert await other.ask(3) == 3
        assert adds_up(organs)["handled"] == 4

    play(main, loop=loop)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_as_a_thread_has_an_answer_for_the_loop_costs_no_answer(times: int, late: bool) -> None:
    loop = Interrupted(10.0)

    async def main() -> None:
        organs = Orchestrator()
        opened = asyncio.Event()

        class Gated(Echo):
            async def on_start(self) -> None:
                await opened.wait()

        gated, thread = organs.spawn(Gated, capacity=2, overflow="drop_old"), organs.spawn(Echo, blocking=True)
        asked = [gated.ask(number) for number in range(2)]
        loop.what, loop.times, loop.late = "_take_posts", times, late
        in_thread(lambda: interrupted(lambda: gated.tell(2)))  # the first makes room
        assert loop.times == 0
        assert await thread.ask(3) == 3
        with pytest.raises(Exception, match="dropped for a newer one"):
            await asked[0]
        opened.set()
        assert await asked[1] == 1

    play(main, loop=loop)


@pytest.mark.parametrize("late", [False, True])
def test_an_interrupt_while_timers_are_armed_costs_no_deadline(late: bool) -> None:
    loop = Interrupted()

    class Slow(Actor):
        async def handle(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

    async def main() -> None:
        organs = Orchestrator(shutdown_timeout=0.0)
        slow, other = organs.spawn(Slow, "slow"), organs.spawn(Slow, "other")
        asked = [slow.ask(1000.0, 1.0), other.ask(1000.0, 0.3)]
        await asyncio.sleep(0.05)
        loop.what, loop.times, loop.late = "_fire", 1, late
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [AskTimeout] * 2
        assert (loop.interrupts, loop.time() < 1002.0) == (1, True)

    play(main, loop=loop)


class Fails(logging.Handler):
    """A log that is interrupted once."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error: type[BaseException] | None = error

    def emit(self, record: logging.LogRecord) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    log = logging.getLogger("sophia.actors")
    before = list(log.handlers)
    yield log
    log.handlers[:] = before


@pytest.mark.parametrize("kind", ["plain", "awaited", "batch"])
def test_an_interrupt_while_a_failure_is_logged_costs_no_message(kind: str, log: logging.Logger) -> None:
    loop = Interrupted()

    class Plain(Actor):
        def handle(self, message: Any) -> Any:
            if message == "bad":
                raise ValueError(message)
            return message

    class Awaited(Plain):
        async def handle(self, message: Any) -> Any:
            return super().handle(message)

    class Batch(Actor):
        def handle_batch(self, messages: list[Any]) -> list[Any]:
            return [ValueError(one) if one == "bad" else one for one in messages]

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn({"plain": Plain, "awaited": Awaited, "batch": Batch}[kind], "one")
        assert await ref.ask(1) == 1
        log.addHandler(Fails(KeyboardInterrupt))
        asked = [ref.ask(2), ref.ask(3)]
        ref.tell("bad")
        asked += [ref.ask(4), ref.ask(5)]
        assert [await one for one in asked] == [2, 3, 4, 5]
        await asyncio.sleep(1.0)
        assert (loop.interrupts, ref.restarts) == (1, 1)

    play(main, loop=loop)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_a_log_raises_in_the_thread_of_an_actor_leaves_nobody_waiting(
    error: type[BaseException], log: logging.Logger
) -> None:
    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Recorder, "one", blocking=True)
        assert await ref.ask(1) == 1
        log.addHandler(Fails(error))
        ref.tell(ValueError("bad"))
        asked = ref.ask(2, 1000.0)
        await ref.stopped()
        assert loop.time() < 1010.0
        with pytest.raises(ActorStopped):
            await asked

    loop = VirtualLoop(10.0)
    play(main, loop=loop)


class Steps(Actor):
    """What its handler does last is asked of the loop next; that is interrupted where the message says so."""

    def __init__(self, loop: Interrupted, kind: str) -> None:
        self.loop = loop
        self.kind = kind

    def handle(self, message: Any) -> Any:
        if message == "go":
            self.loop.times = 1
        if self.kind == "fails" and message == "go":
            raise ValueError(message)
        return message if self.kind in ("plain", "fails") else self.later(message)

    async def later(self, message: Any) -> Any:
        if self.kind == "parked":
            await asyncio.sleep(0)
        return message


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", ["plain", "fails", "awaited", "parked"])
def test_an_interrupt_around_a_handler_costs_no_other_message(kind: str, late: bool, first: bool) -> None:
    """As an answer is told, a handler's task is started, or is woken."""
    loop = Interrupted()

    async def main() -> None:
        organs = Orchestrator(Supervision(asked="restart"))
        ref = organs.spawn(lambda: Steps(loop, kind), "steps")
        await turns()
        if not first:
            assert await ref.ask(0) == 0
        await turns()
        loop.late = late
        told: list[Any] = []
        interrupted = ref.ask("go")
        interrupted.add_done_callback(told.append)
        ref.tell(1)
        later = ref.ask(2)
        await turns(20)
        assert loop.interrupts == 1
        assert await later == 2
        assert interrupted.done()
        assert await ref.ask(3) == 3
        assert ref.restarts == (kind == "fails")
        interrupted.exception()
        await organs.stop(ref)
        assert adds_up(organs)["waiting"] == 0

    play(main, loop=loop, complaints=True)  # the loop's, of a task that it had half made


@pytest.mark.parametrize("late", [False, True])
def test_a_sender_that_is_interrupted_as_it_begins_to_wait_for_room_has_sent_nothing(late: bool) -> None:
    loop = Interrupted()

    async def main() -> None:
        organs = Orchestrator()
        seen: list[Any] = []
        ref = organs.spawn(lambda: Recorder(seen), capacity=2)
        await turns()
        ref.tell(0)
        ref.tell(1)
        delivery = ref.tell(2)
        while len(seen) < 2:
            await turns(1)
        loop.what, loop.times, loop.late = "_turn", 1, late

        async def wait() -> None:
            await delivery

        steps = wait()
        interrupted(lambda: steps.send(None))
        assert delivery.outcome == "dropped"
        assert await ref.ask(3) == 3
        assert (seen, adds_up(organs)["refused"]) == ([0, 1, 3], 1)

    play(main, loop=loop)

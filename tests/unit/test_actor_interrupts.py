"""Actors and interrupts: a signal's handler raises wherever Python runs, so also between two steps of the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from stage import Echo, adds_up, in_thread, play
from virtual_clock import VirtualLoop

from sophia.actors import Actor, Orchestrator

pytestmark = pytest.mark.messages


class Interrupted(VirtualLoop):
    """Raises KeyboardInterrupt so many times where it is asked to call `what`, before or after it takes the call."""

    def __init__(self, patience: float = 0.0) -> None:
        super().__init__(patience)
        self.times = 0
        self.what = ""
        self.late = False

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

    async def main() -> list[Any]:
        organs = Orchestrator()
        slow, other = organs.spawn(Slow, "slow"), organs.spawn(Slow, "other")
        asked = [slow.ask(1000.0, 1.0), other.ask(1000.0, 0.3)]
        await asyncio.sleep(0.05)
        loop.what, loop.times, loop.late = "_fire", 1, late
        return asked

    async def whole() -> None:
        asked = await main()
        try:
            await asyncio.gather(*asked, return_exceptions=True)
        finally:
            kept.extend(asked)

    kept: list[Any] = []
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        task = loop.create_task(whole())
        interrupted(lambda: loop.run_until_complete(task))

        async def rest() -> None:
            await asyncio.wait({task})
            assert [type(one.exception()).__name__ for one in kept] == ["AskTimeout"] * 2

        runner.run(rest())
    assert loop.now < 1002.0

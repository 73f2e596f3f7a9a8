"""What goes on after an actor was started again: its thread, and the senders that waited for room."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine

import pytest
from hesitant_loop import run_hesitantly

from sophia.actors import Actor, Delivery, Orchestrator, Supervision

pytestmark = pytest.mark.messages


class Where(Actor):
    def handle(self, message: object) -> object:
        if isinstance(message, Exception):
            raise message
        return threading.get_ident()


Run = Callable[[Coroutine[None, None, None]], None]


@pytest.fixture(params=[asyncio.run, run_hesitantly], ids=["usual", "hesitant"])
def run(request: pytest.FixtureRequest) -> Run:
    function: Run = request.param
    return function


async def taken(delivery: Delivery) -> Delivery:
    return await delivery


@pytest.mark.parametrize("waiting", [0, 1, 200])
def test_a_blocking_actor_handles_messages_after_each_restart(run: Run, waiting: int) -> None:
    async def main() -> None:
        async with Orchestrator(Supervision(backoff=1e-3, restarts=None)) as organs:
            ref = organs.spawn(Where, "thread", blocking=True)
            for restart in range(1, 4):
                ref.tell(ValueError("on purpose"))
                for _ in range(waiting):  # some are there before the new thread is
                    ref.tell("waits")
                while ref.restarts < restart or ref.state != "running":
                    await asyncio.sleep(1e-3)
                assert await ref.ask("where", timeout=20.0) != threading.get_ident()
            counts = ref.mailbox.counts()
            assert counts["waiting"] == 0
            assert counts["sent"] == counts["handled"] == 3 * (waiting + 2)

    run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("messages", [2, 3, 8])
def test_who_waits_for_room_while_an_actor_restarts_is_let_in(
    run: Run, messages: int, together: bool, blocking: bool
) -> None:
    """The last message that had room fails, so that after the restart there are only senders that wait."""

    async def main() -> None:
        for _ in range(2):
            await once()

    async def once() -> None:
        async with Orchestrator(Supervision(backoff=1e-3, restarts=None)) as organs:
            ref = organs.spawn(Where, "full", capacity=2, blocking=blocking)
            ref.tell("fine")
            ref.tell(ValueError("on purpose"))
            sent = [ref.tell("waits") for _ in range(messages)]
            assert not any(sent)
            if together:
                outcomes = await asyncio.gather(*map(taken, sent))
            else:
                outcomes = [await delivery for delivery in sent]
            assert [bool(outcome) for outcome in outcomes] == [True] * messages
            await ref.ask("the last", timeout=20.0)
            assert ref.mailbox.handled == messages + 3

    run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("blocking", [False, True])
def test_nobody_is_told_that_a_time_is_up_that_is_still_being_set(run: Run, blocking: bool) -> None:
    """A thread comes to the question while its asker still computes when it is to be answered."""

    async def main() -> None:
        async with Orchestrator() as organs:
            ref = organs.spawn(Where, "soon", blocking=blocking)
            for _ in range(5):
                assert await ref.ask("where", timeout=30.0)

    run(asyncio.wait_for(main(), 60))

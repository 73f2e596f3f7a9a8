"""What goes on after an actor was started again: its thread, and the senders that waited for room."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sophia.actors import Actor, Orchestrator, Supervision

pytestmark = pytest.mark.messages


class Where(Actor):
    def handle(self, message: object) -> object:
        if isinstance(message, Exception):
            raise message
        return threading.get_ident()


@pytest.mark.parametrize("waiting", [0, 1, 200])
def test_a_blocking_actor_handles_messages_after_each_restart(waiting: int) -> None:
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

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("messages", [2, 3, 8])
def test_who_waits_for_room_while_an_actor_restarts_is_let_in(messages: int, blocking: bool) -> None:
    """The last message that had room fails, so that after the restart there are only senders that wait."""

    async def main() -> None:
        async with Orchestrator(Supervision(backoff=1e-3, restarts=None)) as organs:
            ref = organs.spawn(Where, "full", capacity=2, blocking=blocking)
            ref.tell("fine")
            ref.tell(ValueError("on purpose"))
            sent = [ref.tell("waits") for _ in range(messages)]
            assert not any(sent)
            assert [bool(await each) for each in sent] == [True] * messages
            await ref.ask("the last", timeout=20.0)
            assert ref.mailbox.handled == messages + 3

    asyncio.run(asyncio.wait_for(main(), 60))

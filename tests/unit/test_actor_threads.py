"""Actors with a thread of their own go on after a restart."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sophia.actors import Actor, Orchestrator, Supervision


class Thread(Actor):
    def handle(self, message: object) -> object:
        if isinstance(message, Exception):
            raise message
        return threading.get_ident()


@pytest.mark.parametrize("waiting", [0, 1, 200])
def test_a_blocking_actor_handles_messages_after_each_restart(waiting: int) -> None:
    async def main() -> None:
        async with Orchestrator(Supervision(backoff=1e-3, restarts=None)) as organs:
            ref = organs.spawn(Thread, "thread", blocking=True)
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

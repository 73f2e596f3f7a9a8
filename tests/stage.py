"""Where tests of actors play: a coroutine on a virtual clock, after which nothing may be left and all must add up."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

from virtual_clock import VirtualLoop

from sophia.actors import Actor, Orchestrator

__all__ = ["Echo", "Recorder", "adds_up", "in_thread", "play", "threads_of_actors", "turns"]


class Echo(Actor):
    """Answers with the message."""

    def handle(self, message: Any) -> Any:
        return message


class Recorder(Actor):
    """Keeps what it handled; raises an exception that it is sent, and calls a function."""

    def __init__(self, seen: list[Any] | None = None) -> None:
        self.seen: list[Any] = [] if seen is None else seen

    def handle(self, message: Any) -> Any:
        self.seen.append(message)
        if isinstance(message, BaseException):
            raise message
        return message() if callable(message) else message


def in_thread(what: Callable[[], object], seconds: float = 30.0) -> object:
    """What it gives, in a thread that must come to its end."""
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.append(what()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it waits for ever"
    return got[0]


def threads_of_actors() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("sophia-")]


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


async def turns(n: int = 3) -> None:
    """Lets everything else run, so many times; no time passes."""
    for _ in range(n):
        await asyncio.sleep(0)


def adds_up(orchestrator: Orchestrator) -> dict[str, int]:
    """Every message is accounted for, now that nothing happens any more."""
    counted = orchestrator.counts()
    parts = counted["handled"] + counted["dead"] + counted["refused"] + counted["waiting"]
    assert counted["sent"] == parts, counted
    assert counted["dead"] == orchestrator.dead_letters.count, counted
    assert counted["failed"] <= counted["handled"], counted
    return counted


def play(
    main: Callable[[], Awaitable[Any]],
    *,
    patience: float = 0.0,
    complaints: bool = False,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Any:
    """What `main` gives. Afterwards: every orchestrator that it made is shut down and adds up; no message waits; no
    task, timer or thread is left; the loop has heard no complaint, but with `complaints`."""
    made: list[Orchestrator] = []
    heard: list[dict[str, Any]] = []
    begin = Orchestrator.__init__

    def remember(self: Orchestrator, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        made.append(self)

    async def whole() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
        result = await main()
        for orchestrator in made:
            await orchestrator.shutdown()
        await turns()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return result

    before = set(threads_of_actors())
    loop = VirtualLoop(patience) if loop is None else loop
    with mock.patch.object(Orchestrator, "__init__", remember), asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(whole())
        timers = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        assert not timers, timers
        gc.collect()  # an exception that nobody fetched is a complaint
    assert not heard or complaints, heard
    for orchestrator in made:
        assert adds_up(orchestrator)["waiting"] == 0
        assert orchestrator.names == []
    until = time.monotonic() + 5.0
    while (threads := set(threads_of_actors()) - before) and time.monotonic() < until:
        time.sleep(0.001)
    assert not threads, threads
    return result

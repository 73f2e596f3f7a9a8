"""Mailboxes of several runtimes under one face: so many messages from so many senders to so many receivers.

Every side calls the same method with each message, from whatever it has in place of an actor: a task that reads a
queue, a thread, an actor. Ours has its priorities, counters and supervision on, as there is no way to turn them off.
"""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from time import perf_counter_ns
from typing import Any, ClassVar

from sophia.actors import Actor, ActorRef, Orchestrator

ROOM = 1024


class Sink:
    """Handles messages: counts down to the last, and says so. All receivers of a side share one."""

    def __init__(self) -> None:
        self.left = 0
        self.done: Callable[[], object] = lambda: None

    def expect(self, messages: int, done: Callable[[], object]) -> None:
        self.left = messages
        self.done = done

    def take(self, message: object) -> object:  # noqa: ARG002
        self.left -= 1
        if not self.left:
            self.done()

    def take_many(self, messages: list[object]) -> None:
        self.left -= len(messages)
        if not self.left:
            self.done()


class Keeping(Sink):
    """Keeps what it was given, to see that nothing is lost or changed on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def take(self, message: object) -> object:
        self.kept.append(message)
        return super().take(message)

    def take_many(self, messages: list[object]) -> None:
        self.kept += messages
        super().take_many(messages)


class Held(Sink):
    """Waits in the first message until it is let go, so that the others queue up."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def take(self, message: object) -> object:
        self.begun.set()
        self.go.wait()
        return super().take(message)


class Echo(Sink):
    """Answers with the message."""

    def take(self, message: object) -> object:
        return message


class Side:
    """One runtime. `round` sends to each receiver `messages` in all and returns when the last was handled."""

    def __init__(self, payload: object, sink: Sink, *, receivers: int = 1, senders: int = 1) -> None:
        self.payload, self.sink, self.receivers, self.senders = payload, sink, receivers, senders
        self.open()

    def open(self) -> None:
        raise NotImplementedError

    def round(self, messages: int) -> None:
        raise NotImplementedError

    def ask_times(self, messages: int) -> list[int]:
        """Nanoseconds of each question, one after the other."""
        raise NotImplementedError

    def queue_up(self, messages: int) -> None:
        """Sends, where no receiver takes anything meanwhile."""
        raise NotImplementedError

    def queued_bytes(self, messages: int) -> int:
        """What `queue_up` allocates and keeps, as tracemalloc sees it, which has been started."""
        before, _ = tracemalloc.get_traced_memory()
        self.queue_up(messages)
        after, _ = tracemalloc.get_traced_memory()
        return after - before

    def close(self) -> None:
        raise NotImplementedError


class OnLoop(Side):
    """A runtime of asyncio, on a loop of its own."""

    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self.start())

    def close(self) -> None:
        self.loop.run_until_complete(self.stop())
        self.loop.close()

    def round(self, messages: int) -> None:
        self.loop.run_until_complete(self._round(messages))

    async def _round(self, messages: int) -> None:
        done = self.loop.create_future()
        self.sink.expect(messages * self.receivers, lambda: self.loop.call_soon_threadsafe(done.set_result, None))
        if self.senders == 1:
            await self.send(messages)
        else:
            await asyncio.gather(*(self.send(messages // self.senders) for _ in range(self.senders)))
        await done

    def ask_times(self, messages: int) -> list[int]:
        return self.loop.run_until_complete(self._ask_times(messages))

    async def _ask_times(self, messages: int) -> list[int]:
        times = []
        payload, ask = self.payload, self.asking()
        for _ in repeat(None, messages):
            begin = perf_counter_ns()
            await ask(payload)
            times.append(perf_counter_ns() - begin)
        return times

    async def start(self) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError

    async def send(self, messages: int) -> None:
        raise NotImplementedError

    def asking(self) -> Callable[[object], Any]:
        raise NotImplementedError


class Organ(Actor):
    """Our actor; the sink's method is its handler."""

    def __init__(self, sink: Sink, *, many: bool) -> None:
        self.handle = sink.take  # type: ignore[method-assign]
        if many:
            self.handle_batch = sink.take_many


class Ours(OnLoop):
    """Actors of this package. `how` is what a sender calls."""

    blocking = many = False
    how: ClassVar[str] = "tell"
    priorities: ClassVar[Sequence[str | None]] = (None,)

    async def start(self) -> None:
        self.organs = Orchestrator()

        def organ() -> Organ:
            return Organ(self.sink, many=self.many)

        options = {"capacity": ROOM, "blocking": self.blocking}
        self.refs = [self.organs.spawn(organ, f"organ-{n}", **options) for n in range(self.receivers)]
        while any(ref.state != "running" for ref in self.refs):
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        await self.organs.shutdown()

    async def send(self, messages: int) -> None:
        payload, priorities = self.payload, self.priorities
        if len(self.refs) > 1:
            tells = [ref.tell for ref in self.refs]
            for _ in repeat(None, messages):
                for tell in tells:
                    if not (sent := tell(payload)):
                        await sent
        elif len(priorities) > 1:
            tell = self.refs[0].tell
            for _ in repeat(None, messages // len(priorities)):
                for priority in priorities:
                    if not (sent := tell(payload, priority)):
                        await sent
        else:
            tell = self.refs[0].tell
            for _ in repeat(None, messages):
                if not (sent := tell(payload)):
                    await sent

    def asking(self) -> Callable[[object], Any]:
        return self.refs[0].ask

    def queue_up(self, messages: int) -> None:
        tell, payload = self.refs[0].tell, self.payload
        for _ in repeat(None, messages):
            tell(payload)

    @property
    def ref(self) -> ActorRef:
        return self.refs[0]


class OursInThread(Ours):
    """Each actor in a thread of its own, as those that wait for disks are."""

    blocking = True


class OursUrgent(Ours):
    """The messages have four priorities in turn."""

    priorities = ("critical", "high", "medium", "background")


class OursAwaited(Ours):
    """Every tell is awaited, whether there is room or not."""

    async def send(self, messages: int) -> None:
        tell, payload = self.refs[0].tell, self.payload
        for _ in repeat(None, messages):
            await tell(payload)


class OursBatched(Ours):
    """Sends 64 at once, to a handler that takes as many at once."""

    many = True

    async def send(self, messages: int) -> None:
        send_batch, batch = self.refs[0].send_batch, [self.payload] * 64
        for _ in repeat(None, messages // 64):
            if not (sent := send_batch(batch)):
                await sent


class OursSentInBatches(OursBatched):
    """Sends 64 at once, to a handler that takes one."""

    many = False


class OursBroadcast(Ours):
    """`broadcast_to_all`, which does not wait for room: as many as there is room for, then the loop's turn."""

    async def send(self, messages: int) -> None:
        broadcast, payload = self.organs.broadcast_to_all, self.payload
        for left in range(messages, 0, -ROOM):
            for _ in repeat(None, min(left, ROOM)):
                broadcast(payload)
            while any(len(ref.mailbox) for ref in self.refs):
                await asyncio.sleep(0)


class Threaded(Side):
    """A runtime of threads: senders are threads too, the first of them this one."""

    def round(self, messages: int) -> None:
        done = threading.Event()
        self.sink.expect(messages * self.receivers, done.set)
        others = [threading.Thread(target=self.send, args=(messages // self.senders,)) for _ in range(1, self.senders)]
        for thread in others:
            thread.start()
        self.send(messages // self.senders)
        for thread in others:
            thread.join()
        done.wait()

    def ask_times(self, messages: int) -> list[int]:
        times = []
        payload, ask = self.payload, self.asking()
        for _ in repeat(None, messages):
            begin = perf_counter_ns()
            ask(payload)
            times.append(perf_counter_ns() - begin)
        return times

    def send(self, messages: int) -> None:
        payload, tells = self.payload, self.tells()
        if len(tells) > 1:
            for _ in repeat(None, messages):
                for tell in tells:
                    tell(payload)
        else:
            tell = tells[0]
            for _ in repeat(None, messages):
                tell(payload)

    def queue_up(self, messages: int) -> None:
        self.send(messages)

    def tells(self) -> list[Callable[[Any], object]]:
        raise NotImplementedError

    def asking(self) -> Callable[[object], object]:
        raise NotImplementedError


@contextmanager
def opened(kinds: dict[str, type[Side]], payloads: Callable[[type[Side]], object], **options: Any) -> Iterator[Any]:
    """One side of each kind, with a sink of its own class."""
    sink = options.pop("sink", Sink)
    sides: dict[str, Side] = {}
    try:
        for name, kind in kinds.items():
            sides[name] = kind(payloads(kind), sink(), **options)
        yield sides
    finally:
        for side in sides.values():
            side.close()

"""Queues, threads and other runtimes of actors, under the face of :mod:`benchmarks.actor_sides`."""

from __future__ import annotations

import asyncio
import queue
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any

from benchmarks.actor_sides import ROOM, Echo, OnLoop, Sink, Threaded


class AsyncioQueue(OnLoop):
    """`asyncio.Queue(1024)` and a task for each receiver."""

    async def start(self) -> None:
        self.queues: list[asyncio.Queue[Any]] = [asyncio.Queue(ROOM) for _ in range(self.receivers)]
        reader = self.answer if isinstance(self.sink, Echo) else self.read
        self.tasks = [self.loop.create_task(reader(each)) for each in self.queues]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def read(self, queue: asyncio.Queue[Any]) -> None:
        take = self.sink.take
        while True:
            take(await queue.get())

    async def answer(self, queue: asyncio.Queue[Any]) -> None:
        take = self.sink.take
        while True:
            message, future = await queue.get()
            future.set_result(take(message))

    async def send(self, messages: int) -> None:
        payload, queues = self.payload, self.queues
        if len(queues) > 1:
            for _ in repeat(None, messages):
                for each in queues:
                    await each.put(payload)
        else:
            put = queues[0].put
            for _ in repeat(None, messages):
                await put(payload)

    def asking(self) -> Callable[[object], Any]:
        put, future_of = self.queues[0].put_nowait, self.loop.create_future

        def ask(message: object) -> asyncio.Future[Any]:
            future = future_of()
            put((message, future))
            return future

        return ask

    def queue_up(self, messages: int) -> None:
        put, payload = self.queues[0].put_nowait, self.payload
        for _ in repeat(None, messages):
            put(payload)


class AsyncioQueueLimited(AsyncioQueue):
    """The same with a time limit to each question, as ours has one."""

    def asking(self) -> Callable[[object], Any]:
        ask = super().asking()

        async def limited(message: object) -> Any:
            async with asyncio.timeout(5.0):
                return await ask(message)

        return limited


class AsyncioQueueNowait(AsyncioQueue):
    """The quickest use of it: nothing is awaited where there is room, or something to read."""

    async def read(self, queue: asyncio.Queue[Any]) -> None:
        take, empty, get = self.sink.take, queue.empty, queue.get_nowait
        while True:
            take(await queue.get())
            while not empty():
                take(get())

    async def send(self, messages: int) -> None:
        payload = self.payload
        for _ in repeat(None, messages):
            for each in self.queues:
                if each.full():
                    await each.put(payload)
                else:
                    each.put_nowait(payload)


class SimpleQueue(Threaded):
    """`queue.SimpleQueue`, which has no bound, and a thread for each receiver."""

    def open(self) -> None:
        self.queues: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(self.receivers)]
        self.threads = [threading.Thread(target=self.read, args=(each.get,), daemon=True) for each in self.queues]
        for thread in self.threads:
            thread.start()

    def read(self, get: Callable[[], Any]) -> None:
        take = self.sink.take
        while (message := get()) is not None:
            take(message)

    def tells(self) -> list[Callable[[Any], object]]:
        return [each.put for each in self.queues]

    def close(self) -> None:
        for each in self.queues:
            each.put(None)
        for thread in self.threads:
            thread.join()


class Executor(Threaded):
    """`ThreadPoolExecutor(1)` for each receiver: a message is a call."""

    def open(self) -> None:
        self.pools = [ThreadPoolExecutor(1) for _ in range(self.receivers)]

    def tells(self) -> list[Callable[[Any], object]]:
        take = self.sink.take
        return [lambda message, submit=pool.submit: submit(take, message) for pool in self.pools]

    def asking(self) -> Callable[[object], object]:
        submit, take = self.pools[0].submit, self.sink.take
        return lambda message: submit(take, message).result()

    def close(self) -> None:
        for pool in self.pools:
            pool.shutdown()


class Pykka(Threaded):
    """Pykka's ThreadingActor."""

    def open(self) -> None:
        import pykka

        sink = self.sink

        class Organ(pykka.ThreadingActor):
            def on_receive(self, message: Any) -> Any:
                return sink.take(message)

        self.refs = [Organ.start() for _ in range(self.receivers)]

    def tells(self) -> list[Callable[[Any], object]]:
        return [ref.tell for ref in self.refs]

    def asking(self) -> Callable[[object], object]:
        return self.refs[0].ask

    def close(self) -> None:
        for ref in self.refs:
            ref.stop()


class Thespian(Threaded):
    """Thespian's simpleSystemBase: one process and one thread, in which the receiver runs before `tell` returns."""

    def open(self) -> None:
        from thespian.actors import ActorSystem, ActorTypeDispatcher

        sink = self.sink

        class Organ(ActorTypeDispatcher):
            def receiveMsg_ndarray(self, message: Any, sender: Any) -> None:
                answer = sink.take(message)
                if answer is not None:
                    self.send(sender, answer)

        self.system = ActorSystem("simpleSystemBase")
        self.addresses = [self.system.createActor(Organ) for _ in range(self.receivers)]

    def tells(self) -> list[Callable[[Any], object]]:
        tell = self.system.tell
        return [lambda message, address=address: tell(address, message) for address in self.addresses]

    def asking(self) -> Callable[[object], object]:
        ask, address = self.system.ask, self.addresses[0]
        return lambda message: ask(address, message)

    def close(self) -> None:
        self.system.shutdown()


# What xoscar's actors handle with; an actor is made from what can be pickled.
_sinks: dict[int, Sink] = {}


class Xoscar(OnLoop):
    """xoscar's actors in the process of the sender."""

    async def start(self) -> None:
        import xoscar

        _sinks[id(self.sink)] = self.sink
        self.pool = await xoscar.create_actor_pool("127.0.0.1:0", n_process=0)
        await self.pool.start()
        organ, address = xoscar_actor(), self.pool.external_address
        self.refs = [await xoscar.create_actor(organ, id(self.sink), address=address) for _ in range(self.receivers)]
        self.refs = [await xoscar.actor_ref(ref) for ref in self.refs]

    async def stop(self) -> None:
        await self.pool.stop()
        del _sinks[id(self.sink)]

    async def send(self, messages: int) -> None:
        payload, tells = self.payload, [ref.take.tell for ref in self.refs]
        for _ in repeat(None, messages):
            for tell in tells:
                await tell(payload)

    def asking(self) -> Callable[[object], Any]:
        return self.refs[0].take

    def queued_bytes(self, messages: int) -> int:
        async def fill() -> int:
            tell, payload = self.refs[0].take.tell, self.payload
            before, _ = tracemalloc.get_traced_memory()
            for _ in repeat(None, messages):
                tell(payload).close()  # which would only let the receiver run
            after, _ = tracemalloc.get_traced_memory()
            return after - before

        return self.loop.run_until_complete(fill())


class XoscarUnawaited(Xoscar):
    """What `tell` returns only gives the loop a turn: it is awaited once for 64 messages."""

    async def send(self, messages: int) -> None:
        payload, tell = self.payload, self.refs[0].take.tell
        for left in range(messages, 0, -64):
            for _ in repeat(None, min(left, 64) - 1):
                tell(payload).close()
            await tell(payload)


def xoscar_actor() -> Any:
    """The class of xoscar's receivers."""
    global XoscarOrgan
    if XoscarOrgan is None:
        import xoscar

        class Organ(xoscar.Actor):  # type: ignore[misc]
            def __init__(self, sink: int) -> None:
                self.sink = _sinks[sink]

            async def take(self, message: Any) -> Any:
                return self.sink.take(message)

        Organ.__qualname__ = Organ.__name__ = "XoscarOrgan"
        XoscarOrgan = Organ
    return XoscarOrgan


XoscarOrgan: Any = None

"""A vector that is sent is the same vector where it arrives: no byte of it is copied, and none is allocated."""

from __future__ import annotations

import asyncio
import tracemalloc
import weakref

import numpy as np
import pytest
from stage import play, turns

from sophia._core.vector import Hypervector, SharedVector, pool_counters
from sophia.actors import Actor, Input, Orchestrator


def shared(seed: int = 1) -> SharedVector:
    rng = np.random.default_rng(seed)
    return Hypervector.from_bytes(rng.integers(0, 256, 1250, dtype=np.uint8).tobytes()).freeze()


def address(vector: SharedVector) -> int:
    return np.frombuffer(vector, dtype=np.uint8).__array_interface__["data"][0]


class Looks(Actor):
    """Where in memory what it is sent lies."""

    def __init__(self, found: list) -> None:
        self.found = found

    def handle(self, message):
        vector = message.vector if isinstance(message, Input) else message
        self.found.append((id(vector), address(vector)))
        return vector


class LooksAtMany(Looks):
    def handle_batch(self, messages):
        return [self.handle(message) for message in messages]


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("kind", [Looks, LooksAtMany])
def test_the_same_memory_arrives_however_it_is_sent(kind, blocking):
    async def main():
        organs, found = Orchestrator(), []
        refs = [organs.spawn(lambda: kind(found), blocking=blocking) for _ in range(8)]
        for ref in refs:
            await ref.ask(shared(2))
        await turns()  # what was answered last is let go
        found.clear()
        vector = shared()
        here = id(vector), address(vector)
        before, references = pool_counters(), vector.references
        refs[0].tell(vector)
        assert await refs[0].ask(vector) is vector
        refs[0].send_batch([vector] * 100)
        assert set(organs.broadcast_to_all(vector).values()) == {"accepted"}
        wrapped = Input(vector, "words")
        organs.broadcast_to_all(wrapped)
        await asyncio.gather(*(ref.ask(wrapped) for ref in refs))
        assert pool_counters() == before
        assert vector.references == references
        assert found == [here] * (1 + 1 + 100 + 8 + 8 + 8)

    play(main, patience=0.5 if blocking else 0.0)


@pytest.mark.parametrize("how", ["tell", "send_batch", "broadcast"])
def test_a_queued_message_costs_no_byte(how):
    async def main():
        organs, opened = Orchestrator(), asyncio.Event()

        class Waits(Looks):
            async def on_start(self):
                await opened.wait()

        ref = organs.spawn(lambda: Waits([]), capacity=1024)
        vectors = [shared(n) for n in range(1000)]
        before = pool_counters()
        tracemalloc.start()
        try:
            ref.tell(vectors[0])  # the ring is there from the first message on
            for message in vectors[:4]:
                organs.broadcast_to_all(message)
            lists = [[] for _ in range(200)]
            del lists  # the interpreter keeps some for the next ones
            tracemalloc.clear_traces()
            started = tracemalloc.get_traced_memory()[0]
            if how == "tell":
                for vector in vectors:
                    ref.tell(vector)
            elif how == "send_batch":
                ref.send_batch(vectors)
            else:
                for vector in vectors:
                    organs.broadcast_to_all(vector)
            queued = len(ref.mailbox)
            now, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert queued == 1005
        assert now - started <= 1000
        assert most - started <= 20_000  # the list that is being sent, and no vector
        assert pool_counters() == before
        opened.set()
        await turns()
        while len(ref.mailbox):
            await turns(1)

    play(main)


def test_a_vector_is_let_go_when_the_last_has_handled_it():
    class Holder:
        def __init__(self, vector):
            self.vector = vector

    async def main():
        organs, seen = Orchestrator(), []

        class Reads(Actor):
            def handle(self, message):
                seen.append(address(message.vector))

        for _ in range(8):
            organs.spawn(Reads)
        holder = Holder(shared())
        gone = weakref.ref(holder)
        organs.broadcast_to_all(holder)
        del holder
        assert gone() is not None
        await turns(5)
        assert len(set(seen)) == 1
        assert len(seen) == 8
        assert gone() is None

    play(main)

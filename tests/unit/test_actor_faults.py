"""Faults of actors that were found once: kinds of messages, late senders, signals, long chains, batches that fail."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from stage import Recorder, adds_up, play, turns

from sophia.actors import Actor, Orchestrator, Supervision, handles
from sophia.errors import AskTimeout, DeadlockError


class Words(Actor):
    """Takes words."""

    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    @handles(str)
    def word(self, word: str) -> str:
        self.seen.append(word)
        return word


def test_a_factory_names_the_kinds_that_its_actor_takes() -> None:
    seen: list[str] = []

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(lambda: Words(seen), "words")
        ref.tell(1)  # before there is an actor: taken, and no failure of its when it comes to it
        ref.tell("one")
        with pytest.raises(TypeError, match="handles no int"):
            await ref.ask(2)
        for wrong in (3, None):
            with pytest.raises(TypeError, match="takes str, and no"):
                ref.tell(wrong)
        assert await ref.ask("two") == "two"
        assert (seen, ref.restarts) == (["one", "two"], 0)

    play(main)


def test_an_abstract_class_is_handled_and_a_handler_of_ones_own_takes_what_it_likes() -> None:
    class Listed(Actor):
        @handles(Sequence)
        def listed(self, message: Any) -> int:
            return len(message)

    class Any_(Listed):
        def handle(self, message: Any) -> Any:
            return message

    async def main() -> None:
        organs = Orchestrator()
        assert await organs.spawn(Listed).ask([1, 2]) == 2
        assert await organs.spawn(Any_).ask(5) == 5

    play(main)


def test_who_watches_is_told_whatever_it_takes() -> None:
    ended: list[Any] = []

    class Watcher(Words):
        @handles(type(None))
        def nothing(self, _: None) -> None: ...

        def handle(self, message: Any) -> Any:
            ended.append(message)

    async def main() -> None:
        organs = Orchestrator()
        watcher, watched = organs.spawn(lambda: Watcher([]), accepts=(str,)), organs.spawn(Recorder)
        await turns()
        watched.watch(watcher)
        await organs.stop(watched)
        await turns()
        assert [end.name for end in ended] == ["recorder"]

    play(main)


def test_late_senders_in_threads_are_counted_once() -> None:
    async def main() -> None:
        for _ in range(20):
            organs = Orchestrator()
            ref = organs.spawn(Recorder, overflow="dead_letter", capacity=4)
            organs.dead_letters.subscribe(lambda _: time.sleep(0))
            await turns()
            sent = [0, 0]

            def send(number: int, ref: Any = ref, sent: list[int] = sent) -> None:
                for i in range(300):
                    ref.tell(i)
                    sent[number] += 1

            threads = [threading.Thread(target=send, args=(n,)) for n in range(2)]
            for thread in threads:
                thread.start()
            await asyncio.sleep(0.0005)
            await organs.stop(ref)
            while any(thread.is_alive() for thread in threads):
                await asyncio.sleep(0.001)
            await organs.shutdown()
            assert adds_up(organs)["sent"] == 600

    play(main, loop=asyncio.new_event_loop())


@pytest.mark.parametrize("call", ["ref.call(1, 20.0)", "ref.tell(1).wait(20.0)"])
def test_a_signal_ends_the_wait_of_a_thread(call: str) -> None:
    """In the main thread, while the actors' loop runs in another."""
    code = f"""
        import asyncio, signal, sys, threading, time
        from sophia.actors import Actor, Orchestrator

        class Hanging(Actor):
            async def handle(self, message):
                await asyncio.sleep(30)

        ready, refs = threading.Event(), []

        async def serve():
            organs = Orchestrator(shutdown_timeout=0.1)
            refs.append(organs.spawn(Hanging, capacity=2))
            await asyncio.sleep(0)
            for _ in range(8):
                refs[0].tell(0)
                await asyncio.sleep(0)
            ready.set()
            await asyncio.sleep(30)

        threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
        ready.wait()
        ref = refs[0]
        def interrupt(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        began = time.monotonic()
        try:
            {call}
        except KeyboardInterrupt:
            print(time.monotonic() - began < 5.0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_a_long_chain_of_questions_needs_no_stack() -> None:
    class Link(Actor):
        def __init__(self, next_: str | None) -> None:
            self.next = next_

        async def handle(self, message: Any) -> Any:
            if self.next is None:
                await asyncio.sleep(3600)
            return await self.orchestrator.ask(self.next or "", message, 60.0)

    async def main() -> None:
        organs = Orchestrator(shutdown_timeout=0.0)
        for i in range(3000):
            organs.spawn(lambda i=i: Link(f"link-{i - 1}" if i else None), f"link-{i}")
        await turns()
        for i in range(1, 3000):  # from its end, so that each question finds all of the chain before it
            organs.ask(f"link-{i}", 1, 60.0)
            await turns(2)
        with pytest.raises(AskTimeout):
            await organs.ask("link-2999", 1, 1.0)

    play(main, complaints=True)


def test_a_short_cycle_is_named_in_order() -> None:
    class Link(Actor):
        async def handle(self, name: str) -> Any:
            after = {"a": "b", "b": "c", "c": "a"}[name]
            return await self.orchestrator.ask(after, after)

    async def main() -> None:
        organs = Orchestrator()
        for name in "abc":
            organs.spawn(Link, name)
        with pytest.raises(DeadlockError, match=r"\(c -> a -> b -> c\)"):
            await organs.ask("a", "a")

    play(main)


def test_each_failure_of_a_batch_is_told_and_the_strictest_counts() -> None:
    class Batches(Actor):
        def handle(self, message: Any) -> Any:
            return message

        def handle_batch(self, messages: list[Any]) -> list[Any]:
            return [ValueError(i) if i % 2 else KeyError(i) if i == 4 else i for i in messages]

    async def main() -> None:
        organs = Orchestrator(Supervision(on={KeyError: "stop"}, backoff=0.0))
        ref = organs.spawn(Batches)
        await turns()
        ref.send_batch(range(6))
        end = await ref.stopped()
        failed = [event.error for event in organs.events if event.kind == "failed"]
        assert [type(error) for error in failed] == [ValueError, ValueError, KeyError, ValueError]
        assert isinstance(end.error, KeyError)
        assert ref.restarts == 0

    play(main)


def test_nothing_is_held_by_a_loop_that_ended_under_a_flood() -> None:
    kept: list[weakref.ref[Any]] = []

    async def main() -> None:
        organs = Orchestrator()
        kept.append(weakref.ref(organs))
        refs = [organs.spawn(Recorder, priority=level) for level in ("background", "critical")]
        await turns()
        for i in range(500):
            for ref in refs:
                ref.tell(i)
                ref.tell(i, "critical")
        await organs.shutdown(0.0)

    asyncio.run(main())
    gc.collect()
    assert kept[0]() is None


def test_an_error_that_was_given_to_who_asked_is_left_alone() -> None:
    """Its traceback goes on into the coroutine that asked, which may wait for something else by now."""

    class Fails(Actor):
        def handle(self, message: Any) -> Any:
            raise ValueError(message)

    async def main() -> None:
        organs = Orchestrator()
        for blocking in (False, True):
            ref = organs.spawn(Fails, blocking=blocking)
            for i in range(200):
                with pytest.raises(ValueError, match=str(i)):
                    await ref.ask(i)

    play(main, loop=asyncio.new_event_loop())

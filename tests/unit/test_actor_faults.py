# Over 600 lines: one fault a test, as it was found.
"""Faults of actors that were found once: kinds of messages, late senders, signals, long chains, batches that fail."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
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
from virtual_clock import VirtualLoop

from sophia.actors import Actor, ActorRef, Control, Orchestrator, Shutdown, Supervision, handles
from sophia.errors import ActorStopped, AskTimeout, DeadlockError

pytestmark = pytest.mark.messages


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


@pytest.mark.parametrize("call", ["ref.call(1, 3600.0)", "ref.tell(1).wait(3600.0)"])
def test_a_signal_ends_the_wait_of_a_thread(call: str) -> None:
    """In the main thread, while the actors' loop runs in another."""
    code = f"""
        import asyncio, signal, threading
        from sophia.actors import Actor, Orchestrator

        class Hanging(Actor):
            async def handle(self, message):
                await asyncio.sleep(3600)

        ready, refs = threading.Event(), []

        async def serve():
            organs = Orchestrator(shutdown_timeout=0.1)
            refs.append(organs.spawn(Hanging, capacity=2))
            await asyncio.sleep(0)
            for _ in range(8):
                refs[0].tell(0)
                await asyncio.sleep(0)
            ready.set()
            await asyncio.sleep(3600)

        threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
        ready.wait()
        ref = refs[0]
        def interrupt(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            {call}
        except KeyboardInterrupt:
            print("interrupted")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("interrupted\n", 0), done.stderr


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


def test_a_blocking_actor_that_waits_for_room_that_only_it_makes_has_failed() -> None:
    class Relay(Actor):
        def handle(self, message: Any) -> Any:
            sent: Any = message
            for _ in range(4 if message == "go" else 0):
                sent = self.ref.tell("ping")
            return sent

    async def main() -> None:
        for blocking in (False, True):
            organs = Orchestrator(Supervision(on={DeadlockError: "resume"}))
            ref = organs.spawn(Relay, capacity=2, blocking=blocking)
            ref.tell("go")
            assert await ref.ask("ping") == "ping"
            assert ref.restarts == 0
            errors = [event.error for event in organs.events if event.kind == "failed"]
            assert [type(error) for error in errors] == [DeadlockError]
            await organs.shutdown()

    play(main, loop=asyncio.new_event_loop())


def test_batches_alone_serve_single_messages() -> None:
    class Sync(Actor):
        def handle_batch(self, messages: list[Any]) -> list[Any]:
            return [ValueError(one) if one == "bad" else one for one in messages]

    class Awaited(Actor):
        async def handle_batch(self, messages: list[Any]) -> list[Any]:
            return messages

    async def main() -> None:
        organs = Orchestrator()
        for kind in (Sync, Awaited):
            ref = organs.spawn(kind)
            assert await ref.ask(1) == 1
            assert await asyncio.gather(*(ref.ask(n) for n in range(4))) == [0, 1, 2, 3]
        with pytest.raises(ValueError, match="bad"):
            await organs.ask("sync", "bad")

    play(main)


def test_what_waited_past_its_deadline_is_not_handled_also_when_the_loop_was_held() -> None:
    seen: list[float] = []

    class Holds(Actor):
        def handle(self, seconds: float) -> float:
            seen.append(seconds)
            time.sleep(seconds)
            return seconds

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Holds)
        await turns()
        asked = [ref.ask(0.2, 5.0), ref.ask(0.1, 0.05), ref.ask(0.12, 0.25)]
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert done[0] == 0.2
        assert [type(one) for one in done[1:]] == [AskTimeout, AskTimeout]
        assert seen == [0.2, 0.12]  # the last was begun in time, and ended late
        assert organs.counts()["dead"] == 1

    play(main, loop=asyncio.new_event_loop())


def test_an_actor_that_gave_up_is_fallen_back_from_and_named() -> None:
    class Broken(Actor):
        def on_start(self) -> None:
            raise ConnectionError("no server")

    async def main() -> None:
        organs = Orchestrator(Supervision(restarts=0))
        ref = organs.spawn(Broken, "db")
        await ref.stopped()
        assert (
            await organs.send_with_timeout("db", 1, 1.0, fallback=lambda error: type(error).__name__) == "ActorStopped"
        )
        with pytest.raises(ActorStopped, match=r"'db' has ended.*no server"):
            organs.tell("db", 1)
        assert isinstance((await organs.stop("db")).error, ConnectionError)
        ended = await organs.stop(ref)
        assert ended is await ref.stopped()

    play(main)


def test_exceptions_that_the_breaker_is_to_ignore() -> None:
    async def main() -> None:
        organs = Orchestrator()
        organs.spawn(Recorder, "found")
        for _ in range(30):
            with pytest.raises(KeyError):
                await organs.send_with_timeout("found", KeyError("nothing"), 1.0, ignore=(KeyError,))
        assert organs.breaker("found").state == "closed"
        for _ in range(10):
            with pytest.raises(KeyError):
                await organs.send_with_timeout("found", KeyError("nothing"), 1.0)
        assert organs.breaker("found").state == "open"

    play(main)


def test_what_was_never_sent_is_said(caplog: pytest.LogCaptureFixture) -> None:
    class Gated(Actor):
        async def handle(self, message: Any) -> None:
            await asyncio.sleep(1)

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Gated, "gated", capacity=2)
        await turns()
        for n in range(30):
            ref.tell(n)
        await turns()
        said = [record.getMessage() for record in caplog.records if "never sent" in record.getMessage()]
        assert len(said) == 2
        assert "'gated' had no room" in said[0]
        assert "so far: 10 " in said[1]

    play(main)


def test_a_control_message_is_urgent_by_its_class() -> None:
    seen: list[Any] = []

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(lambda: Recorder(seen), "recorder")
        for message in (1, 2, Control("now")):
            ref.tell(message)
        await turns()
        assert seen == [Control("now"), 1, 2]

    play(main)


def test_an_error_in_the_block_does_not_wait_for_what_is_left() -> None:
    class Slow(Actor):
        async def handle(self, message: Any) -> None:
            await asyncio.sleep(1000)

    async def fails() -> None:
        async with Orchestrator() as organs:
            organs.spawn(Slow).send_batch(range(100))
            raise ValueError("config")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(ValueError, match="config"):
            await fails()
        assert loop.time() - began < 2.5

    play(main)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"accepts": []}, TypeError, "accepts"),
        ({"accepts": ["int"]}, TypeError, "accepts"),
        ({"group": "web"}, TypeError, "group is 'web'"),
        ({"breaker": 5}, TypeError, "breaker is 5"),
        ({"blocking": "no"}, TypeError, "blocking is 'no'"),
        ({"start_timeout": "5"}, ValueError, "start_timeout is '5'"),
        ({"start_timeout": -1}, ValueError, "start_timeout is -1"),
        ({"capacity": "8"}, TypeError, "capacity"),
        ({"name": ""}, ValueError, "name is ''"),
        ({"factory": dict}, TypeError, "dict is no class of actors"),
        ({"factory": 7}, TypeError, "7 is neither"),
    ],
)
def test_spawn_names_what_is_wrong_and_starts_nothing(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    async def main() -> None:
        organs = Orchestrator()
        with pytest.raises(error, match=words):
            organs.spawn(**({"factory": Recorder} | options))
        assert organs.names == []

    play(main)


def test_other_wrong_arguments() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="supervision is 'one_for_one'"):
            Orchestrator("one_for_one")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="shutdown_timeout is 'x'"):
            Orchestrator(shutdown_timeout="x")  # type: ignore[arg-type]
        organs = Orchestrator()
        actor = Recorder()
        ref = organs.spawn(actor)
        with pytest.raises(ValueError, match="runs already"):
            organs.spawn(actor)
        for timeout in (None, "5", True, float("nan"), float("inf"), 0, -1):
            with pytest.raises(ValueError, match="timeout is"):
                ref.ask(1, timeout)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="watch"):
            ref.watch("z")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="fallback"):
            await organs.send_with_timeout("recorder", 1, 1.0, fallback="text")  # type: ignore[arg-type]

    play(main)
    with pytest.raises(RuntimeError, match=r"asyncio\.run"):
        Orchestrator()


def test_handles_names_classes() -> None:
    for wrong in (["int"], [], [lambda self, message: None]):
        with pytest.raises(TypeError, match="@handles"):
            handles(*wrong)
    with pytest.raises(TypeError, match="both handle int"):

        class Twice(Actor):
            @handles(int)
            def one(self, message: int) -> None: ...

            @handles(int | str)
            def two(self, message: int | str) -> None: ...

    class Union(Actor):
        @handles(int | str)
        def one(self, message: int | str) -> None: ...

    assert Union.accepts == (int, str)


def test_an_address_without_a_mailbox_is_an_error() -> None:
    class Empty(ActorRef):
        def __init__(self) -> None:
            pass

    for address in (Empty(), ActorRef.__new__(ActorRef)):
        for call in (address.tell, address.ask, address.call, lambda m, a=address: a.send_batch([m])):
            with pytest.raises(TypeError, match="without a mailbox"):
                call(1)


class Odd(BaseException):
    """An error without words."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@pytest.mark.parametrize("door", ["listener", "words", "batch", "filter"])
@pytest.mark.parametrize("blocking", [False, True])
def test_what_stands_around_a_handler_may_fail_and_nobody_waits_for_ever(door: str, blocking: bool) -> None:
    class Silent:
        __slots__ = ()

        def __repr__(self) -> str:
            raise RuntimeError("no words")

    class Door(Actor):
        def handle(self, message: Any) -> Any:
            if message == "go":
                raise Odd if door == "words" else ValueError("go")
            return message

        def handle_batch(self, messages: list[Any]) -> Any:
            return Silent() if door == "batch" else [ValueError(1) if one == "go" else one for one in messages]

    def listener(event: Any) -> None:
        if event.kind == "failed":
            raise asyncio.CancelledError

    class Filter(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise Odd

    log, filtering = logging.getLogger("sophia.actors"), Filter()

    async def main() -> None:
        organs = Orchestrator(Supervision(told="resume"), shutdown_timeout=0.5)
        if door == "listener":
            organs.subscribe(listener)
        ref = organs.spawn(Door, blocking=blocking)
        await turns()
        if door == "filter":
            log.addFilter(filtering)
        try:
            ref.tell("go")
            ref.tell("go")
            try:
                assert await ref.ask("after", 2.0) == "after"
            except TypeError:
                assert door == "batch"  # it was one of those that got no answer
            except ActorStopped:  # it could not go on, and everybody knows
                await asyncio.wait_for(ref.stopped(), 2.0)
        finally:
            log.removeFilter(filtering)
        report = await organs.shutdown()
        assert report.hung == ()

    play(main, loop=asyncio.new_event_loop(), complaints=True)


def test_all_watchers_are_told_whatever_one_of_them_does() -> None:
    told: list[str] = []

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Recorder)

        def leaves(end: Any) -> None:
            ref.unwatch(leaves)

        def fails(end: Any) -> None:
            raise asyncio.CancelledError

        for watcher in (leaves, fails, lambda end: told.append(end.name)):
            ref.watch(watcher)
        await organs.stop(ref)
        assert told == ["recorder"]

    play(main)


def test_a_listener_to_dead_letters_that_fails_ends_nothing_half_way() -> None:
    def fails(letter: Any) -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        organs = Orchestrator()
        organs.dead_letters.subscribe(fails)
        ref = organs.spawn(Recorder)
        ref.send_batch(range(5))
        await organs.stop(ref, 0.0, drain=False)
        assert adds_up(organs)["dead"] == 5

    play(main)


def test_a_batch_is_answered_whatever_the_handler_does_with_its_list() -> None:
    class Empties(Actor):
        def handle_batch(self, messages: list[Any]) -> None:
            messages.clear()

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Empties)
        assert await asyncio.gather(*(ref.ask(n, 1.0) for n in range(5))) == [None] * 5

    play(main)


def test_no_time_left_to_wait_for_room_is_no_time() -> None:
    outcome: list[bool] = []

    class Gated(Actor):
        async def handle(self, message: Any) -> None:
            await asyncio.sleep(0.2)

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Gated, capacity=2)
        await turns()
        for _ in range(4):
            ref.tell(0)
            await turns()
        full = ref.tell(1)
        assert repr(full) == "<Delivery waiting, 0 taken>"
        await asyncio.to_thread(lambda: outcome.append(full.wait(-0.001)))
        with pytest.raises(ValueError, match="timeout is nan"):
            await asyncio.to_thread(ref.tell(2).wait, float("nan"))

    play(main, loop=asyncio.new_event_loop())
    assert outcome == [False]


def test_a_handler_s_task_that_is_cancelled_before_its_first_step() -> None:
    class Awaited(Actor):
        async def handle(self, message: Any) -> Any:
            return message

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Awaited, "awaited")
        await turns()
        for n in range(3):
            ref.tell(n)
            await turns(1)
            for task in asyncio.all_tasks():
                if task.get_name() == "sophia-handler-awaited":
                    task.cancel()
            await turns()
        assert await ref.ask("after", 1.0) == "after"

    play(main)


def test_what_a_plain_handler_gave_to_be_awaited_was_begun() -> None:
    seen: list[Any] = []

    class Gives(Actor):
        def handle(self, message: Any) -> Any:
            seen.append(message)
            return asyncio.get_running_loop().create_future()

    class Fails(Actor):
        def handle(self, message: Any) -> Any:
            raise ValueError(message)

    async def main() -> None:
        organs = Orchestrator(Supervision("one_for_all", backoff=0.0))
        gives, fails = organs.spawn(Gives), organs.spawn(Fails)
        await turns()
        asked = gives.ask(1, 1.0)
        fails.tell(1)
        with pytest.raises(ActorStopped):
            await asked
        assert (seen, organs.dead_letters.count) == ([1], 0)

    play(main)


def test_an_awaitable_that_cannot_be_awaited_says_why() -> None:
    class Wrong:
        def __await__(self) -> Any:
            raise KeyError("why")

    class Gives(Actor):
        def handle(self, message: Any) -> Any:
            return Wrong()

    async def main() -> None:
        organs = Orchestrator()
        with pytest.raises(KeyError, match="why"):
            await organs.spawn(Gives).ask(1)

    play(main)


def test_who_waited_for_an_end_leaves_nothing() -> None:
    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Recorder)
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ref.stopped(), 0.01)
        assert not organs._cells["recorder"]._waiting_for_end
        group = organs.group("some", Supervision())
        one = organs.spawn(Recorder, group=group)
        assert group in organs._root.members
        await organs.stop(one)
        assert group not in organs._root.members

    play(main)


def test_a_fork_in_a_blocking_handler_leaves_no_child_that_sleeps() -> None:
    code = """
        import asyncio, os, sys
        from sophia.actors import Actor, Orchestrator

        class Forks(Actor):
            def handle(self, message):
                return os.fork() or sys.exit(0)

        async def main():
            async with Orchestrator() as organs:
                child = await organs.spawn(Forks, blocking=True).ask(1)
                for _ in range(500):
                    if os.waitpid(child, os.WNOHANG)[0]:
                        print("gone")
                        return
                    await asyncio.sleep(0.01)

        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.count("gone") == 1, done.stderr


def test_one_that_was_left_behind_as_it_started_does_not_come_back() -> None:
    """Its messages are counted once, though its `on_start` takes no notice of a cancellation."""

    class Stubborn(Recorder):
        async def on_start(self) -> None:
            for _ in range(3):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1.0)

    async def main() -> None:
        organs = Orchestrator()
        seen: list[Any] = []
        ref = organs.spawn(lambda: Stubborn(seen))
        await turns()
        ref.send_batch(range(5))
        await organs.stop(ref, 0.1)
        assert (ref.state, adds_up(organs)["dead"]) == ("stopped", 5)
        await asyncio.sleep(10.0)
        assert (ref.state, adds_up(organs)["dead"], seen) == ("stopped", 5, [])
        assert [event.kind for event in organs.events] == ["stopped"]

    play(main)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("how", ["stop", "hang", "gives up", "listener"])
def test_an_actor_ends_whatever_the_log_and_listeners_do(how: str, error: type[BaseException]) -> None:
    class Filter(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise error

    class Deaf(Actor):
        async def handle(self, message: Any) -> None:
            if how == "gives up":
                raise ValueError(message)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60.0)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60.0)

    class Loop(VirtualLoop):
        """Goes on where it was left."""

        def run_until_complete(self, future: Any) -> Any:
            future = asyncio.ensure_future(future, loop=self)
            while True:
                try:
                    return super().run_until_complete(future)
                except (KeyboardInterrupt, SystemExit):
                    if future.done():
                        raise

    told: list[str] = []
    log, filtering = logging.getLogger("sophia.actors"), Filter()

    def fails(_: Any) -> None:
        raise error

    async def main() -> None:
        organs = Orchestrator(Supervision(restarts=0))
        ref = organs.spawn(Deaf, "deaf")
        await turns()
        waiting = asyncio.ensure_future(ref.stopped())
        if how == "listener":
            organs.dead_letters.subscribe(fails)
            organs.subscribe(fails)
            ref.watch(fails)
        else:
            log.addFilter(filtering)
        ref.watch(lambda end: told.append(end.name))
        ref.tell(1)
        await turns()
        asked = [ref.ask(number, 1000.0) for number in range(3) if how != "gives up"]
        if how == "stop":
            ref.stop()
            await asyncio.sleep(130.0)
            asked.clear()
        elif how != "gives up":
            with contextlib.suppress(BaseException):
                await organs.stop(ref, 0.1)
        await asyncio.wait({waiting}, timeout=500.0)
        assert waiting.result().name == "deaf"
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {ActorStopped}
        assert (told, organs.names) == (["deaf"], [])
        assert organs.counts()["waiting"] == 0
        adds_up(organs)

    try:
        play(main, loop=Loop(), complaints=True)
    finally:
        log.removeFilter(filtering)


def test_one_that_is_cut_while_its_group_is_to_restart_ends_with_its_handler() -> None:
    class Busy(Actor):
        def handle(self, message: threading.Event) -> None:
            message.wait(30)

    async def main() -> None:
        organs = Orchestrator()
        group = organs.group("group", Supervision("one_for_all", backoff=1000.0, jitter=0.0))
        failing, busy = organs.spawn(Recorder, group=group), organs.spawn(Busy, group=group, blocking=True)
        await turns()
        message = threading.Event()
        asked = busy.ask(message, 1e6)
        while not busy.mailbox.hands:
            await asyncio.sleep(0.001)
        failing.tell(ValueError())
        await turns()
        ending = asyncio.ensure_future(organs.stop(busy, drain=False))
        await turns()
        message.set()
        assert await asked is None
        await ending
        assert (busy.restarts, await organs.shutdown(0.0)) == (0, Shutdown(0, 0, ()))

    play(main, loop=asyncio.new_event_loop())


@pytest.mark.parametrize("how", ["stop", "stopped", "shutdown"])
def test_a_task_of_a_handler_s_own_may_wait_for_the_end(how: str) -> None:
    """The handler does not wait for that; where it does so itself, it is told at once."""
    tasks: list[asyncio.Task[Any]] = []

    def ends(actor: Actor) -> Any:
        if how == "stopped":
            actor.ref.stop()
            return actor.ref.stopped()
        return actor.orchestrator.stop(actor.ref, 5.0) if how == "stop" else actor.orchestrator.shutdown(5.0)

    class Ends(Actor):
        async def handle(self, message: str) -> None:
            if message == "itself":
                await ends(self)
            tasks.append(asyncio.ensure_future(ends(self)))
            await asyncio.sleep(0.5)

    async def main() -> None:
        organs = Orchestrator()
        ref = organs.spawn(Ends)
        with pytest.raises(DeadlockError):
            await ref.ask("itself")
        if how == "stopped":
            ref = organs.spawn(Ends)
        assert await ref.ask("task") is None
        await tasks.pop()
        assert ref.state == "stopped"

    play(main)


def test_a_life_that_is_cancelled_before_its_first_step_is_over() -> None:
    async def main() -> None:
        organs = Orchestrator()
        told: list[str] = []
        ref = organs.spawn(Recorder, "unborn")
        ref.tell(1)
        asked = ref.ask(2)
        ref.watch(lambda end: told.append(end.name))
        for task in asyncio.all_tasks():
            if task.get_name() == "sophia-actor-unborn":
                task.cancel()
        await ref.stopped()
        with pytest.raises(ActorStopped):
            await asked
        assert (told, organs.names, adds_up(organs)["dead"]) == (["unborn"], [], 2)

    play(main)


def test_a_handler_that_goes_on_after_the_shutdown_holds_nothing_when_it_has_ended() -> None:
    class Deaf(Actor):
        async def handle(self, message: Any) -> None:
            for _ in range(100):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.1)

    async def main() -> weakref.ref[Orchestrator]:
        organs = Orchestrator()
        ref = organs.spawn(Deaf)
        await turns()
        ref.tell(1)
        await turns()
        assert (await organs.shutdown(0.0)).hung == ("deaf",)
        organs.events.clear()
        await asyncio.sleep(1.0)  # the end of the loop cancels it once more
        return weakref.ref(organs)

    log = logging.getLogger("sophia.actors")
    log.disabled = True
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            left = runner.run(main())
    finally:
        log.disabled = False
    gc.collect()
    assert left() is None

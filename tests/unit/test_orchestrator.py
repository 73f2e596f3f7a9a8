# Over 600 lines: how all of it begins and ends, also processes.
"""Names, ends, watchers, shutdown, forks and the interpreter's exit."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from stage import Echo, Recorder, adds_up, play, threads_of_actors, turns

from sophia.actors import Actor, Orchestrator, Supervision, Terminated
from sophia.errors import ActorStopped, AskTimeout, PoolForked, UnknownActor

pytestmark = pytest.mark.messages


class Hung(Actor):
    """Swallows every cancellation until it is let go."""

    def __init__(self, free: asyncio.Event) -> None:
        self.free = free

    async def handle(self, message):
        while not self.free.is_set():
            try:
                await self.free.wait()
            except asyncio.CancelledError:
                continue


class Stuck(Actor):
    """Blocks its thread until it is let go."""

    def __init__(self, free: threading.Event) -> None:
        self.free = free

    def handle(self, message):
        self.free.wait(60.0)


# Names


def test_names():
    async def main():
        organs = Orchestrator()
        refs = [organs.spawn(Echo) for _ in range(3)]
        assert organs.names == ["echo", "echo-2", "echo-3"]
        assert organs.spawn(lambda: Echo()).name == "actor"
        assert organs.spawn(Recorder(), "named") is organs.ref("named")
        with pytest.raises(ValueError, match="already"):
            organs.spawn(Echo, "named")
        for name in ("", 3):
            with pytest.raises(ValueError, match="name is"):
                organs.spawn(Echo, name)
        with pytest.raises(TypeError, match="neither"):
            organs.spawn(3)
        await organs.stop("named")
        assert organs.spawn(Echo, "named").state == "starting"
        assert refs[0] is organs.ref("echo")
        assert repr(refs[0]) == "<ActorRef 'echo' running, 0 waiting>"

    play(main)


def test_an_unknown_name_is_told_with_the_nearest():
    async def main():
        organs = Orchestrator()
        with pytest.raises(UnknownActor, match="none runs"):
            organs.ref("x")
        organs.spawn(Echo, "hippocampus")
        organs.spawn(Echo, "thalamus")
        for use in (organs.ref, lambda name: organs.tell(name, 1), lambda name: organs.ask(name, 1)):
            with pytest.raises(UnknownActor, match="the nearest is 'thalamus'"):
                use("talamus")
        with pytest.raises(UnknownActor):
            await organs.stop("hipocampus")
        assert issubclass(UnknownActor, KeyError)

    play(main)


def test_spawning_is_for_the_thread_of_the_loop():
    async def main():
        organs, errors = Orchestrator(), []

        def spawn() -> None:
            try:
                organs.spawn(Echo)
            except RuntimeError as error:
                errors.append(error)

        thread = threading.Thread(target=spawn)
        thread.start()
        thread.join()
        assert len(errors) == 1

    play(main)


@pytest.mark.parametrize("core", [-1, 10**6, True, "0"])
def test_a_core_that_is_not_there(core):
    async def main():
        with pytest.raises(ValueError, match="this machine has"):
            Orchestrator().spawn_on_core(core, Echo)

    play(main)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads are not bound to cores here")
def test_a_thread_is_bound_to_a_core():
    async def main():
        organs = Orchestrator()
        core = min(os.sched_getaffinity(0))

        class Where(Actor):
            def handle(self, message):
                return os.sched_getaffinity(0)

        assert await organs.spawn_on_core(core, Where, blocking=True).ask(1) == {core}
        assert await organs.spawn_on_core(core, Echo).ask(1) == 1

    play(main, patience=0.5)


# Ends


@pytest.mark.parametrize("blocking", [False, True])
def test_stop_handles_what_waits(blocking):
    async def main():
        organs, seen = Orchestrator(), []
        ref = organs.spawn(lambda: Recorder(seen), blocking=blocking)
        ref.send_batch(range(500))
        end = await organs.stop(ref)
        assert seen == list(range(500))
        assert end == Terminated("actor", "its actor has stopped", None)
        assert ref.tell(1).outcome == "stopped"
        with pytest.raises(ActorStopped):
            await ref.ask(2)
        assert await ref.stopped() is end
        assert await organs.stop(ref) is end

    play(main, patience=0.5 if blocking else 0.0)


def test_stop_twice_at_once():
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Echo)
        asked = [ref.ask(n) for n in range(10)]
        ends = await asyncio.gather(organs.stop(ref), organs.stop("echo"), ref.stopped())
        assert ends[0] is ends[1] is ends[2]
        assert await asyncio.gather(*asked) == list(range(10))

    play(main)


def test_who_waits_behind_a_handler_hears_of_the_end_at_once_and_so_does_a_second_stop():
    async def main():
        organs, loop = Orchestrator(), asyncio.get_running_loop()

        class Slow(Actor):
            async def handle(self, message):
                await asyncio.sleep(50.0)

        ref = organs.spawn(Slow)
        asked = [ref.ask(n, 100.0) for n in range(5)]
        await turns()
        start = loop.time()
        ends = await asyncio.gather(*(organs.stop(ref, drain=False) for _ in range(2)))
        assert all(one.done() for one in asked)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ActorStopped] * 5
        assert ends[0] is ends[1] is await organs.stop(ref)
        assert loop.time() == start

    play(main)


def test_one_that_stops_with_messages_waiting_does_not_spin():
    """Where anything is ready all the time, the virtual clock stands still."""

    async def main():
        organs, loop = Orchestrator(), asyncio.get_running_loop()

        class Slow(Actor):
            async def handle(self, message):
                await asyncio.sleep(10.0)

        ref = organs.spawn(Slow)
        ref.send_batch(range(5))
        await turns()
        start, jumps, before = loop.time(), loop.jumps, ref.mailbox.counts()["turns"]
        await organs.stop(ref, None)
        assert loop.time() - start == pytest.approx(50.0, abs=0.1)
        assert loop.jumps - jumps == 5
        assert ref.mailbox.counts()["turns"] - before <= 6
        assert organs.counts()["handled"] == 5

    play(main)


def test_a_thread_that_stops_with_messages_waiting_does_not_spin():
    async def main():
        organs, free = Orchestrator(), threading.Event()
        ref = organs.spawn(lambda: Stuck(free), blocking=True)
        ref.send_batch(range(5))
        while not ref.mailbox.hands:
            await turns(1)
        stops = [asyncio.create_task(organs.stop(ref, None)) for _ in range(2)]
        await turns(100)
        assert not any(stop.done() for stop in stops)
        free.set()
        await asyncio.gather(*stops)
        assert organs.counts()["handled"] == 5
        assert ref.mailbox.counts()["turns"] <= 4

    play(main, patience=0.05)


@pytest.mark.parametrize("blocking", [False, True])
def test_an_actor_stops_itself(blocking):
    async def main():
        organs = Orchestrator()

        class Leaves(Recorder):
            def handle(self, message):
                if message == "leave":
                    self.ref.stop()
                return super().handle(message)

        seen: list = []
        ref = organs.spawn(lambda: Leaves(seen), blocking=blocking)
        ref.send_batch([1, "leave", 2])
        await ref.stopped()
        assert seen == [1, "leave", 2]

    play(main, patience=0.5 if blocking else 0.0)


@pytest.mark.parametrize("from_thread", [False, True])
def test_stop_of_one_that_is_still_starting(from_thread):
    async def main():
        organs, seen = Orchestrator(), []

        class Slow(Recorder):
            async def on_start(self):
                await asyncio.sleep(1.0)

        ref = organs.spawn(lambda: Slow(seen))
        ref.tell(1)
        if from_thread:
            thread = threading.Thread(target=ref.stop)
            thread.start()
            thread.join()
        else:
            ref.stop()
        await ref.stopped()
        assert seen == [1]

    play(main)


def test_a_hung_handler_is_left_behind_in_time_and_its_messages_are_accounted_for():
    async def main():
        organs, free = Orchestrator(), asyncio.Event()
        ref = organs.spawn(lambda: Hung(free))
        asked = [ref.ask(n, 100.0) for n in range(3)]
        await turns()
        start = asyncio.get_running_loop().time()
        end = await organs.stop(ref, 2.0)
        assert asyncio.get_running_loop().time() - start == pytest.approx(3.0, abs=0.1)
        assert end.reason == "its handler hangs"
        for one in asked:
            with pytest.raises(ActorStopped, match="hangs"):
                await one
        before = adds_up(organs)
        assert (before["dead"], before["failed"]) == (2, 1)
        free.set()
        await turns(5)
        after = adds_up(organs)
        assert after == before

    play(main)


def test_a_hung_thread_is_left_behind_in_time():
    async def main():
        organs, free = Orchestrator(), threading.Event()
        ref = organs.spawn(lambda: Stuck(free), blocking=True)
        asked = [ref.ask(n, 100.0) for n in range(3)]
        while not ref.mailbox.hands:
            await turns(1)
        report = await organs.shutdown(2.0)
        assert report.hung == ("actor",)
        for one in asked:
            with pytest.raises(ActorStopped, match="hangs"):
                await one
        before = adds_up(organs)
        assert (before["dead"], before["failed"]) == (2, 1)
        free.set()
        while threads_of_actors():
            await turns(1)
        assert adds_up(organs) == before

    play(main, patience=0.05)


def test_a_task_that_waits_for_the_end_may_be_cancelled():
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Echo)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ref.stopped(), 1.0)
        ref.stop()
        await ref.stopped()

    play(main)


# Watchers


def test_watchers_are_told_once():
    async def main():
        organs, heard, seen = Orchestrator(Supervision(restarts=0)), [], []
        watcher = organs.spawn(lambda: Recorder(seen), "watcher")
        ref = organs.spawn(Recorder)
        for _ in range(2):
            ref.watch(watcher)
            ref.watch(heard.append)
        ref.watch(print)
        ref.unwatch(print)
        ref.unwatch(print)
        ref.watch(lambda _: 1 / 0)  # logged
        error = ValueError("no")
        ref.tell(error)
        await ref.stopped()
        await turns()
        assert [(end.name, end.error) for end in seen] == [("recorder", error)]
        assert heard == seen
        ref.watch(watcher)  # it has ended already
        await turns()
        assert seen == heard * 2

    play(main)


def test_an_end_overtakes_what_waits():
    async def main():
        organs, seen = Orchestrator(), []
        watcher = organs.spawn(lambda: Recorder(seen), "watcher")
        ref = organs.spawn(Echo)
        ref.watch(watcher)
        await turns()
        ref.stop()
        await turns(1)
        while ref.state != "stopped":
            watcher.tell("before", "critical")
            await turns(1)
        await turns(5)
        assert any(isinstance(one, Terminated) for one in seen)

    play(main)


def test_too_many_watchers():
    async def main():
        ref = Orchestrator().spawn(Echo)
        for n in range(1024):
            ref.watch(lambda _, n=n: n)
        with pytest.raises(ValueError, match="1024 watchers"):
            ref.watch(print)

    play(main)


# Shutdown


def test_shutdown_is_in_reverse_order_and_what_one_still_sends_arrives():
    async def main():
        organs, order, seen = Orchestrator(), [], []

        class Sends(Actor):
            def on_stop(self):
                order.append(self.ref.name)
                if self.ref.name != "a":
                    self.orchestrator.tell("a", self.ref.name)

            def handle(self, message):
                seen.append(message)

        for name in "abc":
            organs.spawn(Sends, name)
        report = await organs.shutdown()
        assert order == ["c", "b", "a"]
        assert seen == ["c", "b"]
        assert (report.handled, report.dead, report.hung) == (2, 0, ())
        assert await organs.shutdown() is report
        with pytest.raises(ActorStopped, match="shuts down"):
            organs.spawn(Echo)
        with pytest.raises(ActorStopped, match="'a' has ended"):
            organs.tell("a", 1)

    play(main)


def test_after_a_shutdown_every_use_says_so():
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Echo)
        await organs.shutdown()
        assert ref.tell(1).outcome == "stopped"
        assert ref.send_batch([2, 3]).outcome == "stopped"
        with pytest.raises(ActorStopped):
            await ref.ask(4)
        ref.stop()
        assert (await ref.stopped()).name == "echo"
        assert organs.broadcast_to_all(5) == {}
        counted = organs.counts()
        assert (counted["sent"], counted["dead"]) == (4, 4)

    play(main)


def test_many_that_hang_cost_one_moment_together():
    async def main():
        organs, free = Orchestrator(), asyncio.Event()
        refs = [organs.spawn(lambda: Hung(free)) for _ in range(20)]
        quick = organs.spawn(Echo, "quick")
        for ref in refs:
            ref.tell(1)
        await turns()
        quick.tell(1)
        start = asyncio.get_running_loop().time()
        report = await organs.shutdown(3.0)
        assert asyncio.get_running_loop().time() - start == pytest.approx(4.0, abs=0.2)
        assert len(report.hung) == 20
        assert quick.state == "stopped"
        free.set()
        await turns(5)

    play(main)


def test_a_shutdown_whose_caller_gives_up_goes_on():
    async def main():
        organs = Orchestrator()

        class Slow(Actor):
            async def handle(self, message):
                await asyncio.sleep(message)

        organs.spawn(Slow).tell(5.0)
        await turns()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(organs.shutdown(), 1.0)
        report = await asyncio.wait_for(organs.shutdown(), 20.0)
        assert (report.handled, report.hung) == (1, ())

    play(main)


def test_a_task_of_a_handler_shuts_down():
    async def main():
        organs, done = Orchestrator(), []

        class Quits(Actor):
            async def handle(self, message):
                done.append(asyncio.create_task(self.orchestrator.shutdown()))

        ref = organs.spawn(Quits)
        await ref.ask("quit")
        assert (await done[0]).hung == ()

    play(main)


def test_nothing_is_left_after_a_shutdown():
    """No thread, task, timer or open file, however the actors were used."""

    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0

    async def main():
        before = files(), threading.active_count(), len(asyncio.all_tasks())
        for _ in range(5):
            organs = Orchestrator(Supervision(backoff=0.001))
            refs = [organs.spawn(Recorder, blocking=n % 2 == 0) for n in range(6)]
            for ref in refs:
                ref.tell(ValueError())
            await asyncio.gather(*(ref.ask(1, 60.0) for ref in refs))
            refs[0].ask(1).cancel()
            await organs.shutdown()
            assert threads_of_actors() == []
        await turns()
        assert (files(), threading.active_count(), len(asyncio.all_tasks())) == before
        assert asyncio.get_running_loop().timers == []

    play(main, patience=0.05)


# Forks and the end of the interpreter


def run(code: str, seconds: float = 30.0, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=seconds, check=False, **options,
    )  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told_at_once():
    def tries(use) -> bool:
        try:
            use()
        except PoolForked:
            return True
        return False

    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Echo)
        assert await ref.ask(1) == 1
        child = os.fork()
        if child == 0:
            uses = [
                lambda: ref.tell(1),
                lambda: ref.ask(1),
                lambda: ref.send_batch([1]),
                lambda: organs.tell("echo", 1),
                lambda: organs.broadcast_to_all(1),
            ]
            os._exit(sum(tries(use) for use in uses))
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 5
        assert await ref.ask(2) == 2

    play(main, loop=asyncio.new_event_loop())


def test_a_forked_child_may_have_actors_of_its_own():
    code = """
        import asyncio, os
        from sophia.actors import Actor, Orchestrator

        class Echo(Actor):
            def handle(self, message):
                return message

        async def main():
            async with Orchestrator() as organs:
                return await organs.spawn(Echo, blocking=True).ask(7)

        assert asyncio.run(main()) == 7
        child = os.fork()
        if child == 0:
            os._exit(asyncio.run(main()))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    ended = run(code)
    assert (ended.stdout, ended.returncode) == ("7\n", 0), ended.stderr


EXIT = """
    import asyncio, sys, threading, time
    from sophia.actors import Actor, Orchestrator

    class Works(Actor):
        def handle(self, message):
            started.set()
            time.sleep(message)

    started = threading.Event()
    kept = []

    async def main():
        organs = Orchestrator()
        kept.append(organs)
        refs = [organs.spawn(Works, blocking=True) for _ in range({threads})]
        for ref in refs:
            ref.send_batch([{seconds}] * 20)
        while not started.is_set():
            await asyncio.sleep(0.001)
        kept.extend(refs)
        {end}

    {run}
"""


@pytest.mark.parametrize(
    ("threads", "seconds", "end"),
    [
        (1, 0.05, "return"),
        (1, 3600.0, "return"),
        (5, 3600.0, "return"),
        (2, 3600.0, "sys.exit(0)"),
        (2, 3600.0, "await organs.shutdown(0.2)"),
    ],
)
def test_the_interpreter_ends_in_the_middle_of_work(threads, seconds, end):
    ended = run(EXIT.format(threads=threads, seconds=seconds, end=end, run="asyncio.run(main())"))
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_interpreter_ends_with_a_loop_that_was_never_closed():
    code = EXIT.format(threads=1, seconds=0.01, end="return", run="asyncio.new_event_loop().run_until_complete(main())")
    ended = run("import warnings; warnings.simplefilter('ignore')\n" + textwrap.dedent(code))
    assert ended.returncode == 0, ended.stderr


def test_a_signal_ends_a_program_in_the_middle_of_work():
    # A signal between Python's last look for one and the system's wait is seen when that wait ends.
    end = "print('ready', flush=True); [await asyncio.sleep(1) for _ in range(60)]"
    code = EXIT.format(threads=1, seconds=60.0, end=end, run="asyncio.run(main())")
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20.0)
    assert process.returncode in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in errors


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
def test_a_signal_handler_stops_an_actor_in_the_middle_of_sending():
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Echo, overflow="drop_old", capacity=64)
        signal.signal(signal.SIGUSR1, lambda *_: ref.stop())
        signaller = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
        signaller.start()
        while ref.tell(1).outcome != "stopped":
            pass
        signaller.join()
        assert (await ref.stopped()).error is None

        def shut_down(*_):
            tasks.append(asyncio.ensure_future(organs.shutdown()))

        tasks: list = []
        other = organs.spawn(Echo, "other", overflow="drop_new")
        signal.signal(signal.SIGUSR1, shut_down)
        os.kill(os.getpid(), signal.SIGUSR1)
        while other.tell(1).outcome != "stopped":
            await turns(1)
        assert (await tasks[0]).hung == ()

    before = signal.getsignal(signal.SIGUSR1)
    try:
        play(main, loop=asyncio.new_event_loop())
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no such signal here")
@pytest.mark.parametrize("where", ["a dead letter is kept", "an end is counted"])
def test_a_signal_handler_shuts_down_and_sends_where_a_lock_is_held(where):
    """In the middle of the sending of a dead letter, and of an actor's end."""
    code = """
        import asyncio, os, signal, sys
        from collections import deque
        from sophia.actors import Actor, Orchestrator

        class Echo(Actor):
            def handle(self, message):
                return message

        once, heard, tasks = [1], [], []

        def interrupt():
            if once:
                once.pop()
                os.kill(os.getpid(), signal.SIGUSR1)
                while not heard:
                    pass

        class Letters(deque):
            def append(self, letter):
                interrupt()
                super().append(letter)

        class Counts(dict):
            def __setitem__(self, key, value):
                super().__setitem__(key, value)
                if key == "handled":
                    interrupt()

        async def main():
            organs = Orchestrator()
            ref = organs.spawn(Echo, "echo", overflow="dead_letter", capacity=2)
            ended = organs.spawn(Echo, "ended")
            await organs.stop(ended)
            if sys.argv[1] == "a dead letter is kept":
                organs.dead_letters._kept = Letters()
            else:
                organs._ended = Counts(organs._ended)

            def handle(*_):
                heard.append(ended.tell("late").outcome)
                ref.stop()
                tasks.append(asyncio.ensure_future(organs.shutdown()))

            signal.signal(signal.SIGUSR1, handle)
            for _ in range(3):
                ref.tell(1)
            await organs.stop(ref)
            report = await tasks[0]
            counted = organs.counts()
            parts = counted["handled"] + counted["dead"] + counted["refused"]
            print(heard, report.hung, counted["sent"] - parts, organs.dead_letters.count)

        asyncio.run(main())
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), where], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.returncode) == ("['stopped'] () 0 2\n", 0), ended.stderr


def test_a_question_in_flight_at_the_end_of_the_loop_is_answered_with_the_end():
    made, results = [], []

    class Slow(Actor):
        async def handle(self, message):
            await asyncio.sleep(60.0)

    async def ask(ref):
        try:
            await ref.ask(1, 60.0)
        except (ActorStopped, AskTimeout) as error:
            results.append(error)
            raise

    async def main():
        organs = Orchestrator()
        made.append(organs)
        ref = organs.spawn(Slow)
        task = asyncio.create_task(ask(ref))
        await turns(5)
        ref.tell(2)
        await organs.shutdown(0.0)
        with pytest.raises(ActorStopped):
            await task

    asyncio.run(main())
    assert len(results) == 1
    adds_up(made[0])

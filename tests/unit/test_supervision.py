# Over 600 lines: all that may follow a failure, in one file with the family that fails.
"""What happens when an actor fails: who starts again, when, how often, and what becomes of its messages."""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
import random
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import Recorder, play, turns

from sophia.actors import Actor, Orchestrator, Supervision
from sophia.actors.supervision import Budget
from sophia.errors import ActorStopped

pytestmark = pytest.mark.messages

EVEN = {"jitter": 0.0}


class Boom(Exception):
    """What the actors of these tests fail with."""


class Child(Actor):
    """Logs its life into a list that all of its family share; fails on "boom"."""

    def __init__(self, name: str, log: list) -> None:
        self.name, self.log = name, log

    def note(self, what: str) -> None:
        self.log.append((self.name, what, round(asyncio.get_running_loop().time(), 1)))

    def on_start(self):
        self.note("start")

    def on_stop(self):
        self.note("stop")

    def handle(self, message):
        if message == "boom":
            raise Boom
        return message


def family(organs, names, group=None):
    log: list = []
    refs = [organs.spawn(lambda name=name: Child(name, log), name, group=group) for name in names]
    return refs, log


def names_of(log, what):
    return [name for name, was, _ in log if was == what]


@pytest.mark.parametrize(("strategy", "again"), [("one_for_one", "b"), ("rest_for_one", "bc"), ("one_for_all", "abc")])
def test_strategies(strategy, again):
    async def main():
        organs = Orchestrator(Supervision(strategy, **EVEN))
        refs, log = family(organs, "abc")
        await turns()
        log.clear()
        waiting = [ref.ask(n) for n, ref in enumerate(refs)]
        refs[1].tell("boom", "critical")
        assert await asyncio.gather(*waiting) == [0, 1, 2]
        assert sorted(names_of(log, "stop")) == sorted(names_of(log, "start")) == list(again)
        assert [ref.restarts for ref in refs] == [int(ref.name in again) for ref in refs]
        assert {time for _, what, time in log if what == "start"} == {1000.1}

    play(main)


def test_what_a_failure_means():
    async def main():
        organs = Orchestrator()

        async def fate(error, *, asked, asked_means="resume", **options):
            group = organs.group("g", Supervision(asked=asked_means, **options))
            ref = organs.spawn(Recorder, group=group)
            await turns()
            ref.ask(error).add_done_callback(lambda done: done.exception()) if asked else ref.tell(error)
            await asyncio.sleep(1.0)
            what = "resume" if ref.restarts == 0 else "restart"
            return "stop" if ref.state == "stopped" else what

        assert await fate(Boom(), asked=False) == "restart"
        assert await fate(Boom(), asked=True) == "resume"
        for directive in ("resume", "restart", "stop"):
            assert await fate(Boom(), asked=False, told=directive) == directive
            assert await fate(Boom(), asked=False, asked_means=directive) == "restart"
            assert await fate(Boom(), asked=True, asked_means=directive) == directive
            on = {Boom: directive}
            for asked in (False, True):
                assert await fate(Boom(), asked=asked, on=on) == directive
        assert await fate(KeyError(), asked=False, on={LookupError: "stop"}) == "stop"
        assert await fate(KeyError(), asked=False, on={LookupError: "stop", KeyError: "resume"}) == "resume"
        for asked in (False, True):
            assert await fate(SystemExit(), asked=asked) == "stop"
        assert await fate(SystemExit(), asked=False, on={SystemExit: "resume"}) == "resume"

    play(main)


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize("told", ["resume", "restart", "stop"])
def test_a_failure_of_which_no_asker_hears_is_counted_told_and_logged_once(told, blocking, caplog):
    async def main():
        organs, error = Orchestrator(Supervision(told=told, **EVEN)), Boom("why")
        organs.spawn(Recorder, "a", blocking=blocking).tell(error)
        await asyncio.sleep(1.0)
        assert organs.counts()["failed"] == 1
        assert [event[1:] for event in organs.events if event.kind == "failed"] == [("a", error)]
        (said,) = caplog.records
        assert said.getMessage() == f"actor 'a' failed on a Boom ({told}): Boom('why')"
        assert said.exc_info[1] is error

    play(main, patience=0.5 if blocking else 0.0)


@pytest.mark.parametrize("kind", ["plain", "awaited", "batch", "blocking"])
def test_who_asked_one_that_leaves_the_process_hears_why_and_not_when_time_is_up(kind):
    class Leaves(Actor):
        def handle(self, message):
            sys.exit("enough")

    class Later(Actor):
        async def handle(self, message):
            await asyncio.sleep(0)
            sys.exit("enough")

    class Many(Actor):
        def handle_batch(self, messages):
            sys.exit("enough")

    async def main():
        organs, loop = Orchestrator(), asyncio.get_running_loop()
        start = loop.time()
        ref = organs.spawn({"awaited": Later, "batch": Many}.get(kind, Leaves), blocking=kind == "blocking")
        asked = [ref.ask(n, 100.0) for n in range(3)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ActorStopped] * 3
        assert all("SystemExit" in str(outcome) and "enough" in str(outcome) for outcome in outcomes)
        assert isinstance(outcomes[0].__cause__, SystemExit)
        assert isinstance((await ref.stopped()).error, SystemExit)
        assert loop.time() - start < 100.0 if kind == "blocking" else loop.time() == start

    play(main, patience=2.0 if kind == "blocking" else 0.0)


def test_who_sends_to_one_that_dies_is_told_of_the_cause_once():
    """In the mailbox, in the line for room, and afterwards; and nothing else is said (`play` hears complaints)."""

    async def main():
        organs = Orchestrator(Supervision(told="stop"))
        ref = organs.spawn(Recorder, capacity=4)
        await turns()
        ref.tell(Boom("disk gone"))
        asked = [ref.ask(n) for n in range(20)]  # some find no room
        told = [asyncio.ensure_future(asyncio.wait_for(ref.tell(n), 60.0)) for n in range(20)]
        for n in range(20):
            ref.tell(n)  # nobody awaits it
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ActorStopped] * 20
        assert all("disk gone" in str(outcome) for outcome in outcomes)
        assert [(await one).outcome for one in told] == ["stopped"] * 20
        assert [event.kind for event in organs.events if event.error is not None] == ["failed", "gave_up", "stopped"]
        with pytest.raises(ActorStopped, match="disk gone"):
            organs.tell("recorder", 1)
        assert ref.tell(1).outcome == "stopped"

    play(main)


def test_who_asked_and_went_away_is_not_complained_of():
    """`play` hears what the loop says of a future whose exception nobody has asked for."""

    async def main():
        organs = Orchestrator(Supervision(told="stop"))
        ref = organs.spawn(Recorder)
        await turns()
        ref.tell(Boom("disk gone"))
        for n in range(5):
            ref.ask(n)
        await ref.stopped()
        gc.collect()
        await turns()

    play(main)


@pytest.mark.parametrize("blocking", [False, True])
def test_an_exit_of_the_process_stops_the_actor_and_not_the_process(blocking):
    async def main():
        organs = Orchestrator()
        ref = organs.spawn(Recorder, blocking=blocking)
        waiting = ref.ask(1)
        assert await waiting == 1
        ref.tell(SystemExit(2))
        with pytest.raises(ActorStopped, match="SystemExit"):
            await ref.ask("behind it", 60.0)
        end = await ref.stopped()
        assert isinstance(end.error, SystemExit)

    play(main, patience=0.5 if blocking else 0.0)


@pytest.mark.parametrize("where", ["on_start", "on_stop", "handle"])
@pytest.mark.parametrize("later", [False, True])
def test_an_exit_of_the_process_anywhere(where, later):
    async def main():
        organs = Orchestrator()

        def leave(self, *_):
            raise SystemExit

        async def leave_later(self, *_):
            await asyncio.sleep(0.1)
            raise SystemExit

        kind = type("Leaves", (Recorder,), {where: leave_later if later else leave})
        ref = organs.spawn(kind)
        ref.tell(1)
        await asyncio.sleep(1.0)
        ref.stop()
        end = await ref.stopped()
        assert isinstance(end.error, type(None) if where == "on_stop" else SystemExit)
        assert organs.counts()["handled"] == (where != "on_start")

    play(main)


def test_the_budget_is_each_childs_own():
    """Five siblings fail once each: none has failed too often."""

    async def main():
        organs = Orchestrator(Supervision(restarts=1, **EVEN))
        refs, _ = family(organs, "abcde")
        for ref in refs:
            ref.tell("boom")
        await asyncio.sleep(1.0)
        assert [ref.state for ref in refs] == ["running"] * 5
        refs[2].tell("boom")
        await asyncio.sleep(1.0)
        assert [ref.state for ref in refs] == ["running", "running", "stopped", "running", "running"]
        assert [event.actor for event in organs.events if event.kind == "gave_up"] == ["c"]

    play(main)


def test_the_budget_of_a_group_that_stands_and_falls_together():
    async def main():
        organs = Orchestrator()
        group = organs.group("all", Supervision("one_for_all", restarts=1, **EVEN))
        refs, _ = family(organs, "abc", group)
        refs[0].tell("boom")
        await asyncio.sleep(1.0)
        refs[1].tell("boom")
        await asyncio.sleep(1.0)
        assert [ref.state for ref in refs] == ["stopped"] * 3
        assert organs.names == []

    play(main)


def test_a_period_without_failures_makes_up_for_those_before():
    async def main():
        organs = Orchestrator(Supervision(restarts=2, period=5.0, backoff=0.0, **EVEN))
        (ref,), _ = family(organs, "a")
        for _ in range(10):
            ref.tell("boom")
            await asyncio.sleep(2.6)
        assert (ref.state, ref.restarts) == ("running", 10)
        for _ in range(3):
            ref.tell("boom")
            await asyncio.sleep(1.0)
        assert ref.state == "stopped"

    play(main)


@pytest.mark.parametrize("restarts", [0, 1, 3])
def test_one_failure_too_many(restarts):
    async def main():
        organs = Orchestrator(Supervision(restarts=restarts, backoff=0.01, **EVEN))
        (ref,), _ = family(organs, "a")
        with pytest.raises(Boom):
            await ref.ask("boom")
        ref.send_batch(["boom"] * (restarts + 1) + ["behind"] * 5)
        end = await ref.stopped()
        assert ref.restarts == restarts
        assert isinstance(end.error, Boom)
        assert [letter.message for letter in organs.dead_letters.kept] == ["behind"] * 5
        assert organs.counts()["failed"] == restarts + 2

    play(main)


def test_pauses_grow_also_without_a_limit_of_restarts():
    async def main():
        organs = Orchestrator(Supervision(restarts=None, backoff=0.5, backoff_most=20.0, **EVEN))
        (ref,), log = family(organs, "a")
        ref.send_batch(["boom"] * 9)
        await asyncio.sleep(200.0)
        times = [time for _, what, time in log if what == "start"]
        pauses = [b - a for a, b in itertools.pairwise(times)]
        assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 20, 20, 20], abs=0.3)
        ref.tell("boom")  # after a quiet time
        await asyncio.sleep(0.7)
        assert ref.restarts == 10

    play(main)


def test_a_start_that_fails_counts_and_pauses_grow():
    async def main():
        organs, starts = Orchestrator(Supervision(restarts=4, period=60.0, backoff=1.0, **EVEN)), []

        class Bad(Actor):
            async def on_start(self):
                starts.append(asyncio.get_running_loop().time())
                raise Boom

        ref = organs.spawn(Bad)
        asked = ref.ask("waits", 100.0)
        end = await ref.stopped()
        assert [b - a for a, b in itertools.pairwise(starts)] == pytest.approx([1, 2, 4, 8], abs=0.01)
        assert isinstance(end.error, Boom)
        with pytest.raises(ActorStopped, match="Boom"):
            await asked

    play(main)


@pytest.mark.parametrize("what", ["hangs", "awaits a cancelled future", "gives no actor", "swallows"])
def test_starts_that_fail_in_other_ways(what):
    async def main():
        organs = Orchestrator(Supervision(restarts=1, backoff=0.01, told="resume"))

        class Odd(Actor):
            async def on_start(self):
                if what == "hangs":
                    await asyncio.Event().wait()
                elif what == "swallows":
                    try:
                        await asyncio.Event().wait()
                    except asyncio.CancelledError:
                        raise Boom from None
                future = asyncio.get_running_loop().create_future()
                future.cancel()
                await future

        factory = (lambda: "no actor") if what == "gives no actor" else Odd
        ref = organs.spawn(factory, start_timeout=2.0)
        end = await ref.stopped()
        errors = {
            "hangs": TimeoutError,
            "awaits a cancelled future": asyncio.CancelledError,
            "gives no actor": TypeError,
            "swallows": Boom,
        }
        assert isinstance(end.error, errors[what])
        assert [event.kind for event in organs.events] == ["failed", "restarting", "failed", "gave_up", "stopped"]

    play(main)


def test_an_on_stop_that_fails_hinders_no_restart():
    async def main():
        organs = Orchestrator()

        class Bad(Recorder):
            async def on_stop(self):
                future = asyncio.get_running_loop().create_future()
                future.cancel()
                await future

        ref = organs.spawn(Bad)
        ref.tell(Boom())
        assert await ref.ask(1) == 1
        assert ref.restarts == 1

    play(main)


def test_messages_wait_out_the_pause_and_come_in_order():
    async def main():
        organs, seen = Orchestrator(Supervision(backoff=10.0, **EVEN)), []
        error = Boom()
        ref = organs.spawn(lambda: Recorder(seen), capacity=8)
        await turns()
        ref.send_batch([1, error, 2, 3])
        await turns()
        assert ref.state == "restarting"
        first = ref.ask(4, 60.0)
        ref.send_batch([5, 6, 7, 8, 9])
        late = asyncio.create_task(asyncio.wait_for(ref.tell(10), 60.0))
        await turns()
        assert seen == [1, error]
        await first
        await late
        await turns()
        assert seen == [1, error, *range(2, 11)]

    play(main)


def test_what_comes_in_the_pause_and_finds_no_room_is_a_dead_letter():
    async def main():
        organs, seen = Orchestrator(Supervision(backoff=10.0, **EVEN)), []
        error = Boom()
        ref = organs.spawn(lambda: Recorder(seen), capacity=4, overflow="dead_letter")
        ref.tell(error)
        await asyncio.sleep(1.0)
        assert ref.state == "restarting"
        assert [ref.tell(n).outcome for n in range(6)] == ["accepted"] * 4 + ["dead"] * 2
        await asyncio.sleep(10.0)
        assert seen == [error, 0, 1, 2, 3]
        assert [letter.message for letter in organs.dead_letters.kept] == [4, 5]

    play(main)


@pytest.mark.parametrize("drain", [True, False])
def test_stopped_in_the_pause_before_a_restart(drain):
    async def main():
        organs, seen = Orchestrator(Supervision(backoff=5.0, **EVEN)), []
        ref = organs.spawn(lambda: Recorder(seen))
        error = Boom()
        ref.send_batch([error, 1, 2])
        await asyncio.sleep(1.0)
        begin = asyncio.get_running_loop().time()
        await organs.stop(ref, 20.0, drain=drain)
        took = asyncio.get_running_loop().time() - begin
        if drain:
            assert seen == [error, 1, 2]
            assert took == pytest.approx(4.0, abs=0.1)
        else:
            assert (seen, took) == ([error], pytest.approx(0.0, abs=0.1))
            assert organs.counts()["dead"] == 2

    play(main)


def test_two_of_a_group_fail_in_one_moment():
    """Each of the group is started once more for both, and not yet again at its end."""

    async def main():
        organs = Orchestrator(Supervision("one_for_all", restarts=5, **EVEN))
        both, log = threading.Barrier(2), []

        class Blocking(Actor):
            def on_start(self):
                log.append(self.ref.name)

            def handle(self, message):
                both.wait(10.0)
                raise Boom

        refs = [organs.spawn(Blocking, name, blocking=True) for name in "abc"]
        refs[0].tell("boom")
        refs[2].tell("boom")
        await asyncio.sleep(0.01)
        await asyncio.sleep(5.0)
        await organs.shutdown()
        assert sorted(log) == list("aabbcc")
        assert [ref.restarts for ref in refs] == [1, 1, 1]
        assert organs.counts()["failed"] == 2

    play(main, patience=0.3)


def test_one_fails_while_another_of_its_group_still_starts():
    async def main():
        organs = Orchestrator(Supervision("one_for_all", **EVEN))
        log: list = []

        class Slow(Child):
            async def on_start(self):
                self.note("start")
                await asyncio.sleep(1.0)

        slow = organs.spawn(lambda: Slow("slow", log), "slow")
        (quick,), _ = family(organs, "q")
        await asyncio.sleep(0.5)
        quick.tell("boom")
        assert await slow.ask(1, 60.0) == 1
        assert (slow.restarts, quick.restarts) == (1, 1)
        slow.stop()
        await slow.stopped()
        assert names_of(log, "start") == names_of(log, "stop") == ["slow"] * 2

    play(main)


def test_a_sibling_that_is_awaited_is_broken_off_for_a_restart():
    async def main():
        organs = Orchestrator(Supervision("one_for_all", **EVEN))

        class Long(Actor):
            async def handle(self, message):
                await asyncio.sleep(message)
                return message

        long = organs.spawn(Long)
        (quick,), _ = family(organs, "q")
        await turns()
        first, second = long.ask(100.0, 200.0), long.ask(1.0, 200.0)
        await turns()
        quick.tell("boom")
        with pytest.raises(ActorStopped):
            await first
        assert await second == 1.0
        assert long.restarts == 1

    play(main)


def test_a_group_that_gives_up_fails_in_its_own_turn():
    async def main():
        organs = Orchestrator(Supervision("one_for_all", restarts=1, period=100.0, **EVEN))
        group = organs.group("g", Supervision(restarts=1, period=100.0, exhausted="escalate", **EVEN))
        (outside,), _ = family(organs, "o")
        (inside, beside), _ = family(organs, "ib", group)

        async def fail(times):
            for _ in range(times):
                inside.tell("boom")
                await asyncio.sleep(1.0)

        await fail(1)
        assert (outside.restarts, inside.restarts, beside.restarts) == (0, 1, 0)
        await fail(1)
        assert (outside.restarts, inside.restarts, beside.restarts) == (1, 2, 1)
        await fail(1)  # started by the group above, it is as new
        assert (outside.restarts, inside.restarts, beside.restarts) == (1, 3, 1)
        await fail(1)
        assert {ref.state for ref in (outside, inside, beside)} == {"stopped"}

    play(main)


def test_at_the_top_there_is_nobody_to_escalate_to():
    async def main():
        organs = Orchestrator(Supervision(restarts=0, exhausted="escalate"))
        (ref,), _ = family(organs, "a")
        ref.tell("boom")
        assert isinstance((await ref.stopped()).error, Boom)

    play(main)


def test_failures_of_a_blocking_actor_that_has_just_been_stopped_are_nobodys():
    async def main():
        organs = Orchestrator(Supervision("rest_for_one"))
        (ref,), _ = family(organs, "a")
        cell = organs._cells["a"]
        await organs.stop(ref)
        cell._after_failure(Boom(), "restart")  # which its thread had posted
        assert ref.state == "stopped"

    play(main)


def test_events_are_told():
    async def main():
        organs, heard = Orchestrator(Supervision(restarts=1, **EVEN)), []
        organs.subscribe(lambda _: 1 / 0)  # logged, and no others' business
        organs.subscribe(lambda event: heard.append((event.kind, event.actor)))
        (ref,), _ = family(organs, "a")
        ref.send_batch(["boom", "boom"])
        await ref.stopped()
        kinds = ["started", "failed", "restarting", "started", "failed", "gave_up", "stopped"]
        assert heard == [(kind, "a") for kind in kinds]

    play(main)


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "all"},
        {"exhausted": "cry"},
        {"told": "ignore"},
        {"asked": ""},
        {"on": {Boom: "no"}},
        {"restarts": -1},
        {"period": 0.0},
        {"backoff": -1.0},
        {"backoff": math.nan},
        {"backoff_most": math.inf},
        {"jitter": 1.5},
        {"jitter": math.nan},
    ],
)
def test_what_a_supervision_cannot_be(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Supervision(**options)


@pytest.mark.parametrize("options", [{"on": {3: "stop"}}, {"restarts": 1.5}, {"restarts": True}])
def test_what_a_supervision_cannot_be_made_of(options):
    with pytest.raises(TypeError, match=next(iter(options))):
        Supervision(**options)


@given(st.integers(0, 2**32), st.integers(0, 200), st.floats(0.0, 1.0), st.floats(0.0, 100.0))
def test_jitter_stays_within_its_share_and_follows_the_seed(seed, attempt, jitter, backoff):
    supervision = Supervision(jitter=jitter, backoff=backoff)
    even = min(30.0, backoff * 2.0 ** min(attempt, 60))
    pause = supervision.pause(attempt, random.Random(seed))
    assert even * (1.0 - jitter) - 1e-9 <= pause <= even * (1.0 + jitter) + 1e-9
    assert pause == supervision.pause(attempt, random.Random(seed))


def test_jitter_differs():
    supervision, chance = Supervision(jitter=0.5), random.Random(1)
    pauses = [supervision.pause(0, chance) for _ in range(1000)]
    assert min(pauses) < 0.06
    assert max(pauses) > 0.14
    assert sum(pauses) / 1000 == pytest.approx(0.1, rel=0.05)


@given(
    st.integers(0, 5),
    st.floats(0.5, 10.0),
    st.lists(st.floats(0.0, 8.0), max_size=40),
)
def test_a_budget_like_a_list_of_times(restarts, period, gaps):
    budget = Budget(Supervision(restarts=restarts, period=period, backoff=0.0, jitter=0.0))
    chance, now, taken = random.Random(0), 0.0, []
    for gap in gaps:
        now += gap
        allowed = len([time for time in taken if time > now - period]) < restarts
        assert (budget.take(now, chance) is not None) == allowed
        if allowed:
            taken.append(now)

from __future__ import annotations

import asyncio
import gc
import itertools
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_clock import VirtualLoop

from sophia._core.wheel import Call, TimerWheel

pytestmark = pytest.mark.messages

TICK = 1e-3
YEAR = 365.0 * 86400
# What a float of that many seconds cannot tell apart.
BLUR = 1e-6


@pytest.fixture
def loop():
    loop = VirtualLoop()
    yield loop
    loop.close()


def let_pass(loop: VirtualLoop, seconds: float) -> None:
    loop.run_until_complete(asyncio.sleep(seconds))


# Round numbers, both sides of each level of the wheel, and anything.
AWAY = st.one_of(
    st.sampled_from([0.0, -1.0, TICK, 0.063, 0.064, 0.065, 4.095, 4.096, 4.097, 262.143, 262.144, 16777.216]),
    st.floats(0.0, 0.2),
    st.floats(0.0, 20.0),
    st.floats(0.0, 1e5),
    st.floats(0.0, 3.0 * YEAR),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), AWAY),
        st.tuples(st.just("set"), AWAY),
        st.tuples(st.just("clear"), st.integers(0, 1000)),
        st.tuples(st.just("pass"), AWAY),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=200)
def test_calls_come_like_those_of_a_sorted_list(steps):
    loop = VirtualLoop()
    wheel = TimerWheel(loop)
    waiting: dict[int, tuple[float, Call]] = {}  # by number: the time that it is due at
    came: list[tuple[float, int]] = []

    def call(number: int) -> None:
        due, _ = waiting.pop(number)
        assert due - BLUR <= loop.time() <= due + TICK + BLUR
        came.append((due, number))

    for number, (what, value) in enumerate(steps):
        if what == "set":
            timer = wheel.call_later(value, call, number)
            waiting[number] = loop.time() + max(value, 0.0), timer
        elif what == "clear" and waiting:
            gone = sorted(waiting)[value % len(waiting)]
            _, timer = waiting.pop(gone)
            assert timer.due
            assert timer.cancel()
            assert not timer.cancel()
        elif what == "pass":
            came.clear()
            let_pass(loop, max(value, 0.0))
            # in the order of their ticks
            assert all(a <= b + TICK + BLUR for (a, _), (b, _) in itertools.pairwise(came))
        assert len(wheel) == len(waiting)
        assert all(due >= loop.time() - TICK - BLUR for due, _ in waiting.values())
        assert len(loop.timers) <= 1
    if waiting:
        let_pass(loop, max(due for due, _ in waiting.values()) - loop.time() + 2 * TICK)
    assert waiting == {}
    assert len(wheel) == 0
    wheel.close()
    assert loop.timers == []
    loop.close()


@pytest.mark.parametrize("seconds", [0.0, -5.0, 1e-9, TICK, 0.0641, 4.1, 300.0, 2e4, 2e6, 9e7, 1e9])
def test_one_call_is_never_early_and_a_tick_late_at_most(loop, seconds):
    let_pass(loop, 12.3456)
    wheel = TimerWheel(loop)
    let_pass(loop, 0.0007)
    came = []
    due = loop.time() + max(0.0, seconds)
    wheel.call_later(seconds, lambda: came.append(loop.time()))
    let_pass(loop, max(0.0, seconds) + 3 * TICK)
    assert len(came) == 1
    assert due <= came[0] <= due + TICK + BLUR


def test_what_is_very_far_comes_after_69_years(loop):
    wheel, came = TimerWheel(loop), []
    start = loop.time()
    for seconds in (1e12, float("inf")):
        wheel.call_later(seconds, lambda: came.append(loop.time() - start))
    let_pass(loop, 69 * YEAR)
    assert came == []
    let_pass(loop, YEAR)
    assert len(came) == 2
    assert 69 * YEAR < came[0] <= 70 * YEAR


def test_the_highest_level_goes_round(loop):
    """Ticks of 42 bits: after 139 years."""
    wheel, came = TimerWheel(loop), []
    for _ in range(5):
        let_pass(loop, 28 * YEAR)
        for seconds in (0.001, 3.0, 5e4, 2e8, 27 * YEAR):
            due = loop.time() + seconds
            wheel.call_later(seconds, lambda due=due: came.append(loop.time() - due))
    let_pass(loop, 28 * YEAR)
    assert len(came) == 25
    assert all(-1e-3 <= late <= TICK + 1e-3 for late in came)


def test_no_time_is_refused(loop):
    with pytest.raises(ValueError, match="NaN"):
        TimerWheel(loop).call_later(float("nan"), print)


def test_a_call_may_cancel_one_that_is_due_with_it(loop):
    wheel, came = TimerWheel(loop), []
    timers: list[Call] = []

    def first() -> None:
        came.append("first")
        assert timers[1].due
        assert timers[1].cancel()

    timers += [wheel.call_later(1.0, first), wheel.call_later(1.0, came.append, "second")]
    timers.append(wheel.call_later(1.0, came.append, "third"))
    let_pass(loop, 2.0)
    assert came == ["first", "third"]
    assert len(wheel) == 0
    assert not any(timer.due for timer in timers)


def test_a_call_may_set_others(loop):
    wheel, came = TimerWheel(loop), []

    def again(n: int) -> None:
        came.append(n)
        if n:
            wheel.call_later(0.0, again, n - 1)
            wheel.call_later(60.0, came.append, -n)

    wheel.call_later(0.5, again, 3)
    let_pass(loop, 1.0)
    assert came == [3, 2, 1, 0]
    let_pass(loop, 60.0)
    assert came == [3, 2, 1, 0, -3, -2, -1]


def test_a_failing_call_is_the_loops_business_and_no_others(loop):
    heard, came = [], []
    loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))
    wheel = TimerWheel(loop)
    error = ValueError("no")

    def fail() -> None:
        raise error

    wheel.call_later(1.0, fail)
    wheel.call_later(1.0, came.append, 1)
    let_pass(loop, 2.0)
    assert heard == [error]
    assert came == [1]


def test_what_ends_the_loop_leaves_the_others_set(loop):
    wheel, came = TimerWheel(loop), []

    def leave() -> None:
        raise KeyboardInterrupt

    wheel.call_later(1.0, leave)
    late = [wheel.call_later(1.0, came.append, n) for n in range(10)]
    gone = late.pop()
    with pytest.raises(KeyboardInterrupt):
        let_pass(loop, 2.0)
    assert came == []
    assert len(wheel) == 10
    assert gone.cancel()
    let_pass(loop, 0.1)
    assert came == list(range(9))
    assert len(wheel) == 0


def test_closed_in_a_call_it_calls_no_more(loop):
    wheel, came = TimerWheel(loop), []
    wheel.call_later(1.0, wheel.close)
    wheel.call_later(1.0, came.append, 1)
    wheel.call_later(2.0, came.append, 2)
    let_pass(loop, 3.0)
    assert came == []
    assert len(wheel) == 0
    assert loop.timers == []
    with pytest.raises(RuntimeError, match="closed"):
        wheel.call_later(1.0, print)


@pytest.mark.parametrize("how", ["fire", "cancel", "close"])
def test_arguments_are_let_go(loop, how):
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    wheel = TimerWheel(loop)
    timer = wheel.call_later(1.0, lambda _: None, thing)
    del thing
    if how == "fire":
        let_pass(loop, 2.0)
    elif how == "cancel":
        timer.cancel()
    else:
        wheel.close()
        del timer
    gc.collect()
    assert gone() is None


def test_many_timers_are_one_of_the_loop(loop):
    wheel = TimerWheel(loop)
    timers = [wheel.call_later(5.0 + n * 1e-4, print) for n in range(5000)]
    assert len(loop.timers) == 1
    assert len(wheel) == 5000
    for timer in timers:
        timer.cancel()
    assert len(wheel) == 0
    jumps = loop.jumps
    let_pass(loop, 10.0)
    assert loop.jumps - jumps <= 8  # a few cascades for nothing, and the sleep


class Hasty(VirtualLoop):
    """Lets others in while it takes a timer."""

    others = None

    def call_at(self, *given, **named):
        others, self.others = self.others, None
        if others is not None:
            others()
        return super().call_at(*given, **named)


@pytest.mark.parametrize("between", [0.1, 0.2, 0.5])
def test_none_is_early_that_is_set_while_the_loop_takes_another(between):
    loop = Hasty()
    wheel, came = TimerWheel(loop), []
    start = loop.time()

    def later(seconds: float) -> None:
        wheel.call_later(seconds, lambda: came.append((seconds, loop.time() - start)))

    try:
        for seconds in (1.0, 3.0, 6.0):
            later(seconds)
        loop.others = lambda: later(between)
        later(0.2)
        let_pass(loop, 10.0)
        assert [seconds for seconds, _ in came] == sorted([between, 0.2, 1.0, 3.0, 6.0])
        for seconds, after in came:
            assert seconds - BLUR <= after <= seconds + 2 * TICK
        assert loop.timers == []
    finally:
        loop.close()


def test_closed_while_the_loop_takes_a_timer_it_leaves_none():
    loop = Hasty()
    wheel, came = TimerWheel(loop), []
    loop.others = wheel.close
    wheel.call_later(1.0, came.append, 1)
    assert loop.timers == []
    let_pass(loop, 2.0)
    assert came == []
    loop.close()

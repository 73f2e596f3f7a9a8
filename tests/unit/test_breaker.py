from __future__ import annotations

import asyncio
import copy
import functools
import gc
import logging
import math
import pickle
import threading
import time
import weakref
from contextlib import suppress

import pytest

from sophia._core.breaker import CircuitBreaker
from sophia.actors.breaker import Breaker, Call, acall, call
from sophia.errors import CircuitOpen, ConfigError

pytestmark = pytest.mark.messages


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.readings = 0

    def __call__(self) -> float:
        self.readings += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def half_open(clock, **settings):
    """A breaker whose next call is the probe."""
    breaker = CircuitBreaker(clock=clock, **settings)
    breaker.trip()
    clock.now += breaker.open_seconds
    return breaker


def test_it_opens_at_the_rate_and_not_before_the_fewest_calls():
    breaker = CircuitBreaker(failure_rate=0.55, window=100, minimum_calls=100)
    for i in range(99):
        breaker.failed(breaker.admit()) if i < 55 else breaker.succeeded(breaker.admit())
    assert breaker.state == "closed"
    breaker.succeeded(breaker.admit())  # a success that makes enough calls known
    assert breaker.state == "open"
    assert breaker.stats()[:3] == ("open", 100, 55)


def test_the_window_slides():
    breaker = CircuitBreaker(failure_rate=1.0, window=3, minimum_calls=3)
    for failed in (True, False, True, True):
        breaker.failed(breaker.admit()) if failed else breaker.succeeded(breaker.admit())
    assert (breaker.state, breaker.stats().window_failures, breaker.stats().window_calls) == ("closed", 2, 3)
    breaker.failed(breaker.admit())
    assert breaker.state == "open"


def test_the_refusal_says_everything(clock):
    breaker = CircuitBreaker(name="mail", minimum_calls=2, window=3, open_seconds=8, probe_seconds=4, clock=clock)
    breaker.succeeded(breaker.admit())
    breaker.failed(breaker.admit())
    clock.now += 5
    with pytest.raises(CircuitOpen) as refused:
        breaker.admit()
    assert str(refused.value) == (
        "circuit breaker 'mail' is open (1 of the last 2 calls failed, 50%); it will be tried again in 3 s"
    )
    assert refused.value.retry_after == 3.0
    clock.now += 3
    breaker.admit()
    with pytest.raises(CircuitOpen, match=r"half_open .* one call tries it now, and is given up in 4 s if") as refused:
        breaker.admit()
    assert refused.value.retry_after == 0.0
    breaker.reset()
    breaker.trip()
    with pytest.raises(CircuitOpen, match="no calls"):
        breaker.admit()


def test_a_closed_breaker_reads_no_clock(clock):
    breaker = CircuitBreaker(clock=clock, slow_seconds=1.0)
    for _ in range(200):
        breaker.succeeded(breaker.admit(), seconds=0.5)
        breaker.succeeded(breaker.try_admit())
        breaker.abandoned(breaker.admit())
        assert breaker.allows()
    assert clock.readings == 0


def test_a_slow_success_is_a_failure(clock):
    breaker = CircuitBreaker(minimum_calls=1, slow_seconds=1.0, clock=clock)
    breaker.succeeded(breaker.admit(), seconds=1.0)
    breaker.succeeded(breaker.admit(), seconds=math.nan)
    assert breaker.state == "closed"
    breaker.succeeded(breaker.admit(), seconds=1.5)
    breaker.failed(breaker.admit(), seconds=1.5) if breaker.state == "closed" else None
    assert breaker.stats().slow == breaker.stats().failures > 0


def test_a_slow_probe_opens_again_though_nobody_took_its_time(clock):
    breaker = half_open(clock, slow_seconds=1.0)
    ticket = breaker.admit()
    clock.now += 1.5
    breaker.succeeded(ticket)
    assert (breaker.state, breaker.stats().slow) == ("open", 1)


def test_one_probe_and_what_becomes_of_it(clock):
    breaker = half_open(clock)
    assert breaker.state == "open"
    assert breaker.allows()
    ticket = breaker.admit()
    assert (breaker.state, breaker.allows(), breaker.try_admit()) == ("half_open", False, -1)
    breaker.failed(ticket)
    assert (breaker.state, breaker.allows()) == ("open", False)
    clock.now += 5
    breaker.succeeded(breaker.admit())
    assert (breaker.state, breaker.stats().window_calls) == ("closed", 0)
    breaker.failed(ticket)
    assert breaker.stats().late == 1


def test_a_hanging_probe_is_given_up(clock):
    breaker = half_open(clock, probe_seconds=7)
    hanging = breaker.admit()
    clock.now += 6.9
    assert breaker.try_admit() == -1
    clock.now += 0.1
    second = breaker.admit()
    assert (second != hanging, breaker.try_admit()) == (True, -1)
    breaker.succeeded(hanging)
    assert breaker.state == "half_open"
    breaker.succeeded(second)
    assert (breaker.state, breaker.stats().given_up) == ("closed", 1)


def test_it_stays_open_longer_after_each_probe_that_fails_up_to_the_most(clock):
    breaker = half_open(clock, open_seconds=2, open_most=5)
    for seconds in (4, 5, 5):
        breaker.failed(breaker.admit())
        clock.now += seconds - 2**-20
        assert not breaker.allows()
        clock.now += 2**-20
        assert breaker.allows()
    breaker.succeeded(breaker.admit())
    breaker.trip()
    clock.now += 2
    assert breaker.allows()


@pytest.mark.parametrize("back", [0.001, 3.0, 1e6, 8e6])
def test_a_clock_that_is_put_back_never_keeps_it_open(clock, back):
    breaker = half_open(clock)
    clock.now -= back
    for _ in range(2):
        with pytest.raises(CircuitOpen) as refused:
            breaker.admit()
        assert 0 < refused.value.retry_after <= 5
    clock.now += 5.001
    ticket = breaker.admit()
    clock.now -= back
    assert breaker.try_admit() == -1
    clock.now += 30.001
    assert breaker.try_admit() > ticket


@pytest.mark.parametrize("step", [8.5e6, -8.5e6, 1e9, -1e9, 3e12, -3e12])
def test_a_clock_that_steps_further_than_it_keeps_the_time_for(clock, step):
    breaker = half_open(clock)
    clock.now += step
    ticket = breaker.try_admit()  # for all it knows the time may be over
    clock.now += 5.001
    assert ticket >= 0 or breaker.try_admit() >= 0


def test_the_clock_of_the_machine():
    breaker = CircuitBreaker(open_seconds=0.02)
    breaker.trip()
    began = time.monotonic()
    while breaker.try_admit() < 0:
        time.sleep(0.001)
    assert time.monotonic() - began >= 0.019


@pytest.mark.parametrize("reading", [math.nan, math.inf, -math.inf, 1e300])
def test_a_clock_that_shows_no_time(clock, reading):
    breaker = CircuitBreaker(name="mail", clock=clock)
    clock.now = reading
    with pytest.raises(ValueError, match="the clock of circuit breaker 'mail' shows"):
        breaker.trip()
    assert breaker.state == "closed"


def test_a_clock_that_fails(clock):
    def broken():
        raise OSError("no clock")

    breaker = CircuitBreaker(clock=broken, minimum_calls=1)
    with pytest.raises(OSError, match="no clock"):
        breaker.failed(breaker.admit())
    assert breaker.stats().failures == 1


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("failure_rate", 0),
        ("failure_rate", 1.01),
        ("failure_rate", math.nan),
        ("window", 0),
        ("window", 32768),
        ("minimum_calls", 0),
        ("minimum_calls", 101),
        ("open_seconds", 0),
        ("open_seconds", -1),
        ("open_seconds", math.inf),
        ("open_most", 4.9),
        ("slow_seconds", 0),
        ("probe_seconds", math.nan),
    ],
)
def test_numbers_out_of_range(what, value):
    with pytest.raises(ValueError, match=f"{what} must be"):
        CircuitBreaker(**{what: value})
    with pytest.raises(ConfigError, match=rf"breaker 'mail': {what} is {value!r}; give "):
        Breaker(name="mail", **{what: value})


def test_values_of_the_wrong_kind():
    for wrong in ({"name": 3}, {"clock": 3}, {"window": 2.5}, {"open_seconds": None}):
        with pytest.raises(TypeError):
            CircuitBreaker(**wrong)
    for what in ("failure_rate", "window", "minimum_calls", "open_seconds", "slow_seconds"):
        with pytest.raises(ConfigError, match=f"{what} is '1'; give"):
            Breaker(**{what: "1"})
    with pytest.raises(ConfigError, match="name is 3"):
        Breaker(name=3)
    with pytest.raises(ConfigError, match=r"ignore is .*give a tuple of exception classes"):
        Breaker().circuit(ignore=ValueError)


@pytest.mark.parametrize("ticket", [-1, -(2**63), 1, 2, 2**62 + 1])
def test_tickets_that_nobody_was_given(ticket):
    breaker = CircuitBreaker()
    for report in (breaker.succeeded, breaker.failed, breaker.abandoned):
        with pytest.raises(ValueError, match="ticket must be"):
            report(ticket)
    with pytest.raises(OverflowError):
        breaker.succeeded(2**63)
    breaker.failed(2**62)
    assert breaker.stats()[1:7] == (0, 0, 0, 0, 1, 0)


def test_subscribers_hear_each_change(clock):
    heard = []
    breaker = CircuitBreaker(name="mail", minimum_calls=2, clock=clock)
    breaker.subscribe(lambda *change: heard.append(change))
    breaker.failed(breaker.admit())
    breaker.failed(breaker.admit())
    clock.now += 5
    breaker.failed(breaker.admit())
    clock.now += 5
    breaker.succeeded(breaker.admit())
    breaker.reset()
    breaker.trip()
    breaker.trip()
    breaker.reset()
    assert [change[1:] for change in heard] == [
        ("closed", "open", "2 of the last 2 calls failed"),
        ("open", "half_open", "the time to stay open is over: one call tries"),
        ("half_open", "open", "the call that tried failed"),
        ("open", "half_open", "the time to stay open is over: one call tries"),
        ("half_open", "closed", "the call that tried succeeded"),
        ("closed", "open", "tripped"),
        ("open", "closed", "reset"),
    ]
    assert {change[0] for change in heard} == {"mail"}


def test_a_subscriber_may_use_the_breaker():
    breaker = CircuitBreaker()

    def undo(name, old, new, reason):
        if new == "open":
            breaker.reset()
            assert breaker.unsubscribe(undo)

    breaker.subscribe(undo)
    breaker.trip()
    assert breaker.state == "closed"
    assert not breaker.unsubscribe(undo)


def test_what_a_subscriber_raises_reaches_nobody_and_is_logged_once(caplog):
    breaker = CircuitBreaker(name="mail", minimum_calls=1)
    heard = []

    def fails(*change):
        raise RuntimeError("in the subscriber")

    breaker.subscribe(fails)
    breaker.subscribe(lambda *change: heard.append(change))
    with caplog.at_level(logging.ERROR, "sophia.breaker"):
        for _ in range(3):
            breaker.failed(breaker.admit())
            breaker.reset()
    assert (len(heard), breaker.stats().subscriber_errors) == (6, 6)
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "a subscriber of circuit breaker 'mail' failed"
    ]


def test_an_interrupt_in_a_subscriber_passes_and_leaves_the_probe_free(clock):
    breaker = half_open(clock)

    def interrupted(*change):
        raise KeyboardInterrupt

    breaker.subscribe(interrupted)
    with pytest.raises(KeyboardInterrupt):
        breaker.admit()
    assert (breaker.state, breaker.try_admit() > 0) == ("half_open", True)


def test_subscribers_are_bounded():
    breaker = CircuitBreaker(name="mail")
    for _ in range(16):
        breaker.subscribe(print)
    with pytest.raises(ValueError, match="'mail' has 16 subscribers"):
        breaker.subscribe(print)
    with pytest.raises(TypeError):
        breaker.subscribe(None)
    assert breaker.unsubscribe(print)
    breaker.subscribe(repr)


def test_a_breaker_is_no_value_and_is_collected():
    class Owner:
        def heard(self, *change):
            pass

    owner = Owner()
    owner.circuit = Breaker().circuit(fallback=owner.heard)
    owner.circuit.subscribe(owner.heard)
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copied(owner.circuit)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def fail(error=ArithmeticError):
    raise error


def test_call_tells_what_became_of_it():
    breaker = CircuitBreaker()
    assert call(breaker, max, 3, 4) == 4
    with pytest.raises(ArithmeticError):
        call(breaker, fail)
    with pytest.raises(KeyError):
        call(breaker, fail, KeyError, failures=(OSError,))  # the other side has answered
    with pytest.raises(KeyError):
        call(breaker, fail, KeyError, ignore=(LookupError,))
    for error in (KeyboardInterrupt, SystemExit, GeneratorExit):
        with pytest.raises(error):
            call(breaker, fail, error, failures=(BaseException,))
    assert breaker.stats()[:3] == ("closed", 3, 1)
    assert breaker.stats().abandoned == 4


def test_a_fallback_answers_for_refusals_and_failures_only():
    breaker = CircuitBreaker()
    assert call(breaker, fail, fallback=repr) == "ArithmeticError()"
    with pytest.raises(KeyError):
        call(breaker, fail, KeyError, fallback=repr, failures=(OSError,))
    with pytest.raises(ArithmeticError):
        call(breaker, fail, fallback=repr, ignore=(ArithmeticError,))
    with pytest.raises(KeyboardInterrupt):
        call(breaker, fail, KeyboardInterrupt, fallback=repr)
    breaker.trip()
    assert call(breaker, max, 1, 2, fallback=lambda error: type(error)) is CircuitOpen
    with pytest.raises(CircuitOpen):
        call(breaker, max, 1, 2)


def test_call_takes_the_time_where_slowness_counts(clock):
    def slowly(error=None):
        clock.now += 2
        if error:
            raise error

    breaker = CircuitBreaker(slow_seconds=1, clock=clock, minimum_calls=50)
    call(breaker, slowly)
    with pytest.raises(ArithmeticError):
        call(breaker, slowly, ArithmeticError)
    with Call(breaker):
        slowly()
    call(breaker, max, 1, 2)
    assert breaker.stats()[1:4] == (4, 3, 3)


def test_a_coroutine_is_not_taken_for_an_answer(clock):
    breaker = half_open(clock)
    with pytest.raises(TypeError, match="acall"):
        call(breaker, asyncio.sleep, 0)
    assert (breaker.state, breaker.stats().abandoned) == ("half_open", 1)


def test_acall():
    async def answer(value):
        await asyncio.sleep(0)
        return value

    async def failing():
        await asyncio.sleep(0)
        raise ValueError

    async def main():
        breaker = CircuitBreaker(minimum_calls=2)
        assert await acall(breaker, answer, 3) == 3
        assert await acall(breaker, failing, fallback=lambda error: 4) == 4
        assert await acall(breaker, answer, 5, fallback=lambda error: answer(type(error))) is CircuitOpen
        with pytest.raises(CircuitOpen):
            await acall(breaker, answer, 6)
        return breaker.stats()

    assert asyncio.run(main())[:5] == ("open", 2, 1, 0, 2)


@pytest.mark.parametrize("form", ["acall", "decorator", "block"])
def test_cancellation_frees_the_probe_and_goes_on(clock, form):
    circuit = Breaker(open_seconds=5).circuit(failures=(BaseException,), clock=clock, fallback=repr)
    circuit.trip()
    clock.now += 5

    async def block():
        async with circuit:
            await asyncio.sleep(60)

    async def main():
        call = {
            "acall": lambda: acall(circuit, asyncio.sleep, 60, fallback=repr),
            "decorator": lambda: circuit(asyncio.sleep)(60),
            "block": block,
        }[form]
        task = asyncio.create_task(call())
        await asyncio.sleep(0)
        assert (circuit.state, circuit.allows()) == ("half_open", False)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    assert (circuit.state, circuit.allows(), circuit.stats().calls) == ("half_open", True, 0)


def test_a_time_limit_inside_the_call_is_a_failure_and_one_around_it_is_not():
    async def limited():
        async with asyncio.timeout(0):
            await asyncio.sleep(60)

    async def main():
        breaker = CircuitBreaker()
        with pytest.raises(TimeoutError):
            await acall(breaker, limited)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(acall(breaker, asyncio.sleep, 60), 0.001)
        return breaker.stats()

    stats = asyncio.run(main())
    assert (stats.failures, stats.calls, stats.abandoned) == (1, 1, 1)


def test_the_decorator():
    circuit = Breaker(minimum_calls=1, failure_rate=0.1).circuit(
        failures=(ValueError,), fallback=lambda error: "instead"
    )

    @circuit
    def number(text, *, base=10):
        """A number."""
        return int(text, base)

    @circuit
    async def anumber(text):
        return int(text)

    class Awaited:
        async def __call__(self):
            return 5

    assert (number.__name__, number.__doc__, number("f", base=16)) == ("number", "A number.", 15)
    assert asyncio.iscoroutinefunction(anumber)
    assert asyncio.run(circuit.acall(functools.partial(anumber, "7"))) == 7
    with suppress(AttributeError):  # an object has no name to take over
        assert asyncio.run(circuit(Awaited())()) == 5
    assert asyncio.run(anumber("x")) == "instead"
    assert (circuit.state, number("1"), circuit.call(int, "1", base=8)) == ("open", "instead", "instead")

    def generator():
        yield

    async def agenerator():
        yield

    for wrong in (generator, agenerator):
        with pytest.raises(TypeError, match=r"circuit.calling\(\)"):
            circuit(wrong)


def test_blocks():
    circuit = Breaker(minimum_calls=9).circuit(failures=(ValueError,), ignore=(KeyError,))
    other = Breaker(name="other").circuit()
    with circuit as given, other, circuit, circuit.calling():
        assert given is circuit
    for error in (ValueError, KeyError, OSError, KeyboardInterrupt):
        with pytest.raises(error), circuit:
            raise error
    assert (circuit.stats().calls, circuit.stats().failures, circuit.stats().abandoned) == (5, 1, 2)
    assert other.stats().calls == 1
    circuit.trip()
    with pytest.raises(CircuitOpen), circuit:
        pytest.fail("it was let in")
    with pytest.raises(RuntimeError, match="was not entered in this context"):
        circuit.__exit__(None, None, None)
    waiting = other.calling()
    with waiting, pytest.raises(RuntimeError, match="make one for each call"):
        waiting.__enter__()
    with waiting:
        pass


def test_blocks_that_are_left_in_another_order():
    one, two = Breaker(name="one").circuit(), Breaker(name="two").circuit()

    def inside(circuit):
        with circuit:
            yield

    first, second = inside(one), inside(two)
    next(first)
    next(second)
    with pytest.raises(ArithmeticError):
        first.throw(ArithmeticError)
    with pytest.raises(StopIteration):
        next(second)
    assert (one.stats().failures, two.stats().failures, two.stats().calls) == (1, 0, 1)
    with pytest.raises(RuntimeError):
        two.__exit__(None, None, None)


def test_blocks_of_many_tasks_at_once():
    circuit = Breaker(window=100, minimum_calls=100).circuit()

    async def one(i):
        async with circuit:
            await asyncio.sleep(0.001 * (i % 5))
            if i % 4 == 0:
                raise ValueError

    async def main():
        return await asyncio.gather(*(one(i) for i in range(80)), return_exceptions=True)

    outcomes = asyncio.run(main())
    assert [type(one) for one in outcomes] == [ValueError if i % 4 == 0 else type(None) for i in range(80)]
    assert (circuit.stats().calls, circuit.stats().failures) == (80, 20)


def test_blocks_of_many_threads_at_once():
    circuit = Breaker(window=100, minimum_calls=100).circuit()
    together = threading.Barrier(8)

    def work():
        for _ in range(5):
            with circuit:
                together.wait(10)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert circuit.stats().calls == 40

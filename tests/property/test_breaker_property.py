from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from oracle import breaker as oracle

from sophia._core.breaker import CircuitBreaker
from sophia.errors import CircuitOpen

pytestmark = pytest.mark.messages

# Exact in the ticks of the breaker, and few, so that waits end to the tick.
TIMES = st.sampled_from([0.0, 2.0**-20, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 8.0, 100.0])
LASTING = st.one_of(st.none(), TIMES)


class Breakers(RuleBasedStateMachine):
    """The compiled breaker beside the model, one call after the other, on one clock that also goes back."""

    @initialize(
        rate=st.sampled_from([0.01, 0.1, 0.25, 1 / 3, 0.5, 0.55, 2 / 3, 0.9, 1.0]),
        window=st.integers(1, 9),
        minimum=st.integers(1, 9),
        stays=st.sampled_from([0.25, 1.0, 3.0]),
        most=st.sampled_from([1, 2, 3, 16]),
        slow=st.sampled_from([None, 0.5, 2.0]),
        probe=st.sampled_from([0.5, 2.0, 8.0]),
        start=st.sampled_from([0.0, -3.0, 1e6, 2.0**24 - 1.0, 1.7e9]),
    )
    def begin(self, rate, window, minimum, stays, most, slow, probe, start):
        self.now = start
        self.readings = 0
        minimum = min(minimum, window)
        self.model = oracle.Model(rate, window, minimum, stays, stays * most, slow, probe)
        self.breaker = CircuitBreaker(
            failure_rate=rate,
            window=window,
            minimum_calls=minimum,
            open_seconds=stays,
            open_most=stays * most,
            slow_seconds=slow,
            probe_seconds=probe,
            clock=self.clock,
        )
        self.events = []
        self.breaker.subscribe(lambda name, old, new, reason: self.events.append((old, new)))
        self.calls = []  # let through and not reported: ticket, generation

    def clock(self):
        self.readings += 1
        return self.now

    @rule(raising=st.booleans())
    def ask(self, raising):
        closed = self.model.state == "closed"
        readings = self.readings
        allowed = self.breaker.allows()
        assert allowed == self.model.allows(self.now)
        generation = self.model.admit(self.now)
        ticket, refusal = -1, None
        try:
            ticket = self.breaker.admit() if raising else self.breaker.try_admit()
        except CircuitOpen as error:
            refusal = error
        assert (ticket < 0) == (generation == oracle.REFUSED) == (not allowed)
        if closed:
            assert self.readings == readings
        if ticket >= 0:
            assert refusal is None
            assert all((ticket == one) == (generation == other) for one, other in self.calls)
            self.calls.append((ticket, generation))
        elif raising:
            assert refusal is not None
            assert refusal.retry_after == (0.0 if self.model.probing else self.model.left(self.now))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), failed=st.booleans(), seconds=LASTING, again=st.integers(0, 9))
    def report(self, data, failed, seconds, again):
        at = data.draw(st.integers(0, len(self.calls) - 1))
        ticket, generation = self.calls[at] if not again else self.calls.pop(at)
        self.model.report(generation, failed, self.now, seconds)
        (self.breaker.failed if failed else self.breaker.succeeded)(ticket, seconds=seconds)

    @rule(results=st.lists(st.booleans(), min_size=1, max_size=12))
    def some_calls(self, results):
        for failed in results:
            generation, ticket = self.model.admit(self.now), self.breaker.try_admit()
            assert (ticket < 0) == (generation == oracle.REFUSED)
            if ticket >= 0:
                self.model.report(generation, failed, self.now, None)
                (self.breaker.failed if failed else self.breaker.succeeded)(ticket)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def abandon(self, data):
        ticket, generation = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        self.model.abandoned(generation)
        self.breaker.abandoned(ticket)

    @rule(seconds=TIMES)
    def time_goes_on(self, seconds):
        self.now += seconds

    @rule(seconds=TIMES)
    def clock_is_put_back(self, seconds):
        self.now -= seconds

    @rule()
    def trip(self):
        self.model.trip(self.now)
        self.breaker.trip()

    @rule()
    def reset(self):
        self.model.reset()
        self.breaker.reset()

    @invariant()
    def they_agree(self):
        if not hasattr(self, "model"):
            return
        model = self.model
        assert self.breaker.state == model.state
        assert self.events == model.events
        assert self.breaker.stats() == (
            model.state,
            model.calls,
            model.failures,
            model.slow,
            model.refused,
            model.late,
            model.abandoned_calls,
            model.opened,
            model.probes,
            model.given_up,
            len(model.results),
            sum(model.results),
            0,
        )


Breakers.TestCase.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
TestBreakers = Breakers.TestCase

# cython: auto_pickle=False, freethreading_compatible=True
"""Circuit breakers: after too many failures nobody is let through for a while, then one call tries whether it works.

A `CircuitBreaker` is asked before a call and told the result after it. Its state, its window and its counters are
atomic words (include/breaker.h); no thread waits for another, and a closed breaker costs one load to ask.

`sophia.actors.breaker` has the pleasant forms: call(), a decorator, ``with``.
"""

cimport cython
from libc.math cimport INFINITY, ceil, floor
from libc.stdint cimport int64_t, uint64_t

import logging
import time
from operator import index
from typing import NamedTuple

from sophia.errors import CircuitOpen


cdef enum:
    _SUBSCRIBERS = 16

_LOG = logging.getLogger("sophia.breaker")
_NAMES = ("closed", "open", "half_open", "half_open")
cdef double _LONGEST = 30 * 86400.0
cdef double _FURTHEST = 4e12  # seconds that a clock may show: their ticks fit 63 bits

# Calls of a window, and seconds that a breaker may be told to stay open or to wait, at most.
WINDOW_MOST = SOPHIA_BREAKER_MOST
LONGEST = _LONGEST


class BreakerDefaults(NamedTuple):
    """What a breaker does that is told nothing else."""

    name: str = "breaker"
    failure_rate: float = 0.5
    window: int = 100
    minimum_calls: int = 10
    open_seconds: float = 5.0
    open_most: float | None = None
    slow_seconds: float | None = None
    probe_seconds: float = 30.0


DEFAULTS = BreakerDefaults()


class BreakerStats(NamedTuple):
    """What a breaker has done since it was made, and what is in its window.

    `calls` are results that counted, `failures` and `slow` those of them that failed or took too long (a slow success
    is in both). `refused` asked in vain. `late` came after the state had changed and were ignored; `abandoned` count
    neither way. `opened` is how often it opened, `probes` how many calls were let through to try, `given_up` how many
    of these did not report in time. `window_calls` and `window_failures` are the window's; while the breaker is not
    closed, those with which it opened. `subscriber_errors` are exceptions of subscribers. While other threads use the
    breaker the numbers are each right at about the same moment.
    """

    state: str
    calls: int
    failures: int
    slow: int
    refused: int
    late: int
    abandoned: int
    opened: int
    probes: int
    given_up: int
    window_calls: int
    window_failures: int
    subscriber_errors: int


cdef double _seconds(str what, object given) except -1:
    """A duration that was given, checked."""
    cdef double seconds = float(given)
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{what} must be more than 0 and at most {_LONGEST:.0f} seconds, not {given!r}")
    return seconds


cdef uint64_t _ticks(double seconds) noexcept:
    return <uint64_t>ceil(seconds * SOPHIA_BREAKER_TICKS)


cdef class CircuitBreaker:
    """CircuitBreaker(*, name="breaker", failure_rate=0.5, window=100, minimum_calls=10, open_seconds=5.0,
    open_most=None, slow_seconds=None, probe_seconds=30.0, clock=time.monotonic)

    Opens when the failures among the last `window` calls (1 to 32,767; 8 bytes each) are `failure_rate` of them or
    more, as soon as there are `minimum_calls`. Open, it refuses all calls for `open_seconds`; after each probe that
    fails for twice as long as before, up to `open_most`, if that is given. Then it is half open: one call, the probe,
    is let through and all others are refused. If the probe succeeds the breaker closes, with an empty window; if it
    fails the breaker opens again. A probe that has not reported after `probe_seconds` is given up and the next who
    asks is the probe. A success that took longer than `slow_seconds` counts as a failure.

    A call asks with admit() and reports with succeeded(), failed() or abandoned(). Each result belongs to the state
    under which its call was let through; one that comes after the state has changed is ignored.

    `clock` gives seconds; it is read when the breaker is not closed, or opens, never to ask or report to a closed one.
    Times are kept to 1 us. If it is put back, a wait that is under way begins anew; so it may, once, if nobody asks an
    open breaker for 97 days. Put back by more than these, a wait may be over at once.

    Raises ValueError where a number is out of its range; TypeError for a clock that cannot be called.

    Thread-safety: every method may be called from any thread at any time, none waits for another, and a result is
    counted exactly once. Admit and succeed with a closed breaker take less than 0.1 us together. Example::

        >>> breaker = CircuitBreaker(name="mail", minimum_calls=2, open_seconds=60)
        >>> for attempt in range(2):
        ...     ticket = breaker.admit()
        ...     breaker.failed(ticket)
        >>> breaker.state
        'open'
        >>> breaker.admit()
        Traceback (most recent call last):
            ...
        sophia.errors.CircuitOpen: circuit breaker 'mail' is open (2 of the last 2 calls failed, 100%); it will be ...
        >>> breaker.reset()
        >>> breaker.succeeded(breaker.admit())
        >>> breaker.state, breaker.stats().window_calls
        ('closed', 1)
    """

    def __cinit__(
        self, *, name=DEFAULTS.name, failure_rate=DEFAULTS.failure_rate, window=DEFAULTS.window,
        minimum_calls=DEFAULTS.minimum_calls, open_seconds=DEFAULTS.open_seconds, open_most=DEFAULTS.open_most,
        slow_seconds=DEFAULTS.slow_seconds, probe_seconds=DEFAULTS.probe_seconds, clock=time.monotonic,
    ):
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        if not callable(clock):
            raise TypeError(f"clock must be a function that gives seconds, not {type(clock).__name__}")
        window, minimum_calls = index(window), index(minimum_calls)
        self.failure_rate = float(failure_rate)
        if not 0 < self.failure_rate <= 1:
            raise ValueError(f"failure_rate must be more than 0 and at most 1, not {failure_rate!r}")
        if not 1 <= window <= SOPHIA_BREAKER_MOST:
            raise ValueError(f"window must be 1 to {SOPHIA_BREAKER_MOST} calls, not {window}")
        if not 1 <= minimum_calls <= window:
            raise ValueError(f"minimum_calls must be 1 to window ({window}), not {minimum_calls}")
        self.open_seconds = _seconds("open_seconds", open_seconds)
        self.open_most = self.open_seconds if open_most is None else _seconds("open_most", open_most)
        if self.open_most < self.open_seconds:
            raise ValueError(f"open_most must be at least open_seconds ({open_seconds!r}), not {open_most!r}")
        self.slow = INFINITY if slow_seconds is None else _seconds("slow_seconds", slow_seconds)
        self.slow_seconds = None if slow_seconds is None else self.slow
        self.probe_seconds = _seconds("probe_seconds", probe_seconds)
        self.name, self.window, self.minimum_calls, self.clock = name, window, minimum_calls, clock
        self.native_clock = clock is time.monotonic
        self._subscribers = ()
        self.core = sophia_breaker_new(
            self.failure_rate, self.window, self.minimum_calls, _ticks(self.open_seconds), _ticks(self.open_most),
            _ticks(self.probe_seconds),
        )
        if self.core == NULL:
            raise MemoryError(f"no memory for a window of {window} calls")

    def __dealloc__(self):
        sophia_breaker_free(self.core)

    cdef int64_t now(self) except -1:
        cdef double seconds
        if self.native_clock:
            return <int64_t>sophia_breaker_clock()
        seconds = self.clock()
        if not -_FURTHEST < seconds < _FURTHEST:
            raise ValueError(f"the clock of circuit breaker {self.name!r} shows {seconds} seconds")
        return <int64_t>floor(seconds * SOPHIA_BREAKER_TICKS) & <int64_t>SOPHIA_BREAKER_TIME

    cdef int64_t ask(self, uint64_t *left) except -2:
        # in this order, see breaker.h
        cdef uint64_t word = sophia_breaker_word(self.core)
        cdef uint64_t since = sophia_breaker_since(self.core)
        if sophia_breaker_state(word) == SOPHIA_BREAKER_CLOSED:
            return <int64_t>word
        cdef int64_t ticket = sophia_breaker_ask(self.core, word, since, <uint64_t>self.now(), left)
        if (
            ticket >= 0
            and sophia_breaker_state(word) == SOPHIA_BREAKER_OPEN
            and sophia_breaker_state(<uint64_t>ticket) == SOPHIA_BREAKER_PROBING
        ):
            try:
                self.announce("open", "half_open", "the time to stay open is over: one call tries")
            except BaseException:  # an interrupt, say: nobody will have the ticket
                sophia_breaker_abandon(self.core, <uint64_t>ticket)
                raise
        return ticket

    cdef object refusal(self, uint64_t left):
        cdef sophia_breaker_numbers numbers
        sophia_breaker_tell(self.core, &numbers)
        cdef unsigned state = sophia_breaker_state(numbers.word)
        cdef double seconds = <double>left / SOPHIA_BREAKER_TICKS
        if numbers.window_calls:
            share = 100.0 * numbers.window_failures / numbers.window_calls
            rate = f"{numbers.window_failures} of the last {numbers.window_calls} calls failed, {share:.3g}%"
        else:
            rate = "of no calls"
        if state == SOPHIA_BREAKER_PROBING:
            when = f"one call tries it now, and is given up in {seconds:.3g} s if it does not report"
            seconds = 0.0
        elif left:
            when = f"it will be tried again in {seconds:.3g} s"
        else:
            when = "it can be tried again now"
        error = CircuitOpen(f"circuit breaker {self.name!r} is {_NAMES[state]} ({rate}); {when}")
        error.retry_after = seconds
        return error

    def admit(self):
        """A ticket for one call, an int of at least 0; the result has to be reported with it.

        Raises CircuitOpen when the call must not be made; its `retry_after` is how many seconds it stays so at
        least: 0.0 while a probe is under way, which may close the breaker at any time.
        """
        cdef int64_t ticket = sophia_breaker_closed(self.core)
        if ticket >= 0:
            return ticket
        cdef uint64_t left = 0
        ticket = self.ask(&left)
        if ticket < 0:
            raise self.refusal(left)
        return ticket

    def try_admit(self):
        """A ticket as admit() gives, or -1 where that would raise, which costs ten times as much.

            >>> breaker = CircuitBreaker()
            >>> breaker.trip()
            >>> breaker.try_admit()
            -1
        """
        cdef int64_t ticket = sophia_breaker_closed(self.core)
        cdef uint64_t left = 0
        return ticket if ticket >= 0 else self.ask(&left)

    def allows(self):
        """Whether admit() would give a ticket now. Nothing is changed or counted, and another may be faster."""
        cdef uint64_t word = sophia_breaker_word(self.core)
        cdef uint64_t since = sophia_breaker_since(self.core)
        if sophia_breaker_state(word) == SOPHIA_BREAKER_CLOSED:
            return True
        return sophia_breaker_left(self.core, word, since, <uint64_t>self.now()) == 0

    cdef int result(self, int64_t ticket, bint failed, object seconds) except -1:
        cdef uint64_t word = <uint64_t>ticket, since
        cdef unsigned state = sophia_breaker_state(word)
        cdef bint slow = False
        cdef int64_t now = 0
        cdef int code
        if ticket < 0 or state == SOPHIA_BREAKER_OPEN or state == SOPHIA_BREAKER_IDLE:
            raise ValueError(f"ticket must be what admit() gave, not {ticket}")
        if seconds is not None:
            slow = <double>seconds > self.slow
        elif state == SOPHIA_BREAKER_PROBING and self.slow != INFINITY:
            since = sophia_breaker_since(self.core)
            now = self.now()
            slow = <double>sophia_breaker_elapsed(word, since, <uint64_t>now) > self.slow * SOPHIA_BREAKER_TICKS
        if state == SOPHIA_BREAKER_CLOSED:
            code = sophia_breaker_record(self.core, word, failed or slow)
            if slow and code != SOPHIA_BREAKER_LATE:
                sophia_breaker_slow(self.core)
            if code == SOPHIA_BREAKER_FULL:
                self.opened(ticket)
            return 0
        if (failed or slow) and now == 0:
            now = self.now()
        if not sophia_breaker_probed(self.core, word, failed or slow, <uint64_t>now):
            return 0
        if slow:
            sophia_breaker_slow(self.core)
        if not (failed or slow):
            self.announce("half_open", "closed", "the call that tried succeeded")
        else:
            self.announce("half_open", "open", "the call that tried " + ("failed" if failed else "was too slow"))
        return 0

    cdef int opened(self, int64_t ticket) except -1:
        cdef sophia_breaker_numbers numbers
        if sophia_breaker_open(self.core, <uint64_t>ticket, <uint64_t>self.now()):
            sophia_breaker_tell(self.core, &numbers)
            reason = f"{numbers.window_failures} of the last {numbers.window_calls} calls failed"
            self.announce("closed", "open", reason)
        return 0

    def succeeded(self, int64_t ticket, *, seconds=None):
        """The call of this ticket succeeded; it took `seconds`, if given.

        Only `slow_seconds` looks at these; a probe's are taken from the clock if they are not given. Raises
        ValueError for a ticket that admit() never gives. A ticket is reported once: a second report counts again,
        unless the state has changed.
        """
        if seconds is None and ticket & 3 == SOPHIA_BREAKER_CLOSED and ticket >= 0:  # what is called most
            if sophia_breaker_record(self.core, <uint64_t>ticket, False) == SOPHIA_BREAKER_FULL:
                self.opened(ticket)
            return
        self.result(ticket, False, seconds)

    def failed(self, int64_t ticket, *, seconds=None):
        """The call of this ticket failed; see succeeded()."""
        self.result(ticket, True, seconds)

    def abandoned(self, int64_t ticket):
        """The call of this ticket was given up (cancelled): it counts neither way, and frees the probe.

            >>> breaker = CircuitBreaker(open_seconds=0.001)
            >>> breaker.trip()
            >>> time.sleep(0.002)
            >>> ticket = breaker.admit()
            >>> breaker.allows()
            False
            >>> breaker.abandoned(ticket)
            >>> breaker.state, breaker.allows()
            ('half_open', True)
        """
        cdef unsigned state = sophia_breaker_state(<uint64_t>ticket)
        if ticket < 0 or state == SOPHIA_BREAKER_OPEN or state == SOPHIA_BREAKER_IDLE:
            raise ValueError(f"ticket must be what admit() gave, not {ticket}")
        sophia_breaker_abandon(self.core, <uint64_t>ticket)

    @property
    def state(self):
        """"closed", "open" or "half_open". An open breaker is half open from the call on that is let through."""
        return _NAMES[sophia_breaker_state(sophia_breaker_word(self.core))]

    def stats(self):
        """The `BreakerStats` of this moment."""
        cdef sophia_breaker_numbers numbers
        sophia_breaker_tell(self.core, &numbers)
        with cython.critical_section(self):
            errors = self._errors
        return BreakerStats(
            _NAMES[sophia_breaker_state(numbers.word)], numbers.calls, numbers.failures, numbers.slow,
            numbers.refused, numbers.late, numbers.abandoned, numbers.opened, numbers.probes, numbers.given_up,
            numbers.window_calls, numbers.window_failures, errors,
        )

    def reset(self):
        """Closes the breaker, whatever its state, with an empty window. What is under way will be late."""
        cdef unsigned state = sophia_breaker_state(sophia_breaker_force(self.core, SOPHIA_BREAKER_CLOSED, 0))
        if state != SOPHIA_BREAKER_CLOSED:
            self.announce(_NAMES[state], "closed", "reset")

    def trip(self):
        """Opens the breaker, whatever its state, for as long as if it had failed now."""
        cdef uint64_t now = <uint64_t>self.now()
        cdef unsigned state = sophia_breaker_state(sophia_breaker_force(self.core, SOPHIA_BREAKER_OPEN, now))
        if state != SOPHIA_BREAKER_OPEN:
            self.announce(_NAMES[state], "open", "tripped")

    def subscribe(self, callback):
        """`callback(name, old_state, new_state, reason)` is called after each change of the state, with four strings.

        It is called by the thread that made the change, which holds no lock; where two threads change it one after
        the other, their calls may come in the other order. What it raises reaches no caller: it is counted, and the
        first is logged (logger `sophia.breaker`); an interrupt or exit passes. There are at most 16 subscribers: one
        more is a ValueError. TypeError for what cannot be called.

            >>> breaker = CircuitBreaker(name="mail")
            >>> breaker.subscribe(print)
            >>> breaker.trip()
            mail closed open tripped
        """
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {type(callback).__name__}")
        changed = False
        while not changed:  # else another thread was here
            with cython.critical_section(self):
                subscribers = self._subscribers
            if len(subscribers) >= _SUBSCRIBERS:
                raise ValueError(
                    f"circuit breaker {self.name!r} has {_SUBSCRIBERS} subscribers: unsubscribe() one first"
                )
            more = (*subscribers, callback)
            with cython.critical_section(self):
                changed = self._subscribers is subscribers
                if changed:
                    self._subscribers = more

    def unsubscribe(self, callback):
        """No more calls of `callback` for later changes; whether it was subscribed. One subscription is taken back."""
        with cython.critical_section(self):
            subscribers = self._subscribers
        if callback not in subscribers:
            return False
        at = subscribers.index(callback)
        kept = subscribers[:at] + subscribers[at + 1:]
        with cython.critical_section(self):
            changed = self._subscribers is subscribers
            if changed:
                self._subscribers = kept
        return True if changed else self.unsubscribe(callback)  # another thread was here

    cdef int announce(self, str old, str new, str reason) except -1:
        cdef bint first
        with cython.critical_section(self):
            subscribers = self._subscribers
        for callback in subscribers:
            try:
                callback(self.name, old, new, reason)
            except Exception:
                with cython.critical_section(self):
                    first = self._errors == 0
                    self._errors += 1
                if first:
                    _LOG.exception("a subscriber of circuit breaker %r failed; more such are only counted", self.name)
        return 0

    def __repr__(self):
        return f"<{type(self).__name__} {self.name!r}: {self.state}>"

"""Circuit breakers around calls: a function, a coroutine, a decorator, ``with`` and ``async with``.

`Breaker` are the settings, `Circuit` is a breaker made of them. What they are made on is `sophia._core.breaker`.

What became of a call is the same in every form: an exception of `failures` counts as a failure, one of `ignore` counts
neither way, any other `Exception` counts as a success, because the other side did answer. What is no `Exception` (a
cancelled task, an interrupt, an exit) counts neither way and frees the probe. All of them reach the caller.

A time limit belongs inside the call: one around it cancels the call, which says nothing about the other side.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, fields
from operator import index
from types import CoroutineType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar, TypeVarTuple, cast

from sophia._core.breaker import DEFAULTS, LONGEST, WINDOW_MOST, BreakerStats, CircuitBreaker
from sophia.errors import CircuitOpen, ConfigError

__all__ = ["Breaker", "BreakerStats", "Call", "Circuit", "CircuitBreaker", "CircuitOpen", "acall", "call"]

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")

Kinds = tuple[type[BaseException], ...]


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """The settings of a circuit breaker, checked; see `sophia._core.breaker.CircuitBreaker` for what each does.

    Times are in seconds, `window` and `minimum_calls` in calls. Raises ConfigError, which names the setting, its value
    and the cure. Immutable, so any thread may use it. Example::

        >>> Breaker(name="mail", failure_rate=0.2).circuit()
        <Circuit 'mail': closed>
        >>> Breaker(name="mail", failure_rate=20)
        Traceback (most recent call last):
            ...
        sophia.errors.ConfigError: breaker 'mail': failure_rate is 20; give a share of the calls, above 0 and up to 1
    """

    name: str = DEFAULTS.name
    failure_rate: float = DEFAULTS.failure_rate
    window: int = DEFAULTS.window
    minimum_calls: int = DEFAULTS.minimum_calls
    open_seconds: float = DEFAULTS.open_seconds
    open_most: float | None = DEFAULTS.open_most
    slow_seconds: float | None = DEFAULTS.slow_seconds
    probe_seconds: float = DEFAULTS.probe_seconds

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            message = f"breaker: name is {self.name!r}; give a text"
            raise ConfigError(message)
        share = "a share of the calls, above 0 and up to 1"
        self._check("failure_rate", 0 < self._number("failure_rate", share) <= 1, share)
        self._check("window", 1 <= self._count("window") <= WINDOW_MOST, f"1 to {WINDOW_MOST} calls")
        fewest = self._count("minimum_calls")
        self._check("minimum_calls", 1 <= fewest <= self.window, f"1 to {self.window} calls, at most as many as window")
        self._duration("open_seconds")
        if self.open_most is not None:
            self._duration("open_most")
            least = f"at least open_seconds, {self.open_seconds}; or None to stay open as long each time"
            self._check("open_most", self.open_most >= self.open_seconds, least)
        if self.slow_seconds is not None:
            self._duration("slow_seconds")
        self._duration("probe_seconds")

    def _wrong(self, what: str, cure: str) -> ConfigError:
        return ConfigError(f"breaker {self.name!r}: {what} is {getattr(self, what)!r}; give {cure}")

    def _check(self, what: str, good: bool, cure: str) -> None:
        if not good:
            raise self._wrong(what, cure)

    def _number(self, what: str, cure: str) -> float:
        value = getattr(self, what)
        if isinstance(value, bool | str):
            raise self._wrong(what, cure)
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise self._wrong(what, cure) from None

    def _count(self, what: str) -> int:
        try:
            return index(getattr(self, what))
        except TypeError:
            cure = "a whole number of calls"
            raise self._wrong(what, cure) from None

    def _duration(self, what: str) -> None:
        cure = f"seconds, above 0 and up to {LONGEST:.0f}"
        self._check(what, 0 < self._number(what, cure) <= LONGEST, cure)

    def circuit(
        self,
        *,
        fallback: Callable[[Exception], Any] | None = None,
        failures: Kinds = (Exception,),
        ignore: Kinds = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> Circuit:
        """A new closed `Circuit` of these settings."""
        return Circuit(self, fallback=fallback, failures=failures, ignore=ignore, clock=clock)


class Call:
    """One call through a breaker as a context manager, for ``with`` and ``async with``; see `Circuit.calling`."""

    __slots__ = ("_breaker", "_failures", "_ignore", "_started", "_ticket")

    def __init__(self, breaker: CircuitBreaker, failures: Kinds = (Exception,), ignore: Kinds = ()) -> None:
        self._breaker = breaker
        self._failures = failures
        self._ignore = ignore
        self._ticket = -1
        self._started = 0.0

    def __enter__(self) -> Self:
        if self._ticket >= 0:
            message = f"this call through circuit breaker {self._breaker.name!r} has begun: make one for each call"
            raise RuntimeError(message)
        self._started = 0.0 if self._breaker.slow_seconds is None else self._breaker.clock()
        self._ticket = self._breaker.admit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ticket, self._ticket = self._ticket, -1
        if error is None and self._breaker.slow_seconds is None:
            self._breaker.succeeded(ticket)
        else:
            _report(self._breaker, ticket, self._started, error, self._failures, self._ignore)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def _failed(error: BaseException, failures: Kinds, ignore: Kinds) -> bool:
    """Whether an exception is a failure of the other side."""
    return isinstance(error, Exception) and isinstance(error, failures) and not isinstance(error, ignore)


def _report(
    breaker: CircuitBreaker, ticket: int, started: float, error: BaseException | None, failures: Kinds, ignore: Kinds
) -> None:
    """Tells the breaker what became of a call."""
    if error is not None and (not isinstance(error, Exception) or isinstance(error, ignore)):
        breaker.abandoned(ticket)
        return
    seconds = None
    if breaker.slow_seconds is not None:
        try:
            seconds = breaker.clock() - started
        except BaseException:
            breaker.abandoned(ticket)
            raise
    if error is not None and _failed(error, failures, ignore):
        breaker.failed(ticket, seconds=seconds)
    else:
        breaker.succeeded(ticket, seconds=seconds)


def _invoke(
    breaker: CircuitBreaker,
    function: Callable[..., T],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    fallback: Callable[[Exception], T] | None,
    failures: Kinds,
    ignore: Kinds,
) -> T:
    timed = breaker.slow_seconds is not None
    started = breaker.clock() if timed else 0.0
    try:
        ticket = breaker.admit()
    except CircuitOpen as refusal:
        if fallback is None:
            raise
        return fallback(refusal)
    try:
        result = function(*arguments, **named)
    except BaseException as error:
        _report(breaker, ticket, started, error, failures, ignore)
        if fallback is None or not _failed(error, failures, ignore):
            raise
        return fallback(cast(Exception, error))
    if type(result) is CoroutineType:  # it has not run: nothing is known of it
        breaker.abandoned(ticket)
        cast(Any, result).close()
        message = f"{function!r} returned a coroutine: acall() awaits it"
        raise TypeError(message)
    if timed:
        _report(breaker, ticket, started, None, failures, ignore)
    else:
        breaker.succeeded(ticket)
    return result


async def _ainvoke(
    breaker: CircuitBreaker,
    function: Callable[..., Awaitable[T]],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    fallback: Callable[[Exception], T | Awaitable[T]] | None,
    failures: Kinds,
    ignore: Kinds,
) -> T:
    timed = breaker.slow_seconds is not None
    started = breaker.clock() if timed else 0.0
    try:
        ticket = breaker.admit()
    except CircuitOpen as refusal:
        if fallback is None:
            raise
        return await settled(fallback(refusal))
    try:
        result = await function(*arguments, **named)
    except BaseException as error:
        _report(breaker, ticket, started, error, failures, ignore)
        if fallback is None or not _failed(error, failures, ignore):
            raise
        return await settled(fallback(cast(Exception, error)))
    if timed:
        _report(breaker, ticket, started, None, failures, ignore)
    else:
        breaker.succeeded(ticket)
    return result


async def settled(answer: T | Awaitable[T]) -> T:
    """What a fallback gave: the answer, or what is awaited for it."""
    return await answer if inspect.isawaitable(answer) else answer


def call(
    breaker: CircuitBreaker,
    function: Callable[[*Ts], T],
    *arguments: *Ts,
    fallback: Callable[[Exception], T] | None = None,
    failures: Kinds = (Exception,),
    ignore: Kinds = (),
) -> T:
    """What ``function(*arguments)`` returns, called through the breaker.

    Raises CircuitOpen where the call is refused, and what the function raises. With a `fallback` neither of the two
    is raised: what it returns for the refusal, or for a failure (an exception of `failures` and not of `ignore`), is
    the answer. Keyword arguments go through `functools.partial`. TypeError where the function returns a coroutine.

    Costs about 0.4 us with a closed breaker; twice a reading of the clock more where there is `slow_seconds`. Any
    thread may call it. Example::

        >>> breaker = CircuitBreaker(name="numbers", minimum_calls=1)
        >>> call(breaker, int, "12")
        12
        >>> call(breaker, int, "twelve", fallback=lambda error: 0)
        0
        >>> call(breaker, int, "12", fallback=lambda error: -1 if isinstance(error, CircuitOpen) else 0)
        -1
    """
    return _invoke(breaker, function, arguments, {}, fallback, failures, ignore)


async def acall(
    breaker: CircuitBreaker,
    function: Callable[[*Ts], Awaitable[T]],
    *arguments: *Ts,
    fallback: Callable[[Exception], T | Awaitable[T]] | None = None,
    failures: Kinds = (Exception,),
    ignore: Kinds = (),
) -> T:
    """What ``await function(*arguments)`` returns, called through the breaker; otherwise as call().

    A `fallback` may be a coroutine function. If the task is cancelled the call counts neither way, the probe is free,
    and the cancellation goes on. Example::

        >>> import asyncio
        >>> asyncio.run(acall(CircuitBreaker(), asyncio.sleep, 0, "slept"))
        'slept'
    """
    return await _ainvoke(breaker, function, arguments, {}, fallback, failures, ignore)


class Circuit(CircuitBreaker):
    """A circuit breaker that knows what a failure is: a decorator, a context manager, call() and acall().

    Made of `Breaker` settings; `fallback`, `failures` and `ignore` as call() has them, `clock` gives seconds. Forms:

    * ``@circuit`` over a function or coroutine function; TypeError over a generator function, whose calls would only
      make the generator.
    * ``with circuit:`` and ``async with circuit:`` for any number of threads and tasks at once; without the fallback,
      since a block has no answer. A block is left in the context (the task, the thread) that has entered it:
      elsewhere that is a RuntimeError. ``with circuit.calling():`` has no such bond.
    * ``circuit.call(function, ...)`` and ``await circuit.acall(function, ...)``.

    Any thread may use it. A decorated call costs about 0.4 us, a block 0.7 us. Example::

        >>> circuit = Breaker(name="numbers", minimum_calls=2).circuit(ignore=(TypeError,))
        >>> @circuit
        ... def number(text):
        ...     return int(text)
        >>> number("7")
        7
        >>> with circuit:
        ...     int("seven")
        Traceback (most recent call last):
            ...
        ValueError: invalid literal for int() with base 10: 'seven'
        >>> circuit.state
        'open'
    """

    __slots__ = ("failures", "fallback", "ignore", "settings")

    settings: Breaker
    fallback: Callable[[Exception], Any] | None
    failures: Kinds
    ignore: Kinds

    def __new__(
        cls,
        settings: Breaker,
        *,
        fallback: Callable[[Exception], Any] | None = None,
        failures: Kinds = (Exception,),
        ignore: Kinds = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        if not isinstance(settings, Breaker):
            message = f"settings is {settings!r:.80}; give a Breaker, or use Breaker(...).circuit()"
            raise TypeError(message)
        if fallback is not None and not callable(fallback):
            message = f"breaker {settings.name!r}: fallback is {fallback!r:.80}; give a function of the error, or None"
            raise ConfigError(message)
        given = {field.name: getattr(settings, field.name) for field in fields(settings)}
        self = super().__new__(cls, clock=clock, **given)
        for what, kinds in (("failures", failures), ("ignore", ignore)):
            if not isinstance(kinds, tuple) or not all(_is_exception(kind) for kind in kinds):
                message = f"breaker {settings.name!r}: {what} is {kinds!r}; give a tuple of exception classes"
                raise ConfigError(message)
        self.settings = settings
        self.fallback = fallback
        self.failures = failures
        self.ignore = ignore
        return self

    def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What the function returns, called through the breaker; see the function call() of this module."""
        fallback: Callable[[Exception], T] | None = self.fallback
        return _invoke(self, function, arguments, named, fallback, self.failures, self.ignore)

    async def acall(self, function: Callable[P, Awaitable[T]], *arguments: P.args, **named: P.kwargs) -> T:
        """What the coroutine function returns, called through the breaker; see acall() of this module."""
        fallback: Callable[[Exception], T | Awaitable[T]] | None = self.fallback
        return await _ainvoke(self, function, arguments, named, fallback, self.failures, self.ignore)

    def calling(self) -> Call:
        """One call as a context manager of its own, that may be left anywhere."""
        return Call(self, self.failures, self.ignore)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function with each of its calls going through the breaker."""
        if not callable(function):
            message = f"circuit breaker {self.name!r} is to stand around {function!r:.80}, which is no function"
            raise TypeError(message)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            message = f"{function!r} makes a generator: use `with circuit.calling():` inside it"
            raise TypeError(message)
        failures, ignore = self.failures, self.ignore
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            awaited = cast(Callable[P, Coroutine[Any, Any, Any]], function)
            afallback = self.fallback

            @functools.wraps(function)
            async def aguarded(*arguments: P.args, **named: P.kwargs) -> Any:
                return await _ainvoke(self, awaited, arguments, named, afallback, failures, ignore)

            return cast(Callable[P, T], aguarded)

        fallback: Callable[[Exception], T] | None = self.fallback

        @functools.wraps(function)
        def guarded(*arguments: P.args, **named: P.kwargs) -> T:
            return _invoke(self, function, arguments, named, fallback, failures, ignore)

        return guarded

    def __enter__(self) -> Self:
        started = 0.0 if self.slow_seconds is None else self.clock()
        _entered.set((self, self.admit(), started, _entered.get()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered = _entered.get()
        if entered is not None and entered[0] is self:
            _entered.set(entered[3])
        else:
            entered = self._take(entered)
        if error is None and self.slow_seconds is None:
            self.succeeded(entered[1])
        else:
            _report(self, entered[1], entered[2], error, self.failures, self.ignore)

    def _take(self, entered: _Entered | None) -> _Entered:
        """The innermost block of this breaker out of the blocks of others, which generators leave in another order."""
        inner: list[_Entered] = []
        while entered is not None and entered[0] is not self:
            inner.append(entered)
            entered = entered[3]
        if entered is None:
            message = (
                f"a block of circuit breaker {self.name!r} was not entered in this context: "
                "use `with circuit.calling():` where another task or thread leaves it"
            )
            raise RuntimeError(message)
        rest = entered[3]
        for one in reversed(inner):
            rest = (*one[:3], rest)
        _entered.set(rest)
        return entered

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


_Entered = tuple[Circuit, int, float, "_Entered | None"]
# The blocks that this task or thread is in, the innermost first: each with its ticket and when it began.
_entered: ContextVar[_Entered | None] = ContextVar("sophia_entered_circuits", default=None)

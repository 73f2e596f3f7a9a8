"""Single flight: callers with identical inputs in flight wait for one answer.

Known as single flight or request coalescing. An organ and no part of the brain, because it knows nothing of
stores and routing: it is given the calls that it needs, and the lock that makes two of them one step.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sophia._core.decision import Decision
from sophia.errors import AnswerTimeout, DeadlockError, SophiaError
from sophia.organs.aside import SideThreads

if TYPE_CHECKING:
    import asyncio

__all__ = ["MAX_FLIGHTS", "Flights", "Reply"]

# Keys in flight. Beyond, callers think for themselves: that costs thought, never an answer.
MAX_FLIGHTS = 10_000

# Seconds of one wait; more than a platform's clock may be asked for. Nobody waits it out.
_LONGEST = 1e6


_Who: TypeAlias = "tuple[int, asyncio.Task[Any] | None]"


class Reply(NamedTuple):
    """What `Sophia.answer` gives back.

    `origin` says where `answer` comes from: "memory", "thought" (this call's own), "shared" (thought by another
    caller with an identical input in flight), or "refused": a veto, and `answer` is None.
    """

    answer: str | None
    decision: Decision
    origin: str


class _Caller:
    """One caller on the way: waiting, then told that it leads, or told the answer, or an error. Guarded by the lock."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.thread = threading.get_ident()
        self.task: asyncio.Task[Any] | None = None
        self.decision: Decision | None = None
        self.flight: _Flight | None = None
        self.entered = False
        self.gone = False
        self.finishing = False
        self.leads = False
        self.answer: str | None = None
        self.error: SophiaError | None = None

    @property
    def who(self) -> _Who:
        """Who waits while this caller does: its task, or else its thread."""
        return self.thread, self.task

    def is_one_with(self, other: _Caller) -> bool:
        """Whether one of the two cannot go on while the other waits."""
        return self.thread == other.thread and (self.task is None or other.task is None or self.task is other.task)

    @property
    def settled(self) -> bool:
        return self.leads or self.answer is not None or self.error is not None


class _Flight:
    """One key: who thinks for it, and who waits, in the order of arrival."""

    __slots__ = ("key", "leader", "waiting")

    def __init__(self, key: bytes, leader: _Caller) -> None:
        self.key = key
        self.leader = leader
        self.waiting: dict[_Caller, None] = {}


class Flights:
    """The keys in flight over one brain. Thread-safe, across threads and event loops.

    One lock makes routing and joining one step, and storing an answer and ending its flight another. So an input that
    is routed before the answer is stored finds the flight, one routed after finds the answer, and nobody thinks twice.

    `route` decides; `key` is what two inputs that may share an answer have in common, or None; `judge` compares an
    answer with an audited one, without the lock; `keep` stores it; `aside` is where coroutines send such calls.
    """

    def __init__(
        self,
        *,
        lock: threading.RLock,
        route: Callable[..., Decision],
        key: Callable[[Decision], bytes | None],
        judge: Callable[[Decision, str], bool | None],
        keep: Callable[[Decision, str, bool | None], bool],
        aside: SideThreads,
    ) -> None:
        self._aside = aside
        self._route = route
        self._key = key
        self._judge = judge
        self._keep = keep
        self._lock = lock
        self._flights: dict[bytes, _Flight] = {}
        self._asking: dict[_Who, _Caller] = {}  # who waits for another's thought
        self._closed = False

    def __len__(self) -> int:
        return len(self._flights)

    def answer(self, text: str, think: Callable[[Decision], str], timeout: float | None, **where: Any) -> Reply:
        """See :meth:`sophia.Sophia.answer`; `where` is what `route` takes beside the text."""
        arrived = threading.Event()
        caller = _Caller(arrived.set)
        _check_timeout(timeout)
        until = None if timeout is None else monotonic() + timeout
        try:
            reply = self._enter(caller, text, where)
            while reply is None and not caller.settled:
                if not arrived.wait(None if until is None else min(max(until - monotonic(), 0.0), _LONGEST)):
                    reply = self._late(caller, timeout)
            self._asking.pop(caller.who, None)
            return reply or self._told(caller) or self._thought(caller, self._think(caller, think))
        finally:
            self._asking.pop(caller.who, None)
            self._leave(caller)

    async def aanswer(
        self,
        text: str,
        think: Callable[[Decision], Awaitable[str]],
        timeout: float | None,
        **where: Any,
    ) -> Reply:
        """See :meth:`sophia.Sophia.aanswer`. What may wait for the disk or the lock runs in a thread."""
        import asyncio

        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        caller = _Caller(lambda: _call_soon(loop, arrived.set))
        caller.task = asyncio.current_task()
        _check_timeout(timeout)
        try:
            reply = await self._aside.run(self._enter, caller, text, where)
            if reply is None and not caller.settled:
                try:
                    await asyncio.wait_for(arrived.wait(), timeout if timeout is None else min(timeout, _LONGEST))
                except TimeoutError:
                    reply = self._late(caller, timeout)
            self._asking.pop(caller.who, None)
            if reply is None and _decided(caller).audit:
                reply = await self._aside.run(self._told, caller)
            reply = reply or self._told(caller)
            if reply is not None:
                return reply
            answer: str | None = None
            try:
                answer = _checked(await _awaitable(think(_decided(caller))))
            except Exception:
                if not _decided(caller).audit:
                    raise
            return await self._aside.run(self._finish, caller, answer)
        finally:
            self._asking.pop(caller.who, None)
            if not caller.finishing:
                self._leave(caller)

    def close(self) -> None:
        """Nobody waits for an answer any more: who does is told so. Thinking that has begun is not ended."""
        with self._lock:
            self._closed = True
            message = "this Sophia was closed while an identical input was being thought about"
            for flight in list(self._flights.values()):
                for caller in list(flight.waiting):
                    caller.flight = None
                    caller.error = SophiaError(message)
                    _wake(caller)
            self._flights.clear()
            self._asking.clear()

    def _enter(self, caller: _Caller, text: str, where: dict[str, Any]) -> Reply | None:
        """Routes, and where that gives no answer makes the caller lead or wait."""
        with self._lock:
            if caller.gone:  # cancelled before it had its turn
                return None
            reply = self._place(caller, text, where)
            caller.entered = True
            return reply

    def _place(self, caller: _Caller, text: str, where: dict[str, Any]) -> Reply | None:
        decision = caller.decision = self._route(text, **where)
        if not decision.allowed:
            return Reply(None, decision, "refused")
        if decision.answer is not None and not decision.audit:
            return Reply(decision.answer, decision, "memory")
        key = self._key(decision)
        flight = None if key is None else self._flights.get(key)
        if flight is None:
            caller.leads = True
            if key is not None and len(self._flights) < MAX_FLIGHTS and not self._closed:
                caller.flight = self._flights[key] = _Flight(key, caller)
            return None
        self._refuse_a_ring(caller, flight)
        caller.flight = flight
        self._asking[caller.who] = caller
        flight.waiting[caller] = None
        return None

    def _refuse_a_ring(self, caller: _Caller, flight: _Flight) -> None:
        """DeadlockError where who thinks for the flight waits for the caller, itself or through others."""
        seen: set[_Flight] = set()
        asked: _Flight | None = flight
        while asked is not None and asked not in seen:
            seen.add(asked)
            leader = asked.leader
            if leader.is_one_with(caller):
                message = (
                    "think asked for the answer that it is to give; it would wait for itself"
                    if asked is flight
                    else f"{len(seen)} thoughts would wait for each other, the last of them for the first"
                )
                raise DeadlockError(message)
            waiting = self._asking.get(leader.who)
            asked = None if waiting is None or waiting.settled else waiting.flight

    def _think(self, caller: _Caller, think: Callable[[Decision], str]) -> str | None:
        """A thought; None where it failed and was an audit: then what was to be checked is served."""
        try:
            return _checked(think(_decided(caller)))
        except Exception:
            if not _decided(caller).audit:
                raise
            return None

    def _finish(self, caller: _Caller, answer: str | None) -> Reply:
        """`_thought` for a coroutine: once begun it ends the flight itself, even when the coroutine is cancelled."""
        caller.finishing = True
        try:
            return self._thought(caller, answer)
        finally:
            self._leave(caller)

    def _thought(self, caller: _Caller, answer: str | None) -> Reply:
        """Stores what was thought and ends the flight, as one step; the waiters get it even when the disk fails."""
        decision = _decided(caller)
        if answer is None:
            return Reply(decision.answer, decision, "memory")
        agrees = self._judge(decision, answer)
        with self._lock:
            try:
                self._keep(decision, answer, agrees)
            finally:
                flight, caller.flight = caller.flight, None
                if flight is not None:
                    self._end(flight)
                    for waiting in list(flight.waiting):
                        waiting.answer, waiting.flight = answer, None
                        self._asking.pop(waiting.who, None)
                        _wake(waiting)
        return Reply(answer, decision, "thought")

    def _told(self, caller: _Caller) -> Reply | None:
        """What another caller has thought; None where this one has to think itself."""
        if caller.error is not None:
            raise caller.error
        if caller.answer is None:
            return None
        decision = _decided(caller)
        if decision.audit:
            self._keep(decision, caller.answer, self._judge(decision, caller.answer))
        return Reply(caller.answer, decision, "shared")

    def _late(self, caller: _Caller, timeout: float | None) -> Reply | None:
        """The time is over; but what came at the last moment counts."""
        with self._lock:
            if caller.settled:
                return None
            decision = _decided(caller)
            if decision.audit:
                return Reply(decision.answer, decision, "memory")
        message = f"no answer within {timeout} s from who thinks about the same input; give a longer timeout"
        raise AnswerTimeout(message)

    def _leave(self, caller: _Caller) -> None:
        """However a caller ends: one that waits is told nothing more, one that leads hands over to the next."""
        if caller.entered and caller.flight is None:
            return
        with self._lock:
            caller.gone = True
            flight, caller.flight = caller.flight, None
            if flight is None:
                return
            flight.waiting.pop(caller, None)
            if flight.leader is not caller or self._flights.get(flight.key) is not flight:
                return
            for heir in list(flight.waiting):
                del flight.waiting[heir]
                self._asking.pop(heir.who, None)
                heir.leads = True
                if _wake(heir):
                    flight.leader = heir
                    return
            self._end(flight)

    def _end(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]


def _wake(caller: _Caller) -> bool:
    """False where the caller's event loop is no more: it cannot be told anything."""
    try:
        caller.wake()
    except RuntimeError:
        return False
    return True


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(call)


def _decided(caller: _Caller) -> Decision:
    assert caller.decision is not None
    return caller.decision


def _awaitable(thought: Awaitable[str]) -> Awaitable[str]:
    if not hasattr(thought, "__await__"):
        message = f"think gave {type(thought).__name__}; aanswer takes a coroutine function, answer a plain one"
        raise TypeError(message)
    return thought


def _check_timeout(timeout: object) -> None:
    if timeout is not None and (not isinstance(timeout, int | float) or not timeout >= 0.0):
        message = f"timeout is {timeout!r}; give seconds, or None to wait for ever"
        raise ValueError(message)


def _checked(answer: object) -> str:
    if not isinstance(answer, str):
        message = f"think gave {type(answer).__name__}; an answer is a str"
        raise TypeError(message)
    return str.__str__(answer)  # of a subclass, its characters

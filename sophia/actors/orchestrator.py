"""The orchestrator: starts actors, knows them by name, and ends them in order."""

from __future__ import annotations

import asyncio
import atexit
import difflib
import os
import random
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from time import monotonic
from types import TracebackType
from typing import Any, Self

from sophia._core.mailbox import Delivery
from sophia._core.runner import LoopRunner
from sophia.actors.actor import Actor, refuse_generators
from sophia.actors.breaker import Breaker, Circuit, settled
from sophia.actors.cell import Cell, Factory
from sophia.actors.dead_letters import DeadLetters
from sophia.actors.listeners import Listeners
from sophia.actors.message import Terminated
from sophia.actors.ref import ActorRef
from sophia.actors.supervision import Event, Group, Supervision
from sophia.errors import ActorStopped, CircuitOpen, DeadlockError, SophiaError, UnknownActor

__all__ = ["Orchestrator", "Shutdown"]

_MOST_ACTORS = 100_000
# Ends that are remembered by name.
_MOST_ENDS = 1000
# Seconds of a shutdown after an error.
_AFTER_ERROR = 1.0
# Seconds that a handler has to end after its actor was cut off.
_GRACE = 1.0
# Seconds that an interpreter's exit gives to threads of actors, all together.
_EXIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Shutdown:
    """How a shutdown ended: messages that were still handled, those that became dead letters, and the names of the
    actors that did not end in time."""

    handled: int
    dead: int
    hung: tuple[str, ...]


class Orchestrator:
    """Actors of one event loop. Use it in an ``async with`` block, which ends with `shutdown`: within
    `shutdown_timeout` seconds, or one after an error. `supervision` is that of all actors that are in no group of their
    own; `seed` makes the pauses before restarts repeat. `keep_dead` dead letters are kept.

    RuntimeError where no event loop runs; TypeError and ValueError for arguments. Not thread-safe, but for `ref` and
    what an :class:`ActorRef` allows. In a forked child every send raises PoolForked.

        >>> import asyncio
        >>> from sophia.actors import Actor, Orchestrator
        >>> class Echo(Actor):
        ...     def handle(self, message):
        ...         return message
        >>> async def main():
        ...     async with Orchestrator() as organs:
        ...         organs.spawn(Echo, "echo")
        ...         return await organs.ask("echo", "hello")
        >>> asyncio.run(main())
        'hello'
    """

    def __init__(
        self,
        supervision: Supervision | None = None,
        *,
        keep_dead: int = 100,
        shutdown_timeout: float = 10.0,
        seed: int | None = None,
    ) -> None:
        _check("supervision", supervision, Supervision | None, "a Supervision, or None")
        try:
            self.dead_letters = DeadLetters(keep_dead)
        except ValueError as error:
            message = f"keep_dead: {error}"
            raise ValueError(message) from None
        self.events: deque[Event] = deque(maxlen=100)
        """The last that happened to actors; errors among them hold what their frames hold."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            message = (
                "an Orchestrator belongs to a running event loop; make it in a coroutine, as asyncio.run(main()) has"
            )
            raise RuntimeError(message) from None
        self._home = LoopRunner(self._loop)
        self._thread = threading.get_ident()
        self._cells: dict[str, Cell] = {}
        self._counters: dict[str, int] = {}
        self._ended: dict[str, int] = dict.fromkeys(("sent", "handled", "failed", "dead", "refused", "late"), 0)
        self._counting = threading.RLock()  # re-entered by a signal's handler
        self._root = Group("root", supervision or Supervision(), None, random.Random(seed))
        self._seed = seed
        self._breakers: dict[str, Circuit] = {}
        self._ends: dict[str, Terminated] = {}  # of the last that ended, by name
        self._listeners: Listeners[Event] = Listeners("events of actors")
        self._shutdown_timeout = _seconds("shutdown_timeout", shutdown_timeout)
        self._closing: asyncio.Future[Shutdown] | None = None
        _LIVE.add(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # after an error nobody waits for what is left
        await self.shutdown(None if error is None else min(self._shutdown_timeout, _AFTER_ERROR))

    @property
    def _on_home_thread(self) -> bool:
        """Whether this is the thread of its loop."""
        return threading.get_ident() == self._thread

    def _chance(self, name: str) -> random.Random:
        """Of the pauses of a group: each has its own, or all would come back at once."""
        return random.Random(None if self._seed is None else f"{self._seed} {name}")

    # Starting

    def group(self, name: str, supervision: Supervision, *, above: Group | None = None) -> Group:
        """A group of actors under a supervision of their own; name it in `spawn`."""
        _check("supervision", supervision, Supervision, "a Supervision")
        _check("above", above, Group | None, "what organs.group() gives, or None")
        _check("name", name, str, "a word")
        return Group(name, supervision, self._root if above is None else above, self._chance(name))

    def spawn(
        self,
        factory: Factory | Actor,
        name: str | None = None,
        *,
        priority: str = "medium",
        capacity: int = 1024,
        overflow: str = "wait",
        accepts: Iterable[type] | None = None,
        blocking: bool = False,
        group: Group | None = None,
        start_timeout: float = 30.0,
        breaker: Breaker | None = None,
        core: int | None = None,
    ) -> ActorRef:
        """Starts an actor and returns at once; what is sent before it has started waits.

        `factory` is a class of actors or a function that gives one, called again for each restart (an actor itself is
        stopped and started again). `capacity` messages of each priority may wait, a power of two; `overflow` is
        "wait", "fail", "drop_new", "drop_old" or "dead_letter". `accepts` are the classes of messages that it takes,
        in place of those that its class names. With `blocking` its handlers run in a thread of their own, where they
        may wait for disks and locks; `core` is the processor that this thread is bound to, a hint.
        `start_timeout`, in seconds, bounds `on_start` and `on_stop`; of a blocking actor `on_start` alone, and as no
        thread can be broken off, it is started again, or ends, only when `on_start` has returned. `breaker` are the
        settings of the circuit breaker that `send_with_timeout` goes through.

        For the thread of the loop: RuntimeError elsewhere. ActorStopped where the orchestrator shuts down; TypeError
        and ValueError for arguments, and a name that is taken; SophiaError where there are too many actors.
        """
        if self._closing is not None:
            message = "the orchestrator shuts down and starts no more actors"
            raise ActorStopped(message)
        if not self._on_home_thread:
            message = "spawn() is for the thread of the orchestrator's loop; use loop.call_soon_threadsafe"
            raise RuntimeError(message)
        if isinstance(factory, type) and not issubclass(factory, Actor):
            message = f"spawn: {factory.__name__} is no class of actors; derive it from Actor"
            raise TypeError(message)
        if not callable(factory) and not isinstance(factory, Actor):
            message = f"spawn: {factory!r:.80} is neither a class of actors nor a function that gives one"
            raise TypeError(message)
        if any(cell.is_made_of(factory) for cell in self._cells.values() if isinstance(factory, Actor)):
            message = f"spawn: {factory!r:.80} runs already; give a class or a function, which makes one for each spawn"
            raise ValueError(message)
        kinds = None if accepts is None else _classes(accepts)
        if core is not None:
            _check_core(core)
        if isinstance(factory, type | Actor):
            refuse_generators(factory if isinstance(factory, type) else type(factory))
        _check("group", group, Group | None, "what organs.group() gives, or None")
        _check("breaker", breaker, Breaker | None, "a Breaker, or None")
        _check("blocking", blocking, bool, "True or False")
        seconds = _seconds("start_timeout", start_timeout)
        if len(self._cells) >= _MOST_ACTORS:
            message = f"{_MOST_ACTORS:,} actors run already"
            raise SophiaError(message)
        name = self._free_name(factory) if name is None else name
        if not isinstance(name, str) or not name:
            message = f"name is {name!r:.80}; give a word, or None for one of the class"
            raise ValueError(message)
        if name in self._cells:
            message = f"an actor is called {name!r} already; stop it first or choose another name"
            raise ValueError(message)
        cell = Cell(
            self,
            self._root if group is None else group,
            name,
            factory,
            blocking=blocking,
            core=core,
            start_timeout=seconds,
            home=self._home,
            accepts=kinds,
            priority=priority,
            capacity=capacity,
            overflow=overflow,
        )
        self._cells[name] = cell
        if breaker is not None:
            self._breakers[name] = replace(breaker, name=name).circuit(clock=self._loop.time)
        return cell.ref

    def spawn_on_core(self, core: int, factory: Factory | Actor, name: str | None = None, **options: Any) -> ActorRef:
        """As `spawn`, with a hint where the actor should run: a blocking actor's thread is bound to that core where the
        system allows it; an actor of the loop runs where the loop does."""
        _check_core(core)
        return self.spawn(factory, name, core=core, **options)

    def _free_name(self, factory: Factory | Actor) -> str:
        kind = type(factory) if isinstance(factory, Actor) else factory
        word = getattr(kind, "__name__", type(kind).__name__).lower()
        word = "actor" if word == "<lambda>" else word
        while True:
            n = self._counters[word] = self._counters.get(word, 0) + 1
            name = word if n == 1 else f"{word}-{n}"
            if name not in self._cells:
                return name

    # Sending

    def ref(self, name: str) -> ActorRef:
        """The actor of that name. UnknownActor, with the nearest name that there is."""
        return self._cell(name).ref

    @property
    def names(self) -> list[str]:
        """All actors, in the order in which they were started."""
        return list(self._cells)

    def tell(self, name: str, message: Any, priority: str | None = None) -> Delivery:
        """See :meth:`ActorRef.tell`."""
        return self._cell(name).ref.tell(message, priority)

    def ask(self, name: str, message: Any, timeout: float = 5.0, priority: str | None = None) -> asyncio.Future[Any]:
        """See :meth:`ActorRef.ask`."""
        return self._cell(name).ref.ask(message, timeout, priority)

    def send_batch(self, name: str, messages: Iterable[Any], priority: str | None = None) -> Delivery:
        """See :meth:`ActorRef.send_batch`."""
        return self._cell(name).ref.send_batch(messages, priority)

    def breaker(self, name: str) -> Circuit:
        """The circuit breaker of an actor: made when it is first needed, and kept as long as the actor lives."""
        self._cell(name)
        circuit = self._breakers.get(name)
        if circuit is None:
            circuit = self._breakers[name] = Breaker(name=name).circuit(clock=self._loop.time)
        return circuit

    async def send_with_timeout(
        self,
        name: str,
        message: Any,
        timeout: float,
        *,
        priority: str | None = None,
        fallback: Callable[[Exception], Any] | None = None,
        ignore: tuple[type[Exception], ...] = (),
    ) -> Any:
        """The answer of an actor, through its circuit breaker. The deadline, in seconds, covers the wait for room, the
        work and the answer.

        CircuitOpen, at once, while the breaker is open; AskTimeout when the time is up; else what the handler raised:
        each of these counts as a failure of the actor, as does an answer that took longer than the breaker's
        `slow_seconds`. What is wrong with the message itself, a cancellation, and exceptions of `ignore`, count as
        nothing. With a `fallback` (a function or coroutine function) what that gives for the error is the answer; also
        where the actor has ended (ActorStopped).
        """
        if fallback is not None and not callable(fallback):
            wrong = f"fallback is {fallback!r:.80}; give a function of the error"
            raise TypeError(wrong)
        kinds = ignore if isinstance(ignore, tuple) else (ignore,)
        if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
            wrong = f"ignore is {ignore!r:.80}; give a tuple of classes of exceptions, as in ignore=(KeyError,)"
            raise TypeError(wrong)
        try:
            ref, circuit = self._cell(name).ref, self.breaker(name)
        except ActorStopped as error:
            return await _fallen_back(fallback, error)
        try:
            ticket = circuit.admit()
        except CircuitOpen as error:
            return await _fallen_back(fallback, error)
        told = False
        try:
            started = self._loop.time()
            asked = ref.ask(message, timeout, priority)
            try:
                answer = await asked
            except kinds:
                raise
            except Exception as error:
                circuit.failed(ticket, seconds=self._loop.time() - started)
                told = True
                return await _fallen_back(fallback, error)
            circuit.succeeded(ticket, seconds=self._loop.time() - started)
            told = True
        finally:
            if not told:
                circuit.abandoned(ticket)
        return answer

    def broadcast_to_all(self, message: Any, priority: str | None = None) -> dict[str, str]:
        """Offers one message to every actor, waiting for none; by name what became of it.

        "accepted"; "full" (with "wait" and "fail": it was not taken), "dropped", "dead", "stopped"; "not accepted"
        where the actor takes no such messages. All share the message: no byte of it is copied.
        """
        outcomes: dict[str, str] = {}
        for name, cell in list(self._cells.items()):
            outcomes[name] = cell.mailbox.offer(message, priority)
        return outcomes

    # Ending

    async def stop(self, actor: str | ActorRef, timeout: float | None = 10.0, *, drain: bool = True) -> Terminated:
        """Ends an actor: it takes no more messages, those that wait are handled until the time is up (None: however
        long that takes), then they become dead letters; without `drain` they do so at once. An actor that has ended
        already is no error."""
        _check("actor", actor, str | ActorRef, "the name of an actor or its reference")
        limit = None if timeout is None else _seconds("timeout", timeout)
        if isinstance(actor, str) and actor not in self._cells and actor in self._ends:
            return self._ends[actor]
        cell = self._cell(actor) if isinstance(actor, str) else actor._cell
        if cell.mailbox.inside:
            message = f"actor {cell.name!r} waits for its own end in a handler; self.ref.stop() returns at once"
            raise DeadlockError(message)
        cell.ask_to_stop() if drain else cell.cut()
        return await self._end_of(cell, None if limit is None else self._loop.time() + limit)

    async def _end_of(self, cell: Cell, deadline: float | None) -> Terminated:
        """Waits for an end that was asked for; after the deadline it is made."""
        if deadline is not None and not await self._in_time(cell, deadline):
            cell.cut()
            if not await self._in_time(cell, max(deadline, self._loop.time()) + _GRACE):
                cell.abandon()
        return await cell.wait_end()

    async def _in_time(self, cell: Cell, deadline: float) -> bool:
        end = asyncio.ensure_future(cell.wait_end())
        try:
            done, _ = await asyncio.wait({end}, timeout=max(0.0, deadline - self._loop.time()))
        finally:
            end.cancel()
        return bool(done)

    async def shutdown(self, timeout: float | None = None) -> Shutdown:
        """Ends all actors, the last started first, so that what one still sends finds those before it. Messages that
        wait are handled until the time is up, in seconds, for all together. Called twice, it gives the same."""
        seconds = self._shutdown_timeout if timeout is None else _seconds("timeout", timeout)
        for cell in self._cells.values():
            if cell.mailbox.inside:
                message = f"actor {cell.name!r} waits for its own end in a handler; let a task of its own shut down"
                raise DeadlockError(message)
        if self._closing is None:  # in a task: it goes on if this caller is cancelled
            self._closing = self._loop.create_task(self._end_all(seconds), name="sophia-shutdown")
        return await asyncio.shield(self._closing)

    async def _end_all(self, seconds: float) -> Shutdown:
        before = self.counts()
        deadline = self._loop.time() + seconds
        cells = list(self._cells.values())
        for cell in reversed(cells):
            cell.ask_to_stop()
            if not await self._in_time(cell, deadline):
                break
        # the time is up: what is left has a moment, all together
        left = [cell for cell in reversed(cells) if cell.state != "stopped"]
        for cell in left:
            cell.cut()
        deadline = self._loop.time() + _GRACE
        for cell in left:
            if not await self._in_time(cell, deadline):
                cell.abandon()
        after = self.counts()
        await asyncio.sleep(0)  # drivers that were cancelled end
        self._home.close()
        _LIVE.discard(self)
        hung = tuple(cell.name for cell in left if cell.hung)
        return Shutdown(after["handled"] - before["handled"], after["dead"] - before["dead"], hung)

    # Watching

    def subscribe(self, listener: Callable[[Event], object]) -> None:
        """Called on the loop with each event in the life of an actor; what it raises is logged. TypeError for what
        cannot be called, ValueError for one more than 64."""
        self._listeners.subscribe(listener)

    def counts(self) -> dict[str, int]:
        """What was counted of all messages since the start; at any moment
        ``sent == handled + dead + refused + waiting + running``."""
        totals = self._ended | {"waiting": 0, "running": 0}
        for cell in self._cells.values():
            counted = cell.mailbox.counts()
            for key in totals:
                totals[key] += counted[key]
        return totals

    def _note(self, event: Event) -> None:
        """Something happened to an actor."""
        self.events.append(event)
        self._listeners.tell(event)

    def _forget(self, cell: Cell, end: Terminated) -> None:
        """An actor has ended; its name is free."""
        if self._cells.get(cell.name) is cell:
            self._ends.pop(cell.name, None)
            self._ends[cell.name] = end  # first: other threads find it in one of the two
            del self._cells[cell.name]
            self._breakers.pop(cell.name, None)
            if len(self._ends) > _MOST_ENDS:
                del self._ends[next(iter(self._ends))]
        with self._counting:
            counted = cell.mailbox.retire()
            for key in self._ended:
                self._ended[key] += counted[key]

    def _count_late(self) -> None:
        """A message to an actor that has ended, and whose counts were taken, became a dead letter."""
        with self._counting:
            self._ended["sent"] += 1
            self._ended["dead"] += 1

    def _cell(self, name: str) -> Cell:
        _check("name", name, str, "the name of an actor")
        cell = self._cells.get(name)
        if cell is None and (end := self._ends.get(name)) is not None:
            message = f"actor {name!r} has ended: {end.reason}"
            raise ActorStopped(message) from end.error
        if cell is None:
            nearest = difflib.get_close_matches(name, [*self._cells, *self._ends], n=1, cutoff=0.0)
            hint = f"; the nearest is {nearest[0]!r}" if nearest else "; none runs"
            if nearest and nearest[0] not in self._cells:
                hint += ", which has ended"
            message = f"no actor is called {name!r}{hint}"
            raise UnknownActor(message)
        return cell

    def _end_threads(self, deadline: float) -> None:
        threads = [cell.end_thread() for cell in list(self._cells.values())]
        for thread in threads:
            if thread is not None:
                thread.join(max(0.0, deadline - monotonic()))


async def _fallen_back(fallback: Callable[[Exception], Any] | None, error: Exception) -> Any:
    if fallback is None:
        raise error
    return await settled(fallback(error))


def _check(name: str, value: object, kinds: Any, cure: str) -> None:
    if not isinstance(value, kinds):
        message = f"{name} is {value!r:.80}; give {cure}"
        raise TypeError(message)


def _check_core(core: object) -> None:
    cores = os.cpu_count() or 1
    if isinstance(core, bool) or not isinstance(core, int) or not 0 <= core < cores:
        message = f"core is {core!r:.80}; this machine has 0 to {cores - 1}"
        raise ValueError(message)


def _seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1e9:
        message = f"{name} is {value!r:.80}; give seconds, from 0 to 1e9"
        raise ValueError(message)
    return float(value)


def _classes(accepts: Iterable[type]) -> tuple[type, ...]:
    kinds = (accepts,) if isinstance(accepts, type) else tuple(accepts) if isinstance(accepts, Iterable) else ()
    if not kinds or not all(isinstance(kind, type) for kind in kinds):
        message = f"accepts is {accepts!r:.80}; name one or more classes of messages, or None for any"
        raise TypeError(message)
    return kinds


_LIVE: weakref.WeakSet[Orchestrator] = weakref.WeakSet()


def _end_all() -> None:
    """At the interpreter's exit: threads of actors that nobody stopped end, or are left behind in time."""
    deadline = monotonic() + _EXIT_SECONDS
    for orchestrator in list(_LIVE):
        orchestrator._end_threads(deadline)


atexit.register(_end_all)
os.register_at_fork(after_in_child=_LIVE.clear)

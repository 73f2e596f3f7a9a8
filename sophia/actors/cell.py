"""The life of one actor: start, handle, fail, start again, end."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from sophia._core.inbox import Inbox
from sophia._core.runner import LoopRunner, ThreadRunner
from sophia.actors.actor import Actor, refuse_generators
from sophia.actors.complaint import complain
from sophia.actors.listeners import tell
from sophia.actors.message import Control, Terminated
from sophia.actors.ref import ActorRef
from sophia.actors.supervision import Budget, Event, Group
from sophia.errors import ActorStopped, DeadlockError

if TYPE_CHECKING:
    from sophia.actors.orchestrator import Orchestrator

__all__ = ["Cell", "Factory"]

Factory = Callable[[], Actor]
Watcher = ActorRef | Callable[[Terminated], object]

# What every actor takes: who watches another is told of its end.
_ALWAYS = (Terminated,)

# Watchers of one actor, at most.
_MOST_WATCHERS = 1024


class Cell:
    """One actor from its spawn to its end: its mailbox stays, the object that handles is made anew after a failure.

    Its life is one coroutine, which holds the mailbox wherever the actor is not to handle messages: while it starts,
    between two starts, and at its end. Everything here runs on the loop, but for what says that it does not.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        group: Group,
        name: str,
        factory: Factory | Actor,
        *,
        blocking: bool,
        core: int | None,
        start_timeout: float,
        home: LoopRunner,
        accepts: tuple[type, ...] | None,
        **mailbox: Any,
    ) -> None:
        self.name = name
        self.state = "starting"
        self.restarts = 0
        self.hung = False
        self._orchestrator = orchestrator
        self._group = group
        self._factory = factory
        self._core = core
        self._accepts = accepts
        self._start_timeout = start_timeout
        self._home = home
        self._loop = home.loop
        self._thread_runner = ThreadRunner(home) if blocking else None
        self.mailbox = Inbox(
            name,
            home if self._thread_runner is None else self._thread_runner,
            home,
            home.wheel,
            on_failure=self._on_failure,
            on_dead=self._on_dead,
            on_rest=self._on_rest,
            on_collapse=self._on_collapse,
            spawn_driver=None if blocking else self._spawn_driver,
            **mailbox,
        )
        self.mailbox.hurry(Control)
        self.mailbox.accept(getattr(factory, "accepts", None) if accepts is None else accepts, _ALWAYS)
        self.ref = ActorRef(self)
        self._actor: Actor | None = None
        self._finished: asyncio.Future[None] | None = None
        self._thread: threading.Thread | None = None
        self._budget = Budget(group.supervision)
        self._watchers: list[Watcher] = []
        # What the life waits for: each of these is set, then `_tell_life` called.
        self._at_rest = True
        self._restart: float | None = None
        self._stopping = self._cut = self._ended = self._awake = False
        self._error: BaseException | None = None
        self._end: Terminated | None = None
        self._news: asyncio.Future[None] | None = None
        self._waiting_for_end: set[asyncio.Future[Terminated]] = set()
        group.add(self)
        self._task = self._loop.create_task(self._live(), name=f"sophia-actor-{name}")
        self._task.add_done_callback(lambda _: self._close("it was cancelled before it had begun to start"))

    # What others ask of it

    def is_made_of(self, factory: object) -> bool:
        """Whether that is the one actor object of which this cell is made."""
        return isinstance(factory, Actor) and self._factory is factory

    def ask_to_stop(self) -> None:
        """Takes no more messages, handles those that wait, and ends. From any thread."""
        self._on_loop(lambda: self._begin_stop(cut=False))

    def cut(self) -> None:
        """Ends as soon as no handler runs; what is awaited is broken off, what waits becomes dead letters."""
        self._begin_stop(cut=True)

    def restart(self, pause: float, error: BaseException | None) -> None:
        """Puts a new actor in its place after a pause."""
        if self._ended or self.state in ("restarting", "stopped"):
            return
        self._restart = pause
        self._error = error
        if not self._at_rest:
            self.mailbox.pause()
        self._tell_life()

    def give_up(self, error: BaseException | None) -> None:
        """Ends it for good."""
        if self.state == "stopped":
            return
        self._error = error
        self._ended = True
        try:
            self._orchestrator._note(Event("gave_up", self.name, error))
        finally:
            self._begin_stop(cut=True)

    def abandon(self) -> None:
        """It does not come to rest in time: whoever waits for it is told, and what it still does is nobody's."""
        if self.state == "stopped":
            return
        self.hung = True
        with ExitStack() as steps:  # an interrupt of one hinders none of the others
            steps.callback(self._close, "its handler hangs")
            steps.callback(self._task.cancel)
            complain("actor %r does not end: its handler still runs and is left behind", self.name)

    def watch(self, watcher: Watcher) -> None:
        """See :meth:`ActorRef.watch`."""
        if not isinstance(watcher, ActorRef) and not callable(watcher):
            message = f"watch: {watcher!r:.80} is neither an actor's reference nor a function"
            raise TypeError(message)
        if self._end is not None:
            _tell_end(watcher, self._end)
        elif len(self._watchers) >= _MOST_WATCHERS:
            message = f"{_MOST_WATCHERS} watchers watch actor {self.name!r} already"
            raise ValueError(message)
        elif watcher not in self._watchers:
            self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """See :meth:`ActorRef.unwatch`."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    async def wait_end(self) -> Terminated:
        """Waits for its end."""
        if self._end is not None:
            return self._end
        if self.mailbox.inside:
            message = f"actor {self.name!r} waits for its own end in a handler; stop() returns at once"
            raise DeadlockError(message)
        future: asyncio.Future[Terminated] = self._loop.create_future()
        self._waiting_for_end.add(future)
        try:
            return await future
        finally:
            self._waiting_for_end.discard(future)

    # What its mailbox tells, on the thread that runs it

    def _on_failure(self, error: BaseException, message: Any, asked: bool) -> bool:
        """Whether the mailbox is to be held."""
        directive = self._group.supervision.directive(error, asked=asked)
        with ExitStack() as steps:  # an interrupt of one hinders none of the others
            if directive != "resume":
                self.mailbox.hold()
                steps.callback(self._on_loop, self._after_failure, error, directive)
            steps.callback(self._on_loop, self._orchestrator._note, Event("failed", self.name, error))
            if not asked or directive != "resume":  # an asker hears of it
                kind, trace = type(message).__name__, None if asked else error
                complain("actor %r failed on a %s (%s): %s", self.name, kind, directive, _shown(error), exc_info=trace)
        return directive != "resume"

    def _after_failure(self, error: BaseException, directive: str) -> None:
        if self.state == "stopped":
            return
        self._at_rest = True
        try:
            if directive == "stop":
                self.give_up(error)
            elif self._restart is None:  # else it failed on another message of the same batch
                self._group.failed(self, self._budget, self._loop.time(), error)
        except BaseException:  # an interrupt, or a listener that leaves the process
            if self._restart is None:
                self._error = error
                self._ended = True
            raise
        finally:
            self._tell_life()

    def _on_dead(self, message: Any, reason: str, late: bool) -> None:
        if late:
            self._orchestrator._count_late()
        self._orchestrator.dead_letters.add(self.name, message, reason)

    def _on_collapse(self, error: BaseException) -> None:
        self._on_loop(self._after_failure, error, "stop")
        complain("actor %r stops, as what stands around its handlers failed", self.name, exc_info=error)

    def _on_rest(self) -> None:
        self._on_loop(self._rests)

    def _rests(self) -> None:
        self._at_rest = True
        if self._stopping and self._restart is None:
            self._ended = True
        self._tell_life()

    def _spawn_driver(self, mailbox: Inbox) -> asyncio.Task[None]:
        steps = mailbox.drive()
        try:
            task = self._loop.create_task(steps, name=f"sophia-handler-{self.name}")
        except BaseException:  # an interrupt came between
            steps.close()
            raise
        task.add_done_callback(mailbox.driver_ended)
        return task

    # Its life

    async def _live(self) -> None:
        try:
            while True:
                failure = await self._start()
                if self._end is not None:  # left behind meanwhile
                    break
                if failure is None:
                    self._orchestrator._note(Event("started", self.name))
                    self.state = "stopping" if self._stopping else "running"
                    if self._restart is None:  # else another of its group has failed meanwhile
                        self._error = None
                        self._at_rest = False
                        self.mailbox.release()
                else:
                    complain("actor %r failed to start: %r", self.name, failure, exc_info=failure)
                    self._orchestrator._note(Event("failed", self.name, failure))
                    self._after_failure(failure, self._group.supervision.directive(failure, asked=False))
                await self._until(lambda: self._at_rest and (self._ended or self._restart is not None))
                await self._finish(started=failure is None)
                if self._ended or self._cut:
                    break
                pause, self._restart = self._restart, None
                self.state = "restarting"
                self._orchestrator._note(Event("restarting", self.name, self._error))
                self._awake = False
                timer = self._home.wheel.call_later(pause or 0.0, self._wake)
                try:
                    await self._until(lambda: self._awake or self._ended)
                finally:
                    timer.cancel()
                if self._ended:
                    break
                self.restarts += 1
                self.state = "starting"
        finally:
            self._close("its actor has stopped" if self._error is None else f"its actor failed: {_shown(self._error)}")

    def _wake(self) -> None:
        self._awake = True
        self._tell_life()

    async def _until(self, so: Callable[[], bool]) -> None:
        while not so():
            self._news = self._loop.create_future()
            await self._news

    def _tell_life(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _start(self) -> BaseException | None:
        """A new actor; what it failed with, if it did."""
        started: asyncio.Future[None] = self._loop.create_future()
        span = self.mailbox.enter()
        try:
            if self._thread_runner is not None:
                self._finished = self._thread = None
                finished = self._loop.create_future()
                self._thread_runner.begin()
                thread = threading.Thread(
                    target=self._in_thread, args=(started, finished), name=f"sophia-{self.name}", daemon=True
                )
                thread.start()  # the system may have none
                self._finished, self._thread = finished, thread
                await self._in_time(started)
            else:
                begun = self._make().on_start()
                if inspect.isawaitable(begun):
                    await self._in_time(begun)
        except BaseException as error:
            if self._is_of_others(error):
                raise
            return error
        finally:
            span.leave()
        return None

    async def _in_time(self, what: Awaitable[Any]) -> None:
        # in this task: an exit of the process must not leave another
        try:
            async with asyncio.timeout(self._start_timeout) as limit:
                await what
        except TimeoutError as error:
            if not limit.expired():
                raise
            message = f"it took longer than its start_timeout of {self._start_timeout:g} s"
            raise TimeoutError(message) from error

    def _is_of_others(self, error: BaseException) -> bool:
        """Whether an exception is not the actor's own: its life is cancelled, or the user wants to leave."""
        cancelled = isinstance(error, asyncio.CancelledError) and self._task.cancelling() > 0
        return cancelled or isinstance(error, KeyboardInterrupt)

    def _make(self) -> Actor:
        """The actor; on the thread that will run it."""
        factory = self._factory
        actor = factory if isinstance(factory, Actor) else factory()
        if not isinstance(actor, Actor):
            message = f"spawn: {factory!r} gave {actor!r:.80}, which is no Actor; derive its class from Actor"
            raise TypeError(message)
        refuse_generators(type(actor))
        self.mailbox.accept(type(actor).accepts if self._accepts is None else self._accepts, _ALWAYS)
        actor.ref = self.ref
        actor.orchestrator = self._orchestrator
        self._actor = actor
        batch = getattr(actor, "handle_batch", None)
        alone = batch is not None and type(actor).handle is Actor.handle and not actor._methods
        self.mailbox.serve(None if alone else actor.handle, batch)
        return actor

    async def _finish(self, *, started: bool) -> None:
        """Lets the actor go."""
        actor, self._actor = self._actor, None
        if self._thread_runner is not None:
            self._thread_runner.end()
            if self._finished is not None and self._thread is not None:
                await self._finished
                self._thread.join()  # it has said its last word
        elif actor is not None and started:
            span = self.mailbox.enter()
            try:
                ended = actor.on_stop()
                if inspect.isawaitable(ended):
                    await self._in_time(ended)
            except BaseException as error:
                if self._is_of_others(error):
                    raise
                complain("on_stop of actor %r failed", self.name, exc_info=True)
            finally:
                span.leave()

    def _in_thread(self, started: asyncio.Future[None], finished: asyncio.Future[None]) -> None:
        """All of a blocking actor's life from one start to the next, in a thread of its own."""
        assert self._thread_runner is not None
        self.mailbox.enter()
        try:
            if self._core is not None:
                with suppress(OSError, AttributeError, TypeError, ValueError, OverflowError):  # a hint
                    os.sched_setaffinity(0, {self._core})
            try:
                actor = self._make()
                _refuse_awaitable(actor.on_start(), "on_start", self.name)
            except BaseException as error:
                self._on_loop(_settle, started, _wrapped(self.name, error))
                return
            self._on_loop(_settle, started, None)
            self._thread_runner.work(self.mailbox)
            try:
                _refuse_awaitable(actor.on_stop(), "on_stop", self.name)
            except BaseException:
                complain("on_stop of actor %r failed", self.name, exc_info=True)
        finally:
            self._on_loop(_settle, finished, None)

    def _begin_stop(self, *, cut: bool) -> None:
        if self.state == "stopped":
            return
        self._stopping = True
        if self.state == "running":
            self.state = "stopping"
        if cut:
            self._cut = True
            self._ended = self._ended or self._at_rest
        self.mailbox.shut_gate(cut)
        self._tell_life()

    def _close(self, reason: str) -> None:
        """The end: nothing is left of it but what it counted."""
        if self.state == "stopped":
            return
        self.state = "stopped"
        self._ended = True
        error = ActorStopped(f"actor {self.name!r} did not answer: {reason}")
        error.__cause__ = self._error
        with ExitStack() as steps:  # the last first; each is taken whatever another one raises
            steps.callback(self._tell_of_end, Terminated(self.name, reason, self._error))
            steps.callback(self._group.leave, self)
            steps.callback(self.mailbox.dismiss)
            steps.callback(self.mailbox.empty_out, reason)
            steps.callback(self.mailbox.disown, error)
            if self._thread_runner is not None:
                steps.callback(self._thread_runner.end)
            self.mailbox.shut_gate(True)

    def _tell_of_end(self, end: Terminated) -> None:
        self._end = end
        watchers, self._watchers = self._watchers, []
        waiting, self._waiting_for_end = self._waiting_for_end, set()
        with ExitStack() as steps:  # the last first
            for future in waiting:
                steps.callback(_settle, future, end)
            for watcher in reversed(watchers):
                steps.callback(_tell_end, watcher, end)
            steps.callback(self._orchestrator._note, Event("stopped", self.name, self._error))
            self._orchestrator._forget(self, end)

    def _on_loop(self, call: Callable[..., object], *arguments: Any) -> None:
        """At once on the loop's thread, else soon; not at all where the loop has ended."""
        if self._orchestrator._on_home_thread:
            if not self._loop.is_closed():
                call(*arguments)
        else:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call, *arguments)

    def end_thread(self) -> threading.Thread | None:
        """In any thread: a blocking actor's thread, which ends as soon as no handler runs."""
        if self._thread_runner is not None:
            self._thread_runner.end()
        return self._thread


def _shown(error: BaseException) -> str:
    try:
        return repr(error)
    except BaseException:  # an error need not have words
        return type(error).__name__


def _settle(future: asyncio.Future[Any], outcome: Terminated | BaseException | None) -> None:
    if not future.done():
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _wrapped(name: str, error: BaseException) -> BaseException:
    """An interrupt of a thread's is not the loop's, and no future holds a StopIteration."""
    if not isinstance(error, KeyboardInterrupt | StopIteration):
        return error
    wrapped = ActorStopped(f"actor {name!r} did not start: {type(error).__name__}({error})")
    wrapped.__cause__ = error
    return wrapped


def _refuse_awaitable(result: object, what: str, name: str) -> None:
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        message = f"{what} of actor {name!r} is a coroutine, but it has a thread of its own; make it a plain function"
        raise TypeError(message)


def _tell_end(watcher: Watcher, end: Terminated) -> None:
    call = watcher.mailbox.owe if isinstance(watcher, ActorRef) else watcher
    tell(call, end, "a watcher of actor %r failed", end.name)

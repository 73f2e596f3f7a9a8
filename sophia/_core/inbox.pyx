# Over 600 lines: one class, whose steps hand an actor's messages from one to the next, and share its counts.
"""Inboxes: mailboxes as their actors have them: whose handlers take the messages, in what order, and what comes of it.

One thread at a time runs an inbox, the one in whose hands it is: a turn of the loop, the task that awaits a handler, or
the thread of a blocking actor. Who starts, restarts or stops the actor holds it, so that messages wait meanwhile.
"""

import asyncio
import logging

cimport cython
from cpython.ref cimport Py_DECREF

from sophia._core.mailbox cimport (
    BATCH,
    LEVELS,
    NOT_READY,
    Delivery,
    Mailbox,
    Promise,
    Span,
    enter,
    refuse_forked,
    forks,
    sophia_gate_shut,
    sophia_message,
    sophia_rest,
    sophia_ring_count,
    sophia_ring_pop,
    sophia_ring_pop_many,
    sophia_schedule,
)

from sophia.errors import ActorStopped


cdef extern from *:
    """
    static inline int sophia_is_awaitable(PyObject *value)
    {
        const PyAsyncMethods *methods = Py_TYPE(value)->tp_as_async;
        return methods && methods->am_await;
    }
    """
    bint sophia_is_awaitable(object value) noexcept

# A message is taken after so many more urgent ones, at the latest.
cdef enum:
    PATIENCE = 64

cdef object _log = logging.getLogger("sophia.actors")
cdef tuple _NOBODY = ()


cdef class Inbox(Mailbox):
    """The mailbox of one actor. Made by an orchestrator's cell, which holds it until the actor has started.

    `on_failure(error, message, asked)` is called when a handler raised, and says whether the inbox is to be held;
    `on_rest()` when it is at rest after `pause` or `shut_gate`, and held; `on_collapse(error)` when anything else
    failed, and it is held; `spawn_driver(inbox)` makes the task that
    awaits handlers, None where they cannot be awaited. The other arguments are a mailbox's.
    """

    def __init__(
        self,
        *arguments: object,
        on_failure: object,
        on_rest: object,
        on_collapse: object,
        spawn_driver: object,
        **named: object,
    ):
        Mailbox.__init__(self, *arguments, **named)
        self.on_failure = on_failure
        self.on_rest = on_rest
        self.on_collapse = on_collapse
        self.spawn_driver = spawn_driver

    def serve(self, handle: object | None, handle_batch: object = None) -> None:
        """Whose handlers take the messages from now on; without `handle` that of batches takes single ones, too."""
        self.handle = handle
        self.handle_batch = handle_batch

    def hold(self) -> None:
        """Its supervisor is about to be told of a failure: no message is handled before `release`."""
        self.held = True

    def release(self) -> None:
        """Ends the hold of whoever starts, restarts or stops the actor: its messages are handled."""
        if self.forks != forks():
            refuse_forked()
        if not self.cut:
            self.admit()  # who waits for room may be all that there is
        self.held = self.pausing = False  # it rests, whoever wished it to
        if self.stopping or self.pausing or self.count() or self.idle():
            self.again()

    cdef int again(self) except -1:
        """It is in these hands, and to be run."""
        cdef int level = self.top()
        return self.runner.ready(self, level if level >= 0 else self.level)

    def pause(self) -> None:
        """Handles no more messages until `release`: `on_rest` is called as soon as no handler runs; what is awaited is
        broken off."""
        self.pausing = True
        self.abort(None)
        self._look()

    def shut_gate(self, cut: bool) -> None:
        """Takes no more messages: `on_rest` is called when what waits was handled, or with `cut` as soon as no handler
        runs; then what is awaited is broken off. May be called again, to cut."""
        sophia_gate_shut(&self.gate)
        self.stopping = True
        if cut:
            self.cut = True
            self.abort(None)
        self._look()

    cdef int _look(self) except -1:
        """Whoever runs the mailbox is to look at it soon."""
        if sophia_schedule(&self.scheduled) or 0 < self.ready_level < NOT_READY:
            return self.runner.ready(self, 0)
        return 0

    cdef int lost(self, str reason) except -1:
        """Nothing will ever run it again."""
        sophia_gate_shut(&self.gate)
        self.empty_out(reason)
        return 0

    cdef int abort(self, object promise) except -1:
        """Breaks off the handler that is awaited; with a promise, only where it is that one's."""
        if self.work is None or self.aborting:
            return 0
        if promise is not None and self.work_promises is not promise:
            return 0
        self.aborting = True
        if self.awaited:
            self.driver.cancel()
        return 0

    def disown(self, error: BaseException) -> None:
        """Whatever is still in the hands of a handler counts as failed, and who asked is told."""
        if self.work is not None and not self.awaited:
            self.drop_unbegun()
        promises, self.work_promises = self.work_promises, None
        self.failed += self.hands
        self.settle_hands()
        _fail_all(promises, error)

    def counts(self) -> dict:
        """All counters, and how many messages wait, for a handler or for room, and are in a handler's hands."""
        return Mailbox.counts(self) | {"turns": self.turns, "batches": self.batches, "peak": self.peak}

    # What follows is called by the thread in whose hands it is

    cdef int next_level(self) noexcept:
        """The level of the next message: the most urgent, but for one that was passed over too often; -1: none."""
        cdef int level, top = -1
        for level in range(LEVELS):
            if not self.opened[level] or not sophia_ring_count(self.rings[level]):
                continue
            if top < 0:
                top = level
                if level == 0:
                    return 0
            elif self.passed[level] >= PATIENCE:
                return level
        return top

    cdef int run(self, int budget) except -1:
        """Handles up to so many messages; how many. Then `more` says whether the mailbox is to be run again: if not, it
        is in nobody's hands any more, or held by somebody else."""
        try:
            return self.run_some(budget)
        except BaseException as error:  # of what stands around a handler: a listener, a text of an error
            if isinstance(error, KeyboardInterrupt) and self.runner is self.home:
                self.interrupted(error)
                raise
            self.collapse(error)
        return 1

    cdef int interrupted(self, BaseException error) except -1:
        """The user has interrupted what stands around a handler: it is in these hands still, and goes on."""
        self.runner.current = None
        if self.work is None:
            self.more = not self.held
            if self.hands:
                self.disown(ActorStopped(f"actor {self.name!r} did not answer: {_text(error)}"))
        return 0

    cdef int collapse(self, BaseException error) except -1:
        """What must not raise has raised: the actor is held, and its supervisor told, or nobody would ever run it."""
        self.more = False
        self.held = True
        self.runner.current = None
        try:
            self.disown(ActorStopped(f"actor {self.name!r} did not answer: {_text(error)}"))
        finally:
            self.hands = 0
            self.on_collapse(error)
        return 0

    cdef int run_some(self, int budget) except -1:
        cdef int level = -1, done = 0, some, lower
        cdef size_t n
        self.more = False
        if self.held:  # in the hands of whoever starts or stops the actor, who may be another thread
            return 0
        self.turns += 1
        n = self.count()
        if n > self.peak:
            self.peak = n
        while done < budget and not (self.held or self.cut or self.pausing) and self.work is None:
            level = self.next_level()
            if level < 0:
                break
            if self.passed[level] >= PATIENCE or self.handle_batch is None:
                n = 1
            else:
                n = sophia_ring_count(self.rings[level])
                if n > <size_t>(budget - done):
                    n = <size_t>(budget - done)
                for lower in range(level + 1, LEVELS if level else 0):
                    if self.opened[lower] and sophia_ring_count(self.rings[lower]):
                        n = min(n, <size_t>(PATIENCE - self.passed[lower]))
            some = self.take_batch(level, n) if n > 1 or self.handle is None else self.take_one(level)
            done += some
            self.passed[level] = 0
            for lower in range(level + 1, LEVELS):
                if self.opened[lower] and sophia_ring_count(self.rings[lower]):
                    self.passed[lower] += some
        if not self.cut:
            self.admit()
        if self.held or self.work is not None:
            return done
        if self.pausing or self.cut or (self.stopping and self.count() == 0):
            self.held = True
            self.pausing = False
            self.on_rest()
        else:
            self.more = self.count() or self.idle()
        return done

    cdef int admit(self) except -1:
        """Gives room to the senders that wait for it."""
        cdef int level
        cdef Delivery delivery
        for level in range(LEVELS):
            queue = self.waiting[level]
            while queue and not self.cut:
                delivery = <Delivery>queue.popleft()  # who is told runs code of his own, which may come here
                if not delivery.move():
                    queue.appendleft(delivery)
                    break
        return 0

    cdef bint idle(self) except -1:
        """Lets the mailbox out of these hands; True where something came meanwhile, and it is in them again."""
        sophia_rest(&self.scheduled)
        return (self.count() or self.stopping or self.pausing or self.lined()) and sophia_schedule(&self.scheduled)

    cdef bint lined(self) except -1:
        """Whether anybody waits for room."""
        for queue in self.waiting:
            if queue:
                return True
        return False

    cdef int take_one(self, int level) except -1:
        cdef sophia_message slot
        cdef Promise promise = None
        if not sophia_ring_pop(self.rings[level], &slot):
            return 0
        self.hands = 1  # from here on, or who ends the actor meanwhile would count one too few
        message = <object><void *>slot.words[0]
        Py_DECREF(message)
        if slot.words[1]:
            promise = <Promise><void *>slot.words[1]
            Py_DECREF(promise)
            self.work_promises = promise
            if promise.expired():
                self.work_promises = None
                self.bury_late(message, promise)
            if not self.hands:
                return 1
            promise.running = True
        self.runner.current = self
        try:
            result = self.handle(message)
        except BaseException as error:
            self.runner.current = self.work_promises = None
            self.failure(message, promise, error)
            return 1
        self.runner.current = self.work_promises = None
        if result is None:
            self.settle_hands()
            if promise is not None:
                promise.keep(None)
        else:
            self.finish(message, promise, result)
        return 1

    cdef int take_batch(self, int level, size_t n) except -1:
        cdef sophia_message slots[BATCH]
        cdef size_t got, i
        cdef Promise promise
        messages = []
        promises = None
        got = sophia_ring_pop_many(self.rings[level], slots, n if n < BATCH else BATCH)
        self.hands = <int>got
        for i in range(got):
            message = <object><void *>slots[i].words[0]
            Py_DECREF(message)
            promise = None
            if slots[i].words[1]:
                promise = <Promise><void *>slots[i].words[1]
                Py_DECREF(promise)
                if promises is None:
                    promises = self.work_promises = [None] * len(messages)
            messages.append(message)
            if promises is not None:
                promises.append(promise)
        if promises is not None:
            messages, promises = self.still_wanted(messages, promises)
        if not self.hands:
            return <int>got
        self.batches += 1
        self.runner.current = self
        given = tuple(messages)  # whatever the handler does with its list
        try:
            result = self.handle_batch(messages)
        except BaseException as error:
            self.runner.current = self.work_promises = None
            self.failure(given, promises if promises is not None else _NOBODY, error)
            return <int>got
        self.runner.current = self.work_promises = None
        self.finish(given, promises if promises is not None else _NOBODY, result)
        return <int>got

    cdef object still_wanted(self, list messages, list promises):
        """Of a batch, those whose answers are still waited for."""
        cdef Promise promise
        wanted = []
        waits = []
        for message, promise in zip(messages, promises):
            if promise is not None:
                if promise.expired():
                    self.bury_late(message, promise)
                    continue
                if not self.hands:
                    promise.fail(ActorStopped(f"actor {self.name!r} did not answer: it has stopped"))
                    continue
                promise.running = True
            wanted.append(message)
            waits.append(promise)
        self.work_promises = waits if self.hands else None
        return wanted, waits

    cdef int bury_late(self, object message, Promise promise) except -1:
        """A message in these hands is not handled any more; unless it has been taken from them."""
        if self.hands:
            self.hands -= 1
            self.bury(message, promise, "nobody waits for its answer any more")
        return 0

    cdef int finish(self, object messages, object promises, object result) except -1:
        """What a handler gave: an answer, answers to a batch, or something to be awaited."""
        if sophia_is_awaitable(result) and not (type(result) is Delivery and (<Delivery>result).decided()):
            return self.give_work(result, messages, promises)
        if not isinstance(promises, (list, tuple)):
            self.settle_hands()
            if promises is not None:
                (<Promise>promises).keep(result)
            return 0
        if type(result) is Delivery:    # of what was sent on, which is no answer
            result = None
        elif isinstance(result, (list, tuple)):
            sent = [one for one in result if type(one) is Delivery and not (<Delivery>one).decided()]
            if sent:
                return self.give_work(_sent_on(sent, result), messages, promises)
        if result is not None and (not isinstance(result, (list, tuple)) or len(result) != len(messages)):
            error = TypeError(
                f"handle_batch of actor {self.name!r} gave a {type(result).__name__} for {len(messages)} messages; "
                "give None, or a list with an answer, or an exception, for each"
            )
            return self.failure(messages, promises, error)
        cdef bint counts = self.hands > 0
        self.settle_hands()
        wrong = None
        for i in range(len(messages)):
            answer = None if result is None else result[i]
            promise = promises[i] if promises else None
            try:
                if isinstance(answer, BaseException):
                    self.failed += counts
                    if promise is not None:
                        (<Promise>promise).fail(_as_told(self, answer))
                    self.held = bool(self.on_failure(answer, messages[i], promise is not None)) or self.held
                elif promise is not None:
                    (<Promise>promise).keep(answer)
            except BaseException as fault:  # the others are told nevertheless
                wrong = wrong or fault
        if wrong is not None:
            raise wrong
        return 0

    cdef int failure(self, object messages, object promises, BaseException error) except -1:
        """A handler raised: whoever asked is told, and the supervisor says how it goes on."""
        cdef bint asked = promises is not None
        if isinstance(promises, (list, tuple)):
            asked = any([promise is not None for promise in promises])
        self.failed += self.hands
        self.settle_hands()
        wrong = None
        try:
            _fail_all(promises, _as_told(self, error))
        except BaseException as fault:  # the supervisor is told nevertheless
            wrong = fault
        if isinstance(error, KeyboardInterrupt) and self.runner is self.home:  # in a thread it is none of the user's
            self.more = True
            raise error
        self.held = bool(self.on_failure(error, messages, asked)) or self.held
        if wrong is not None:
            raise wrong
        return 0

    cdef int give_work(self, object work, object messages, object promises) except -1:
        """A handler is to be awaited: the actor's one task does that, and goes on with the next messages."""
        self.work = work
        self.work_messages = messages
        self.work_promises = promises
        if self.spawn_driver is None:
            if type(work) is Delivery or type(work) is _SentOn:  # in a thread of its own it may wait for room
                self.work = self.work_messages = self.work_promises = None
                try:
                    work.wait()
                except BaseException as error:
                    return self.failure(messages, promises, error)
                return self.finish(messages, promises, work.result if type(work) is _SentOn else work)
            self.drop_work()
            return self.failure(
                messages, promises,
                TypeError(f"actor {self.name!r} has a thread of its own, so its handlers cannot be awaited; make them "
                          "plain functions, or spawn it without blocking=True"),
            )
        try:
            if self.driver is None or self.driver.done():
                self.driver = self.spawn_driver(self)
            elif self.parked is not None and not self.parked.done():
                self.parked.set_result(None)
        except BaseException:  # an interrupt came, and that task may never hear of it: the next message has a new one
            task, self.driver = self.driver, None
            self.drop_unbegun()
            if task is not None and not task.done():
                task._log_destroy_pending = False
                task.get_coro().close()
            raise
        return 0

    def dismiss(self) -> None:
        """The task that awaits handlers is not needed any more."""
        if self.driver is not None:
            self.driver.cancel()

    def driver_ended(self, task: object) -> None:
        """The task was cancelled before its first step, so that nothing of `drive` was run; or it has ended."""
        if not task.cancelled() and (not task._log_destroy_pending or isinstance(task.exception(), KeyboardInterrupt)):
            task.exception()  # an interrupt, which the user has seen, or the end of a task that was left
        if self.driver is not task:
            return
        self.driver = None
        if self.work is not None:
            self.aborting = self.awaited = False
            self.drop_unbegun()
            if not self.held:
                self.again()

    async def drive(self) -> None:
        """Awaits what handlers give, one after the other, and takes the next messages itself: one task for an actor and
        not one for each message. Cancelled from outside it ends, and the next message has a new one."""
        cdef int taken = 0
        cdef bint aborted, begun, leaves, ours = True
        cdef Span span
        messages = promises = result = error = None
        task = asyncio.current_task()
        try:
            while self.driver is task:
                if self.work is None:
                    taken = 0
                    self.parked = self.home.loop_future()
                    ours = False
                    await self.parked
                    ours = True
                    continue
                messages, promises = self.work_messages, self.work_promises
                span = enter(self, task)
                try:
                    if not self.aborting:
                        self.awaited = True
                        result = await _awaitable(self.work)
                except BaseException as caught:
                    error = caught
                span.leave()
                aborted, self.aborting = self.aborting, False
                begun, self.awaited = self.awaited, False
                if not begun:
                    self.drop_unbegun()
                elif aborted:
                    task.uncancel()
                leaves = task.cancelling() > 0
                self.work = self.work_messages = self.work_promises = None
                if not begun:
                    pass
                elif isinstance(error, asyncio.CancelledError) and (aborted or leaves):
                    self._broken_off(promises)
                else:
                    try:
                        if error is None:
                            self.finish(messages, promises, result)
                        else:
                            self.failure(messages, promises, error)
                    except BaseException as fault:
                        if isinstance(fault, KeyboardInterrupt):
                            self.interrupted(fault)
                            raise
                        self.collapse(fault)
                messages = promises = result = error = None
                if leaves:
                    raise asyncio.CancelledError
                if self.work is None:
                    taken += 1
                    taken += self.run(BATCH - taken if taken < BATCH else 1)
                    if self.more and self.work is None:
                        self.again()  # the others come first
                if taken >= BATCH and self.work is not None:
                    taken = 0
                    await asyncio.sleep(0)
        finally:
            messages = promises = result = error = None
            if self.driver is task:  # else another has taken its place
                self.driver = None
                if self.work is not None:
                    ours = True
                    self.aborting = self.awaited = False
                    self.drop_unbegun()
                if ours and not self.held:
                    self.again()

    cdef int drop_unbegun(self) except -1:
        """A handler is broken off before it has begun: its messages are dead letters."""
        messages, promises, begun = self.work_messages, self.work_promises, not asyncio.iscoroutine(self.work)
        self.drop_work()
        if begun:  # a plain handler did its part, and gave something to be awaited
            return self._broken_off(promises)
        if not isinstance(promises, (list, tuple)):
            messages, promises = (messages,), (promises,)
        for i, message in enumerate(messages):
            if self.hands:
                self.hands -= 1
            self.bury(message, promises[i] if promises else None, "broken off before its handler began")
        return 0

    cdef int drop_work(self) except -1:
        """What was to be awaited is not."""
        work, self.work = self.work, None
        self.work_messages = self.work_promises = None
        try:
            if isinstance(work, asyncio.Future):
                work.cancel()
            elif hasattr(work, "close"):
                work.close()
        except BaseException:
            try:
                _log.exception("what a handler of actor %r gave to be awaited cannot be closed", self.name)
            except BaseException as error:  # the log's own
                if isinstance(error, (KeyboardInterrupt, SystemExit)):
                    raise
        return 0

    cdef int _broken_off(self, object promises) except -1:
        """The time of the one who asked was up, or the actor is stopped: no fault of the handler's."""
        self.settle_hands()
        if not isinstance(promises, Promise) or not (<Promise>promises).settled:
            _fail_all(promises, ActorStopped(f"actor {self.name!r} stopped before it had answered"))
        return 0

    cdef void settle_hands(self) noexcept:
        self.handled += self.hands
        self.hands = 0


cdef class _Begun:
    """An awaitable whose `__await__` was called already: what that raises is what the handler fails with."""

    cdef object steps

    def __await__(self):
        return self.steps


@cython.final
cdef class _SentOn:
    """What a handler gave for a batch, some of it deliveries that wait for room: they are waited for, in order."""

    cdef list deliveries
    cdef readonly object result

    def __await__(self):
        for delivery in self.deliveries:
            yield from delivery.__await__()
        return self.result

    def wait(self):
        for delivery in self.deliveries:
            (<Delivery>delivery).wait()


cdef _SentOn _sent_on(list deliveries, object result):
    cdef _SentOn sent = _SentOn.__new__(_SentOn)
    sent.deliveries = deliveries
    sent.result = result
    return sent


cdef object _awaitable(object work):
    if asyncio.iscoroutine(work) or isinstance(work, asyncio.Future):
        return work
    cdef _Begun begun = _Begun.__new__(_Begun)
    begun.steps = work.__await__()
    return begun


cdef int _fail_all(object promises, BaseException error) except -1:
    """Of one message or of a batch: all are told; then what went wrong with that is raised."""
    if promises is None:
        return 0
    wrong = None
    for promise in promises if isinstance(promises, (list, tuple)) else (promises,):
        try:
            if promise is not None:
                (<Promise>promise).fail(error)
        except BaseException as fault:
            wrong = wrong or fault
    if wrong is not None:
        raise wrong
    return 0


cdef str _text(BaseException error):
    try:
        return f"{type(error).__name__}({error})"
    except BaseException:  # an error need not have words
        return type(error).__name__


cdef object _as_told(Mailbox mailbox, BaseException error):
    """What others may be thrown: no exit of the process, and no StopIteration, which no future holds."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    told = ActorStopped(f"actor {mailbox.name!r} did not answer: {_text(error)}")
    told.__cause__ = error
    return told

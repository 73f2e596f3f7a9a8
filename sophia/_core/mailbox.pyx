# Over 600 lines: one queue, what is told to its senders, and what runs what is in it share its counters.
"""Mailboxes: what waits for an actor, in bounded rings by priority, and what is told to whoever sends.

A message is a reference in a slot of 32 bytes that was there before: to send one allocates nothing. Sent, handled,
dead and refused are counted where each happens, so that they add up after any fault:
``sent == handled + dead + refused + what still waits``.

Any thread may send. What is in a mailbox is taken by one thread at a time, the one in whose hands it is (`scheduled`);
that thread calls the handler. All of it runs under the interpreter's lock, as handlers are Python; the rings, the gate
and the scheduled word do not rely on it, but for the shorter way of `put` where there is such a lock.
"""

import asyncio
import os
from collections import deque
from contextvars import ContextVar
from time import monotonic

from cpython.contextvars cimport PyContextVar_Set
from cpython.pythread cimport PyThread_get_thread_ident
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport isfinite

from sophia._core.wheel cimport Timer, TimerWheel

from sophia.errors import ActorStopped, AskTimeout, DeadlockError, MailboxFull, PoolForked


cdef extern from "ring.h" nogil:
    size_t sophia_ring_push_many(sophia_ring *ring, const sophia_message *messages, size_t n) noexcept
    size_t SOPHIA_RING_MOST

cdef extern from *:
    """
    static inline int sophia_is_awaitable(PyObject *value)
    {
        const PyAsyncMethods *methods = Py_TYPE(value)->tp_as_async;
        return methods && methods->am_await;
    }
    """
    bint sophia_is_awaitable(object value) noexcept

# All senders here have the interpreter's lock. Where there is one, nobody shuts the gate or rests while a sender is
# between two of its steps, so that looks do what locked instructions do elsewhere, for a quarter less time of a tell.
cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define sophia_sender_enters(gate) sophia_gate_enter(gate)
    #define sophia_sender_leaves(gate) sophia_gate_leave(gate)
    #define sophia_sender_schedules(word) sophia_schedule(word)
    #else
    #define sophia_sender_enters(gate) (!sophia_gate_is_shut(gate))
    #define sophia_sender_leaves(gate) ((void)0)
    #define sophia_sender_schedules(word) (!sophia_is_scheduled(word) && sophia_schedule(word))
    #endif
    """
    bint sophia_sender_enters(sophia_gate *gate) noexcept
    void sophia_sender_leaves(sophia_gate *gate) noexcept
    bint sophia_sender_schedules(sophia_scheduled *word) noexcept


PRIORITIES = ("control", "critical", "high", "medium", "background")
OVERFLOWS = ("wait", "fail", "drop_new", "drop_old", "dead_letter")

cdef enum:
    WAIT
    FAIL
    DROP_NEW
    DROP_OLD
    DEAD_LETTER

# A message is taken after so many more urgent ones, at the latest.
cdef enum:
    PATIENCE = 64

# Senders that wait for room in one mailbox.
cdef Py_ssize_t MOST_WAITING = 1 << 16

cdef dict _LEVELS = {name: level for level, name in enumerate(PRIORITIES)}
cdef object _RUNNING = ContextVar("sophia_running_actor", default=None)
cdef int _forks = 0     # of this process since the first of its kind


def _count_fork():
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


cdef int level_of(object priority) except -1:
    try:
        return <int>_LEVELS[priority]
    except (KeyError, TypeError):
        raise ValueError(f"priority is {priority!r}; choose one of {', '.join(PRIORITIES)}") from None


cdef class Span:
    """From here to `leave`, this context is an actor's; tasks that it starts may outlive that."""

    def leave(self) -> None:
        """It is no longer."""
        self.over = True


cdef Span enter(Mailbox mailbox):
    cdef Span span = Span.__new__(Span)
    span.mailbox = mailbox
    PyContextVar_Set(_RUNNING, span)
    return span


cdef Mailbox running_actor(Runner home):
    """The actor in whose handler this code runs, or None."""
    if home is not None and home.current is not None and PyThread_get_thread_ident() == home.thread:
        return home.current
    cdef Span span = <Span>_RUNNING.get()
    return None if span is None or span.over else span.mailbox


cdef int _refuse_forked() except -1:
    raise PoolForked(
        "this actor was started before a fork, and its threads are not in this process; start one in the child"
    )


cdef class Runner:
    """What runs mailboxes. Not made directly."""

    cdef int ready(self, Mailbox mailbox, int level) except -1:
        raise NotImplementedError

    cdef int post(self, Promise promise) except -1:
        raise NotImplementedError

    cdef object loop_future(self):
        raise NotImplementedError


cdef class Promise(Timer):
    """One value or error for one who waits. Kept once; what comes later is counted and dropped."""

    def __cinit__(self):
        sophia_park_open(&self.park)

    def __dealloc__(self):
        sophia_park_close(&self.park)

    cdef bint over(self) except -1:
        """Nobody waits any more."""
        return self.settled or (self.future is not None and <bint>self.future.done())

    cdef int keep(self, object value) except -1:
        return self._end(value, None)

    cdef int fail(self, object error) except -1:
        return self._end(None, error)

    cdef int _end(self, object value, object error) except -1:
        if self.settled:
            if self.mailbox is not None:
                self.mailbox.late += 1
            return 0
        self.settled = True
        self.value = value
        self.error = error
        if self.asker is not None:
            self.asker.asked.discard(self)
        if self.home is None:
            sophia_park_notify(&self.park, 1)
        elif self.home.thread == PyThread_get_thread_ident():
            self.settle()
        else:
            self.home.post(self)
        return 0

    cdef int settle(self) except -1:
        """On the loop's thread: tells the coroutine; of a thread's question whose time is up, the handler."""
        if self.future is None:
            self.mailbox.abort(self)
            return 0
        if self.wheel is not None:
            self.wheel.clear(self)
        value, error = self.value, self.error
        self.value = self.error = None
        if self.future.done():
            if self.mailbox is not None:
                self.mailbox.late += 1
        elif error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)
        return 0

    cdef int fire(self) except -1:
        if self.settled:
            return 0
        name = self.mailbox.name
        where = "was still handling the message" if self.running else "had not come to the message"
        self.fail(AskTimeout(f"actor {name!r} did not answer within {self.timeout:g} s: it {where}"))
        if self.running and self.home is not None:
            self.mailbox.abort(self)
        elif self.running:
            self.mailbox.home.post(self)
        return 0

    cdef object wait(self, double seconds):
        """In a thread: True once it is kept. The rest of the time may be negative: for as long as it takes."""
        cdef uint32_t epoch
        cdef object end = None if seconds < 0 else monotonic() + seconds
        cdef double left = -1.0
        while not self.settled:
            if end is not None:
                left = end - monotonic()
                if left <= 0:
                    return False
            # short sleeps: a signal's handler runs between two of them
            epoch = sophia_park_prepare(&self.park)
            if self.settled:
                sophia_park_cancel(&self.park)
                break
            with nogil:
                sophia_park_wait(&self.park, epoch, <int64_t>(1e9 * (left if 0.0 <= left < 0.5 else 0.5)))
        return True


cdef class Mailbox:
    """The messages of one actor, and their counters. Made by an orchestrator; senders have an :class:`Address`.

    `capacity` messages of each priority may wait, a power of two. `overflow` is what happens to one more: "wait" (the
    sender may await room), "fail" (MailboxFull), "drop_new", "drop_old" (the oldest of its priority becomes a dead
    letter) or "dead_letter". `types` are the classes of messages that are taken, None for any.
    """

    def __cinit__(self):
        self.gate = 0
        self.scheduled = 1      # in the hands of whoever starts the actor
        self.held = True
        self.ready_level = NOT_READY
        self.forks = _forks

    def __init__(
        self,
        name: str,
        runner: Runner,
        home: Runner,
        wheel: TimerWheel,
        *,
        priority: str = "medium",
        capacity: int = 1024,
        overflow: str = "wait",
        types: object = None,
        on_failure: object,
        on_dead: object,
        on_rest: object,
        spawn_driver: object,
    ):
        if overflow not in OVERFLOWS:
            raise ValueError(f"overflow is {overflow!r}; choose one of {', '.join(OVERFLOWS)}")
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity is {capacity!r}; it is a whole number, a power of two")
        if not 2 <= capacity <= <Py_ssize_t>SOPHIA_RING_MOST or capacity & (capacity - 1):
            raise ValueError(f"capacity is {capacity}; use a power of two from 2 to {<Py_ssize_t>SOPHIA_RING_MOST}")
        self.name = name
        self.runner = runner
        self.home = home
        self.wheel = wheel
        self.level = level_of(priority)
        self.capacity = capacity
        self.overflow = OVERFLOWS.index(overflow)
        self.types = None if types is None else tuple(types)
        self.accepted = None if types is None else {}
        self.on_failure = on_failure
        self.on_dead = on_dead
        self.on_rest = on_rest
        self.spawn_driver = spawn_driver
        self.waiting = [None] * LEVELS
        self.asked = set()

    def __dealloc__(self):
        cdef sophia_message slot
        cdef int level
        for level in range(LEVELS):
            if self.opened[level]:
                while sophia_ring_pop(&self.rings[level], &slot):
                    Py_DECREF(<object><void *>slot.words[0])
                    if slot.words[1]:
                        Py_DECREF(<object><void *>slot.words[1])
                sophia_ring_close(&self.rings[level])

    def __len__(self) -> int:
        return self.count()

    @property
    def overflow(self) -> str:
        """What happens to a message for which there is no room."""
        return OVERFLOWS[self.overflow]

    @property
    def capacity(self) -> int:
        """Messages of one priority that may wait."""
        return self.capacity

    @property
    def shut(self) -> bool:
        """Whether it takes no more messages."""
        return sophia_gate_is_shut(&self.gate)

    @property
    def busy(self) -> bool:
        """Whether a handler of the actor runs or is awaited."""
        return self.work is not None or (self.runner is not None and self.runner.current is self)

    @property
    def inside(self) -> bool:
        """Whether this code runs in a handler of the actor."""
        return running_actor(self.home) is self

    def offer(self, message: object, priority: object = None) -> str:
        """Sends a message if there is room now; what became of it. "full" counts as refused."""
        cdef int level = self.level if priority is None else level_of(priority)
        cdef Delivery delivery
        if self.accepted is not None and not self._takes(type(message)):
            return "refused"
        try:
            delivery = <Delivery>self.put(message, None, level)
        except MailboxFull:
            return "full"
        return "full" if delivery.outcome == "waiting" else delivery.outcome

    def serve(self, handle: object, handle_batch: object = None) -> None:
        """Whose handlers take the messages from now on."""
        self.handle = handle
        self.handle_batch = handle_batch

    def release(self) -> None:
        """Ends the hold of whoever starts, restarts or stops the actor: its messages are handled."""
        if self.forks != _forks:
            _refuse_forked()
        self.held = False
        if not self.cut:
            self.admit()  # who waits for room may be all that there is
        if self.stopping or self.pausing or self.count() or self.idle():
            self.again()

    cdef int again(self) except -1:
        """It is in these hands, and to be run."""
        cdef int level = self.top()
        return self.runner.ready(self, level if level >= 0 else self.level)

    def enter(self) -> Span:
        """What this context does now, it does for the actor."""
        return enter(self)

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

    def empty_out(self, reason: str) -> int:
        """Makes dead letters of what waits, after the gate was shut and the mailbox is held; how many."""
        cdef sophia_message slot
        cdef int level, n = 0
        cdef Promise promise
        cdef Delivery delivery
        for level in range(LEVELS):
            while self.opened[level] and sophia_ring_pop(&self.rings[level], &slot):
                message = <object><void *>slot.words[0]
                Py_DECREF(message)
                promise = None
                if slot.words[1]:
                    promise = <Promise><void *>slot.words[1]
                    Py_DECREF(promise)
                self.bury(message, promise, reason)
                n += 1
            queue = self.waiting[level]
            while queue:
                delivery = <Delivery>queue.popleft()
                n += delivery.give_up(reason)
        return n

    def abort(self, promise: object) -> None:
        """Breaks off the handler that is awaited; with a promise, only where it is that one's."""
        if self.work is None or self.aborting:
            return
        if promise is not None and self.work_promises is not promise:
            return
        self.aborting = True
        if self.awaited:
            self.driver.cancel()

    def disown(self, error: BaseException) -> None:
        """Whatever is still in the hands of a handler counts as failed, and who asked is told."""
        if self.work is not None and not self.awaited:
            self.drop_unbegun()
        promises, self.work_promises = self.work_promises, None
        self.failed += self.hands
        self.settle_hands()
        if isinstance(promises, Promise):
            (<Promise>promises).fail(error)
        elif promises is not None:
            for promise in promises:
                if promise is not None:
                    (<Promise>promise).fail(error)

    def counts(self) -> dict:
        """All counters, and how many messages wait, for a handler or for room, and are in a handler's hands."""
        cdef Delivery delivery
        cdef Py_ssize_t lined = 0
        for queue in self.waiting:
            if queue:
                for delivery in queue:
                    lined += delivery.left()
        return {
            "sent": self.sent, "handled": self.handled, "failed": self.failed, "dead": self.dead,
            "refused": self.refused, "late": self.late, "wakeups": self.wakeups, "turns": self.turns,
            "batches": self.batches, "peak": self.peak, "running": self.hands,
            "waiting": self.count() + lined,
        }

    # The side of the senders

    cdef object put(self, object message, Promise promise, int level):
        if self.forks != _forks:
            _refuse_forked()
        if self.accepted is not None and not self._takes(type(message)):
            names = ", ".join(one.__name__ for one in self.types)
            raise TypeError(f"actor {self.name!r} takes {names}, and no {type(message).__name__} ({message!r:.80})")
        if not sophia_sender_enters(&self.gate):
            self.sent += 1
            self.bury(message, promise, "stopped")
            return _STOPPED
        if not self.opened[level] and not self.open(level):
            sophia_sender_leaves(&self.gate)
            raise MemoryError(f"no memory for a ring of {self.capacity} messages")
        cdef bint there = not self.waiting[level] and self.push(message, promise, level)
        sophia_sender_leaves(&self.gate)
        if not there:
            return self.overflowed(message, promise, level)
        self.sent += 1
        if sophia_sender_schedules(&self.scheduled):
            self.woken(level)
        elif level < self.ready_level and self.ready_level != NOT_READY:
            self.runner.ready(self, level)
        return _ACCEPTED

    cdef int woken(self, int level) except -1:
        self.wakeups += 1
        return self.runner.ready(self, level)

    cdef bint _takes(self, type kind) except -1:
        known = self.accepted.get(kind)
        if known is None:
            known = self.accepted[kind] = issubclass(kind, self.types)
        return known

    cdef bint open(self, int level) noexcept:
        self.opened[level] = sophia_ring_open(&self.rings[level], self.capacity)
        return self.opened[level]

    cdef bint push(self, object message, Promise promise, int level) noexcept:
        cdef sophia_message slot
        slot.words[0] = <uint64_t><void *>message
        slot.words[1] = 0 if promise is None else <uint64_t><void *>promise
        slot.words[2] = 0
        if not sophia_ring_push(&self.rings[level], &slot):
            return False
        Py_INCREF(message)
        if promise is not None:
            Py_INCREF(promise)
        return True

    cdef object overflowed(self, object message, Promise promise, int level):
        """What becomes of a message for which there is no room."""
        cdef sophia_message slot
        cdef Promise other
        cdef bint there, gone
        self.sent += 1
        if self.overflow == WAIT:
            self.refused += 1  # as long as nobody waits
            if promise is not None:
                return self._wait_for_room(message, promise, level)
            return _delivery(self, "waiting", message, False, level)
        if self.overflow == DROP_OLD:
            there = False
            while not there:
                if not sophia_gate_enter(&self.gate):
                    self.bury(message, promise, "stopped")
                    return _STOPPED
                there = self.push(message, promise, level)
                gone = not there and sophia_ring_pop(&self.rings[level], &slot)
                sophia_gate_leave(&self.gate)
                if gone:  # outside of the gate: who hears of it may shut that
                    oldest = <object><void *>slot.words[0]
                    Py_DECREF(oldest)
                    other = None
                    if slot.words[1]:
                        other = <Promise><void *>slot.words[1]
                        Py_DECREF(other)
                    self.bury(oldest, other, "dropped for a newer one")
            if sophia_schedule(&self.scheduled):
                self.woken(level)
            return _ACCEPTED
        if self.overflow == DEAD_LETTER:
            self.bury(message, promise, "no room")
            return _DEAD
        self.refused += 1
        full = MailboxFull(f"the mailbox of actor {self.name!r} is full: {self.capacity} of that priority wait")
        if promise is not None:
            promise.fail(full)
        elif self.overflow == FAIL:
            raise full
        return _DROPPED

    cdef object _wait_for_room(self, object message, Promise promise, int level):
        """A question waits for room as long as its asker waits for the answer."""
        cdef Delivery delivery = _delivery(self, "waiting", message, False, level)
        delivery.answer = promise
        try:
            delivery.begin(None)
        except MailboxFull as error:
            delivery.begun = True
            promise.fail(error)
        return delivery

    cdef int bury(self, object message, Promise promise, str reason) except -1:
        self.dead += 1
        if promise is not None:
            if not promise.over():
                promise.fail(ActorStopped(f"actor {self.name!r} did not handle the message: {reason}"))
            elif promise.asker is not None:
                promise.asker.asked.discard(promise)
        self.on_dead(message, reason)
        return 0

    # The side of the actor: what follows is called by the thread in whose hands it is

    cdef size_t count(self) noexcept:
        cdef size_t n = 0
        cdef int level
        for level in range(LEVELS):
            if self.opened[level]:
                n += sophia_ring_count(&self.rings[level])
        return n

    cdef int top(self) noexcept:
        """The most urgent level that has messages; -1 where none has."""
        cdef int level
        for level in range(LEVELS):
            if self.opened[level] and sophia_ring_count(&self.rings[level]):
                return level
        return -1

    cdef int next_level(self) noexcept:
        """The level of the next message: the most urgent, but for one that was passed over too often; -1: none."""
        cdef int level, top = -1
        for level in range(LEVELS):
            if not self.opened[level] or not sophia_ring_count(&self.rings[level]):
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
        cdef int level = -1, done = 0, some, lower
        cdef size_t n
        self.turns += 1
        self.more = False
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
                n = sophia_ring_count(&self.rings[level])
                if n > <size_t>(budget - done):
                    n = <size_t>(budget - done)
                for lower in range(level + 1, LEVELS if level else 0):
                    if self.opened[lower] and sophia_ring_count(&self.rings[lower]):
                        n = min(n, <size_t>(PATIENCE - self.passed[lower]))
            some = self.take_batch(level, n) if n > 1 else self.take_one(level)
            done += some
            self.passed[level] = 0
            for lower in range(level + 1, LEVELS):
                if self.opened[lower] and sophia_ring_count(&self.rings[lower]):
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

    cdef bint idle(self) except -1:
        """Lets the mailbox out of these hands; True where something came meanwhile, and it is in them again."""
        sophia_rest(&self.scheduled)
        return (self.count() or self.stopping or self.pausing) and sophia_schedule(&self.scheduled)

    cdef int admit(self) except -1:
        """Gives room to the senders that wait for it."""
        cdef int level
        cdef Delivery delivery
        for level in range(LEVELS):
            queue = self.waiting[level]
            while queue:
                delivery = <Delivery>queue[0]
                if not delivery.move():
                    break
                queue.popleft()
        return 0

    cdef int take_one(self, int level) except -1:
        cdef sophia_message slot
        cdef Promise promise = None
        if not sophia_ring_pop(&self.rings[level], &slot):
            return 0
        message = <object><void *>slot.words[0]
        Py_DECREF(message)
        if slot.words[1]:
            promise = <Promise><void *>slot.words[1]
            Py_DECREF(promise)
            if promise.over():
                self.bury(message, promise, "nobody waits for its answer any more")
                return 1
            promise.running = True
            self.work_promises = promise
        self.hands = 1
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
        cdef size_t got = sophia_ring_pop_many(&self.rings[level], slots, n if n < BATCH else BATCH)
        cdef size_t i
        cdef Promise promise
        messages = []
        promises = None
        for i in range(got):
            message = <object><void *>slots[i].words[0]
            Py_DECREF(message)
            promise = None
            if slots[i].words[1]:
                promise = <Promise><void *>slots[i].words[1]
                Py_DECREF(promise)
                if promise.over():
                    self.bury(message, promise, "nobody waits for its answer any more")
                    continue
                promise.running = True
                if promises is None:
                    promises = [None] * len(messages)
            messages.append(message)
            if promises is not None:
                promises.append(promise)
        if not messages:
            return <int>got
        self.batches += 1
        self.hands = len(messages)
        self.work_promises = promises
        self.runner.current = self
        try:
            result = self.handle_batch(messages)
        except BaseException as error:
            self.runner.current = self.work_promises = None
            self.failure(messages, promises if promises is not None else _NOBODY, error)
            return <int>got
        self.runner.current = self.work_promises = None
        self.finish(messages, promises if promises is not None else _NOBODY, result)
        return <int>got

    cdef int finish(self, object messages, object promises, object result) except -1:
        """What a handler gave: an answer, answers to a batch, or something to be awaited."""
        if sophia_is_awaitable(result) and not (type(result) is Delivery and (<Delivery>result).decided()):
            return self.give_work(result, messages, promises)
        if not isinstance(promises, (list, tuple)):
            self.settle_hands()
            if promises is not None:
                (<Promise>promises).keep(result)
            return 0
        if result is not None and (not isinstance(result, (list, tuple)) or len(result) != len(messages)):
            error = TypeError(
                f"handle_batch of actor {self.name!r} gave {result!r:.80} for {len(messages)} messages; give None, or "
                "a list with an answer, or an exception, for each"
            )
            return self.failure(messages, promises, error)
        cdef bint counts = self.hands > 0
        self.settle_hands()
        for i in range(len(messages)):
            answer = None if result is None else result[i]
            promise = promises[i] if promises else None
            if isinstance(answer, BaseException):
                self.failed += counts
                if promise is not None:
                    (<Promise>promise).fail(_as_told(self, answer))
                if not self.held:
                    self.held = bool(self.on_failure(answer, messages[i], promise is not None))
            elif promise is not None:
                (<Promise>promise).keep(answer)
        return 0

    cdef int failure(self, object messages, object promises, BaseException error) except -1:
        """A handler raised: whoever asked is told, and the supervisor says how it goes on."""
        cdef bint asked = False
        cdef bint many = isinstance(promises, (list, tuple))
        told = _as_told(self, error)
        self.failed += self.hands
        self.settle_hands()
        if many:
            for promise in promises:
                if promise is not None:
                    asked = True
                    (<Promise>promise).fail(told)
        elif promises is not None:
            asked = True
            (<Promise>promises).fail(told)
        if isinstance(error, KeyboardInterrupt) and self.runner is self.home:  # in a thread it is none of the user's
            self.more = True
            raise error
        self.held = bool(self.on_failure(error, messages, asked)) or self.held
        return 0

    cdef int give_work(self, object work, object messages, object promises) except -1:
        """A handler is to be awaited: the actor's one task does that, and goes on with the next messages."""
        self.work = work
        self.work_messages = messages
        self.work_promises = promises
        if self.spawn_driver is None:
            if type(work) is Delivery:  # in a thread of its own it may wait for room
                self.work = self.work_messages = self.work_promises = None
                (<Delivery>work).wait()
                return self.finish(messages, promises, work)
            self.drop_work()
            return self.failure(
                messages, promises,
                TypeError(f"actor {self.name!r} has a thread of its own, so its handlers cannot be awaited; make them "
                          "plain functions, or spawn it without blocking=True"),
            )
        if self.driver is None:
            self.driver = self.spawn_driver(self)
        elif self.parked is not None and not self.parked.done():
            self.parked.set_result(None)
        return 0

    async def drive(self) -> None:
        """Awaits what handlers give, one after the other, and takes the next messages itself: one task for an actor and
        not one for each message. Cancelled from outside it ends, and the next message has a new one."""
        cdef int taken = 0
        cdef bint aborted, begun, leaves, ours = True
        cdef Span span
        messages = promises = result = error = None
        task = asyncio.current_task()
        try:
            while True:
                if self.work is None:
                    taken = 0
                    self.parked = self.home.loop_future()
                    ours = False
                    await self.parked
                    ours = True
                    continue
                messages, promises = self.work_messages, self.work_promises
                span = enter(self)
                try:
                    if not self.aborting:
                        self.awaited = True
                        result = await self.work
                except BaseException as caught:
                    error = caught
                span.over = True
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
                elif error is None:
                    self.finish(messages, promises, result)
                else:
                    self.failure(messages, promises, error)
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
            self.driver = None
            if self.work is not None:
                ours = True
                self.aborting = self.awaited = False
                self.drop_unbegun()
            if ours and not self.held:
                self.again()

    cdef int drop_unbegun(self) except -1:
        """A handler is broken off before it has begun: its messages are dead letters."""
        messages, promises = self.work_messages, self.work_promises
        self.drop_work()
        self.hands = 0
        if not isinstance(promises, (list, tuple)):
            messages, promises = (messages,), (promises,)
        for i, message in enumerate(messages):
            self.bury(message, promises[i] if promises else None, "broken off before its handler began")
        return 0

    cdef int drop_work(self) except -1:
        """What was to be awaited is not."""
        work, self.work = self.work, None
        self.work_messages = self.work_promises = None
        if isinstance(work, asyncio.Future):
            work.cancel()
        elif hasattr(work, "close"):
            work.close()
        return 0

    cdef int _broken_off(self, object promises) except -1:
        """The time of the one who asked was up, or the actor is stopped: no fault of the handler's."""
        self.settle_hands()
        error = ActorStopped(f"actor {self.name!r} stopped before it had answered")
        if isinstance(promises, (list, tuple)):
            for promise in promises:
                if promise is not None:
                    (<Promise>promise).fail(error)
        elif promises is not None and not (<Promise>promises).settled:
            (<Promise>promises).fail(error)
        return 0

    cdef void settle_hands(self) noexcept:
        self.handled += self.hands
        self.hands = 0


cdef object _as_told(Mailbox mailbox, BaseException error):
    """What others may be thrown: no exit of the process, and no StopIteration, which no future holds."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    told = ActorStopped(f"actor {mailbox.name!r} did not answer: {type(error).__name__}({error})")
    told.__cause__ = error
    return told


cdef tuple _NOBODY = ()


cdef Delivery _delivery(Mailbox mailbox, str outcome, object message, bint many, int level):
    cdef Delivery delivery = Delivery.__new__(Delivery)
    delivery.mailbox = mailbox
    delivery.outcome = outcome
    delivery.message = message
    delivery.many = many
    delivery.level = level
    delivery.errors = ()
    return delivery


cdef class Delivery:
    """What became of what was sent. True where all of it was taken.

    `outcome` is "accepted", "waiting" (for room; await it, or in a thread call `wait`), "dropped", "dead" (it is a dead
    letter) or "stopped" (the actor has ended; a dead letter too, but for what was first awaited then). `accepted` is
    how many messages were taken, `errors` has ``(index, error)`` for those of a batch that this actor does not take.

    It may always be awaited: that costs nothing where there was room. What waits for room and is never awaited is not
    sent; it counts as refused.
    """

    def __bool__(self) -> bool:
        return self.outcome == "accepted" and not self.errors

    def __await__(self):
        if self.decided():
            return _at_once(self) if self.promise is None or self.promise.future is None else self._wait_on()
        cdef Runner home = self.mailbox.home
        if home.thread != PyThread_get_thread_ident():
            raise RuntimeError("only a coroutine on the loop of the actors can await this; in a thread call wait()")
        self.begin(home)
        return self._wait_on()

    def _wait_on(self):
        yield from self.promise.future.__await__()
        return self

    def wait(self, timeout: float | None = None) -> bool:
        """In a thread: waits for room, at most so many seconds; False where there was none. The message is sent then
        or not at all. Not on the loop's thread, which would wait for itself."""
        if self.decided():
            return self.outcome == "accepted"
        cdef unsigned long thread = PyThread_get_thread_ident()
        if self.mailbox.runner.thread == thread or self.mailbox.home.thread == thread:
            raise DeadlockError("this thread makes the room that it would wait for; use await, or send from elsewhere")
        self.begin(None)
        if not self.promise.wait(-1.0 if timeout is None else timeout) and not self.promise.settled:
            _take_back(self.promise)  # what takes it out of the line counts it as refused
            self.outcome = "dropped"
        return self.outcome == "accepted"

    cdef int begin(self, Runner home) except -1:
        """Into the line of those who wait for room."""
        cdef Mailbox mailbox = self.mailbox
        cdef Promise promise
        queue = mailbox.waiting[self.level]
        if queue is None:
            queue = mailbox.waiting[self.level] = deque()
        if len(queue) >= MOST_WAITING:
            raise MailboxFull(f"{len(queue)} senders already wait for room in the mailbox of actor {mailbox.name!r}")
        promise = Promise.__new__(Promise)
        if self.answer is None:
            _bind(promise, mailbox)
        if home is not None:
            promise.home = home
            promise.future = home.loop_future()
        self.promise = promise
        self.begun = True
        if sophia_gate_is_shut(&mailbox.gate):  # refused, as was counted
            self.message = None
            self.outcome = "stopped"
            promise.keep(self)
            if self.answer is not None:
                self.answer.fail(ActorStopped(f"actor {mailbox.name!r} did not handle the message: stopped"))
            return 0
        mailbox.refused -= self.left()
        queue.append(self)
        # there may be room again, and nobody would look
        if sophia_schedule(&mailbox.scheduled):
            mailbox.woken(self.level)
        return 0

    cdef bint move(self) except -1:
        """Into the mailbox, as far as there is room; True where it need not wait any more."""
        cdef Mailbox mailbox = self.mailbox
        if self.over():
            self.refuse()
            return True
        if not self.many:
            if not mailbox.push(self.message, self.answer, self.level):
                return False
            self.accepted = 1
        else:
            while self.message:
                if not mailbox.push(self.message[0], None, self.level):
                    return False
                self.message.popleft()
                self.accepted += 1
        self.message = None
        self.outcome = "accepted"
        self.promise.keep(self)
        return True

    cdef bint decided(self) noexcept:
        """Whether there is nothing to wait for, or somebody does already."""
        return self.begun or self.outcome != "waiting"

    cdef bint over(self) except -1:
        return self.promise.over() or (self.answer is not None and self.answer.over())

    cdef Py_ssize_t left(self) except -1:
        """Messages that have found no room so far."""
        if self.message is None:
            return 0
        return len(self.message) if self.many else 1

    cdef int refuse(self) except -1:
        """Nobody waits for room any more."""
        self.mailbox.refused += self.left()
        self.message = None
        if self.promise.asker is not None:
            self.promise.asker.asked.discard(self.promise)
        return 0

    cdef Py_ssize_t give_up(self, str reason) except -1:
        """The actor has ended: dead letters; how many."""
        cdef Py_ssize_t n = 0
        if self.message is None:
            return 0
        if self.over():
            self.refuse()
            return 0
        messages, self.message = self.message if self.many else (self.message,), None
        for message in messages:
            self.mailbox.bury(message, self.answer, reason)
            n += 1
        self.outcome = "stopped"
        self.promise.keep(self)
        return n


def _at_once(delivery):
    yield from ()
    return delivery


cdef Delivery _ACCEPTED = _delivery(None, "accepted", None, False, 0)
_ACCEPTED.accepted = 1
cdef Delivery _DROPPED = _delivery(None, "dropped", None, False, 0)
cdef Delivery _DEAD = _delivery(None, "dead", None, False, 0)
cdef Delivery _STOPPED = _delivery(None, "stopped", None, False, 0)


cdef class Address:
    """Where messages for one actor are sent. Thread-safe, but for `ask`, which is for coroutines of their loop."""

    def __init__(self, mailbox: Mailbox):
        self.mailbox = mailbox

    def tell(self, message: object, priority: object = None) -> Delivery:
        """Sends a message and does not wait. About 0.1 us; nothing is allocated.

        `priority` is "critical", "high", "medium" or "background", or "control", which overtakes all; without one it
        is the actor's. Where the mailbox is full, its overflow policy says what happens: with "wait" the message is
        sent when the returned `Delivery` is awaited; with "fail" MailboxFull is raised. To an actor that has stopped
        it is a dead letter. TypeError for a message of a kind that the actor does not take.
        """
        return self.mailbox.put(message, None, self.mailbox.level if priority is None else level_of(priority))

    def ask(self, message: object, timeout: float = 5.0, priority: object = None) -> object:
        """A future of the answer: ``await ref.ask(message)``. About 4 us until it is there.

        `timeout` covers everything, in seconds: the wait for room, the work and the answer. AskTimeout when it is up:
        the message is not handled any more if it still waited, and a handler that is being awaited is cancelled. Raises
        what the handler raised; ActorStopped where the actor ended first; DeadlockError, at once, where the answer
        could only come after this very handler.
        """
        cdef Mailbox mailbox = self.mailbox
        cdef Runner home = mailbox.home
        cdef double seconds = timeout
        if not isfinite(seconds) or seconds <= 0.0:
            raise ValueError(f"timeout is {timeout!r}; give a positive number of seconds, as nothing waits for ever")
        if home.thread != PyThread_get_thread_ident():
            raise RuntimeError("ask() is for coroutines on the loop of the actors; in another thread use call()")
        cdef Promise promise = _question(mailbox, seconds)
        promise.home = home
        promise.future = home.loop_future()
        try:
            mailbox.put(message, promise, mailbox.level if priority is None else level_of(priority))
            if not promise.settled:
                promise.wheel = mailbox.wheel
                mailbox.wheel.set(promise, seconds)
        except BaseException:
            _take_back(promise)
            raise
        return promise.future

    def call(self, message: object, timeout: float = 5.0, priority: object = None) -> object:
        """The answer, in a thread other than the loop's: as `ask`, and waits. About 30 us."""
        cdef Mailbox mailbox = self.mailbox
        cdef double seconds = timeout
        if not isfinite(seconds) or seconds <= 0.0:
            raise ValueError(f"timeout is {timeout!r}; give a positive number of seconds, as nothing waits for ever")
        if mailbox.runner.thread == PyThread_get_thread_ident() or mailbox.home.thread == PyThread_get_thread_ident():
            raise DeadlockError(
                f"call() would stop the thread that actor {mailbox.name!r} needs; use ask() and await it"
            )
        cdef Promise promise = _question(mailbox, seconds)
        try:
            mailbox.put(message, promise, mailbox.level if priority is None else level_of(priority))
            if not promise.wait(seconds):
                promise.fire()
        finally:
            _take_back(promise)
        if promise.error is not None:
            raise promise.error
        return promise.value

    def send_batch(self, messages: object, priority: object = None) -> Delivery:
        """Sends many messages in order with one wake-up. A message of a kind that the actor does not take fails alone.

        As many as have room are taken at once, never more than the capacity. With the policy "wait" the rest is
        sent when the `Delivery` is awaited; with "fail" it is refused; `Delivery.accepted` says how many were taken.
        """
        cdef Mailbox mailbox = self.mailbox
        cdef int level = mailbox.level if priority is None else level_of(priority)
        cdef Py_ssize_t n = 0, i = 0
        cdef Delivery delivery
        if mailbox.forks != _forks:
            _refuse_forked()
        given = list(messages)
        errors = None
        if mailbox.accepted is not None:
            errors = []
            for i, message in enumerate(given):
                if not mailbox._takes(type(message)):
                    errors.append((i, TypeError(f"actor {mailbox.name!r} takes no {type(message).__name__}")))
            if errors:
                wrong = {i for i, _ in errors}
                given = [message for i, message in enumerate(given) if i not in wrong]
        if not sophia_gate_enter(&mailbox.gate):
            for message in given:
                mailbox.sent += 1
                mailbox.bury(message, None, "stopped")
            delivery = _delivery(mailbox, "stopped", None, True, level)
        else:
            if not mailbox.opened[level] and not mailbox.open(level):
                sophia_gate_leave(&mailbox.gate)
                raise MemoryError(f"no memory for a ring of {mailbox.capacity} messages")
            if not mailbox.waiting[level]:
                n = _push_all(mailbox, given, level)
            sophia_gate_leave(&mailbox.gate)
            mailbox.sent += n
            if n:
                if sophia_schedule(&mailbox.scheduled):
                    mailbox.woken(level)
                elif level < mailbox.ready_level and mailbox.ready_level != NOT_READY:
                    mailbox.runner.ready(mailbox, level)
            if n == len(given):
                delivery = _delivery(mailbox, "accepted", None, True, level)
            elif mailbox.overflow == WAIT:
                delivery = _delivery(mailbox, "waiting", deque(given[n:]), True, level)
                mailbox.sent += len(given) - n
                mailbox.refused += len(given) - n  # as long as nobody waits
            elif mailbox.overflow == DROP_OLD or mailbox.overflow == DEAD_LETTER:
                outcome = "accepted" if mailbox.overflow == DROP_OLD else "dead"
                delivery = _delivery(mailbox, outcome, None, True, level)
                for message in given[n:]:
                    n += mailbox.overflowed(message, None, level) is _ACCEPTED
            else:
                mailbox.sent += len(given) - n
                mailbox.refused += len(given) - n
                delivery = _delivery(mailbox, "dropped", None, True, level)
            delivery.accepted = n
        if errors:
            delivery.errors = tuple(errors)
        return delivery


cdef Py_ssize_t _push_all(Mailbox mailbox, list messages, int level) except -1:
    """As many as there is room for, in order; how many."""
    cdef sophia_message slots[BATCH]
    cdef Py_ssize_t n = len(messages), begin = 0, some, i
    cdef size_t taken
    while begin < n:
        some = min(n - begin, BATCH)
        for i in range(some):
            message = messages[begin + i]
            Py_INCREF(message)
            slots[i].words[0] = <uint64_t><void *>message
            slots[i].words[1] = slots[i].words[2] = 0
        taken = sophia_ring_push_many(&mailbox.rings[level], slots, <size_t>some)
        for i in range(<Py_ssize_t>taken, some):
            Py_DECREF(messages[begin + i])
        begin += <Py_ssize_t>taken
        if <Py_ssize_t>taken < some:
            break
    return begin


cdef Promise _question(Mailbox mailbox, double seconds):
    """A promise of an answer; DeadlockError where it could never be kept."""
    cdef Promise promise = Promise.__new__(Promise)
    promise.timeout = seconds
    _bind(promise, mailbox)
    return promise


cdef int _bind(Promise promise, Mailbox mailbox) except -1:
    """It is up to an actor to keep the promise, and the one whose handler this is waits for that."""
    cdef Mailbox asker = running_actor(mailbox.home)
    promise.mailbox = mailbox
    if asker is not None:
        chain = _chain(mailbox, asker, set())
        if chain is not None:
            who = " -> ".join([asker.name, *chain])
            raise DeadlockError(
                f"actor {asker.name!r} would wait for itself ({who}); tell it, or let the answer come as a message"
            )
        promise.asker = asker
        asker.asked.add(promise)
    return 0


cdef object _chain(Mailbox start, Mailbox target, set seen):
    """The names on the way from one actor to another that it waits for; None where there is no way."""
    cdef Promise promise
    if start is target:
        return [start.name]
    seen.add(start)
    if not start.hands and not start.held:  # it waits for nothing
        return None
    for promise in start.asked:
        if promise.mailbox not in seen and not promise.over():
            rest = _chain(promise.mailbox, target, seen)
            if rest is not None:
                return [start.name, *rest]
    return None


cdef int _take_back(Promise promise) except -1:
    """Nobody waits for it any more."""
    promise.settled = True
    if promise.wheel is not None:
        promise.wheel.clear(promise)
    if promise.asker is not None:
        promise.asker.asked.discard(promise)
    return 0

# Over 600 lines: one queue, and what is told to its senders, who may wait for room and for answers.
"""Mailboxes: what waits for an actor, in bounded rings by priority, and what is told to whoever sends.

A message is a reference in a slot of 32 bytes that was there before: to send one allocates nothing. Sent, handled,
dead and refused are counted where each happens, so that they add up after any fault:
``sent == handled + dead + refused + what still waits``.

Any thread may send. What is in a mailbox is taken by one thread at a time, the one in whose hands it is (`scheduled`);
see :mod:`sophia._core.inbox`. All of it runs under the interpreter's lock, as handlers are Python; the rings, the gate
and the scheduled word do not rely on it, but for the shorter way of `put` where there is such a lock.
"""

import logging
import os
from asyncio import current_task
from collections import deque
from contextvars import ContextVar
from time import monotonic

from cpython.contextvars cimport PyContextVar_Set
from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdlib cimport free
from cpython.ref cimport Py_DECREF, Py_INCREF

from sophia._core.wheel cimport Timer, TimerWheel

from sophia.errors import ActorStopped, AskTimeout, DeadlockError, MailboxFull, PoolForked


cdef extern from "<stdlib.h>" nogil:
    void *aligned_alloc(size_t alignment, size_t size) noexcept

cdef extern from "ring.h" nogil:
    size_t SOPHIA_RING_MOST

cdef extern from "gate.h" nogil:
    uint64_t SOPHIA_GATE_SHUT

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

# Actors that wait for each other, which a question looks through for a cycle.
cdef int MOST_STEPS = 1024

# Classes of messages of which it is remembered whether they are taken.
cdef int MOST_KINDS = 1024

cdef object _log = logging.getLogger("sophia.actors")

# Senders that wait for room in one mailbox; and those after which it is looked for some that wait no more, at least.
cdef Py_ssize_t MOST_WAITING = 1 << 16
cdef Py_ssize_t SOME = 64

cdef dict _LEVELS = {name: level for level, name in enumerate(PRIORITIES)}
cdef object _RUNNING = ContextVar("sophia_running_actor", default=None)
cdef int _forks = 0     # of this process since the first of its kind


def _count_fork():
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


cdef int forks() noexcept:
    return _forks


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
        self.task = None


cdef Span enter(Mailbox mailbox, object task):
    cdef Span span = Span.__new__(Span)
    span.mailbox = mailbox
    span.task = task
    PyContextVar_Set(_RUNNING, span)
    return span


cdef object _task_here():
    try:
        return current_task()
    except RuntimeError:  # a thread without a loop
        return None


cdef Mailbox running_actor(Runner home):
    """The actor in whose handler this code runs, or None."""
    if home is not None and home.current is not None and PyThread_get_thread_ident() == home.thread:
        return home.current
    cdef Span span = <Span>_RUNNING.get()
    return None if span is None or span.over else span.mailbox


cdef int refuse_forked() except -1:
    raise PoolForked(
        "this actor was started before a fork, and its threads are not in this process; start one in the child"
    )


cdef class Runner:
    """What runs mailboxes. Not made directly."""

    def __init__(self):
        raise TypeError("Runner: make a LoopRunner or a ThreadRunner")

    cdef int ready(self, Mailbox mailbox, int level) except -1:
        raise TypeError(f"{type(self).__name__} runs no mailboxes")

    cdef int post(self, Promise promise) except -1:
        raise TypeError(f"{type(self).__name__} answers nobody; the runner of the loop does")

    cdef object loop_future(self):
        raise TypeError(f"{type(self).__name__} has no event loop")

    cdef bint gone(self) except -1:
        return False


cdef class Promise(Timer):
    """One value or error for one who waits. Kept once; what comes later is counted and dropped."""

    def __cinit__(self):
        sophia_park_open(&self.park)

    def __dealloc__(self):
        sophia_park_close(&self.park)

    cdef bint over(self) except -1:
        """Nobody waits any more."""
        return self.settled or (self.future is not None and <bint>self.future.done())

    cdef bint expired(self) except -1:
        """Nobody waits any more; or the time is up, and the loop was not let to say so."""
        if not self.over() and self.wheel is not None and self.wheel.ticks() >= self.node.due:
            self.fire()
        return self.over()

    cdef int keep(self, object value) except -1:
        if not self.settled and self.wheel is not None and self.wheel.ticks() >= self.node.due:
            self.fire()
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
        if self.threads:
            sophia_park_notify(&self.park, <int>self.threads)
        if self.home is None:
            return 0
        if self.home.thread == PyThread_get_thread_ident():
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
            if self.mailbox is not None and self.settled:
                self.mailbox.late += 1
        elif error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)
            if isinstance(error, ActorStopped):
                self.future.exception()  # an end is told as an event: who no longer asks need not hear of it
        return 0

    cdef int unset(self) except -1:
        """Nobody waits for it any more, nor is its time to be told."""
        if self.asker is not None:
            self.asker.asked.discard(self)
        if self.wheel is None or self.settled:
            return 0
        if self.home.thread == PyThread_get_thread_ident():
            self.wheel.clear(self)
        else:
            self.home.post(self)
        return 0

    cdef int fire(self) except -1:
        if self.settled:
            return 0
        name = self.mailbox.name
        where = "was still handling the message" if self.running else "had not come to the message"
        error = AskTimeout(f"actor {name!r} did not answer within {self.timeout:g} s: it {where}")
        if self.settled:  # while that was made
            return 0
        self.fail(error)
        if self.running and self.home is not None:
            self.mailbox.abort(self)
        elif self.running:
            self.mailbox.home.post(self)
        return 0

    cdef object wait(self, double seconds):
        """In a thread: True once it is kept. The rest of the time may be negative: for as long as it takes."""
        self.threads += 1
        try:
            return self.sleep(seconds)
        finally:
            self.threads -= 1

    cdef bint sleep(self, double seconds) except -1:
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
            PyErr_CheckSignals()
            if not self.settled and self.mailbox is not None and self.mailbox.runner.gone():
                self.mailbox.lost("the loop of the actor is closed")
                if not self.settled:
                    self.fail(ActorStopped(f"actor {self.mailbox.name!r} did not answer: its loop is closed"))
        return True


cdef class Room(Promise):
    """What those are told who wait for room with one delivery: coroutines of one loop, each with a future of its own,
    and threads."""

    cdef bint over(self) except -1:
        if self.settled:
            return True
        if self.threads:
            return False
        for future in self.futures:
            if not future.done():
                return False
        return True

    cdef int settle(self) except -1:
        futures, self.futures = self.futures, []
        wrong = None
        for future in futures:
            try:
                if not future.done():
                    future.set_result(None)
            except BaseException as error:  # the others are told nevertheless
                wrong = wrong or error
        if wrong is not None:
            raise wrong
        return 0


cdef class Mailbox:
    """The messages of one actor, and their counters, as its senders see them. Not made directly: what an orchestrator
    makes is an :class:`~sophia._core.inbox.Inbox`; senders have an :class:`~sophia._core.address.Address`.

    `capacity` messages of each priority may wait, a power of two. `overflow` is what happens to one more: "wait" (the
    sender may await room), "fail" (MailboxFull), "drop_new", "drop_old" (the oldest of its priority becomes a dead
    letter) or "dead_letter".
    """

    def __cinit__(self):
        self.gate = SOPHIA_GATE_SHUT    # until it is known whose it is
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
        capacity: object = 1024,
        overflow: str = "wait",
        on_dead: object,
    ):
        if type(self) is Mailbox:
            raise TypeError("Mailbox: make an Inbox")
        if overflow not in OVERFLOWS:
            raise ValueError(f"overflow is {overflow!r}; choose one of {', '.join(OVERFLOWS)}")
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity is {capacity!r:.80}; it is a whole number, a power of two")
        if not 2 <= capacity <= <Py_ssize_t>SOPHIA_RING_MOST or capacity & (capacity - 1):
            most = <Py_ssize_t>SOPHIA_RING_MOST
            raise ValueError(f"capacity is {capacity!r:.80}; use a power of two from 2 to {most}")
        self.name = name
        self.runner = runner
        self.home = home
        self.wheel = wheel
        self.level = level_of(priority)
        self.capacity = capacity
        self.overflow = OVERFLOWS.index(overflow)
        self.always = ()
        self.on_dead = on_dead
        self.waiting = [None] * LEVELS
        self.asked = set()
        self.gate = 0

    def __dealloc__(self):
        cdef sophia_message slot
        cdef int level
        for level in range(LEVELS):
            if self.opened[level]:
                while sophia_ring_pop(self.rings[level], &slot):
                    Py_DECREF(<object><void *>slot.words[0])
                    if slot.words[1]:
                        Py_DECREF(<object><void *>slot.words[1])
                sophia_ring_close(self.rings[level])
                free(self.rings[level])

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
    def inside(self) -> bool:
        """Whether this code runs in a handler of the actor, in the very task of that: another one, though a handler has
        started it, may wait for the actor's end."""
        if self.home.current is self and PyThread_get_thread_ident() == self.home.thread:
            return True
        cdef Span span = <Span>_RUNNING.get()
        if span is None or span.over or span.mailbox is not self:
            return False
        return span.task is None or span.task is _task_here()  # a task of the handler's own is none

    def offer(self, message: object, priority: object = None) -> str:
        """Sends a message if there is room now; what became of it. "full" counts as refused."""
        cdef int level = self.level if priority is None else level_of(priority)
        cdef Delivery delivery
        if self.accepted is not None and not self.takes(type(message)):
            return "not accepted"
        try:
            delivery = <Delivery>self.put(message, None, level)
        except MailboxFull:
            return "full"
        if delivery.outcome != "waiting":
            return delivery.outcome
        delivery.begun = True  # nobody will wait, as was to be
        return "full"

    def owe(self, message: object) -> None:
        """Sends what is to come in any case, before all else: without room it waits for some, whatever the policy."""
        cdef Delivery delivery
        if self.forks != _forks:
            refuse_forked()
        if not sophia_gate_enter(&self.gate):
            self.sent += 1
            self.bury(message, None, "stopped")
            return
        if not self.opened[0] and not self.open(0):
            sophia_gate_leave(&self.gate)
            raise MemoryError(f"no memory for a ring of {self.capacity} messages")
        cdef bint there = not self.waiting[0] and self.push(message, None, 0)
        sophia_gate_leave(&self.gate)
        self.sent += 1
        if not there:
            self.refused += 1
            delivery = new_delivery(self, "waiting", message, False, 0)
            delivery.owed = True
            try:
                delivery.begin(None)
            finally:
                delivery.begun = True
        elif sophia_schedule(&self.scheduled):
            self.woken(0)
        elif 0 < self.ready_level < NOT_READY:
            self.runner.ready(self, 0)

    def enter(self) -> Span:
        """What this context does now, it does for the actor."""
        return enter(self, _task_here())

    def empty_out(self, reason: str) -> int:
        """Makes dead letters of what waits, after the gate was shut and the mailbox is held; how many."""
        cdef sophia_message slot
        cdef int level, n = 0
        cdef Promise promise
        cdef Delivery delivery
        wrong = None
        for level in range(LEVELS):
            while self.opened[level] and sophia_ring_pop(self.rings[level], &slot):
                message = <object><void *>slot.words[0]
                Py_DECREF(message)
                promise = None
                if slot.words[1]:
                    promise = <Promise><void *>slot.words[1]
                    Py_DECREF(promise)
                n += 1
                try:
                    self.bury(message, promise, reason)
                except BaseException as error:  # of who hears of dead letters: all of them are some
                    wrong = wrong or error
            queue = self.waiting[level]
            while queue:
                delivery = <Delivery>queue.popleft()
                try:
                    n += delivery.give_up(reason)
                except BaseException as error:
                    wrong = wrong or error
        if wrong is not None:
            raise wrong
        return n

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
            "refused": self.refused, "late": self.late, "wakeups": self.wakeups, "running": self.hands,
            "waiting": self.count() + lined,
        }

    cdef int abort(self, object promise) except -1:
        """Breaks off the handler that is awaited; with a promise, only where it is that one's."""
        raise TypeError(f"{type(self).__name__} has no handlers")

    cdef int lost(self, str reason) except -1:
        """Nothing will ever run it again."""
        raise TypeError(f"{type(self).__name__} has no handlers")

    # The side of the senders

    cdef object put(self, object message, Promise promise, int level):
        if self.forks != _forks:
            refuse_forked()
        if self.accepted is not None and not self.takes(type(message)):
            names = ", ".join(one.__name__ for one in self.types or ())
            raise TypeError(f"actor {self.name!r} takes {names}, and no {type(message).__name__}")
        if type(message) is self.urgent:
            level = 0
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

    cdef bint takes(self, type kind) except -1:
        # Of one table, also where a class asks Python code whether it is one, and the actor restarts meanwhile.
        cdef dict accepted = self.accepted
        types, always = self.types, self.always
        if accepted is None:
            return True
        known = accepted.get(kind)
        if known is None:
            if len(accepted) > MOST_KINDS:  # classes may be made without end
                accepted.clear()
                accepted.update(dict.fromkeys(always, True))
            known = accepted[kind] = issubclass(kind, types)
        return known

    cdef bint open(self, int level) noexcept:
        cdef sophia_ring *ring = <sophia_ring *>aligned_alloc(64, sizeof(sophia_ring))
        if ring == NULL:
            return False
        if not sophia_ring_open(ring, self.capacity):
            free(ring)
            return False
        self.rings[level] = ring
        self.opened[level] = True
        return True

    cdef bint push(self, object message, Promise promise, int level) noexcept:
        cdef sophia_message slot
        slot.words[0] = <uint64_t><void *>message
        slot.words[1] = 0 if promise is None else <uint64_t><void *>promise
        slot.words[2] = 0
        if not sophia_ring_push(self.rings[level], &slot):
            return False
        Py_INCREF(message)
        if promise is not None:
            Py_INCREF(promise)
        return True

    cdef object overflowed(self, object message, Promise promise, int level):
        """What becomes of a message for which there is no room. It is counted as sent in the moment in which it is
        settled what else it counts as: in between, the actor could end and its counts be taken."""
        cdef sophia_message slot
        cdef Promise other
        cdef bint there, gone
        if self.overflow == WAIT:
            self.sent += 1
            self.refused += 1  # as long as nobody waits
            if promise is not None:
                return self._wait_for_room(message, promise, level)
            return new_delivery(self, "waiting", message, False, level)
        if self.overflow == DROP_OLD:
            there = False
            while not there:
                if not sophia_gate_enter(&self.gate):
                    self.sent += 1
                    self.bury(message, promise, "stopped")
                    return _STOPPED
                there = self.push(message, promise, level)
                self.sent += there
                gone = not there and sophia_ring_pop(self.rings[level], &slot)
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
        if self.overflow != DEAD_LETTER:
            self.sent += 1
            self.refused += 1
        full = MailboxFull(
            f"the mailbox of actor {self.name!r} is full: {self.capacity} of that priority wait; send less, or give it "
            'more capacity, or overflow="wait" and await what tell() gives'
        )
        if self.overflow == DEAD_LETTER:
            if promise is not None:
                promise.fail(full)
            self.sent += 1
            self.bury(message, promise, "no room")
            return _DEAD
        if promise is not None:
            promise.fail(full)
        elif self.overflow == FAIL:
            raise full
        return _DROPPED

    cdef object _wait_for_room(self, object message, Promise promise, int level):
        """A question waits for room as long as its asker waits for the answer."""
        cdef Delivery delivery = new_delivery(self, "waiting", message, False, level)
        delivery.answer = promise
        try:
            delivery.begin(None)
        except MailboxFull as error:
            delivery.begun = True
            promise.fail(error)
        return delivery

    cdef int bury(self, object message, Promise promise, str reason) except -1:
        cdef bint late = self.retired  # at the moment at which it is counted
        self.dead += 1
        try:
            if promise is not None:
                if not promise.over():
                    promise.fail(ActorStopped(f"actor {self.name!r} did not handle the message: {reason}"))
                else:
                    promise.unset()
        finally:  # an interrupt of the one is none of the other
            self.on_dead(message, reason, late)
        return 0

    def retire(self) -> dict:
        """Its counts, for the last time: what is sent now is told to `on_dead` as late."""
        self.retired = True
        return self.counts()

    def hurry(self, kind: type) -> None:
        """A message of exactly this class overtakes all, whatever priority it is sent with."""
        self.urgent = kind

    def accept(self, kinds: object, always: object = ()) -> None:
        """Takes messages of these classes only, and of those that are `always` taken; None: of any. What waits already
        is not looked at."""
        accepted = None if kinds is None else dict.fromkeys(always, True)
        types, always = None if kinds is None else tuple(kinds), tuple(always)
        self.types, self.always, self.accepted = types, always, accepted

    # What waits

    cdef size_t count(self) noexcept:
        cdef size_t n = 0
        cdef int level
        for level in range(LEVELS):
            if self.opened[level]:
                n += sophia_ring_count(self.rings[level])
        return n

    cdef int top(self) noexcept:
        """The most urgent level that has messages; -1 where none has."""
        cdef int level
        for level in range(LEVELS):
            if self.opened[level] and sophia_ring_count(self.rings[level]):
                return level
        return -1

    cdef object line(self, int level):
        """Those who wait for room."""
        if self.waiting[level] is None:
            empty = deque()
            if self.waiting[level] is None:  # another thread may have come in between
                self.waiting[level] = empty
        return self.waiting[level]

    cdef int tidy(self, int level) except -1:
        """Lets those out of the line who wait no more. Now and then: as often as it costs little for each who comes."""
        cdef Delivery delivery
        self.arrived[level] = 0
        queue = self.waiting[level]
        gone = [delivery for delivery in list(queue) if delivery.over()]
        if not gone:
            return 0
        numbers = {id(delivery) for delivery in gone}
        gone.clear()
        for _ in range(len(queue)):  # nobody comes between, as no Python code is run
            delivery = <Delivery>queue.popleft()
            if id(delivery) in numbers:
                gone.append(delivery)
            else:
                queue.append(delivery)
        for delivery in gone:
            delivery.refuse()
        return 0


cdef Delivery new_delivery(Mailbox mailbox, str outcome, object message, bint many, int level):
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
    sent; it counts as refused. Thread-safe, but that RuntimeError is what an await off the loop of the actors raises
    where there was no room. Example::

        >>> import asyncio
        >>> from sophia.actors import Actor, Orchestrator
        >>> class Slow(Actor):
        ...     async def handle(self, message):
        ...         await asyncio.sleep(0.001)
        >>> async def main():
        ...     async with Orchestrator() as organs:
        ...         slow = organs.spawn(Slow, capacity=2)
        ...         batch = slow.send_batch("abcd")  # more than there is room for
        ...         print(batch.outcome, batch.accepted, bool(batch))
        ...         print(await batch)
        ...         return organs.counts()["sent"]
        >>> asyncio.run(main())
        waiting 2 False
        <Delivery accepted, 4 taken>
        4
    """

    def __bool__(self) -> bool:
        return self.outcome == "accepted" and not self.errors

    def __await__(self):
        return self._wait_on() if self.waits() else _at_once(self)

    def _wait_on(self):
        cdef Runner home = self.mailbox.home
        if home.thread != PyThread_get_thread_ident():
            raise RuntimeError("only a coroutine on the loop of the actors can await this; in a thread call wait()")
        future = home.loop_future()  # of this one alone: others may wait on where this is cancelled
        if self.begin(future):
            try:
                yield from future.__await__()
            finally:
                self.leave(future)
        return self

    def __repr__(self) -> str:
        return f"<Delivery {self.outcome}, {self.accepted} taken>"

    def __del__(self):
        if self.begun or self.outcome != "waiting" or self.message is None:
            return
        cdef Mailbox mailbox = self.mailbox
        mailbox.unsent += 1
        if str(mailbox.unsent).strip("0") == "1":  # the 1st, 10th, 100th ...
            _log.warning(
                "actor %r had no room, and nobody awaited that: messages never sent so far: %d (said again at "
                "ten times as many; counts() has them among 'refused')",
                mailbox.name, mailbox.unsent,
            )

    def wait(self, timeout: object = None) -> bool:
        """In a thread: waits for room, at most so many seconds; False where there was none. The message is sent then
        or not at all. Not on the loop's thread, which would wait for itself."""
        if not self.waits():
            return self.outcome == "accepted"
        cdef double seconds = -1.0
        if timeout is not None:
            try:
                seconds = timeout
            except (TypeError, OverflowError):
                seconds = float("nan")
            if seconds != seconds:
                raise ValueError(f"timeout is {timeout!r:.80}; give seconds, or None for as long as it takes")
            seconds = max(seconds, 0.0)  # what is left of a time may be less than nothing
        cdef unsigned long thread = PyThread_get_thread_ident()
        cdef bint here = self.mailbox.runner.thread == thread or self.mailbox.home.thread == thread
        if here and not sophia_gate_is_shut(&self.mailbox.gate):
            raise DeadlockError("this thread makes the room that it would wait for; use await, or send from elsewhere")
        if self.begin(None):
            try:
                self.promise.sleep(seconds)
            finally:
                self.leave(None)
        return self.outcome == "accepted"

    cdef bint begin(self, object future) except -1:
        """Into the line of those who wait for room, once, whoever comes first: a coroutine with a future, or a thread.
        Whether it is to wait; nobody waits for what is owed, or for the room of a question."""
        cdef Mailbox mailbox = self.mailbox
        cdef Room promise
        cdef bint first = False
        if not self.begun:
            queue = mailbox.line(self.level)
            mailbox.arrived[self.level] += 1
            if mailbox.arrived[self.level] >= SOME and (
                len(queue) >= MOST_WAITING or mailbox.arrived[self.level] >= len(queue) >> 4
            ):
                mailbox.tidy(self.level)
            if len(queue) >= MOST_WAITING:
                raise MailboxFull(
                    f"{len(queue)} senders already wait for room in the mailbox of actor {mailbox.name!r}"
                )
            promise = Room.__new__(Room)
            promise.futures = []
            if self.answer is None and not self.owed:
                bind(promise, mailbox)
            if self.begun:  # by another thread, while that was made
                take_back(promise)
            else:
                self.promise = promise
                self.begun = first = True
        promise = self.promise
        if promise.settled:
            return False
        if self.answer is None and not self.owed:
            if future is None:
                promise.threads += 1
            else:
                promise.futures.append(future)
                promise.home = mailbox.home
        if not first:
            return True
        if sophia_gate_is_shut(&mailbox.gate):  # refused, as was counted
            self.message = None
            self.outcome = "stopped"
            promise.keep(None)
            if self.answer is not None:
                self.answer.fail(ActorStopped(f"actor {mailbox.name!r} did not handle the message: stopped"))
            return True
        mailbox.refused -= self.left()
        queue.append(self)
        # there may be room again, and nobody would look
        if sophia_schedule(&mailbox.scheduled):
            try:
                mailbox.woken(self.level)
            except BaseException:  # an interrupt
                if self.answer is None and not self.owed:
                    self.leave(future)
                raise
        return True

    cdef int leave(self, object future) except -1:
        """One waits no more; with the last one goes the message, if it has not been taken."""
        if future is None:
            self.promise.threads -= 1
        elif future in self.promise.futures:
            self.promise.futures.remove(future)
        if not self.promise.settled and self.promise.over():
            self.refuse()
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
                message = self.message[0]
                if not mailbox.push(message, None, 0 if type(message) is mailbox.urgent else self.level):
                    return False
                self.message.popleft()
                self.accepted += 1
        self.message = None
        self.outcome = "accepted"
        self.promise.keep(None)
        return True

    cdef bint waits(self) noexcept:
        """Whether there is something to wait for, also where somebody does already."""
        if not self.begun:
            return self.outcome == "waiting"
        return self.promise is not None and not self.promise.settled

    cdef bint decided(self) noexcept:
        """Whether there is nothing to wait for, or somebody does already."""
        return self.begun or self.outcome != "waiting"

    cdef bint over(self) except -1:
        if self.answer is not None:
            return self.promise.settled or self.answer.over()
        return self.promise.settled if self.owed else self.promise.over()

    cdef Py_ssize_t left(self) except -1:
        """Messages that have found no room so far."""
        if self.message is None:
            return 0
        return len(self.message) if self.many else 1

    cdef int refuse(self) except -1:
        """Nobody waits for room any more; who still looks is told."""
        message = self.message  # which may run code of its own when it goes
        self.mailbox.refused += self.left()
        self.message = None
        if not self.promise.settled:
            self.outcome = "dropped"
            self.promise.keep(None)
        if self.answer is not None:
            self.answer.unset()
        del message
        return 0

    cdef Py_ssize_t give_up(self, str reason) except -1:
        """The actor has ended: dead letters; how many."""
        cdef Py_ssize_t n = 0
        wrong = None
        if self.message is None:
            return 0
        if self.over():
            self.refuse()
            return 0
        while self.message is not None:
            message = self.message.popleft() if self.many else self.message
            if not self.many or not self.message:
                self.message = None
            try:
                self.mailbox.bury(message, self.answer, reason)
            except BaseException as error:  # of who hears of dead letters: all of them are some
                wrong = wrong or error
            n += 1
        if not self.promise.settled:  # else all who waited have gone meanwhile
            self.outcome = "stopped"
            self.promise.keep(None)
        if wrong is not None:
            raise wrong
        return n


def _at_once(delivery):
    yield from ()
    return delivery


cdef Delivery _ACCEPTED = new_delivery(None, "accepted", None, False, 0)
_ACCEPTED.accepted = 1
cdef Delivery _DROPPED = new_delivery(None, "dropped", None, False, 0)
cdef Delivery _DEAD = new_delivery(None, "dead", None, False, 0)
cdef Delivery _STOPPED = new_delivery(None, "stopped", None, False, 0)


cdef int bind(Promise promise, Mailbox mailbox) except -1:
    """It is up to an actor to keep the promise, and the one whose handler this is waits for that."""
    cdef Mailbox asker = running_actor(mailbox.home)
    promise.mailbox = mailbox
    if asker is not None:
        chain = _chain(mailbox, asker)
        if chain is not None:
            who = " -> ".join([asker.name, *chain])
            raise DeadlockError(
                f"actor {asker.name!r} would wait for itself ({who}): for an answer, or for room that only it makes; "
                "let the answer come as a message, or give the mailboxes of the circle another overflow than wait"
            )
        promise.asker = asker
        asker.asked.add(promise)
    return 0


cdef object _chain(Mailbox start, Mailbox target):
    """The names on the way from one actor to another that it waits for; None where there is no way, or so many wait
    that it is not looked for further: then a deadline ends it."""
    cdef Promise promise
    cdef Mailbox here
    cdef int steps = 0
    cdef dict before = {start: None}  # the way back, by actor
    waiting = [start]
    while waiting and steps < MOST_STEPS:
        steps += 1
        here = <Mailbox>waiting.pop()
        if here is target:
            names = []
            while here is not None:
                names.append(here.name)
                here = before[here]
            return names[::-1]
        if not here.hands and not here.held:  # it waits for nothing
            continue
        for promise in here.asked:
            if promise.mailbox not in before and not promise.over():
                before[promise.mailbox] = here
                waiting.append(promise.mailbox)
    return None


cdef int take_back(Promise promise) except -1:
    """Nobody waits for it any more."""
    promise.settled = True
    if promise.wheel is not None:
        promise.wheel.clear(promise)
    if promise.asker is not None:
        promise.asker.asked.discard(promise)
    return 0

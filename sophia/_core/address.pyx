"""Addresses: where messages for one actor are sent, and what is asked of it."""

from collections import deque

from cpython.pythread cimport PyThread_get_thread_ident
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport isfinite
from libc.stdint cimport uint64_t

from sophia._core.mailbox cimport (
    BATCH,
    DEAD_LETTER,
    DROP_OLD,
    NOT_READY,
    WAIT,
    Delivery,
    Mailbox,
    Promise,
    Runner,
    bind,
    forks,
    level_of,
    new_delivery,
    refuse_forked,
    sophia_gate_enter,
    sophia_gate_is_shut,
    sophia_gate_leave,
    sophia_message,
    sophia_ring,
    sophia_schedule,
    take_back,
)

from sophia.errors import DeadlockError


cdef extern from "ring.h" nogil:
    size_t sophia_ring_push_many(sophia_ring *ring, const sophia_message *messages, size_t n) noexcept


cdef class Address:
    """Where messages for one actor are sent. Thread-safe, but for `ask`, which is for coroutines of their loop."""

    def __init__(self, mailbox: Mailbox):
        self.mailbox = mailbox

    cdef Mailbox there(self):
        if self.mailbox is None:
            raise TypeError("this address was made without a mailbox; spawn() gives addresses of actors")
        return self.mailbox

    def tell(self, message: object, priority: object = None) -> Delivery:
        """Sends a message and does not wait. About 0.15 us with the handling; nothing is allocated.

        `priority` is "critical", "high", "medium" or "background", or "control", which overtakes all; without one it
        is the actor's. Where the mailbox is full, its overflow policy says what happens: with "wait" the message is
        sent when the returned `Delivery` is awaited; with "fail" MailboxFull is raised. To an actor that has stopped
        it is a dead letter. TypeError for a message of a kind that the actor does not take.
        """
        cdef Mailbox mailbox = self.there()
        return mailbox.put(message, None, mailbox.level if priority is None else level_of(priority))

    def ask(self, message: object, timeout: object = 5.0, priority: object = None) -> object:
        """A future of the answer: ``await ref.ask(message)``. About 6 us until it is there; in a handler a cycle of
        actors that wait for each other is looked for, as far as 1,024 of them.

        `timeout` covers everything, in seconds: the wait for room, the work and the answer. AskTimeout when it is up:
        the message is not handled any more if it still waited, and a handler that is being awaited is cancelled (that
        of a batch goes on). Raises what the handler raised; ActorStopped where the actor ended first; DeadlockError, at
        once, where the answer could only come after this very handler.
        """
        cdef Mailbox mailbox = self.there()
        cdef Runner home = mailbox.home
        cdef double seconds = _seconds(timeout)
        if home.thread != PyThread_get_thread_ident():
            raise RuntimeError("ask() is for coroutines on the loop of the actors; in another thread use call()")
        cdef Promise promise = _question(mailbox, seconds)
        promise.home = home
        promise.future = home.loop_future()
        try:
            mailbox.put(message, promise, mailbox.level if priority is None else level_of(priority))
            if not promise.settled:
                try:
                    mailbox.wheel.set(promise, seconds)
                finally:  # not before: a thread that has come to the message asks the wheel whether its time is up
                    promise.wheel = mailbox.wheel
        except BaseException:
            take_back(promise)
            raise
        return promise.future

    def call(self, message: object, timeout: object = 5.0, priority: object = None) -> object:
        """The answer, in a thread other than the loop's: as `ask`, and waits. About 30 us."""
        cdef Mailbox mailbox = self.there()
        cdef double seconds = _seconds(timeout)
        cdef unsigned long thread = PyThread_get_thread_ident()
        cdef bint here = mailbox.runner.thread == thread or mailbox.home.thread == thread
        if here and not sophia_gate_is_shut(&mailbox.gate):  # else there is nothing to wait for
            raise DeadlockError(
                f"call() would stop the thread that actor {mailbox.name!r} needs; in a coroutine use ask() and await "
                "it, in a blocking actor tell it"
            )
        cdef Promise promise = _question(mailbox, seconds)
        try:
            mailbox.put(message, promise, mailbox.level if priority is None else level_of(priority))
            if not promise.wait(seconds):
                promise.fire()
        finally:
            take_back(promise)
        if promise.error is not None:
            raise promise.error
        return promise.value

    def send_batch(self, messages: object, priority: object = None) -> Delivery:
        """Sends many messages in order with one wake-up. A message of a kind that the actor does not take fails alone.

        As many as have room are taken at once, never more than the capacity. With the policy "wait" the rest is
        sent when the `Delivery` is awaited; with "fail" it is refused; `Delivery.accepted` says how many were taken.
        """
        cdef Mailbox mailbox = self.there()
        cdef int level = mailbox.level if priority is None else level_of(priority)
        cdef Py_ssize_t n = 0, i = 0, first = 0
        cdef Delivery delivery
        if mailbox.forks != forks():
            refuse_forked()
        given = list(messages)
        errors = None
        if mailbox.accepted is not None:
            errors = []
            for i, message in enumerate(given):
                if not mailbox.takes(type(message)):
                    errors.append((i, TypeError(f"actor {mailbox.name!r} takes no {type(message).__name__}")))
            if errors:
                wrong = {i for i, _ in errors}
                given = [message for i, message in enumerate(given) if i not in wrong]
        if mailbox.urgent is not None and level:
            hasty = [message for message in given if type(message) is mailbox.urgent]
            if hasty:  # they overtake the others, as each would alone
                given = hasty + [message for message in given if type(message) is not mailbox.urgent]
                first = len(hasty)
        if not sophia_gate_enter(&mailbox.gate):
            for message in given:
                mailbox.sent += 1
                mailbox.bury(message, None, "stopped")
            delivery = new_delivery(mailbox, "stopped", None, True, level)
        else:
            if not (mailbox.opened[level] or mailbox.open(level)) or (
                first and not (mailbox.opened[0] or mailbox.open(0))
            ):
                sophia_gate_leave(&mailbox.gate)
                raise MemoryError(f"no memory for a ring of {mailbox.capacity} messages")
            if first and not mailbox.waiting[0]:
                n = _push_all(mailbox, given, 0, first, 0)
            if n == first and not mailbox.waiting[level]:
                n = _push_all(mailbox, given, first, len(given), level)
            sophia_gate_leave(&mailbox.gate)
            mailbox.sent += n
            if n == len(given):
                delivery = new_delivery(mailbox, "accepted", None, True, level)
            elif mailbox.overflow == WAIT:
                mailbox.sent += len(given) - n
                mailbox.refused += len(given) - n  # as long as nobody waits
                delivery = new_delivery(mailbox, "waiting", deque(given[n:]), True, level)
            elif mailbox.overflow == DROP_OLD or mailbox.overflow == DEAD_LETTER:
                outcome = "accepted" if mailbox.overflow == DROP_OLD else "dead"
                delivery = new_delivery(mailbox, outcome, None, True, level)
                for i in range(n, len(given)):
                    n += (<Delivery>mailbox.overflowed(given[i], None, 0 if i < first else level)).outcome == "accepted"
            else:
                mailbox.sent += len(given) - n
                mailbox.refused += len(given) - n
                delivery = new_delivery(mailbox, "dropped", None, True, level)
            delivery.accepted = n
            if n:  # now, as other threads may have their turn meanwhile: all is counted
                if first:
                    level = 0
                if sophia_schedule(&mailbox.scheduled):
                    mailbox.woken(level)
                elif level < mailbox.ready_level and mailbox.ready_level != NOT_READY:
                    mailbox.runner.ready(mailbox, level)
        if errors:
            delivery.errors = tuple(errors)
        return delivery


cdef double _seconds(object timeout) except -1.0:
    cdef double seconds = -1.0
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        try:
            seconds = timeout
        except OverflowError:  # no double is that large
            pass
    if not (isfinite(seconds) and seconds > 0):
        raise ValueError(
            f"timeout is {timeout!r:.80}; give a positive number of seconds, as nothing waits for ever"
        )
    return seconds


cdef Py_ssize_t _push_all(Mailbox mailbox, list messages, Py_ssize_t begin, Py_ssize_t n, int level) except -1:
    """Of those from the one to the other, as many as there is room for, in order; where it ended."""
    cdef sophia_message slots[BATCH]
    cdef Py_ssize_t some, i
    cdef size_t taken
    while begin < n:
        some = min(n - begin, BATCH)
        for i in range(some):
            message = messages[begin + i]
            Py_INCREF(message)
            slots[i].words[0] = <uint64_t><void *>message
            slots[i].words[1] = slots[i].words[2] = 0
        taken = sophia_ring_push_many(mailbox.rings[level], slots, <size_t>some)
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
    bind(promise, mailbox)
    return promise

"""What waits for an actor: bounded rings by priority, and what is told to whoever sends."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from sophia._core.wheel cimport Timer, TimerWheel


cdef extern from "ring.h" nogil:
    ctypedef struct sophia_message:
        uint64_t words[3]
    ctypedef struct sophia_ring:
        uint64_t mask
    bint sophia_ring_open(sophia_ring *ring, size_t capacity) noexcept
    void sophia_ring_close(sophia_ring *ring) noexcept
    bint sophia_ring_push(sophia_ring *ring, const sophia_message *message) noexcept
    bint sophia_ring_pop(sophia_ring *ring, sophia_message *message) noexcept
    size_t sophia_ring_pop_many(sophia_ring *ring, sophia_message *messages, size_t n) noexcept
    size_t sophia_ring_count(sophia_ring *ring) noexcept

cdef extern from "schedule.h" nogil:
    ctypedef uint32_t sophia_scheduled
    bint sophia_schedule(sophia_scheduled *word) noexcept
    void sophia_rest(sophia_scheduled *word) noexcept
    bint sophia_is_scheduled(sophia_scheduled *word) noexcept

cdef extern from "gate.h" nogil:
    ctypedef uint64_t sophia_gate
    bint sophia_gate_enter(sophia_gate *gate) noexcept
    void sophia_gate_leave(sophia_gate *gate) noexcept
    bint sophia_gate_is_shut(sophia_gate *gate) noexcept
    void sophia_gate_shut(sophia_gate *gate) noexcept

cdef extern from "park.h" nogil:
    ctypedef struct sophia_park:
        pass
    void sophia_park_open(sophia_park *park) noexcept
    void sophia_park_close(sophia_park *park) noexcept
    uint32_t sophia_park_prepare(sophia_park *park) noexcept
    void sophia_park_cancel(sophia_park *park) noexcept
    void sophia_park_wait(sophia_park *park, uint32_t epoch, int64_t nanoseconds) noexcept
    bint sophia_park_notify(sophia_park *park, int n) noexcept


cdef enum:
    LEVELS = 5          # control, critical, high, medium, background: the smaller is taken first
    BATCH = 64          # messages of one mailbox at once, at most
    NOT_READY = LEVELS  # the level of a mailbox that is in no run queue

# What happens to a message for which there is no room; in the order of OVERFLOWS.
cdef enum:
    WAIT
    FAIL
    DROP_NEW
    DROP_OLD
    DEAD_LETTER


# Where a mailbox is run: on an event loop or in a thread of its own.
cdef class Runner:
    cdef unsigned long thread           # that runs it; 0 as long as there is none
    cdef Mailbox current                # whose handler runs now
    # The mailbox has something to do, the most urgent of it at `level`. From any thread.
    cdef int ready(self, Mailbox mailbox, int level) except -1
    # A promise to a coroutine of this loop is to be kept there. From any other thread. That of a ThreadRunner is never
    # called: each promise and each mailbox has a `home`, the LoopRunner of those who ask, and every post goes there.
    cdef int post(self, Promise promise) except -1
    # A future of this loop.
    cdef object loop_future(self)
    # It will never run anything again.
    cdef bint gone(self) except -1


# One value or error for one who waits: a coroutine on the loop of `home`, or, without a home, a thread.
cdef class Promise(Timer):
    cdef Runner home
    cdef TimerWheel wheel
    cdef object future                  # of asyncio; None for a thread
    cdef object value, error
    cdef Mailbox mailbox                # whose answer it is; None where none is awaited
    cdef Mailbox asker                  # the actor that waits; None outside of one
    cdef double timeout
    cdef uint32_t settled, running
    cdef uint32_t threads               # that wait for it
    cdef sophia_park park
    cdef int keep(self, object value) except -1
    cdef int fail(self, object error) except -1
    cdef int settle(self) except -1
    cdef int unset(self) except -1
    cdef int _end(self, object value, object error) except -1
    cdef object wait(self, double seconds)
    cdef bint sleep(self, double seconds) except -1
    cdef bint over(self) except -1
    cdef bint expired(self) except -1


# Room in a mailbox, for all that wait for it with one delivery.
cdef class Room(Promise):
    cdef list futures                   # of coroutines


# A stretch of code that an actor runs; in a context variable.
cdef class Span:
    cdef Mailbox mailbox
    cdef object task                    # None in a thread
    cdef bint over


cdef class Mailbox:
    cdef readonly str name
    cdef Runner runner
    cdef Runner home                    # the loop of those who ask
    cdef TimerWheel wheel
    cdef sophia_ring *rings[LEVELS]     # made when first needed, each on a cache line of its own
    cdef bint opened[LEVELS]
    cdef sophia_gate gate
    cdef sophia_scheduled scheduled
    cdef int ready_level
    cdef size_t capacity
    cdef int level                      # of messages that name none
    cdef int overflow
    cdef dict accepted                  # type -> bool; None where every type is
    cdef tuple types, always
    cdef object on_dead, urgent
    cdef uint64_t unsent                # deliveries that were never awaited
    cdef list waiting                   # a deque of deliveries a level, or None
    cdef Py_ssize_t arrived[LEVELS]     # in these lines since they were tidied
    cdef set asked                      # promises that this actor waits for
    cdef bint held                      # by who starts, restarts or stops the actor
    cdef readonly size_t hands          # messages that a handler has
    cdef int forks
    cdef bint retired                   # its counts were taken
    cdef readonly uint64_t sent, handled, failed, dead, refused, wakeups, late
    cdef object put(self, object message, Promise promise, int level)
    cdef size_t count(self) noexcept
    cdef int top(self) noexcept
    cdef bint open(self, int level) noexcept
    cdef bint push(self, object message, Promise promise, int level) noexcept
    cdef int woken(self, int level) except -1
    cdef object overflowed(self, object message, Promise promise, int level)
    cdef int bury(self, object message, Promise promise, str reason) except -1
    cdef object line(self, int level)
    cdef int tidy(self, int level) except -1
    cdef bint takes(self, type kind) except -1
    cdef object _wait_for_room(self, object message, Promise promise, int level)
    cdef int abort(self, object promise) except -1
    # Nothing will ever run it again.
    cdef int lost(self, str reason) except -1


cdef class Delivery:
    cdef readonly str outcome
    cdef readonly Py_ssize_t accepted
    cdef readonly tuple errors
    cdef Mailbox mailbox
    cdef object message                 # of a tell that waits; of a batch a deque of what is left
    cdef bint many, begun, owed         # owed: it waits for room though nobody waits for that
    cdef int level
    cdef Room promise                   # of those who wait for room
    cdef Promise answer                 # of an ask that waits for room
    cdef bint decided(self) noexcept
    cdef bint waits(self) noexcept
    cdef bint over(self) except -1
    cdef Py_ssize_t left(self) except -1
    cdef int refuse(self) except -1
    cdef bint move(self) except -1
    cdef bint begin(self, object future) except -1
    cdef int leave(self, object future) except -1
    cdef Py_ssize_t give_up(self, str reason) except -1


cdef int level_of(object priority) except -1
cdef Mailbox running_actor(Runner home)
cdef Span enter(Mailbox mailbox, object task)
cdef int forks() noexcept
cdef int refuse_forked() except -1
cdef Delivery new_delivery(Mailbox mailbox, str outcome, object message, bint many, int level)
# It is up to an actor to keep the promise; DeadlockError where that one waits for whoever runs this code.
cdef int bind(Promise promise, Mailbox mailbox) except -1
# Nobody waits for it any more.
cdef int take_back(Promise promise) except -1

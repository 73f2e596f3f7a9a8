"""Timers of one event loop, on one wheel."""

from libc.stdint cimport uint64_t


cdef extern from "wheel.h" nogil:
    ctypedef struct sophia_timer:
        sophia_timer *next
        void *owner
        uint64_t due
    ctypedef struct sophia_wheel:
        uint64_t now
        size_t count
    bint sophia_timer_is_set(const sophia_timer *timer) noexcept


cdef class Timer:
    # Held by the wheel while it is set: the wheel owns a reference then.
    cdef sophia_timer node
    # Called on the loop's thread when time is up, no longer set. An exception goes to the loop's handler.
    cdef int fire(self) except -1


cdef class TimerWheel:
    cdef sophia_wheel wheel
    cdef object loop, time, armed       # what the loop calls next; None when it is not asked to
    cdef double start
    cdef uint64_t armed_at
    cdef bint closed

    # Due in so many seconds, never earlier. The timer must not be set.
    cdef int set(self, Timer timer, double seconds) except -1
    # Nothing where it is not set.
    cdef int clear(self, Timer timer) except -1
    cdef void drop(self) noexcept
    cdef uint64_t ticks(self) except? 0
    cdef int arm(self) except -1
    cdef object call_at(self, uint64_t tick)

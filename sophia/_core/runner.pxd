"""What runs mailboxes: an event loop, or a thread for one of them."""

from libc.stdint cimport int64_t

from sophia._core.mailbox cimport LEVELS, Mailbox, Promise, Runner, sophia_park, sophia_scheduled
from sophia._core.wheel cimport TimerWheel


cdef struct Line:
    void **items                        # mailboxes, each a reference
    size_t first, count, mask


cdef class LoopRunner(Runner):
    cdef readonly object loop
    cdef readonly TimerWheel wheel
    cdef Line lines[LEVELS]
    cdef size_t passed[LEVELS]
    cdef bint armed, running
    cdef object call_soon, create_future, context
    cdef list posted                    # promises of other threads
    cdef bint post_armed
    cdef bint closed
    cdef bint arm(self) except -1
    cdef int ask(self, object call) except -1
    cdef int arm_posts(self) except -1
    cdef int drain(self) except -1
    cdef int lose(self) except -1
    cdef int next_line(self) noexcept


cdef class ThreadRunner(Runner):
    cdef sophia_park park
    cdef sophia_scheduled wanted
    cdef bint ended
    cdef LoopRunner home

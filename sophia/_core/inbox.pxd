"""Mailboxes as their actors have them: what takes the messages and calls the handlers."""

from libc.stdint cimport uint32_t, uint64_t

from sophia._core.mailbox cimport LEVELS, Mailbox, Promise


cdef class Inbox(Mailbox):
    cdef uint32_t passed[LEVELS]        # more urgent messages since one of this level was taken
    cdef object handle, handle_batch
    cdef object on_failure, on_rest, on_collapse, spawn_driver
    cdef bint more, stopping, cut, pausing
    cdef object work, driver, parked    # an awaitable that a handler gave; the task that awaits; what that waits for
    cdef object work_messages, work_promises
    cdef bint aborting, awaited
    cdef readonly uint64_t turns, batches
    cdef readonly size_t peak
    cdef int run(self, int budget) except -1
    cdef int run_some(self, int budget) except -1
    cdef int collapse(self, BaseException error) except -1
    cdef int interrupted(self, BaseException error) except -1
    cdef int next_level(self) noexcept
    cdef int again(self) except -1
    cdef int drop_work(self) except -1
    cdef int drop_unbegun(self) except -1
    cdef void settle_hands(self) noexcept
    cdef int admit(self) except -1
    cdef bint lined(self) except -1
    cdef int take_one(self, int level) except -1
    cdef int take_batch(self, int level, size_t n) except -1
    cdef object still_wanted(self, list messages, list promises)
    cdef int bury_late(self, object message, Promise promise) except -1
    cdef int finish(self, object messages, object promises, object result) except -1
    cdef int failure(self, object messages, object promises, BaseException error) except -1
    cdef int give_work(self, object work, object messages, object promises) except -1
    cdef int _look(self) except -1
    cdef bint idle(self) except -1
    cdef int _broken_off(self, object promises) except -1

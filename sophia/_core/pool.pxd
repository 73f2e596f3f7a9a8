"""The native pool, for compiled callers."""

from libc.stdint cimport int32_t, uint64_t

from sophia._core.job cimport Completions, Job, sophia_workers


cdef extern from "workers.h" nogil:
    sophia_workers *sophia_workers_open(int32_t count, size_t capacity, const int32_t *processors) noexcept
    void sophia_workers_close(sophia_workers *workers, long long nanoseconds) noexcept
    void sophia_workers_free(sophia_workers *workers) noexcept


# The least power of two that holds `capacity`, what a ring can have. ValueError, TypeError.
cdef size_t power(object capacity) except 0


cdef class KernelPool:
    cdef sophia_workers *workers    # ours until __dealloc__, also when closed
    cdef Completions completions
    cdef readonly bint closed       # takes nothing more
    cdef double inline_below
    cdef uint64_t asked, refused, here
    cdef object __weakref__

    # Runs the job here if its cost is small, else gives it to the workers.
    cdef Job launch(self, Job job)
    cdef int check(self) except -1

    # The number of a home that a caller named; negative for None. ValueError, TypeError.
    cdef int32_t take_home(self, object home) except -2

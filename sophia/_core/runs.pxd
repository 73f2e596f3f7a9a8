"""Counts of runs of levels."""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from "runs.h" nogil:
    enum:
        SOPHIA_RUNS_MOST
    const uint32_t SOPHIA_RUNS_LONGEST

    cdef struct sophia_runs:
        uint32_t levels, longest, known
        uint64_t recent
        uint64_t *sizes
        uint32_t **counts

    double sophia_runs_add(sophia_runs *runs, uint32_t level, uint32_t weight)


cdef class RunCounts:
    """One thread at a time."""

    cdef sophia_runs runs
    cdef double low, high
    cdef double step        # levels of one unit of value

    cdef uint32_t level_of(self, double value) noexcept nogil
    cdef _follow(self, values, uint32_t weight)

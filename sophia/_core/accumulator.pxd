"""Bundles that are still counting."""

from libc.stdint cimport int32_t, int64_t, uint64_t


cdef class Accumulator:
    cdef int32_t *sums          # 64-byte aligned, `dim` of them, ours until __dealloc__
    cdef size_t dim
    cdef int model
    cdef uint64_t total         # of the absolute weights; no sum can exceed it, and it is at most 2^31 - 1
    cdef int64_t count          # of the weights: what was added less what was taken out
    cdef Py_ssize_t length, stride

    # Private to the module.
    cdef int tally(self, object vectors, object weight, bint out) except -1
    cdef bint spent(self) noexcept

"""Rows of hypervectors as the fused encoders read them, and what encoders of whole batches have in common."""

from libc.stdint cimport uint64_t


cdef class Codebook:
    """Immutable; safe from any thread."""

    cdef uint64_t *data     # n rows of packed bits, `words` each, zero from bit `dim` on; 64-byte aligned
    cdef size_t n, dim
    cdef size_t words       # uint64 from row to row: those of a vote, a multiple of 16
    cdef int model          # what it was made of: results come in the same


# What a result is: packed bits (BSC), signs (MAP), or sums scaled so that the largest magnitude is 127.
cdef enum:
    PACKED
    SIGNS
    GRADED

# ShapeError unless both have one model and one dimension.
cdef int check_alike(Codebook a, Codebook b, str name_a, str name_b) except -1

cdef class Job:
    """A batch that is being encoded: a subclass is called with a range of its inputs, from any thread."""

    cdef int form
    cdef char *target       # of the first result; set by run()
    cdef size_t step        # bytes from one result to the next

    # Makes n results of `dim` components in `out` (None: a new matrix, uint8[n, padded bytes] for PACKED, else
    # int8[n, dim]) and returns it; `workers` threads. ShapeError where `out` is no such matrix.
    cdef object run(self, Py_ssize_t n, size_t dim, object out, object workers)

"""Rows of hypervectors as the fused encoders read them, and what encoders of whole batches have in common."""

from libc.stdint cimport uint64_t

from sophia._core.buffer cimport Block


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

# A new numpy matrix for n results: uint8[n, padded bytes] for PACKED, else int8[n, dim].
cdef object new_results(size_t n, size_t dim, int form)

# Opens such a matrix of the caller's; ShapeError where it is none. close_block() lets it go.
cdef int open_results(Block *block, object out, size_t n, size_t dim, int form) except -1

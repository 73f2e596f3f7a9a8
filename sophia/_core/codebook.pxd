"""Rows of hypervectors as the fused encoders read them."""

from libc.stdint cimport uint64_t


cdef class Codebook:
    """Immutable; safe from any thread."""

    cdef uint64_t *data     # n rows of packed bits, `words` each, zero from bit `dim` on; 64-byte aligned
    cdef size_t n, dim
    cdef size_t words       # uint64 from row to row: those of a vote, a multiple of 16
    cdef int model          # what it was made of: results come in the same


# ShapeError unless both have one model and one dimension.
cdef int check_alike(Codebook a, Codebook b, str name_a, str name_b) except -1

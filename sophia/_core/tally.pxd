"""Tallies of decisions. See tally.pyx."""

from libc.stdint cimport uint64_t


cdef enum:
    MOST_WHYS = 32


cdef class Tally:
    cdef uint64_t _routes[3]
    cdef uint64_t _whys[MOST_WHYS]
    cdef readonly uint64_t inputs
    cdef readonly uint64_t answered
    cdef readonly uint64_t first
    cdef readonly uint64_t last
    cdef readonly dict rules
    cdef readonly set scopes
    cdef readonly object first_event
    cdef object _last_ts
    cdef double _last_moment

"""Stretches of a stream. See stretch.pyx."""

from libc.stdint cimport uint64_t

from sophia._core.decision cimport Decision
from sophia._core.tally cimport Tally


cdef class Entry:
    cdef readonly uint64_t count
    cdef readonly uint64_t n
    cdef readonly object line
    cdef readonly str source
    cdef str _text
    cdef list _others
    cdef str _masked
    cdef tuple _words

    cdef int also(self, str other) except -1


cdef class Stretch:
    cdef readonly uint64_t newest
    cdef readonly uint64_t highest
    cdef readonly Tally tally
    cdef readonly list places
    cdef readonly list decided
    cdef readonly uint64_t fresh
    cdef public uint64_t alarms
    cdef readonly dict entries
    cdef readonly Entry worst
    cdef readonly uint64_t worst_pattern
    cdef double _severity
    cdef uint64_t _every
    cdef uint64_t _single

    cdef int _look_at(self, Decision one, uint64_t pattern, object passage) except -1
    cdef int _thin(self) except -1

"""Where a stream becomes another one. See shift.pyx."""

from libc.stdint cimport uint64_t


cdef enum:
    WINDOW_SIZE = 32
    MOST_HELD = 64  # windows that may still turn out to belong to the next stretch
    MOST_KNOWN = 1 << 14


cdef class Window:
    cdef uint64_t _ids[WINDOW_SIZE]
    cdef readonly int count  # of inputs that have a pattern
    cdef object _made
    cdef object _vector


cdef class KnownPatterns:
    # `_slots` is an open table of ids (0: free), at most half full; `_order` are the same in the order of their coming.
    cdef uint64_t *_slots
    cdef uint64_t *_order
    cdef size_t _size
    cdef size_t _count

    cdef bint has(self, uint64_t id) noexcept
    cdef int lacks(self, Window window) noexcept
    cdef void _put(self, uint64_t id) noexcept
    cdef int _room(self, size_t more) except -1
    cdef bint learn(self, Window window) except -1


cdef class ShiftDetector:
    cdef KnownPatterns _known
    cdef list _rows
    cdef list _pending
    cdef Window _last
    cdef double _usual
    cdef double _sum
    cdef double _early[8]
    cdef uint64_t _learned
    cdef int _age

    cdef int _begin(self) except -1
    cdef double _unknown(self, Window window) noexcept
    cdef double _likeness(self, Window window) except -1.0
    cdef int _warm_up(self, double strange, Window window) except -1
    cdef int _learn(self, Window window) except -1
    cdef int _hold(self, Window window) except -1
    cdef int _cut(self) except -1
    cdef int _turn(self, list pending) except -1
    cdef int _line(self, list pending, int first) except -1

"""Required literals of many rules, sought in one pass without the GIL."""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from "literals.h" nogil:
    enum:
        SOPHIA_LITERALS_MAX_RULES

    ctypedef struct sophia_literals:
        uint32_t states
        uint32_t columns
        uint32_t rules
        uint32_t words


cdef class LiteralSet:
    # Owned; built in __cinit__, never written again, freed in __dealloc__.
    cdef sophia_literals automaton
    cdef uint32_t reaches[SOPHIA_LITERALS_MAX_RULES]
    cdef bint has_reaches

    cdef int _reach(self, object reaches, Py_ssize_t count, list literals) except -1

    # True when the text (UTF-8, or any bytes) may match some rule. Ends at the first candidate.
    cdef bint may_hit(self, const unsigned char *text, size_t size) noexcept nogil

    # hits[i] = may_hit(texts[i], sizes[i]): faster where there are four texts or more.
    cdef void may_hit_many(
        self, const unsigned char *const *texts, const size_t *sizes, size_t count, unsigned char *hits
    ) noexcept nogil

    # Number of candidate rules; bit r of `bits` (automaton.words words, overwritten) is rule r.
    cdef uint32_t mark(self, const unsigned char *text, size_t size, uint64_t *bits) noexcept nogil

"""Online templates for C callers.

The `cdef` methods take neither the GIL nor the object's lock: the caller is the only user of the table while it
calls them. They return SOPHIA_PATTERN_OK (0) or one of the other codes below.
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "pattern.h" nogil:
    enum:
        SOPHIA_PATTERN_OK
        SOPHIA_PATTERN_NO_MEMORY
        SOPHIA_PATTERN_UNKNOWN  # an id that the table does not (or no longer) hold
        SOPHIA_PATTERN_BAD_ROW

    ctypedef struct sophia_pattern_seen:
        uint64_t id          # stable, from 1; 0: match() found no pattern
        uint64_t leaf_hash   # 64 bits of the masked line: the coarse code of the input
        uint64_t count       # lines of this pattern, merged ones included, before this one
        uint64_t leaf_count  # lines with exactly this masked form before this one
        double closeness     # 1.0: this masked line was seen before; 0.0: a new pattern; else the share of words kept
        bint fresh           # the id was made for this line
        uint32_t leaf        # where the masked line is held, for observe_leaf()

    ctypedef struct sophia_row_buffer:
        unsigned char *data
        size_t size
        size_t room

    ctypedef struct sophia_table:
        sophia_row_buffer departed
        size_t departed_bound
        uint64_t *losers
        size_t losers_count
        bint noting
        uint64_t seed
        uint64_t next_id
        uint64_t tick
        uint64_t inserted
        uint64_t next_sweep
        uint64_t next_born
        uint64_t evicted
        uint32_t capacity
        uint32_t leaves
        uint32_t generals
        uint32_t aliases
        uint32_t patterns
        uint8_t shapes_fresh
        uint8_t unmasked


cdef class PatternTable:
    cdef sophia_table *table  # owned
    cdef cython.pymutex lock  # never held while the GIL is taken

    # Learns the line; `n` is the caller's number for it, `owner` whose it is: sophia_owner_of() the scope, or 0.
    # What is not 0 is SOPHIA_PATTERN_NO_MEMORY: then `seen.id` is 0 where the line was not taken in.
    cdef int observe_line(
        self, const unsigned char *text, size_t size, uint64_t n, uint64_t owner, sophia_pattern_seen *seen
    ) noexcept nogil
    # The same for a text whose masked form an earlier sighting had at (leaf, leaf_hash), without reading it;
    # SOPHIA_PATTERN_UNKNOWN, and nothing learned, where it is not there any more.
    cdef int observe_leaf(
        self, uint32_t leaf, uint64_t leaf_hash, uint64_t n, uint64_t owner, sophia_pattern_seen *seen
    ) noexcept nogil
    # The same answer without learning; id 0 and fresh for a line that would be a new pattern.
    cdef int match_line(self, const unsigned char *text, size_t size, sophia_pattern_seen *seen) noexcept nogil
    # Takes a sighting back: counts fall by one, never below 0. SOPHIA_PATTERN_UNKNOWN for an id not held.
    cdef int forget_sighting(self, uint64_t id, uint64_t leaf_hash) noexcept nogil
    # The surviving id, or 0 for one that the table does not hold.
    cdef uint64_t survivor(self, uint64_t id) noexcept nogil
    cdef bytes _rows(self, bint everything)
    cdef int _build(self, list rows) except -1

"""Texts of memories as sparse int8 vectors. See episode.pyx."""

from libc.stdint cimport uint32_t, uint64_t

from sophia._core.lexical cimport sophia_lexical, sophia_lexical_plan


cdef struct sophia_episode_term:
    uint64_t hash
    uint32_t count
    bint gram


cdef class EpisodeEncoder:
    cdef sophia_lexical_plan plan
    # Owned; reused from text to text, under the GIL.
    cdef sophia_lexical *features
    cdef sophia_episode_term *terms
    cdef uint64_t *stops  # ascending
    cdef size_t stop_count

    cdef int extract(self, object text) except -1

    # The distinct features of a text, by hash, in `terms`; their number. `words` and `grams` count all occurrences.
    cdef size_t read(self, object text, size_t *words, size_t *grams) except? 0
    cdef bint is_stop(self, uint64_t hash) noexcept

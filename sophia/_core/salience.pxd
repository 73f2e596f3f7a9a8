"""What is usual in a stream, for C callers."""

from libc.stdint cimport int8_t, uint64_t

from sophia._core.decision cimport Decision
from sophia._core.idf cimport IdfTable


cdef enum:
    SCALE_BINS = 64   # of the distribution of one measure
    TONE_SLOTS = 2048  # of the table of words with a tone: a power of two


cdef struct sophia_salience:
    double urgency
    double novelty
    double complexity
    double valence
    double attention


cdef struct sophia_rank:
    double top  # the measures above are counted in the last bin
    double below[SCALE_BINS + 1]  # the share of what was observed that lies below a bin


cdef class Scale:
    """Frozen once it is made; safe from any thread."""

    cdef readonly IdfTable words
    cdef readonly bint crowded
    cdef sophia_rank ranks[4]  # of length, entropy, rarity, distance
    cdef uint64_t tone_keys[TONE_SLOTS]
    cdef int8_t tone_values[TONE_SLOTS]

    cdef int measure(self, Decision decision, sophia_salience *out) except -1
    cdef void _add_tone(self, uint64_t key, int8_t value) noexcept nogil
    cdef int _tone(self, uint64_t key) noexcept nogil

"""Texts as sparse vectors, for C callers. An encoder is only read once observing is over, by any number of threads."""

from libc.stdint cimport int16_t, int32_t, uint16_t, uint32_t, uint64_t, uint8_t

from sophia._core.cpu cimport sophia_ro_kernels


cdef extern from "ro_kernels.h" nogil:
    enum:
        SOPHIA_RO_BUCKETS
        SOPHIA_RO_GRAM

    cdef struct sophia_ro_grams:
        uint32_t least
        uint32_t most

    cdef struct sophia_ro_weighing:
        const uint16_t *idf
        uint32_t dim
        uint16_t kinds[4]
        uint16_t unseen

    uint32_t sophia_ro_bucket(uint64_t hash)


cdef extern from "lexical.h" nogil:
    enum:
        SOPHIA_LEXICAL_MAX
        SOPHIA_LEX_KINDS

    cdef struct sophia_lexeme:
        uint32_t start
        uint32_t size
        uint32_t edges

    cdef struct sophia_lexical:
        sophia_lexeme *place
        uint32_t count
        uint8_t kind[4104]
        uint64_t hash[4104]

    cdef struct sophia_lexical_plan:
        sophia_ro_grams grams

    sophia_lexical_plan sophia_lexical_plan_of "sophia_lexical_plan"(uint64_t seed, uint32_t least, uint32_t most)
    int sophia_lexical_extract(
        const unsigned char *text, size_t size, const sophia_lexical_plan *plan, const sophia_ro_kernels *kernels,
        sophia_lexical *out
    )


cdef extern from "readout.h" nogil:
    enum:
        SOPHIA_RO_KIND_ONE
        SOPHIA_RO_BIAS
        SOPHIA_RO_UNIT

    cdef struct sophia_ro_plan:
        sophia_lexical_plan lexical
        sophia_ro_weighing weighing

    cdef struct sophia_ro_terms:
        uint32_t count
        uint32_t known
        uint32_t seen
        uint32_t position[4104]
        int16_t value[4104]
        uint16_t lexeme[4104]

    uint16_t sophia_ro_idf(uint64_t documents, uint32_t df, unsigned quarters)
    void sophia_ro_weigh(
        const sophia_ro_plan *plan, const sophia_lexical *features, const sophia_ro_kernels *kernels,
        sophia_ro_terms *out
    )


# One text at work: its features and its terms. About 70 kB.
cdef struct sophia_ro_work:
    sophia_lexical features
    sophia_ro_terms terms


# Features and terms of a text; one that is too long or has none gets the bias alone. `places`, of SOPHIA_LEXICAL_MAX,
# is where to say where each feature stands; or NULL.
cdef void terms_of(
    const sophia_ro_plan *plan, const unsigned char *text, size_t size, sophia_lexeme *places, sophia_ro_work *work
) noexcept nogil

# What features are read from: a text that is not ASCII in its normal form; TypeError unless it is str or bytes.
cdef object source_of(object text)

# The piece of text that a feature was read from, edge marks included.
cdef str shown(bytes raw, const sophia_lexeme *entry)


cdef class LexicalEncoder:
    cdef sophia_ro_plan plan
    cdef uint16_t *idf              # owned; plan.idf points to it
    cdef uint32_t *frequencies      # owned, of each bucket; NULL where the table came from elsewhere
    cdef readonly uint64_t documents
    cdef readonly uint64_t seed
    cdef unsigned quarters
    cdef int set_up(self, uint32_t dim, uint64_t seed, uint32_t least, uint32_t most, unsigned quarters,
                    const uint16_t *kinds, const uint16_t *idf, uint64_t documents) except -1
    cdef void freeze(self) noexcept nogil
    # False for one whose vectors are not those of this encoder: another dimension, seed, grams, kinds or power.
    cdef bint like(self, LexicalEncoder other) noexcept


# An encoder with a table of weights that stands elsewhere (SOPHIA_RO_BUCKETS of them), copied.
cdef LexicalEncoder encoder_with(uint32_t dim, uint64_t seed, uint32_t least, uint32_t most, unsigned quarters,
                                 const uint16_t *kinds, const uint16_t *idf, uint64_t documents)

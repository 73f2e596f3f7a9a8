"""The linear readout for C callers.

A Readout never changes after it was made, so any number of threads may score with one. `take` and `give` lend a
workspace of about 200 kB; a caller without one pays for its allocation.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, uint16_t, uint32_t, uint64_t, uint8_t


cdef extern from "lexical.h" nogil:
    enum:
        SOPHIA_LEXICAL_MAX
        SOPHIA_LEXICAL_MOST
        SOPHIA_LEX_KINDS

    cdef struct sophia_lexeme:
        uint64_t hash
        uint32_t start
        uint32_t size
        uint8_t kind
        uint8_t edges

    cdef struct sophia_lexical:
        uint32_t count
        uint32_t dropped
        sophia_lexeme entries[4096]

    cdef struct sophia_lexical_plan:
        uint32_t least
        uint32_t most

    sophia_lexical_plan sophia_lexical_plan_of "sophia_lexical_plan"(uint64_t seed, uint32_t least, uint32_t most)
    int sophia_lexical_extract(
        const unsigned char *text, size_t size, const sophia_lexical_plan *plan, sophia_lexical *out
    )


cdef extern from "readout.h" nogil:
    enum:
        SOPHIA_RO_BUCKETS
        SOPHIA_RO_KIND_ONE
        SOPHIA_RO_IDF_ONE
        SOPHIA_RO_BIAS
        SOPHIA_RO_LANES
        SOPHIA_RO_UNIT

    cdef struct sophia_ro_plan:
        sophia_lexical_plan lexical
        uint32_t dim
        uint16_t kinds[4]
        uint16_t unseen
        const uint16_t *idf

    cdef struct sophia_ro_terms:
        uint32_t count
        uint32_t known
        uint32_t seen
        uint32_t position[4097]
        int16_t value[4097]
        uint16_t lexeme[4097]

    cdef struct sophia_ro_training:
        uint32_t classes
        size_t stride
        float smoothing
        float rate
        uint32_t dropout

    cdef struct sophia_ro_examples:
        const uint64_t *offsets
        const uint32_t *positions
        const int16_t *values
        const uint32_t *labels

    cdef struct sophia_ro_scratch:
        pass

    uint32_t sophia_ro_bucket(uint64_t hash)
    uint16_t sophia_ro_idf(uint64_t documents, uint32_t df, unsigned quarters)
    void sophia_ro_weigh(const sophia_ro_plan *plan, const sophia_lexical *features, sophia_ro_terms *out)
    double sophia_ro_scale(double largest)


# What a readout says of one text: the two best classes, and how many of its features it knows.
cdef struct sophia_judgement:
    uint32_t best
    uint32_t second         # equal to best where there is one class
    double best_score
    double second_score
    uint32_t known
    uint32_t seen           # 0: the text has no features, and nothing else is set


# One text at work: its features, its terms, and the scores of all classes.
cdef struct sophia_ro_work:
    sophia_lexical features
    sophia_ro_terms terms


cdef class LexicalEncoder:
    cdef sophia_ro_plan plan
    cdef uint16_t *idf              # owned; plan.idf points to it
    cdef uint32_t *frequencies      # owned, of each bucket; NULL in an encoder that was loaded
    cdef readonly uint64_t documents
    cdef readonly uint64_t seed
    cdef unsigned quarters
    cdef void _freeze(self) noexcept nogil


cdef class Examples:
    cdef readonly LexicalEncoder encoder
    cdef readonly Py_ssize_t count
    cdef uint32_t classes           # one more than the largest label
    cdef uint64_t *offsets
    cdef uint32_t *positions
    cdef int16_t *values
    cdef uint32_t *labels
    cdef int _reserve(self, uint64_t terms) except -1


cdef class Weights:
    cdef readonly LexicalEncoder encoder
    cdef readonly uint32_t classes
    cdef size_t stride
    cdef float *data                # (dim + 1) rows of stride, 64-byte aligned
    cdef float *squares             # dim + 1


cdef class Readout:
    cdef readonly LexicalEncoder encoder
    cdef readonly uint32_t classes
    cdef size_t stride
    cdef const int8_t *weights      # (dim + 1) rows of stride; in `blob`
    cdef const double *scales       # classes; in `blob`
    cdef object blob                # the whole dump, whoever owns it
    cdef void *spare
    cdef sophia_ro_work *take(self) noexcept nogil
    cdef void give(self, sophia_ro_work *work) noexcept nogil
    # 0, or -1 without memory. A text without features has seen = 0.
    cdef int judge(self, const unsigned char *text, size_t size, sophia_judgement *out) noexcept nogil
    cdef void _terms(self, const unsigned char *text, size_t size, sophia_ro_work *work) noexcept nogil
    cdef int32_t *_sums(self, sophia_ro_work *work) noexcept nogil

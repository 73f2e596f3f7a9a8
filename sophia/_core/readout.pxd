"""The linear readout for C callers.

A Readout never changes after it was made, so any number of threads may score with one. `take` and `give` lend a
workspace of about 80 kB; a caller without one pays for its allocation.
"""

from libc.stdint cimport int8_t, int32_t, uint32_t

from sophia._core.lexical cimport LexicalEncoder, sophia_ro_work


# What a readout says of one text: the two best classes, and how many of its features it knows.
cdef struct sophia_judgement:
    uint32_t best
    uint32_t second         # equal to best where there is one class
    double best_score
    double second_score
    uint32_t known
    uint32_t seen           # 0: the text has no features, and nothing else is set


cdef class Readout:
    cdef readonly LexicalEncoder encoder    # None for a readout over rows
    cdef readonly size_t dim
    cdef readonly uint32_t classes
    cdef size_t stride
    cdef const int8_t *cells        # (dim + 1) rows of stride; in `table` if there is one, else in `blob`
    cdef void *table                # a copy of them in huge pages, for a readout that is large
    cdef const double *scales       # classes; in `blob`
    cdef object blob                # the whole dump, whoever owns it
    cdef void *spare
    cdef int make(self, list parts) except -1
    cdef int open(self, object blob) except -1
    cdef sophia_ro_work *take(self) noexcept nogil
    cdef void give(self, sophia_ro_work *work) noexcept nogil
    # 0, or -1 without memory. A text without features has seen = 0. `text` is UTF-8; one that is not ASCII should
    # be in normal form, as best_of() brings it to. Only for a readout over texts.
    cdef int judge(self, const unsigned char *text, size_t size, sophia_judgement *out) noexcept nogil
    cdef int32_t *total(self, sophia_ro_work *work) noexcept nogil
    cdef void pick(self, const int32_t *sums, sophia_judgement *out) noexcept nogil
    cdef int need_texts(self) except -1

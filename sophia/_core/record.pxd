"""Records to hypervectors."""

from libc.stdint cimport int8_t, uint16_t, uint32_t, uint64_t

from sophia._core.codebook cimport Codebook
from sophia._core.cpu cimport sophia_enc_kernels


cdef extern from "record.h" nogil:
    cdef struct sophia_vote:
        int *sums

    cdef struct sophia_record:
        size_t dim, words, features, levels
        const uint64_t *ids
        const uint64_t *values
        const uint16_t *weights
        uint32_t total, against

    uint64_t sophia_number_at(const unsigned char *data, size_t i, unsigned width, bint signs)
    size_t sophia_record_to_b1(const sophia_record *record, const unsigned char *index, unsigned width,
                               bint signs, sophia_vote *vote, const sophia_enc_kernels *kernels, uint64_t *out)
    size_t sophia_record_to_i8(const sophia_record *record, const unsigned char *index, unsigned width,
                               bint signs, sophia_vote *vote, const sophia_enc_kernels *kernels, int8_t *out)


cdef class RecordEncoder:
    """Immutable but for its spare working memory; safe from any thread."""

    cdef Codebook ids, values
    cdef sophia_record record
    cdef uint16_t *factors  # the weights, or NULL
    cdef void *spare        # a sophia_workspace, or NULL while a call uses it

    # Private to the module.
    cdef int _take_weights(self, tuple weights) except -1
    cdef object _many(self, object index, object out, object workers, int form)

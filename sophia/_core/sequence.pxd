"""Sequences of symbols to hypervectors."""

from libc.stdint cimport int8_t, uint32_t, uint64_t

from sophia._core.codebook cimport Codebook
from sophia._core.cpu cimport sophia_enc_kernels, sophia_hv_kernels


cdef extern from "ngrams.h" nogil:
    enum:
        SOPHIA_BALLOT_ORDER
        SOPHIA_NGRAMS_MAX
        SOPHIA_NGRAMS_NEGATIVE
        SOPHIA_NGRAMS_NO_ITEM
        SOPHIA_NGRAMS_TOO_FEW
        SOPHIA_NGRAMS_TOO_MANY

    cdef struct sophia_vote:
        int *sums

    cdef struct sophia_sequence:
        const unsigned char *data
        size_t size
        unsigned width
        bint signs

    cdef struct sophia_codebook:
        const uint64_t *rows
        size_t count, words

    cdef struct sophia_ngram_space:
        sophia_vote vote

    cdef struct sophia_sequence_space:
        sophia_vote vote

    size_t sophia_sequence_length(const sophia_sequence *sequence)
    size_t sophia_sequence_unknown(const sophia_sequence *sequence, size_t symbols)
    uint64_t sophia_symbol(const sophia_sequence *sequence, size_t *at)
    sophia_ngram_space *sophia_ngram_space_new(size_t dim, uint32_t order, uint64_t seed, sophia_codebook given)
    void sophia_ngram_space_free(sophia_ngram_space *space)
    int sophia_ngrams_to_b1(const sophia_sequence *sequence, sophia_ngram_space *space,
                            const sophia_enc_kernels *kernels, uint64_t *out)
    int sophia_ngrams_to_i8(const sophia_sequence *sequence, sophia_ngram_space *space,
                            const sophia_enc_kernels *kernels, int8_t *out)
    sophia_sequence_space *sophia_sequence_space_new(size_t dim)
    void sophia_sequence_space_free(sophia_sequence_space *space)
    int sophia_sequence_to_b1(const sophia_sequence *sequence, const sophia_codebook *given,
                              sophia_sequence_space *space, const sophia_enc_kernels *kernels,
                              const sophia_hv_kernels *hv, uint64_t *out)
    int sophia_sequence_to_i8(const sophia_sequence *sequence, const sophia_codebook *given,
                              sophia_sequence_space *space, const sophia_enc_kernels *kernels,
                              const sophia_hv_kernels *hv, int8_t *out)


cdef class Encoder:
    """What both encoders of sequences have in common. Immutable but for its spare memory; safe from any thread."""

    cdef void *spare        # working memory of the subclass's kind, or NULL while a call uses it
    cdef Codebook items     # None: symbols have pseudo-random rows
    cdef sophia_codebook given
    cdef readonly size_t dim
    cdef int model
    cdef uint32_t order

    # Working memory of a call, or NULL when memory is short; give() takes it back.
    cdef void *take(self) noexcept nogil
    cdef void give(self, void *space) noexcept nogil

    # 0 or an error code. `out` in the form of batch.pxd, no alignment needed.
    cdef int encode_into(self, const sophia_sequence *sequence, void *space, int form, char *out) noexcept nogil

    # Private to the module.
    cdef object _many(self, object sequences, object out, object workers, int form)
    cdef int _take_items(self, object items, object dim) except -1


cdef class NgramEncoder(Encoder):
    cdef readonly uint64_t seed


cdef class SequenceEncoder(Encoder):
    pass

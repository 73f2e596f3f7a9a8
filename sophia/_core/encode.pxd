"""Texts to hypervectors."""

from libc.stdint cimport int8_t, uint32_t, uint64_t

from sophia._core.cpu cimport sophia_enc_kernels
from sophia._core.idf cimport IdfTable, sophia_feature_keys, sophia_features


cdef extern from "workspace.h" nogil:
    cdef struct sophia_vote:
        pass

    cdef struct sophia_workspace:
        sophia_vote vote
        sophia_features features

    sophia_workspace *sophia_workspace_new(size_t dim)
    void sophia_workspace_free(sophia_workspace *space)
    void *sophia_spare_take(void **spare)
    void *sophia_spare_put(void **spare, void *mine)
    void sophia_features_to_b1(
        const sophia_features *features, sophia_vote *vote, const sophia_enc_kernels *kernels, uint64_t *out
    )
    void sophia_features_to_i8(
        const sophia_features *features, sophia_vote *vote, const sophia_enc_kernels *kernels, int8_t *out
    )


cdef class _Texts:
    cdef list owners
    cdef const unsigned char **data
    cdef Py_ssize_t *sizes
    cdef Py_ssize_t count


cdef class TextEncoder:
    """Immutable but for its IDF table and its spare workspace; safe from any thread."""

    cdef sophia_feature_keys keys
    cdef void *spare  # a sophia_workspace, or NULL while a call uses it
    cdef readonly IdfTable idf  # None: every feature weighs the same
    cdef readonly uint64_t seed
    cdef readonly size_t dim  # bits or int8 lanes
    cdef readonly size_t words  # uint64 of a packed row: dim / 64, rounded up to a multiple of 8

    # A workspace, or NULL when memory is short; give() takes it back.
    cdef sophia_workspace *take(self) noexcept nogil
    cdef void give(self, sophia_workspace *space) noexcept nogil

    # Fills `out` with the weighed features of a text: their number, or an error code (negative).
    # `out` belongs to the caller, who uses it from one thread at a time.
    cdef int features_into(self, const unsigned char *text, size_t size, sophia_features *out) noexcept nogil

    # `out`: self.words words for b1, self.dim bytes for i8, no alignment needed.
    # The feature forms encode what features_into gave; the text forms do both. 0 or an error code.
    cdef int features_b1_into(self, const sophia_features *features, uint64_t *out) noexcept nogil
    cdef int features_i8_into(self, const sophia_features *features, int8_t *out) noexcept nogil
    cdef int encode_b1_into(self, const unsigned char *text, size_t size, uint64_t *out) noexcept nogil
    cdef int encode_i8_into(self, const unsigned char *text, size_t size, int8_t *out) noexcept nogil

    # Private to the module.
    cdef object _many(self, _Texts texts, object out, bint graded)


# ValueError where it is no seed.
cdef uint64_t seed_of(object seed) except? 0

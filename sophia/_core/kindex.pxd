"""K-Vectors for C callers: eight doubles in [0, 1], NaN where a dimension is not known."""

from libc.stdint cimport int64_t

from sophia._core.cpu cimport sophia_kv_kernels


cdef extern from "kv_batch.h" nogil:
    # `frame` is NULL or eight means and eight scales
    void sophia_kv_cosine_matrix(
        const sophia_kv_kernels *kv, const double *queries, size_t query_count, const double *rows,
        size_t row_count, const double *frame, double *out
    )
    void sophia_kv_euclidean_matrix(
        const sophia_kv_kernels *kv, const double *queries, size_t query_count, const double *rows,
        size_t row_count, double *out
    )
    void sophia_kv_top(
        const sophia_kv_kernels *kv, int euclidean, const double *queries, size_t query_count,
        const double *rows, size_t row_count, const double *frame, size_t k, double *scores, int64_t *indices
    )
    size_t sophia_kv_first_bad(const double *values, size_t size)


cdef class KVector:
    cdef double values[8]  # never changes once the object is made
    cdef readonly unsigned char mask  # bit j: dimension j is known

    cdef int _fill(self, tuple given, bint clamp) except -1
    cdef object _at(self, int dimension)


# A K-Vector of eight values, NaN for unknown; ValueError outside [0, 1].
cdef KVector kvector_of(const double *values)

"""The active table of kernels, and the levels that this machine can run."""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint32_t, uint64_t


cdef extern from "hv_kernels.h" nogil:
    enum:
        SOPHIA_GROUP_ROWS
        SOPHIA_TILE_QUERIES
    cdef struct sophia_hv_kernels:
        void (*bind_b1)(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t words) noexcept nogil
        uint64_t (*hamming_b1)(const uint64_t *a, const uint64_t *b, size_t words) noexcept nogil
        uint64_t (*hamming_rows_b1)(const uint64_t *query, const uint64_t *rows, size_t n, size_t words,
                                    const uint64_t *padding, uint32_t *out) noexcept nogil
        uint64_t (*hamming_tile_b1)(const uint64_t *queries, const uint64_t *rows, size_t n, size_t words,
                                    const uint64_t *padding, uint32_t *out, size_t stride) noexcept nogil
        uint32_t (*least_u32)(const uint32_t *values, size_t n) noexcept nogil
        uint64_t (*read_b1)(const uint64_t *rows, size_t words) noexcept nogil
        void (*majority_b1)(const uint64_t **rows, size_t n, uint64_t *out, size_t words) noexcept nogil
        void (*count_b1)(const uint64_t **rows, size_t n, uint64_t flip, size_t first, uint64_t *planes,
                         size_t nplanes, size_t words) noexcept nogil
        void (*settle_b1)(const uint64_t *planes, size_t nplanes, int even, uint64_t origin, uint64_t *out,
                          size_t words) noexcept nogil
        void (*rotate_rows_b1)(const uint64_t *source, size_t source_words, uint64_t *out, size_t out_words, size_t n,
                               size_t dim, size_t shift) noexcept nogil
        void (*bind_i8)(const int8_t *a, const int8_t *b, int8_t *out, size_t n) noexcept nogil
        int64_t (*dot_i8)(const int8_t *a, const int8_t *b, size_t n) noexcept nogil
        int64_t (*dot_norm_i8)(const int8_t *query, const int8_t *row, size_t n, int64_t *norm) noexcept nogil
        void (*majority_i8)(const int8_t **rows, size_t n, int8_t *out, size_t dim) noexcept nogil
        void (*sum_i8)(const int8_t **rows, size_t n, int32_t *acc, size_t dim) noexcept nogil
        void (*add_i8)(const int8_t *row, int32_t weight, int32_t *acc, size_t dim) noexcept nogil
        void (*sign_i32)(const int32_t *acc, int64_t net, int8_t *out, size_t dim) noexcept nogil


cdef extern from "kv_kernels.h" nogil:
    cdef struct sophia_kv_kernels:
        double (*cosine_f64)(const double *a, const double *b, const double *frame) noexcept nogil
        void (*cosine_many_f64)(
            const double *query, const double *rows, size_t size, const double *frame, double *out
        ) noexcept nogil
        void (*cosine_blocks_f64)(
            const double *query, const double *blocks, size_t size, double *out
        ) noexcept nogil
        double (*euclidean_f64)(const double *a, const double *b) noexcept nogil
        void (*euclidean_many_f64)(
            const double *query, const double *rows, size_t size, double *out
        ) noexcept nogil
        uint64_t (*read_f64)(const double *data, size_t size) noexcept nogil


cdef extern from "enc_kernels.h" nogil:
    cdef struct sophia_ballot:
        pass

    cdef struct sophia_enc_kernels:
        void (*tally_b1)(const sophia_ballot *ballot, uint64_t *planes, size_t words) noexcept nogil
        void (*sums_i32)(
            const uint64_t *planes, size_t depth, size_t words, int32_t total, int32_t *sums
        ) noexcept nogil
        void (*scale_i32_i8)(const int32_t *sums, size_t dim, int8_t *out) noexcept nogil


cdef extern from "ro_kernels.h" nogil:
    cdef struct sophia_ro_best:
        uint32_t first
        uint32_t second
        double first_score
        double second_score

    cdef struct sophia_ro_kernels:
        sophia_ro_best (*best)(const int32_t *sums, const double *scales, uint32_t classes) noexcept nogil
        void (*score_i8)(const int8_t *weights, size_t stride, const uint32_t *positions, const int16_t *values,
                         size_t n, int32_t *sums) noexcept nogil
        size_t (*sieve)(const uint32_t *places, size_t n, const uint32_t *cells, uint32_t mask,
                        uint32_t *numbers) noexcept nogil


cdef extern from "ln_kernels.h" nogil:
    enum:
        SOPHIA_LN_LANES
        SOPHIA_LN_ROWS
    cdef struct sophia_ln_kernels:
        void (*project_f32)(const float *x, size_t features, const float *weights, size_t rows,
                            float *sums) noexcept nogil
        void (*wave_f32_i8)(const float *sums, const float *phases, int8_t *out) noexcept nogil
        float (*dot_f32_i8)(const float *a, const int8_t *b, size_t n) noexcept nogil
        void (*add_f32_i8)(const int8_t *b, float weight, float *a, size_t n) noexcept nogil


cdef extern from "kernels.h" nogil:
    cdef struct sophia_kernels:
        int level
        sophia_hv_kernels hv
        sophia_kv_kernels kv
        sophia_enc_kernels enc
        sophia_ro_kernels ro
        sophia_ln_kernels ln


# Read anew for each operation (never cached across calls), so that set_simd_level() holds at once.
# The tables themselves are constants and live as long as the process.
cdef const sophia_kernels *active

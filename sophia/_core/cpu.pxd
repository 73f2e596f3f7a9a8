"""The active table of kernels, and the levels that this machine can run."""

from libc.stdint cimport int8_t, int32_t, uint64_t


cdef extern from "hv_kernels.h" nogil:
    cdef struct sophia_hv_kernels:
        void (*bind_b1)(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t words) noexcept nogil
        uint64_t (*hamming_b1)(const uint64_t *a, const uint64_t *b, size_t words) noexcept nogil


cdef extern from "kv_kernels.h" nogil:
    cdef struct sophia_kv_kernels:
        double (*dot_f64)(const double *a, const double *b) noexcept nogil


cdef extern from "enc_kernels.h" nogil:
    cdef struct sophia_ballot:
        pass

    cdef struct sophia_enc_kernels:
        void (*count_b1)(const sophia_ballot *ballot, uint64_t *planes, size_t words) noexcept nogil
        void (*sums_i32)(
            const uint64_t *planes, size_t depth, size_t words, int32_t total, int32_t *sums
        ) noexcept nogil
        void (*scale_i32_i8)(const int32_t *sums, size_t dim, int8_t *out) noexcept nogil


cdef extern from "kernels.h" nogil:
    cdef struct sophia_kernels:
        int level
        sophia_hv_kernels hv
        sophia_kv_kernels kv
        sophia_enc_kernels enc


# Read anew for each operation (never cached across calls), so that set_simd_level() holds at once.
# The tables themselves are constants and live as long as the process.
cdef const sophia_kernels *active

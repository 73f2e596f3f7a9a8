"""Operations on hypervectors, for compiled callers. All need live vectors of one model and dimension."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from sophia._core.arena cimport HDCArena
from sophia._core.cpu cimport sophia_hv_kernels
from sophia._core.vector cimport Hypervector, Vector


cdef extern from "hv_ops.h" nogil:
    ctypedef struct sophia_voters:
        # Row i is list[i], or base + i * stride when list is NULL; weights NULL: one each.
        const void **list
        const unsigned char *base
        size_t stride, n
        const int64_t *weights
        uint64_t total
    void sophia_rotate_i8(const int8_t *source, int8_t *out, size_t dim, size_t shift) noexcept
    uint64_t sophia_magnitude(int64_t weight) noexcept
    size_t sophia_bundle_scratch(const sophia_voters *voters, int model, size_t dim) noexcept
    void sophia_bundle_b1(const sophia_hv_kernels *kernels, const sophia_voters *voters, uint64_t *out,
                          size_t dim, uint64_t *scratch) noexcept
    void sophia_bundle_i8(const sophia_hv_kernels *kernels, const sophia_voters *voters, int8_t *out,
                          size_t dim, int32_t *scratch) noexcept
    void sophia_tally_i8(const sophia_hv_kernels *kernels, const sophia_voters *voters, int32_t *acc,
                         size_t dim) noexcept
    # A vote in parts, which hold the same `total`: counters opened, each part counted (MAP: memset, sophia_tally_i8(),
    # sign_i32), closed. Not for a vote that needs no scratch.
    sophia_voters sophia_voters_part(const sophia_voters *voters, size_t first, size_t count) noexcept
    void sophia_tally_open_b1(const sophia_voters *voters, size_t dim, uint64_t *scratch) noexcept
    void sophia_tally_b1(const sophia_hv_kernels *kernels, const sophia_voters *voters, size_t dim,
                         uint64_t *scratch) noexcept
    void sophia_tally_close_b1(const sophia_hv_kernels *kernels, const sophia_voters *voters, uint64_t *out,
                               size_t dim, uint64_t *scratch) noexcept
    uint64_t sophia_random_key(uint64_t family, uint64_t index) noexcept
    void sophia_random_words(uint64_t key, uint64_t *out, size_t n) noexcept
    void sophia_random_b1(uint64_t key, uint64_t *out, size_t dim) noexcept
    void sophia_random_i8(uint64_t key, int8_t *out, size_t dim) noexcept
    void sophia_b1_to_i8(const uint64_t *source, int8_t *out, size_t dim) noexcept
    void sophia_i8_to_b1(const int8_t *source, uint64_t *out, size_t dim) noexcept


# The family of a name (str) or number (int), the first argument of sophia_random_key().
cdef uint64_t random_family(object name) except? 0

# 0, or ShapeError when the two differ in model or dimension, StaleArenaError when one is stale.
cdef int check_pair(Vector a, Vector b, str name_a, str name_b) except -1

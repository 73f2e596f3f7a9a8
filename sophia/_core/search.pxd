"""Distances between hypervectors and searches over rows of them, for compiled callers."""

from libc.stdint cimport int8_t, int64_t, uint32_t, uint64_t

from sophia._core.cpu cimport sophia_hv_kernels


cdef extern from "hv_search.h" nogil:
    ctypedef struct sophia_hit:
        int64_t order       # distance, or sophia_order_of() of a score: the lower the better
        uint64_t row
    ctypedef struct sophia_top:
        # `hits` is the caller's, `room` of them; a heap until sophia_top_sort(), then best first.
        sophia_hit *hits
        size_t room, count
    const size_t SOPHIA_SKETCH_WORDS
    const size_t SOPHIA_SKETCH_FIRST
    const size_t SOPHIA_BLOCK_ROWS
    void sophia_top_offer(sophia_top *top, int64_t order, uint64_t row) noexcept
    void sophia_top_sort(sophia_top *top) noexcept
    uint64_t sophia_scan_b1(const sophia_hv_kernels *kernels, const uint64_t *queries, size_t nqueries,
                            const uint64_t *rows, size_t n, size_t words, const uint64_t *padding,
                            sophia_top *tops) noexcept
    void sophia_scan_i8(const sophia_hv_kernels *kernels, const int8_t *queries, size_t nqueries,
                        const int8_t *rows, size_t n, size_t dim, const int64_t *norms,
                        sophia_top *tops) noexcept
    size_t sophia_scan_sketch(const sophia_hv_kernels *kernels, const uint64_t *query,
                              const uint64_t *sketches,
                              const uint64_t *rows, size_t n, size_t dim, const uint64_t *padding,
                              uint32_t *leasts, sophia_hit *first, sophia_hit *within,
                              sophia_top *top, int64_t limit, uint64_t *dirty) noexcept
    double sophia_cosine_of(int64_t dot, int64_t norm_a, int64_t norm_b) noexcept
    int64_t sophia_order_of(double score) noexcept
    double sophia_score_of(int64_t order) noexcept


cdef enum:
    HAMMING = 0
    DOT = 1
    SIMILARITY = 2

# The number of hits to keep: `k`, or `n` where there are fewer rows. ValueError, TypeError.
cdef size_t take_k(object k, size_t n) except 0

# Empty tops and, in the same block, their hits; for free().
cdef sophia_top *new_tops(size_t queries, size_t room) except NULL

# (scores, rows) of sorted tops as numpy arrays, best first: [k], or [queries, k] with `matrix`.
cdef tuple answer(const sophia_top *tops, size_t queries, bint matrix, int measure)

/* The hypervector kernels: one table of function pointers, filled once for each SIMD level.
 *
 * b1: packed bits in uint64 words (include/layout.h). i8: components -1 and +1, one a byte.
 * No kernel needs alignment beyond the type's own, none reads or writes past the counts it is given, none
 * keeps a pointer. All results are integers, the same at every level.
 */
#ifndef SOPHIA_HV_KERNELS_H
#define SOPHIA_HV_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "ties.h"

/* One call of a majority or sum kernel takes at most so many rows: their count fits seven bit planes, and
 * their sum an int8. */
#define SOPHIA_GROUP_ROWS 127u
#define SOPHIA_GROUP_PLANES 7u
/* Queries that share one pass over the rows. */
#define SOPHIA_TILE_QUERIES 4u

struct sophia_hv_kernels {
    void (*bind_b1)(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t words);
    uint64_t (*hamming_b1)(const uint64_t *a, const uint64_t *b, size_t words);

    /* out[i] = distance of row i to the query. Returns the or of (last eight words & padding) over the rows,
     * so that dirty padding is seen in the same pass; `padding` may be NULL (then 0), else words >= 8. */
    uint64_t (*hamming_rows_b1)(const uint64_t *query, const uint64_t *rows, size_t n, size_t words,
                                const uint64_t *padding, uint32_t *out);
    /* The same for four queries, `words` apart: out[q * stride + i]. */
    uint64_t (*hamming_tile_b1)(const uint64_t *queries, const uint64_t *rows, size_t n, size_t words,
                                const uint64_t *padding, uint32_t *out, size_t stride);
    /* The smallest of n > 0 values. */
    uint32_t (*least_u32)(const uint32_t *values, size_t n);
    /* Reads every word once, as a scan must, and does nothing else: the yardstick of the benchmarks. */
    uint64_t (*read_b1)(const uint64_t *rows, size_t words);

    /* Majority of 1 to SOPHIA_GROUP_ROWS rows; ties by the rule of ties.h. `out` may be one of the rows. */
    void (*majority_b1)(const uint64_t *const *rows, size_t n, uint64_t *out, size_t words);
    /* Adds at most SOPHIA_GROUP_ROWS rows, each exclusive-or'ed with `flip`, times 2^first, to the bit-sliced
     * counters: plane p of word w is planes[p * words + w]. No counter may overflow. */
    void (*count_b1)(const uint64_t *const *rows, size_t n, uint64_t flip, size_t first, uint64_t *planes,
                     size_t nplanes, size_t words);
    /* The vote of counters that started at 2^(nplanes-1) - 1 - total/2: the top plane, and the tie rule when `even`.
     * `origin` is what they hold where nobody voted 1: that start, and the negative weights, whose rows were counted
     * as their complements. */
    void (*settle_b1)(const uint64_t *planes, size_t nplanes, int even, uint64_t origin, uint64_t *out, size_t words);
    /* Bit i of each of n packed rows becomes bit (i + shift) % dim of a row of `out`; shift < dim, dim >= 64. Rows
     * begin `in_words` and `out_words` apart. The padding of `in` is zero, that of `out` becomes so. The two may not
     * overlap. */
    void (*rotate_rows_b1)(const uint64_t *in, size_t in_words, uint64_t *out, size_t out_words, size_t n, size_t dim,
                           size_t shift);

    void (*bind_i8)(const int8_t *a, const int8_t *b, int8_t *out, size_t n);
    /* Any int8 values. */
    int64_t (*dot_i8)(const int8_t *a, const int8_t *b, size_t n);
    /* The dot product with `row`, and the row's with itself. */
    int64_t (*dot_norm_i8)(const int8_t *query, const int8_t *row, size_t n, int64_t *norm);
    /* As majority_b1, over components -1 and +1. */
    void (*majority_i8)(const int8_t *const *rows, size_t n, int8_t *out, size_t dim);
    /* acc += the sum of at most SOPHIA_GROUP_ROWS rows of -1 and +1. */
    void (*sum_i8)(const int8_t *const *rows, size_t n, int32_t *acc, size_t dim);
    /* acc += weight * row. */
    void (*add_i8)(const int8_t *row, int32_t weight, int32_t *acc, size_t dim);
    /* The vote of sums of weighted rows, `net` being the sum of the weights; ties by the rule of ties.h. */
    void (*sign_i32)(const int32_t *acc, int64_t net, int8_t *out, size_t dim);
};

#endif

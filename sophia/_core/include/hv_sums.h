/* Cosines of int32 sums: exact integers up to the last two roots and one division. */
#ifndef SOPHIA_HV_SUMS_H
#define SOPHIA_HV_SUMS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* Sums below this have squares whose total over 2^23 components stays below 2^62. */
#define SOPHIA_SMALL_SUMS ((uint64_t)1 << 19)

/* The product of two sums' vectors; `total` bounds every sum of both. */
static __int128 sophia_dot_i32(const int32_t *a, const int32_t *b, size_t dim, uint64_t total)
{
    if (total < SOPHIA_SMALL_SUMS) {
        int64_t dot = 0;
        for (size_t i = 0; i < dim; i++) dot += (int64_t)a[i] * b[i];
        return dot;
    }
    __int128 dot = 0;
    for (size_t i = 0; i < dim; i++) dot += (int64_t)a[i] * b[i];
    return dot;
}

static inline double sophia_cosine_wide(__int128 dot, __int128 norm_a, __int128 norm_b)
{
    if (!norm_a || !norm_b) return 0.0;
    const double cosine = (double)dot / (sqrt((double)norm_a) * sqrt((double)norm_b));
    return cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
}

static double sophia_cosine_i32_i32(const int32_t *a, const int32_t *b, size_t dim, uint64_t total)
{
    return sophia_cosine_wide(sophia_dot_i32(a, b, dim, total), sophia_dot_i32(a, a, dim, total),
                              sophia_dot_i32(b, b, dim, total));
}

/* dim is at most 2^23 and a sum below 2^31, so their plain sum stays below 2^54. */
static double sophia_cosine_i32(const int32_t *sums, const int8_t *signs, size_t dim, uint64_t total)
{
    int64_t dot = 0;
    for (size_t i = 0; i < dim; i++) dot += signs[i] < 0 ? -(int64_t)sums[i] : sums[i];
    return sophia_cosine_wide(dot, sophia_dot_i32(sums, sums, dim, total), (__int128)dim);
}

#endif

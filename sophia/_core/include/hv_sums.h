/* Cosines of int32 sums, exact up to one division: products are added in 128 bits. */
#ifndef SOPHIA_HV_SUMS_H
#define SOPHIA_HV_SUMS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

static inline double sophia_cosine_wide(__int128 dot, __int128 norm_a, __int128 norm_b)
{
    if (!norm_a || !norm_b) return 0.0;
    const double cosine = (double)dot / (sqrt((double)norm_a) * sqrt((double)norm_b));
    return cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
}

static double sophia_cosine_i32_i32(const int32_t *a, const int32_t *b, size_t dim)
{
    __int128 dot = 0, norm_a = 0, norm_b = 0;
    for (size_t i = 0; i < dim; i++) {
        dot += (int64_t)a[i] * b[i];
        norm_a += (int64_t)a[i] * a[i];
        norm_b += (int64_t)b[i] * b[i];
    }
    return sophia_cosine_wide(dot, norm_a, norm_b);
}

/* dim is at most 2^23 and a sum below 2^31, so their plain sum stays below 2^54. */
static double sophia_cosine_i32(const int32_t *sums, const int8_t *signs, size_t dim)
{
    int64_t dot = 0;
    __int128 norm = 0;
    for (size_t i = 0; i < dim; i++) {
        dot += (int64_t)sums[i] * signs[i];
        norm += (int64_t)sums[i] * sums[i];
    }
    return sophia_cosine_wide(dot, norm, (__int128)dim);
}

#endif

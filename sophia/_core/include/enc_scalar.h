/* Portable encoder kernels, one uint64 (64 lanes) at a time; also what aarch64 runs. */
#ifndef SOPHIA_ENC_SCALAR_H
#define SOPHIA_ENC_SCALAR_H

#include "enc_kernels.h"
#include "hash.h"

#define ENC_NAME(f) f##_scalar
#define ENC_TARGET
#define ENC_VEC uint64_t
#define ENC_LANES 1
#define ENC_LOAD(p) (*(p))
#define ENC_STORE(p, v) (*(p) = (v))
#define ENC_XOR(a, b) ((a) ^ (b))
#define ENC_AND(a, b) ((a) & (b))
#define ENC_XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define ENC_MAJ(a, b, c) (((a) & (b)) | ((c) & ((a) ^ (b))))
#define ENC_ROW(name, w) sophia_mix64((name) + SOPHIA_MIX_C * (uint64_t)((w) + 1))
#include "enc_count.h"

static void sophia_sums_i32_scalar(const uint64_t *planes, size_t depth, size_t words, int32_t total, int32_t *sums)
{
    for (size_t w = 0; w < words; w++) {
        int32_t *row = sums + 64 * w;
        for (int i = 0; i < 64; i++) row[i] = total;
        for (size_t j = 0; j < depth; j++) {
            const uint64_t bits = planes[j * words + w];
            const int32_t vote = 2 << j;
            for (int i = 0; i < 64; i++) row[i] -= -(int32_t)(bits >> i & 1) & vote;
        }
    }
}

/* The rule of scale_i32_i8, inlined into each level's function so that each compiles it for its registers:
 * with m = floor(127 * 2^23 / largest), a sum s becomes sign(s) * floor((|s| * m + 2^22) / 2^23).
 * All products stay below 2^31 because |s| <= largest; a largest of 0 gives zeros. */
static inline __attribute__((always_inline)) void sophia_scale_i32_i8(const int32_t *sums, size_t dim, int8_t *out)
{
    int32_t largest = 0;
    for (size_t i = 0; i < dim; i++) {
        const int32_t size = sums[i] < 0 ? -sums[i] : sums[i];
        largest = size > largest ? size : largest;
    }
    const uint32_t scale = largest ? (127u << 23) / (uint32_t)largest : 0;
    for (size_t i = 0; i < dim; i++) {
        const uint32_t size = (uint32_t)(sums[i] < 0 ? -sums[i] : sums[i]);
        const int32_t level = (int32_t)((size * scale + (1u << 22)) >> 23);
        out[i] = (int8_t)(sums[i] < 0 ? -level : level);
    }
}

static void sophia_scale_i32_i8_scalar(const int32_t *sums, size_t dim, int8_t *out)
{
    sophia_scale_i32_i8(sums, dim, out);
}

#define SOPHIA_ENC_SCALAR {sophia_tally_b1_scalar, sophia_sums_i32_scalar, sophia_scale_i32_i8_scalar}

#endif

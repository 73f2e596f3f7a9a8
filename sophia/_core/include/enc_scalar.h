/* Portable encoder kernels on pairs of uint64, which compilers turn into SSE2 and NEON; aarch64 runs these.
 */
#ifndef SOPHIA_ENC_SCALAR_H
#define SOPHIA_ENC_SCALAR_H

#include "enc_kernels.h"
#include "hash.h"

typedef uint64_t sophia_pair __attribute__((vector_size(16), aligned(8), may_alias));

static inline sophia_pair sophia_row_scalar(uint64_t name, size_t w)
{
    const uint64_t x = name + SOPHIA_MIX_C * (uint64_t)(w + 1);
    const sophia_pair row = {sophia_mix64(x), sophia_mix64(x + SOPHIA_MIX_C)};
    return row;
}

#define ENC_NAME(f) f##_scalar
#define ENC_TARGET
#define ENC_VEC sophia_pair
#define ENC_LANES 2
#define ENC_SIDE 4
#define ENC_LOAD(p) (*(const sophia_pair *)(p))
#define ENC_STORE(p, v) (*(sophia_pair *)(p) = (v))
#define ENC_XOR(a, b) ((a) ^ (b))
#define ENC_AND(a, b) ((a) & (b))
#define ENC_XOR3(a, b, c) ((a) ^ (b) ^ (c))
#define ENC_MAJ(a, b, c) (((a) & (b)) | ((c) & ((a) ^ (b))))
#define ENC_ROW(name, w) sophia_row_scalar((name), (w))
#include "enc_count.h"

/* Byte i becomes 1 where bit i of the byte `bits` is set. */
static inline uint64_t sophia_byte_lanes(uint64_t bits)
{
    const uint64_t chosen = (bits * 0x0101010101010101ull) & 0x8040201008040201ull;
    return ((chosen + 0x7F7F7F7F7F7F7F7Full) | chosen) >> 7 & 0x0101010101010101ull;
}

static void sophia_sums_i32_scalar(const uint64_t *planes, size_t depth, size_t words, int32_t total,
                                   int32_t *sums)
{
    for (size_t at = 0; at < 8 * words; at++) { /* eight lanes */
        uint64_t parts[3] = {0, 0, 0};          /* bytes 0, 1 and 2 of each lane's count */
        for (size_t j = 0; j < depth; j++) {
            const uint64_t bits = planes[j * words + at / 8] >> 8 * (at % 8) & 0xFF;
            parts[j / 8] |= sophia_byte_lanes(bits) << j % 8;
        }
        for (int i = 0; i < 8; i++) {
            int32_t count = 0;
            for (int part = 0; part < 3; part++) count |= (int32_t)(parts[part] >> 8 * i & 0xFF) << 8 * part;
            sums[8 * at + i] = total - 2 * count;
        }
    }
}

/* The rule of scale_i32_i8, inlined into each level's function so that each compiles it for its registers: a sum s becomes
 * sign(s) * floor((254 * |s| + largest) / (2 * largest)), that is 127 * s / largest to the nearest whole number, a half
 * away from zero; a largest of 0 gives zeros. With the half that is added to the dividend the quotient is at least
 * 1 / (4 * largest) from any whole number, which is more than rounding can move it: floats move it by less than 2^-15
 * (so a largest of 2^13 is theirs), doubles by less than 2^-44. The result is exact. */
#define SOPHIA_SCALE_FLOAT 8192

static inline __attribute__((always_inline)) void sophia_scale_i32_i8(const int32_t *sums, size_t dim,
                                                                      int8_t *out)
{
    int32_t largest = 0;
    for (size_t i = 0; i < dim; i++) {
        const int32_t size = sums[i] < 0 ? -sums[i] : sums[i];
        largest = size > largest ? size : largest;
    }
    if (largest <= SOPHIA_SCALE_FLOAT) {
        const float scale = largest ? 0.5f / (float)largest : 0.0f, half = (float)largest + 0.5f;
        for (size_t i = 0; i < dim; i++) {
            const int32_t size = sums[i] < 0 ? -sums[i] : sums[i];
            const int32_t level = (int32_t)(((float)size * 254.0f + half) * scale);
            out[i] = (int8_t)(sums[i] < 0 ? -level : level);
        }
        return;
    }
    const double scale = 0.5 / largest, half = largest + 0.5;
    for (size_t i = 0; i < dim; i++) {
        const int32_t size = sums[i] < 0 ? -sums[i] : sums[i];
        const int32_t level = (int32_t)((size * 254.0 + half) * scale);
        out[i] = (int8_t)(sums[i] < 0 ? -level : level);
    }
}

static void sophia_scale_i32_i8_scalar(const int32_t *sums, size_t dim, int8_t *out)
{
    sophia_scale_i32_i8(sums, dim, out);
}

#define SOPHIA_ENC_SCALAR {sophia_tally_b1_scalar, sophia_sums_i32_scalar, sophia_scale_i32_i8_scalar}

#endif

/* Hypervector kernels for NEON: exclusive or, rotation, distances, the scan. The rest is scalar C on this processor.
 *
 * CNT gives the population count of each byte; bytes are summed pairwise into 16 bits (UADALP) and across a
 * vector at the end. A 16-bit lane holds 4,095 steps of at most 16.
 */
#ifndef SOPHIA_HV_NEON_H
#define SOPHIA_HV_NEON_H

#include <arm_neon.h>

#include "cpu.h"
#include "hv_kernels.h"
#include "hv_scalar.h"

static void sophia_bind_b1_neon(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t words)
{
    size_t i = 0;
    for (; i + 2 <= words; i += 2) vst1q_u64(out + i, veorq_u64(vld1q_u64(a + i), vld1q_u64(b + i)));
    for (; i < words; i++) out[i] = a[i] ^ b[i];
}

static inline uint8x16_t sophia_byte_counts_neon(const uint64_t *a, const uint64_t *b)
{
    return vcntq_u8(vreinterpretq_u8_u64(veorq_u64(vld1q_u64(a), vld1q_u64(b))));
}

static uint64_t sophia_hamming_b1_neon(const uint64_t *a, const uint64_t *b, size_t words)
{
    uint64_t bits = 0;
    size_t i = 0;
    while (i + 2 <= words) {
        const size_t end = words - i < 4096 ? words : i + 4096;
        uint16x8_t s0 = vdupq_n_u16(0), s1 = s0, s2 = s0, s3 = s0;
        for (; i + 8 <= end; i += 8) {
            s0 = vpadalq_u8(s0, sophia_byte_counts_neon(a + i, b + i));
            s1 = vpadalq_u8(s1, sophia_byte_counts_neon(a + i + 2, b + i + 2));
            s2 = vpadalq_u8(s2, sophia_byte_counts_neon(a + i + 4, b + i + 4));
            s3 = vpadalq_u8(s3, sophia_byte_counts_neon(a + i + 6, b + i + 6));
        }
        for (; i + 2 <= end; i += 2) s0 = vpadalq_u8(s0, sophia_byte_counts_neon(a + i, b + i));
        bits += vaddlvq_u16(s0) + (uint64_t)vaddlvq_u16(s1) + vaddlvq_u16(s2) + (uint64_t)vaddlvq_u16(s3);
    }
    for (; i < words; i++) bits += sophia_popcount(a[i] ^ b[i]);
    return bits;
}

static uint64_t sophia_hamming_rows_b1_neon(const uint64_t *query, const uint64_t *rows, size_t n,
                                            size_t words, const uint64_t *padding, uint32_t *out)
{
    uint64_t dirty = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t *row = rows + i * words;
        out[i] = (uint32_t)sophia_hamming_b1_neon(query, row, words);
        if (padding) dirty |= sophia_padding_bits(row, words, padding);
    }
    return dirty;
}

static uint64_t sophia_hamming_tile_b1_neon(const uint64_t *queries, const uint64_t *rows, size_t n,
                                            size_t words,
                                            const uint64_t *padding, uint32_t *out, size_t stride)
{
    uint64_t dirty = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t *row = rows + i * words;
        for (size_t q = 0; q < SOPHIA_TILE_QUERIES; q++) {
            out[q * stride + i] = (uint32_t)sophia_hamming_b1_neon(queries + q * words, row, words);
        }
        if (padding) dirty |= sophia_padding_bits(row, words, padding);
    }
    return dirty;
}

static uint32_t sophia_least_u32_neon(const uint32_t *values, size_t n)
{
    uint32_t least = values[0];
    size_t i = 0;
    if (n >= 4) {
        uint32x4_t lanes = vld1q_u32(values);
        for (i = 4; i + 4 <= n; i += 4) lanes = vminq_u32(lanes, vld1q_u32(values + i));
        least = vminvq_u32(lanes);
    }
    for (; i < n; i++) least = values[i] < least ? values[i] : least;
    return least;
}

static uint64_t sophia_read_b1_neon(const uint64_t *rows, size_t words)
{
    uint64x2_t s0 = vdupq_n_u64(0), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 8 <= words; i += 8) {
        s0 = veorq_u64(s0, vld1q_u64(rows + i));
        s1 = veorq_u64(s1, vld1q_u64(rows + i + 2));
        s2 = veorq_u64(s2, vld1q_u64(rows + i + 4));
        s3 = veorq_u64(s3, vld1q_u64(rows + i + 6));
    }
    const uint64x2_t all = veorq_u64(veorq_u64(s0, s1), veorq_u64(s2, s3));
    return vgetq_lane_u64(all, 0) ^ vgetq_lane_u64(all, 1) ^ sophia_read_b1_scalar(rows + i, words - i);
}

/* SHL by a negative count shifts right. */
static inline void sophia_shift_words_neon(const uint64_t *in, unsigned bits, uint64_t *out, size_t words)
{
    const int64x2_t right = vdupq_n_s64(-(int64_t)bits), left = vdupq_n_s64(64 - (int64_t)bits);
    size_t i = 0;
    for (; bits && i + 2 <= words; i += 2) {
        const uint64x2_t low = vshlq_u64(vld1q_u64(in + i), right), high = vshlq_u64(vld1q_u64(in + i + 1), left);
        vst1q_u64(out + i, vorrq_u64(low, high));
    }
    sophia_shift_words_scalar(in + i, bits, out + i, words - i);
}

static void sophia_rotate_rows_b1_neon(const uint64_t *in, size_t in_words, uint64_t *out, size_t out_words,
                                       size_t n, size_t dim, size_t shift)
{
    for (size_t i = 0; i < n; i++) {
        sophia_rotate_words(sophia_shift_words_neon, in + i * in_words, out + i * out_words, dim, shift);
    }
}

#define SOPHIA_HV_NEON                                                                                     \
    {                                                                                                      \
        .bind_b1 = sophia_bind_b1_neon, .hamming_b1 = sophia_hamming_b1_neon,                              \
        .hamming_rows_b1 = sophia_hamming_rows_b1_neon, .hamming_tile_b1 = sophia_hamming_tile_b1_neon,    \
        .least_u32 = sophia_least_u32_neon, .read_b1 = sophia_read_b1_neon,                                \
        .majority_b1 = sophia_majority_b1_scalar,                                                          \
        .count_b1 = sophia_count_b1_scalar, .settle_b1 = sophia_settle_b1_scalar,                          \
        .rotate_rows_b1 = sophia_rotate_rows_b1_neon, .bind_i8 = sophia_bind_i8_scalar,                              \
        .dot_i8 = sophia_dot_i8_scalar, .dot_norm_i8 = sophia_dot_norm_i8_scalar,                          \
        .majority_i8 = sophia_majority_i8_scalar, .sum_i8 = sophia_sum_i8_scalar,                          \
        .add_i8 = sophia_add_i8_scalar, .sign_i32 = sophia_sign_i32_scalar,                                \
    }

#endif

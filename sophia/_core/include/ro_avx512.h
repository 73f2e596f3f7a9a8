/* The readout's kernels for AVX-512.
 *
 * Grams: those that end at eight places of a word at a time, one register for each length.
 * Scores: four rows at a time, interleaved by class, so that one VPDPBUSD multiplies and adds all four. Interleaving
 * mixes the classes inside a block; they are put right when a block is done. What it takes is the time to fetch the
 * rows: for 150 classes three lines each, of which a text has about 130, from a table larger than the second cache.
 * Weights: eight features at a time, the known ones packed; the table of idf is gathered from.
 */
#ifndef SOPHIA_RO_AVX512_H
#define SOPHIA_RO_AVX512_H

#include <immintrin.h>

#include "ahead.h"
#include "cpu.h"
#include "ro_scalar.h"

#define SOPHIA_RO_IDF_AHEAD 16 /* features whose idf is asked for ahead */

#define SOPHIA_RO_ROWS_AHEAD 16 /* rows that are asked for ahead */

typedef float sophia_f32x16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t sophia_i32x16 __attribute__((vector_size(64), aligned(4), may_alias));

SOPHIA_AVX512 static inline __m512i sophia_mix64_avx512(__m512i x)
{
    const __m512i by = _mm512_set1_epi64((long long)SOPHIA_MIX64_MULTIPLIER);
    x = _mm512_mullo_epi64(_mm512_xor_si512(x, _mm512_srli_epi64(x, 32)), by);
    x = _mm512_mullo_epi64(_mm512_xor_si512(x, _mm512_srli_epi64(x, 32)), by);
    return _mm512_xor_si512(x, _mm512_srli_epi64(x, 28));
}

/* Of eight places j to j + 7 of a word of `n` letters those where a gram of g code points ends. */
SOPHIA_AVX512 static inline unsigned sophia_ends_avx512(size_t j, size_t n, size_t g)
{
    const size_t last = n + 2 - (g == n + 2); /* the whole word is another feature */
    const unsigned upto = last < j ? 0u : last - j >= 7 ? 0xFFu : (2u << (last - j)) - 1;
    return g > j ? upto & (0xFFu << (g - j)) : upto;
}

/* Their hashes. */
SOPHIA_AVX512 static inline __m512i sophia_grams_at_avx512(const struct sophia_ro_grams *by, const uint64_t *prefix,
                                                           size_t j, size_t g, unsigned ends)
{
    const __m512i end = _mm512_maskz_loadu_epi64((__mmask8)ends, prefix + j);
    const __m512i start = _mm512_maskz_loadu_epi64((__mmask8)ends, prefix + j - g);
    const __m512i power = _mm512_set1_epi64((long long)by->power[g]), key = _mm512_set1_epi64((long long)by->key[g]);
    return sophia_mix64_avx512(_mm512_xor_si512(_mm512_sub_epi64(end, _mm512_mullo_epi64(start, power)), key));
}

/* Grams of two, three and four code points: three registers of them, put into the order of their ends. */
SOPHIA_AVX512 static inline size_t sophia_grams_2_4_avx512(const struct sophia_ro_grams *by, const uint64_t *prefix,
                                                           size_t n, uint64_t *hashes)
{
    static const uint64_t ORDER[3][8] = {/* of 24: three a place; those of four code points are put in after */
                                         {0, 8, 0, 1, 9, 0, 2, 10},
                                         {0, 3, 11, 0, 4, 12, 0, 5},
                                         {13, 0, 6, 14, 0, 7, 15, 0}};
    static const uint64_t LONG[3][8] = {{0, 0, 0, 0, 0, 1, 0, 0}, {2, 0, 0, 3, 0, 0, 4, 0}, {0, 5, 0, 0, 6, 0, 0, 7}};
    static const __mmask8 IS_LONG[3] = {0x24, 0x49, 0x92};
    uint64_t *to = hashes;
    for (size_t j = 2; j <= n + 2; j += 8) {
        const unsigned a = sophia_ends_avx512(j, n, 2), b = sophia_ends_avx512(j, n, 3);
        const unsigned c = sophia_ends_avx512(j, n, 4);
        const __m512i two = sophia_grams_at_avx512(by, prefix, j, 2, a);
        const __m512i three = sophia_grams_at_avx512(by, prefix, j, 3, b);
        const __m512i four = sophia_grams_at_avx512(by, prefix, j, 4, c);
        unsigned there = _pdep_u32(a, 0x249249) | _pdep_u32(b, 0x492492) | _pdep_u32(c, 0x924924);
        for (int k = 0; k < 3; k++, there >>= 8) {
            const __m512i mixed = _mm512_permutex2var_epi64(two, _mm512_loadu_si512(ORDER[k]), three);
            const __m512i all = _mm512_mask_permutexvar_epi64(mixed, IS_LONG[k], _mm512_loadu_si512(LONG[k]), four);
            _mm512_storeu_si512(to, _mm512_maskz_compress_epi64((__mmask8)there, all));
            to += __builtin_popcount(there & 0xFF);
        }
    }
    return (size_t)(to - hashes);
}

SOPHIA_AVX512 static size_t sophia_grams_avx512(const struct sophia_ro_grams *by, const uint64_t *prefix, size_t n,
                                                uint64_t *hashes)
{
    if (by->least == 2 && by->most == 4) return sophia_grams_2_4_avx512(by, prefix, n, hashes);
    if (by->least < by->most) return sophia_grams_scalar(by, prefix, n, hashes);
    const size_t g = by->least;
    uint64_t *to = hashes;
    for (size_t j = g; j <= n + 2; j += 8) {
        const unsigned ends = sophia_ends_avx512(j, n, g);
        _mm512_storeu_si512(to, sophia_grams_at_avx512(by, prefix, j, g, ends)); /* none is missing but at the end */
        to += __builtin_popcount(ends);
    }
    return (size_t)(to - hashes);
}

SOPHIA_AVX512 static size_t sophia_sieve_avx512(const uint32_t *places, size_t n, const uint32_t *cells, uint32_t mask,
                                                uint32_t *numbers)
{
    const __m512i within = _mm512_set1_epi32((int)mask);
    __m512i number = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t count = 0;
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 here = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xFFFF;
        const __m512i at = _mm512_and_si512(_mm512_maskz_loadu_epi32(here, places + i), within);
        const __m512i cell = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), here, at, cells, 4);
        const __mmask16 held = _mm512_test_epi32_mask(cell, cell);
        _mm512_storeu_si512(numbers + count, _mm512_maskz_compress_epi32(held, number));
        count += (size_t)__builtin_popcount(held);
        number = _mm512_add_epi32(number, _mm512_set1_epi32(16));
    }
    return count;
}

SOPHIA_AVX512 static void sophia_scaled_avx512(const int32_t *weights, size_t n, double scale, int16_t *values)
{
    const __m512d by = _mm512_set1_pd(scale);
    const __m512i half = _mm512_castpd_si512(_mm512_set1_pd(0.5)), sign = _mm512_castpd_si512(_mm512_set1_pd(-0.0));
    for (size_t i = 0; i < n; i += 8) {
        const __mmask8 here = n - i < 8 ? (__mmask8)((1u << (n - i)) - 1) : (__mmask8)0xFF;
        const __m512d value = _mm512_mul_pd(_mm512_cvtepi32_pd(_mm256_maskz_loadu_epi32(here, weights + i)), by);
        const __m512i away = _mm512_or_si512(half, _mm512_and_si512(sign, _mm512_castpd_si512(value)));
        const __m256i whole = _mm512_cvttpd_epi32(_mm512_add_pd(value, _mm512_castsi512_pd(away)));
        _mm_mask_storeu_epi16(values + i, here, _mm256_cvtepi32_epi16(whole));
    }
}

SOPHIA_AVX512 static struct sophia_ro_tally sophia_weigh_avx512(const struct sophia_ro_weighing *by,
                                                                const uint64_t *hashes, const uint8_t *kinds, size_t n,
                                                                uint16_t *numbers, uint32_t *positions,
                                                                int32_t *weights)
{
    const __m512i dim = _mm512_set1_epi64(by->dim), buckets = _mm512_set1_epi64(SOPHIA_RO_BUCKETS - 1);
    const __m512i one = _mm512_set1_epi64(1);
    const __m256i unseen = _mm256_set1_epi32(by->unseen), half = _mm256_set1_epi32(0xFFFF);
    const __m256i of_kind = _mm256_castsi128_si256(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)by->kinds)));
    __m512i squares = _mm512_setzero_si512();
    __m256i least = _mm256_set1_epi32(-1), number = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    struct sophia_ro_tally tally = {0, 0, UINT32_MAX};
    for (size_t i = 0; i < n; i += 8) {
        for (size_t k = i + SOPHIA_RO_IDF_AHEAD; k < n && k < i + SOPHIA_RO_IDF_AHEAD + 8; k++)
            sophia_ahead(by->idf + sophia_ro_bucket(hashes[k]));
        const __mmask8 here = n - i < 8 ? (__mmask8)((1u << (n - i)) - 1) : (__mmask8)0xFF;
        const __m512i hash = _mm512_maskz_loadu_epi64(here, hashes + i);
        const __m512i bucket = _mm512_and_si512(_mm512_srli_epi64(hash, 8), buckets);
        const __m256i idf = _mm256_and_si256(
            _mm512_mask_i64gather_epi32(_mm256_setzero_si256(), here, bucket, by->idf, sizeof *by->idf), half);
        const __mmask8 seen = _mm256_test_epi32_mask(idf, idf);
        const __m256i kind = _mm256_cvtepu8_epi32(_mm_maskz_loadu_epi8(here, kinds + i));
        const __m256i factor = _mm256_permutevar8x32_epi32(of_kind, kind);
        const __m256i weight = _mm256_maskz_srli_epi32(
            here, _mm256_mullo_epi32(factor, _mm256_mask_mov_epi32(unseen, seen, idf)), 8);
        const __m512i wide = _mm512_cvtepu32_epi64(weight);
        squares = _mm512_add_epi64(squares, _mm512_mul_epu32(wide, wide));
        const __mmask8 known = seen & _mm256_test_epi32_mask(weight, weight);
        least = _mm256_mask_min_epu32(least, known, least, weight);
        const __m256i position = _mm512_cvtepi64_epi32(
            _mm512_srli_epi64(_mm512_mul_epu32(_mm512_srli_epi64(hash, 32), dim), 32));
        const __m256i signed_ = _mm256_mask_sub_epi32(weight, _mm512_test_epi64_mask(hash, one), _mm256_setzero_si256(),
                                                      weight);
        _mm256_storeu_si256((__m256i *)(positions + tally.count), _mm256_maskz_compress_epi32(known, position));
        _mm256_storeu_si256((__m256i *)(weights + tally.count), _mm256_maskz_compress_epi32(known, signed_));
        _mm_storeu_si128((__m128i *)(numbers + tally.count),
                         _mm256_cvtepi32_epi16(_mm256_maskz_compress_epi32(known, number)));
        number = _mm256_add_epi32(number, _mm256_set1_epi32(8));
        tally.count += (uint32_t)__builtin_popcount(known);
    }
    tally.squares = (uint64_t)_mm512_reduce_add_epi64(squares);
    tally.least = _mm512_mask_reduce_min_epu32(0xFF, _mm512_castsi256_si512(least));
    return tally;
}

/* Sums of 64 classes, of the low and of the high bytes of the values: register i has classes 4 i to 4 i + 3 of each
 * sixteen. */
struct sophia_quad_avx512 {
    __m512i low0, low1, low2, low3, high0, high1, high2, high3;
};

/* Adds four rows of 64 bytes times their values, which are split into signed bytes. The rows are interleaved class by
 * class, and their weights made unsigned by adding 128, which is taken back at the end: so VPDPBUSD multiplies and adds
 * four of them at once. */
SOPHIA_AVX512 static inline __attribute__((always_inline)) struct sophia_quad_avx512
sophia_add_rows_avx512(struct sophia_quad_avx512 sums, __m512i a, __m512i b, __m512i c, __m512i d, __m512i low,
                       __m512i high)
{
    const __m512i unsign = _mm512_set1_epi8((char)0x80);
    const __m512i ab = _mm512_unpacklo_epi8(a, b), ab8 = _mm512_unpackhi_epi8(a, b);
    const __m512i cd = _mm512_unpacklo_epi8(c, d), cd8 = _mm512_unpackhi_epi8(c, d);
    const __m512i four0 = _mm512_xor_si512(_mm512_unpacklo_epi16(ab, cd), unsign);
    const __m512i four1 = _mm512_xor_si512(_mm512_unpackhi_epi16(ab, cd), unsign);
    const __m512i four2 = _mm512_xor_si512(_mm512_unpacklo_epi16(ab8, cd8), unsign);
    const __m512i four3 = _mm512_xor_si512(_mm512_unpackhi_epi16(ab8, cd8), unsign);
    sums.low0 = _mm512_dpbusd_epi32(sums.low0, four0, low);
    sums.low1 = _mm512_dpbusd_epi32(sums.low1, four1, low);
    sums.low2 = _mm512_dpbusd_epi32(sums.low2, four2, low);
    sums.low3 = _mm512_dpbusd_epi32(sums.low3, four3, low);
    sums.high0 = _mm512_dpbusd_epi32(sums.high0, four0, high);
    sums.high1 = _mm512_dpbusd_epi32(sums.high1, four1, high);
    sums.high2 = _mm512_dpbusd_epi32(sums.high2, four2, high);
    sums.high3 = _mm512_dpbusd_epi32(sums.high3, four3, high);
    return sums;
}

SOPHIA_AVX512 static inline __m512i sophia_sum_avx512(__m512i low, __m512i high, __m512i extra)
{
    return _mm512_sub_epi32(_mm512_add_epi32(low, _mm512_slli_epi32(high, 8)), extra);
}

/* Writes 64 sums in the order of their classes; of a tail, whose registers hold two halves of the rows, 32. `extra` is
 * 128 times the sum of all values. */
SOPHIA_AVX512 static inline __attribute__((always_inline)) void
sophia_store_sums_avx512(struct sophia_quad_avx512 sums, __m512i extra, int32_t *out, const int tail)
{
    __m512i a = sophia_sum_avx512(sums.low0, sums.high0, tail ? _mm512_setzero_si512() : extra);
    __m512i b = sophia_sum_avx512(sums.low1, sums.high1, tail ? _mm512_setzero_si512() : extra);
    __m512i c = sophia_sum_avx512(sums.low2, sums.high2, tail ? _mm512_setzero_si512() : extra);
    __m512i d = sophia_sum_avx512(sums.low3, sums.high3, tail ? _mm512_setzero_si512() : extra);
    const __m512i low_ab = _mm512_shuffle_i32x4(a, b, 0x44), low_cd = _mm512_shuffle_i32x4(c, d, 0x44);
    const __m512i high_ab = _mm512_shuffle_i32x4(a, b, 0xEE), high_cd = _mm512_shuffle_i32x4(c, d, 0xEE);
    a = _mm512_shuffle_i32x4(low_ab, low_cd, 0x88);
    b = _mm512_shuffle_i32x4(low_ab, low_cd, 0xDD);
    c = _mm512_shuffle_i32x4(high_ab, high_cd, 0x88);
    d = _mm512_shuffle_i32x4(high_ab, high_cd, 0xDD);
    if (tail) {
        _mm512_storeu_si512(out, _mm512_sub_epi32(_mm512_add_epi32(a, c), extra));
        _mm512_storeu_si512(out + 16, _mm512_sub_epi32(_mm512_add_epi32(b, d), extra));
        return;
    }
    _mm512_storeu_si512(out, a);
    _mm512_storeu_si512(out + 16, b);
    _mm512_storeu_si512(out + 32, c);
    _mm512_storeu_si512(out + 48, d);
}

/* 64 bytes of a row; 32 bytes of two rows. */
SOPHIA_AVX512 static inline __m512i sophia_row_bytes_avx512(const int8_t *row)
{
    return _mm512_loadu_si512(row);
}

SOPHIA_AVX512 static inline __m512i sophia_two_rows_avx512(const int8_t *first, const int8_t *second)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)first)),
                              _mm256_loadu_si256((const __m256i *)second), 1);
}

/* 64 * `blocks` classes (two at most) from `weights` on, and 32 more where there is a `tail`, eight rows at a time.
 * Inline for constant numbers, whose sums are in registers. */
SOPHIA_AVX512 static inline __attribute__((always_inline)) void sophia_score_blocks_avx512(
    const int8_t *weights, size_t stride, const uint32_t *positions, const int16_t *values, size_t n, int32_t *sums,
    const int blocks, const int tail)
{
    const __m512i zero = _mm512_setzero_si512();
    struct sophia_quad_avx512 first = {zero, zero, zero, zero, zero, zero, zero, zero}, second = first, last = first;
    __m128i added = _mm_setzero_si128();
    for (size_t i = 0; i < n; i += 8) {
        const int left = n - i < 8 ? (int)(n - i) : 8;
        for (size_t k = i + SOPHIA_RO_ROWS_AHEAD; k < n && k < i + SOPHIA_RO_ROWS_AHEAD + 8; k++)
            for (int b = 0; b < 64 * blocks + 32 * tail; b += 64)
                sophia_ahead(weights + (size_t)positions[k] * stride + b);
        /* past the last row the first one again, times 0 */
        const int8_t *const r0 = weights + (size_t)positions[i] * stride;
        const int8_t *const r1 = left > 1 ? weights + (size_t)positions[i + 1] * stride : r0;
        const int8_t *const r2 = left > 2 ? weights + (size_t)positions[i + 2] * stride : r0;
        const int8_t *const r3 = left > 3 ? weights + (size_t)positions[i + 3] * stride : r0;
        const int8_t *const r4 = left > 4 ? weights + (size_t)positions[i + 4] * stride : r0;
        const int8_t *const r5 = left > 5 ? weights + (size_t)positions[i + 5] * stride : r0;
        const int8_t *const r6 = left > 6 ? weights + (size_t)positions[i + 6] * stride : r0;
        const int8_t *const r7 = left > 7 ? weights + (size_t)positions[i + 7] * stride : r0;
        const __m128i value = _mm_maskz_loadu_epi16((__mmask8)((1u << left) - 1), values + i);
        const __m128i least = _mm_srai_epi16(_mm_slli_epi16(value, 8), 8); /* -128 to 127 */
        const __m128i most = _mm_srai_epi16(_mm_sub_epi16(value, least), 8);
        const __m128i bytes = _mm_packs_epi16(least, most);
        const __m512i low = _mm512_broadcastd_epi32(bytes), high = _mm512_broadcastd_epi32(_mm_srli_si128(bytes, 8));
        const __m512i low4 = _mm512_broadcastd_epi32(_mm_srli_si128(bytes, 4));
        const __m512i high4 = _mm512_broadcastd_epi32(_mm_srli_si128(bytes, 12));
        added = _mm_dpwssd_epi32(added, value, _mm_set1_epi16(1));
        if (blocks > 0) {
            first = sophia_add_rows_avx512(first, sophia_row_bytes_avx512(r0), sophia_row_bytes_avx512(r1),
                                           sophia_row_bytes_avx512(r2), sophia_row_bytes_avx512(r3), low, high);
            first = sophia_add_rows_avx512(first, sophia_row_bytes_avx512(r4), sophia_row_bytes_avx512(r5),
                                           sophia_row_bytes_avx512(r6), sophia_row_bytes_avx512(r7), low4, high4);
        }
        if (blocks > 1) {
            second = sophia_add_rows_avx512(second, sophia_row_bytes_avx512(r0 + 64), sophia_row_bytes_avx512(r1 + 64),
                                            sophia_row_bytes_avx512(r2 + 64), sophia_row_bytes_avx512(r3 + 64), low,
                                            high);
            second = sophia_add_rows_avx512(second, sophia_row_bytes_avx512(r4 + 64), sophia_row_bytes_avx512(r5 + 64),
                                            sophia_row_bytes_avx512(r6 + 64), sophia_row_bytes_avx512(r7 + 64), low4,
                                            high4);
        }
        if (tail) {
            const size_t at = 64 * (size_t)blocks;
            last = sophia_add_rows_avx512(last, sophia_two_rows_avx512(r0 + at, r4 + at),
                                          sophia_two_rows_avx512(r1 + at, r5 + at),
                                          sophia_two_rows_avx512(r2 + at, r6 + at),
                                          sophia_two_rows_avx512(r3 + at, r7 + at),
                                          _mm512_mask_mov_epi32(low, 0xFF00, low4),
                                          _mm512_mask_mov_epi32(high, 0xFF00, high4));
        }
    }
    added = _mm_add_epi32(added, _mm_shuffle_epi32(added, 0x4E));
    added = _mm_add_epi32(added, _mm_shuffle_epi32(added, 0xB1));
    const __m512i extra = _mm512_slli_epi32(_mm512_broadcastd_epi32(added), 7);
    if (blocks > 0) sophia_store_sums_avx512(first, extra, sums, 0);
    if (blocks > 1) sophia_store_sums_avx512(second, extra, sums + 64, 0);
    if (tail) sophia_store_sums_avx512(last, extra, sums + 64 * (size_t)blocks, 1);
}

/* Sixteen rows of four classes at a time, one row a lane. */
SOPHIA_AVX512 static inline void sophia_score_narrow_avx512(const int8_t *weights, const uint32_t *positions,
                                                           const int16_t *values, size_t n, int32_t *sums)
{
    __m512i total[SOPHIA_RO_NARROW];
    for (int c = 0; c < SOPHIA_RO_NARROW; c++) total[c] = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16) {
        const __mmask16 here = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xFFFF;
        __m512i rows = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), here,
                                                   _mm512_maskz_loadu_epi32(here, positions + i), weights, 4);
        const __m512i value = _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(here, values + i));
        for (int c = SOPHIA_RO_NARROW - 1; c >= 0; c--) { /* the class that is last is on top */
            total[c] = _mm512_add_epi32(total[c], _mm512_mullo_epi32(_mm512_srai_epi32(rows, 24), value));
            rows = _mm512_slli_epi32(rows, 8);
        }
    }
    for (int c = 0; c < SOPHIA_RO_NARROW; c++) sums[c] = _mm512_reduce_add_epi32(total[c]);
}

SOPHIA_AVX512 static void sophia_score_i8_avx512(const int8_t *weights, size_t stride, const uint32_t *positions,
                                         const int16_t *values, size_t n, int32_t *sums)
{
    size_t c = 0;
    if (stride == SOPHIA_RO_NARROW) {
        sophia_score_narrow_avx512(weights, positions, values, n, sums);
        return;
    }
    for (; c + 160 < stride; c += 128)
        sophia_score_blocks_avx512(weights + c, stride, positions, values, n, sums + c, 2, 0);
    switch (stride - c) {
    case 32: sophia_score_blocks_avx512(weights + c, stride, positions, values, n, sums + c, 0, 1); break;
    case 64: sophia_score_blocks_avx512(weights + c, stride, positions, values, n, sums + c, 1, 0); break;
    case 96: sophia_score_blocks_avx512(weights + c, stride, positions, values, n, sums + c, 1, 1); break;
    case 128: sophia_score_blocks_avx512(weights + c, stride, positions, values, n, sums + c, 2, 0); break;
    default: sophia_score_blocks_avx512(weights + c, stride, positions, values, n, sums + c, 2, 1); break;
    }
}

SOPHIA_AVX512 static inline __m512d sophia_scores_avx512(const int32_t *sums, const double *scales, uint32_t left)
{
    const __mmask8 here = left < 8 ? (__mmask8)((1u << left) - 1) : (__mmask8)0xFF;
    const __m512d scores = _mm512_mul_pd(_mm512_cvtepi32_pd(_mm256_maskz_loadu_epi32(here, sums)),
                                         _mm512_maskz_loadu_pd(here, scales));
    return _mm512_mask_mov_pd(_mm512_set1_pd(-1e308), here, scores);
}

/* The two largest of each lane, of these the two largest, then the first places that have them. */
SOPHIA_AVX512 static struct sophia_ro_best sophia_best_avx512(const int32_t *sums, const double *scales,
                                                              uint32_t classes)
{
    __m512d most = _mm512_set1_pd(-1e308), next = most;
    for (uint32_t c = 0; c < classes; c += 8) {
        const __m512d scores = sophia_scores_avx512(sums + c, scales + c, classes - c);
        next = _mm512_max_pd(next, _mm512_min_pd(most, scores));
        most = _mm512_max_pd(most, scores);
    }
    struct sophia_ro_best best = {classes, classes, _mm512_reduce_max_pd(most), 0.0};
    const unsigned lanes = _mm512_cmp_pd_mask(most, _mm512_set1_pd(best.first_score), _CMP_EQ_OQ);
    best.second_score = _mm512_reduce_max_pd(_mm512_mask_mov_pd(most, (__mmask8)(lanes & -lanes), next));
    const __m512d first = _mm512_set1_pd(best.first_score), second = _mm512_set1_pd(best.second_score);
    for (uint32_t c = 0; c < classes && (best.first == classes || best.second == classes); c += 8) {
        const __m512d scores = sophia_scores_avx512(sums + c, scales + c, classes - c);
        unsigned equal = _mm512_cmp_pd_mask(scores, first, _CMP_EQ_OQ);
        if (equal && best.first == classes) best.first = c + (uint32_t)__builtin_ctz(equal);
        equal = _mm512_cmp_pd_mask(scores, second, _CMP_EQ_OQ);
        if (best.first >= c && best.first < c + 8) equal &= ~(1u << (best.first - c));
        if (equal && best.second == classes) best.second = c + (uint32_t)__builtin_ctz(equal);
    }
    if (classes == 1) {
        best.second = 0;
        best.second_score = best.first_score;
    }
    return best;
}

#define RO_NAME(name) name##_avx512
#define RO_TARGET SOPHIA_AVX512
#define RO_F32 sophia_f32x16
#define RO_I32 sophia_i32x16
#define RO_WIDTH 16
#include "ro_lanes.h"

#define SOPHIA_RO_AVX512                                                                                     \
    {                                                                                                      \
        sophia_grams_avx512, sophia_weigh_avx512, sophia_sieve_avx512, sophia_scaled_avx512,               \
            sophia_score_i8_avx512, sophia_best_avx512, sophia_score_f32_avx512,                           \
            sophia_gradient_f32_avx512, sophia_descend_f32_avx512                                          \
    }

#endif

/* The readout's kernels for AVX-512.
 *
 * Scores: two rows at a time, their int8 weights widened to int16 and interleaved by class, so that one VPMADDWD
 * multiplies and adds both. Interleaving mixes the classes inside a block; they are put right when a block is done.
 * Weights: eight features at a time, the known ones packed; the table of idf is gathered from.
 */
#ifndef SOPHIA_RO_AVX512_H
#define SOPHIA_RO_AVX512_H

#include <immintrin.h>

#include "ahead.h"
#include "cpu.h"
#include "ro_scalar.h"

#define SOPHIA_RO_IDF_AHEAD 64 /* features whose idf is asked for ahead */

#define SOPHIA_RO_ABREAST 5   /* blocks of 32 classes whose sums are kept in registers */

typedef float sophia_f32x16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t sophia_i32x16 __attribute__((vector_size(64), aligned(4), may_alias));

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

/* 32 * `blocks` classes from `weights` on; inline for a constant number, whose sums are in registers. */
SOPHIA_AVX512 static inline __attribute__((always_inline)) void sophia_score_blocks_avx512(
    const int8_t *weights, size_t stride, const uint32_t *positions, const int16_t *values, size_t n, int32_t *sums,
    const size_t blocks)
{
    __m512i low[SOPHIA_RO_ABREAST], high[SOPHIA_RO_ABREAST];
    for (size_t k = 0; k < blocks; k++) low[k] = high[k] = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 2) {
        const int second = i + 1 < n;
        const int8_t *const p = weights + (size_t)positions[i] * stride;
        const int8_t *const q = second ? weights + (size_t)positions[i + 1] * stride : p;
        const uint32_t pair = (uint16_t)values[i] | (uint32_t)(uint16_t)(second ? values[i + 1] : 0) << 16;
        const __m512i value = _mm512_set1_epi32((int32_t)pair);
#pragma GCC unroll 8
        for (size_t k = 0; k < blocks; k++) {
            const __m512i a = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(p + 32 * k)));
            const __m512i b = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(q + 32 * k)));
            low[k] = _mm512_add_epi32(low[k], _mm512_madd_epi16(_mm512_unpacklo_epi16(a, b), value));
            high[k] = _mm512_add_epi32(high[k], _mm512_madd_epi16(_mm512_unpackhi_epi16(a, b), value));
        }
    }
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
#pragma GCC unroll 8
    for (size_t k = 0; k < blocks; k++) {
        _mm512_storeu_si512(sums + 32 * k, _mm512_permutex2var_epi64(low[k], first, high[k]));
        _mm512_storeu_si512(sums + 32 * k + 16, _mm512_permutex2var_epi64(low[k], second, high[k]));
    }
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
    for (; c + 32 * SOPHIA_RO_ABREAST <= stride; c += 32 * SOPHIA_RO_ABREAST)
        sophia_score_blocks_avx512(weights + c, stride, positions, values, n, sums + c, SOPHIA_RO_ABREAST);
    for (; c + 64 <= stride; c += 64)
        sophia_score_blocks_avx512(weights + c, stride, positions, values, n, sums + c, 2);
    if (c < stride) sophia_score_blocks_avx512(weights + c, stride, positions, values, n, sums + c, 1);
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
        sophia_weigh_avx512, sophia_score_i8_avx512, sophia_best_avx512, sophia_score_f32_avx512,          \
            sophia_gradient_f32_avx512, sophia_descend_f32_avx512                                          \
    }

#endif

/* The readout's kernels for AVX2.
 *
 * Scores: two rows at a time, their int8 weights widened to int16 and interleaved by class, so that one VPMADDWD
 * multiplies and adds both. Interleaving mixes the classes inside a block; they are put right when a block is done.
 * Hashes and weights of features need products of 64 bits and packing by a mask, which AVX2 lacks.
 */
#ifndef SOPHIA_RO_AVX2_H
#define SOPHIA_RO_AVX2_H

#include <immintrin.h>

#include "cpu.h"
#include "ro_scalar.h"

typedef float sophia_f32x8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t sophia_i32x8 __attribute__((vector_size(32), aligned(4), may_alias));

/* 16 classes from `weights` on. */
SOPHIA_AVX2 static inline void sophia_score_block_avx2(const int8_t *weights, size_t stride, const uint32_t *positions,
                                                    const int16_t *values, size_t n, int32_t *sums)
{
    __m256i low = _mm256_setzero_si256(), high = low;
    for (size_t i = 0; i < n; i += 2) {
        const int second = i + 1 < n;
        const int8_t *const p = weights + (size_t)positions[i] * stride;
        const int8_t *const q = second ? weights + (size_t)positions[i + 1] * stride : p;
        const __m256i a = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
        const __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)q));
        const uint32_t pair = (uint16_t)values[i] | (uint32_t)(uint16_t)(second ? values[i + 1] : 0) << 16;
        const __m256i value = _mm256_set1_epi32((int32_t)pair);
        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), value));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), value));
    }
    _mm256_storeu_si256((__m256i *)sums, _mm256_permute2x128_si256(low, high, 0x20));
    _mm256_storeu_si256((__m256i *)(sums + 8), _mm256_permute2x128_si256(low, high, 0x31));
}

SOPHIA_AVX2 static void sophia_score_i8_avx2(const int8_t *weights, size_t stride, const uint32_t *positions,
                                         const int16_t *values, size_t n, int32_t *sums)
{
    if (stride == SOPHIA_RO_NARROW) {
        sophia_score_i8_scalar(weights, stride, positions, values, n, sums);
        return;
    }
    for (size_t c = 0; c < stride; c += 16)
        sophia_score_block_avx2(weights + c, stride, positions, values, n, sums + c);
}

/* Eight places at a time; that one of them has a cell is rare. */
SOPHIA_AVX2 static size_t sophia_sieve_avx2(const uint32_t *places, size_t n, const uint32_t *cells, uint32_t mask,
                                            uint32_t *numbers)
{
    const __m256i within = _mm256_set1_epi32((int)mask), zero = _mm256_setzero_si256();
    size_t count = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256i at = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(places + i)), within);
        const __m256i empty = _mm256_cmpeq_epi32(_mm256_i32gather_epi32((const int *)cells, at, 4), zero);
        unsigned held = ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(empty)) & 0xFF;
        for (; held; held &= held - 1) numbers[count++] = (uint32_t)(i + (size_t)__builtin_ctz(held));
    }
    for (; i < n; i++) {
        numbers[count] = (uint32_t)i;
        count += cells[places[i] & mask] != 0;
    }
    return count;
}

SOPHIA_AVX2 static void sophia_scaled_avx2(const int32_t *weights, size_t n, double scale, int16_t *values)
{
    const __m256d by = _mm256_set1_pd(scale), half = _mm256_set1_pd(0.5), sign = _mm256_set1_pd(-0.0);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const __m256d value = _mm256_mul_pd(_mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *)(weights + i))), by);
        const __m256d away = _mm256_or_pd(half, _mm256_and_pd(sign, value));
        const __m128i whole = _mm256_cvttpd_epi32(_mm256_add_pd(value, away));
        _mm_storel_epi64((__m128i *)(values + i), _mm_packs_epi32(whole, whole));
    }
    sophia_scaled_scalar(weights + i, n - i, scale, values + i);
}

#define RO_NAME(name) name##_avx2
#define RO_TARGET SOPHIA_AVX2
#define RO_F32 sophia_f32x8
#define RO_I32 sophia_i32x8
#define RO_WIDTH 8
#include "ro_lanes.h"

#define SOPHIA_RO_AVX2                                                                                     \
    {                                                                                                      \
        sophia_grams_scalar, sophia_weigh_scalar, sophia_sieve_avx2, sophia_scaled_avx2,                   \
            sophia_score_i8_avx2, sophia_best_scalar, sophia_score_f32_avx2, sophia_gradient_f32_avx2,     \
            sophia_descend_f32_avx2                                                                        \
    }

#endif

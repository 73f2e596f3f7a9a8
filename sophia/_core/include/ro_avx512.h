/* The readout's kernels for AVX-512.
 *
 * Scores: two rows at a time, their int8 weights widened to int16 and interleaved by class, so that one VPMADDWD
 * multiplies and adds both. Interleaving mixes the classes inside a block; they are put right when a block is done.
 */
#ifndef SOPHIA_RO_AVX512_H
#define SOPHIA_RO_AVX512_H

#include <immintrin.h>

#include "cpu.h"
#include "ro_scalar.h"

typedef float sophia_f32x16 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t sophia_i32x16 __attribute__((vector_size(64), aligned(4), may_alias));

/* 32 classes from `weights` on. */
SOPHIA_AVX512 static inline void sophia_score_block_avx512(const int8_t *weights, size_t stride, const uint32_t *positions,
                                                    const int16_t *values, size_t n, int32_t *sums)
{
    __m512i low = _mm512_setzero_si512(), high = low;
    for (size_t i = 0; i < n; i += 2) {
        const int second = i + 1 < n;
        const int8_t *const p = weights + (size_t)positions[i] * stride;
        const int8_t *const q = second ? weights + (size_t)positions[i + 1] * stride : p;
        const __m512i a = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p));
        const __m512i b = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)q));
        const uint32_t pair = (uint16_t)values[i] | (uint32_t)(uint16_t)(second ? values[i + 1] : 0) << 16;
        const __m512i value = _mm512_set1_epi32((int32_t)pair);
        low = _mm512_add_epi32(low, _mm512_madd_epi16(_mm512_unpacklo_epi16(a, b), value));
        high = _mm512_add_epi32(high, _mm512_madd_epi16(_mm512_unpackhi_epi16(a, b), value));
    }
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    _mm512_storeu_si512(sums, _mm512_permutex2var_epi64(low, first, high));
    _mm512_storeu_si512(sums + 16, _mm512_permutex2var_epi64(low, second, high));
}

SOPHIA_AVX512 static void sophia_score_i8_avx512(const int8_t *weights, size_t stride, const uint32_t *positions,
                                         const int16_t *values, size_t n, int32_t *sums)
{
    for (size_t c = 0; c < stride; c += 32)
        sophia_score_block_avx512(weights + c, stride, positions, values, n, sums + c);
}

#define RO_NAME(name) name##_avx512
#define RO_TARGET SOPHIA_AVX512
#define RO_F32 sophia_f32x16
#define RO_I32 sophia_i32x16
#define RO_WIDTH 16
#include "ro_lanes.h"

#define SOPHIA_RO_AVX512                                                                                     \
    {                                                                                                      \
        sophia_score_i8_avx512, sophia_score_f32_avx512, sophia_gradient_f32_avx512, sophia_descend_f32_avx512    \
    }

#endif

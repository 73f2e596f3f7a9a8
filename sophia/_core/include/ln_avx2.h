/* AVX2 dense linear kernels: eight floats a register. */
#ifndef SOPHIA_LN_AVX2_H
#define SOPHIA_LN_AVX2_H

#include <immintrin.h>

#include "cpu.h"
#include "ln_scalar.h"

typedef float sophia_f8 __attribute__((vector_size(32), may_alias));
typedef int32_t sophia_i8 __attribute__((vector_size(32), may_alias));

SOPHIA_AVX2 static inline sophia_f8 sophia_load_f8(const int8_t *p)
{
    return (sophia_f8)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

SOPHIA_AVX2 static inline void sophia_store_f8(int8_t *p, sophia_f8 v)
{
    const __m256i whole = _mm256_cvttps_epi32((__m256)v);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(words, words));
}

#define LN_NAME(f) f##_avx2
#define LN_TARGET SOPHIA_AVX2
#define LN_WIDTH 8
#define LN_F sophia_f8
#define LN_I sophia_i8
#define LN_LOAD_I8(p) sophia_load_f8(p)
#define LN_STORE_I8(p, v) sophia_store_f8(p, v)
#include "ln_dense.h"

#define SOPHIA_LN_AVX2                                                                                     \
    {sophia_project_f32_avx2, sophia_wave_f32_i8_avx2, sophia_dot_f32_i8_avx2, sophia_add_f32_i8_avx2}

#endif

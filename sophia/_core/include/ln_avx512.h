/* AVX-512 dense linear kernels: sixteen floats a register. */
#ifndef SOPHIA_LN_AVX512_H
#define SOPHIA_LN_AVX512_H

#include <immintrin.h>

#include "cpu.h"
#include "ln_scalar.h"

typedef float sophia_f16 __attribute__((vector_size(64), may_alias));
typedef int32_t sophia_i16 __attribute__((vector_size(64), may_alias));

SOPHIA_AVX512 static inline sophia_f16 sophia_load_f16(const int8_t *p)
{
    return (sophia_f16)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

SOPHIA_AVX512 static inline void sophia_store_f16(int8_t *p, sophia_f16 v)
{
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32((__m512)v)));
}

#define LN_NAME(f) f##_avx512
#define LN_TARGET SOPHIA_AVX512
#define LN_WIDTH 16
#define LN_F sophia_f16
#define LN_I sophia_i16
#define LN_LOAD_I8(p) sophia_load_f16(p)
#define LN_STORE_I8(p, v) sophia_store_f16(p, v)
#include "ln_dense.h"

#define SOPHIA_LN_AVX512                                                                                     \
    {sophia_project_f32_avx512, sophia_wave_f32_i8_avx512, sophia_dot_f32_i8_avx512, sophia_add_f32_i8_avx512}

#endif

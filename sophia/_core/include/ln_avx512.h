/* AVX-512 dense linear kernels: sixteen floats a register. */
#ifndef SOPHIA_LN_AVX512_H
#define SOPHIA_LN_AVX512_H

#include "cpu.h"
#include "ln_scalar.h"

typedef float sophia_f16 __attribute__((vector_size(64), may_alias));
typedef int32_t sophia_i16 __attribute__((vector_size(64), may_alias));
typedef int8_t sophia_b16 __attribute__((vector_size(16), may_alias));

#define LN_NAME(f) f##_avx512
#define LN_TARGET SOPHIA_AVX512
#define LN_WIDTH 16
#define LN_F sophia_f16
#define LN_I sophia_i16
#define LN_B sophia_b16
#include "ln_dense.h"

#define SOPHIA_LN_AVX512                                                                                     \
    {sophia_project_f32_avx512, sophia_wave_f32_i8_avx512, sophia_dot_f32_i8_avx512, sophia_add_f32_i8_avx512}

#endif

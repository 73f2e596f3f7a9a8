/* AVX2 dense linear kernels: eight floats a register. */
#ifndef SOPHIA_LN_AVX2_H
#define SOPHIA_LN_AVX2_H

#include "cpu.h"
#include "ln_scalar.h"

typedef float sophia_f8 __attribute__((vector_size(32), may_alias));
typedef int32_t sophia_i8 __attribute__((vector_size(32), may_alias));
typedef int8_t sophia_b8 __attribute__((vector_size(8), may_alias));

#define LN_NAME(f) f##_avx2
#define LN_TARGET SOPHIA_AVX2
#define LN_WIDTH 8
#define LN_F sophia_f8
#define LN_I sophia_i8
#define LN_B sophia_b8
#include "ln_dense.h"

#define SOPHIA_LN_AVX2                                                                                     \
    {sophia_project_f32_avx2, sophia_wave_f32_i8_avx2, sophia_dot_f32_i8_avx2, sophia_add_f32_i8_avx2}

#endif

/* Portable dense linear kernels; aarch64 runs these. */
#ifndef SOPHIA_LN_SCALAR_H
#define SOPHIA_LN_SCALAR_H

#include <string.h>

#include "ln_kernels.h"

typedef float sophia_f4 __attribute__((vector_size(16), may_alias));
typedef int32_t sophia_i4 __attribute__((vector_size(16), may_alias));

static inline sophia_f4 sophia_load_f4(const int8_t *p)
{
    return (sophia_f4){(float)p[0], (float)p[1], (float)p[2], (float)p[3]};
}

static inline void sophia_store_f4(int8_t *p, sophia_f4 v)
{
    for (int i = 0; i < 4; i++) p[i] = (int8_t)v[i];
}

#define LN_NAME(f) f##_scalar
#define LN_TARGET
#define LN_WIDTH 4
#define LN_F sophia_f4
#define LN_I sophia_i4
#define LN_LOAD_I8(p) sophia_load_f4(p)
#define LN_STORE_I8(p, v) sophia_store_f4(p, v)
#include "ln_dense.h"

#define SOPHIA_LN_SCALAR                                                                                     \
    {sophia_project_f32_scalar, sophia_wave_f32_i8_scalar, sophia_dot_f32_i8_scalar, sophia_add_f32_i8_scalar}

#endif

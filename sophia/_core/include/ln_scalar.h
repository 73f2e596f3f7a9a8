/* Portable dense linear kernels; aarch64 runs these. */
#ifndef SOPHIA_LN_SCALAR_H
#define SOPHIA_LN_SCALAR_H

#include <string.h>

#include "ln_kernels.h"

typedef float sophia_f4 __attribute__((vector_size(16), may_alias));
typedef int32_t sophia_i4 __attribute__((vector_size(16), may_alias));
typedef int8_t sophia_b4 __attribute__((vector_size(4), may_alias));

#define LN_NAME(f) f##_scalar
#define LN_TARGET
#define LN_WIDTH 4
#define LN_F sophia_f4
#define LN_I sophia_i4
#define LN_B sophia_b4
#include "ln_dense.h"

#define SOPHIA_LN_SCALAR                                                                                     \
    {sophia_project_f32_scalar, sophia_wave_f32_i8_scalar, sophia_dot_f32_i8_scalar, sophia_add_f32_i8_scalar}

#endif

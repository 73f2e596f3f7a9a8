/* The readout's kernels in the instruction set that every machine of this architecture has: compilers turn four
 * lanes into SSE2 and NEON. */
#ifndef SOPHIA_RO_SCALAR_H
#define SOPHIA_RO_SCALAR_H

#include <string.h>

#include "ro_kernels.h"

typedef float sophia_f32x4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t sophia_i32x4 __attribute__((vector_size(16), aligned(4), may_alias));

static void sophia_score_i8_scalar(const int8_t *weights, size_t stride, const uint32_t *positions,
                                   const int16_t *values, size_t n, int32_t *sums)
{
    memset(sums, 0, stride * sizeof *sums);
    for (size_t i = 0; i < n; i++) {
        const int8_t *const row = weights + (size_t)positions[i] * stride;
        const int32_t value = values[i];
        for (size_t c = 0; c < stride; c++) sums[c] += value * row[c];
    }
}

#define RO_NAME(name) name##_scalar
#define RO_TARGET
#define RO_F32 sophia_f32x4
#define RO_I32 sophia_i32x4
#define RO_WIDTH 4
#include "ro_lanes.h"

#define SOPHIA_RO_SCALAR                                                                                   \
    {                                                                                                      \
        sophia_score_i8_scalar, sophia_score_f32_scalar, sophia_gradient_f32_scalar,                       \
            sophia_descend_f32_scalar                                                                      \
    }

#endif

/* The dense linear kernels, in float32: one table of function pointers, filled once for each SIMD level.
 *
 * Every sum is taken in one order, whatever the width of a register, and no product is fused with an addition: so all
 * levels give the same bits.
 */
#ifndef SOPHIA_LN_KERNELS_H
#define SOPHIA_LN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define SOPHIA_LN_LANES 32 /* columns of weights that lie together */
#define SOPHIA_LN_ROWS 4   /* rows of inputs that share a pass over them */

struct sophia_ln_kernels {
    /* sums[r * LANES + l] = the sum over f of x[r * features + f] * weights[f * LANES + l], in the order of f; `rows` is
     * a multiple of SOPHIA_LN_ROWS. `weights` and `sums` are 64-byte aligned. */
    void (*project_f32)(const float *x, size_t features, const float *weights, size_t rows, float *sums);
    /* out[l] = 127 * cos(2 pi (sums[l] + phases[l])), rounded, for LANES of them; 64-byte aligned inputs. */
    void (*wave_f32_i8)(const float *sums, const float *phases, int8_t *out);
    /* The dot product, in 64 partial sums: component i goes to i % 64, and these are added as a tree. */
    float (*dot_f32_i8)(const float *a, const int8_t *b, size_t n);
    /* a += weight * b. */
    void (*add_f32_i8)(const int8_t *b, float weight, float *a, size_t n);
};

#endif

/* The kernels of the linear readout: scores of classes, and one step of training.
 *
 * A text is a short list of rows (`positions`) with a value each; a matrix has one row of `stride` classes for
 * each position, 64-byte aligned, the classes past the last one zero.
 * Scores are integers. Training works in float32 with one order of lanes, no fused multiplication and an
 * exponential of its own, so it ends in the same bits at every level.
 */
#ifndef SOPHIA_RO_KERNELS_H
#define SOPHIA_RO_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define SOPHIA_RO_LANES 32   /* int8 rows are a multiple of this, float rows of 16 */
#define SOPHIA_RO_UNIT 16384 /* the value 1.0 of a feature in int16 */

struct sophia_ro_kernels {
    /* sums[c] = sum of values[i] * weights[positions[i] * stride + c]. With at most 4,096 features whose values
     * have a Euclidean norm of SOPHIA_RO_UNIT no sum overflows. */
    void (*score_i8)(const int8_t *weights, size_t stride, const uint32_t *positions, const int16_t *values,
                     size_t n, int32_t *sums);
    /* scores[c] = bias[c] + the same sum in float32. */
    void (*score_f32)(const float *weights, size_t stride, const uint32_t *positions, const float *values,
                      size_t n, const float *bias, float *scores);
    /* Softmax over the first `classes` scores, minus the smoothed target: the gradient of the cross-entropy, in
     * place, 0 beyond. Returns the sum of its squares. */
    float (*gradient_f32)(float *scores, size_t classes, size_t stride, size_t target, float smoothing);
    /* Row-wise Adagrad (Duchi, Hazan and Singer 2011): squares[p] += value^2 * square, then
     * row p -= rate * value / sqrt(squares[p]) * gradient. */
    void (*descend_f32)(float *weights, size_t stride, const uint32_t *positions, const float *values, size_t n,
                        const float *gradient, float square, float rate, float *squares);
};

#endif

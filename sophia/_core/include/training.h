/* How the weights of a readout are trained: softmax regression by row-wise Adagrad with feature dropout.
 *
 * Each time an example is seen, part of its terms is left out and the rest is brought to norm one again (Wager,
 * Wang and Liang 2013 show why that helps a linear model on text). What is left out depends on a key and on the
 * example's place in the pass alone.
 */
#ifndef SOPHIA_TRAINING_H
#define SOPHIA_TRAINING_H

#include "readout.h"

struct sophia_ro_training {
    uint32_t classes;
    size_t stride; /* of the float matrix: classes rounded up to 16 */
    float smoothing, rate;
    uint32_t dropout;  /* of 65,536 */
    const float *free; /* NULL, or for each class 1 where its column may move and 0 where not */
};

/* Labelled vectors. Sparse ones lie one behind the other: terms offsets[i] to offsets[i + 1] are example i's,
 * without the bias. With `offsets` NULL they are rows of `dim` components, `row_bytes` apart. */
struct sophia_ro_examples {
    const uint32_t *labels;
    const uint64_t *offsets;
    const uint32_t *positions;
    const int16_t *values;
    const unsigned char *rows;
    size_t row_bytes, dim;
    int packed;
};

/* Room for the longest example and the bias. `row` and `all` (the positions 0, 1, 2 ...) are for rows only. */
struct sophia_ro_scratch {
    uint32_t *positions;
    float *values;
    int16_t *row;
    uint32_t *all;
    float *scores;      /* stride of them, 64-byte aligned */
    const float *zeros; /* as many */
};

/* The terms of an example that are not left out, at norm one, and the bias behind them; 0 when none is left. */
static uint32_t sophia_ro_draw(const struct sophia_ro_examples *examples, uint32_t example, uint64_t key,
                               uint32_t dropout, uint32_t bias_row, const struct sophia_ro_scratch *scratch)
{
    const uint32_t *positions = scratch->all;
    const int16_t *values = scratch->row;
    size_t count = examples->dim;
    if (examples->offsets) {
        const uint64_t from = examples->offsets[example];
        positions = examples->positions + from;
        values = examples->values + from;
        count = examples->offsets[example + 1] - from;
    } else {
        sophia_ro_row(examples->rows + example * examples->row_bytes, count, examples->packed, scratch->row);
    }
    uint64_t bits = 0;
    uint32_t kept = 0;
    float square = 0.0f;
    for (size_t i = 0; i < count; i++) {
        if (i % 4 == 0) bits = sophia_mix64(key + SOPHIA_MIX_B * (i + 4));
        const int drop = (bits & 0xFFFF) < dropout;
        bits >>= 16;
        if (drop) continue;
        const float value = values[i] * (1.0f / SOPHIA_RO_UNIT);
        scratch->positions[kept] = positions[i];
        scratch->values[kept++] = value;
        square += value * value;
    }
    if (!(square > 0.0f)) return 0;
    const float norm = 1.0f / __builtin_sqrtf(square);
    for (uint32_t i = 0; i < kept; i++) scratch->values[i] *= norm;
    scratch->positions[kept] = bias_row;
    scratch->values[kept++] = SOPHIA_RO_BIAS * (1.0f / SOPHIA_RO_UNIT);
    return kept;
}

/* Zeroes the gradient of the columns that may not move; returns the sum of its squares. */
static float sophia_ro_hold(float *gradient, const float *free, size_t classes)
{
    float square = 0.0f;
    for (size_t c = 0; c < classes; c++) {
        gradient[c] *= free[c];
        square += gradient[c] * gradient[c];
    }
    return square;
}

/* One pass over the examples in the order given. */
static void sophia_ro_pass(const struct sophia_ro_kernels *kernels, const struct sophia_ro_training *training,
                           const struct sophia_ro_examples *examples, const uint32_t *order, size_t count,
                           uint64_t key, uint32_t bias_row, float *weights, float *squares,
                           const struct sophia_ro_scratch *scratch)
{
    float *const scores = scratch->scores;
    for (size_t k = 0; k < count; k++) {
        const uint32_t kept = sophia_ro_draw(examples, order[k], sophia_mix64(key + SOPHIA_MIX_A * (uint64_t)(k + 1)),
                                             training->dropout, bias_row, scratch);
        if (kept == 0) continue;
        kernels->score_f32(weights, training->stride, scratch->positions, scratch->values, kept, scratch->zeros,
                           scores);
        float wrong = kernels->gradient_f32(scores, training->classes, training->stride,
                                            examples->labels[order[k]], training->smoothing);
        if (training->free) wrong = sophia_ro_hold(scores, training->free, training->classes);
        kernels->descend_f32(weights, training->stride, scratch->positions, scratch->values, kept, scores,
                             wrong / (float)training->classes, training->rate, squares);
    }
}

#endif

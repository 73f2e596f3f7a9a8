/* The kernels of the linear readout: hashes and weights of features, scores of classes, and one step of training.
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
#define SOPHIA_RO_NARROW 4   /* but for int8 rows of no more classes: the whole table is then in the first caches */
#define SOPHIA_RO_UNIT 16384 /* the value 1.0 of a feature in int16 */

#define SOPHIA_RO_KINDS 4            /* of features */
#define SOPHIA_RO_BUCKETS (1u << 16) /* of the document frequencies */
#define SOPHIA_RO_MORE 8             /* places behind the last one that a kernel may write into */
#define SOPHIA_RO_SIEVED 16          /* the same of a sieve */
#define SOPHIA_RO_LETTERS 30         /* of a word whose grams are hashed at once */
#define SOPHIA_RO_GRAM 6             /* code points of the longest gram, edge marks counted in */

/* Which grams of a word are hashed, and how: the difference of two prefix sums of a polynomial, with the multiplier to
 * the power g, is what a gram of g code points says; each length has a key. */
struct sophia_ro_grams {
    uint32_t least, most;
    uint64_t key[SOPHIA_RO_GRAM + 1], power[SOPHIA_RO_GRAM + 1];
};

/* What a feature weighs: that of its kind, times idf^p. `idf` has an entry for each bucket, 0 where no training text
 * was, and one more that may be read. */
struct sophia_ro_weighing {
    const uint16_t *idf;
    uint32_t dim;
    uint16_t kinds[SOPHIA_RO_KINDS];
    uint16_t unseen; /* in the place of an idf of 0, for the norm */
};

/* What weighing found: the sum of the squares of all weights; features with a weight, and the least of these. */
struct sophia_ro_tally {
    uint64_t squares;
    uint32_t count, least;
};

/* The two classes with the largest scores, ties by number; where there is one class, both scores are its. */
struct sophia_ro_best {
    uint32_t first, second;
    double first_score, second_score;
};

static inline uint32_t sophia_ro_bucket(uint64_t hash)
{
    return (uint32_t)(hash >> 8) & (SOPHIA_RO_BUCKETS - 1);
}

/* Bytes of an int8 row. */
static inline size_t sophia_ro_stride(size_t classes)
{
    return classes <= SOPHIA_RO_NARROW ? SOPHIA_RO_NARROW
                                       : (classes + SOPHIA_RO_LANES - 1) / SOPHIA_RO_LANES * SOPHIA_RO_LANES;
}

struct sophia_ro_kernels {
    /* The hashes of the grams of a word of `n` letters (1 to SOPHIA_RO_LETTERS): of those that end with its first code
     * point, its second, and so on, the shorter first, but for the whole word. `prefix` has the sums before each of
     * its code points and behind the last; the marks at both edges are code points too. Returns their number. */
    size_t (*grams)(const struct sophia_ro_grams *by, const uint64_t *prefix, size_t n, uint64_t *hashes);
    /* The known features among `n` with these hashes and kinds, in their order: the number of each, its position, and
     * its weight with its sign. */
    struct sophia_ro_tally (*weigh)(const struct sophia_ro_weighing *by, const uint64_t *hashes, const uint8_t *kinds,
                                    size_t n, uint16_t *numbers, uint32_t *positions, int32_t *weights);
    /* Which of `n` places, by number, lie in a cell that is not 0 (`cells` has mask + 1 of them, place & mask is a place's
     * own); returns how many. May write SOPHIA_RO_SIEVED numbers behind the last. */
    size_t (*sieve)(const uint32_t *places, size_t n, const uint32_t *cells, uint32_t mask, uint32_t *numbers);
    /* values[i] = weights[i] * scale, to the nearest, halves away from 0. They fit. */
    void (*scaled)(const int32_t *weights, size_t n, double scale, int16_t *values);
    /* sums[c] = sum of values[i] * weights[positions[i] * stride + c], stride as above. With at most 4,096 features
     * whose values have a Euclidean norm of SOPHIA_RO_UNIT no sum overflows. */
    void (*score_i8)(const int8_t *weights, size_t stride, const uint32_t *positions, const int16_t *values,
                     size_t n, int32_t *sums);
    /* The best of `classes` (1 or more) by sums[c] * scales[c]. */
    struct sophia_ro_best (*best)(const int32_t *sums, const double *scales, uint32_t classes);
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

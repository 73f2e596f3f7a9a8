/* The readout's kernels in the instruction set that every machine of this architecture has: compilers turn four
 * lanes into SSE2 and NEON. */
#ifndef SOPHIA_RO_SCALAR_H
#define SOPHIA_RO_SCALAR_H

#include <string.h>

#include "hash.h"
#include "ro_kernels.h"

typedef float sophia_f32x4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t sophia_i32x4 __attribute__((vector_size(16), aligned(4), may_alias));

/* Inline for the usual sizes, so that they are constants. */
static inline __attribute__((always_inline)) size_t sophia_grams_of(const struct sophia_ro_grams *by,
                                                                    const uint64_t *prefix, size_t n, size_t least,
                                                                    size_t most, uint64_t *hashes)
{
    uint64_t *to = hashes;
    for (size_t j = least; j <= n + 2; j++) {
        const size_t longest = j < n + 2 ? j : j - 1; /* the whole word is another feature */
        if (j > most) {                               /* a number that is known, away from the edges */
            for (size_t g = least; g <= most; g++)
                *to++ = sophia_mix64((prefix[j] - prefix[j - g] * by->power[g]) ^ by->key[g]);
            continue;
        }
        for (size_t g = least; g <= most && g <= longest; g++)
            *to++ = sophia_mix64((prefix[j] - prefix[j - g] * by->power[g]) ^ by->key[g]);
    }
    return (size_t)(to - hashes);
}

static size_t sophia_grams_scalar(const struct sophia_ro_grams *by, const uint64_t *prefix, size_t n, uint64_t *hashes)
{
    if (by->least == 2 && by->most == 4) return sophia_grams_of(by, prefix, n, 2, 4, hashes);
    if (by->least == 3 && by->most == 3) return sophia_grams_of(by, prefix, n, 3, 3, hashes);
    return sophia_grams_of(by, prefix, n, by->least, by->most, hashes);
}

/* Without a branch: nearly every cell is empty. */
static size_t sophia_sieve_scalar(const uint32_t *places, size_t n, const uint32_t *cells, uint32_t mask,
                                  uint32_t *numbers)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        numbers[count] = (uint32_t)i;
        count += cells[places[i] & mask] != 0;
    }
    return count;
}

static void sophia_scaled_scalar(const int32_t *weights, size_t n, double scale, int16_t *values)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (int16_t)(int32_t)(weights[i] * scale + (weights[i] < 0 ? -0.5 : 0.5));
}

static struct sophia_ro_tally sophia_weigh_scalar(const struct sophia_ro_weighing *by, const uint64_t *hashes,
                                                  const uint8_t *kinds, size_t n, uint16_t *numbers,
                                                  uint32_t *positions, int32_t *weights)
{
    struct sophia_ro_tally tally = {0, 0, UINT32_MAX};
    for (size_t i = 0; i < n; i++) {
        const uint64_t hash = hashes[i];
        const uint32_t idf = by->idf[sophia_ro_bucket(hash)];
        const uint32_t weight = by->kinds[kinds[i]] * (idf ? idf : by->unseen) >> 8;
        tally.squares += (uint64_t)weight * weight;
        if (!idf || !weight) continue;
        numbers[tally.count] = (uint16_t)i;
        positions[tally.count] = (uint32_t)((hash >> 32) * by->dim >> 32);
        weights[tally.count++] = hash & 1 ? -(int32_t)weight : (int32_t)weight;
        if (weight < tally.least) tally.least = weight;
    }
    return tally;
}

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

static struct sophia_ro_best sophia_best_scalar(const int32_t *sums, const double *scales, uint32_t classes)
{
    struct sophia_ro_best best = {0, 0, sums[0] * scales[0], -1e308};
    for (uint32_t c = 1; c < classes; c++) {
        const double score = sums[c] * scales[c];
        if (!(score > best.second_score)) continue;
        if (score > best.first_score) {
            best.second = best.first;
            best.second_score = best.first_score;
            best.first = c;
            best.first_score = score;
        } else {
            best.second = c;
            best.second_score = score;
        }
    }
    if (classes == 1) best.second_score = best.first_score;
    return best;
}

#define RO_NAME(name) name##_scalar
#define RO_TARGET
#define RO_F32 sophia_f32x4
#define RO_I32 sophia_i32x4
#define RO_WIDTH 4
#include "ro_lanes.h"

#define SOPHIA_RO_SCALAR                                                                                   \
    {                                                                                                      \
        sophia_grams_scalar, sophia_weigh_scalar, sophia_sieve_scalar, sophia_scaled_scalar,               \
            sophia_score_i8_scalar, sophia_best_scalar, sophia_score_f32_scalar,                           \
            sophia_gradient_f32_scalar, sophia_descend_f32_scalar                                          \
    }

#endif

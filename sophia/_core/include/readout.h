/* A linear readout over hashed lexical features or hypervectors: from text or row to scores.
 *
 * A feature weighs kind * idf^p; the weights of a text are brought to a Euclidean norm of one. Its hash names a
 * position and a sign in a space of `dim` positions (feature hashing, Weinberger et al. 2009). The score of a
 * class is the product of that sparse vector with the class's column, int8 with one scale a class, and is exact:
 * scales have 16 significant bits, so that no sum of their products rounds in a double.
 *
 * A feature that no training text had has no weight, but it counts in the norm: a text that is mostly unknown gets
 * small scores for every class.
 */
#ifndef SOPHIA_READOUT_H
#define SOPHIA_READOUT_H

#include <math.h>

#include "idf.h"
#include "lexical.h"
#include "ro_kernels.h"

#define SOPHIA_RO_IDF_ONE 1024       /* idf^p = 1 in the table of weights */
#define SOPHIA_RO_KIND_ONE 256       /* a kind's weight of 1 */
#define SOPHIA_RO_BIAS 1638          /* the value of the feature that every text has: 0.1 */
#define SOPHIA_RO_TERMS (SOPHIA_LEXICAL_MAX + SOPHIA_RO_MORE)

/* How a text becomes a sparse vector. */
struct sophia_ro_plan {
    struct sophia_lexical_plan lexical;
    struct sophia_ro_weighing weighing;
};

/* A text as a sparse vector; `lexeme[i]` is the feature that term i came from, or SOPHIA_LEXICAL_MAX for the
 * bias. */
struct sophia_ro_terms {
    uint32_t count, known, seen; /* terms; terms but for the bias; features of the text */
    uint32_t position[SOPHIA_RO_TERMS];
    int16_t value[SOPHIA_RO_TERMS];
    uint16_t lexeme[SOPHIA_RO_TERMS];
};

/* x^(quarters / 4) by square roots, which every machine rounds alike. */
static inline double sophia_ro_power(double x, unsigned quarters)
{
    const double half = sqrt(x);
    double y = quarters & 4 ? x : 1.0;
    if (quarters & 2) y *= half;
    if (quarters & 1) y *= sqrt(half);
    return y;
}

/* The weight of a feature that df of `documents` texts have: (log2 of (2N + 2) / (2 df + 1))^(quarters / 4). */
static inline uint16_t sophia_ro_idf(uint64_t documents, uint32_t df, unsigned quarters)
{
    if (df > documents) df = (uint32_t)documents;
    const uint32_t bits = sophia_log2(2 * documents + 2) - sophia_log2(2 * (uint64_t)df + 1);
    const double weight = sophia_ro_power(bits / 4096.0, quarters) * SOPHIA_RO_IDF_ONE + 0.5;
    return weight < 1.0 ? 1 : weight > 65535.0 ? 65535 : (uint16_t)weight;
}

/* The sparse vector of a text whose features were extracted. */
static void sophia_ro_weigh(const struct sophia_ro_plan *plan, const struct sophia_lexical *features,
                            const struct sophia_ro_kernels *kernels, struct sophia_ro_terms *out)
{
    int32_t weights[SOPHIA_RO_TERMS];
    const struct sophia_ro_tally tally = kernels->weigh(&plan->weighing, features->hash, features->kind,
                                                        features->count, out->lexeme, out->position, weights);
    const uint32_t count = tally.count;
    const double scale = tally.squares ? SOPHIA_RO_UNIT / sqrt((double)tally.squares) : 0.0;
    kernels->scaled(weights, count, scale, out->value);
    uint32_t kept = count;
    if (count && tally.least * scale + 0.5 < 1.0) { /* some are rounded to nothing */
        kept = 0;
        for (uint32_t i = 0; i < count; i++) {
            out->position[kept] = out->position[i];
            out->lexeme[kept] = out->lexeme[i];
            out->value[kept] = out->value[i];
            kept += out->value[i] != 0;
        }
    }
    out->seen = features->count;
    out->known = kept;
    out->position[kept] = plan->weighing.dim; /* the bias's row stands behind the others */
    out->value[kept] = SOPHIA_RO_BIAS;
    out->lexeme[kept] = SOPHIA_LEXICAL_MAX;
    out->count = kept + 1;
}

/* A hypervector as a vector of the same kind: every position, norm one. `packed`: BSC, a set bit is -1; else int8,
 * of any values. A row of zeros stays zero. Cost: a few cycles a position. */
static void sophia_ro_row(const unsigned char *row, size_t dim, int packed, int16_t *values)
{
    if (packed) {
        const int32_t one = (int32_t)(SOPHIA_RO_UNIT / sqrt((double)dim) + 0.5);
        for (size_t i = 0; i < dim; i++) values[i] = (int16_t)(row[i / 8] >> (i % 8) & 1 ? -one : one);
        return;
    }
    const int8_t *const levels = (const int8_t *)row;
    int64_t squares = 0;
    for (size_t i = 0; i < dim; i++) squares += (int32_t)levels[i] * levels[i];
    const double scale = squares ? SOPHIA_RO_UNIT / sqrt((double)squares) : 0.0;
    for (size_t i = 0; i < dim; i++) {
        const double value = levels[i] * scale;
        values[i] = (int16_t)(value < 0.0 ? -(int32_t)(0.5 - value) : (int32_t)(value + 0.5));
    }
}

/* The scale of a class whose largest weight is `largest`: the least number of 16 significant bits that brings it
 * to at most 127. */
static inline double sophia_ro_scale(double largest)
{
    int exponent = 0;
    if (!(largest > 0.0)) return 1.0;
    const double mantissa = frexp(largest / 127.0, &exponent);
    return ldexp(ceil(mantissa * 65536.0), exponent - 16);
}

#endif

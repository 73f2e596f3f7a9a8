/* Class prototypes: one float32 vector a class, learned from one example at a time.
 *
 * An example is a row of int8 components, taken at norm one. The score of a class is the cosine of its prototype and
 * the example. Rules: OnlineHD (Hernandez-Cano and others 2021), which moves by how wrong a score was; AdaptHD (Imani
 * and others 2019), which moves by a fixed step; and the first with a margin, which learns from what was right by too
 * little as well (as RefineHD does, Verges and others 2023).
 */
#ifndef SOPHIA_PROTOTYPES_H
#define SOPHIA_PROTOTYPES_H

#include <math.h>

#include "ln_kernels.h"

enum sophia_prototype_rule { SOPHIA_RULE_ONLINE, SOPHIA_RULE_ADAPT };

struct sophia_prototypes {
    size_t dim, classes;
    float *sums;     /* classes x dim */
    double *squares; /* of their norms */
    uint8_t *moved;  /* 1 for each whose square drifted by roundings since it was worked out */
};

static inline double sophia_norm_i8(const int8_t *row, size_t dim)
{
    int64_t square = 0;
    for (size_t i = 0; i < dim; i += 4096) { /* so that the inner sum fits an int32 */
        int32_t part = 0;
        const size_t end = i + 4096 < dim ? i + 4096 : dim;
        for (size_t k = i; k < end; k++) part += row[k] * row[k];
        square += part;
    }
    return sqrt((double)square);
}

static inline double sophia_norm_f32(const float *row, size_t dim)
{
    double square = 0.0;
    for (size_t i = 0; i < dim; i++) square += (double)row[i] * row[i];
    return square;
}

/* The cosines of an example of norm `norm` with every prototype; 0 where one of the two is zero. */
static void sophia_prototype_scores(const struct sophia_prototypes *prototypes, const int8_t *row, double norm,
                                    const struct sophia_ln_kernels *kernels, double *scores)
{
    for (size_t c = 0; c < prototypes->classes; c++) {
        const double size = norm * sqrt(prototypes->squares[c]);
        const double product = kernels->dot_f32_i8(prototypes->sums + c * prototypes->dim, row, prototypes->dim);
        scores[c] = size > 0.0 ? product / size : 0.0;
    }
}

/* Moves a prototype by `step` times the example at norm one; `score` is their cosine before. */
static void sophia_prototype_move(struct sophia_prototypes *prototypes, size_t c, const int8_t *row, double norm,
                                  double step, double score, const struct sophia_ln_kernels *kernels)
{
    if (norm == 0.0 || step == 0.0) return;
    kernels->add_f32_i8(row, (float)(step / norm), prototypes->sums + c * prototypes->dim, prototypes->dim);
    prototypes->moved[c] = 1;
    const double square = prototypes->squares[c];
    const double moved = square + 2.0 * step * score * sqrt(square) + step * step;
    prototypes->squares[c] = moved > 0.0 ? moved : 0.0;
}

/* One example: 1 where its label's score does not lead by `margin`, and the prototypes were moved. */
static int sophia_prototype_learn(struct sophia_prototypes *prototypes, const int8_t *row, size_t label,
                                  enum sophia_prototype_rule rule, double rate, double margin,
                                  const struct sophia_ln_kernels *kernels, double *scores)
{
    const double norm = sophia_norm_i8(row, prototypes->dim);
    sophia_prototype_scores(prototypes, row, norm, kernels, scores);
    size_t other = label == 0 ? 1 : 0;
    if (other >= prototypes->classes) return 0;
    for (size_t c = other + 1; c < prototypes->classes; c++) {
        if (c != label && scores[c] > scores[other]) other = c;
    }
    /* Of equal scores the first class wins: a later label has to be above. */
    const double lead = scores[label] - scores[other];
    if (lead > margin || (lead == 0.0 && margin == 0.0 && label < other)) return 0;
    const double up = rule == SOPHIA_RULE_ADAPT ? rate : rate * (1.0 - scores[label]);
    const double down = rule == SOPHIA_RULE_ADAPT ? rate : rate * (1.0 - scores[other]);
    sophia_prototype_move(prototypes, label, row, norm, up, scores[label], kernels);
    sophia_prototype_move(prototypes, other, row, norm, -down, scores[other], kernels);
    return 1;
}

#endif

/* Features through a random matrix to hypervectors, in blocks of columns that stay in the second cache.
 *
 * The cosine of a random projection with a random phase is a random Fourier feature (Rahimi and Recht 2007): the dot
 * product of two such vectors is a function of the distance of their inputs. Signs of the projections alone keep the
 * angle (Charikar 2002).
 */
#ifndef SOPHIA_PROJECTION_H
#define SOPHIA_PROJECTION_H

#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "ln_kernels.h"

#define SOPHIA_PROJECTION_ROWS 64 /* inputs that share a pass over the weights; a multiple of SOPHIA_LN_ROWS */

/* Column d of the matrix is weights[d / LANES][f][d % LANES]; both are 64-byte aligned and zero from `dim` on. */
struct sophia_projection {
    size_t features, dim, blocks; /* blocks of SOPHIA_LN_LANES columns: dim, rounded up */
    const float *weights;
    const float *phases; /* of each column, in turns; NULL: signs of the sums */
};

/* Working memory of one thread: the results of up to SOPHIA_PROJECTION_ROWS inputs, one byte a component. */
struct sophia_projection_space {
    float *x;    /* rows x features; rows that are not used are zero */
    float *sums; /* rows x LANES */
    int8_t *out; /* rows x blocks * LANES */
};

static void sophia_projection_space_free(struct sophia_projection_space *space)
{
    if (!space) return;
    free(space->x);
    free(space->sums);
    free(space->out);
    free(space);
}

static struct sophia_projection_space *sophia_projection_space_new(const struct sophia_projection *projection)
{
    struct sophia_projection_space *space = (struct sophia_projection_space *)calloc(1, sizeof *space);
    if (!space) return NULL;
    void *block = NULL;
    space->x = (float *)calloc(SOPHIA_PROJECTION_ROWS * projection->features, sizeof(float));
    if (!posix_memalign(&block, 64, SOPHIA_PROJECTION_ROWS * SOPHIA_LN_LANES * sizeof(float))) {
        space->sums = (float *)block;
    }
    space->out = (int8_t *)malloc(SOPHIA_PROJECTION_ROWS * projection->blocks * SOPHIA_LN_LANES);
    if (space->x && space->sums && space->out) return space;
    sophia_projection_space_free(space);
    return NULL;
}

/* Fills space->out from the first `rows` rows of space->x. */
static void sophia_projection_run(const struct sophia_projection *projection, struct sophia_projection_space *space,
                                  size_t rows, const struct sophia_ln_kernels *kernels)
{
    const size_t padded = (rows + SOPHIA_LN_ROWS - 1) / SOPHIA_LN_ROWS * SOPHIA_LN_ROWS;
    const size_t width = projection->blocks * SOPHIA_LN_LANES;
    for (size_t b = 0; b < projection->blocks; b++) {
        const float *weights = projection->weights + b * projection->features * SOPHIA_LN_LANES;
        kernels->project_f32(space->x, projection->features, weights, padded, space->sums);
        for (size_t r = 0; r < rows; r++) {
            const float *sums = space->sums + r * SOPHIA_LN_LANES;
            int8_t *const out = space->out + r * width + b * SOPHIA_LN_LANES;
            if (projection->phases) {
                kernels->wave_f32_i8(sums, projection->phases + b * SOPHIA_LN_LANES, out);
            } else {
                for (int l = 0; l < SOPHIA_LN_LANES; l++) out[l] = (int8_t)(sums[l] < 0.0f ? -1 : 1);
            }
        }
    }
}

/* The signs of a row of space->out, as bits: 1 where it is negative. `out` has sophia_row_bytes(SOPHIA_BSC, dim). */
static void sophia_projection_bits(const int8_t *row, size_t dim, uint64_t *out)
{
    memset(out, 0, sophia_row_bytes(SOPHIA_BSC, dim));
    for (size_t i = 0; i < dim; i++) out[i / 64] |= (uint64_t)(row[i] < 0) << i % 64;
}

#endif

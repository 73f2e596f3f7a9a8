/* Per-thread working memory of an encoder, and the two steps that turn weighed features into a vector.
 *
 * An encoder keeps one spare workspace. A call takes it (or allocates when another thread has it) and puts it
 * back at the end, so that calls from any number of threads need no lock and one thread allocates once.
 */
#ifndef SOPHIA_WORKSPACE_H
#define SOPHIA_WORKSPACE_H

#include <stdlib.h>

#include "ballot.h"
#include "text_features.h"

/* The spare of *spare, or NULL; the caller owns it until it puts it back. */
static inline void *sophia_spare_take(void **spare)
{
    return __atomic_exchange_n(spare, NULL, __ATOMIC_ACQUIRE);
}

/* Puts `mine` back. Returns what has to be freed by the caller: NULL, or what another thread put meanwhile.
 */
static inline void *sophia_spare_put(void **spare, void *mine)
{
    return __atomic_exchange_n(spare, mine, __ATOMIC_ACQ_REL); /* what it returns was written by another thread */
}

struct sophia_workspace {
    struct sophia_vote vote;
    struct sophia_features features;
};

static struct sophia_workspace *sophia_workspace_new(size_t dim)
{
    struct sophia_workspace *space = (struct sophia_workspace *)malloc(sizeof *space);
    if (space && sophia_vote_init(&space->vote, dim)) {
        free(space);
        return NULL;
    }
    return space;
}

static void sophia_workspace_free(struct sophia_workspace *space)
{
    if (!space) return;
    sophia_vote_free(&space->vote);
    free(space);
}

/* Weights are divided by the power of two that they share: the same votes, and at least one odd weight for
 * the parity that settles ties. */
static void sophia_vote_features(struct sophia_vote *vote, const struct sophia_enc_kernels *kernels,
                                 const struct sophia_features *features, enum sophia_verdict verdict)
{
    uint32_t total = 0, bits = 0;
    for (uint32_t i = 0; i < features->count; i++) {
        total += features->entries[i].weight;
        bits |= features->entries[i].weight;
    }
    const uint32_t shared = (uint32_t)__builtin_ctz(bits);
    sophia_vote_begin(vote, total >> shared, verdict);
    for (uint32_t i = 0; i < features->count; i++) {
        const struct sophia_feature *entry = &features->entries[i];
        sophia_vote_random(vote, kernels, entry->hash, (uint16_t)(entry->weight >> shared));
    }
}

/* `features` have been weighed and are not empty; `out` is a row of vote->dim bits, padded to 8 words. */
static void sophia_features_to_b1(const struct sophia_features *features, struct sophia_vote *vote,
                                  const struct sophia_enc_kernels *kernels, uint64_t *out)
{
    sophia_vote_features(vote, kernels, features, SOPHIA_VERDICT_MAJORITY);
    sophia_vote_majority(vote, kernels, out);
}

/* `out` holds vote->dim bytes. */
static void sophia_features_to_i8(const struct sophia_features *features, struct sophia_vote *vote,
                                  const struct sophia_enc_kernels *kernels, int8_t *out)
{
    sophia_vote_features(vote, kernels, features, SOPHIA_VERDICT_SUMS);
    sophia_vote_sums(vote, kernels);
    kernels->scale_i32_i8(vote->sums, vote->dim, out);
}

#endif

/* Records to hypervectors: the row of each feature is bound to the row of its value, and the pairs vote.
 *
 * The pairs are never stored: the counting kernel binds the words of two rows as it reads them (Imani and others,
 * "VoiceHD", 2017, describe the encoding; enc_kernels.h the counting).
 */
#ifndef SOPHIA_RECORD_H
#define SOPHIA_RECORD_H

#include "ballot.h"
#include "numbers.h"

/* Rows are `words` long (those of a vote), zero from bit `dim` on. Owns nothing. */
struct sophia_record {
    size_t dim, words, features, levels;
    const uint64_t *ids;     /* a row for each feature */
    const uint64_t *values;  /* a row for each level */
    const uint16_t *weights; /* of the features, 0 for one that does not vote; NULL: one each */
    uint32_t total;          /* of the weights, at least 1 */
    uint32_t against;        /* of them, of features whose ids are complements: they had negative ones */
};

/* Counts the pairs of one record, whose level numbers are `index`, of `width` bytes, signed or not. 0, or 1 + the first feature whose level there is
 * not; then the vote is of no use. */
static size_t sophia_record_vote(const struct sophia_record *record, const unsigned char *index, unsigned width, int signs,
                                 struct sophia_vote *vote, const struct sophia_enc_kernels *kernels,
                                 enum sophia_verdict verdict)
{
    sophia_vote_begin(vote, record->total, verdict);
    vote->origin += record->against;
    for (size_t f = 0; f < record->features; f++) {
        const uint64_t level = sophia_number_at(index, f, width, signs);
        if (level >= record->levels) return f + 1;
        const uint16_t weight = record->weights ? record->weights[f] : 1;
        if (weight == 0) continue;
        const uint64_t *const pair[2] = {record->ids + f * record->words, record->values + level * record->words};
        sophia_vote_bound(vote, kernels, pair, 2, weight);
    }
    return 0;
}

static size_t sophia_record_to_b1(const struct sophia_record *record, const unsigned char *index, unsigned width, int signs,
                                  struct sophia_vote *vote, const struct sophia_enc_kernels *kernels, uint64_t *out)
{
    const size_t bad = sophia_record_vote(record, index, width, signs, vote, kernels, SOPHIA_VERDICT_MAJORITY);
    if (bad == 0) sophia_vote_majority(vote, kernels, out);
    return bad;
}

static size_t sophia_record_to_i8(const struct sophia_record *record, const unsigned char *index, unsigned width, int signs,
                                  struct sophia_vote *vote, const struct sophia_enc_kernels *kernels, int8_t *out)
{
    const size_t bad = sophia_record_vote(record, index, width, signs, vote, kernels, SOPHIA_VERDICT_SUMS);
    if (bad) return bad;
    sophia_vote_sums(vote, kernels);
    kernels->scale_i32_i8(vote->sums, vote->dim, out);
    return 0;
}

#endif

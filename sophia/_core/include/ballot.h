/* A weighted vote over rows of bits, counted lane by lane: the common part of all encoders.
 *
 *   sophia_vote_begin(vote, total, SOPHIA_VERDICT_MAJORITY)   total = sum of the weights that will be pushed
 *   sophia_vote_random(vote, kernels, name, weight)           a generated row, or
 *   sophia_vote_bound(vote, kernels, rows, order, weight)     the XOR of `order` stored rows
 *   sophia_vote_majority(...) or sophia_vote_sums(...)
 *
 * Majority rule: a lane becomes 1 when the weight of its 1 votes is more than half of the total. An exact
 * half (possible only when the total is even) is settled as bundle() of the hdc module does: see ties.h.
 */
#ifndef SOPHIA_BALLOT_H
#define SOPHIA_BALLOT_H

#include <stdlib.h>
#include <string.h>

#include "enc_kernels.h"
#include "hash.h"
#include "ties.h"

enum sophia_verdict { SOPHIA_VERDICT_MAJORITY, SOPHIA_VERDICT_SUMS };

/* One vote at a time, one thread at a time. Owns `planes` and `sums` (64-byte aligned, one allocation). */
struct sophia_vote {
    size_t dim, words;
    uint32_t depth;
    uint32_t origin; /* what the counts of a majority vote are where nobody votes 1: what they began at, and more where
                      * complements vote; see ties.h */
    int32_t total;
    uint64_t *planes;
    int32_t *sums;
    struct sophia_ballot ballot;
};

/* Words of a vote over `dim` lanes. */
static inline size_t sophia_vote_words(size_t dim)
{
    return (dim + 64 * SOPHIA_VOTE_WORDS - 1) / (64 * SOPHIA_VOTE_WORDS) * SOPHIA_VOTE_WORDS;
}

/* Bytes of the memory of a vote; dim <= 2^23 keeps it far from overflow. */
static inline size_t sophia_vote_bytes(size_t words)
{
    return words * 8 * (SOPHIA_PLANES + SOPHIA_PLANES_SPARE) + words * 64 * sizeof(int32_t);
}

/* 0, or -1 when memory is short. */
static int sophia_vote_init(struct sophia_vote *vote, size_t dim)
{
    const size_t words = sophia_vote_words(dim);
    void *block = NULL;
    if (posix_memalign(&block, 64, sophia_vote_bytes(words))) return -1;
    vote->dim = dim;
    vote->words = words;
    vote->planes = (uint64_t *)block;
    vote->sums = (int32_t *)(vote->planes + words * (SOPHIA_PLANES + SOPHIA_PLANES_SPARE));
    vote->ballot.rows = vote->ballot.order = 0;
    return 0;
}

static void sophia_vote_free(struct sophia_vote *vote)
{
    free(vote->planes);
    vote->planes = NULL;
}

/* total: 1 to 2^24 - 1 (4,096 rows of the largest weight stay below). */
static void sophia_vote_begin(struct sophia_vote *vote, uint32_t total, enum sophia_verdict verdict)
{
    /* A majority vote starts at 2^top - 1 - total/2, so that its top plane is the verdict and a tie has all
     * lower planes set. */
    uint32_t start = 0;
    vote->depth = 32 - (uint32_t)__builtin_clz(total);
    if (verdict == SOPHIA_VERDICT_MAJORITY) {
        uint32_t top = 0;
        while ((1u << top) <= total / 2) top++;
        start = (1u << top) - 1 - total / 2;
        vote->depth = top + 1;
    }
    vote->origin = start;
    vote->total = (int32_t)total;
    for (uint32_t j = 0; j < vote->depth + SOPHIA_PLANES_SPARE; j++) {
        memset(vote->planes + j * vote->words, start >> j & 1 ? 0xFF : 0, 8 * vote->words);
    }
    vote->ballot.rows = vote->ballot.order = 0;
    vote->ballot.depth = vote->depth;
}

/* Writes the schedule of adders: a pure function of the weights, the same for every block of lanes.
 *
 * Bounds: a column of n entries makes floor(n/8) carries three planes up and at most 4 one plane up, so
 * n <= 128 + 4 + n/8, n <= 150 < SOPHIA_BALLOT_COLUMN. Twelve such columns make at most 12 * 22 carries, the
 * three above them 3 * 6, the last nine 9 * 5: 327 < SOPHIA_BALLOT_CARRIES. */
static void sophia_ballot_plan(struct sophia_ballot *ballot)
{
    memset(ballot->sizes, 0, sizeof ballot->sizes);
    for (uint32_t r = 0; r < ballot->rows; r++) {
        for (uint32_t weight = ballot->weights[r]; weight; weight &= weight - 1) {
            const uint32_t j = (uint32_t)__builtin_ctz(weight);
            ballot->columns[j][ballot->sizes[j]++] = (uint16_t)(r * SOPHIA_BALLOT_STRIDE);
        }
    }
    uint16_t carry = SOPHIA_BALLOT_ROWS * SOPHIA_BALLOT_STRIDE;
    for (uint32_t j = 0; j < ballot->depth; j++) {
        const uint32_t eights = ballot->sizes[j] / 8, pairs = (ballot->sizes[j] % 8 + 1) / 2;
        for (uint32_t i = 0; i < eights; i++, carry += SOPHIA_BALLOT_STRIDE) {
            ballot->columns[j + 3][ballot->sizes[j + 3]++] = carry;
        }
        for (uint32_t i = 0; i < pairs; i++, carry += SOPHIA_BALLOT_STRIDE) {
            ballot->columns[j + 1][ballot->sizes[j + 1]++] = carry;
        }
    }
}

static void sophia_vote_flush(struct sophia_vote *vote, const struct sophia_enc_kernels *kernels)
{
    if (vote->ballot.rows == 0) return;
    sophia_ballot_plan(&vote->ballot);
    kernels->tally_b1(&vote->ballot, vote->planes, vote->words);
    vote->ballot.rows = 0;
}

static inline void sophia_vote_random(struct sophia_vote *vote, const struct sophia_enc_kernels *kernels,
                                      uint64_t name, uint16_t weight)
{
    struct sophia_ballot *ballot = &vote->ballot;
    if (ballot->rows == SOPHIA_BALLOT_ROWS || ballot->order != 0) sophia_vote_flush(vote, kernels);
    ballot->order = 0;
    ballot->names[ballot->rows] = name;
    ballot->weights[ballot->rows++] = weight;
}

/* The rows are borrowed until the verdict is read. */
static inline void sophia_vote_bound(struct sophia_vote *vote, const struct sophia_enc_kernels *kernels,
                                     const uint64_t *const *rows, uint32_t order, uint16_t weight)
{
    struct sophia_ballot *ballot = &vote->ballot;
    if (ballot->rows == SOPHIA_BALLOT_ROWS || ballot->order != order) sophia_vote_flush(vote, kernels);
    ballot->order = order;
    memcpy(ballot->operands + ballot->rows * order, rows, order * sizeof *rows);
    ballot->weights[ballot->rows++] = weight;
}

/* Zeros the bits from `dim` on. */
static inline void sophia_clear_tail(uint64_t *row, size_t dim, size_t words)
{
    size_t w = dim / 64;
    if (dim % 64) row[w++] &= (1ull << dim % 64) - 1;
    memset(row + w, 0, 8 * (words - w));
}

/* Fills `out`, a row of vote->dim bits padded with zeros to whole blocks of 8 words. */
static void sophia_vote_majority(struct sophia_vote *vote, const struct sophia_enc_kernels *kernels,
                                 uint64_t *out)
{
    sophia_vote_flush(vote, kernels);
    const size_t words = vote->words, row = (vote->dim + 511) / 512 * 8;
    const uint64_t *top = vote->planes + (vote->depth - 1) * words;
    memcpy(out, top, 8 * row);
    for (size_t block = 0; vote->total % 2 == 0 && block < row; block += 8) {
        uint64_t tied[8], any = 0;
        for (int i = 0; i < 8; i++) tied[i] = ~top[block + i];
        for (const uint64_t *plane = vote->planes + block; plane < top; plane += words) {
            for (int i = 0; i < 8; i++) tied[i] &= plane[i];
        }
        for (int i = 0; i < 8; i++) any |= tied[i];
        for (size_t w = block; any && w < block + 8; w++) {
            const uint64_t lanes = w == vote->dim / 64 ? (1ull << vote->dim % 64) - 1 : ~0ull; /* generated rows go on */
            const uint64_t seed = sophia_tie_seed(vote->planes + w, words, vote->depth, vote->origin, lanes);
            out[w] |= tied[w - block] & sophia_tie_word(seed, w);
        }
    }
    sophia_clear_tail(out, vote->dim, row);
}

/* vote->sums[lane] = weight of the 0 votes - weight of the 1 votes; lanes from `dim` on hold noise. */
static void sophia_vote_sums(struct sophia_vote *vote, const struct sophia_enc_kernels *kernels)
{
    sophia_vote_flush(vote, kernels);
    kernels->sums_i32(vote->planes, vote->depth, vote->words, vote->total, vote->sums);
}

#endif

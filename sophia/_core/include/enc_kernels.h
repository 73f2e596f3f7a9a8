/* The encoder kernels: one table of function pointers, filled once for each SIMD level.
 *
 * An encoder is a weighted vote: each feature adds its weight to every lane where its row has a 1. The votes
 * are counted in bit planes (plane j holds bit j of the count of every lane), so one carry-save adder works
 * on as many lanes as a register has bits, 512 where int16 accumulators would have 32. Counts are exact
 * integers: no overflow, no rounding, the same at every level and in every order of the features.
 */
#ifndef SOPHIA_ENC_KERNELS_H
#define SOPHIA_ENC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define SOPHIA_BALLOT_ROWS 128    /* rows counted in one pass; their bits stay in the L1 cache */
#define SOPHIA_BALLOT_CARRIES 384 /* carries of one pass, at most (derivation at sophia_ballot_plan) */
#define SOPHIA_BALLOT_COLUMN 160  /* rows and carries that meet in one plane, at most */
#define SOPHIA_BALLOT_STRIDE 16   /* columns hold the numbers of rows times this; 512 * 16 fits uint16 */
#define SOPHIA_VOTE_WORDS 16      /* the words of a vote are a multiple of this, those of a row of 8 */
#define SOPHIA_BALLOT_ORDER 8     /* rows bound into one, at most */
#define SOPHIA_WEIGHT_BITS 12     /* weights are 1 to 4,095 */
#define SOPHIA_PLANES 24          /* 4,096 rows x 4,095 < 2^24 */
#define SOPHIA_PLANES_SPARE 3     /* a group of eight touches two planes above its own; they stay zero */

/* What one pass counts. Filled by ballot.h, read by the kernels; owns nothing. */
struct sophia_ballot {
    uint32_t rows;  /* used entries of names[] or operands[] */
    uint32_t order; /* 0: rows are generated from names[]; n: row r is the XOR of operands[n*r .. n*r+n-1] */
    uint32_t depth; /* planes that counts of this vote can reach */
    uint16_t weights[SOPHIA_BALLOT_ROWS];
    union {
        uint64_t names[SOPHIA_BALLOT_ROWS];
        const uint64_t *operands[SOPHIA_BALLOT_ROWS * SOPHIA_BALLOT_ORDER]; /* borrowed until counted */
    };
    /* The schedule: column j lists what is added at plane j: rows, and carries from SOPHIA_BALLOT_ROWS on, as
     * multiples of SOPHIA_BALLOT_STRIDE. */
    uint16_t sizes[SOPHIA_PLANES + SOPHIA_PLANES_SPARE];
    uint16_t columns[SOPHIA_PLANES + SOPHIA_PLANES_SPARE][SOPHIA_BALLOT_COLUMN];
};

/* Plane j of a vote is planes[j*words .. (j+1)*words-1]; `words` is a multiple of SOPHIA_VOTE_WORDS, and
 * stored rows that are counted are as long. */
struct sophia_enc_kernels {
    /* Adds the ballot's rows to the counts. The row that `name` names is the sequence
     * mix64(name + (w+1) * SOPHIA_MIX_C), w = 0, 1, ...; bit i of word w is lane 64*w + i. */
    void (*tally_b1)(const struct sophia_ballot *ballot, uint64_t *planes, size_t words);
    /* sums[lane] = total - 2 * count[lane]: a 0 bit votes +, a 1 bit votes -. */
    void (*sums_i32)(const uint64_t *planes, size_t depth, size_t words, int32_t total, int32_t *sums);
    /* Scales so that the largest magnitude of the first `dim` sums becomes 127 (enc_scalar.h has the rule). */
    void (*scale_i32_i8)(const int32_t *sums, size_t dim, int8_t *out);
};

#endif

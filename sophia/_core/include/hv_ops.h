/* Operations on hypervectors put together from the kernels: bundles of any size, random vectors, conversions.
 *
 * No allocation: scratch comes from the caller, and its size from the functions named ..._scratch().
 */
#ifndef SOPHIA_HV_OPS_H
#define SOPHIA_HV_OPS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hash.h"
#include "hv_kernels.h"
#include "layout.h"

/* As the kernel rotate_rows_b1, one row over components. */
static void sophia_rotate_i8(const int8_t *in, int8_t *out, size_t dim, size_t shift)
{
    memcpy(out + shift, in, dim - shift);
    memcpy(out, in + (dim - shift), shift);
}

/* Who votes: row i is list[i], or base + i * stride when list is NULL. */
typedef struct {
    const void *const *list;
    const unsigned char *base;
    size_t stride, n;
    const int64_t *weights; /* NULL: one each */
    uint64_t total;         /* of the absolute weights; 1 to 2^31 - 1 */
} sophia_voters;

static inline const void *sophia_voter(const sophia_voters *voters, size_t i)
{
    return voters->list ? voters->list[i] : voters->base + i * voters->stride;
}

static inline uint64_t sophia_magnitude(int64_t weight)
{
    return weight < 0 ? (uint64_t)0 - (uint64_t)weight : (uint64_t)weight;
}

/* The sum of the weights. */
static inline int64_t sophia_net_weight(const sophia_voters *voters)
{
    if (!voters->weights) return (int64_t)voters->n;
    int64_t net = 0;
    for (size_t i = 0; i < voters->n; i++) net += voters->weights[i];
    return net;
}

/* Planes of the counters of a vote: the top one is the least power of two above half the total. */
static inline size_t sophia_vote_planes(uint64_t total)
{
    size_t top = 0;
    while (((uint64_t)1 << top) <= total / 2) top++;
    return top + 1;
}

static inline int sophia_vote_is_small(const sophia_voters *voters)
{
    return !voters->weights && voters->n <= SOPHIA_GROUP_ROWS;
}

static size_t sophia_bundle_scratch(const sophia_voters *voters, int model, size_t dim)
{
    if (sophia_vote_is_small(voters)) return 0;
    if (model == SOPHIA_MAP) return (dim * sizeof(int32_t) + 63) & ~(size_t)63;
    return sophia_vote_planes(voters->total) * sophia_row_bytes(SOPHIA_BSC, dim);
}

/* `count` of them, from `first` on. `total` stays that of all: a vote may be counted part by part. */
static inline sophia_voters sophia_voters_part(const sophia_voters *voters, size_t first, size_t count)
{
    sophia_voters part = *voters;
    if (part.list) part.list += first;
    else part.base += first * part.stride;
    if (part.weights) part.weights += first;
    part.n = count;
    return part;
}

/* The counters before anybody has voted. */
static void sophia_tally_open_b1(const sophia_voters *voters, size_t dim, uint64_t *scratch)
{
    const size_t words = sophia_row_bytes(SOPHIA_BSC, dim) / 8, nplanes = sophia_vote_planes(voters->total);
    const uint64_t start = ((uint64_t)1 << (nplanes - 1)) - 1 - voters->total / 2;
    for (size_t p = 0; p < nplanes; p++) {
        memset(scratch + p * words, start >> p & 1 ? 0xFF : 0, words * sizeof(uint64_t));
    }
}

/* A weight is added bit by bit of its magnitude; a negative one counts the complement of its row. */
static void sophia_tally_b1(const struct sophia_hv_kernels *kernels, const sophia_voters *voters, size_t dim,
                            uint64_t *scratch)
{
    const size_t words = sophia_row_bytes(SOPHIA_BSC, dim) / 8, nplanes = sophia_vote_planes(voters->total);
    const uint64_t *group[SOPHIA_GROUP_ROWS];
    uint64_t bits = 1; /* of all weights */
    for (size_t i = 0; voters->weights && i < voters->n; i++) bits |= sophia_magnitude(voters->weights[i]);
    for (size_t bit = 0; bits >> bit; bit++) {
        for (int negative = 0; negative <= (voters->weights != NULL); negative++) {
            const uint64_t flip = negative ? ~(uint64_t)0 : 0;
            size_t count = 0;
            for (size_t i = 0; i < voters->n; i++) {
                const int64_t weight = voters->weights ? voters->weights[i] : 1;
                if ((weight < 0) != negative || !(sophia_magnitude(weight) >> bit & 1)) continue;
                group[count++] = (const uint64_t *)sophia_voter(voters, i);
                if (count == SOPHIA_GROUP_ROWS) {
                    kernels->count_b1(group, count, flip, bit, scratch, nplanes, words);
                    count = 0;
                }
            }
            if (count) kernels->count_b1(group, count, flip, bit, scratch, nplanes, words);
        }
    }
}

/* The majority of all `voters`, whose parts have been counted. */
static void sophia_tally_close_b1(const struct sophia_hv_kernels *kernels, const sophia_voters *voters, uint64_t *out,
                                  size_t dim, uint64_t *scratch)
{
    const size_t words = sophia_row_bytes(SOPHIA_BSC, dim) / 8, nplanes = sophia_vote_planes(voters->total);
    const uint64_t start = ((uint64_t)1 << (nplanes - 1)) - 1 - voters->total / 2;
    /* In the padding, too, which the complements reached, there is nobody who voted 1. */
    const uint64_t origin = start + (voters->total - (uint64_t)sophia_net_weight(voters)) / 2;
    kernels->settle_b1(scratch, nplanes, voters->total % 2 == 0, origin, out, words);
    sophia_padding_clear((unsigned char *)out, dim);
}

/* One vote over all inputs; `scratch` has sophia_bundle_scratch() bytes. `out` may be one of the inputs. */
static void sophia_bundle_b1(const struct sophia_hv_kernels *kernels, const sophia_voters *voters,
                             uint64_t *out, size_t dim, uint64_t *scratch)
{
    const size_t words = sophia_row_bytes(SOPHIA_BSC, dim) / 8;
    const uint64_t *group[SOPHIA_GROUP_ROWS];
    if (sophia_vote_is_small(voters)) {
        for (size_t i = 0; i < voters->n; i++) group[i] = (const uint64_t *)sophia_voter(voters, i);
        kernels->majority_b1(group, voters->n, out, words);
        return;
    }
    sophia_tally_open_b1(voters, dim, scratch);
    sophia_tally_b1(kernels, voters, dim, scratch);
    sophia_tally_close_b1(kernels, voters, out, dim, scratch);
}

/* acc (dim of them) += the weighted sum of the voters. No component may pass 2^31 - 1. */
static void sophia_tally_i8(const struct sophia_hv_kernels *kernels, const sophia_voters *voters,
                            int32_t *acc, size_t dim)
{
    const int8_t *group[SOPHIA_GROUP_ROWS];
    size_t count = 0;
    for (size_t i = 0; i < voters->n; i++) {
        const int8_t *row = (const int8_t *)sophia_voter(voters, i);
        if (voters->weights) {
            if (voters->weights[i]) kernels->add_i8(row, (int32_t)voters->weights[i], acc, dim);
            continue;
        }
        group[count++] = row;
        if (count == SOPHIA_GROUP_ROWS) {
            kernels->sum_i8(group, count, acc, dim);
            count = 0;
        }
    }
    if (count) kernels->sum_i8(group, count, acc, dim);
}

static void sophia_bundle_i8(const struct sophia_hv_kernels *kernels, const sophia_voters *voters,
                             int8_t *out, size_t dim, int32_t *scratch)
{
    if (sophia_vote_is_small(voters)) {
        const int8_t *group[SOPHIA_GROUP_ROWS];
        for (size_t i = 0; i < voters->n; i++) group[i] = (const int8_t *)sophia_voter(voters, i);
        kernels->majority_i8(group, voters->n, out, dim);
        return;
    }
    memset(scratch, 0, dim * sizeof(int32_t));
    sophia_tally_i8(kernels, voters, scratch, dim);
    kernels->sign_i32(scratch, sophia_net_weight(voters), out, dim);
}

/* The key of the random vector `index` of a family. Names and numbers are different families. */
static inline uint64_t sophia_random_key(uint64_t family, uint64_t index)
{
    return sophia_mix64(family + (index + 1) * SOPHIA_MIX_A);
}

/* Word w is mix64(key + (w + 1) * step): a counter-based stream, the same on every machine. */
static void sophia_random_words(uint64_t key, uint64_t *out, size_t n)
{
    for (size_t w = 0; w < n; w++) out[w] = sophia_mix64(key + (w + 1) * SOPHIA_TIE_STEP);
}

static void sophia_random_b1(uint64_t key, uint64_t *out, size_t dim)
{
    sophia_random_words(key, out, (dim + 63) / 64);
    sophia_padding_clear((unsigned char *)out, dim);
}

/* Eight bits as eight components, lowest first: 0 gives +1, 1 gives -1. */
static inline void sophia_spread_bits(uint64_t bits, int8_t *out)
{
    uint64_t lanes = (bits & 0xFF) * 0x0101010101010101ull & 0x8040201008040201ull; /* byte i keeps bit i */
    lanes = (lanes + 0x7F7F7F7F7F7F7F7Full) >> 7 & 0x0101010101010101ull;           /* 1 where it is set */
    lanes = lanes * 0xFE | 0x0101010101010101ull;
    memcpy(out, &lanes, 8);
}

/* Components of one word, `count` of them. */
static inline void sophia_spread_word(uint64_t word, int8_t *out, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) sophia_spread_bits(word >> i, out + i);
    for (; i < count; i++) out[i] = (int8_t)(1 - 2 * (int)(word >> i & 1));
}

/* The same stream as components. */
static void sophia_random_i8(uint64_t key, int8_t *out, size_t dim)
{
    for (size_t i = 0; i < dim; i += 64) {
        sophia_spread_word(sophia_mix64(key + (i / 64 + 1) * SOPHIA_TIE_STEP), out + i,
                           dim - i < 64 ? dim - i : 64);
    }
}

static void sophia_b1_to_i8(const uint64_t *in, int8_t *out, size_t dim)
{
    for (size_t i = 0; i < dim; i += 64) sophia_spread_word(in[i / 64], out + i, dim - i < 64 ? dim - i : 64);
}

static void sophia_i8_to_b1(const int8_t *in, uint64_t *out, size_t dim)
{
    memset(out, 0, sophia_row_bytes(SOPHIA_BSC, dim));
    size_t i = 0;
    for (; i + 8 <= dim; i += 8) {
        uint64_t lanes;
        memcpy(&lanes, in + i, 8);
        lanes = lanes >> 7 & 0x0101010101010101ull;
        out[i / 64] |= (lanes * 0x0102040810204080ull >> 56) << (i % 64); /* sign of byte j to bit j */
    }
    for (; i < dim; i++) out[i / 64] |= (uint64_t)(in[i] < 0) << (i % 64);
}

#endif

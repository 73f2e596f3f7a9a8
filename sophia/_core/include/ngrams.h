/* Sequences to hypervectors: every n consecutive symbols are bound into one row, and the rows vote.
 *
 * Symbol s has a pseudo-random item row; in an n-gram a b c it is rotated by its distance from the end:
 * rotate(a, 2) ^ rotate(b, 1) ^ c, where rotate(x, k) moves lane i to lane i + k (Joshi, Halseth and Kanerva,
 * "Language geometry using random indexing", 2016). Rotated rows are kept for the symbols in use.
 */
#ifndef SOPHIA_NGRAMS_H
#define SOPHIA_NGRAMS_H

#include <stdlib.h>

#include "ballot.h"
#include "hv_ops.h"
#include "numbers.h"
#include "text_features.h"

#define SOPHIA_ITEMS 512           /* symbols kept; when more are met, all rows are made anew as they come */
#define SOPHIA_NGRAMS_MAX 0xFFFFFF /* n-grams of one sequence */

enum sophia_ngrams_error {
    SOPHIA_NGRAMS_TOO_FEW = -6,
    SOPHIA_NGRAMS_TOO_MANY = -7,
    SOPHIA_NGRAMS_NO_ITEM = -8,
    SOPHIA_NGRAMS_NEGATIVE = -9
};

/* Symbols are code points of UTF-8 (width 0) or integers of 1, 2, 4 or 8 bytes in native order, signed or not. */
struct sophia_sequence {
    const unsigned char *data; /* borrowed */
    size_t size;               /* bytes */
    unsigned width;
    int signs; /* numbers are signed; none may be negative */
};

/* The code point at p, of the UTF-8 of a Python str: half of a pair of surrogates, which stands alone there and is no
 * UTF-8, is one too. */
static inline uint32_t sophia_str_point(const unsigned char *p, size_t left, unsigned *size)
{
    if (left < 3 || p[0] != 0xED || p[1] < 0xA0) return sophia_code_point(p, left, size);
    *size = 3;
    return 0xD000u | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
}

static inline uint64_t sophia_symbol(const struct sophia_sequence *sequence, size_t *at)
{
    const unsigned char *p = sequence->data + *at;
    unsigned step = sequence->width;
    const uint64_t symbol =
        step ? sophia_number_at(p, 0, step, sequence->signs) : sophia_str_point(p, sequence->size - *at, &step);
    *at += step;
    return symbol;
}

static inline int sophia_symbol_negative(const struct sophia_sequence *sequence, uint64_t symbol)
{
    return sequence->signs && (int64_t)symbol < 0;
}

static size_t sophia_sequence_length(const struct sophia_sequence *sequence)
{
    if (sequence->width) return sequence->size / sequence->width;
    size_t length = 0;
    for (size_t at = 0; at < sequence->size; length++) (void)sophia_symbol(sequence, &at);
    return length;
}

/* The rows of a codebook: symbol s has row s. Borrowed; `rows` NULL where symbols have pseudo-random rows. */
struct sophia_codebook {
    const uint64_t *rows;
    size_t count, words; /* those of a vote, zero from bit `dim` on */
};

/* Owns its rows: SOPHIA_ITEMS x order x words, allocated as symbols come. One thread at a time. */
struct sophia_items {
    struct sophia_codebook given;
    size_t dim, words;
    uint32_t order, count;
    uint64_t key;
    uint64_t symbols[SOPHIA_ITEMS];
    uint64_t
        *rows[SOPHIA_ITEMS]; /* `order` rows each, rotation k at k * words; kept when count goes back to 0 */
    uint16_t slots[2 * SOPHIA_ITEMS];
};

static void sophia_items_init(struct sophia_items *items, size_t dim, uint32_t order, uint64_t seed,
                              struct sophia_codebook given)
{
    memset(items, 0, sizeof *items);
    items->given = given;
    items->dim = dim;
    items->words = sophia_vote_words(dim);
    items->order = order;
    items->key = sophia_mix64(sophia_mix64(seed ^ SOPHIA_MIX_A) + 9 * SOPHIA_MIX_D);
}

static void sophia_items_free(struct sophia_items *items)
{
    for (size_t i = 0; i < SOPHIA_ITEMS; i++) free(items->rows[i]);
}

static void sophia_items_fill(const struct sophia_items *items, uint64_t symbol, uint64_t *rows)
{
    const size_t words = items->words, last = items->dim - 1;
    if (items->given.rows) {
        memcpy(rows, items->given.rows + symbol * words, 8 * words);
    } else {
        const uint64_t name = sophia_mix64(items->key ^ symbol);
        for (size_t w = 0; w < words; w++) rows[w] = sophia_mix64(name + SOPHIA_MIX_C * (uint64_t)(w + 1));
        sophia_clear_tail(rows, items->dim, words);
    }
    for (uint32_t k = 1; k < items->order; k++) {
        const uint64_t *from = rows + (k - 1) * words;
        uint64_t *to = rows + k * words;
        uint64_t carry = from[last / 64] >> last % 64 & 1;
        for (size_t w = 0; w < words; w++) {
            to[w] = from[w] << 1 | carry;
            carry = from[w] >> 63;
        }
        sophia_clear_tail(to, items->dim, words);
    }
}

/* 1 with *rows set (borrowed until the items are cleared), 0 when there is no room, -1 when memory is short, -2 when
 * the codebook has no such symbol. */
static int sophia_items_find(struct sophia_items *items, uint64_t symbol, const uint64_t **rows)
{
    const uint32_t mask = 2 * SOPHIA_ITEMS - 1;
    if (items->given.rows && symbol >= items->given.count) return -2;
    uint32_t i = (uint32_t)sophia_mix64(symbol) & mask;
    for (; items->slots[i]; i = (i + 1) & mask) {
        const uint32_t at = items->slots[i] - 1u;
        if (items->symbols[at] == symbol) {
            *rows = items->rows[at];
            return 1;
        }
    }
    if (items->count == SOPHIA_ITEMS) return 0;
    const uint32_t at = items->count;
    if (!items->rows[at]) {
        void *block = NULL;
        if (posix_memalign(&block, 64, items->order * items->words * 8)) return -1;
        items->rows[at] = (uint64_t *)block;
    }
    sophia_items_fill(items, symbol, items->rows[at]);
    items->symbols[at] = symbol;
    items->slots[i] = (uint16_t)++items->count;
    *rows = items->rows[at];
    return 1;
}

static void sophia_items_clear(struct sophia_items *items)
{
    items->count = 0;
    memset(items->slots, 0, sizeof items->slots);
}

/* Counts the n-grams of a sequence; 0, or an error code. */
static int sophia_ngrams_vote(const struct sophia_sequence *sequence, struct sophia_items *items,
                              struct sophia_vote *vote, const struct sophia_enc_kernels *kernels,
                              enum sophia_verdict verdict)
{
    const uint32_t order = items->order;
    const size_t length = sophia_sequence_length(sequence);
    if (length < order) return SOPHIA_NGRAMS_TOO_FEW;
    if (length - order >= SOPHIA_NGRAMS_MAX) return SOPHIA_NGRAMS_TOO_MANY;
    sophia_vote_begin(vote, (uint32_t)(length - order + 1), verdict);
    uint64_t symbols[SOPHIA_BALLOT_ORDER] = {0};        /* the last `order`, oldest first */
    const uint64_t *rows[SOPHIA_BALLOT_ORDER] = {NULL}; /* their unrotated rows */
    size_t at = 0;
    for (size_t i = 0; i < length; i++) {
        memmove(symbols, symbols + 1, (order - 1) * sizeof *symbols);
        memmove(rows, rows + 1, (order - 1) * sizeof *rows);
        symbols[order - 1] = sophia_symbol(sequence, &at);
        if (sophia_symbol_negative(sequence, symbols[order - 1])) return SOPHIA_NGRAMS_NEGATIVE;
        int found = sophia_items_find(items, symbols[order - 1], &rows[order - 1]);
        if (found == 0) {
            sophia_vote_flush(vote, kernels);
            sophia_items_clear(items);
            for (uint32_t k = i + 1 < order ? order - 1 - (uint32_t)i : 0; k < order; k++) {
                found = sophia_items_find(items, symbols[k], &rows[k]);
                if (found < 0) break;
            }
        }
        if (found == -2) return SOPHIA_NGRAMS_NO_ITEM;
        if (found < 0) return -3; /* as SOPHIA_IDF_NO_MEMORY */
        if (i + 1 < order) continue;
        const uint64_t *operands[SOPHIA_BALLOT_ORDER];
        for (uint32_t k = 0; k < order; k++) operands[k] = rows[k] + (order - 1 - k) * items->words;
        sophia_vote_bound(vote, kernels, operands, order, 1);
    }
    return 0;
}

/* Working memory of one thread. */
struct sophia_ngram_space {
    struct sophia_vote vote;
    struct sophia_items items;
};

static struct sophia_ngram_space *sophia_ngram_space_new(size_t dim, uint32_t order, uint64_t seed,
                                                         struct sophia_codebook given)
{
    struct sophia_ngram_space *space = (struct sophia_ngram_space *)malloc(sizeof *space);
    if (!space) return NULL;
    if (sophia_vote_init(&space->vote, dim)) {
        free(space);
        return NULL;
    }
    sophia_items_init(&space->items, dim, order, seed, given);
    return space;
}

static void sophia_ngram_space_free(struct sophia_ngram_space *space)
{
    if (!space) return;
    sophia_vote_free(&space->vote);
    sophia_items_free(&space->items);
    free(space);
}

static int sophia_ngrams_to_b1(const struct sophia_sequence *sequence, struct sophia_ngram_space *space,
                               const struct sophia_enc_kernels *kernels, uint64_t *out)
{
    const int code =
        sophia_ngrams_vote(sequence, &space->items, &space->vote, kernels, SOPHIA_VERDICT_MAJORITY);
    if (code == 0) sophia_vote_majority(&space->vote, kernels, out);
    return code;
}

static int sophia_ngrams_to_i8(const struct sophia_sequence *sequence, struct sophia_ngram_space *space,
                               const struct sophia_enc_kernels *kernels, int8_t *out)
{
    const int code = sophia_ngrams_vote(sequence, &space->items, &space->vote, kernels, SOPHIA_VERDICT_SUMS);
    if (code) return code;
    sophia_vote_sums(&space->vote, kernels);
    kernels->scale_i32_i8(space->vote.sums, space->items.dim, out);
    return 0;
}

/* The number of the first symbol that is negative, or that a codebook of so many symbols has no row for (0: there is no
 * codebook); the length of the sequence where there is none. */
static size_t sophia_sequence_unknown(const struct sophia_sequence *sequence, size_t symbols)
{
    size_t at = 0, place = 0;
    for (; at < sequence->size; place++) {
        const uint64_t symbol = sophia_symbol(sequence, &at);
        if (sophia_symbol_negative(sequence, symbol) || (symbols && symbol >= symbols)) break;
    }
    return place;
}

/* Working memory of one thread for votes over rotated rows: one ballot's rows, 128 * words * 8 bytes. */
struct sophia_sequence_space {
    struct sophia_vote vote;
    uint64_t *rows;
};

static void sophia_sequence_space_free(struct sophia_sequence_space *space)
{
    if (!space) return;
    sophia_vote_free(&space->vote);
    free(space->rows);
    free(space);
}

static struct sophia_sequence_space *sophia_sequence_space_new(size_t dim)
{
    struct sophia_sequence_space *space = (struct sophia_sequence_space *)calloc(1, sizeof *space);
    if (!space) return NULL;
    const size_t bytes = SOPHIA_BALLOT_ROWS * 8 * sophia_vote_words(dim);
    void *block = NULL;
    if (sophia_vote_init(&space->vote, dim) || posix_memalign(&block, 64, bytes)) {
        sophia_sequence_space_free(space);
        return NULL;
    }
    space->rows = (uint64_t *)memset(block, 0, bytes); /* words past the padded row are counted as well */
    return space;
}

/* Counts the symbols of a sequence, each row rotated by its distance from the end; 0, or an error code. */
static int sophia_sequence_vote(const struct sophia_sequence *sequence, const struct sophia_codebook *given,
                                struct sophia_sequence_space *space, const struct sophia_enc_kernels *kernels,
                                const struct sophia_hv_kernels *hv, enum sophia_verdict verdict)
{
    const size_t length = sophia_sequence_length(sequence), dim = space->vote.dim;
    if (length == 0) return SOPHIA_NGRAMS_TOO_FEW;
    if (length > SOPHIA_NGRAMS_MAX) return SOPHIA_NGRAMS_TOO_MANY;
    sophia_vote_begin(&space->vote, (uint32_t)length, verdict);
    size_t at = 0;
    for (size_t i = 0; i < length; i++) {
        const uint64_t symbol = sophia_symbol(sequence, &at);
        if (sophia_symbol_negative(sequence, symbol)) return SOPHIA_NGRAMS_NEGATIVE;
        if (symbol >= given->count) return SOPHIA_NGRAMS_NO_ITEM;
        /* A full ballot is counted here, not by the push: its rows are about to be written over. */
        if (i % SOPHIA_BALLOT_ROWS == 0) sophia_vote_flush(&space->vote, kernels);
        uint64_t *const row = space->rows + i % SOPHIA_BALLOT_ROWS * given->words;
        hv->rotate_rows_b1(given->rows + symbol * given->words, 0, row, 0, 1, dim, (length - 1 - i) % dim);
        const uint64_t *const operand = row;
        sophia_vote_bound(&space->vote, kernels, &operand, 1, 1);
    }
    return 0;
}

static int sophia_sequence_to_b1(const struct sophia_sequence *sequence, const struct sophia_codebook *given,
                                 struct sophia_sequence_space *space, const struct sophia_enc_kernels *kernels,
                                 const struct sophia_hv_kernels *hv, uint64_t *out)
{
    const int code = sophia_sequence_vote(sequence, given, space, kernels, hv, SOPHIA_VERDICT_MAJORITY);
    if (code == 0) sophia_vote_majority(&space->vote, kernels, out);
    return code;
}

static int sophia_sequence_to_i8(const struct sophia_sequence *sequence, const struct sophia_codebook *given,
                                 struct sophia_sequence_space *space, const struct sophia_enc_kernels *kernels,
                                 const struct sophia_hv_kernels *hv, int8_t *out)
{
    const int code = sophia_sequence_vote(sequence, given, space, kernels, hv, SOPHIA_VERDICT_SUMS);
    if (code) return code;
    sophia_vote_sums(&space->vote, kernels);
    kernels->scale_i32_i8(space->vote.sums, space->vote.dim, out);
    return 0;
}

#endif

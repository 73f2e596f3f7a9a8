/* Hypervector kernels in plain C: the reference, the tails of the wider levels, and every other processor.
 *
 * The population count is the well-known tree of shifted sums: baseline x86-64 has no POPCNT, and the library
 * call that the compiler would make costs more. Functions named ..._from start inside a vector: the wide
 * kernels call them for what is left over.
 */
#ifndef SOPHIA_HV_SCALAR_H
#define SOPHIA_HV_SCALAR_H

#include <string.h>

#include "cpu.h"
#include "hash.h"
#include "hv_kernels.h"
#include "layout.h"

static inline uint64_t sophia_popcount(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555ull;
    x = (x & 0x3333333333333333ull) + (x >> 2 & 0x3333333333333333ull);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0Full;
    return x * 0x0101010101010101ull >> 56;
}

static void sophia_bind_b1_scalar(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t words)
{
    for (size_t i = 0; i < words; i++) out[i] = a[i] ^ b[i];
}

static uint64_t sophia_hamming_b1_scalar(const uint64_t *a, const uint64_t *b, size_t words)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < words; i++) bits += sophia_popcount(a[i] ^ b[i]);
    return bits;
}

/* Or of the last eight words under the mask. */
static inline uint64_t sophia_padding_bits(const uint64_t *row, size_t words, const uint64_t *padding)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < 8; i++) bits |= row[words - 8 + i] & padding[i];
    return bits;
}

static uint64_t sophia_hamming_rows_b1_scalar(const uint64_t *query, const uint64_t *rows, size_t n,
                                              size_t words, const uint64_t *padding, uint32_t *out)
{
    uint64_t dirty = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t *row = rows + i * words;
        out[i] = (uint32_t)sophia_hamming_b1_scalar(query, row, words);
        if (padding) dirty |= sophia_padding_bits(row, words, padding);
    }
    return dirty;
}

static uint64_t sophia_hamming_tile_b1_scalar(const uint64_t *queries, const uint64_t *rows, size_t n,
                                              size_t words, const uint64_t *padding, uint32_t *out,
                                              size_t stride)
{
    uint64_t dirty = 0;
    for (size_t q = 0; q < SOPHIA_TILE_QUERIES; q++) {
        dirty |= sophia_hamming_rows_b1_scalar(queries + q * words, rows, n, words, padding,
                                               out + q * stride);
    }
    return dirty;
}

static uint32_t sophia_least_u32_scalar(const uint32_t *values, size_t n)
{
    uint32_t least = values[0];
    for (size_t i = 1; i < n; i++) least = values[i] < least ? values[i] : least;
    return least;
}

static uint64_t sophia_read_b1_scalar(const uint64_t *rows, size_t words)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    size_t i = 0;
    for (; i + 4 <= words; i += 4) {
        a ^= rows[i];
        b ^= rows[i + 1];
        c ^= rows[i + 2];
        d ^= rows[i + 3];
    }
    for (; i < words; i++) a ^= rows[i];
    return a ^ b ^ c ^ d;
}

#define V uint64_t
#define V_WORDS 1
#define V_COLUMNS 1
#define V_ISA
#define V_NAME(name) sophia_vote_##name##_scalar
#define V_LOAD(p) (*(p))
#define V_STORE(p, v) (*(p) = (v))
#define V_SET(word) ((uint64_t)(word))
#define V_XOR(a, b) ((a) ^ (b))
#define V_AND(a, b) ((a) & (b))
#define V_OR(a, b) ((a) | (b))
#define V_ANDNOT(a, b) (~(a) & (b))
#define V_SUM3(a, b, c) ((a) ^ (b) ^ (c))
#define V_MAJ3(a, b, c) (((a) & (b)) | (((a) ^ (b)) & (c)))
#define V_TIES(seed, first) sophia_tie_word(seed, first)
#define V_BLANK(parity, tie) ((parity) == 0 && (tie) != 0)
#include "hv_vote.h"

static void sophia_majority_b1_scalar(const uint64_t *const *rows, size_t n, uint64_t *out, size_t words)
{
    (void)sophia_vote_majority_scalar(rows, n, out, words, 0);
}

static void sophia_count_b1_scalar(const uint64_t *const *rows, size_t n, uint64_t flip, size_t first,
                                   uint64_t *planes, size_t nplanes, size_t words)
{
    (void)sophia_vote_count_scalar(rows, n, flip, first, planes, nplanes, words, 0);
}

static void sophia_settle_b1_scalar(const uint64_t *planes, size_t nplanes, int even, uint64_t origin,
                                    uint64_t *out, size_t words)
{
    (void)sophia_vote_settle_scalar(planes, nplanes, even, origin, out, words, 0);
}

/* out[i] = in[i] >> bits | in[i + 1] << (64 - bits), bits < 64; in[words] is read only when bits > 0. */
typedef void sophia_shift_words(const uint64_t *in, unsigned bits, uint64_t *out, size_t words);

static inline void sophia_shift_words_scalar(const uint64_t *in, unsigned bits, uint64_t *out, size_t words)
{
    if (!bits) {
        if (words) memcpy(out, in, words * sizeof(uint64_t));
        return;
    }
    for (size_t i = 0; i < words; i++) out[i] = in[i] >> bits | in[i + 1] << (64 - bits);
}

/* `count` (1 to 64) bits from bit `at` on. */
static inline uint64_t sophia_bits_at(const uint64_t *in, size_t at, size_t count)
{
    const size_t word = at / 64, shift = at % 64;
    uint64_t bits = in[word] >> shift;
    if (shift + count > 64) bits |= in[word + 1] << (64 - shift);
    return count < 64 ? bits & (((uint64_t)1 << count) - 1) : bits;
}

/* A rotation in two runs of whole words, and by itself the word where the end of `in` meets its start. */
static inline __attribute__((always_inline)) void sophia_rotate_words(sophia_shift_words *shift_words,
                                                                      const uint64_t *in, uint64_t *out,
                                                                      size_t dim, size_t shift)
{
    const size_t whole = dim / 64, words = sophia_row_bytes(SOPHIA_BSC, dim) / 8;
    const size_t before = shift / 64, cut = shift % 64, rest = dim % 64;
    if (shift == 0) {
        memcpy(out, in, words * sizeof(uint64_t));
        return;
    }
    /* Words wholly below the shift come from the end of `in`, those wholly above from its start. */
    shift_words(in + (dim - shift) / 64, (unsigned)((dim - shift) % 64), out, before);
    const size_t after = before + (cut != 0);
    if (after < whole) shift_words(in, (unsigned)(after * 64 - shift), out + after, whole - after);
    if (cut) { /* the seam */
        const size_t above = (before == whole ? rest : 64) - cut;
        out[before] = sophia_bits_at(in, dim - cut, cut) | (above ? sophia_bits_at(in, 0, above) << cut : 0);
    }
    if (rest && after <= whole) out[whole] = sophia_bits_at(in, whole * 64 - shift, rest);
    const size_t used = whole + (rest != 0);
    memset(out + used, 0, (words - used) * sizeof(uint64_t));
}

static void sophia_rotate_rows_b1_scalar(const uint64_t *in, size_t in_words, uint64_t *out, size_t out_words,
                                         size_t n, size_t dim, size_t shift)
{
    for (size_t i = 0; i < n; i++) {
        sophia_rotate_words(sophia_shift_words_scalar, in + i * in_words, out + i * out_words, dim, shift);
    }
}

static void sophia_bind_i8_scalar(const int8_t *a, const int8_t *b, int8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (int8_t)((a[i] ^ b[i]) | 1);
}

static int64_t sophia_dot_i8_scalar(const int8_t *a, const int8_t *b, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static int64_t sophia_dot_norm_i8_scalar(const int8_t *query, const int8_t *row, size_t n, int64_t *norm)
{
    int64_t sum = 0, self = 0;
    for (size_t i = 0; i < n; i++) {
        sum += query[i] * row[i];
        self += row[i] * row[i];
    }
    *norm = self;
    return sum;
}

/* The vote over 64 sums or fewer, which are one word of the tie rule. */
static inline void sophia_vote_word_i32(const int32_t *acc, int64_t net, int8_t *out, size_t n,
                                        size_t index)
{
    uint64_t negative = 0, zero = 0, parity = 0;
    for (size_t i = 0; i < n; i++) {
        negative |= (uint64_t)(acc[i] < 0) << i;
        zero |= (uint64_t)(acc[i] == 0) << i;
        parity |= ((uint64_t)(net - acc[i]) >> 1 & 1) << i;
    }
    if (zero) negative |= zero & sophia_tie_word(sophia_tie_seed_of_sums(acc, n, net, parity), index);
    for (size_t i = 0; i < n; i++) out[i] = (int8_t)(1 - 2 * (int)(negative >> i & 1));
}

static void sophia_sign_i32_scalar_from(const int32_t *acc, int64_t net, int8_t *out, size_t dim,
                                        size_t at)
{
    for (; at < dim; at += 64) {
        sophia_vote_word_i32(acc + at, net, out + at, dim - at < 64 ? dim - at : 64, at / 64);
    }
}

static void sophia_sign_i32_scalar(const int32_t *acc, int64_t net, int8_t *out, size_t dim)
{
    sophia_sign_i32_scalar_from(acc, net, out, dim, 0);
}

static void sophia_majority_i8_scalar_from(const int8_t *const *rows, size_t n, int8_t *out, size_t dim,
                                           size_t at)
{
    for (; at < dim; at += 64) {
        const size_t width = dim - at < 64 ? dim - at : 64;
        int32_t acc[64] = {0};
        for (size_t r = 0; r < n; r++) {
            const int8_t *row = rows[r] + at;
            for (size_t i = 0; i < width; i++) acc[i] += row[i];
        }
        sophia_vote_word_i32(acc, (int64_t)n, out + at, width, at / 64);
    }
}

static void sophia_majority_i8_scalar(const int8_t *const *rows, size_t n, int8_t *out, size_t dim)
{
    sophia_majority_i8_scalar_from(rows, n, out, dim, 0);
}

static void sophia_sum_i8_scalar_from(const int8_t *const *rows, size_t n, int32_t *acc, size_t dim,
                                      size_t at)
{
    for (size_t r = 0; r < n; r++) {
        for (size_t i = at; i < dim; i++) acc[i] += rows[r][i];
    }
}

static void sophia_sum_i8_scalar(const int8_t *const *rows, size_t n, int32_t *acc, size_t dim)
{
    sophia_sum_i8_scalar_from(rows, n, acc, dim, 0);
}

static void sophia_add_i8_scalar(const int8_t *row, int32_t weight, int32_t *acc, size_t dim)
{
    for (size_t i = 0; i < dim; i++) acc[i] += weight * row[i];
}

#define SOPHIA_HV_SCALAR                                                                                   \
    {                                                                                                      \
        .bind_b1 = sophia_bind_b1_scalar, .hamming_b1 = sophia_hamming_b1_scalar,                          \
        .hamming_rows_b1 = sophia_hamming_rows_b1_scalar, .hamming_tile_b1 = sophia_hamming_tile_b1_scalar,\
        .least_u32 = sophia_least_u32_scalar, .read_b1 = sophia_read_b1_scalar,                            \
        .majority_b1 = sophia_majority_b1_scalar,                                                          \
        .count_b1 = sophia_count_b1_scalar, .settle_b1 = sophia_settle_b1_scalar,                          \
        .rotate_rows_b1 = sophia_rotate_rows_b1_scalar, .bind_i8 = sophia_bind_i8_scalar,                              \
        .dot_i8 = sophia_dot_i8_scalar, .dot_norm_i8 = sophia_dot_norm_i8_scalar,                          \
        .majority_i8 = sophia_majority_i8_scalar, .sum_i8 = sophia_sum_i8_scalar,                          \
        .add_i8 = sophia_add_i8_scalar, .sign_i32 = sophia_sign_i32_scalar,                                \
    }

#endif

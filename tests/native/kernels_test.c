/* Every kernel of every level of this machine against a naive loop, for 0 to 169 words.
 *
 * Operands end at the end of their allocation (build with -fsanitize=address to see a read past it) and
 * outputs are followed by a guard. Prints one line a level; exits with 1 at the first difference.
 * Over 600 lines: one program for one table of kernels, over the same guards and random words.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dispatch.h"
#include "hv_ops.h"
#include "hv_search.h"

#define MOST_WORDS 169
#define ROWS 130
#define GUARD 0xA5

static uint64_t state = 1;

static uint64_t next(void)
{
    return sophia_mix64(state += SOPHIA_TIE_STEP);
}

static void *room(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) exit(2);
    return memory;
}

static uint64_t *random_words(size_t n)
{
    uint64_t *words = (uint64_t *)room(n * 8);
    for (size_t i = 0; i < n; i++) words[i] = next();
    return words;
}

static int8_t *random_signs(size_t n)
{
    int8_t *signs = (int8_t *)room(n);
    for (size_t i = 0; i < n; i++) signs[i] = next() & 1 ? 1 : -1;
    return signs;
}

static void check(int good, const char *kernel, size_t n)
{
    if (good) return;
    printf("WRONG: %s for n = %zu\n", kernel, n);
    exit(1);
}

static int bit_of(const uint64_t *row, size_t i)
{
    return (int)(row[i / 64] >> (i % 64) & 1);
}

static uint64_t naive_hamming(const uint64_t *a, const uint64_t *b, size_t words)
{
    uint64_t count = 0;
    for (size_t i = 0; i < 64 * words; i++) count += bit_of(a, i) != bit_of(b, i);
    return count;
}

static void guarded(unsigned char *end, int set, const char *kernel, size_t n)
{
    if (set) memset(end, GUARD, 64);
    else for (int i = 0; i < 64; i++) check(end[i] == GUARD, kernel, n);
}

/* The bit of a tie in place i of a word of counts: the lowest of their bits that are not all zero are hashed. */
static int naive_tie(const uint64_t *counts, size_t n, size_t i)
{
    uint64_t seed = 0;
    for (int p = 0; p < 64 && !seed; p++) {
        for (size_t j = 0; j < n; j++) seed |= (counts[j] >> p & 1) << j;
    }
    return (int)(sophia_mix64(seed ^ (i / 64 + 1) * SOPHIA_TIE_STEP) >> (i % 64) & 1);
}

/* The vote of bit i, by counting. */
static int naive_vote(const uint64_t *const *rows, size_t n, size_t i)
{
    uint64_t counts[64] = {0};
    size_t count = 0;
    for (size_t r = 0; r < n; r++) count += (size_t)bit_of(rows[r], i);
    if (2 * count != n) return 2 * count > n;
    for (size_t r = 0; r < n; r++) for (size_t j = 0; j < 64; j++) counts[j] += rows[r][i / 64] >> j & 1;
    return naive_tie(counts, 64, i);
}

static void test_words(const struct sophia_hv_kernels *k, size_t words)
{
    uint64_t *a = random_words(words), *b = random_words(words + 1);
    unsigned char *memory = (unsigned char *)room(8 * words + 64);
    uint64_t *out = (uint64_t *)memory;

    guarded(memory + 8 * words, 1, "", 0);
    k->bind_b1(a, b, out, words);
    for (size_t i = 0; i < words; i++) check(out[i] == (a[i] ^ b[i]), "bind_b1", words);
    guarded(memory + 8 * words, 0, "bind_b1", words);
    check(k->hamming_b1(a, b, words) == naive_hamming(a, b, words), "hamming_b1", words);

    uint64_t folded = 0;
    for (size_t i = 0; i < words; i++) folded ^= a[i];
    check(k->read_b1(a, words) == folded, "read_b1", words);

    free(a);
    free(b);
    free(memory);
}

static void test_rows(const struct sophia_hv_kernels *k, size_t words)
{
    for (size_t n = 0; n < 20; n += n < 3 ? 1 : 8) {
        uint64_t *queries = random_words(4 * words), *rows = random_words(n * words);
        uint32_t *out = (uint32_t *)room(4 * (n + 3) * sizeof(uint32_t));
        uint64_t padding[8] = {0};
        k->hamming_rows_b1(queries, rows, n, words, NULL, out);
        for (size_t i = 0; i < n; i++) {
            check(out[i] == naive_hamming(queries, rows + i * words, words), "hamming_rows_b1", words);
        }
        if (n) {
            uint32_t least = out[0];
            for (size_t i = 1; i < n; i++) least = out[i] < least ? out[i] : least;
            check(k->least_u32(out, n) == least, "least_u32", n);
        }
        k->hamming_tile_b1(queries, rows, n, words, NULL, out, n + 3);
        for (size_t q = 0; q < 4; q++) {
            for (size_t i = 0; i < n; i++) {
                check(out[q * (n + 3) + i] == naive_hamming(queries + q * words, rows + i * words, words),
                      "hamming_tile_b1", words);
            }
        }
        if (words >= 8 && n) {
            check(!k->hamming_rows_b1(queries, rows, n, words, padding, out), "no padding", words);
            check(!k->hamming_tile_b1(queries, rows, n, words, padding, out, n), "no padding, tile", words);
            padding[7] = (uint64_t)1 << 63;
            for (size_t i = 0; i < n; i++) rows[i * words + words - 1] &= ~padding[7];
            check(!k->hamming_rows_b1(queries, rows, n, words, padding, out), "clean padding", words);
            rows[(n - 1) * words + words - 1] |= padding[7];
            check(k->hamming_rows_b1(queries, rows, n, words, padding, out) != 0, "dirty padding", words);
            check(k->hamming_tile_b1(queries, rows, n, words, padding, out, n) != 0, "dirty padding, tile",
                  words);
        }
        free(queries);
        free(rows);
        free(out);
    }
}

static void test_votes(const struct sophia_hv_kernels *k, size_t words)
{
    static const size_t sizes[] = {1, 2, 3, 8, 10, 17, 100, 127};
    uint64_t *rows[ROWS];
    unsigned char *memory = (unsigned char *)room(8 * words + 64);
    uint64_t *out = (uint64_t *)memory;
    for (size_t r = 0; r < ROWS; r++) rows[r] = random_words(words);
    for (size_t s = 0; s < 2 * (sizeof sizes / sizeof *sizes); s++) {
        const size_t n = sizes[s / 2];
        /* In half of the votes each row comes 2, 4 or 8 times, in some words: their counts are even. */
        if (s % 2) {
            const size_t times = (size_t)2 << next() % 3;
            for (size_t r = 0; r < n; r++) {
                for (size_t i = 0; i < words; i += 1 + next() % 2) rows[r][i] = rows[r / times * times][i];
            }
        }
        guarded(memory + 8 * words, 1, "", 0);
        k->majority_b1((const uint64_t *const *)rows, n, out, words);
        for (size_t i = 0; i < 64 * words; i++) {
            check(bit_of(out, i) == naive_vote((const uint64_t *const *)rows, n, i), "majority_b1", words);
        }
        guarded(memory + 8 * words, 0, "majority_b1", words);

        /* The same vote through counters in memory, in two groups. */
        size_t nplanes = 1;
        while (((size_t)1 << (nplanes - 1)) <= n / 2) nplanes++;
        const uint64_t start = ((uint64_t)1 << (nplanes - 1)) - 1 - n / 2;
        uint64_t *planes = (uint64_t *)room(nplanes * words * 8);
        for (size_t p = 0; p < nplanes; p++) memset(planes + p * words, start >> p & 1 ? 0xFF : 0, words * 8);
        k->count_b1((const uint64_t *const *)rows, n / 3, 0, 0, planes, nplanes, words);
        for (size_t r = n / 3; r < n; r++) for (size_t i = 0; i < words; i++) rows[r][i] = ~rows[r][i];
        k->count_b1((const uint64_t *const *)rows + n / 3, n - n / 3, ~(uint64_t)0, 0, planes, nplanes,
                    words);
        for (size_t r = n / 3; r < n; r++) for (size_t i = 0; i < words; i++) rows[r][i] = ~rows[r][i];
        uint64_t *again = (uint64_t *)room(8 * words);
        k->settle_b1(planes, nplanes, n % 2 == 0, start, again, words);
        check(!words || !memcmp(again, out, 8 * words), "count_b1 and settle_b1", words);
        free(again);
        free(planes);
    }
    for (size_t r = 0; r < ROWS; r++) free(rows[r]);
    free(memory);
}

static void test_bytes(const struct sophia_hv_kernels *k, size_t n)
{
    int8_t *rows[ROWS], *a = random_signs(n), *any = (int8_t *)room(n), *other = (int8_t *)room(n);
    unsigned char *memory = (unsigned char *)room(n + 64);
    int8_t *out = (int8_t *)memory;
    int32_t *acc = (int32_t *)room(n * 4), *copy = (int32_t *)room(n * 4);
    for (size_t r = 0; r < ROWS; r++) rows[r] = random_signs(n);
    guarded(memory + n, 1, "", 0);
    k->bind_i8(a, rows[0], out, n);
    for (size_t i = 0; i < n; i++) check(out[i] == a[i] * rows[0][i], "bind_i8", n);
    guarded(memory + n, 0, "bind_i8", n);

    int64_t dot = 0, self = 0, norm;
    for (size_t i = 0; i < n; i++) {
        any[i] = n % 3 ? (int8_t)next() : -128;
        other[i] = n % 3 ? (int8_t)next() : -128;
        dot += any[i] * other[i];
        self += other[i] * other[i];
    }
    check(k->dot_i8(any, other, n) == dot, "dot_i8", n);
    check(k->dot_norm_i8(any, other, n, &norm) == dot && norm == self, "dot_norm_i8", n);

    static const size_t sizes[] = {1, 2, 3, 4, 45, 86, 127, 4, 88};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t count = sizes[s];
        /* At last each row comes twice, in some words: their counts are even. */
        for (size_t r = 0; s > 6 && r < count; r += 2) {
            for (size_t i = 0; i < n; i += 64) if (i % 192) memcpy(rows[r] + i, rows[r + 1] + i, n - i < 64 ? n - i : 64);
        }
        for (size_t i = 0; i < n; i++) acc[i] = copy[i] = (int32_t)next();
        k->sum_i8((const int8_t *const *)rows, count, acc, n);
        for (size_t i = 0; i < n; i++) {
            int32_t sum = 0;
            for (size_t r = 0; r < count; r++) sum += rows[r][i];
            check(acc[i] == (int32_t)((uint32_t)copy[i] + (uint32_t)sum), "sum_i8", n);
            acc[i] = sum;
        }
        k->sign_i32(acc, (int64_t)count, out, n);
        for (size_t i = 0; i < n; i++) {
            int expected = acc[i] < 0 ? -1 : 1;
            if (acc[i] == 0) {
                uint64_t counts[64];
                const size_t first = i / 64 * 64, width = n - first < 64 ? n - first : 64;
                for (size_t j = 0; j < width; j++) counts[j] = (count - (uint64_t)(int64_t)acc[first + j]) / 2;
                expected = naive_tie(counts, width, i) ? -1 : 1;
            }
            check(out[i] == expected, "sign_i32", n);
        }
        guarded(memory + n, 0, "sign_i32", n);
        int8_t *direct = (int8_t *)room(n);
        k->majority_i8((const int8_t *const *)rows, count, direct, n);
        check(!n || !memcmp(direct, out, n), "majority_i8", n);
        free(direct);
    }
    for (int32_t weight = -70000; weight <= 70000; weight += 35000) {
        for (size_t i = 0; i < n; i++) acc[i] = copy[i] = (int32_t)(next() & 0xFFFF);
        k->add_i8(a, weight, acc, n);
        for (size_t i = 0; i < n; i++) check(acc[i] == copy[i] + weight * a[i], "add_i8", n);
    }
    for (size_t r = 0; r < ROWS; r++) free(rows[r]);
    free(a);
    free(any);
    free(other);
    free(memory);
    free(acc);
    free(copy);
}

#define FENCE 65536 /* a page of any size */

/* Memory with nothing readable before and behind it: a row of `bytes` at its start or at its end. */
static unsigned char *fenced(size_t bytes, int at_end, unsigned char **start)
{
    unsigned char *memory = mmap(NULL, 3 * FENCE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + FENCE, FENCE, PROT_READ | PROT_WRITE)) exit(2);
    *start = memory;
    return memory + FENCE + (at_end ? FENCE - bytes : 0);
}

/* One dimension, every shift near a multiple of 64 and others; of rows at either end of what may be read, and
 * written with room between them. */
static void test_rotation(const struct sophia_hv_kernels *k, size_t dim, int at_end)
{
    enum { TURNED = 2 };
    const size_t words = sophia_row_bytes(SOPHIA_BSC, dim) / 8, apart = words + 8;
    unsigned char *start, *memory = (unsigned char *)room(64 + 8 * TURNED * apart);
    uint64_t *rows = (uint64_t *)fenced(8 * TURNED * words, at_end, &start), *turned = (uint64_t *)(memory + 64);
    for (size_t i = 0; i < TURNED * words; i++) rows[i] = next();
    for (size_t r = 0; r < TURNED; r++) sophia_padding_clear((unsigned char *)(rows + r * words), dim);
    guarded(memory, 1, "", 0);
    for (size_t r = 0; r < TURNED; r++) guarded((unsigned char *)(turned + r * apart + words), 1, "", 0);
    for (size_t shift = 0; shift < dim; shift += shift < 130 || (shift + 2) % 64 < 3 || shift + 70 > dim ? 1 : 7) {
        for (size_t r = 0; r < TURNED; r++) memset(turned + r * apart, GUARD, 8 * words);
        k->rotate_rows_b1(rows, words, turned, apart, TURNED, dim, shift);
        guarded(memory, 0, "rotate_rows_b1, before", dim);
        for (size_t r = 0; r < TURNED; r++) {
            const uint64_t *in = rows + r * words, *out = turned + r * apart;
            for (size_t i = 0; i < dim; i++) {
                const size_t to = i + shift < dim ? i + shift : i + shift - dim;
                check(bit_of(out, to) == bit_of(in, i), "rotate_rows_b1", dim);
            }
            check(!sophia_padding_dirty((const unsigned char *)out, dim), "rotate_rows_b1, padding", dim);
            guarded((unsigned char *)(turned + r * apart + words), 0, "rotate_rows_b1, behind", dim);
        }
    }
    munmap(start, 3 * FENCE);
    free(memory);
}

/* Rotation and a long dot product do not depend on the number of words alone. */
static void test_dims(const struct sophia_hv_kernels *k)
{
    static const size_t dims[] = {448, 449, 511, 512, 513, 520, 575, 576, 1000, 1023, 1024, 1025, 1472, 1473, 1535, 1536,
                                  1537, 2500};
    for (int at_end = 0; at_end < 2; at_end++) {
        for (size_t dim = 64; dim < 140; dim++) test_rotation(k, dim, at_end);
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) test_rotation(k, dims[d], at_end);
    }
    const size_t n = ((size_t)1 << 20) + 77;
    int8_t *most = (int8_t *)room(n);
    int64_t norm;
    memset(most, -128, n);
    check(k->dot_i8(most, most, n) == (int64_t)n * 16384, "long dot_i8", n);
    const int64_t full = (int64_t)n * 16384;
    check(k->dot_norm_i8(most, most, n, &norm) == full && norm == full, "long dot_norm_i8", n);
    free(most);
}

static float *float_block(size_t n)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 64, (n ? n : 1) * sizeof(float))) exit(2);
    return (float *)memory;
}

/* Floats of either sign, many of them small. */
static float any_float(void)
{
    const int64_t wide = (int64_t)next();
    return (float)(wide >> (next() % 48)) * 0x1p-58f;
}

static float naive_sixteen(const float *values, size_t n)
{
    float lanes[16] = {0}, total = 0.0f;
    for (size_t c = 0; c < n; c++) lanes[c % 16] += values[c] * values[c];
    for (size_t lane = 0; lane < 16; lane++) total += lanes[lane];
    return total;
}

/* Rows of integer weights, at their largest too. */
static void test_scores(const struct sophia_ro_kernels *k, size_t stride, size_t n, int extreme)
{
    enum { READOUT_ROWS = 7 };
    int8_t *weights = (int8_t *)room(READOUT_ROWS * stride);
    uint32_t *positions = (uint32_t *)room(n * sizeof *positions);
    int16_t *values = (int16_t *)room(n * sizeof *values);
    int32_t *sums = (int32_t *)room(stride * sizeof *sums + 64);
    for (size_t i = 0; i < READOUT_ROWS * stride; i++) weights[i] = extreme ? -128 : (int8_t)next();
    for (size_t i = 0; i < n; i++) {
        positions[i] = (uint32_t)(next() % READOUT_ROWS);
        /* all values of one norm: the largest sum there is; two of SOPHIA_RO_UNIT are the largest pair */
        values[i] = (int16_t)(!extreme ? (int)(next() % 513) - 256 : n <= 2 ? SOPHIA_RO_UNIT : SOPHIA_RO_UNIT / 64 + 1);
    }
    guarded((unsigned char *)(sums + stride), 1, "", 0);
    k->score_i8(weights, stride, positions, values, n, sums);
    guarded((unsigned char *)(sums + stride), 0, "score_i8", n);
    for (size_t c = 0; c < stride; c++) {
        int64_t sum = 0;
        for (size_t i = 0; i < n; i++) sum += (int64_t)values[i] * weights[positions[i] * stride + c];
        check(sum == sums[c], "score_i8", n);
    }
    free(weights);
    free(positions);
    free(values);
    free(sums);
}

/* The grams of a word, each hashed by itself. */
static void test_grams(const struct sophia_ro_kernels *k, uint32_t least, uint32_t most, size_t n)
{
    struct sophia_ro_grams by = {least, most, {0}, {1}};
    uint64_t codes[SOPHIA_RO_LETTERS + 2], prefix[SOPHIA_RO_LETTERS + 3] = {0};
    for (size_t g = 1; g <= SOPHIA_RO_GRAM; g++) {
        by.key[g] = next();
        by.power[g] = by.power[g - 1] * SOPHIA_MIX64_MULTIPLIER;
    }
    for (size_t i = 0; i < n + 2; i++) {
        codes[i] = 1 + next() % 128;
        prefix[i + 1] = prefix[i] * SOPHIA_MIX64_MULTIPLIER + codes[i];
    }
    uint64_t *expected = (uint64_t *)room(SOPHIA_RO_GRAM * (n + 2) * sizeof *expected);
    size_t count = 0;
    for (size_t j = 1; j <= n + 2; j++)
        for (size_t g = least; g <= most && g <= j; g++) {
            uint64_t sum = 0;
            for (size_t i = j - g; i < j; i++) sum = sum * SOPHIA_MIX64_MULTIPLIER + codes[i];
            if (g < n + 2) expected[count++] = sophia_mix64(sum ^ by.key[g]);
        }
    uint64_t *hashes = (uint64_t *)room((count + SOPHIA_RO_MORE) * sizeof *hashes + 64);
    guarded((unsigned char *)(hashes + count + SOPHIA_RO_MORE), 1, "", 0);
    check(k->grams(&by, prefix, n, hashes) == count, "grams, number", n);
    guarded((unsigned char *)(hashes + count + SOPHIA_RO_MORE), 0, "grams", n);
    check(!memcmp(hashes, expected, count * sizeof *hashes), "grams", n);
    free(expected);
    free(hashes);
}

/* Places whose cells are empty, full, or neither. */
static void test_sieve(const struct sophia_ro_kernels *k, size_t n, unsigned full)
{
    enum { CELLS = 64 };
    uint32_t cells[CELLS];
    uint32_t *places = (uint32_t *)room(n * sizeof *places);
    uint32_t *numbers = (uint32_t *)room((n + SOPHIA_RO_SIEVED) * sizeof *numbers + 64);
    for (size_t c = 0; c < CELLS; c++) cells[c] = next() % 8 < full ? (uint32_t)next() | 1u << 31 : 0;
    for (size_t i = 0; i < n; i++) places[i] = (uint32_t)next();
    guarded((unsigned char *)(numbers + n + SOPHIA_RO_SIEVED), 1, "", 0);
    const size_t got = k->sieve(places, n, cells, CELLS - 1, numbers);
    guarded((unsigned char *)(numbers + n + SOPHIA_RO_SIEVED), 0, "sieve", n);
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (cells[places[i] % CELLS]) check(count < got && numbers[count++] == i, "sieve", n);
    check(count == got, "sieve, number", n);
    free(places);
    free(numbers);
}

/* Halves among them, and the largest there are. */
static void test_scaled(const struct sophia_ro_kernels *k, size_t n)
{
    int32_t *weights = (int32_t *)room(n * sizeof *weights);
    int16_t *values = (int16_t *)room(n * sizeof *values + 64);
    const double scale = next() % 2 ? 0.5 : (double)SOPHIA_RO_UNIT / (double)(1 << 20);
    for (size_t i = 0; i < n; i++) {
        weights[i] = (int32_t)(next() % (scale == 0.5 ? 1 + 2 * SOPHIA_RO_UNIT : 1 + (1 << 20)));
        if (next() % 2) weights[i] = -weights[i];
    }
    guarded((unsigned char *)(values + n), 1, "", 0);
    k->scaled(weights, n, scale, values);
    guarded((unsigned char *)(values + n), 0, "scaled", n);
    for (size_t i = 0; i < n; i++) {
        const int32_t away = (int32_t)floor(fabs(weights[i] * scale) + 0.5);
        check(values[i] == (weights[i] < 0 ? -away : away), "scaled", n);
    }
    free(weights);
    free(values);
}

/* Known, unknown and weightless features, and what is written behind the last. */
static void test_weights(const struct sophia_ro_kernels *k, size_t n, unsigned unknown)
{
    struct sophia_ro_weighing by = {NULL, 16384, {351, 325, 0, 4096}, 65535};
    uint16_t *idf = (uint16_t *)room((SOPHIA_RO_BUCKETS + 1) * sizeof *idf);
    uint64_t *hashes = (uint64_t *)room(n * sizeof *hashes);
    uint8_t *kinds = (uint8_t *)room(n);
    uint16_t *numbers = (uint16_t *)room((n + SOPHIA_RO_MORE) * sizeof *numbers + 64);
    uint32_t *positions = (uint32_t *)room((n + SOPHIA_RO_MORE) * sizeof *positions + 64);
    int32_t *weights = (int32_t *)room((n + SOPHIA_RO_MORE) * sizeof *weights + 64);
    for (size_t b = 0; b < SOPHIA_RO_BUCKETS; b++)
        idf[b] = next() % 8 < unknown ? 0 : (uint16_t)(next() % 9 ? next() : 65535);
    by.idf = idf;
    for (size_t i = 0; i < n; i++) {
        hashes[i] = next() % 5 ? next() : next() % 2 ? UINT64_MAX : next() % 2;
        kinds[i] = (uint8_t)(next() % SOPHIA_RO_KINDS);
    }
    guarded((unsigned char *)(numbers + n + SOPHIA_RO_MORE), 1, "", 0);
    guarded((unsigned char *)(positions + n + SOPHIA_RO_MORE), 1, "", 0);
    guarded((unsigned char *)(weights + n + SOPHIA_RO_MORE), 1, "", 0);
    const struct sophia_ro_tally got = k->weigh(&by, hashes, kinds, n, numbers, positions, weights);
    guarded((unsigned char *)(numbers + n + SOPHIA_RO_MORE), 0, "weigh", n);
    guarded((unsigned char *)(positions + n + SOPHIA_RO_MORE), 0, "weigh", n);
    guarded((unsigned char *)(weights + n + SOPHIA_RO_MORE), 0, "weigh", n);
    uint64_t squares = 0;
    uint32_t count = 0, least = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        const uint32_t found = idf[(hashes[i] >> 8) % SOPHIA_RO_BUCKETS];
        const uint32_t weight = (found ? found : by.unseen) * by.kinds[kinds[i]] / 256;
        squares += (uint64_t)weight * weight;
        if (!found || !weight) continue;
        check(count < got.count && numbers[count] == i, "weigh", n);
        check(positions[count] == (uint32_t)(((hashes[i] >> 32) * by.dim) >> 32), "weigh", n);
        check(weights[count++] == (hashes[i] % 2 ? -(int32_t)weight : (int32_t)weight), "weigh", n);
        least = weight < least ? weight : least;
    }
    check(got.count == count && got.squares == squares && got.least == least, "weigh", n);
    free(idf);
    free(hashes);
    free(kinds);
    free(numbers);
    free(positions);
    free(weights);
}

/* The two best of scores with ties, the largest and smallest sums among them. */
static void test_best(const struct sophia_ro_kernels *k, uint32_t classes, int ties)
{
    int32_t *sums = (int32_t *)room(classes * sizeof *sums);
    double *scales = (double *)room(classes * sizeof *scales);
    for (uint32_t c = 0; c < classes; c++) {
        sums[c] = ties ? (int32_t)(next() % 3) - 1 : (int32_t)next();
        if (!ties && next() % 16 == 0) sums[c] = next() % 2 ? INT32_MAX : INT32_MIN;
        scales[c] = ties ? 0.5 : (double)(1 + next() % 65535) / 65536.0;
    }
    const struct sophia_ro_best got = k->best(sums, scales, classes);
    uint32_t first = 0;
    for (uint32_t c = 1; c < classes; c++)
        if (sums[c] * scales[c] > sums[first] * scales[first]) first = c;
    uint32_t second = classes > 1 && first == 0;
    for (uint32_t c = 0; c < classes; c++)
        if (c != first && sums[c] * scales[c] > sums[second] * scales[second]) second = c;
    check(got.first == first && got.second == second, "best", classes);
    check(got.first_score == sums[first] * scales[first], "best", classes);
    check(got.second_score == sums[second] * scales[second], "best", classes);
    free(sums);
    free(scales);
}

static void test_training(const struct sophia_ro_kernels *k, size_t classes, size_t n)
{
    enum { READOUT_ROWS = 9 };
    const size_t stride = (classes + 15) / 16 * 16;
    float *weights = float_block(READOUT_ROWS * stride), *bias = float_block(stride), *scores = float_block(stride);
    float *kept = float_block(READOUT_ROWS * stride), squares[READOUT_ROWS], before[READOUT_ROWS];
    uint32_t *positions = (uint32_t *)room(n * sizeof *positions);
    float *values = (float *)room(n * sizeof *values);
    for (size_t i = 0; i < READOUT_ROWS * stride; i++) weights[i] = i % stride < classes ? any_float() : 0.0f;
    for (size_t c = 0; c < stride; c++) bias[c] = c < classes ? any_float() : 0.0f;
    for (size_t i = 0; i < n; i++) {
        positions[i] = (uint32_t)(next() % READOUT_ROWS);
        values[i] = any_float();
    }
    k->score_f32(weights, stride, positions, values, n, bias, scores);
    for (size_t c = 0; c < stride; c++) {
        float sum = bias[c];
        for (size_t i = 0; i < n; i++) sum += values[i] * weights[positions[i] * stride + c];
        check(sum == scores[c], "score_f32", classes);
    }

    const size_t target = (size_t)(next() % classes);
    double total = 0.0, top = scores[0];
    float *expected = float_block(stride);
    for (size_t c = 1; c < classes; c++) top = scores[c] > top ? scores[c] : top;
    for (size_t c = 0; c < classes; c++) total += exp((double)(scores[c] - (float)top));
    for (size_t c = 0; c < stride; c++) expected[c] = scores[c];
    const float square = k->gradient_f32(scores, classes, stride, target, 0.1f);
    check(square == naive_sixteen(scores, stride), "gradient_f32, squares", classes);
    for (size_t c = 0; c < stride; c++) {
        const double share = exp((double)(expected[c] - (float)top)) / total - 0.1 / (double)classes -
                             (c == target ? 0.9 : 0.0);
        if (c >= classes) check(scores[c] == 0.0f, "gradient_f32, padding", classes);
        else check(fabs(scores[c] - share) < 2e-6, "gradient_f32", classes);
    }

    for (size_t r = 0; r < READOUT_ROWS; r++) squares[r] = before[r] = 0.001f;
    memcpy(kept, weights, READOUT_ROWS * stride * sizeof(float));
    k->descend_f32(weights, stride, positions, values, n, scores, square, 0.3f, squares);
    for (size_t i = 0; i < n; i++) {
        before[positions[i]] += values[i] * values[i] * square;
        const float step = 0.3f * values[i] / sqrtf(before[positions[i]]);
        for (size_t c = 0; c < stride; c++) kept[positions[i] * stride + c] -= step * scores[c];
    }
    check(!memcmp(before, squares, sizeof before), "descend_f32, squares", classes);
    check(!memcmp(kept, weights, READOUT_ROWS * stride * sizeof(float)), "descend_f32", classes);
    free(weights);
    free(bias);
    free(scores);
    free(kept);
    free(expected);
    free(positions);
    free(values);
}

static void test_readout(const struct sophia_ro_kernels *k)
{
    for (size_t n = 1; n <= SOPHIA_RO_LETTERS; n++) {
        test_grams(k, 2, 4, n);
        test_grams(k, 3, 3, n);
        test_grams(k, 3, 4, n);
        test_grams(k, 1, SOPHIA_RO_GRAM, n);
        test_grams(k, SOPHIA_RO_GRAM, SOPHIA_RO_GRAM, n);
        test_scaled(k, n - 1);
        for (unsigned full = 0; full <= 8; full += 4) test_sieve(k, n + 9, full);
        test_sieve(k, n - 1, 1);
    }
    for (size_t classes = SOPHIA_RO_NARROW; classes <= 356; classes += 32) {
        for (size_t n = 0; n < 40; n += n < 6 ? 1 : 11) {
            test_scores(k, sophia_ro_stride(classes), n, 0);
            test_scores(k, sophia_ro_stride(classes), n, 1);
        }
    }
    test_scores(k, SOPHIA_RO_NARROW, 4096, 1);
    test_scores(k, SOPHIA_RO_LANES, 4096, 1);
    for (size_t n = 0; n < 40; n++)
        for (unsigned unknown = 0; unknown <= 8; unknown += 2) test_weights(k, n, unknown);
    test_weights(k, 4096, 3);
    for (uint32_t classes = 1; classes <= 300; classes++) {
        test_best(k, classes, 0);
        for (int more = 0; more < (classes < 20 ? 50 : 1); more++) test_best(k, classes, 1);
    }
    for (size_t classes = 1; classes <= 200; classes += classes < 70 ? 1 : 13) test_training(k, classes, classes % 23);
}

int main(void)
{
    static const char *const names[] = {"scalar", "avx2", "avx512", "neon"};
    for (int level = 0; level < SOPHIA_LEVEL_COUNT; level++) {
        const struct sophia_kernels *kernels = sophia_kernels_at(level);
        if (!kernels) continue;
        for (size_t words = 0; words <= MOST_WORDS; words++) {
            test_words(&kernels->hv, words);
            test_rows(&kernels->hv, words);
            if (words < 45 || words % 31 == 0 || words == 160) test_votes(&kernels->hv, words);
            test_bytes(&kernels->hv, words);
            if (words % 13 == 0) test_bytes(&kernels->hv, 8 * words + words % 8);
        }
        test_dims(&kernels->hv);
        test_readout(&kernels->ro);
        printf("%s ok\n", names[level]);
    }
    return 0;
}

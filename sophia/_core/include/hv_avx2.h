/* Hypervector kernels for AVX2.
 *
 * There is no vector population count: a byte's is looked up by its two nibbles (VPSHUFB) and bytes are
 * summed by VPSADBW after at most 31 steps, before a byte can overflow. Full adders take five operations; a
 * 64-bit product is put together from three 32-bit ones (VPMULUDQ).
 */
#ifndef SOPHIA_HV_AVX2_H
#define SOPHIA_HV_AVX2_H

#include <immintrin.h>

#include "cpu.h"
#include "hv_kernels.h"
#include "hv_scalar.h"

#define SOPHIA_LOAD256(p) _mm256_loadu_si256((const __m256i *)(p))
#define SOPHIA_STORE256(p, v) _mm256_storeu_si256((__m256i *)(p), v)

SOPHIA_AVX2 static void sophia_bind_b1_avx2(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t words)
{
    size_t i = 0;
    for (; i + 4 <= words; i += 4) {
        SOPHIA_STORE256(out + i, _mm256_xor_si256(SOPHIA_LOAD256(a + i), SOPHIA_LOAD256(b + i)));
    }
    for (; i < words; i++) out[i] = a[i] ^ b[i];
}

/* Population count of each byte. */
SOPHIA_AVX2 static inline __m256i sophia_byte_counts_avx2(__m256i x)
{
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, /* twice */
                                           0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    return _mm256_add_epi8(
        _mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
        _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
}

SOPHIA_AVX2 static inline uint64_t sophia_sum4_avx2(__m256i v)
{
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return (uint64_t)_mm_cvtsi128_si64(half) + (uint64_t)_mm_extract_epi64(half, 1);
}

SOPHIA_AVX2 static uint64_t sophia_hamming_b1_avx2(const uint64_t *a, const uint64_t *b, size_t words)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i sum = zero;
    size_t i = 0;
    while (i + 4 <= words) {
        const size_t end = words - i < 31 * 4 ? words : i + 31 * 4;
        __m256i bytes = zero;
        for (; i + 4 <= end; i += 4) {
            const __m256i x = _mm256_xor_si256(SOPHIA_LOAD256(a + i), SOPHIA_LOAD256(b + i));
            bytes = _mm256_add_epi8(bytes, sophia_byte_counts_avx2(x));
        }
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(bytes, zero));
    }
    uint64_t bits = sophia_sum4_avx2(sum);
    for (; i < words; i++) bits += (uint64_t)_mm_popcnt_u64(a[i] ^ b[i]);
    return bits;
}

SOPHIA_AVX2 static uint64_t sophia_hamming_rows_b1_avx2(const uint64_t *query, const uint64_t *rows, size_t n,
                                                        size_t words, const uint64_t *padding, uint32_t *out)
{
    __m256i dirty = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i++) {
        const uint64_t *row = rows + i * words;
        out[i] = (uint32_t)sophia_hamming_b1_avx2(query, row, words);
        if (padding) {
            const uint64_t *last = row + words - 8;
            dirty = _mm256_or_si256(dirty, _mm256_and_si256(SOPHIA_LOAD256(last), SOPHIA_LOAD256(padding)));
            dirty = _mm256_or_si256(dirty, _mm256_and_si256(SOPHIA_LOAD256(last + 4),
                                                            SOPHIA_LOAD256(padding + 4)));
        }
    }
    return _mm256_testz_si256(dirty, dirty) ? 0 : 1;
}

SOPHIA_AVX2 static uint64_t sophia_hamming_tile_b1_avx2(const uint64_t *queries, const uint64_t *rows,
                                                        size_t n,
                                                        size_t words, const uint64_t *padding, uint32_t *out,
                                                        size_t stride)
{
    uint64_t dirty = 0;
    for (size_t i = 0; i < n; i++) { /* the row stays in the first cache */
        const uint64_t *row = rows + i * words;
        for (size_t q = 0; q < SOPHIA_TILE_QUERIES; q++) {
            out[q * stride + i] = (uint32_t)sophia_hamming_b1_avx2(queries + q * words, row, words);
        }
        if (padding) dirty |= sophia_padding_bits(row, words, padding);
    }
    return dirty;
}

SOPHIA_AVX2 static uint32_t sophia_least_u32_avx2(const uint32_t *values, size_t n)
{
    __m256i lanes = _mm256_set1_epi32(-1);
    uint32_t each[8], least;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) lanes = _mm256_min_epu32(lanes, SOPHIA_LOAD256(values + i));
    SOPHIA_STORE256(each, lanes);
    least = sophia_least_u32_scalar(each, 8);
    for (; i < n; i++) least = values[i] < least ? values[i] : least;
    return least;
}

SOPHIA_AVX2 static uint64_t sophia_read_b1_avx2(const uint64_t *rows, size_t words)
{
    __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 16 <= words; i += 16) {
        s0 = _mm256_xor_si256(s0, SOPHIA_LOAD256(rows + i));
        s1 = _mm256_xor_si256(s1, SOPHIA_LOAD256(rows + i + 4));
        s2 = _mm256_xor_si256(s2, SOPHIA_LOAD256(rows + i + 8));
        s3 = _mm256_xor_si256(s3, SOPHIA_LOAD256(rows + i + 12));
    }
    uint64_t lanes[4], sum = sophia_read_b1_scalar(rows + i, words - i);
    SOPHIA_STORE256(lanes, _mm256_xor_si256(_mm256_xor_si256(s0, s1), _mm256_xor_si256(s2, s3)));
    for (int lane = 0; lane < 4; lane++) sum ^= lanes[lane];
    return sum;
}

SOPHIA_AVX2 static inline __m256i sophia_mul64_avx2(__m256i a, __m256i b)
{
    const __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), b),
                                           _mm256_mul_epu32(a, _mm256_srli_epi64(b, 32)));
    return _mm256_add_epi64(_mm256_mul_epu32(a, b), _mm256_slli_epi64(cross, 32));
}

SOPHIA_AVX2 static inline __m256i sophia_ties_avx2(__m256i seed, size_t first)
{
    const __m256i lanes = _mm256_setr_epi64x(0, 1, 2, 3);
    const __m256i index = _mm256_add_epi64(_mm256_set1_epi64x((long long)first + 1), lanes);
    const __m256i factor = _mm256_set1_epi64x(0xE9846AF9B1A615Dll);
    __m256i x = sophia_mul64_avx2(index, _mm256_set1_epi64x((long long)SOPHIA_TIE_STEP));
    x = _mm256_xor_si256(x, seed);
    x = sophia_mul64_avx2(_mm256_xor_si256(x, _mm256_srli_epi64(x, 32)), factor);
    x = sophia_mul64_avx2(_mm256_xor_si256(x, _mm256_srli_epi64(x, 32)), factor);
    return _mm256_xor_si256(x, _mm256_srli_epi64(x, 28));
}

#define V __m256i
#define V_WORDS 4
#define V_COLUMNS 2
#define V_ISA SOPHIA_AVX2
#define V_NAME(name) sophia_vote_##name##_avx2
#define V_LOAD(p) SOPHIA_LOAD256(p)
#define V_STORE(p, v) SOPHIA_STORE256(p, v)
#define V_SET(word) _mm256_set1_epi64x((long long)(word))
#define V_XOR(a, b) _mm256_xor_si256(a, b)
#define V_AND(a, b) _mm256_and_si256(a, b)
#define V_OR(a, b) _mm256_or_si256(a, b)
#define V_ANDNOT(a, b) _mm256_andnot_si256(a, b)
#define V_SUM3(a, b, c) _mm256_xor_si256(_mm256_xor_si256(a, b), c)
#define V_MAJ3(a, b, c) _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(_mm256_xor_si256(a, b), c))
#define V_TIES(seed, first) sophia_ties_avx2(seed, first)
#define V_BLANK(parity, tie)                                                                               \
    (!_mm256_testc_si256(_mm256_cmpeq_epi64(tie, _mm256_setzero_si256()),                                  \
                         _mm256_cmpeq_epi64(parity, _mm256_setzero_si256())))
#include "hv_vote.h"

SOPHIA_AVX2 static void sophia_majority_b1_avx2(const uint64_t *const *rows, size_t n, uint64_t *out,
                                                size_t words)
{
    const size_t done = sophia_vote_majority_avx2(rows, n, out, words, 0);
    (void)sophia_vote_majority_scalar(rows, n, out, words, done);
}

SOPHIA_AVX2 static void sophia_count_b1_avx2(const uint64_t *const *rows, size_t n, uint64_t flip,
                                             size_t first, uint64_t *planes, size_t nplanes, size_t words)
{
    const size_t done = sophia_vote_count_avx2(rows, n, flip, first, planes, nplanes, words, 0);
    (void)sophia_vote_count_scalar(rows, n, flip, first, planes, nplanes, words, done);
}

SOPHIA_AVX2 static void sophia_settle_b1_avx2(const uint64_t *planes, size_t nplanes, int even, uint64_t origin,
                                              uint64_t *out, size_t words)
{
    const size_t done = sophia_vote_settle_avx2(planes, nplanes, even, origin, out, words, 0);
    (void)sophia_vote_settle_scalar(planes, nplanes, even, origin, out, words, done);
}

/* Ones from bit `bits` of 256 on; all for a negative one. */
SOPHIA_AVX2 static inline __m256i sophia_above_avx2(ptrdiff_t bits)
{
    const __m256i counts = _mm256_sub_epi64(_mm256_set1_epi64x(bits), _mm256_setr_epi64x(0, 64, 128, 192));
    const __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), counts);
    return _mm256_sllv_epi64(_mm256_set1_epi64x(-1), _mm256_andnot_si256(negative, counts));
}

/* Eight lanes of this from lane 8 - i on let pass what follows the first i; from lane 16 - i on, the first i. */
static const int32_t sophia_lanes_avx2[24] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1,
                                              0, 0, 0, 0, 0, 0, 0, 0};

/* 256 bits from bit `bits` (0 to 31) of `at` on. What the masks do not let pass, of the first load and of the one
 * four bytes on, is not touched and counts as zero. */
SOPHIA_AVX2 static inline __m256i sophia_edge_avx2(uintptr_t at, size_t bits, const int32_t *mask_low,
                                                   const int32_t *mask_high)
{
    const __m256i low = _mm256_maskload_epi32((const int *)at, SOPHIA_LOAD256(mask_low));
    const __m256i high = _mm256_maskload_epi32((const int *)(at + 4), SOPHIA_LOAD256(mask_high));
    return _mm256_or_si256(_mm256_srl_epi64(low, _mm_cvtsi64_si128((long long)bits)),
                           _mm256_sll_epi64(high, _mm_cvtsi64_si128((long long)(32 - bits))));
}

/* `n` times 32 bytes, which are those of `from` shifted by 0 to 7 bits.
 *
 * The shifts are multiplications: x >> bits is the upper half of x * 2^(16 - bits), and what the next byte
 * gives is the lower half of (x from the next byte on) * 2^(8 - bits). Unlike a shift, a multiplication takes
 * its operand from memory: four operations for 32 bytes, not six. */
SOPHIA_AVX2 static inline __attribute__((always_inline)) void
sophia_rotate_run_avx2(const unsigned char *from, size_t bits, unsigned char *to, size_t n)
{
    if (bits == 0) {
        memcpy(to, from, 32 * n);
        return;
    }
    const __m256i right = _mm256_set1_epi16((short)(1u << (16 - bits)));
    const __m256i left = _mm256_set1_epi16((short)(1u << (8 - bits)));
#define SOPHIA_STEP(offset)                                                                                \
    SOPHIA_STORE256(to + (offset),                                                                         \
                    _mm256_or_si256(_mm256_mulhi_epu16(right, SOPHIA_LOAD256(from + (offset))),            \
                                    _mm256_mullo_epi16(left, SOPHIA_LOAD256(from + (offset) + 1))))
    for (; n >= 4; n -= 4, from += 128, to += 128) { /* an index would undo the fusing of load and product */
        SOPHIA_STEP(0);
        SOPHIA_STEP(32);
        SOPHIA_STEP(64);
        SOPHIA_STEP(96);
    }
    for (; n; n--, from += 32, to += 32) SOPHIA_STEP(0);
#undef SOPHIA_STEP
}

/* Each 32 bytes of `out` are 32 of `in` from some byte on, shifted by the bits that are left; loads take care
 * of the bytes. They come in two runs: from the end of `in`, then from its start. Where these meet, masked
 * loads leave zeros for what lies outside the row. */
SOPHIA_AVX2 static inline __attribute__((always_inline)) void
sophia_rotate_b1_avx2(const uint64_t *in, uint64_t *out, size_t dim, size_t shift)
{
    const size_t size = sophia_row_bytes(SOPHIA_BSC, dim), cut = shift % 256;
    const unsigned char *const row = (const unsigned char *)in;
    unsigned char *const to = (unsigned char *)out;
    size_t at = dim - shift, piece = shift / 256; /* the bit that a piece starts with; 32 bytes */
    sophia_rotate_run_avx2(row + at / 8, at % 8, to, piece);
    if (cut) {
        at += 256 * piece;
        const size_t left = size / 4 - at / 32, before = (cut + 31) / 32; /* words of 32 bits */
        const __m256i below = sophia_edge_avx2((uintptr_t)(row + at / 32 * 4), at % 32,
                                               sophia_lanes_avx2 + (left < 8 ? 16 - left : 8),
                                               sophia_lanes_avx2 + (left < 9 ? 17 - left : 8));
        const __m256i above = sophia_edge_avx2((uintptr_t)row - 4 * before, 32 * before - cut,
                                               sophia_lanes_avx2 + 8 - before, sophia_lanes_avx2 + 9 - before);
        SOPHIA_STORE256(to + 32 * piece, _mm256_or_si256(below, above));
        piece++;
    }
    at = 256 * piece - shift;
    sophia_rotate_run_avx2(row + at / 8, at % 8, to + 32 * piece, size / 32 - piece);
    for (piece = dim / 256; piece < size / 32; piece++) { /* the run went on into the padding */
        const __m256i above = sophia_above_avx2((ptrdiff_t)dim - (ptrdiff_t)(256 * piece));
        SOPHIA_STORE256(to + 32 * piece, _mm256_andnot_si256(above, SOPHIA_LOAD256(to + 32 * piece)));
    }
}

SOPHIA_AVX2 static void sophia_rotate_rows_b1_avx2(const uint64_t *in, size_t in_words, uint64_t *out, size_t out_words,
                                                   size_t n, size_t dim, size_t shift)
{
    if (shift == 0) {
        sophia_rotate_rows_b1_scalar(in, in_words, out, out_words, n, dim, shift);
        return;
    }
    for (; n; n--, in += in_words, out += out_words) sophia_rotate_b1_avx2(in, out, dim, shift);
}

SOPHIA_AVX2 static void sophia_bind_i8_avx2(const int8_t *a, const int8_t *b, int8_t *out, size_t n)
{
    const __m256i one = _mm256_set1_epi8(1);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m256i x = _mm256_xor_si256(SOPHIA_LOAD256(a + i), SOPHIA_LOAD256(b + i));
        SOPHIA_STORE256(out + i, _mm256_or_si256(x, one));
    }
    sophia_bind_i8_scalar(a + i, b + i, out + i, n - i);
}

SOPHIA_AVX2 static inline __m256i sophia_widen_avx2(const int8_t *p)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p));
}

SOPHIA_AVX2 static inline int64_t sophia_sum_i32_avx2(__m256i v)
{
    return (int64_t)sophia_sum4_avx2(_mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(v)),
                                                      _mm256_cvtepi32_epi64(_mm256_extracti128_si256(v, 1))));
}

/* A pair of products adds at most 2^15 to a lane, so 2^15 steps stay below 2^31. */
#define SOPHIA_DOT_SPAN ((size_t)16 << 15)

SOPHIA_AVX2 static int64_t sophia_dot_i8_avx2(const int8_t *a, const int8_t *b, size_t n)
{
    int64_t dot = 0;
    size_t i = 0;
    while (i + 16 <= n) {
        const size_t end = n - i < SOPHIA_DOT_SPAN ? n : i + SOPHIA_DOT_SPAN;
        __m256i sums = _mm256_setzero_si256();
        for (; i + 16 <= end; i += 16) {
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(sophia_widen_avx2(a + i),
                                                            sophia_widen_avx2(b + i)));
        }
        dot += sophia_sum_i32_avx2(sums);
    }
    return dot + sophia_dot_i8_scalar(a + i, b + i, n - i);
}

SOPHIA_AVX2 static int64_t sophia_dot_norm_i8_avx2(const int8_t *query, const int8_t *row, size_t n,
                                                   int64_t *norm)
{
    int64_t dot = 0, self = 0, rest;
    size_t i = 0;
    while (i + 16 <= n) {
        const size_t end = n - i < SOPHIA_DOT_SPAN ? n : i + SOPHIA_DOT_SPAN;
        __m256i products = _mm256_setzero_si256(), squares = products;
        for (; i + 16 <= end; i += 16) {
            const __m256i x = sophia_widen_avx2(query + i), y = sophia_widen_avx2(row + i);
            products = _mm256_add_epi32(products, _mm256_madd_epi16(x, y));
            squares = _mm256_add_epi32(squares, _mm256_madd_epi16(y, y));
        }
        dot += sophia_sum_i32_avx2(products);
        self += sophia_sum_i32_avx2(squares);
    }
    dot += sophia_dot_norm_i8_scalar(query + i, row + i, n - i, &rest);
    *norm = self + rest;
    return dot;
}

/* Bytes of -1 where the bit of `word` is set, 0 elsewhere, for bits 32 * half to 32 * half + 31. */
SOPHIA_AVX2 static inline __m256i sophia_spread_avx2(uint64_t word, int half)
{
    const __m256i each = _mm256_set1_epi64x((long long)0x8040201008040201ull);
    const __m256i bytes = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                           2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i four = _mm256_shuffle_epi8(_mm256_set1_epi32((int)(uint32_t)(word >> (32 * half))), bytes);
    return _mm256_cmpeq_epi8(_mm256_and_si256(four, each), each);
}

SOPHIA_AVX2 static inline void sophia_store_votes_avx2(int8_t *out, uint64_t negative)
{
    const __m256i one = _mm256_set1_epi8(1);
    SOPHIA_STORE256(out, _mm256_or_si256(sophia_spread_avx2(negative, 0), one));
    SOPHIA_STORE256(out + 32, _mm256_or_si256(sophia_spread_avx2(negative, 1), one));
}

/* The seed of ties of 64 int8 sums whose counts are even. */
SOPHIA_AVX2 static __attribute__((noinline, cold)) uint64_t sophia_tie_seed_i8_avx2(const __m256i *sums, size_t n)
{
    int8_t bytes[64];
    int32_t wide[64];
    SOPHIA_STORE256(bytes, sums[0]);
    SOPHIA_STORE256(bytes + 32, sums[1]);
    for (size_t i = 0; i < 64; i++) wide[i] = bytes[i];
    return sophia_tie_seed_of_sums(wide, 64, (int64_t)n, 0);
}

SOPHIA_AVX2 static void sophia_majority_i8_avx2(const int8_t *const *rows, size_t n, int8_t *out, size_t dim)
{
    const __m256i zeros = _mm256_setzero_si256(), two = _mm256_set1_epi8(2), all = _mm256_set1_epi8((char)n);
    size_t at = 0;
    for (; at + 128 <= dim; at += 128) {
        __m256i sums[4];
        for (int c = 0; c < 4; c++) sums[c] = zeros;
        for (size_t r = 0; r < n; r++) {
            const int8_t *row = rows[r] + at;
            for (int c = 0; c < 4; c++) sums[c] = _mm256_add_epi8(sums[c], SOPHIA_LOAD256(row + 32 * c));
        }
        for (int word = 0; word < 2; word++) {
            uint64_t negative = 0, zero = 0, parity = 0;
            for (int half = 0; half < 2; half++) {
                const __m256i s = sums[2 * word + half];
                const __m256i bit = _mm256_and_si256(_mm256_sub_epi8(all, s), two);
                const uint32_t odd = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bit, two));
                negative |= (uint64_t)(uint32_t)_mm256_movemask_epi8(s) << (32 * half);
                zero |= (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(s, zeros)) << (32 * half);
                parity |= (uint64_t)odd << (32 * half);
            }
            if (zero) {
                const uint64_t seed = parity ? parity : sophia_tie_seed_i8_avx2(sums + 2 * word, n);
                negative |= zero & sophia_tie_word(seed, at / 64 + (size_t)word);
            }
            sophia_store_votes_avx2(out + at + 64 * word, negative);
        }
    }
    sophia_majority_i8_scalar_from(rows, n, out, dim, at);
}

SOPHIA_AVX2 static void sophia_sum_i8_avx2(const int8_t *const *rows, size_t n, int32_t *acc, size_t dim)
{
    size_t at = 0;
    for (; at + 32 <= dim; at += 32) {
        __m256i sums = _mm256_setzero_si256();
        for (size_t r = 0; r < n; r++) sums = _mm256_add_epi8(sums, SOPHIA_LOAD256(rows[r] + at));
        int8_t bytes[32];
        SOPHIA_STORE256(bytes, sums);
        for (size_t i = 0; i < 32; i += 8) {
            const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(bytes + i)));
            SOPHIA_STORE256(acc + at + i, _mm256_add_epi32(SOPHIA_LOAD256(acc + at + i), wide));
        }
    }
    sophia_sum_i8_scalar_from(rows, n, acc, dim, at);
}

SOPHIA_AVX2 static void sophia_add_i8_avx2(const int8_t *row, int32_t weight, int32_t *acc, size_t dim)
{
    const __m256i factor = _mm256_set1_epi32(weight);
    size_t at = 0;
    for (; at + 8 <= dim; at += 8) {
        const __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(row + at)));
        const __m256i sum = _mm256_add_epi32(SOPHIA_LOAD256(acc + at), _mm256_mullo_epi32(wide, factor));
        SOPHIA_STORE256(acc + at, sum);
    }
    sophia_add_i8_scalar(row + at, weight, acc + at, dim - at);
}

SOPHIA_AVX2 static inline uint64_t sophia_mask8_avx2(__m256i v)
{
    return (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(v));
}

SOPHIA_AVX2 static void sophia_sign_i32_avx2(const int32_t *acc, int64_t net, int8_t *out, size_t dim)
{
    const __m256i all = _mm256_set1_epi32((int)(uint32_t)net), zeros = _mm256_setzero_si256();
    size_t at = 0;
    for (; at + 64 <= dim; at += 64) {
        uint64_t negative = 0, zero = 0, parity = 0;
        for (int c = 0; c < 8; c++) {
            const __m256i sums = SOPHIA_LOAD256(acc + at + 8 * c);
            negative |= sophia_mask8_avx2(sums) << (8 * c);
            zero |= sophia_mask8_avx2(_mm256_cmpeq_epi32(sums, zeros)) << (8 * c);
            parity |= sophia_mask8_avx2(_mm256_slli_epi32(_mm256_sub_epi32(all, sums), 30)) << (8 * c);
        }
        if (zero) negative |= zero & sophia_tie_word(sophia_tie_seed_of_sums(acc + at, 64, net, parity), at / 64);
        sophia_store_votes_avx2(out + at, negative);
    }
    sophia_sign_i32_scalar_from(acc, net, out, dim, at);
}

#define SOPHIA_HV_AVX2                                                                                     \
    {                                                                                                      \
        .bind_b1 = sophia_bind_b1_avx2, .hamming_b1 = sophia_hamming_b1_avx2,                              \
        .hamming_rows_b1 = sophia_hamming_rows_b1_avx2, .hamming_tile_b1 = sophia_hamming_tile_b1_avx2,    \
        .least_u32 = sophia_least_u32_avx2, .read_b1 = sophia_read_b1_avx2,                                \
        .majority_b1 = sophia_majority_b1_avx2,                                                            \
        .count_b1 = sophia_count_b1_avx2, .settle_b1 = sophia_settle_b1_avx2,                              \
        .rotate_rows_b1 = sophia_rotate_rows_b1_avx2, .bind_i8 = sophia_bind_i8_avx2,                                  \
        .dot_i8 = sophia_dot_i8_avx2, .dot_norm_i8 = sophia_dot_norm_i8_avx2,                              \
        .majority_i8 = sophia_majority_i8_avx2, .sum_i8 = sophia_sum_i8_avx2,                              \
        .add_i8 = sophia_add_i8_avx2, .sign_i32 = sophia_sign_i32_avx2,                                    \
    }

#endif

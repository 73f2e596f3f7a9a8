/* Hypervector kernels for AVX-512 (F, BW, DQ, VL, VPOPCNTDQ; every processor with these has VNNI and VBMI2).
 *
 *   instruction   used for                        Zen 4: latency, a cycle
 *   VPTERNLOGQ    full adders of the vote         1, 2
 *   VPOPCNTQ      distances                       2, 1
 *   VPSHRDVQ      rotation: two words, one shift  1, 1
 *   VPMULLQ       tie words                       3, 1
 *   VPMADDWD      int8 dot products (widened)     3, 1
 *   VPMOVB2M      signs of 64 sums to one word    1, 1
 *
 * Rows are whole 64-byte blocks in practice; what is left over goes through a masked load, which does not
 * touch memory outside its mask. Scans keep four accumulators.
 *
 * Over 600 lines, since the kernels of one table at one level stand in one file, as at the other levels.
 */
#ifndef SOPHIA_HV_AVX512_H
#define SOPHIA_HV_AVX512_H

#include <immintrin.h>

#include "cpu.h"
#include "hv_kernels.h"
#include "hv_scalar.h"

SOPHIA_AVX512 static inline __mmask8 sophia_tail_mask8(size_t left)
{
    return (__mmask8)((1u << left) - 1);
}

SOPHIA_AVX512 static inline __mmask64 sophia_tail_mask64(size_t left)
{
    return left >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;
}

SOPHIA_AVX512 static void sophia_bind_b1_avx512(const uint64_t *a, const uint64_t *b, uint64_t *out,
                                                size_t words)
{
    size_t i = 0;
    for (; i + 8 <= words; i += 8) {
        _mm512_storeu_si512(out + i, _mm512_xor_si512(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i)));
    }
    if (i < words) {
        const __mmask8 tail = sophia_tail_mask8(words - i);
        const __m512i x = _mm512_maskz_loadu_epi64(tail, a + i), y = _mm512_maskz_loadu_epi64(tail, b + i);
        _mm512_mask_storeu_epi64(out + i, tail, _mm512_xor_si512(x, y));
    }
}

/* How far in front of a scan its rows are asked for, in bytes: the hardware's own prefetch stops at the end of
 * every page, and this does not. From afar into the second cache, which can wait for more lines at once than the
 * first, and from near into the first. Against a plain read pass a scan of a million rows takes .95 with both, 1.02
 * with one of them, 1.10 with none. */
#define SOPHIA_SCAN_NEAR ((size_t)4096)
#define SOPHIA_SCAN_FAR ((size_t)16384)

/* Asks for the 256 bytes that will follow `at`. The addresses may be past the end: a hint reads nothing. */
SOPHIA_AVX512 static inline __attribute__((always_inline)) void sophia_scan_ahead_avx512(const uint64_t *at)
{
    const char *const near = (const char *)((uintptr_t)at + SOPHIA_SCAN_NEAR);
    const char *const far = (const char *)((uintptr_t)at + SOPHIA_SCAN_FAR);
    for (size_t line = 0; line < 256; line += 64) {
        _mm_prefetch(near + line, _MM_HINT_T0);
        _mm_prefetch(far + line, _MM_HINT_T1);
    }
}

/* Eight partial counts of the distance. `scanning`: b is one of many rows in a line. */
SOPHIA_AVX512 static inline __attribute__((always_inline)) __m512i
sophia_hamming_lanes_avx512(const uint64_t *a, const uint64_t *b, size_t words, int scanning)
{
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
#define SOPHIA_STEP(sum, at)                                                                               \
    sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(a + (at)),         \
                                                                     _mm512_loadu_si512(b + (at)))))
    for (; i + 32 <= words; i += 32) {
        if (scanning) sophia_scan_ahead_avx512(b + i);
        SOPHIA_STEP(s0, i);
        SOPHIA_STEP(s1, i + 8);
        SOPHIA_STEP(s2, i + 16);
        SOPHIA_STEP(s3, i + 24);
    }
    for (; i + 8 <= words; i += 8) SOPHIA_STEP(s0, i);
#undef SOPHIA_STEP
    if (i < words) {
        const __mmask8 tail = sophia_tail_mask8(words - i);
        const __m512i x = _mm512_maskz_loadu_epi64(tail, a + i), y = _mm512_maskz_loadu_epi64(tail, b + i);
        s1 = _mm512_add_epi64(s1, _mm512_popcnt_epi64(_mm512_xor_si512(x, y)));
    }
    return _mm512_add_epi64(_mm512_add_epi64(s0, s1), _mm512_add_epi64(s2, s3));
}

SOPHIA_AVX512 static uint64_t sophia_hamming_b1_avx512(const uint64_t *a, const uint64_t *b, size_t words)
{
    return (uint64_t)_mm512_reduce_add_epi64(sophia_hamming_lanes_avx512(a, b, words, 0));
}

/* Lane i of the result is the sum of the lanes of v[i]: three rounds of pairwise merging. */
SOPHIA_AVX512 static inline __attribute__((always_inline)) __m512i sophia_sum8_avx512(const __m512i v[8])
{
    __m512i a[4], b[2];
    for (int i = 0; i < 4; i++) {
        a[i] = _mm512_add_epi64(_mm512_unpacklo_epi64(v[2 * i], v[2 * i + 1]),
                                _mm512_unpackhi_epi64(v[2 * i], v[2 * i + 1]));
    }
    for (int i = 0; i < 2; i++) { /* 128-bit pieces: even ones of each, then odd ones */
        b[i] = _mm512_add_epi64(_mm512_shuffle_i64x2(a[2 * i], a[2 * i + 1], 0x88),
                                _mm512_shuffle_i64x2(a[2 * i], a[2 * i + 1], 0xDD));
    }
    /* Pieces are now: b[0] = (01, 01, 23, 23), b[1] = (45, 45, 67, 67). */
    return _mm512_add_epi64(_mm512_shuffle_i64x2(b[0], b[1], 0x88), _mm512_shuffle_i64x2(b[0], b[1], 0xDD));
}

#define SOPHIA_DIRTY(dirty, block, mask) _mm512_ternarylogic_epi64(dirty, block, mask, 0xF8) /* d | (b & m) */

/* Rows of 16 words: sketches. */
SOPHIA_AVX512 static size_t sophia_hamming_sketches_avx512(const uint64_t *query, const uint64_t *rows,
                                                           size_t n,
                                                           __m512i mask, __m512i *dirty, uint32_t *out)
{
    const __m512i q0 = _mm512_loadu_si512(query), q1 = _mm512_loadu_si512(query + 8);
    __m512i seen = *dirty;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m512i sums[8];
        for (size_t r = 0; r < 8; r++) {
            const uint64_t *row = rows + (i + r) * 16;
            const __m512i x0 = _mm512_loadu_si512(row), x1 = _mm512_loadu_si512(row + 8);
            sums[r] = _mm512_add_epi64(_mm512_popcnt_epi64(_mm512_xor_si512(x0, q0)),
                                       _mm512_popcnt_epi64(_mm512_xor_si512(x1, q1)));
            seen = SOPHIA_DIRTY(seen, x1, mask);
        }
        _mm256_storeu_si256((__m256i *)(out + i), _mm512_cvtepi64_epi32(sophia_sum8_avx512(sums)));
    }
    *dirty = seen;
    return i;
}

#define SOPHIA_SHIFTED_WORDS 1024u

/* Rows that start `off` words past a cache line, as those of most numpy arrays do. Every unaligned load would
 * touch two lines, which costs a tenth of a scan; so the query is laid at the same offset and whole lines are
 * loaded, the first and the last of a row under a mask. words is a multiple of 8, from 16 to the above. */
SOPHIA_AVX512 static size_t sophia_hamming_shifted_avx512(const uint64_t *query, const uint64_t *rows,
                                                          size_t n,
                                                          size_t words, size_t off, const uint64_t *padding,
                                                          __m512i *dirty, uint32_t *out)
{
    uint64_t shifted[SOPHIA_SHIFTED_WORDS + 8] __attribute__((aligned(64))), mask[16] = {0};
    const __mmask8 tail = sophia_tail_mask8(off), head = (__mmask8)~tail;
    memset(shifted, 0, 64);
    memset(shifted + words, 0, 64);
    memcpy(shifted + off, query, words * sizeof(uint64_t));
    if (padding) memcpy(mask + off, padding, 64);
    const __m512i mask0 = _mm512_loadu_si512(mask), mask1 = _mm512_loadu_si512(mask + 8);
    __m512i seen = *dirty;
    size_t i = 0;
#define SOPHIA_STEP(sum, at)                                                                               \
    sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_load_si512(row + (at)),        \
                                                                     _mm512_load_si512(shifted + (at)))))
    for (; i + 8 <= n; i += 8) {
        __m512i sums[8];
        for (size_t r = 0; r < 8; r++) {
            const uint64_t *row = rows + (i + r) * words - off;
            __m512i x = _mm512_maskz_load_epi64(head, row);
            __m512i s0 = _mm512_popcnt_epi64(_mm512_xor_si512(x, _mm512_load_si512(shifted)));
            __m512i s1 = _mm512_setzero_si512(), s2 = s1, s3 = s1;
            size_t w = 8;
            for (; w + 32 <= words - 8; w += 32) {
                sophia_scan_ahead_avx512(row + w);
                SOPHIA_STEP(s0, w);
                SOPHIA_STEP(s1, w + 8);
                SOPHIA_STEP(s2, w + 16);
                SOPHIA_STEP(s3, w + 24);
            }
            for (; w < words - 8; w += 8) SOPHIA_STEP(s1, w);
            x = _mm512_load_si512(row + w);
            seen = SOPHIA_DIRTY(seen, x, mask0);
            x = _mm512_xor_si512(x, _mm512_load_si512(shifted + w));
            s2 = _mm512_add_epi64(s2, _mm512_popcnt_epi64(x));
            x = _mm512_maskz_load_epi64(tail, row + w + 8);
            seen = SOPHIA_DIRTY(seen, x, mask1);
            x = _mm512_xor_si512(x, _mm512_load_si512(shifted + w + 8));
            s3 = _mm512_add_epi64(s3, _mm512_popcnt_epi64(x));
            sums[r] = _mm512_add_epi64(_mm512_add_epi64(s0, s1), _mm512_add_epi64(s2, s3));
        }
        _mm256_storeu_si256((__m256i *)(out + i), _mm512_cvtepi64_epi32(sophia_sum8_avx512(sums)));
    }
#undef SOPHIA_STEP
    *dirty = seen;
    return i;
}

SOPHIA_AVX512 static uint64_t sophia_hamming_rows_b1_avx512(const uint64_t *query, const uint64_t *rows,
                                                            size_t n, size_t words, const uint64_t *padding,
                                                            uint32_t *out)
{
    const __m512i mask = padding ? _mm512_loadu_si512(padding) : _mm512_setzero_si512();
    const size_t off = (uintptr_t)rows % 64 / 8, last = padding ? words - 8 : 0;
    __m512i dirty = _mm512_setzero_si512();
    size_t i = 0;
    if (words == 16) {
        i = sophia_hamming_sketches_avx512(query, rows, n, mask, &dirty, out);
    } else if (n >= 8 && off && words % 8 == 0 && words > 16 && words <= SOPHIA_SHIFTED_WORDS) {
        i = sophia_hamming_shifted_avx512(query, rows, n, words, off, padding, &dirty, out);
    } else {
        for (; i + 8 <= n; i += 8) {
            __m512i sums[8];
            for (size_t r = 0; r < 8; r++) {
                const uint64_t *row = rows + (i + r) * words;
                sums[r] = sophia_hamming_lanes_avx512(query, row, words, 1);
                if (padding) dirty = SOPHIA_DIRTY(dirty, _mm512_loadu_si512(row + last), mask);
            }
            _mm256_storeu_si256((__m256i *)(out + i), _mm512_cvtepi64_epi32(sophia_sum8_avx512(sums)));
        }
    }
    for (; i < n; i++) {
        const uint64_t *row = rows + i * words;
        out[i] = (uint32_t)sophia_hamming_b1_avx512(query, row, words);
        if (padding) dirty = SOPHIA_DIRTY(dirty, _mm512_loadu_si512(row + last), mask);
    }
    return (uint64_t)_mm512_reduce_or_epi64(dirty);
}

/* Rows further on that a tile brings into the second cache. Its arithmetic leaves the memory idle otherwise:
 * with the prefetch eight queries share a pass at 10 ns a distance, without it at 23. */
#define SOPHIA_TILE_AHEAD 16u

/* Four queries by two rows: eight accumulators, six loads for eight distances' worth of a block. */
SOPHIA_AVX512 static uint64_t sophia_hamming_tile_b1_avx512(const uint64_t *queries, const uint64_t *rows,
                                                            size_t n, size_t words, const uint64_t *padding,
                                                            uint32_t *out, size_t stride)
{
    const __m512i mask = padding ? _mm512_loadu_si512(padding) : _mm512_setzero_si512();
    const size_t last = padding ? words - 8 : 0, ahead = SOPHIA_TILE_AHEAD * words * sizeof(uint64_t);
    const uint64_t *q0 = queries, *q1 = q0 + words, *q2 = q1 + words, *q3 = q2 + words;
    __m512i dirty = _mm512_setzero_si512();
    size_t i = 0;
/* One query's block against both rows' (named, not in an array, so that every sum stays in a register). */
#define SOPHIA_PAIR(sum0, sum1, load)                                                                      \
    do {                                                                                                   \
        const __m512i y = load;                                                                            \
        sum0 = _mm512_add_epi64(sum0, _mm512_popcnt_epi64(_mm512_xor_si512(x0, y)));                       \
        sum1 = _mm512_add_epi64(sum1, _mm512_popcnt_epi64(_mm512_xor_si512(x1, y)));                       \
    } while (0)
    for (; i + 2 <= n; i += 2) {
        const uint64_t *row0 = rows + i * words, *row1 = row0 + words;
        __m512i a0 = _mm512_setzero_si512(), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        size_t w = 0;
        for (; w + 8 <= words; w += 8) {
            const __m512i x0 = _mm512_loadu_si512(row0 + w), x1 = _mm512_loadu_si512(row1 + w);
            _mm_prefetch((const char *)((uintptr_t)(row0 + w) + ahead), _MM_HINT_T1);
            _mm_prefetch((const char *)((uintptr_t)(row1 + w) + ahead), _MM_HINT_T1);
            SOPHIA_PAIR(a0, b0, _mm512_loadu_si512(q0 + w));
            SOPHIA_PAIR(a1, b1, _mm512_loadu_si512(q1 + w));
            SOPHIA_PAIR(a2, b2, _mm512_loadu_si512(q2 + w));
            SOPHIA_PAIR(a3, b3, _mm512_loadu_si512(q3 + w));
        }
        if (w < words) {
            const __mmask8 tail = sophia_tail_mask8(words - w);
            const __m512i x0 = _mm512_maskz_loadu_epi64(tail, row0 + w);
            const __m512i x1 = _mm512_maskz_loadu_epi64(tail, row1 + w);
            SOPHIA_PAIR(a0, b0, _mm512_maskz_loadu_epi64(tail, q0 + w));
            SOPHIA_PAIR(a1, b1, _mm512_maskz_loadu_epi64(tail, q1 + w));
            SOPHIA_PAIR(a2, b2, _mm512_maskz_loadu_epi64(tail, q2 + w));
            SOPHIA_PAIR(a3, b3, _mm512_maskz_loadu_epi64(tail, q3 + w));
        }
        const __m512i sums[8] = {a0, a1, a2, a3, b0, b1, b2, b3};
        uint32_t both[8];
        _mm256_storeu_si256((__m256i *)both, _mm512_cvtepi64_epi32(sophia_sum8_avx512(sums)));
        for (size_t q = 0; q < 4; q++) {
            out[q * stride + i] = both[q];
            out[q * stride + i + 1] = both[4 + q];
        }
        if (padding) {
            dirty = SOPHIA_DIRTY(dirty, _mm512_loadu_si512(row0 + last), mask);
            dirty = SOPHIA_DIRTY(dirty, _mm512_loadu_si512(row1 + last), mask);
        }
    }
#undef SOPHIA_PAIR
    uint64_t bits = (uint64_t)_mm512_reduce_or_epi64(dirty);
    for (; i < n; i++) {
        const uint64_t *row = rows + i * words;
        for (size_t q = 0; q < 4; q++) {
            out[q * stride + i] = (uint32_t)sophia_hamming_b1_avx512(queries + q * words, row, words);
        }
        if (padding) bits |= sophia_padding_bits(row, words, padding);
    }
    return bits;
}

SOPHIA_AVX512 static uint32_t sophia_least_u32_avx512(const uint32_t *values, size_t n)
{
    __m512i least = _mm512_set1_epi32(-1);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) least = _mm512_min_epu32(least, _mm512_loadu_si512(values + i));
    if (i < n) {
        const __mmask16 tail = (__mmask16)((1u << (n - i)) - 1);
        least = _mm512_mask_min_epu32(least, tail, least, _mm512_maskz_loadu_epi32(tail, values + i));
    }
    return _mm512_reduce_min_epu32(least);
}

SOPHIA_AVX512 static uint64_t sophia_read_b1_avx512(const uint64_t *rows, size_t words)
{
    __m512i s0 = _mm512_setzero_si512(), s1 = s0, s2 = s0, s3 = s0;
    size_t i = 0;
    for (; i + 32 <= words; i += 32) {
        s0 = _mm512_xor_si512(s0, _mm512_loadu_si512(rows + i));
        s1 = _mm512_xor_si512(s1, _mm512_loadu_si512(rows + i + 8));
        s2 = _mm512_xor_si512(s2, _mm512_loadu_si512(rows + i + 16));
        s3 = _mm512_xor_si512(s3, _mm512_loadu_si512(rows + i + 24));
    }
    uint64_t lanes[8], sum = sophia_read_b1_scalar(rows + i, words - i);
    _mm512_storeu_si512(lanes, _mm512_xor_si512(_mm512_xor_si512(s0, s1), _mm512_xor_si512(s2, s3)));
    for (int lane = 0; lane < 8; lane++) sum ^= lanes[lane];
    return sum;
}

SOPHIA_AVX512 static inline __m512i sophia_mix_avx512(__m512i x)
{
    const __m512i factor = _mm512_set1_epi64(0xE9846AF9B1A615Dll);
    x = _mm512_mullo_epi64(_mm512_xor_si512(x, _mm512_srli_epi64(x, 32)), factor);
    x = _mm512_mullo_epi64(_mm512_xor_si512(x, _mm512_srli_epi64(x, 32)), factor);
    return _mm512_xor_si512(x, _mm512_srli_epi64(x, 28));
}

SOPHIA_AVX512 static inline __m512i sophia_ties_avx512(__m512i seed, size_t first)
{
    const __m512i index = _mm512_add_epi64(_mm512_set1_epi64((long long)first + 1),
                                           _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    const __m512i step = _mm512_mullo_epi64(index, _mm512_set1_epi64((long long)SOPHIA_TIE_STEP));
    return sophia_mix_avx512(_mm512_xor_si512(seed, step));
}

#define V __m512i
#define V_WORDS 8
#define V_COLUMNS 2
#define V_ISA SOPHIA_AVX512
#define V_NAME(name) sophia_vote_##name##_avx512
#define V_LOAD(p) _mm512_loadu_si512(p)
#define V_STORE(p, v) _mm512_storeu_si512(p, v)
#define V_SET(word) _mm512_set1_epi64((long long)(word))
#define V_XOR(a, b) _mm512_xor_si512(a, b)
#define V_AND(a, b) _mm512_and_si512(a, b)
#define V_OR(a, b) _mm512_or_si512(a, b)
#define V_ANDNOT(a, b) _mm512_andnot_si512(a, b)
#define V_SUM3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define V_MAJ3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xE8)
#define V_TIES(seed, first) sophia_ties_avx512(seed, first)
#define V_BLANK(parity, tie) (_mm512_testn_epi64_mask(parity, parity) & _mm512_test_epi64_mask(tie, tie))
#include "hv_vote.h"

SOPHIA_AVX512 static void sophia_majority_b1_avx512(const uint64_t *const *rows, size_t n, uint64_t *out,
                                                    size_t words)
{
    const size_t done = sophia_vote_majority_avx512(rows, n, out, words, 0);
    (void)sophia_vote_majority_scalar(rows, n, out, words, done);
}

SOPHIA_AVX512 static void sophia_count_b1_avx512(const uint64_t *const *rows, size_t n, uint64_t flip,
                                                 size_t first, uint64_t *planes, size_t nplanes, size_t words)
{
    const size_t done = sophia_vote_count_avx512(rows, n, flip, first, planes, nplanes, words, 0);
    (void)sophia_vote_count_scalar(rows, n, flip, first, planes, nplanes, words, done);
}

SOPHIA_AVX512 static void sophia_settle_b1_avx512(const uint64_t *planes, size_t nplanes, int even,
                                                  uint64_t origin, uint64_t *out, size_t words)
{
    const size_t done = sophia_vote_settle_avx512(planes, nplanes, even, origin, out, words, 0);
    (void)sophia_vote_settle_scalar(planes, nplanes, even, origin, out, words, done);
}

/* The 512 bits that begin `bits` (0 to 63) into the first word of `low`; the last word takes from `high`. */
SOPHIA_AVX512 static inline __m512i sophia_funnel_avx512(__m512i low, __m512i high, __m512i bits)
{
    return _mm512_shrdv_epi64(low, _mm512_alignr_epi64(high, low, 1), bits);
}

/* Ones from bit `bits` of a block on. */
SOPHIA_AVX512 static inline __m512i sophia_above_avx512(size_t bits)
{
    const __m512i starts = _mm512_setr_epi64(0, 64, 128, 192, 256, 320, 384, 448);
    const __m512i counts = _mm512_sub_epi64(_mm512_set1_epi64((long long)bits), starts);
    return _mm512_sllv_epi64(_mm512_set1_epi64(-1), _mm512_max_epi64(counts, _mm512_setzero_si512()));
}

/* The `size` bytes that end before `to`, whole blocks: their bits are those that end before `from`. `low` is the
 * first block at `from`; returned is the one behind the last. One index counts for both up to zero: the loop is
 * short of nothing but instructions. */
SOPHIA_AVX512 static inline __attribute__((always_inline)) __m512i
sophia_rotate_run_avx512(__m512i low, __m512i bits, const unsigned char *from, unsigned char *to, size_t size)
{
    ptrdiff_t i = -(ptrdiff_t)size;
    for (; i <= -256; i += 256) { /* by name, so that no register is copied */
        const __m512i b = _mm512_loadu_si512(from + i + 64), c = _mm512_loadu_si512(from + i + 128);
        const __m512i d = _mm512_loadu_si512(from + i + 192);
        _mm512_storeu_si512(to + i, sophia_funnel_avx512(low, b, bits));
        low = _mm512_loadu_si512(from + i + 256);
        _mm512_storeu_si512(to + i + 64, sophia_funnel_avx512(b, c, bits));
        _mm512_storeu_si512(to + i + 128, sophia_funnel_avx512(c, d, bits));
        _mm512_storeu_si512(to + i + 192, sophia_funnel_avx512(d, low, bits));
    }
    for (; i; i += 64) {
        const __m512i next = _mm512_loadu_si512(from + i + 64);
        _mm512_storeu_si512(to + i, sophia_funnel_avx512(low, next, bits));
        low = next;
    }
    return low;
}

/* Each block of `out` is 64 bytes of `in` from some byte on, shifted by the 0 to 7 bits that are left; a load
 * takes care of the bytes. The blocks come in two runs: from the end of `in`, then from its start. In a run a
 * block's last word takes its bits from the next block, so every block is loaded once. At the seam masks leave
 * zeros for what lies outside the row. If the row is a whole number of bytes, both runs are shifted by the
 * same bits and the two loads at the seam make one block; if not, each is shifted by itself. Inlined into the loop over
 * rows: masks and lengths, a quarter of the work, are then made once for all of them. */
SOPHIA_AVX512 static inline __attribute__((always_inline)) void
sophia_rotate_b1_avx512(const uint64_t *in, uint64_t *out, size_t dim, size_t shift)
{
    const size_t last = (dim - 1) / 512, seam = shift / 512;
    const unsigned char *from = (const unsigned char *)in + (dim - shift) / 8;
    unsigned char *to = (unsigned char *)out;
    __m512i bits = _mm512_set1_epi64((long long)((dim - shift) % 8)), low, high, below = _mm512_setzero_si512();
    size_t left = 64 * (last + 1) - (dim - shift) / 8; /* bytes of the row behind `from` */
    if (seam) {
        const size_t run = 64 * (seam - 1);
        low = _mm512_loadu_si512(from);
        to += run;
        from += run;
        left -= run + 64;
        low = sophia_rotate_run_avx512(low, bits, from, to, run);
        from += 64;
        high = _mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, (unsigned)left), from);
        _mm512_storeu_si512(to, sophia_funnel_avx512(low, high, bits));
        to += 64;
        low = high;
    } else {
        low = _mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, (unsigned)left), from);
    }
    const size_t before = (shift % 512 + 7) / 8; /* bytes of the next block that would lie before the row */
    const unsigned char *const start = (const unsigned char *)((uintptr_t)in - before);
    const __m512i above = _mm512_maskz_loadu_epi8(~_bzhi_u64(~0ull, (unsigned)before), start);
    size_t run = 64 * (last - seam);
    if (dim % 8 == 0) {
        low = _mm512_or_si512(low, above);
        from = start;
    } else {
        high = left > 64 ? _mm512_maskz_loadu_epi8(1, from + 64) : _mm512_setzero_si512();
        below = sophia_funnel_avx512(low, high, bits);
        bits = _mm512_set1_epi64((long long)(8 * before - shift % 512));
        low = above;
        from = start;
        if (run) {
            high = _mm512_loadu_si512(from + 64);
            _mm512_storeu_si512(to, _mm512_or_si512(below, sophia_funnel_avx512(low, high, bits)));
            low = high;
            below = _mm512_setzero_si512();
            from += 64;
            to += 64;
            run -= 64;
        }
    }
    to += run;
    from += run;
    low = high = sophia_rotate_run_avx512(low, bits, from, to, run);
    /* The last word takes bits from the next byte, which is one of the row since shift > 0. */
    const size_t rest = dim - 512 * last; /* 1 to 512 */
    if (rest > 448) high = _mm512_maskz_loadu_epi8(1, from + 64);
    const __m512i end = _mm512_or_si512(sophia_funnel_avx512(low, high, bits), below);
    if (dim % 8 == 0) {
        _mm512_storeu_si512(to, _mm512_maskz_mov_epi8(_bzhi_u64(~0ull, (unsigned)(rest / 8)), end));
    } else {
        _mm512_storeu_si512(to, _mm512_andnot_si512(sophia_above_avx512(rest), end));
    }
}

SOPHIA_AVX512 static void sophia_rotate_rows_b1_avx512(const uint64_t *in, size_t in_words, uint64_t *out,
                                                       size_t out_words, size_t n, size_t dim, size_t shift)
{
    if (shift == 0 || dim <= 512) {
        sophia_rotate_rows_b1_scalar(in, in_words, out, out_words, n, dim, shift);
        return;
    }
    for (; n; n--, in += in_words, out += out_words) sophia_rotate_b1_avx512(in, out, dim, shift);
}

SOPHIA_AVX512 static void sophia_bind_i8_avx512(const int8_t *a, const int8_t *b, int8_t *out, size_t n)
{
    const __m512i one = _mm512_set1_epi8(1);
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __m512i x = _mm512_loadu_si512(a + i), y = _mm512_loadu_si512(b + i);
        _mm512_storeu_si512(out + i, _mm512_ternarylogic_epi64(x, y, one, 0xBE)); /* (x ^ y) | one */
    }
    if (i < n) {
        const __mmask64 tail = sophia_tail_mask64(n - i);
        const __m512i x = _mm512_maskz_loadu_epi8(tail, a + i), y = _mm512_maskz_loadu_epi8(tail, b + i);
        _mm512_mask_storeu_epi8(out + i, tail, _mm512_ternarylogic_epi64(x, y, one, 0xBE));
    }
}

SOPHIA_AVX512 static inline __m512i sophia_widen_avx512(__m256i x)
{
    return _mm512_cvtepi8_epi16(x);
}

/* A pair of products adds at most 2^15 to a lane, so 2^15 steps stay below 2^31. */
#define SOPHIA_DOT_STEPS ((size_t)1 << 15)

SOPHIA_AVX512 static int64_t sophia_dot_norm_i8_avx512(const int8_t *query, const int8_t *row, size_t n,
                                                       int64_t *norm)
{
    int64_t dot = 0, self = 0;
    for (size_t start = 0; start < n; start += 32 * SOPHIA_DOT_STEPS) {
        const size_t end = n - start < 32 * SOPHIA_DOT_STEPS ? n : start + 32 * SOPHIA_DOT_STEPS;
        __m512i products = _mm512_setzero_si512(), squares = products;
        for (size_t i = start; i < end; i += 32) {
            const __mmask32 some = end - i >= 32 ? ~(__mmask32)0 : ((__mmask32)1 << (end - i)) - 1;
            const __m512i x = sophia_widen_avx512(_mm256_maskz_loadu_epi8(some, query + i));
            const __m512i y = sophia_widen_avx512(_mm256_maskz_loadu_epi8(some, row + i));
            products = _mm512_add_epi32(products, _mm512_madd_epi16(x, y));
            squares = _mm512_add_epi32(squares, _mm512_madd_epi16(y, y));
        }
        dot += _mm512_reduce_add_epi64(_mm512_add_epi64(
            _mm512_cvtepi32_epi64(_mm512_castsi512_si256(products)),
            _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(products, 1))));
        self += _mm512_reduce_add_epi64(_mm512_add_epi64(
            _mm512_cvtepi32_epi64(_mm512_castsi512_si256(squares)),
            _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(squares, 1))));
    }
    *norm = self;
    return dot;
}

SOPHIA_AVX512 static int64_t sophia_dot_i8_avx512(const int8_t *a, const int8_t *b, size_t n)
{
    int64_t dot = 0;
    for (size_t start = 0; start < n; start += 32 * SOPHIA_DOT_STEPS) {
        const size_t end = n - start < 32 * SOPHIA_DOT_STEPS ? n : start + 32 * SOPHIA_DOT_STEPS;
        __m512i s0 = _mm512_setzero_si512(), s1 = s0;
        size_t i = start;
        for (; i + 64 <= end; i += 64) {
            const __m512i x0 = sophia_widen_avx512(_mm256_loadu_si256((const __m256i *)(a + i)));
            const __m512i y0 = sophia_widen_avx512(_mm256_loadu_si256((const __m256i *)(b + i)));
            const __m512i x1 = sophia_widen_avx512(_mm256_loadu_si256((const __m256i *)(a + i + 32)));
            const __m512i y1 = sophia_widen_avx512(_mm256_loadu_si256((const __m256i *)(b + i + 32)));
            s0 = _mm512_add_epi32(s0, _mm512_madd_epi16(x0, y0));
            s1 = _mm512_add_epi32(s1, _mm512_madd_epi16(x1, y1));
        }
        for (; i < end; i += 32) {
            const __mmask32 some = end - i >= 32 ? ~(__mmask32)0 : ((__mmask32)1 << (end - i)) - 1;
            const __m512i x = sophia_widen_avx512(_mm256_maskz_loadu_epi8(some, a + i));
            const __m512i y = sophia_widen_avx512(_mm256_maskz_loadu_epi8(some, b + i));
            s0 = _mm512_add_epi32(s0, _mm512_madd_epi16(x, y));
        }
        for (int half = 0; half < 2; half++) {
            const __m512i sums = half ? s1 : s0;
            dot += _mm512_reduce_add_epi64(
                _mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(sums)),
                                 _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sums, 1))));
        }
    }
    return dot;
}

/* The seed of ties of 64 int8 sums whose counts are even. */
SOPHIA_AVX512 static __attribute__((noinline, cold)) uint64_t sophia_tie_seed_i8_avx512(__m512i sums, size_t n)
{
    int8_t bytes[64];
    int32_t wide[64];
    _mm512_storeu_si512(bytes, sums);
    for (size_t i = 0; i < 64; i++) wide[i] = bytes[i];
    return sophia_tie_seed_of_sums(wide, 64, (int64_t)n, 0);
}

/* The vote over 64 int8 sums: one word of signs, ties and parity each. */
SOPHIA_AVX512 static inline __m512i sophia_vote_i8_avx512(__m512i sums, size_t n, size_t index)
{
    uint64_t negative = _mm512_movepi8_mask(sums);
    if (n % 2 == 0) {
        const uint64_t zero = _mm512_testn_epi8_mask(sums, sums);
        if (zero) {
            /* twice the count of -1 */
            const __m512i doubled = _mm512_sub_epi8(_mm512_set1_epi8((char)n), sums);
            const uint64_t parity = _mm512_test_epi8_mask(doubled, _mm512_set1_epi8(2));
            negative |= zero & sophia_tie_word(parity ? parity : sophia_tie_seed_i8_avx512(sums, n), index);
        }
    }
    return _mm512_mask_blend_epi8(negative, _mm512_set1_epi8(1), _mm512_set1_epi8(-1));
}

SOPHIA_AVX512 static void sophia_majority_i8_avx512(const int8_t *const *rows, size_t n, int8_t *out,
                                                    size_t dim)
{
    size_t at = 0;
    for (; at + 256 <= dim; at += 256) {
        __m512i sums[4];
        for (int c = 0; c < 4; c++) sums[c] = _mm512_setzero_si512();
        for (size_t r = 0; r < n; r++) {
            for (int c = 0; c < 4; c++) {
                sums[c] = _mm512_add_epi8(sums[c], _mm512_loadu_si512(rows[r] + at + 64 * c));
            }
        }
        for (int c = 0; c < 4; c++) {
            _mm512_storeu_si512(out + at + 64 * c, sophia_vote_i8_avx512(sums[c], n, at / 64 + (size_t)c));
        }
    }
    for (; at + 64 <= dim; at += 64) {
        __m512i sums = _mm512_setzero_si512();
        for (size_t r = 0; r < n; r++) sums = _mm512_add_epi8(sums, _mm512_loadu_si512(rows[r] + at));
        _mm512_storeu_si512(out + at, sophia_vote_i8_avx512(sums, n, at / 64));
    }
    sophia_majority_i8_scalar_from(rows, n, out, dim, at);
}

SOPHIA_AVX512 static void sophia_sum_i8_avx512(const int8_t *const *rows, size_t n, int32_t *acc, size_t dim)
{
    size_t at = 0;
    for (; at + 64 <= dim; at += 64) {
        __m512i sums = _mm512_setzero_si512();
        for (size_t r = 0; r < n; r++) sums = _mm512_add_epi8(sums, _mm512_loadu_si512(rows[r] + at));
        int8_t bytes[64];
        _mm512_storeu_si512(bytes, sums);
        for (size_t i = 0; i < 64; i += 16) {
            const __m512i wide = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(bytes + i)));
            _mm512_storeu_si512(acc + at + i, _mm512_add_epi32(_mm512_loadu_si512(acc + at + i), wide));
        }
    }
    sophia_sum_i8_scalar_from(rows, n, acc, dim, at);
}

SOPHIA_AVX512 static void sophia_add_i8_avx512(const int8_t *row, int32_t weight, int32_t *acc, size_t dim)
{
    const __m512i factor = _mm512_set1_epi32(weight);
    size_t at = 0;
    for (; at + 16 <= dim; at += 16) {
        const __m512i wide = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(row + at)));
        const __m512i old = _mm512_loadu_si512(acc + at);
        _mm512_storeu_si512(acc + at, _mm512_add_epi32(old, _mm512_mullo_epi32(wide, factor)));
    }
    sophia_add_i8_scalar(row + at, weight, acc + at, dim - at);
}

SOPHIA_AVX512 static void sophia_sign_i32_avx512(const int32_t *acc, int64_t net, int8_t *out, size_t dim)
{
    const __m512i all = _mm512_set1_epi32((int)(uint32_t)net), two = _mm512_set1_epi32(2);
    size_t at = 0;
    for (; at + 64 <= dim; at += 64) {
        uint64_t negative = 0, zero = 0, parity = 0;
        for (int c = 0; c < 4; c++) {
            const __m512i sums = _mm512_loadu_si512(acc + at + 16 * c);
            negative |= (uint64_t)_mm512_movepi32_mask(sums) << (16 * c);
            zero |= (uint64_t)_mm512_testn_epi32_mask(sums, sums) << (16 * c);
            parity |= (uint64_t)_mm512_test_epi32_mask(_mm512_sub_epi32(all, sums), two) << (16 * c);
        }
        if (zero) negative |= zero & sophia_tie_word(sophia_tie_seed_of_sums(acc + at, 64, net, parity), at / 64);
        _mm512_storeu_si512(out + at,
                            _mm512_mask_blend_epi8(negative, _mm512_set1_epi8(1), _mm512_set1_epi8(-1)));
    }
    sophia_sign_i32_scalar_from(acc, net, out, dim, at);
}

#define SOPHIA_HV_AVX512                                                                                   \
    {                                                                                                      \
        .bind_b1 = sophia_bind_b1_avx512, .hamming_b1 = sophia_hamming_b1_avx512,                          \
        .hamming_rows_b1 = sophia_hamming_rows_b1_avx512, .hamming_tile_b1 = sophia_hamming_tile_b1_avx512,\
        .least_u32 = sophia_least_u32_avx512, .read_b1 = sophia_read_b1_avx512,                            \
        .majority_b1 = sophia_majority_b1_avx512,                                                          \
        .count_b1 = sophia_count_b1_avx512, .settle_b1 = sophia_settle_b1_avx512,                          \
        .rotate_rows_b1 = sophia_rotate_rows_b1_avx512, .bind_i8 = sophia_bind_i8_avx512,                              \
        .dot_i8 = sophia_dot_i8_avx512, .dot_norm_i8 = sophia_dot_norm_i8_avx512,                          \
        .majority_i8 = sophia_majority_i8_avx512, .sum_i8 = sophia_sum_i8_avx512,                          \
        .add_i8 = sophia_add_i8_avx512, .sign_i32 = sophia_sign_i32_avx512,                                \
    }

#endif

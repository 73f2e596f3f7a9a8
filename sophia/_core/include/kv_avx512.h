/* K-Vector kernels for AVX-512.
 *
 * A pair is one register against one register. In batches eight rows are worked on together: halves of two
 * rows are loaded side by side, so that six permutations add up sixteen sums of eight; roots and quotients
 * are made eight at a time. With something unknown the rows are transposed instead (24 shuffles) and masked.
 *     vmovupd k, vinsertf64x4   two rows side by side    vblendmpd, vpermt2pd, vshufpd   steps of the sum
 *     vcmppd k                  what is known            vsqrtpd, vdivpd zmm             once for eight rows
 */
#ifndef SOPHIA_KV_AVX512_H
#define SOPHIA_KV_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "ahead.h"
#include "cpu.h"
#include "kv_kernels.h"

SOPHIA_AVX512 static inline double sophia_kv_reduce_avx512(__m512d p)
{
    const __m256d s = _mm256_add_pd(_mm512_castpd512_pd256(p), _mm512_extractf64x4_pd(p, 1));
    const __m128d t = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));
    return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
}

SOPHIA_AVX512 static inline __m512d sophia_kv_tree_avx512(const __m512d *p)
{
    const __m512d even = _mm512_add_pd(_mm512_add_pd(p[0], p[4]), _mm512_add_pd(p[2], p[6]));
    const __m512d odd = _mm512_add_pd(_mm512_add_pd(p[1], p[5]), _mm512_add_pd(p[3], p[7]));
    return _mm512_add_pd(even, odd);
}

SOPHIA_AVX512 static inline __m512d sophia_kv_inverse_avx512(__m512d squared)
{
    const __mmask8 good = _mm512_cmp_pd_mask(squared, _mm512_set1_pd(SOPHIA_KV_TINY), _CMP_GE_OQ);
    return _mm512_maskz_div_pd(good, _mm512_set1_pd(1.0), _mm512_sqrt_pd(squared));
}

/* The clamp for what is not NaN. */
SOPHIA_AVX512 static inline __m512d sophia_kv_clamp_number_avx512(__m512d x)
{
    x = _mm512_max_pd(_mm512_min_pd(x, _mm512_set1_pd(1.0)), _mm512_set1_pd(-1.0));
    return _mm512_add_pd(x, _mm512_setzero_pd());
}

SOPHIA_AVX512 static inline __m512d sophia_kv_clamp_avx512(__m512d x)
{
    return sophia_kv_clamp_number_avx512(_mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x, x, _CMP_ORD_Q), x));
}

/* c[j]: dimension j of eight rows */
SOPHIA_AVX512 static inline void sophia_kv_columns_avx512(const double *rows, __m512d *c)
{
    __m512d low[4], high[4];
    for (int i = 0; i < 4; i++) {
        const __m512d a = _mm512_loadu_pd(rows + 16 * i), b = _mm512_loadu_pd(rows + 16 * i + 8);
        low[i] = _mm512_unpacklo_pd(a, b);
        high[i] = _mm512_unpackhi_pd(a, b);
    }
    const __m512d a04 = _mm512_shuffle_f64x2(low[0], low[1], 0x88);
    const __m512d b04 = _mm512_shuffle_f64x2(low[2], low[3], 0x88);
    const __m512d a26 = _mm512_shuffle_f64x2(low[0], low[1], 0xDD);
    const __m512d b26 = _mm512_shuffle_f64x2(low[2], low[3], 0xDD);
    const __m512d a15 = _mm512_shuffle_f64x2(high[0], high[1], 0x88);
    const __m512d b15 = _mm512_shuffle_f64x2(high[2], high[3], 0x88);
    const __m512d a37 = _mm512_shuffle_f64x2(high[0], high[1], 0xDD);
    const __m512d b37 = _mm512_shuffle_f64x2(high[2], high[3], 0xDD);
    c[0] = _mm512_shuffle_f64x2(a04, b04, 0x88);
    c[4] = _mm512_shuffle_f64x2(a04, b04, 0xDD);
    c[2] = _mm512_shuffle_f64x2(a26, b26, 0x88);
    c[6] = _mm512_shuffle_f64x2(a26, b26, 0xDD);
    c[1] = _mm512_shuffle_f64x2(a15, b15, 0x88);
    c[5] = _mm512_shuffle_f64x2(a15, b15, 0xDD);
    c[3] = _mm512_shuffle_f64x2(a37, b37, 0x88);
    c[7] = _mm512_shuffle_f64x2(a37, b37, 0xDD);
}

SOPHIA_AVX512 static double sophia_cosine_f64_avx512(const double *a, const double *b, const double *frame)
{
    __m512d x = _mm512_loadu_pd(a), y = _mm512_loadu_pd(b);
    if (frame) {
        const __m512d mean = _mm512_loadu_pd(frame), scale = _mm512_loadu_pd(frame + 8);
        x = _mm512_mul_pd(_mm512_sub_pd(x, mean), scale);
        y = _mm512_mul_pd(_mm512_sub_pd(y, mean), scale);
    }
    const __mmask8 known = _mm512_cmp_pd_mask(x, y, _CMP_ORD_Q);
    x = _mm512_maskz_mov_pd(known, x);
    y = _mm512_maskz_mov_pd(known, y);
    const double dot = sophia_kv_reduce_avx512(_mm512_mul_pd(x, y));
    const double inverse = sophia_kv_inverse(sophia_kv_reduce_avx512(_mm512_mul_pd(x, x)))
                           * sophia_kv_inverse(sophia_kv_reduce_avx512(_mm512_mul_pd(y, y)));
    return sophia_kv_clamp(dot * inverse);
}

/* Eight rows against a query in the frame with its mask, whatever is unknown or out of the ordinary. */
SOPHIA_KV_SELDOM SOPHIA_AVX512 static __m512d
sophia_kv_cosine_rows_avx512(const double *query, unsigned known, const double *rows, const double *frame)
{
    __m512d c[8], p[8], square[8], own[8];
    sophia_kv_columns_avx512(rows, c);
    for (int j = 0; j < 8; j++) {
        if (frame)
            c[j] = _mm512_mul_pd(_mm512_sub_pd(c[j], _mm512_set1_pd(frame[j])), _mm512_set1_pd(frame[8 + j]));
        const __mmask8 both = known >> j & 1 ? _mm512_cmp_pd_mask(c[j], c[j], _CMP_ORD_Q) : 0;
        own[j] = _mm512_maskz_mov_pd(both, _mm512_set1_pd(query[j] * query[j]));
        p[j] = _mm512_maskz_mul_pd(both, c[j], _mm512_set1_pd(query[j]));
        square[j] = _mm512_maskz_mul_pd(both, c[j], c[j]);
    }
    const __m512d inverses = _mm512_mul_pd(sophia_kv_inverse_avx512(sophia_kv_tree_avx512(square)),
                                           sophia_kv_inverse_avx512(sophia_kv_tree_avx512(own)));
    return sophia_kv_clamp_avx512(_mm512_mul_pd(sophia_kv_tree_avx512(p), inverses));
}

/* Eight values as two registers, dimensions 0-3 4-7 and 4-7 0-3: how the rows of a pair are loaded. */
typedef struct {
    __m512d query[2], mean[2], scale[2];
} sophia_kv_frame_avx512;

SOPHIA_AVX512 static inline void sophia_kv_both_ways_avx512(const double *values, __m512d *out)
{
    out[0] = _mm512_loadu_pd(values);
    out[1] = _mm512_shuffle_f64x2(out[0], out[0], 0x4E);
}

/* s[j] of two rows side by side, for dot product and square. Half of the second row comes by a masked load
 * and half by an insertion, so that no shuffle is needed; a + b = b + a makes up for the order. */
SOPHIA_AVX512 static inline void sophia_kv_two_rows_avx512(const sophia_kv_frame_avx512 *frame, int framed,
                                                           const double *a, const double *b, __m512d *dot,
                                                           __m512d *square)
{
    __m512d x[2], p[2], q[2];
    x[0] = _mm512_mask_loadu_pd(_mm512_loadu_pd(a), 0xF0, b);
    x[1] = _mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(a + 4)), _mm256_loadu_pd(b), 1);
    for (int i = 0; i < 2; i++) {
        if (framed) x[i] = _mm512_mul_pd(_mm512_sub_pd(x[i], frame->mean[i]), frame->scale[i]);
        p[i] = _mm512_mul_pd(x[i], frame->query[i]);
        q[i] = _mm512_mul_pd(x[i], x[i]);
    }
    *dot = _mm512_add_pd(p[0], p[1]);
    *square = _mm512_add_pd(q[0], q[1]);
}

/* s[j] + s[j + 2] of rows a b and c d, in the order a c b d: a blend takes one half of each, a permutation
 * the other. */
SOPHIA_AVX512 static inline __m512d sophia_kv_quarters_avx512(__m512d ab, __m512d cd)
{
    const __m512i other = _mm512_setr_epi64(2, 3, 8, 9, 6, 7, 12, 13);
    return _mm512_add_pd(_mm512_mask_blend_pd(0xCC, ab, cd), _mm512_permutex2var_pd(ab, other, cd));
}

/* The sums of eight rows, in order, from s[j] of rows 0 and 4, 2 and 6, 1 and 5, 3 and 7. */
SOPHIA_AVX512 static inline __m512d sophia_kv_join_avx512(const __m512d *s)
{
    const __m512d even = sophia_kv_quarters_avx512(s[0], s[1]), odd = sophia_kv_quarters_avx512(s[2], s[3]);
    return _mm512_add_pd(_mm512_mask_blend_pd(0xAA, even, odd), _mm512_shuffle_pd(even, odd, 0x55));
}

/* Eight rows at a time from row i on, on the path without masks while squared norms are ordinary numbers;
 * returns where it ended. `stream`: out + i is aligned. */
SOPHIA_KV_INLINE SOPHIA_AVX512 static size_t
sophia_kv_cosine_ordinary_avx512(const double *query, unsigned known, const double *rows, size_t i,
                                 size_t size, const double *frame, int stream, double *out)
{
    const double inverse = sophia_kv_inverse(sophia_kv_square(query));
    const __m512d own = _mm512_set1_pd(inverse), one = _mm512_set1_pd(1.0);
    const int plain = known == 0xFF && inverse > 0.0;
    sophia_kv_frame_avx512 wide;
    sophia_kv_both_ways_avx512(query, wide.query);
    if (frame) {
        sophia_kv_both_ways_avx512(frame, wide.mean);
        sophia_kv_both_ways_avx512(frame + 8, wide.scale);
    }
    for (; i + 8 <= size; i += 8) {
        static const unsigned char first[4] = {0, 2, 1, 3};
        const double *at = rows + 8 * i;
        for (int r = 0; r < 8; r++) sophia_ahead(at + 8 * r + SOPHIA_KV_AHEAD);
        __m512d dot[4], square[4];
        for (int pair = 0; pair < 4; pair++)
            sophia_kv_two_rows_avx512(&wide, frame != NULL, at + 8 * first[pair], at + 8 * first[pair] + 32,
                                      &dot[pair], &square[pair]);
        const __m512d norm = sophia_kv_join_avx512(square);
        const __mmask8 above = _mm512_cmp_pd_mask(norm, _mm512_set1_pd(SOPHIA_KV_TINY), _CMP_GE_OQ);
        const __mmask8 below = _mm512_cmp_pd_mask(norm, _mm512_set1_pd(SOPHIA_KV_HUGE), _CMP_LE_OQ);
        if (!plain || (above & below) != 0xFF) {
            _mm512_storeu_pd(out + i, sophia_kv_cosine_rows_avx512(query, known, at, frame));
            continue;
        }
        const __m512d inverses = _mm512_mul_pd(_mm512_div_pd(one, _mm512_sqrt_pd(norm)), own);
        const __m512d cosine = _mm512_mul_pd(sophia_kv_join_avx512(dot), inverses);
        if (stream)
            _mm512_stream_pd(out + i, sophia_kv_clamp_number_avx512(cosine));
        else
            _mm512_storeu_pd(out + i, sophia_kv_clamp_number_avx512(cosine));
    }
    return i;
}

SOPHIA_AVX512 static void sophia_cosine_many_f64_avx512(const double *query, const double *rows, size_t size,
                                                        const double *frame, double *out)
{
    double q[8];
    const unsigned known = sophia_kv_enter(query, frame, q);
    const int stream = size >= SOPHIA_KV_STREAM;
    size_t i = 0;
    for (; stream && (uintptr_t)(out + i) % 64; i++)
        out[i] = sophia_cosine_f64_avx512(query, rows + 8 * i, frame);
    if (frame)
        i = sophia_kv_cosine_ordinary_avx512(q, known, rows, i, size, frame, stream, out);
    else
        i = sophia_kv_cosine_ordinary_avx512(q, known, rows, i, size, NULL, stream, out);
    if (stream) _mm_sfence(); /* streamed stores are ordered for other threads from here on */
    for (; i < size; i++) out[i] = sophia_cosine_f64_avx512(query, rows + 8 * i, frame);
}

SOPHIA_AVX512 static void sophia_cosine_blocks_f64_avx512(const double *query, const double *blocks,
                                                          size_t size, double *out)
{
    for (size_t i = 0; i < size; i++, blocks += SOPHIA_KV_BLOCK) {
        __m512d p[8];
        for (int j = 0; j < 8; j++)
            p[j] = _mm512_mul_pd(_mm512_loadu_pd(blocks + 8 * j), _mm512_set1_pd(query[j]));
        const __m512d inverses = _mm512_mul_pd(_mm512_loadu_pd(blocks + 64), _mm512_set1_pd(query[8]));
        const __m512d cosine = _mm512_mul_pd(sophia_kv_tree_avx512(p), inverses);
        _mm512_storeu_pd(out + 8 * i, sophia_kv_clamp_number_avx512(cosine));
    }
}

SOPHIA_AVX512 static double sophia_euclidean_f64_avx512(const double *a, const double *b)
{
    const __m512d d = _mm512_sub_pd(_mm512_loadu_pd(a), _mm512_loadu_pd(b));
    const __mmask8 known = _mm512_cmp_pd_mask(d, d, _CMP_ORD_Q);
    if (!known) return 0.0;
    const double sum = sophia_kv_reduce_avx512(_mm512_maskz_mul_pd(known, d, d));
    return sophia_kv_clamp(1.0 - sqrt(sum / __builtin_popcount(known)));
}

SOPHIA_AVX512 static void sophia_euclidean_many_f64_avx512(const double *query, const double *rows,
                                                           size_t size, double *out)
{
    const __m512d one = _mm512_set1_pd(1.0);
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        __m512d c[8];
        __m512d count = _mm512_setzero_pd();
        sophia_kv_columns_avx512(rows + 8 * i, c);
        for (int j = 0; j < 8; j++) {
            const __m512d d = _mm512_sub_pd(_mm512_set1_pd(query[j]), c[j]);
            const __mmask8 known = _mm512_cmp_pd_mask(d, d, _CMP_ORD_Q);
            c[j] = _mm512_maskz_mul_pd(known, d, d);
            count = _mm512_mask_add_pd(count, known, count, one);
        }
        const __mmask8 some = _mm512_cmp_pd_mask(count, _mm512_setzero_pd(), _CMP_GT_OQ);
        const __m512d mean = _mm512_maskz_div_pd(some, sophia_kv_tree_avx512(c), count);
        const __m512d likeness = _mm512_maskz_sub_pd(some, one, _mm512_sqrt_pd(mean));
        _mm512_storeu_pd(out + i, sophia_kv_clamp_avx512(likeness));
    }
    for (; i < size; i++) out[i] = sophia_euclidean_f64_avx512(query, rows + 8 * i);
}

SOPHIA_AVX512 static uint64_t sophia_read_f64_avx512(const double *data, size_t size)
{
    __m512i all[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                      _mm512_setzero_si512()};
    size_t i = 0;
    for (; i + 32 <= size; i += 32)
        for (int r = 0; r < 4; r++) all[r] = _mm512_xor_si512(all[r], _mm512_loadu_si512(data + i + 8 * r));
    uint64_t words[8], word, sum = 0;
    all[0] = _mm512_xor_si512(_mm512_xor_si512(all[0], all[1]), _mm512_xor_si512(all[2], all[3]));
    _mm512_storeu_si512(words, all[0]);
    for (int r = 0; r < 8; r++) sum ^= words[r];
    for (; i < size; i++) {
        memcpy(&word, data + i, 8);
        sum ^= word;
    }
    return sum;
}

#define SOPHIA_KV_AVX512                                                                                   \
    {sophia_cosine_f64_avx512,    sophia_cosine_many_f64_avx512,    sophia_cosine_blocks_f64_avx512,       \
     sophia_euclidean_f64_avx512, sophia_euclidean_many_f64_avx512, sophia_read_f64_avx512}

#endif

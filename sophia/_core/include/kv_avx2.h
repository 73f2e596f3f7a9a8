/* K-Vector kernels for AVX2: two registers a row; in batches four rows together.
 *
 *     vblendpd, vperm2f128, vshufpd   steps of the sum     vcmppd, vandpd      what is known
 *     vunpcklpd, vunpckhpd            a transposition, where something is unknown
 *     vsqrtpd, vdivpd ymm             once for four rows
 */
#ifndef SOPHIA_KV_AVX2_H
#define SOPHIA_KV_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "ahead.h"
#include "cpu.h"
#include "kv_kernels.h"

SOPHIA_AVX2 static inline double sophia_kv_reduce_avx2(__m256d low, __m256d high)
{
    const __m256d s = _mm256_add_pd(low, high);
    const __m128d t = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));
    return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
}

SOPHIA_AVX2 static inline __m256d sophia_kv_tree_avx2(const __m256d *p)
{
    const __m256d even = _mm256_add_pd(_mm256_add_pd(p[0], p[4]), _mm256_add_pd(p[2], p[6]));
    const __m256d odd = _mm256_add_pd(_mm256_add_pd(p[1], p[5]), _mm256_add_pd(p[3], p[7]));
    return _mm256_add_pd(even, odd);
}

SOPHIA_AVX2 static inline __m256d sophia_kv_known_avx2(__m256d x)
{
    return _mm256_cmp_pd(x, x, _CMP_ORD_Q);
}

SOPHIA_AVX2 static inline __m256d sophia_kv_inverse_avx2(__m256d squared)
{
    const __m256d good = _mm256_cmp_pd(squared, _mm256_set1_pd(SOPHIA_KV_TINY), _CMP_GE_OQ);
    return _mm256_and_pd(good, _mm256_div_pd(_mm256_set1_pd(1.0), _mm256_sqrt_pd(squared)));
}

/* The clamp for what is not NaN. */
SOPHIA_AVX2 static inline __m256d sophia_kv_clamp_number_avx2(__m256d x)
{
    x = _mm256_max_pd(_mm256_min_pd(x, _mm256_set1_pd(1.0)), _mm256_set1_pd(-1.0));
    return _mm256_add_pd(x, _mm256_setzero_pd());
}

SOPHIA_AVX2 static inline __m256d sophia_kv_clamp_avx2(__m256d x)
{
    return sophia_kv_clamp_number_avx2(_mm256_and_pd(sophia_kv_known_avx2(x), x));
}

/* c[j]: dimension j of four rows */
SOPHIA_AVX2 static inline void sophia_kv_columns_avx2(const double *rows, __m256d *c)
{
    for (int half = 0; half < 2; half++) {
        const double *at = rows + 4 * half;
        const __m256d r0 = _mm256_loadu_pd(at), r1 = _mm256_loadu_pd(at + 8);
        const __m256d r2 = _mm256_loadu_pd(at + 16), r3 = _mm256_loadu_pd(at + 24);
        const __m256d a02 = _mm256_unpacklo_pd(r0, r1), a13 = _mm256_unpackhi_pd(r0, r1);
        const __m256d b02 = _mm256_unpacklo_pd(r2, r3), b13 = _mm256_unpackhi_pd(r2, r3);
        c[4 * half + 0] = _mm256_permute2f128_pd(a02, b02, 0x20);
        c[4 * half + 1] = _mm256_permute2f128_pd(a13, b13, 0x20);
        c[4 * half + 2] = _mm256_permute2f128_pd(a02, b02, 0x31);
        c[4 * half + 3] = _mm256_permute2f128_pd(a13, b13, 0x31);
    }
}

SOPHIA_AVX2 static double sophia_cosine_f64_avx2(const double *a, const double *b, const double *frame)
{
    __m256d x[2], y[2];
    for (int half = 0; half < 2; half++) {
        x[half] = _mm256_loadu_pd(a + 4 * half);
        y[half] = _mm256_loadu_pd(b + 4 * half);
        if (frame) {
            const __m256d mean = _mm256_loadu_pd(frame + 4 * half);
            const __m256d scale = _mm256_loadu_pd(frame + 8 + 4 * half);
            x[half] = _mm256_mul_pd(_mm256_sub_pd(x[half], mean), scale);
            y[half] = _mm256_mul_pd(_mm256_sub_pd(y[half], mean), scale);
        }
        const __m256d known = _mm256_cmp_pd(x[half], y[half], _CMP_ORD_Q);
        x[half] = _mm256_and_pd(known, x[half]);
        y[half] = _mm256_and_pd(known, y[half]);
    }
    const double dot = sophia_kv_reduce_avx2(_mm256_mul_pd(x[0], y[0]), _mm256_mul_pd(x[1], y[1]));
    const double xx = sophia_kv_reduce_avx2(_mm256_mul_pd(x[0], x[0]), _mm256_mul_pd(x[1], x[1]));
    const double yy = sophia_kv_reduce_avx2(_mm256_mul_pd(y[0], y[0]), _mm256_mul_pd(y[1], y[1]));
    return sophia_kv_clamp(dot * (sophia_kv_inverse(xx) * sophia_kv_inverse(yy)));
}

/* Four rows against a query in the frame with its mask, whatever is unknown or out of the ordinary. */
SOPHIA_KV_SELDOM SOPHIA_AVX2 static __m256d
sophia_kv_cosine_rows_avx2(const double *query, unsigned known, const double *rows, const double *frame)
{
    __m256d c[8], p[8], square[8], own[8];
    sophia_kv_columns_avx2(rows, c);
    for (int j = 0; j < 8; j++) {
        if (frame)
            c[j] = _mm256_mul_pd(_mm256_sub_pd(c[j], _mm256_set1_pd(frame[j])), _mm256_set1_pd(frame[8 + j]));
        const __m256d both = known >> j & 1 ? sophia_kv_known_avx2(c[j]) : _mm256_setzero_pd();
        own[j] = _mm256_and_pd(both, _mm256_set1_pd(query[j] * query[j]));
        p[j] = _mm256_and_pd(both, _mm256_mul_pd(c[j], _mm256_set1_pd(query[j])));
        square[j] = _mm256_and_pd(both, _mm256_mul_pd(c[j], c[j]));
    }
    const __m256d inverses = _mm256_mul_pd(sophia_kv_inverse_avx2(sophia_kv_tree_avx2(square)),
                                           sophia_kv_inverse_avx2(sophia_kv_tree_avx2(own)));
    return sophia_kv_clamp_avx2(_mm256_mul_pd(sophia_kv_tree_avx2(p), inverses));
}

/* s[j] + s[j + 2] of two rows: a blend takes one half of each, a permutation the other. */
SOPHIA_AVX2 static inline __m256d sophia_kv_halves_avx2(__m256d a, __m256d b)
{
    return _mm256_add_pd(_mm256_blend_pd(a, b, 0xC), _mm256_permute2f128_pd(a, b, 0x21));
}

/* The sums of four rows, in order, from s[j] of rows 0, 2, 1 and 3. */
SOPHIA_AVX2 static inline __m256d sophia_kv_join_avx2(const __m256d *s)
{
    const __m256d even = sophia_kv_halves_avx2(s[0], s[1]), odd = sophia_kv_halves_avx2(s[2], s[3]);
    return _mm256_add_pd(_mm256_blend_pd(even, odd, 0xA), _mm256_shuffle_pd(even, odd, 0x5));
}

/* Four rows at a time from row i on, on the path without masks while squared norms are ordinary numbers;
 * returns where it ended. `stream`: out + i is aligned. */
SOPHIA_KV_INLINE SOPHIA_AVX2 static size_t
sophia_kv_cosine_ordinary_avx2(const double *query, unsigned known, const double *rows, size_t i, size_t size,
                                const double *frame, int stream, double *out)
{
    const double inverse = sophia_kv_inverse(sophia_kv_square(query));
    const __m256d own = _mm256_set1_pd(inverse), one = _mm256_set1_pd(1.0);
    const int plain = known == 0xFF && inverse > 0.0;
    __m256d q[2], mean[2], scale[2];
    for (int half = 0; half < 2; half++) {
        q[half] = _mm256_loadu_pd(query + 4 * half);
        mean[half] = frame ? _mm256_loadu_pd(frame + 4 * half) : _mm256_setzero_pd();
        scale[half] = frame ? _mm256_loadu_pd(frame + 8 + 4 * half) : one;
    }
    for (; i + 4 <= size; i += 4) {
        static const unsigned char order[4] = {0, 2, 1, 3};
        const double *at = rows + 8 * i;
        __m256d dot[4], square[4];
        for (int r = 0; r < 4; r++) {
            sophia_ahead(at + 8 * r + SOPHIA_KV_AHEAD);
            __m256d low = _mm256_loadu_pd(at + 8 * order[r]), high = _mm256_loadu_pd(at + 8 * order[r] + 4);
            if (frame) {
                low = _mm256_mul_pd(_mm256_sub_pd(low, mean[0]), scale[0]);
                high = _mm256_mul_pd(_mm256_sub_pd(high, mean[1]), scale[1]);
            }
            dot[r] = _mm256_add_pd(_mm256_mul_pd(low, q[0]), _mm256_mul_pd(high, q[1]));
            square[r] = _mm256_add_pd(_mm256_mul_pd(low, low), _mm256_mul_pd(high, high));
        }
        const __m256d norm = sophia_kv_join_avx2(square);
        const __m256d above = _mm256_cmp_pd(norm, _mm256_set1_pd(SOPHIA_KV_TINY), _CMP_GE_OQ);
        const __m256d below = _mm256_cmp_pd(norm, _mm256_set1_pd(SOPHIA_KV_HUGE), _CMP_LE_OQ);
        if (!plain || _mm256_movemask_pd(_mm256_and_pd(above, below)) != 0xF) {
            _mm256_storeu_pd(out + i, sophia_kv_cosine_rows_avx2(query, known, at, frame));
            continue;
        }
        const __m256d inverses = _mm256_mul_pd(_mm256_div_pd(one, _mm256_sqrt_pd(norm)), own);
        const __m256d cosine = _mm256_mul_pd(sophia_kv_join_avx2(dot), inverses);
        if (stream)
            _mm256_stream_pd(out + i, sophia_kv_clamp_number_avx2(cosine));
        else
            _mm256_storeu_pd(out + i, sophia_kv_clamp_number_avx2(cosine));
    }
    return i;
}

SOPHIA_AVX2 static void sophia_cosine_many_f64_avx2(const double *query, const double *rows, size_t size,
                                                    const double *frame, double *out)
{
    double q[8];
    const unsigned known = sophia_kv_enter(query, frame, q);
    const int stream = size >= SOPHIA_KV_STREAM;
    size_t i = 0;
    for (; stream && (uintptr_t)(out + i) % 32; i++)
        out[i] = sophia_cosine_f64_avx2(query, rows + 8 * i, frame);
    if (frame)
        i = sophia_kv_cosine_ordinary_avx2(q, known, rows, i, size, frame, stream, out);
    else
        i = sophia_kv_cosine_ordinary_avx2(q, known, rows, i, size, NULL, stream, out);
    if (stream) _mm_sfence(); /* streamed stores are ordered for other threads from here on */
    for (; i < size; i++) out[i] = sophia_cosine_f64_avx2(query, rows + 8 * i, frame);
}

SOPHIA_AVX2 static void sophia_cosine_blocks_f64_avx2(const double *query, const double *blocks, size_t size,
                                                      double *out)
{
    for (size_t i = 0; i < size; i++, blocks += SOPHIA_KV_BLOCK) {
        for (int half = 0; half < 8; half += 4) {
            __m256d p[8];
            for (int j = 0; j < 8; j++)
                p[j] = _mm256_mul_pd(_mm256_loadu_pd(blocks + 8 * j + half), _mm256_set1_pd(query[j]));
            const __m256d inverse = _mm256_loadu_pd(blocks + 64 + half);
            const __m256d both = _mm256_mul_pd(inverse, _mm256_set1_pd(query[8]));
            const __m256d cosine = _mm256_mul_pd(sophia_kv_tree_avx2(p), both);
            _mm256_storeu_pd(out + 8 * i + half, sophia_kv_clamp_number_avx2(cosine));
        }
    }
}

SOPHIA_AVX2 static double sophia_euclidean_f64_avx2(const double *a, const double *b)
{
    __m256d square[2];
    unsigned known = 0;
    for (int half = 0; half < 2; half++) {
        const __m256d d = _mm256_sub_pd(_mm256_loadu_pd(a + 4 * half), _mm256_loadu_pd(b + 4 * half));
        const __m256d both = sophia_kv_known_avx2(d);
        known |= (unsigned)_mm256_movemask_pd(both) << (4 * half);
        square[half] = _mm256_and_pd(both, _mm256_mul_pd(d, d));
    }
    if (!known) return 0.0;
    const double sum = sophia_kv_reduce_avx2(square[0], square[1]);
    return sophia_kv_clamp(1.0 - sqrt(sum / __builtin_popcount(known)));
}

SOPHIA_AVX2 static void sophia_euclidean_many_f64_avx2(const double *query, const double *rows, size_t size,
                                                       double *out)
{
    const __m256d one = _mm256_set1_pd(1.0);
    size_t i = 0;
    for (; i + 4 <= size; i += 4) {
        __m256d c[8];
        __m256d count = _mm256_setzero_pd();
        sophia_kv_columns_avx2(rows + 8 * i, c);
        for (int j = 0; j < 8; j++) {
            const __m256d d = _mm256_sub_pd(_mm256_set1_pd(query[j]), c[j]);
            const __m256d both = sophia_kv_known_avx2(d);
            c[j] = _mm256_and_pd(both, _mm256_mul_pd(d, d));
            count = _mm256_add_pd(count, _mm256_and_pd(both, one));
        }
        const __m256d some = _mm256_cmp_pd(count, _mm256_setzero_pd(), _CMP_GT_OQ);
        const __m256d mean = _mm256_div_pd(sophia_kv_tree_avx2(c), count);
        const __m256d likeness = _mm256_and_pd(some, _mm256_sub_pd(one, _mm256_sqrt_pd(mean)));
        _mm256_storeu_pd(out + i, sophia_kv_clamp_avx2(likeness));
    }
    for (; i < size; i++) out[i] = sophia_euclidean_f64_avx2(query, rows + 8 * i);
}

SOPHIA_AVX2 static uint64_t sophia_read_f64_avx2(const double *data, size_t size)
{
    __m256i all[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                      _mm256_setzero_si256()};
    size_t i = 0;
    for (; i + 16 <= size; i += 16)
        for (int r = 0; r < 4; r++)
            all[r] = _mm256_xor_si256(all[r], _mm256_loadu_si256((const __m256i *)(data + i + 4 * r)));
    uint64_t words[4], word, sum = 0;
    all[0] = _mm256_xor_si256(_mm256_xor_si256(all[0], all[1]), _mm256_xor_si256(all[2], all[3]));
    _mm256_storeu_si256((__m256i *)words, all[0]);
    for (int r = 0; r < 4; r++) sum ^= words[r];
    for (; i < size; i++) {
        memcpy(&word, data + i, 8);
        sum ^= word;
    }
    return sum;
}

#define SOPHIA_KV_AVX2                                                                                     \
    {sophia_cosine_f64_avx2,    sophia_cosine_many_f64_avx2,    sophia_cosine_blocks_f64_avx2,             \
     sophia_euclidean_f64_avx2, sophia_euclidean_many_f64_avx2, sophia_read_f64_avx2}

#endif

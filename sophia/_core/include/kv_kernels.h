/* The K-Vector kernels (eight doubles): one table of function pointers, filled once for each SIMD level.
 *
 * A NaN is a dimension that is not known; a pair is compared over the dimensions that both have. `frame` is
 * NULL or 16 doubles: eight means and eight scales, and each value x counts as (x - mean) * scale. Weights
 * enter as their square roots, so that a measure is symmetric to the last bit.
 *
 * One order for every sum of eight, at every level, for a pair and in batches:
 *     s[j] = p[j] + p[j + 4] for j = 0..3;  sum = (s[0] + s[2]) + (s[1] + s[3])
 * with 0.0 for an unknown dimension, no fused multiply-add, and
 *     cosine = dot * (inverse(|a|^2) * inverse(|b|^2)),  inverse(n) = 1 / sqrt(n), 0 for n below 1e-300.
 * Hence the same bits everywhere. A result is clamped to [-1, 1], and is 0.0 where it would be NaN or -0.0.
 */
#ifndef SOPHIA_KV_KERNELS_H
#define SOPHIA_KV_KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define SOPHIA_KV_SIZE 8
#define SOPHIA_KV_TINY 1e-300 /* squared norms below count as zero: 1 / sqrt() twice stays finite */
#define SOPHIA_KV_AHEAD 1024   /* doubles fetched ahead: 8 KB hides what out-of-order execution cannot */
#define SOPHIA_KV_HUGE 1e300  /* up to here no sum of products overflows, so nothing becomes NaN */
#define SOPHIA_KV_STREAM 131072 /* results (1 MB) from which on they are written past the caches */
#define SOPHIA_KV_QUERY 9     /* doubles of a prepared query: its values in the frame, its inverse norm */
#define SOPHIA_KV_BLOCK 72    /* doubles of a prepared block: columns of eight rows, their inverse norms */

/* A loop compiled once with a frame and once without, and the path that must not burden it with registers. */
#define SOPHIA_KV_INLINE inline __attribute__((always_inline))
#define SOPHIA_KV_SELDOM __attribute__((noinline, cold))

struct sophia_kv_kernels {
    double (*cosine_f64)(const double *a, const double *b, const double *frame);
    /* out[i]: the query against rows[8 * i] */
    void (*cosine_many_f64)(const double *query, const double *rows, size_t size, const double *frame,
                            double *out);
    /* out[8 * i + r]: a prepared query against row r of prepared block i; everything in them is known and
     * squared norms are at most SOPHIA_KV_HUGE */
    void (*cosine_blocks_f64)(const double *query, const double *blocks, size_t size, double *out);
    /* 1 - root of the mean squared difference over the dimensions that both have; 0.0 without any */
    double (*euclidean_f64)(const double *a, const double *b);
    void (*euclidean_many_f64)(const double *query, const double *rows, size_t size, double *out);
    /* every word exclusive-or'ed: what reading the memory costs, for the benchmarks */
    uint64_t (*read_f64)(const double *data, size_t size);
};

static inline double sophia_kv_sum(const double *p)
{
    return ((p[0] + p[4]) + (p[2] + p[6])) + ((p[1] + p[5]) + (p[3] + p[7]));
}

static inline double sophia_kv_inverse(double squared)
{
    return squared >= SOPHIA_KV_TINY ? 1.0 / sqrt(squared) : 0.0;
}

static inline double sophia_kv_clamp(double x)
{
    if (!(x == x)) return 0.0;
    x = x < 1.0 ? x : 1.0;
    x = x > -1.0 ? x : -1.0;
    return x + 0.0;
}

/* `out` in the frame, 0.0 where unknown; the mask of what is known, lowest bit first. */
static inline unsigned sophia_kv_enter(const double *values, const double *frame, double *out)
{
    unsigned known = 0;
    for (int j = 0; j < SOPHIA_KV_SIZE; j++) {
        const double x = frame ? (values[j] - frame[j]) * frame[8 + j] : values[j];
        known |= (unsigned)(x == x) << j;
        out[j] = x == x ? x : 0.0;
    }
    return known;
}

static inline double sophia_kv_square(const double *values)
{
    double p[SOPHIA_KV_SIZE];
    for (int j = 0; j < SOPHIA_KV_SIZE; j++) p[j] = values[j] * values[j];
    return sophia_kv_sum(p);
}

#endif

/* K-Vector kernels in plain C: what every other level must equal, bit for bit. */
#ifndef SOPHIA_KV_SCALAR_H
#define SOPHIA_KV_SCALAR_H

#include <string.h>

#include "cpu.h"
#include "kv_kernels.h"

static double sophia_cosine_f64_scalar(const double *a, const double *b, const double *frame)
{
    double x[SOPHIA_KV_SIZE], y[SOPHIA_KV_SIZE], p[SOPHIA_KV_SIZE];
    const unsigned known = sophia_kv_enter(a, frame, x) & sophia_kv_enter(b, frame, y);
    for (int j = 0; j < SOPHIA_KV_SIZE; j++) {
        if (!(known >> j & 1)) x[j] = y[j] = 0.0;
        p[j] = x[j] * y[j];
    }
    const double inverse = sophia_kv_inverse(sophia_kv_square(x)) * sophia_kv_inverse(sophia_kv_square(y));
    return sophia_kv_clamp(sophia_kv_sum(p) * inverse);
}

static void sophia_cosine_many_f64_scalar(const double *query, const double *rows, size_t size,
                                          const double *frame, double *out)
{
    double q[SOPHIA_KV_SIZE], x[SOPHIA_KV_SIZE], p[SOPHIA_KV_SIZE], square[SOPHIA_KV_SIZE];
    const unsigned known = sophia_kv_enter(query, frame, q);
    const double inverse = sophia_kv_inverse(sophia_kv_square(q));
    for (size_t i = 0; i < size; i++, rows += SOPHIA_KV_SIZE) {
        for (int j = 0; j < SOPHIA_KV_SIZE; j++) {
            x[j] = frame ? (rows[j] - frame[j]) * frame[8 + j] : rows[j];
            p[j] = x[j] * q[j];
            square[j] = x[j] * x[j];
        }
        const double norm = sophia_kv_sum(square); /* NaN where something is unknown */
        if (known == 0xFF && norm == norm)
            out[i] = sophia_kv_clamp(sophia_kv_sum(p) * (sophia_kv_inverse(norm) * inverse));
        else
            out[i] = sophia_cosine_f64_scalar(query, rows, frame);
    }
}

static void sophia_cosine_blocks_f64_scalar(const double *query, const double *blocks, size_t size,
                                            double *out)
{
    for (size_t i = 0; i < size; i++, blocks += SOPHIA_KV_BLOCK) {
        for (int r = 0; r < 8; r++) {
            double p[SOPHIA_KV_SIZE];
            for (int j = 0; j < SOPHIA_KV_SIZE; j++) p[j] = query[j] * blocks[8 * j + r];
            out[8 * i + r] = sophia_kv_clamp(sophia_kv_sum(p) * (query[8] * blocks[64 + r]));
        }
    }
}

static double sophia_euclidean_f64_scalar(const double *a, const double *b)
{
    double p[SOPHIA_KV_SIZE];
    int known = 0;
    for (int j = 0; j < SOPHIA_KV_SIZE; j++) {
        const double d = a[j] - b[j];
        known += d == d;
        p[j] = d == d ? d * d : 0.0;
    }
    return known ? sophia_kv_clamp(1.0 - sqrt(sophia_kv_sum(p) / known)) : 0.0;
}

static void sophia_euclidean_many_f64_scalar(const double *query, const double *rows, size_t size,
                                             double *out)
{
    for (size_t i = 0; i < size; i++) out[i] = sophia_euclidean_f64_scalar(query, rows + 8 * i);
}

static uint64_t sophia_read_f64_scalar(const double *data, size_t size)
{
    uint64_t word, all = 0;
    for (size_t i = 0; i < size; i++) {
        memcpy(&word, data + i, 8);
        all ^= word;
    }
    return all;
}

#define SOPHIA_KV_SCALAR                                                                                   \
    {sophia_cosine_f64_scalar,    sophia_cosine_many_f64_scalar,    sophia_cosine_blocks_f64_scalar,       \
     sophia_euclidean_f64_scalar, sophia_euclidean_many_f64_scalar, sophia_read_f64_scalar}

#endif

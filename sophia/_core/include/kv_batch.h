/* K-Vectors in numbers: many against many, and the k most similar. Built on the active table of kernels. */
#ifndef SOPHIA_KV_BATCH_H
#define SOPHIA_KV_BATCH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kv_kernels.h"

#define SOPHIA_KV_CHUNK 256 /* rows and queries worked on together: 18 KB each, within the first cache */
#define SOPHIA_KV_FEW 4     /* queries for which preparing the rows does not pay */

/* A vector in the frame and its inverse norm behind it; 0 when something is unknown or its norm is out of the
 * ordinary, so that cosine_blocks_f64 would not do. */
static inline int sophia_kv_prepare_one(const double *values, const double *frame, double *out)
{
    const unsigned known = sophia_kv_enter(values, frame, out);
    const double squared = sophia_kv_square(out);
    out[8] = sophia_kv_inverse(squared);
    return known == 0xFF && squared <= SOPHIA_KV_HUGE;
}

/* Rows as columns of eight with their inverse norms; 0 as above. What fills up the last block is zeros. */
static inline int sophia_kv_prepare(const double *rows, size_t size, const double *frame, double *blocks)
{
    for (size_t i = 0; i < size || i % 8; i++) {
        double row[SOPHIA_KV_QUERY] = {0.0};
        double *block = blocks + i / 8 * SOPHIA_KV_BLOCK;
        if (i < size && !sophia_kv_prepare_one(rows + 8 * i, frame, row)) return 0;
        for (int j = 0; j < SOPHIA_KV_QUERY; j++) block[8 * j + i % 8] = row[j];
    }
    return 1;
}

/* out[q * rows + r] */
static inline void sophia_kv_cosine_matrix(const struct sophia_kv_kernels *kv, const double *queries,
                                           size_t query_count, const double *rows, size_t row_count,
                                           const double *frame, double *out)
{
    _Alignas(64) double blocks[SOPHIA_KV_CHUNK / 8 * SOPHIA_KV_BLOCK];
    double prepared[SOPHIA_KV_CHUNK * SOPHIA_KV_QUERY];
    unsigned char ready[SOPHIA_KV_CHUNK];
    if (query_count == 1) {
        kv->cosine_many_f64(queries, rows, row_count, frame, out);
        return;
    }
    for (size_t q0 = 0; q0 < query_count; q0 += SOPHIA_KV_CHUNK) {
        const size_t some = query_count - q0 < SOPHIA_KV_CHUNK ? query_count - q0 : SOPHIA_KV_CHUNK;
        for (size_t q = 0; q < some; q++) {
            double *query = prepared + q * SOPHIA_KV_QUERY;
            ready[q] = (unsigned char)sophia_kv_prepare_one(queries + 8 * (q0 + q), frame, query);
        }
        for (size_t r0 = 0; r0 < row_count; r0 += SOPHIA_KV_CHUNK) {
            const size_t size = row_count - r0 < SOPHIA_KV_CHUNK ? row_count - r0 : SOPHIA_KV_CHUNK;
            const double *chunk = rows + 8 * r0;
            const int complete = some >= SOPHIA_KV_FEW && sophia_kv_prepare(chunk, size, frame, blocks);
            for (size_t q = 0; q < some; q++) {
                double *to = out + (q0 + q) * row_count + r0;
                if (!complete || !ready[q]) {
                    kv->cosine_many_f64(queries + 8 * (q0 + q), chunk, size, frame, to);
                    continue;
                }
                const double *query = prepared + q * SOPHIA_KV_QUERY;
                kv->cosine_blocks_f64(query, blocks, size / 8, to);
                if (size % 8) {
                    double last[8];
                    kv->cosine_blocks_f64(query, blocks + size / 8 * SOPHIA_KV_BLOCK, 1, last);
                    memcpy(to + size / 8 * 8, last, size % 8 * sizeof *last);
                }
            }
        }
    }
}

static inline void sophia_kv_euclidean_matrix(const struct sophia_kv_kernels *kv, const double *queries,
                                              size_t query_count, const double *rows, size_t row_count,
                                              double *out)
{
    const size_t step = query_count == 1 ? row_count : SOPHIA_KV_CHUNK;
    for (size_t r0 = 0; r0 < row_count; r0 += step) {
        const size_t size = row_count - r0 < step ? row_count - r0 : step;
        for (size_t q = 0; q < query_count; q++)
            kv->euclidean_many_f64(queries + 8 * q, rows + 8 * r0, size, out + q * row_count + r0);
    }
}

/* Less similar, or as similar and later: what stands nearer to the root of the heap. */
static inline int sophia_kv_worse(const double *scores, const int64_t *indices, size_t a, size_t b)
{
    return scores[a] < scores[b] || (scores[a] == scores[b] && indices[a] > indices[b]);
}

static inline void sophia_kv_swap(double *scores, int64_t *indices, size_t a, size_t b)
{
    const double score = scores[a];
    const int64_t index = indices[a];
    scores[a] = scores[b];
    indices[a] = indices[b];
    scores[b] = score;
    indices[b] = index;
}

static inline void sophia_kv_sink(double *scores, int64_t *indices, size_t size, size_t at)
{
    for (size_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
        if (child + 1 < size && sophia_kv_worse(scores, indices, child + 1, child)) child++;
        if (!sophia_kv_worse(scores, indices, child, at)) return;
        sophia_kv_swap(scores, indices, child, at);
        at = child;
    }
}

/* Takes rows first .. first + size - 1 into a heap of at most k, which holds min(k, first) already. */
static inline void sophia_kv_take(double *scores, int64_t *indices, size_t k, const double *new_scores,
                                  size_t size, size_t first)
{
    for (size_t i = 0; i < size; i++) {
        const size_t row = first + i;
        if (row < k) {
            size_t at = row;
            scores[at] = new_scores[i];
            indices[at] = (int64_t)row;
            for (; at && sophia_kv_worse(scores, indices, at, (at - 1) / 2); at = (at - 1) / 2)
                sophia_kv_swap(scores, indices, at, (at - 1) / 2);
        } else if (new_scores[i] > scores[0]) { /* an equal one comes later, so it is worse */
            scores[0] = new_scores[i];
            indices[0] = (int64_t)row;
            sophia_kv_sink(scores, indices, k, 0);
        }
    }
}

/* The k (at most row_count) best rows of each query by euclidean or cosine; of equals the first. */
static inline void sophia_kv_top(const struct sophia_kv_kernels *kv, int euclidean, const double *queries,
                                 size_t query_count, const double *rows, size_t row_count,
                                 const double *frame, size_t k, double *scores, int64_t *indices)
{
    double found[SOPHIA_KV_CHUNK];
    for (size_t r0 = 0; r0 < row_count; r0 += SOPHIA_KV_CHUNK) {
        const size_t size = row_count - r0 < SOPHIA_KV_CHUNK ? row_count - r0 : SOPHIA_KV_CHUNK;
        for (size_t q = 0; q < query_count; q++) {
            if (euclidean)
                kv->euclidean_many_f64(queries + 8 * q, rows + 8 * r0, size, found);
            else
                kv->cosine_many_f64(queries + 8 * q, rows + 8 * r0, size, frame, found);
            sophia_kv_take(scores + q * k, indices + q * k, k, found, size, r0);
        }
    }
    for (size_t q = 0; q < query_count; q++) {
        double *score = scores + q * k;
        int64_t *index = indices + q * k;
        for (size_t left = k; left > 1; left--) {
            sophia_kv_swap(score, index, 0, left - 1);
            sophia_kv_sink(score, index, left - 1, 0);
        }
    }
}

/* The first value that is neither NaN nor in [0, 1]; `size` when there is none. */
static inline size_t sophia_kv_first_bad(const double *values, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (values[i] < 0.0 || values[i] > 1.0) return i;
    return size;
}

#endif

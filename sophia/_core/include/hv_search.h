/* Searching rows: the k best, in one fixed order (score, then row number), by scan or by sketch and re-rank.
 *
 * No allocation: results and scratch belong to the caller.
 */
#ifndef SOPHIA_HV_SEARCH_H
#define SOPHIA_HV_SEARCH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ahead.h"
#include "hv_kernels.h"
#include "layout.h"

/* A row and its place in the order: the lower `order`, the better; then the lower row. */
typedef struct {
    int64_t order;
    uint64_t row;
} sophia_hit;

/* The best `room` of what was offered: a heap with the worst one on top. */
typedef struct {
    sophia_hit *hits;
    size_t room, count;
} sophia_top;

static inline int sophia_hit_worse(sophia_hit a, sophia_hit b)
{
    return a.order != b.order ? a.order > b.order : a.row > b.row;
}

static void sophia_top_sink(sophia_hit *hits, size_t count, size_t at)
{
    const sophia_hit hit = hits[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) break;
        if (child + 1 < count && sophia_hit_worse(hits[child + 1], hits[child])) child++;
        if (!sophia_hit_worse(hits[child], hit)) break;
        hits[at] = hits[child];
        at = child;
    }
    hits[at] = hit;
}

/* What an order must stay below, or equal with a lower row, to enter. */
static inline int64_t sophia_top_limit(const sophia_top *top)
{
    return top->count < top->room ? INT64_MAX : top->hits[0].order;
}

static void sophia_top_offer(sophia_top *top, int64_t order, uint64_t row)
{
    const sophia_hit hit = {order, row};
    if (top->count < top->room) {
        size_t at = top->count++;
        while (at && sophia_hit_worse(hit, top->hits[(at - 1) / 2])) {
            top->hits[at] = top->hits[(at - 1) / 2];
            at = (at - 1) / 2;
        }
        top->hits[at] = hit;
    } else if (sophia_hit_worse(top->hits[0], hit)) {
        top->hits[0] = hit;
        sophia_top_sink(top->hits, top->count, 0);
    }
}

/* Best first; the heap is used up. */
static void sophia_top_sort(sophia_top *top)
{
    for (size_t left = top->count; left > 1; left--) {
        const sophia_hit worst = top->hits[0];
        top->hits[0] = top->hits[left - 1];
        top->hits[left - 1] = worst;
        sophia_top_sink(top->hits, left - 1, 0);
    }
}

/* Rows ascend, so an equal distance never replaces a hit. Returns the least distance of the block. */
static inline uint32_t sophia_top_offer_block(const struct sophia_hv_kernels *kernels, sophia_top *top,
                                              const uint32_t *distances, size_t n, uint64_t first)
{
    const uint32_t least = kernels->least_u32(distances, n);
    int64_t limit = sophia_top_limit(top);
    for (size_t i = 0; (int64_t)least < limit && i < n; i++) {
        if ((int64_t)distances[i] < limit) {
            sophia_top_offer(top, distances[i], first + i);
            limit = sophia_top_limit(top);
        }
    }
    return least;
}

#define SOPHIA_BLOCK_ROWS 64u
#define SOPHIA_SPAN_ROWS 1024u

/* Every query against every row in one pass; rows are shared by all queries while they are in the cache. A
 * single query takes longer spans: each end of a kernel's loop lets the memory idle for a moment.
 * Returns nonzero when a padding bit is set in some row. */
static uint64_t sophia_scan_b1(const struct sophia_hv_kernels *kernels, const uint64_t *queries,
                               size_t nqueries,
                               const uint64_t *rows, size_t n, size_t words, const uint64_t *padding,
                               sophia_top *tops)
{
    uint32_t distances[SOPHIA_SPAN_ROWS];
    const size_t span = nqueries == 1 ? SOPHIA_SPAN_ROWS : SOPHIA_BLOCK_ROWS;
    uint64_t dirty = 0;
    for (size_t first = 0; first < n; first += span) {
        const size_t count = n - first < span ? n - first : span;
        const uint64_t *block = rows + first * words;
        size_t q = 0;
        for (; q + SOPHIA_TILE_QUERIES <= nqueries; q += SOPHIA_TILE_QUERIES) {
            dirty |= kernels->hamming_tile_b1(queries + q * words, block, count, words, padding, distances,
                                              SOPHIA_BLOCK_ROWS);
            for (size_t t = 0; t < SOPHIA_TILE_QUERIES; t++) {
                (void)sophia_top_offer_block(kernels, &tops[q + t], distances + t * SOPHIA_BLOCK_ROWS, count,
                                             first);
            }
        }
        for (; q < nqueries; q++) {
            dirty |= kernels->hamming_rows_b1(queries + q * words, block, count, words, padding, distances);
            (void)sophia_top_offer_block(kernels, &tops[q], distances, count, first);
        }
    }
    return dirty;
}

/* dot / sqrt(a * b), within [-1, 1]; 0.0 when a norm is zero. Exact 1.0 for a vector with itself. */
static inline double sophia_cosine_of(int64_t dot, int64_t norm_a, int64_t norm_b)
{
    if (!norm_a || !norm_b) return 0.0;
    const double cosine = (double)dot / sqrt((double)norm_a * (double)norm_b);
    return cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
}

/* An integer that falls as the double rises, and back. */
static inline int64_t sophia_order_of(double score)
{
    int64_t bits;
    score += 0.0; /* -0.0 becomes 0.0 */
    memcpy(&bits, &score, sizeof bits);
    return ~(bits < 0 ? bits ^ INT64_MAX : bits);
}

static inline double sophia_score_of(int64_t order)
{
    int64_t bits = ~order;
    double score;
    if (bits < 0) bits ^= INT64_MAX;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* int8 rows of any values by dot product, or by cosine when the queries' squared `norms` are given; highest
 * first. */
static void sophia_scan_i8(const struct sophia_hv_kernels *kernels, const int8_t *queries, size_t nqueries,
                           const int8_t *rows, size_t n, size_t dim, const int64_t *norms, sophia_top *tops)
{
    for (size_t i = 0; i < n; i++) {
        const int8_t *row = rows + i * dim;
        int64_t norm = 0;
        for (size_t q = 0; q < nqueries; q++) {
            const int8_t *query = queries + q * dim;
            int64_t order;
            if (norms) {
                const int64_t dot = q ? kernels->dot_i8(query, row, dim)
                                      : kernels->dot_norm_i8(query, row, dim, &norm);
                order = sophia_order_of(sophia_cosine_of(dot, norms[q], norm));
            } else {
                order = -kernels->dot_i8(query, row, dim);
            }
            if (order < sophia_top_limit(&tops[q])) sophia_top_offer(&tops[q], order, i);
        }
    }
}

#define SOPHIA_SKETCH_BITS 1024u
#define SOPHIA_SKETCH_WORDS 16u
#define SOPHIA_SKETCH_FIRST 64u
#define SOPHIA_SKETCH_SIGMAS 3.3
#define SOPHIA_SKETCH_AHEAD 8u

/* The sketch distance that a row within `distance` of the query exceeds with probability below 1 in 2,000.
 *
 * A sketch is 1,024 of the dim bits. If they differ as the others do, its distance is hypergeometric with
 * mean 1024 * p and variance 1024 * p * (1 - p) * (1 - 1024 / dim), p = distance / dim. */
static inline uint32_t sophia_sketch_bound(int64_t distance, size_t dim)
{
    const double bits = SOPHIA_SKETCH_BITS, p = (double)distance / (double)dim;
    const double sigma = sqrt(bits * p * (1.0 - p) * (1.0 - bits / (double)dim));
    const double bound = bits * p + SOPHIA_SKETCH_SIGMAS * sigma;
    return bound >= bits ? SOPHIA_SKETCH_BITS : (uint32_t)bound;
}

/* The same for the k-th of `top`, or for `limit` if that is nearer. */
static inline uint32_t sophia_sketch_bound_of(const sophia_top *top, int64_t limit, size_t dim)
{
    const int64_t kth = sophia_top_limit(top);
    return sophia_sketch_bound(kth < limit ? kth : limit, dim);
}

static inline void sophia_ahead_of(const uint64_t *memory, size_t bytes)
{
    const char *first = (const char *)memory;
    for (size_t line = 0; line < bytes && line < 2048; line += 64) sophia_ahead(first + line);
}

/* Sketch distances of one block of rows; returns how many rows it has. */
static inline size_t sophia_sketch_block(const struct sophia_hv_kernels *kernels, const uint64_t *query,
                                         const uint64_t *sketches, size_t n, size_t block,
                                         uint32_t *distances)
{
    const size_t at = block * SOPHIA_BLOCK_ROWS;
    const size_t count = n - at < SOPHIA_BLOCK_ROWS ? n - at : SOPHIA_BLOCK_ROWS;
    kernels->hamming_rows_b1(query, sketches + at * SOPHIA_SKETCH_WORDS, count, SOPHIA_SKETCH_WORDS, NULL,
                             distances);
    return count;
}

/* The k best of `rows` through their sketches (a contiguous column of 128 bytes a row).
 *
 * 1. Scan the column; keep the least distance of each block of rows, and the SOPHIA_SKETCH_FIRST best rows.
 * 2. Compare these exactly. Their k-th distance is an upper bound on the true one.
 * 3. Compare exactly every row whose sketch is within the bound for that distance, which falls on the way.
 * Rows farther than `limit` are of no interest: a k-th that is known from elsewhere, or the largest distance there is.
 * So the number of re-ranked rows follows from the data. When the sketch separates too little (more than n /
 * 8 rows are within the bound) all rows are scanned and the answer is exact.
 * `leasts` has room for a number a block, `first` for max(SOPHIA_SKETCH_FIRST, top->room) hits, `within` for
 * n / 8 + SOPHIA_SKETCH_FIRST. Returns how many rows were compared exactly; `*dirty` is set when one of them
 * has a padding bit. */
static size_t sophia_scan_sketch(const struct sophia_hv_kernels *kernels, const uint64_t *query,
                                 const uint64_t *sketches, const uint64_t *rows, size_t n, size_t dim,
                                 const uint64_t *padding, uint32_t *leasts, sophia_hit *first,
                                 sophia_hit *within, sophia_top *top, int64_t limit, uint64_t *dirty)
{
    const size_t words = sophia_row_bytes(SOPHIA_BSC, dim) / 8;
    const size_t blocks = (n + SOPHIA_BLOCK_ROWS - 1) / SOPHIA_BLOCK_ROWS;
    sophia_top seeds = {first, top->room > SOPHIA_SKETCH_FIRST ? top->room : SOPHIA_SKETCH_FIRST, 0};
    uint32_t distances[SOPHIA_BLOCK_ROWS], distance;
    for (size_t b = 0; b < blocks; b++) {
        const size_t count = sophia_sketch_block(kernels, query, sketches, n, b, distances);
        leasts[b] = sophia_top_offer_block(kernels, &seeds, distances, count, b * SOPHIA_BLOCK_ROWS);
    }
    for (size_t s = 0; s < seeds.count; s++) {
        const uint64_t row = seeds.hits[s].row;
        *dirty |= kernels->hamming_rows_b1(query, rows + row * words, 1, words, padding, &distance);
        sophia_top_offer(top, distance, row);
    }
    size_t compared = seeds.count;
    if (compared == n) return compared;

    const sophia_hit worst = seeds.hits[0];
    const size_t most = n / 8 + SOPHIA_SKETCH_FIRST;
    uint32_t bound = sophia_sketch_bound_of(top, limit, dim);
    size_t found = 0, ahead = 0;
    for (size_t b = 0; b < blocks; b++) {
        if (leasts[b] > bound) continue;
        /* Blocks and rows to come lie anywhere, so nothing but a prefetch brings them early. */
        for (ahead = ahead > b ? ahead : b + 1; ahead < blocks && leasts[ahead] > bound; ahead++) {}
        if (ahead < blocks) sophia_ahead_of(sketches + ahead * SOPHIA_BLOCK_ROWS * SOPHIA_SKETCH_WORDS, 2048);
        const size_t count = sophia_sketch_block(kernels, query, sketches, n, b, distances);
        if (found + count > most) { /* too many: the plain scan is cheaper */
            top->count = 0;
            *dirty |= sophia_scan_b1(kernels, query, 1, rows, n, words, padding, top);
            return n;
        }
        for (size_t i = 0; i < count; i++) {
            const sophia_hit hit = {distances[i], b * SOPHIA_BLOCK_ROWS + i};
            if (distances[i] > bound || !sophia_hit_worse(hit, worst)) continue; /* too far, or a seed */
            within[found++] = hit;
        }
    }
    for (size_t i = 0; i < found; i++) {
        if (i + SOPHIA_SKETCH_AHEAD < found) {
            sophia_ahead_of(rows + within[i + SOPHIA_SKETCH_AHEAD].row * words, words * 8);
        }
        if (within[i].order > bound) continue;
        *dirty |= kernels->hamming_rows_b1(query, rows + within[i].row * words, 1, words, padding, &distance);
        compared++;
        const int64_t before = sophia_top_limit(top);
        sophia_top_offer(top, distance, within[i].row); /* an equal distance enters with a lower row */
        if ((int64_t)distance < before) bound = sophia_sketch_bound_of(top, limit, dim);
    }
    return compared;
}

#endif

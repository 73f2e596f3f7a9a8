/* How a hypervector lies in memory, and the checks of foreign bytes.
 *
 * BSC: bit i of the vector is bit i % 64 of word i / 64 (byte i / 8, bit i % 8), padded with zero bits.
 * MAP: component i is byte i, -1 or +1, padded with zero bytes. Rows of single vectors take a whole number of
 * 64-byte blocks; bit 1 corresponds to -1, so that exclusive or is the product.
 */
#ifndef SOPHIA_LAYOUT_H
#define SOPHIA_LAYOUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum sophia_model { SOPHIA_BSC = 1, SOPHIA_MAP = 2 };

#define SOPHIA_LEAST_DIM ((size_t)64)
#define SOPHIA_MOST_DIM ((size_t)1 << 23)

/* Bytes that carry the vector. */
static inline size_t sophia_payload_bytes(int model, size_t dim)
{
    return model == SOPHIA_BSC ? (dim + 7) / 8 : dim;
}

/* The payload rounded up to whole blocks of 64 bytes: the size of a vector, and of a packed row. */
static inline size_t sophia_row_bytes(int model, size_t dim)
{
    return (sophia_payload_bytes(model, dim) + 63) & ~(size_t)63;
}

/* Ones where the last 64-byte block of a packed row is padding. */
static inline void sophia_padding_mask(size_t dim, uint64_t mask[8])
{
    const size_t bits = dim % 512;
    for (size_t i = 0; i < 8; i++) {
        const size_t start = 64 * i;
        if (bits == 0 || bits >= start + 64) mask[i] = 0;
        else if (bits <= start) mask[i] = ~(uint64_t)0;
        else mask[i] = ~(uint64_t)0 << (bits - start);
    }
}

/* Nonzero when a padding bit of a packed row is set. */
static inline int sophia_padding_dirty(const unsigned char *row, size_t dim)
{
    const size_t bytes = sophia_row_bytes(SOPHIA_BSC, dim);
    unsigned dirty = dim % 8 ? row[dim / 8] >> (dim % 8) : 0;
    for (size_t i = (dim + 7) / 8; i < bytes; i++) dirty |= row[i];
    return dirty != 0;
}

/* Index of the first packed row (of `words` words each) with a padding bit set; `n` when there is none. */
static inline size_t sophia_first_dirty_row(const uint64_t *rows, size_t n, size_t words, size_t dim)
{
    uint64_t mask[8], dirty[8] = {0}, any = 0;
    if (dim % 512 == 0) return n;
    sophia_padding_mask(dim, mask);
    for (size_t i = 0; i < n; i++) {
        const uint64_t *last = rows + i * words + words - 8;
        for (size_t w = 0; w < 8; w++) dirty[w] |= last[w] & mask[w];
    }
    for (size_t w = 0; w < 8; w++) any |= dirty[w];
    size_t row = any ? 0 : n;
    while (row < n && !sophia_padding_dirty((const unsigned char *)(rows + row * words), dim)) row++;
    return row;
}

static inline void sophia_padding_clear(unsigned char *row, size_t dim)
{
    const size_t bytes = sophia_row_bytes(SOPHIA_BSC, dim), payload = (dim + 7) / 8;
    if (dim % 8) row[dim / 8] &= (unsigned char)((1u << (dim % 8)) - 1);
    memset(row + payload, 0, bytes - payload);
}

/* Index of the first component that is neither -1 nor +1; `n` when there is none. */
static inline size_t sophia_first_not_bipolar(const int8_t *row, size_t n)
{
    size_t start = 0;
    for (; start < n; start += 4096) {
        const size_t end = n - start < 4096 ? n : start + 4096;
        unsigned char bad = 0;
        for (size_t i = start; i < end; i++) bad |= (unsigned char)((unsigned char)(row[i] + 1) & 0xFDu);
        if (bad) break;
    }
    while (start < n && (row[start] == 1 || row[start] == -1)) start++;
    return start < n ? start : n;
}

#endif

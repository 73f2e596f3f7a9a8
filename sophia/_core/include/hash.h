/* Keyed hashing of byte strings: 128 bits from folded 64 x 64 -> 128 multiplications.
 *
 * Fast (two multiplications for 16 bytes) and well mixed, but not a cryptographic MAC: who knows the key can
 * build collisions. Callers therefore compare bytes on a hit and bound every probe.
 */
#ifndef SOPHIA_HASH_H
#define SOPHIA_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint64_t low, high;
} sophia_hash128;

/* Odd constants with balanced bits (fractional digits of the square roots of 2, 3, 5 and 7). */
#define SOPHIA_MIX_A 0x6A09E667F3BCC909ull
#define SOPHIA_MIX_B 0xBB67AE8584CAA73Bull
#define SOPHIA_MIX_C 0x3C6EF372FE94F82Bull
#define SOPHIA_MIX_D 0xA54FF53A5F1D36F1ull

static inline uint64_t sophia_fold(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define SOPHIA_MIX64_MULTIPLIER 0xE9846AF9B1A615Dull

/* A bijection of 64 bits: distinct inputs stay distinct. */
static inline uint64_t sophia_mix64(uint64_t x)
{
    x ^= x >> 32;
    x *= SOPHIA_MIX64_MULTIPLIER;
    x ^= x >> 32;
    x *= SOPHIA_MIX64_MULTIPLIER;
    return x ^ (x >> 28);
}

static inline uint64_t sophia_load64(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline uint64_t sophia_load32(const unsigned char *p)
{
    uint32_t word;
    memcpy(&word, p, 4);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

/* The last `size` (1 to 8) bytes as one little-endian word, in loads of a fixed size that may overlap: a copy of a few
 * bytes whose number is not known is a call. */
static inline uint64_t sophia_load_tail(const unsigned char *p, size_t size)
{
    if (size >= 4)
        return sophia_load32(p) | sophia_load32(p + size - 4) << (8 * (size - 4));
    return (uint64_t)p[0] | (uint64_t)p[size >> 1] << (8 * (size >> 1)) | (uint64_t)p[size - 1] << (8 * (size - 1));
}

static inline sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key)
{
    const unsigned char *p = (const unsigned char *)data;
    uint64_t a = key ^ SOPHIA_MIX_A, b = sophia_mix64(key + SOPHIA_MIX_B);
    size_t left = size;
    while (left > 16) {
        const uint64_t x = sophia_load64(p), y = sophia_load64(p + 8);
        a = sophia_fold(x ^ a, y ^ SOPHIA_MIX_C);
        b = sophia_fold(y ^ b, x ^ SOPHIA_MIX_D) + a;
        p += 16;
        left -= 16;
    }
    uint64_t x = 0, y = 0;
    if (left > 8) {
        x = sophia_load64(p);
        y = sophia_load_tail(p + 8, left - 8);
    } else if (left > 0) {
        x = sophia_load_tail(p, left);
    }
    a = sophia_fold(x ^ a, y ^ SOPHIA_MIX_C) ^ size;
    b = sophia_fold(y ^ b, x ^ SOPHIA_MIX_D) + size;
    sophia_hash128 hash;
    hash.low = sophia_mix64(a + sophia_fold(b, SOPHIA_MIX_A));
    hash.high = sophia_mix64(b + sophia_fold(a, SOPHIA_MIX_B));
    return hash;
}

#endif

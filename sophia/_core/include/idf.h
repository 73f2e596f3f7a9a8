/* Document frequencies of features: a growing, bounded hash table, and the weights they give.
 *
 * Weight of a feature that df of N documents hold: log2((2N + 2) / (2 df + 1)), the BM25 idf (Robertson and
 * Sparck Jones, 1976, with the +1 that keeps it positive) in bits, as an integer number of sixteenths, at
 * least 1. The logarithm is a table of integers: no libm, the same weights on every machine.
 *
 * Bound: when `bound` features are held and more arrive, the rarest ones leave (all with df <= t, for the
 * smallest t = 1, 2, 4, ... that frees a quarter): lossy counting (Manku and Motwani, VLDB 2002). What comes
 * back later starts again at 0, so a df may be too low by t for each such sweep, never too high.
 *
 * Not thread-safe: the owner locks. Everything is owned by the struct and freed by sophia_idf_free.
 */
#ifndef SOPHIA_IDF_H
#define SOPHIA_IDF_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text_features.h"

#define SOPHIA_IDF_ONE 16                              /* weights are sixteenths of a bit */
#define SOPHIA_IDF_RARE 4096
#define SOPHIA_IDF_DF_MAX 0x7FFFFFFFu                  /* df saturates here */
#define SOPHIA_IDF_BOUND_MIN (4 * SOPHIA_FEATURES_MAX) /* a sweep must make room for one whole text */
#define SOPHIA_IDF_BOUND_MAX (1u << 28)
#define SOPHIA_IDF_LISTED 0x80000000u

#define SOPHIA_IDF_DOCUMENTS_MAX (1ll << 62) /* twice as many still fit in 64 bits */

enum sophia_idf_error {
    SOPHIA_IDF_NO_MEMORY = -3,
    SOPHIA_IDF_NO_DOCUMENT = -4,
    SOPHIA_IDF_BAD_RECORD = -5,
    SOPHIA_IDF_BAD_DOCUMENTS = -8
};

struct sophia_idf_slot {
    uint64_t key;   /* feature hash; 0: free */
    uint32_t df;    /* 1 or more */
    uint32_t saved; /* df at the last sophia_idf_changes; top bit: in the list of changes */
};

struct sophia_idf_record {
    uint64_t key;
    int64_t delta;
};

struct sophia_idf {
    struct sophia_idf_slot *slots;
    size_t capacity; /* power of two, used <= 5/8 */
    size_t used;
    size_t bound;
    uint64_t documents, documents_saved;
    uint64_t swept;   /* features dropped by sweeps so far */
    uint64_t *listed; /* keys with a change since the last sophia_idf_changes; some may have left since */
    size_t listed_count, listed_capacity;
    struct sophia_idf_record *gone; /* features that have left, of those that the last changes had told of */
    size_t gone_count, gone_capacity;
};

/* log2(1 + i/256) in 1/4096; sophia_log2_init fills it by repeated squaring. */
static uint16_t sophia_log2_table[256];

static void sophia_log2_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint64_t mantissa = (256ull + i) << 23; /* 1.31 */
        uint32_t bits = 0;
        for (int step = 0; step < 13; step++) {
            mantissa = mantissa * mantissa >> 31;
            bits <<= 1;
            if (mantissa >> 32) {
                mantissa >>= 1;
                bits |= 1;
            }
        }
        sophia_log2_table[i] = (uint16_t)((bits + 1) >> 1);
    }
}

/* log2(x) in 1/4096 for x >= 1, from its nine leading bits: exact to 1/4096 up to 511, within 1/177 above. */
static inline uint32_t sophia_log2(uint64_t x)
{
    const uint32_t whole = 63 - (uint32_t)__builtin_clzll(x);
    const uint64_t leading = whole >= 8 ? x >> (whole - 8) : x << (8 - whole);
    return whole * 4096 + sophia_log2_table[leading & 255];
}

/* documents and df: up to 2^62. */
static inline uint16_t sophia_idf_weight(uint64_t documents, uint64_t df)
{
    if (df > documents) df = documents;
    const uint32_t bits = sophia_log2(2 * documents + 2) - sophia_log2(2 * df + 1);
    const uint32_t weight = (bits * SOPHIA_IDF_ONE + 2048) / 4096;
    return (uint16_t)(weight ? weight : 1);
}

/* The share of a feature that occurs `count` times: weight * 2.2 count / (count + 1.2), rounded (BM25, k1
 * = 1.2). Stays below 2^12: weights are at most 64 * 16. */
static inline uint16_t sophia_tf_weight(uint16_t weight, uint16_t count)
{
    if (count <= 1) return weight;
    const uint32_t below = 10u * count + 12;
    return (uint16_t)((22u * count * weight + below / 2) / below);
}

static size_t sophia_idf_find(const struct sophia_idf *idf, uint64_t key)
{
    const size_t mask = idf->capacity - 1;
    size_t i = (size_t)key & mask;
    while (idf->slots[i].key != 0 && idf->slots[i].key != key) i = (i + 1) & mask;
    return i;
}

/* 0 or SOPHIA_IDF_NO_MEMORY. */
static int sophia_idf_init(struct sophia_idf *idf, size_t bound)
{
    memset(idf, 0, sizeof *idf);
    idf->bound = bound;
    idf->capacity = 1024;
    idf->slots = (struct sophia_idf_slot *)calloc(idf->capacity, sizeof *idf->slots);
    return idf->slots ? 0 : SOPHIA_IDF_NO_MEMORY;
}

static void sophia_idf_free(struct sophia_idf *idf)
{
    free(idf->slots);
    free(idf->listed);
    free(idf->gone);
    memset(idf, 0, sizeof *idf);
}

/* Room for `wanted` elements of `size` bytes in the growing array *array. */
static int sophia_idf_room(void **array, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity) return 0;
    size_t larger = *capacity ? *capacity : 256;
    while (larger < wanted) larger *= 2;
    void *moved = realloc(*array, larger * size);
    if (!moved) return SOPHIA_IDF_NO_MEMORY;
    *array = moved;
    *capacity = larger;
    return 0;
}

/* Tells of a feature that leaves, if the last changes told that it was there; room was made before. */
static void sophia_idf_tell_gone(struct sophia_idf *idf, const struct sophia_idf_slot *slot)
{
    const uint32_t saved = slot->saved & ~SOPHIA_IDF_LISTED;
    if (saved == 0) return;
    const struct sophia_idf_record record = {slot->key, -(int64_t)saved};
    idf->gone[idf->gone_count++] = record;
}

/* Takes slot i out and closes the gap, so that no search ends early. */
static void sophia_idf_remove(struct sophia_idf *idf, size_t i)
{
    const size_t mask = idf->capacity - 1;
    sophia_idf_tell_gone(idf, &idf->slots[i]);
    for (size_t j = (i + 1) & mask; idf->slots[j].key; j = (j + 1) & mask) {
        const size_t home = (size_t)idf->slots[j].key & mask;
        if (((j - home) & mask) < ((j - i) & mask)) continue;
        idf->slots[i] = idf->slots[j];
        i = j;
    }
    memset(&idf->slots[i], 0, sizeof idf->slots[i]);
    idf->used--;
}

/* Moves the features with df > least to a table of `capacity`. */
static int sophia_idf_rebuild(struct sophia_idf *idf, size_t capacity, uint32_t least)
{
    size_t leaving = 0;
    for (size_t i = 0; i < idf->capacity; i++) leaving += idf->slots[i].key && idf->slots[i].df <= least;
    if (sophia_idf_room((void **)&idf->gone, &idf->gone_capacity, idf->gone_count + leaving,
                        sizeof *idf->gone)) {
        return SOPHIA_IDF_NO_MEMORY;
    }
    struct sophia_idf_slot *old = idf->slots;
    const size_t old_capacity = idf->capacity;
    struct sophia_idf_slot *fresh = (struct sophia_idf_slot *)calloc(capacity, sizeof *fresh);
    if (!fresh) return SOPHIA_IDF_NO_MEMORY;
    idf->slots = fresh;
    idf->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (!old[i].key) continue;
        if (old[i].df > least) {
            fresh[sophia_idf_find(idf, old[i].key)] = old[i];
        } else {
            sophia_idf_tell_gone(idf, &old[i]);
        }
    }
    idf->used -= leaving;
    idf->swept += leaving;
    free(old);
    return 0;
}

/* Room for `more` changes. Keys that left and came back stand in the list twice; it is written anew when it
 * has become longer than twice the table. */
static int sophia_idf_list_room(struct sophia_idf *idf, size_t more)
{
    if (idf->listed_count + more > 2 * idf->used + 2 * SOPHIA_FEATURES_MAX) {
        idf->listed_count = 0; /* at most `used` keys return: there is room */
        for (size_t i = 0; i < idf->capacity; i++) {
            const struct sophia_idf_slot *slot = &idf->slots[i];
            if (slot->key && (slot->saved & SOPHIA_IDF_LISTED)) idf->listed[idf->listed_count++] = slot->key;
        }
    }
    return sophia_idf_room((void **)&idf->listed, &idf->listed_capacity, idf->listed_count + more,
                           sizeof *idf->listed);
}

/* Makes room for `more` new features, sweeping if the bound asks for it. */
static int sophia_idf_reserve(struct sophia_idf *idf, size_t more)
{
    if (idf->used + more > idf->bound) {
        uint32_t least = 1;
        for (;; least *= 2) {
            size_t kept = 0;
            for (size_t i = 0; i < idf->capacity; i++) kept += idf->slots[i].key && idf->slots[i].df > least;
            if (4 * kept <= 3 * idf->bound) break;
            if (least > SOPHIA_IDF_DF_MAX / 2) break;
        }
        const int error = sophia_idf_rebuild(idf, idf->capacity, least);
        if (error) return error;
    }
    size_t capacity = idf->capacity;
    while (8 * (idf->used + more) > 5 * capacity) capacity *= 2;
    return capacity == idf->capacity ? 0 : sophia_idf_rebuild(idf, capacity, 0);
}

static inline uint32_t sophia_idf_clamped(uint32_t df, int64_t delta)
{
    const int64_t room = (int64_t)(SOPHIA_IDF_DF_MAX - df);
    return delta >= room ? SOPHIA_IDF_DF_MAX : delta <= -(int64_t)df ? 0 : (uint32_t)(df + delta);
}

/* Adds `delta` to one feature, for which room was made. Counts stay within 0 and SOPHIA_IDF_DF_MAX. A change
 * that is `told` is known to whoever reads the changes, and is not told again. */
static inline void sophia_idf_shift(struct sophia_idf *idf, uint64_t key, int64_t delta, int told)
{
    const size_t i = sophia_idf_find(idf, key);
    struct sophia_idf_slot *slot = &idf->slots[i];
    if (slot->key == 0) {
        if (delta <= 0) return; /* never admitted, or swept: nothing to take away */
        slot->key = key;
        idf->used++;
    }
    const uint32_t listed = slot->saved & SOPHIA_IDF_LISTED;
    slot->df = sophia_idf_clamped(slot->df, delta);
    if (told) slot->saved = sophia_idf_clamped(slot->saved & ~SOPHIA_IDF_LISTED, delta) | listed;
    if (slot->df == 0) {
        sophia_idf_remove(idf, i);
    } else if (!told && !listed) {
        slot->saved |= SOPHIA_IDF_LISTED;
        idf->listed[idf->listed_count++] = key;
    }
}

/* Makes all room that `count` changes need, so that they cannot fail half-way. `keys` are `stride` bytes
 * apart; with `adding` those that the table lacks will be new. Counting them is spared while the bound is
 * far. */
static int sophia_idf_prepare(struct sophia_idf *idf, const uint64_t *keys, size_t stride, size_t count,
                              int adding)
{
    if (sophia_idf_list_room(idf, count)) return SOPHIA_IDF_NO_MEMORY;
    if (sophia_idf_room((void **)&idf->gone, &idf->gone_capacity, idf->gone_count + count,
                        sizeof *idf->gone)) {
        return SOPHIA_IDF_NO_MEMORY;
    }
    if (!adding) return 0;
    size_t more = count;
    if (idf->used + count > idf->bound) {
        more = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t key;
            memcpy(&key, (const char *)keys + i * stride, sizeof key);
            more += idf->slots[sophia_idf_find(idf, key)].key == 0;
        }
    }
    return sophia_idf_reserve(idf, more);
}

/* Counts one document (sign +1) or takes it back (-1). All or nothing: 0, or an error and no change. */
static int sophia_idf_document(struct sophia_idf *idf, const struct sophia_features *features, int sign)
{
    if (sign < 0 && idf->documents == 0) return SOPHIA_IDF_NO_DOCUMENT;
    const struct sophia_feature *entries = features->entries;
    const int error = sophia_idf_prepare(idf, &entries->hash, sizeof *entries, features->count, sign > 0);
    if (error) return error;
    for (uint32_t i = 0; i < features->count; i++) sophia_idf_shift(idf, entries[i].hash, sign, 0);
    idf->documents += (uint64_t)(int64_t)sign;
    return 0;
}

static inline uint32_t sophia_idf_df(const struct sophia_idf *idf, uint64_t key)
{
    return idf->slots[sophia_idf_find(idf, key)].df;
}

/* How rare the rarest of some features is, 0 to SOPHIA_IDF_RARE: its weight, in shares of that of a feature which no
 * document holds. 0 where there is none. */
static uint32_t sophia_idf_rarity(const struct sophia_idf *idf, const struct sophia_features *features)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < features->count; i++) {
        const uint32_t df = sophia_idf_df(idf, features->entries[i].hash);
        if (df < least) least = df;
    }
    if (least == UINT32_MAX) return 0;
    const uint32_t most = sophia_idf_weight(idf->documents, 0);
    return SOPHIA_IDF_RARE * (uint32_t)sophia_idf_weight(idf->documents, least) / most;
}

/* Fills the weights of all features. `idf` may be NULL: then every feature weighs one bit. */
static void sophia_features_weigh(struct sophia_features *features, const struct sophia_idf *idf)
{
    for (uint32_t i = 0; i < features->count; i++) {
        struct sophia_feature *entry = &features->entries[i];
        uint16_t weight = SOPHIA_IDF_ONE;
        if (idf) weight = sophia_idf_weight(idf->documents, sophia_idf_df(idf, entry->hash));
        entry->weight = sophia_tf_weight(weight, entry->count);
    }
}

/* How many records sophia_idf_changes will write, at most. */
static size_t sophia_idf_changes_bound(const struct sophia_idf *idf)
{
    return idf->gone_count + idf->listed_count;
}

/* Writes what changed since the last call, and the change of the number of documents; returns the records.
 * What left comes first, so that who applies them in order never holds more than the table did. */
static size_t sophia_idf_changes(struct sophia_idf *idf, struct sophia_idf_record *out, int64_t *documents)
{
    size_t count = idf->gone_count;
    if (count) memcpy(out, idf->gone, count * sizeof *out);
    for (size_t i = 0; i < idf->listed_count; i++) {
        struct sophia_idf_slot *slot = &idf->slots[sophia_idf_find(idf, idf->listed[i])];
        if (!(slot->saved & SOPHIA_IDF_LISTED)) continue; /* left, or already told */
        const int64_t delta = (int64_t)slot->df - (int64_t)(slot->saved & ~SOPHIA_IDF_LISTED);
        slot->saved = slot->df;
        if (delta) {
            const struct sophia_idf_record record = {slot->key, delta};
            out[count++] = record;
        }
    }
    *documents = (int64_t)(idf->documents - idf->documents_saved);
    idf->documents_saved = idf->documents;
    idf->gone_count = idf->listed_count = 0;
    return count;
}

/* Adds records in the order given, 4,096 at a time so that a sweep always makes enough room. A key of 0 is
 * no feature: SOPHIA_IDF_BAD_RECORD, and a number of documents below 0 or above SOPHIA_IDF_DOCUMENTS_MAX is
 * SOPHIA_IDF_BAD_DOCUMENTS, before anything is changed. */
static int sophia_idf_apply(struct sophia_idf *idf, const struct sophia_idf_record *records, size_t count,
                            int64_t documents, int told)
{
    const int64_t before = (int64_t)idf->documents;
    if (documents < 0 ? documents < -before : documents > SOPHIA_IDF_DOCUMENTS_MAX - before)
        return SOPHIA_IDF_BAD_DOCUMENTS;
    for (size_t i = 0; i < count; i++) {
        if (records[i].key == 0) return SOPHIA_IDF_BAD_RECORD;
    }
    for (size_t done = 0; done < count; done += SOPHIA_FEATURES_MAX) {
        const size_t more = count - done < SOPHIA_FEATURES_MAX ? count - done : SOPHIA_FEATURES_MAX;
        const int error = sophia_idf_prepare(idf, &records[done].key, sizeof *records, more, 1);
        if (error) return error;
        for (size_t i = done; i < done + more; i++) {
            sophia_idf_shift(idf, records[i].key, records[i].delta, told);
        }
    }
    idf->documents += (uint64_t)documents;
    if (told) idf->documents_saved += (uint64_t)documents;
    return 0;
}

static int sophia_idf_by_key(const void *a, const void *b)
{
    const uint64_t x = ((const struct sophia_idf_record *)a)->key,
                   y = ((const struct sophia_idf_record *)b)->key;
    return (x > y) - (x < y);
}

/* Writes all features, by ascending key, into `out` (room for idf->used); returns their number. */
static size_t sophia_idf_sorted(const struct sophia_idf *idf, struct sophia_idf_record *out)
{
    size_t count = 0;
    for (size_t i = 0; i < idf->capacity; i++) {
        if (!idf->slots[i].key) continue;
        const struct sophia_idf_record record = {idf->slots[i].key, idf->slots[i].df};
        out[count++] = record;
    }
    qsort(out, count, sizeof *out, sophia_idf_by_key);
    return count;
}

#endif

/* Cuckoo filter: buckets of four 16-bit tags in one 64-bit word, searched without a loop (SWAR).
 *
 * Partial-key cuckoo hashing (Fan, Andersen, Kaminsky, Mitzenmacher: "Cuckoo Filter: Practically Better Than
 * Bloom", CoNEXT 2014) with two changes:
 *   - the partner of bucket i for a tag is (t - i) mod size, t an odd number drawn from the tag, size even.
 *     That is its own inverse for every even size, not for powers of two only, so the table follows the
 *     wanted capacity; and as i and t - i differ in parity, an item always has two different buckets;
 *   - room is looked for before anything is moved (breadth-first, bounded), and what finds none goes to a
 *     small stash. So an insertion that is refused has changed nothing and no accepted item is ever lost.
 * Nothing here is random: the same calls give the same table on every machine.
 */
#ifndef SOPHIA_BUCKET_H
#define SOPHIA_BUCKET_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ahead.h"
#include "hash.h"
#include "pages.h"

#define SOPHIA_LANES 4        /* tags in a bucket */
#define SOPHIA_STASH 8        /* items that found no bucket */
#define SOPHIA_SEARCH 1024    /* buckets looked at before an insertion gives up */
#define SOPHIA_LOOKAHEAD 32   /* keys whose buckets are fetched ahead in the batch functions */

#define SOPHIA_LANE_ONES 0x0001000100010001ull
#define SOPHIA_LANE_HIGH 0x8000800080008000ull
#define SOPHIA_LANE_LOW 0x7FFF7FFF7FFF7FFFull

enum sophia_filter_code { SOPHIA_FILTER_OK = 0, SOPHIA_FILTER_FULL = 1 };

typedef struct {
    uint32_t bucket; /* the lower of the item's two */
    uint32_t tag;
} sophia_stashed;

typedef struct {
    uint64_t *buckets; /* owned: from sophia_cuckoo_init() until sophia_cuckoo_free(); 64-byte aligned */
    uint64_t size;     /* buckets: even, 4 to 2^32 - 2 */
    uint64_t whitening;
    uint64_t count;
    uint32_t stashed;
    uint32_t full; /* 1 since an item found no room, until something is removed */
    sophia_stashed stash[SOPHIA_STASH];
} sophia_cuckoo;

/* Where an item may be. */
typedef struct {
    uint32_t first, second;
    uint32_t tag; /* 1 to 65,535; 0 marks an empty lane and belongs to no item */
} sophia_place;

/* The high bit of the lowest zero lane is right; lanes above it may be set falsely. */
static inline uint64_t sophia_zero_lane(uint64_t word)
{
    return (word - SOPHIA_LANE_ONES) & ~word & SOPHIA_LANE_HIGH;
}

/* The high bit of every zero lane, and no other bit. */
static inline uint64_t sophia_zero_lanes(uint64_t word)
{
    return ~(((word & SOPHIA_LANE_LOW) + SOPHIA_LANE_LOW) | word | SOPHIA_LANE_LOW);
}

static inline uint32_t sophia_lane(uint64_t bucket, unsigned lane)
{
    return (uint32_t)(bucket >> (16 * lane)) & 0xFFFF;
}

static inline uint64_t sophia_with_lane(uint64_t bucket, unsigned lane, uint32_t tag)
{
    return (bucket & ~(0xFFFFull << (16 * lane))) | ((uint64_t)tag << (16 * lane));
}

static inline uint32_t sophia_partner(uint32_t bucket, uint32_t tag, uint64_t size)
{
    const uint32_t spread = tag * 0x9E3779B1u; /* 2^32 over the golden ratio; odd, so tags stay distinct */
    const uint64_t sum = 2 * (((uint64_t)spread * (size >> 1)) >> 32) + 1;
    return (uint32_t)(bucket <= sum ? sum - bucket : sum + size - bucket);
}

static inline sophia_place sophia_place_of(const sophia_cuckoo *filter, uint64_t hash)
{
    const uint64_t mixed = sophia_mix64(hash ^ filter->whitening);
    sophia_place place; /* tag and bucket come from different halves of the hash */
    place.tag = 1 + (uint32_t)(((mixed & 0xFFFFFFFFu) * 65535u) >> 32);
    place.first = (uint32_t)(((mixed >> 32) * filter->size) >> 32);
    place.second = sophia_partner(place.first, place.tag, filter->size);
    return place;
}

static inline uint32_t sophia_lower(sophia_place place)
{
    return place.first < place.second ? place.first : place.second;
}

/* Buckets for `capacity` items at a load of .955 (four lanes refuse at about .98); 0: too many. */
static inline uint64_t sophia_cuckoo_size(uint64_t capacity)
{
    if (capacity > 0x300000000ull) return 0;
    const uint64_t lanes = capacity + capacity / 22 + capacity / 600 + 4;
    uint64_t size = (lanes + SOPHIA_LANES - 1) / SOPHIA_LANES;
    size += size & 1;
    return size < 4 ? 4 : size;
}

/* 0: out of memory, and nothing to free. */
static inline int sophia_cuckoo_init(sophia_cuckoo *filter, uint64_t size, uint64_t seed)
{
    memset(filter, 0, sizeof *filter);
    if (size > 0xFFFFFFFEu || size > SOPHIA_PAGES_MOST / 8) return 0;
    filter->buckets = (uint64_t *)sophia_pages_zeroed((size_t)size * 8);
    if (!filter->buckets) return 0;
    filter->size = size;
    filter->whitening = sophia_mix64(seed + SOPHIA_MIX_A);
    return 1;
}

static inline void sophia_cuckoo_free(sophia_cuckoo *filter)
{
    sophia_pages_give(filter->buckets, (size_t)filter->size * 8);
    filter->buckets = NULL;
}

static inline void sophia_cuckoo_clear(sophia_cuckoo *filter)
{
    memset(filter->buckets, 0, (size_t)filter->size * 8);
    memset(filter->stash, 0, sizeof filter->stash);
    filter->count = 0;
    filter->stashed = 0;
    filter->full = 0;
}

static inline int sophia_stash_find(const sophia_cuckoo *filter, sophia_place place)
{
    const uint32_t lower = sophia_lower(place);
    for (uint32_t i = 0; i < filter->stashed; i++)
        if (filter->stash[i].tag == place.tag && filter->stash[i].bucket == lower) return (int)i;
    return -1;
}

static inline int sophia_place_holds(const sophia_cuckoo *filter, sophia_place place)
{
    const uint64_t wanted = place.tag * SOPHIA_LANE_ONES;
    const uint64_t hit = sophia_zero_lane(filter->buckets[place.first] ^ wanted)
                         | sophia_zero_lane(filter->buckets[place.second] ^ wanted);
    if (hit) return 1;
    return filter->stashed && sophia_stash_find(filter, place) >= 0;
}

static inline int sophia_cuckoo_contains(const sophia_cuckoo *filter, uint64_t hash)
{
    return sophia_place_holds(filter, sophia_place_of(filter, hash));
}

static inline int sophia_bucket_put(uint64_t *bucket, uint32_t tag)
{
    const uint64_t empty = sophia_zero_lane(*bucket);
    if (!empty) return 0;
    *bucket = sophia_with_lane(*bucket, (unsigned)__builtin_ctzll(empty) / 16, tag);
    return 1;
}

/* One step of the search: `lane` of the parent's bucket holds the item that would move to `bucket`. */
typedef struct {
    uint32_t bucket;
    int16_t parent;
    int16_t lane;
} sophia_step;

/* Finds the shortest chain of moves that ends in an empty lane, then makes the moves from its end. A shortest
 * chain visits no bucket twice, and every item is written to its new lane before its old one is taken. */
static inline int sophia_cuckoo_make_room(sophia_cuckoo *filter, sophia_place place)
{
    sophia_step steps[SOPHIA_SEARCH];
    int used = 2;
    steps[0] = (sophia_step){place.first, -1, 0};
    steps[1] = (sophia_step){place.second, -1, 0};
    for (int at = 0; at < used; at++) {
        const uint64_t here = filter->buckets[steps[at].bucket];
        for (unsigned lane = 0; lane < SOPHIA_LANES; lane++) {
            uint32_t tag = sophia_lane(here, lane);
            const uint32_t other = sophia_partner(steps[at].bucket, tag, filter->size);
            if (!sophia_zero_lane(filter->buckets[other])) {
                if (used < SOPHIA_SEARCH) steps[used++] = (sophia_step){other, (int16_t)at, (int16_t)lane};
                continue;
            }
            sophia_bucket_put(&filter->buckets[other], tag);
            int node = at;
            for (;;) {
                uint64_t *bucket = &filter->buckets[steps[node].bucket];
                const int parent = steps[node].parent;
                const unsigned from = (unsigned)steps[node].lane;
                tag = parent < 0 ? place.tag : sophia_lane(filter->buckets[steps[parent].bucket], from);
                *bucket = sophia_with_lane(*bucket, lane, tag);
                if (parent < 0) return 1;
                lane = from;
                node = parent;
            }
        }
    }
    return 0;
}

/* Copies of an item, or of items that share its tag and buckets. */
static inline unsigned sophia_place_copies(const sophia_cuckoo *filter, sophia_place place)
{
    const uint64_t wanted = place.tag * SOPHIA_LANE_ONES;
    const uint64_t first = sophia_zero_lanes(filter->buckets[place.first] ^ wanted);
    const uint64_t second = sophia_zero_lanes(filter->buckets[place.second] ^ wanted);
    unsigned copies = (unsigned)__builtin_popcountll(first) + (unsigned)__builtin_popcountll(second);
    const uint32_t lower = sophia_lower(place);
    for (uint32_t i = 0; i < filter->stashed; i++)
        copies += filter->stash[i].tag == place.tag && filter->stash[i].bucket == lower;
    return copies;
}

static inline int sophia_cuckoo_add(sophia_cuckoo *filter, uint64_t hash)
{
    const sophia_place place = sophia_place_of(filter, hash);
    if (!sophia_bucket_put(&filter->buckets[place.first], place.tag)
        && !sophia_bucket_put(&filter->buckets[place.second], place.tag)) {
        /* two buckets of one item leave nothing to move, and it must not fill the stash either */
        if (sophia_place_copies(filter, place) >= 2 * SOPHIA_LANES) return SOPHIA_FILTER_FULL;
        if (!sophia_cuckoo_make_room(filter, place)) {
            if (filter->stashed == SOPHIA_STASH) {
                filter->full = 1;
                return SOPHIA_FILTER_FULL;
            }
            filter->stash[filter->stashed++] = (sophia_stashed){sophia_lower(place), place.tag};
        }
    }
    filter->count++;
    return SOPHIA_FILTER_OK;
}

/* A freed lane may be what a stashed item waits for; the last one fills the hole that it leaves. */
static inline void sophia_cuckoo_unstash(sophia_cuckoo *filter)
{
    for (uint32_t i = 0; i < filter->stashed;) {
        const sophia_stashed item = filter->stash[i];
        const uint32_t other = sophia_partner(item.bucket, item.tag, filter->size);
        if (sophia_bucket_put(&filter->buckets[item.bucket], item.tag)
            || sophia_bucket_put(&filter->buckets[other], item.tag)) {
            filter->stash[i] = filter->stash[--filter->stashed];
            filter->stash[filter->stashed] = (sophia_stashed){0, 0};
        } else {
            i++;
        }
    }
}

/* Removes one copy; 0 and no change when none matches. */
static inline int sophia_cuckoo_discard(sophia_cuckoo *filter, uint64_t hash)
{
    const sophia_place place = sophia_place_of(filter, hash);
    const uint64_t wanted = place.tag * SOPHIA_LANE_ONES;
    uint32_t at = place.first;
    uint64_t hit = sophia_zero_lane(filter->buckets[at] ^ wanted);
    if (!hit) {
        at = place.second;
        hit = sophia_zero_lane(filter->buckets[at] ^ wanted);
    }
    if (hit) {
        filter->buckets[at] = sophia_with_lane(filter->buckets[at], (unsigned)__builtin_ctzll(hit) / 16, 0);
        if (filter->stashed) sophia_cuckoo_unstash(filter);
    } else {
        const int stashed = filter->stashed ? sophia_stash_find(filter, place) : -1;
        if (stashed < 0) return 0;
        filter->stash[stashed] = filter->stash[--filter->stashed];
        filter->stash[filter->stashed] = (sophia_stashed){0, 0};
    }
    filter->count--;
    filter->full = 0;
    return 1;
}

/* found[i] is set to 1 when hashes[i] is (probably) in the filter, and left alone otherwise. */
static inline void sophia_cuckoo_mark(const sophia_cuckoo *filter, const uint64_t *hashes, size_t size,
                                      unsigned char *found)
{
    sophia_place places[SOPHIA_LOOKAHEAD];
    for (size_t start = 0; start < size; start += SOPHIA_LOOKAHEAD) {
        const size_t block = size - start < SOPHIA_LOOKAHEAD ? size - start : SOPHIA_LOOKAHEAD;
        for (size_t i = 0; i < block; i++) {
            places[i] = sophia_place_of(filter, hashes[start + i]);
            sophia_ahead(&filter->buckets[places[i].first]);
            sophia_ahead(&filter->buckets[places[i].second]);
        }
        for (size_t i = 0; i < block; i++)
            found[start + i] |= (unsigned char)sophia_place_holds(filter, places[i]);
    }
}

/* Fetches the buckets of the next keys while earlier ones are worked on. */
static inline void sophia_cuckoo_prefetch(const sophia_cuckoo *filter, const uint64_t *hashes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const sophia_place place = sophia_place_of(filter, hashes[i]);
        sophia_ahead(&filter->buckets[place.first]);
        sophia_ahead(&filter->buckets[place.second]);
    }
}

/* The buckets as little-endian words: 8 * size bytes. */
static inline void sophia_cuckoo_export(const sophia_cuckoo *filter, unsigned char *out)
{
    for (uint64_t i = 0; i < filter->size; i++, out += 8) {
        const uint64_t word = sophia_load64((const unsigned char *)&filter->buckets[i]);
        memcpy(out, &word, 8);
    }
}

static inline void sophia_cuckoo_import(sophia_cuckoo *filter, const unsigned char *bytes)
{
    for (uint64_t i = 0; i < filter->size; i++) filter->buckets[i] = sophia_load64(bytes + 8 * i);
}

/* What a table that was read from outside must be; 0: it is not. */
static inline int sophia_cuckoo_valid(const sophia_cuckoo *filter)
{
    uint64_t count = filter->stashed;
    for (uint64_t i = 0; i < filter->size; i++)
        count += SOPHIA_LANES - (unsigned)__builtin_popcountll(sophia_zero_lanes(filter->buckets[i]));
    if (count != filter->count || filter->stashed > SOPHIA_STASH) return 0;
    for (uint32_t i = 0; i < filter->stashed; i++) {
        const sophia_stashed item = filter->stash[i];
        if (item.tag < 1 || item.tag > 0xFFFF || item.bucket >= filter->size) return 0;
        if (sophia_partner(item.bucket, item.tag, filter->size) < item.bucket) return 0;
    }
    return 1;
}

#endif

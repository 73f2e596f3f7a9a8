/* Exact cache: keyed hash for finding, bytes for deciding, CLOCK for forgetting.
 *
 * Entries sit in numbered slots, taken in the order of insertion; an open-addressed index, at most half full,
 * leads from a key's hash to its slot. The hash is keyed with a secret, so probes stay short whatever the
 * input; it decides nothing else: a hit needs equal key bytes, and the CLOCK hands (Corbato: "A Paging
 * Experiment with the Multics System", 1968) walk in the order of insertion. The same calls therefore hit, miss
 * and evict alike under any secret.
 *
 * Each entry belongs to a scope, and each scope has a hand of its own. When there is no room, a scope that is among
 * the heaviest (holds at least half of the bytes that any holds, by powers of two) evicts its own; another evicts
 * from one of those. So a scope loses entries to others only while it holds more than they do: who floods the cache
 * forgets what he put there himself.
 */
#ifndef SOPHIA_REFLEX_H
#define SOPHIA_REFLEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ahead.h"
#include "hash.h"
#include "pages.h"

#define SOPHIA_REFLEX_TAGS 3

enum sophia_reflex_code { SOPHIA_REFLEX_OK = 0, SOPHIA_REFLEX_TOO_LARGE = 1, SOPHIA_REFLEX_NO_MEMORY = -1 };

/* One malloc block holds the struct and, behind it, key, raw and value. */
typedef struct sophia_reflex_entry {
    const unsigned char *raw;   /* the bytes that the entry was filled with */
    const unsigned char *value; /* the answer; may be empty */
    size_t raw_size, value_size;
    uint64_t tag[SOPHIA_REFLEX_TAGS];
    double expires; /* on the caller's clock; 0: never */
    uint32_t flags;
    uint32_t has_value; /* 0: no answer, which is not an empty one */
    /* private to this file */
    const unsigned char *key;
    size_t key_size;
    sophia_hash128 hash;
    size_t block;
    uint32_t slot;
    uint32_t recent; /* the second chance: found since the hand came by */
    struct sophia_reflex_scope *scope;
    struct sophia_reflex_entry *before, *after; /* the ring of its scope */
} sophia_reflex_entry;

/* A scope that has entries; one malloc block, freed with the last of them. Known by 128 bits of keyed hash. */
typedef struct sophia_reflex_scope {
    sophia_hash128 id;
    struct sophia_reflex_scope *chain;          /* the next of the same head */
    struct sophia_reflex_scope *before, *after; /* the ring of its weight */
    sophia_reflex_entry *hand;                  /* the next to be evicted, unless it was found */
    size_t bytes;                               /* of its entries */
    uint64_t weight;                            /* the highest bit of bytes: which ring it is in */
} sophia_reflex_scope;

typedef struct {
    sophia_reflex_entry **slots; /* max_entries; NULL where vacant. The tables lie in the block of the index. */
    uint32_t *vacant;            /* max_entries: a stack of slots given back */
    uint64_t *index;             /* owned, mask + 1: 32 hash bits, then slot + 1; 0 where empty */
    sophia_reflex_scope **heads; /* an eighth of the index: chains of scopes */
    sophia_reflex_scope *weights[64]; /* rings of scopes, by the highest bit of their bytes */
    uint64_t weighed;                 /* which of them have any */
    uint64_t mask;
    uint64_t secret;
    size_t max_bytes, bytes, tables; /* bytes counts entries and tables */
    uint32_t max_entries, entries, begun, vacancies, scopes; /* slots from begun on were never used */
    uint64_t hits, misses, evictions, expirations, refusals;
} sophia_reflex;

static inline size_t sophia_reflex_index_size(uint32_t max_entries)
{
    size_t size = 16;
    while (size < 2 * (size_t)max_entries) size *= 2;
    return size;
}

static inline size_t sophia_reflex_tables(uint32_t max_entries)
{
    return max_entries * (sizeof(sophia_reflex_entry *) + sizeof(uint32_t))
           + sophia_reflex_index_size(max_entries) * (sizeof(uint64_t) + sizeof(sophia_reflex_scope *) / 8);
}

static inline void sophia_reflex_free_all(sophia_reflex *cache)
{
    for (uint32_t i = 0; cache->slots && i < cache->begun; i++) free(cache->slots[i]);
    for (uint64_t i = 0; cache->heads && i <= cache->mask / 8; i++) {
        for (sophia_reflex_scope *scope = cache->heads[i], *next; scope; scope = next) {
            next = scope->chain;
            free(scope);
        }
    }
}

static inline void sophia_reflex_free(sophia_reflex *cache)
{
    sophia_reflex_free_all(cache);
    sophia_pages_give(cache->index, cache->tables);
    memset(cache, 0, sizeof *cache);
}

/* 0: out of memory, and nothing to free. max_entries is 1 to 2^30, max_bytes above sophia_reflex_tables(). */
static inline int sophia_reflex_init(sophia_reflex *cache, size_t max_bytes, uint32_t max_entries,
                                     uint64_t secret)
{
    memset(cache, 0, sizeof *cache);
    const size_t size = sophia_reflex_index_size(max_entries);
    cache->index = (uint64_t *)sophia_pages_zeroed(sophia_reflex_tables(max_entries));
    if (!cache->index) return 0;
    cache->heads = (sophia_reflex_scope **)(cache->index + size);
    cache->slots = (sophia_reflex_entry **)(cache->heads + size / 8);
    cache->vacant = (uint32_t *)(cache->slots + max_entries);
    cache->mask = size - 1;
    cache->secret = secret;
    cache->max_bytes = max_bytes;
    cache->max_entries = max_entries;
    cache->bytes = cache->tables = sophia_reflex_tables(max_entries);
    return 1;
}

static inline sophia_hash128 sophia_reflex_hash(const sophia_reflex *cache, const unsigned char *key,
                                                size_t size)
{
    return sophia_hash_bytes(key, size, cache->secret);
}

static inline uint64_t sophia_reflex_home(const sophia_reflex *cache, uint64_t cell)
{
    return (cell >> 32) & cache->mask;
}

static inline uint64_t sophia_reflex_cell(sophia_hash128 hash, uint32_t slot)
{
    return hash.low << 32 | (slot + 1);
}

/* The index position of a key, or of the empty cell where it would go. Ends: half of the cells are empty. */
static inline uint64_t sophia_reflex_probe(const sophia_reflex *cache, const unsigned char *key, size_t size,
                                           sophia_hash128 hash)
{
    const uint64_t wanted = sophia_reflex_cell(hash, 0) >> 32;
    uint64_t at = wanted & cache->mask;
    for (; cache->index[at]; at = (at + 1) & cache->mask) {
        if (cache->index[at] >> 32 != wanted) continue;
        const sophia_reflex_entry *entry = cache->slots[(uint32_t)cache->index[at] - 1];
        if (entry->hash.high == hash.high && entry->hash.low == hash.low && entry->key_size == size
            && memcmp(entry->key, key, size) == 0)
            break;
    }
    return at;
}

static inline int sophia_reflex_holds(const sophia_reflex *cache, const unsigned char *key, size_t size,
                                      sophia_hash128 hash)
{
    return cache->index[sophia_reflex_probe(cache, key, size, hash)] != 0;
}

static inline sophia_hash128 sophia_reflex_scope_id(const sophia_reflex *cache, const unsigned char *scope,
                                                    size_t size)
{
    return sophia_hash_bytes(scope, size, cache->secret ^ SOPHIA_MIX_D);
}

/* Where the chain has the scope, or ends. */
static inline sophia_reflex_scope **sophia_reflex_scope_at(const sophia_reflex *cache, sophia_hash128 id)
{
    sophia_reflex_scope **at = &cache->heads[id.low & cache->mask / 8];
    while (*at && ((*at)->id.low != id.low || (*at)->id.high != id.high)) at = &(*at)->chain;
    return at;
}

/* Takes a scope out of the ring of its weight. */
static inline void sophia_reflex_lift(sophia_reflex *cache, sophia_reflex_scope *scope)
{
    sophia_reflex_scope **const ring = &cache->weights[scope->weight];
    if (*ring == scope) *ring = scope->after == scope ? NULL : scope->after;
    scope->before->after = scope->after;
    scope->after->before = scope->before;
    if (!*ring) cache->weighed &= ~(UINT64_C(1) << scope->weight);
}

/* Puts a scope behind the others of its weight, which follows from its bytes; there are some. */
static inline void sophia_reflex_settle(sophia_reflex *cache, sophia_reflex_scope *scope)
{
    scope->weight = 63 - (uint64_t)__builtin_clzll(scope->bytes);
    sophia_reflex_scope **const ring = &cache->weights[scope->weight];
    if (*ring) {
        scope->after = *ring;
        scope->before = (*ring)->before;
        scope->before->after = scope->after->before = scope;
    } else {
        *ring = scope->before = scope->after = scope;
        cache->weighed |= UINT64_C(1) << scope->weight;
    }
}

/* The bytes of a scope in a ring have changed. */
static inline void sophia_reflex_reweigh(sophia_reflex *cache, sophia_reflex_scope *scope, size_t bytes)
{
    const uint64_t weight = bytes ? 63 - (uint64_t)__builtin_clzll(bytes) : 64;
    if (weight == scope->weight) {
        scope->bytes = bytes;
        return;
    }
    sophia_reflex_lift(cache, scope);
    scope->bytes = bytes;
    if (bytes) sophia_reflex_settle(cache, scope);
}

/* Takes an entry out of its scope; the scope goes with its last. */
static inline void sophia_reflex_leave(sophia_reflex *cache, sophia_reflex_entry *entry)
{
    sophia_reflex_scope *const scope = entry->scope;
    if (scope->hand == entry) scope->hand = entry->after == entry ? NULL : entry->after;
    entry->before->after = entry->after;
    entry->after->before = entry->before;
    sophia_reflex_reweigh(cache, scope, scope->bytes - entry->block);
    if (scope->hand) return;
    *sophia_reflex_scope_at(cache, scope->id) = scope->chain;
    cache->bytes -= sizeof *scope;
    cache->scopes--;
    free(scope);
}

/* Puts an entry into its scope, to be the last that the hand comes to. */
static inline void sophia_reflex_join(sophia_reflex *cache, sophia_reflex_scope *scope, sophia_reflex_entry *entry)
{
    entry->scope = scope;
    if (scope->hand) {
        entry->after = scope->hand;
        entry->before = scope->hand->before;
        entry->before->after = entry->after->before = entry;
        sophia_reflex_reweigh(cache, scope, scope->bytes + entry->block);
    } else {
        scope->hand = entry->before = entry->after = entry;
        scope->bytes = entry->block;
        sophia_reflex_settle(cache, scope);
    }
}

/* Takes the entry at an index position out and frees it. */
static inline void sophia_reflex_remove(sophia_reflex *cache, uint64_t at)
{
    sophia_reflex_entry *entry = cache->slots[(uint32_t)cache->index[at] - 1];
    sophia_reflex_leave(cache, entry);
    cache->slots[entry->slot] = NULL;
    cache->vacant[cache->vacancies++] = entry->slot;
    cache->bytes -= entry->block;
    cache->entries--;
    free(entry);
    /* later cells of the run move up, so that no search ends early and no grave marks are needed */
    uint64_t hole = at;
    for (uint64_t next = (at + 1) & cache->mask; cache->index[next]; next = (next + 1) & cache->mask) {
        const uint64_t home = sophia_reflex_home(cache, cache->index[next]);
        if (((next - home) & cache->mask) >= ((next - hole) & cache->mask)) {
            cache->index[hole] = cache->index[next];
            hole = next;
        }
    }
    cache->index[hole] = 0;
}

static inline uint64_t sophia_reflex_position(const sophia_reflex *cache, const sophia_reflex_entry *entry)
{
    const uint64_t cell = sophia_reflex_cell(entry->hash, entry->slot);
    uint64_t at = sophia_reflex_home(cache, cell);
    while (cache->index[at] != cell) at = (at + 1) & cache->mask;
    return at;
}

/* Evicts one entry to make room for one of `scope` (NULL: a new one); there is one. At most two rounds: the first
 * takes every second chance. */
static inline void sophia_reflex_evict(sophia_reflex *cache, sophia_reflex_scope *scope)
{
    const uint64_t heaviest = 63 - (uint64_t)__builtin_clzll(cache->weighed);
    if (!scope || scope->weight < heaviest) scope = cache->weights[heaviest];
    for (;;) {
        sophia_reflex_entry *entry = scope->hand;
        scope->hand = entry->after;
        if (!entry->recent) {
            sophia_reflex_remove(cache, sophia_reflex_position(cache, entry));
            cache->evictions++;
            return;
        }
        entry->recent = 0;
    }
}

/* NULL: a miss, or what was there had expired and is gone now. */
/* As find, but leaves no trace: nothing is counted, dropped or marked as recently used. */
/* Asks for the line of the index where the probe begins: the index is larger than the caches. */
static inline void sophia_reflex_ahead(const sophia_reflex *cache, sophia_hash128 hash)
{
    sophia_ahead(&cache->index[(sophia_reflex_cell(hash, 0) >> 32) & cache->mask]);
}

static inline const sophia_reflex_entry *sophia_reflex_peek(const sophia_reflex *cache, const unsigned char *key,
                                                            size_t size, sophia_hash128 hash, double now)
{
    const uint64_t at = sophia_reflex_probe(cache, key, size, hash);
    if (!cache->index[at]) return NULL;
    const sophia_reflex_entry *entry = cache->slots[(uint32_t)cache->index[at] - 1];
    return entry->expires != 0.0 && !(now < entry->expires) ? NULL : entry;
}

static inline const sophia_reflex_entry *sophia_reflex_find(sophia_reflex *cache, const unsigned char *key,
                                                            size_t size, sophia_hash128 hash, double now)
{
    const uint64_t at = sophia_reflex_probe(cache, key, size, hash);
    if (!cache->index[at]) {
        cache->misses++;
        return NULL;
    }
    sophia_reflex_entry *entry = cache->slots[(uint32_t)cache->index[at] - 1];
    if (entry->expires != 0.0 && !(now < entry->expires)) { /* a NaN on either side expires */
        sophia_reflex_remove(cache, at);
        cache->expirations++;
        cache->misses++;
        return NULL;
    }
    entry->recent = 1;
    cache->hits++;
    return entry;
}

static inline int sophia_reflex_drop(sophia_reflex *cache, const unsigned char *key, size_t size,
                                     sophia_hash128 hash)
{
    const uint64_t at = sophia_reflex_probe(cache, key, size, hash);
    if (!cache->index[at]) return 0;
    sophia_reflex_remove(cache, at);
    return 1;
}

/* Puts a copy of everything; what the key had before is gone, even when the new entry is refused: an outdated
 * answer is worse than none. The arguments may point into entries of this cache. */
static inline int sophia_reflex_put(sophia_reflex *cache, const unsigned char *key, size_t key_size,
                                    sophia_hash128 hash, const unsigned char *raw, size_t raw_size,
                                    const unsigned char *value, size_t value_size, int has_value,
                                    uint32_t flags, const uint64_t *tag, double expires,
                                    const unsigned char *scope_name, size_t scope_size)
{
    const size_t room = cache->max_bytes - cache->tables - sizeof(sophia_reflex_scope);
    const sophia_hash128 id = sophia_reflex_scope_id(cache, scope_name, scope_size);
    size_t block = sizeof(sophia_reflex_entry) + 15;
    sophia_reflex_entry *entry = NULL;
    int code = SOPHIA_REFLEX_TOO_LARGE;
    /* each size is held against the bound first, so that the sum cannot overflow */
    if (key_size <= room && raw_size <= room - key_size && value_size <= room - key_size - raw_size
        && block <= room - key_size - raw_size - value_size) {
        block = (block + key_size + raw_size + value_size) & ~(size_t)15;
        entry = (sophia_reflex_entry *)malloc(block);
        code = entry ? SOPHIA_REFLEX_OK : SOPHIA_REFLEX_NO_MEMORY;
    }
    if (entry) {
        unsigned char *bytes = (unsigned char *)(entry + 1);
        entry->key = bytes;
        entry->raw = bytes + key_size;
        entry->value = bytes + key_size + raw_size;
        if (key_size) memcpy(bytes, key, key_size);
        if (raw_size) memcpy(bytes + key_size, raw, raw_size);
        if (value_size) memcpy(bytes + key_size + raw_size, value, value_size);
        entry->key_size = key_size;
        entry->raw_size = raw_size;
        entry->value_size = value_size;
        entry->has_value = has_value != 0;
        entry->flags = flags;
        for (int i = 0; i < SOPHIA_REFLEX_TAGS; i++) entry->tag[i] = tag ? tag[i] : 0;
        entry->expires = expires;
        entry->hash = hash;
        entry->block = block;
        entry->recent = 0;
        key = bytes;
    }
    sophia_reflex_drop(cache, key, key_size, hash);
    if (!entry) {
        cache->refusals++;
        return code;
    }
    sophia_reflex_scope *scope;
    while (scope = *sophia_reflex_scope_at(cache, id),
           cache->entries == cache->max_entries
               || block + (scope ? 0 : sizeof *scope) > cache->max_bytes - cache->bytes)
        sophia_reflex_evict(cache, scope);
    if (!scope) {
        scope = (sophia_reflex_scope *)calloc(1, sizeof *scope);
        if (!scope) {
            free(entry);
            cache->refusals++;
            return SOPHIA_REFLEX_NO_MEMORY;
        }
        scope->id = id;
        *sophia_reflex_scope_at(cache, id) = scope;
        cache->bytes += sizeof *scope;
        cache->scopes++;
    }
    sophia_reflex_join(cache, scope, entry);
    entry->slot = cache->vacancies ? cache->vacant[--cache->vacancies] : cache->begun++;
    cache->slots[entry->slot] = entry;
    cache->index[sophia_reflex_probe(cache, key, key_size, hash)] = sophia_reflex_cell(hash, entry->slot);
    cache->bytes += block;
    cache->entries++;
    return SOPHIA_REFLEX_OK;
}

/* Removes what has expired; returns how many. Time proportional to the slots begun. */
static inline uint32_t sophia_reflex_expire(sophia_reflex *cache, double now)
{
    uint32_t gone = 0;
    for (uint32_t i = 0; i < cache->begun; i++) {
        const sophia_reflex_entry *entry = cache->slots[i];
        if (!entry || entry->expires == 0.0 || now < entry->expires) continue;
        sophia_reflex_remove(cache, sophia_reflex_position(cache, entry));
        gone++;
    }
    cache->expirations += gone;
    return gone;
}

/* Empties the cache; the counters go on. */
static inline void sophia_reflex_clear(sophia_reflex *cache)
{
    sophia_reflex_free_all(cache);
    memset(cache->slots, 0, cache->begun * sizeof *cache->slots);
    memset(cache->index, 0, ((size_t)cache->mask + 1) * sizeof *cache->index);
    memset(cache->heads, 0, ((size_t)cache->mask + 1) / 8 * sizeof *cache->heads);
    memset(cache->weights, 0, sizeof cache->weights);
    cache->weighed = 0;
    cache->bytes = cache->tables;
    cache->entries = cache->begun = cache->vacancies = cache->scopes = 0;
}

#endif

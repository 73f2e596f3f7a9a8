/* What Python cannot show of the exact cache and the filter: different keys with one hash, and arguments that
 * point into the cache itself. Build with -fsanitize=address,undefined. Exits with 1 at the first difference.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bucket.h"
#include "reflex.h"

#define BYTES(text) ((const unsigned char *)(text))

static void check(int good, const char *what)
{
    if (good) return;
    printf("WRONG: %s\n", what);
    exit(1);
}

static int put(sophia_reflex *cache, const char *key, sophia_hash128 hash, const char *value)
{
    return sophia_reflex_put(cache, BYTES(key), strlen(key), hash, BYTES(key), strlen(key), BYTES(value),
                             strlen(value), 1, 0, NULL, 0.0, NULL, 0);
}

static int holds(sophia_reflex *cache, const char *key, sophia_hash128 hash, const char *value)
{
    const sophia_reflex_entry *entry = sophia_reflex_find(cache, BYTES(key), strlen(key), hash, 0.0);
    if (!entry || !value) return !entry && !value;
    return entry->value_size == strlen(value) && memcmp(entry->value, value, entry->value_size) == 0;
}

/* A collision of all 128 bits must not matter: the bytes decide. */
static void keys_with_one_hash(void)
{
    sophia_reflex cache;
    const sophia_hash128 hash = {0xFFFFFFFFull, 7}, near = {0xFFFFFFFFull, 8};
    check(sophia_reflex_init(&cache, sophia_reflex_tables(8) + 4096, 8, 1), "init");
    check(put(&cache, "enable 2FA", hash, "on") == SOPHIA_REFLEX_OK, "put");
    check(holds(&cache, "disable2FA", hash, NULL), "other bytes of the same length are a miss");
    check(holds(&cache, "enable 2F", hash, NULL), "a prefix is a miss");
    check(holds(&cache, "enable 2FA", near, NULL), "another high half is a miss");
    put(&cache, "disable2FA", hash, "off");
    put(&cache, "enable 2F", hash, "cut");
    put(&cache, "enable 2FA", near, "near");
    check(cache.entries == 4, "four entries");
    check(holds(&cache, "enable 2FA", hash, "on") && holds(&cache, "disable2FA", hash, "off"), "both are there");
    check(sophia_reflex_drop(&cache, BYTES("enable 2FA"), 10, hash), "drop");
    check(holds(&cache, "enable 2FA", hash, NULL), "dropped");
    check(holds(&cache, "disable2FA", hash, "off") && holds(&cache, "enable 2F", hash, "cut")
              && holds(&cache, "enable 2FA", near, "near"),
          "the others stay, across the end of the index");
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof key, "key %d", i);
        put(&cache, key, hash, key);
        check(holds(&cache, key, hash, key) && cache.entries <= 8, "evictions among keys of one hash");
    }
    sophia_reflex_free(&cache);
}

/* put() may be given bytes of an entry that it replaces or evicts. */
static void arguments_inside_the_cache(void)
{
    sophia_reflex cache;
    const sophia_hash128 one = {1, 1}, two = {2, 2};
    check(sophia_reflex_init(&cache, sophia_reflex_tables(1) + 4096, 1, 1), "init");
    put(&cache, "a", one, "answer");
    const sophia_reflex_entry *entry = sophia_reflex_find(&cache, BYTES("a"), 1, one, 0.0);
    check(sophia_reflex_put(&cache, entry->key, 1, one, entry->raw, 1, entry->value, 6, 1, 0, entry->tag, 0.0, NULL, 0)
              == SOPHIA_REFLEX_OK,
          "replaced by itself");
    check(holds(&cache, "a", one, "answer"), "the same answer");
    entry = sophia_reflex_find(&cache, BYTES("a"), 1, one, 0.0);
    sophia_reflex_put(&cache, BYTES("b"), 1, two, entry->raw, 1, entry->value, 6, 1, 0, entry->tag, 0.0, NULL, 0);
    check(holds(&cache, "a", one, NULL) && holds(&cache, "b", two, "answer"), "copied before the eviction");
    check(sophia_reflex_put(&cache, BYTES("c"), 1, one, NULL, SIZE_MAX, NULL, SIZE_MAX, 1, 0, NULL, 0.0, NULL, 0)
              == SOPHIA_REFLEX_TOO_LARGE,
          "sizes whose sum overflows");
    sophia_reflex_free(&cache);
}

/* A filter at its limit: what is refused changes no byte, and what waits in the stash moves in when it can. */
static void filter_at_its_limit(void)
{
    sophia_cuckoo filter;
    uint64_t added[256], copy[32];
    int size = 0;
    check(sophia_cuckoo_init(&filter, 16, 3), "init");
    uint64_t key = 1;
    while (sophia_cuckoo_add(&filter, key) == SOPHIA_FILTER_OK) added[size++] = key++;
    check(filter.full && filter.stashed == SOPHIA_STASH && filter.count == (uint64_t)size, "full");
    memcpy(copy, filter.buckets, 16 * 8);
    check(sophia_cuckoo_add(&filter, key) == SOPHIA_FILTER_FULL, "refused again");
    check(memcmp(copy, filter.buckets, 16 * 8) == 0 && filter.count == (uint64_t)size, "and nothing changed");
    for (int i = 0; i < size; i++) check(sophia_cuckoo_contains(&filter, added[i]), "all are there");
    check(sophia_cuckoo_valid(&filter), "valid");
    for (int i = 0; i < size; i++) {
        check(sophia_cuckoo_discard(&filter, added[i]), "discard");
        if (i == size / 2) check(filter.stashed == 0, "a stashed item moves where a lane was freed");
        for (int j = i + 1; j < size; j++) check(sophia_cuckoo_contains(&filter, added[j]), "the rest is there");
        check(sophia_cuckoo_valid(&filter), "valid");
    }
    check(filter.count == 0 && !filter.full, "empty");
    sophia_cuckoo_free(&filter);
}

int main(void)
{
    keys_with_one_hash();
    arguments_inside_the_cache();
    filter_at_its_limit();
    puts("ok");
    return 0;
}

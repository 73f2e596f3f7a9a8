/* A hash multimap from mixed 64-bit keys to 32-bit values with 32 bits beside them.
 *
 * Open addressing, linear probing, deletion by shifting back (no tombstones), load at most 3/4. Keys are hashes
 * already and used as they are. Entries with one key lie in one probe run in no particular order. The map owns
 * its array; whoever embeds it frees it with sophia_multimap_free().
 */
#ifndef SOPHIA_MULTIMAP_H
#define SOPHIA_MULTIMAP_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ahead.h"
#include "pages.h"

#define SOPHIA_NONE UINT32_MAX
#define SOPHIA_MULTIMAP_SMALL 16384 /* entries up to which a map grows by four: half the moves */
#define SOPHIA_MULTIMAP_PAGE (SOPHIA_PAGES_SIZE / sizeof(sophia_entry)) /* and what it grows to then */

typedef struct {
    uint64_t key;
    uint32_t value; /* SOPHIA_NONE marks a free entry */
    uint32_t extra;
} sophia_entry;

typedef struct {
    sophia_entry *entry;
    size_t room, used; /* room is 0 or a power of two */
} sophia_multimap;

static inline void sophia_multimap_free(sophia_multimap *map)
{
    sophia_pages_give(map->entry, map->room * sizeof(sophia_entry));
    map->entry = NULL;
    map->room = map->used = 0;
}

static inline void sophia_multimap_place(sophia_multimap *map, sophia_entry entry)
{
    size_t at = entry.key & (map->room - 1);
    while (map->entry[at].value != SOPHIA_NONE)
        at = (at + 1) & (map->room - 1);
    map->entry[at] = entry;
}

/* Makes sure that `more` insertions succeed. Returns 0, or -1 when memory ran out (nothing changed then). */
static inline int sophia_multimap_reserve(sophia_multimap *map, size_t more)
{
    const size_t wanted = map->used + more;
    size_t room = map->room ? map->room : 64;
    while (room - room / 4 < wanted)
        room = room < SOPHIA_MULTIMAP_SMALL ? room * 4 : room < SOPHIA_MULTIMAP_PAGE ? SOPHIA_MULTIMAP_PAGE : room * 2;
    if (room == map->room)
        return 0;
    if (room > SIZE_MAX / sizeof(sophia_entry))
        return -1;
    sophia_multimap grown = {sophia_pages_take(room * sizeof(sophia_entry)), room, map->used};
    if (!grown.entry)
        return -1;
    memset(grown.entry, 0xFF, room * sizeof(sophia_entry));
    for (size_t i = 0; i < map->room; i++)
        if (map->entry[i].value != SOPHIA_NONE)
            sophia_multimap_place(&grown, map->entry[i]);
    sophia_pages_give(map->entry, map->room * sizeof(sophia_entry));
    *map = grown;
    return 0;
}

/* After sophia_multimap_reserve(). */
static inline void sophia_multimap_insert(sophia_multimap *map, uint64_t key, uint32_t value, uint32_t extra)
{
    const sophia_entry entry = {key, value, extra};
    sophia_multimap_place(map, entry);
    map->used++;
}

/* The entry of `key` at or behind position `at` of its probe run, or NULL. Begin with at = 0; for the one after
 * position `at` pass at + 1. `*position` counts from the start of the run. */
static inline sophia_entry *sophia_multimap_find(const sophia_multimap *map, uint64_t key, size_t at,
                                                 size_t *position)
{
    if (map->room == 0)
        return NULL;
    for (;; at++) {
        sophia_entry *const entry = &map->entry[(key + at) & (map->room - 1)];
        if (entry->value == SOPHIA_NONE)
            return NULL;
        if (entry->key == key) {
            *position = at;
            return entry;
        }
    }
}

/* Asks for the line of the key's first place: the maps are larger than the caches, and many keys are known before
 * the first is looked up. */
static inline void sophia_multimap_ahead(const sophia_multimap *map, uint64_t key)
{
    if (map->room)
        sophia_ahead(&map->entry[key & (map->room - 1)]);
}

static inline uint32_t sophia_multimap_get(const sophia_multimap *map, uint64_t key)
{
    size_t at;
    const sophia_entry *const entry = sophia_multimap_find(map, key, 0, &at);
    return entry ? entry->value : SOPHIA_NONE;
}

static inline void sophia_multimap_remove_at(sophia_multimap *map, sophia_entry *entry)
{
    const size_t mask = map->room - 1;
    size_t hole = (size_t)(entry - map->entry), at = hole;
    for (;;) {
        at = (at + 1) & mask;
        if (map->entry[at].value == SOPHIA_NONE)
            break;
        /* An entry may move back to the hole if its home is not between the hole and itself. */
        if (((at - map->entry[at].key) & mask) >= ((at - hole) & mask)) {
            map->entry[hole] = map->entry[at];
            hole = at;
        }
    }
    map->entry[hole].value = SOPHIA_NONE;
    map->used--;
}

/* Removes the entry (key, value), if it is there. */
static inline void sophia_multimap_remove(sophia_multimap *map, uint64_t key, uint32_t value)
{
    size_t at = 0;
    for (sophia_entry *e = sophia_multimap_find(map, key, 0, &at); e; e = sophia_multimap_find(map, key, at + 1, &at))
        if (e->value == value) {
            sophia_multimap_remove_at(map, e);
            return;
        }
}

#endif

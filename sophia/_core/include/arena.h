/* A bump allocator for intermediate results: chunks, marks, rewinds, and an O(1) reset.
 *
 * Ownership: every block is borrowed until the arena is rewound below it, reset, or closed; there is no free.
 * A block is known by (generation, position); sophia_arena_holds() says whether it is still lent. Positions
 * count bytes from the start of the first chunk, so an older block always has the lower one.
 * Not for two threads at once: one arena a worker. Under AddressSanitizer the bytes that are not lent may not be
 * touched.
 */
#ifndef SOPHIA_ARENA_H
#define SOPHIA_ARENA_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "sanitize.h"

#define SOPHIA_ALIGNMENT 64u

enum sophia_arena_code {
    SOPHIA_ARENA_OK = 0,
    SOPHIA_ARENA_NO_MEMORY = -1, /* the system refused */
    SOPHIA_ARENA_FULL = -2,      /* the byte bound refused */
    SOPHIA_ARENA_STALE = -3,     /* the mark was undone by an earlier rewind or reset */
    SOPHIA_ARENA_EXPORTED = -4   /* a buffer is still exported: its bytes may not be reused */
};

typedef struct sophia_chunk {
    struct sophia_chunk *next;
    size_t base; /* position of its first byte */
    size_t size;
    unsigned char pad[SOPHIA_ALIGNMENT - sizeof(void *) - 2 * sizeof(size_t)];
} sophia_chunk; /* its bytes follow, 64-byte aligned */

/* "Since this generation, nothing at or above `position` of an older generation is lent." */
typedef struct {
    uint64_t generation;
    size_t position;
} sophia_floor;

typedef struct {
    sophia_chunk *first, *last, *current;
    unsigned char *cursor, *end;
    size_t chunk_bytes, limit, capacity, high_water;
    uint64_t generation, reset_generation;
    uint64_t chunk_allocations;
    size_t exports;
    sophia_floor *floors; /* rising generations and rising positions */
    size_t floor_count, floor_room;
} sophia_arena;

static inline unsigned char *sophia_chunk_bytes(sophia_chunk *chunk)
{
    return (unsigned char *)(chunk + 1);
}

static inline size_t sophia_round_up(size_t bytes)
{
    return (bytes + SOPHIA_ALIGNMENT - 1) & ~(size_t)(SOPHIA_ALIGNMENT - 1);
}

static inline size_t sophia_arena_used(const sophia_arena *arena)
{
    if (!arena->current) return 0;
    return arena->current->base + (size_t)(arena->cursor - sophia_chunk_bytes(arena->current));
}

static void sophia_arena_init(sophia_arena *arena, size_t chunk_bytes, size_t limit)
{
    *arena = (sophia_arena){0};
    arena->chunk_bytes = sophia_round_up(chunk_bytes);
    arena->limit = limit;
    arena->generation = arena->reset_generation = 1;
}

static void sophia_arena_close(sophia_arena *arena)
{
    sophia_chunk *chunk = arena->first;
    while (chunk) {
        sophia_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena->floors);
    *arena = (sophia_arena){0};
}

static inline void sophia_arena_enter(sophia_arena *arena, sophia_chunk *chunk)
{
    arena->current = chunk;
    arena->cursor = sophia_chunk_bytes(chunk);
    arena->end = arena->cursor + chunk->size;
}

/* Nothing from the cursor on is lent any more. */
static inline void sophia_arena_hide(sophia_arena *arena)
{
    if (!SOPHIA_ASAN || !arena->current) return;
    SOPHIA_HIDE(arena->cursor, (size_t)(arena->end - arena->cursor));
    for (sophia_chunk *chunk = arena->current->next; chunk; chunk = chunk->next) {
        SOPHIA_HIDE(sophia_chunk_bytes(chunk), chunk->size);
    }
}

/* Moves to the next chunk that has room for `bytes`; asks the system for one only when none has. */
static int sophia_arena_grow(sophia_arena *arena, size_t bytes)
{
    sophia_chunk *next = arena->current ? arena->current->next : arena->first;
    for (; next; next = next->next) {
        if (next->size >= bytes) {
            sophia_arena_enter(arena, next);
            return SOPHIA_ARENA_OK;
        }
    }
    const size_t room = arena->limit - arena->capacity;
    size_t size = bytes > arena->chunk_bytes ? bytes : arena->chunk_bytes;
    if (bytes > room) return SOPHIA_ARENA_FULL;
    if (size > room) size = room & ~(size_t)(SOPHIA_ALIGNMENT - 1);
    void *memory = NULL;
    if (size > SIZE_MAX - sizeof(sophia_chunk)) return SOPHIA_ARENA_NO_MEMORY;
    if (posix_memalign(&memory, SOPHIA_ALIGNMENT, sizeof(sophia_chunk) + size)) return SOPHIA_ARENA_NO_MEMORY;
    sophia_chunk *chunk = (sophia_chunk *)memory;
    chunk->next = NULL;
    chunk->size = size;
    chunk->base = arena->capacity;
    if (arena->last) arena->last->next = chunk;
    else arena->first = chunk;
    arena->last = chunk;
    arena->capacity += size;
    arena->chunk_allocations++;
    sophia_arena_enter(arena, chunk);
    sophia_arena_hide(arena);
    return SOPHIA_ARENA_OK;
}

/* `bytes` bytes, uninitialised, 64-byte aligned; borrowed until a rewind below them or a reset. */
static inline int sophia_arena_take(sophia_arena *arena, size_t bytes, void **block, size_t *position)
{
    if (bytes > SIZE_MAX - SOPHIA_ALIGNMENT) return SOPHIA_ARENA_FULL;
    const size_t asked = bytes;
    bytes = sophia_round_up(bytes ? bytes : 1);
    if ((size_t)(arena->end - arena->cursor) < bytes) {
        const int code = sophia_arena_grow(arena, bytes);
        if (code) return code;
    }
    SOPHIA_SHOW(arena->cursor, asked);
    *block = arena->cursor;
    *position = sophia_arena_used(arena);
    arena->cursor += bytes;
    const size_t used = *position + bytes;
    if (used > arena->high_water) arena->high_water = used;
    return SOPHIA_ARENA_OK;
}

/* Lowest position undone since `generation`; SIZE_MAX when none was. */
static size_t sophia_arena_floor(const sophia_arena *arena, uint64_t generation)
{
    size_t low = 0, high = arena->floor_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (arena->floors[middle].generation > generation) high = middle;
        else low = middle + 1;
    }
    return low < arena->floor_count ? arena->floors[low].position : SIZE_MAX;
}

/* 1 while the block taken at (generation, position) is still lent. */
static inline int sophia_arena_holds(const sophia_arena *arena, uint64_t generation, size_t position)
{
    if (generation == arena->generation) return 1;
    if (generation < arena->reset_generation) return 0;
    return position < sophia_arena_floor(arena, generation);
}

static int sophia_arena_reset(sophia_arena *arena)
{
    if (arena->exports) return SOPHIA_ARENA_EXPORTED;
    arena->reset_generation = ++arena->generation;
    arena->floor_count = 0;
    if (arena->first) sophia_arena_enter(arena, arena->first);
    sophia_arena_hide(arena);
    return SOPHIA_ARENA_OK;
}

/* Back to where a mark was taken: `chunk` (NULL: before the first), `position`, `generation` as they were. */
static int sophia_arena_rewind(sophia_arena *arena, sophia_chunk *chunk, size_t position, uint64_t generation)
{
    if (generation < arena->reset_generation) return SOPHIA_ARENA_STALE;
    if (position > sophia_arena_floor(arena, generation)) return SOPHIA_ARENA_STALE;
    if (arena->exports) return SOPHIA_ARENA_EXPORTED;
    size_t count = arena->floor_count;
    while (count && arena->floors[count - 1].position >= position) count--;
    if (count == arena->floor_room) {
        /* One entry for each kept block below a rewind at most, so this memory is bounded by the arena's. */
        const size_t room = arena->floor_room ? arena->floor_room * 2 : 64;
        sophia_floor *floors = (sophia_floor *)realloc(arena->floors, room * sizeof(sophia_floor));
        if (!floors) return SOPHIA_ARENA_NO_MEMORY;
        arena->floors = floors;
        arena->floor_room = room;
    }
    arena->generation++;
    arena->floors[count].generation = arena->generation;
    arena->floors[count].position = position;
    arena->floor_count = count + 1;
    if (!chunk) chunk = arena->first;
    if (chunk) {
        sophia_arena_enter(arena, chunk);
        arena->cursor += position - chunk->base;
    }
    sophia_arena_hide(arena);
    return SOPHIA_ARENA_OK;
}

#endif

/* One fault of each kind, on purpose: `sanitized.py` insists that each is reported before it believes a clean run.
 *
 * The faults go through the core's own allocators, so they also show that a kept block or a rewound arena hides
 * nothing from the sanitizer.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool.h"

static volatile unsigned char sink;

static unsigned char *taken(sophia_arena *arena, size_t bytes)
{
    void *block = NULL;
    size_t position;
    if (sophia_arena_take(arena, bytes, &block, &position)) abort();
    return (unsigned char *)block;
}

/* Each returns to its caller only in a build that watches nothing. */
void sophia_fault_past_the_end(int size)
{
    unsigned char *block = (unsigned char *)calloc(1, (size_t)size);
    sink = block[size];
    free(block);
}

void sophia_fault_given_back(int size)
{
    unsigned char *block = (unsigned char *)sophia_pool_take(64 * (size_t)size);
    block[0] = 1;
    sophia_pool_give(block, 64 * (size_t)size);
    sink = block[0];
}

void sophia_fault_rewound(int size)
{
    sophia_arena arena;
    sophia_arena_init(&arena, 1 << 16, SIZE_MAX);
    unsigned char *first = taken(&arena, (size_t)size);
    unsigned char *second = taken(&arena, (size_t)size);
    sophia_arena_rewind(&arena, arena.first, 64, 1);
    first[0] = 1;
    sink = second[0];
    sophia_arena_close(&arena);
}

void sophia_fault_overflow(int size)
{
    volatile int sum = INT32_MAX;
    sum = sum + size;
    sink = (unsigned char)(sum >> 8);
}

void sophia_fault_misaligned(int size)
{
    uint64_t words[2] = {0, 0};
    sink = (unsigned char)*(volatile uint64_t *)((unsigned char *)words + (size & 7));
}

void sophia_fault_leak(int size)
{
    void *volatile block = malloc((size_t)size);
    block = NULL;
    (void)block;
}

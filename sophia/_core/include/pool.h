/* Per-thread free lists of 64-byte aligned blocks, for fresh results.
 *
 * Ownership: a block from sophia_pool_take() belongs to the caller until it is given back with the same size,
 * by any thread; it then joins that thread's list. Bounds a thread: SOPHIA_POOL_CLASSES sizes, each
 * SOPHIA_POOL_BLOCKS blocks and SOPHIA_POOL_BYTES bytes; what exceeds them goes back to the system. A
 * thread's list is freed when the thread ends. Needs neither the GIL nor a lock.
 * Include in one compiled module only: the lists are static.
 */
#ifndef SOPHIA_POOL_H
#define SOPHIA_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "arena.h"
#include "sanitize.h"

#define SOPHIA_POOL_CLASSES 8u
#if SOPHIA_ASAN
#define SOPHIA_POOL_BLOCKS 0u /* a kept block would hide a use after free from the sanitizer */
#else
#define SOPHIA_POOL_BLOCKS 64u
#endif
#define SOPHIA_POOL_BYTES ((size_t)1 << 20)

typedef struct {
    size_t size;
    size_t count;
    void *blocks[64];
} sophia_pool_class;

typedef struct {
    uint64_t hits, misses;
    sophia_pool_class classes[SOPHIA_POOL_CLASSES];
} sophia_pool;

/* Blocks a size keeps, at most SOPHIA_POOL_BLOCKS; the same for all threads. */
static _Atomic size_t sophia_pool_keep = SOPHIA_POOL_BLOCKS;

static _Thread_local sophia_pool *sophia_pool_here;
static pthread_key_t sophia_pool_key;
static pthread_once_t sophia_pool_once = PTHREAD_ONCE_INIT;

static void sophia_pool_drain(void *memory)
{
    sophia_pool *pool = (sophia_pool *)memory;
    for (size_t i = 0; i < SOPHIA_POOL_CLASSES; i++) {
        while (pool->classes[i].count) free(pool->classes[i].blocks[--pool->classes[i].count]);
    }
    free(pool);
    sophia_pool_here = NULL;
}

static void sophia_pool_make_key(void)
{
    (void)pthread_key_create(&sophia_pool_key, sophia_pool_drain);
}

/* This thread's pool, or NULL when there is no memory for one (blocks then come from the system). */
static sophia_pool *sophia_pool_get(void)
{
    if (sophia_pool_here) return sophia_pool_here;
    pthread_once(&sophia_pool_once, sophia_pool_make_key);
    sophia_pool *pool = (sophia_pool *)calloc(1, sizeof(sophia_pool));
    if (!pool || pthread_setspecific(sophia_pool_key, pool)) {
        free(pool);
        return NULL;
    }
    sophia_pool_here = pool;
    return pool;
}

static inline sophia_pool_class *sophia_pool_find(sophia_pool *pool, size_t size)
{
    for (size_t i = 0; i < SOPHIA_POOL_CLASSES; i++) {
        if (pool->classes[i].size == size) return &pool->classes[i];
    }
    return NULL;
}

/* `size` bytes (a multiple of 64), uninitialised, 64-byte aligned; NULL without memory. */
static inline void *sophia_pool_take(size_t size)
{
    sophia_pool *pool = sophia_pool_get();
    if (pool) {
        sophia_pool_class *class_ = sophia_pool_find(pool, size);
        if (class_ && class_->count) {
            pool->hits++;
            return class_->blocks[--class_->count];
        }
        pool->misses++;
    }
    void *block = NULL;
    return posix_memalign(&block, SOPHIA_ALIGNMENT, size) ? NULL : block;
}

/* The bound from now on; lists that are longer shrink as they are used. */
static inline size_t sophia_pool_set_keep(size_t blocks)
{
    const size_t most = SOPHIA_POOL_BLOCKS;
    return atomic_exchange(&sophia_pool_keep, blocks < most ? blocks : most);
}

static inline void sophia_pool_give(void *block, size_t size)
{
    if (!block) return;
    sophia_pool *pool = sophia_pool_get();
    if (pool) {
        sophia_pool_class *class_ = sophia_pool_find(pool, size);
        for (size_t i = 0; !class_ && i < SOPHIA_POOL_CLASSES; i++) {
            if (!pool->classes[i].count) {
                class_ = &pool->classes[i];
                class_->size = size;
            }
        }
        if (class_ && class_->count < atomic_load_explicit(&sophia_pool_keep, memory_order_relaxed)
            && class_->count < SOPHIA_POOL_BYTES / size) {
            class_->blocks[class_->count++] = block;
            return;
        }
    }
    free(block);
}

#endif

/* A frozen vector in one reference-counted block that native workers share without the GIL.
 *
 * Ownership: sophia_shared_new() gives one reference. Who keeps a pointer retains; the last release frees.
 * Bytes are written before the first retain and never after. Include where pool.h may be included.
 */
#ifndef SOPHIA_SHARED_H
#define SOPHIA_SHARED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hash.h"
#include "pool.h"

typedef struct {
    _Atomic uint64_t references;
    _Atomic uint64_t digest, hash; /* 0: not computed yet */
    uint64_t key;                  /* of `digest` */
    size_t dim, bytes, payload;    /* `bytes` is padded to 64; the first `payload` of them carry the vector */
    uint32_t model;
    uint32_t reserved;
} sophia_shared; /* 64 bytes; the vector follows, 64-byte aligned */

_Static_assert(sizeof(sophia_shared) == SOPHIA_ALIGNMENT, "the vector must start on its own cache line");

static inline unsigned char *sophia_shared_bytes(sophia_shared *block)
{
    return (unsigned char *)(block + 1);
}

static sophia_shared *sophia_shared_new(uint32_t model, size_t dim, size_t bytes, size_t payload,
                                        uint64_t key)
{
    sophia_shared *block = (sophia_shared *)sophia_pool_take(sizeof(sophia_shared) + bytes);
    if (!block) return NULL;
    atomic_init(&block->references, 1);
    atomic_init(&block->digest, 0);
    atomic_init(&block->hash, 0);
    block->key = key;
    block->dim = dim;
    block->bytes = bytes;
    block->payload = payload;
    block->model = model;
    block->reserved = 0;
    return block;
}

static inline void sophia_shared_retain(sophia_shared *block)
{
    atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
}

static inline void sophia_shared_release(sophia_shared *block)
{
    if (atomic_fetch_sub_explicit(&block->references, 1, memory_order_release) != 1) return;
    atomic_thread_fence(memory_order_acquire);
    sophia_pool_give(block, sizeof(sophia_shared) + block->bytes);
}

static inline uint64_t sophia_shared_references(const sophia_shared *block)
{
    return atomic_load_explicit(&((sophia_shared *)block)->references, memory_order_relaxed);
}

/* 64 bits over model, dimension and vector; never 0. Model and dimension enter the key, so that equal bytes
 * of two models or two lengths do not share a digest. */
static uint64_t sophia_vector_digest(const void *data, size_t payload, uint32_t model, size_t dim,
                                     uint64_t key)
{
    const uint64_t domain = sophia_fold(sophia_mix64(key ^ SOPHIA_MIX_B),
                                        sophia_mix64(model + SOPHIA_MIX_C) | 1);
    const sophia_hash128 hash = sophia_hash_bytes(data, payload,
                                                  domain ^ sophia_mix64((uint64_t)dim + SOPHIA_MIX_D));
    return hash.low ? hash.low : 1;
}

/* Computed once; two threads that meet here compute the same value. */
static uint64_t sophia_shared_digest(sophia_shared *block)
{
    uint64_t digest = atomic_load_explicit(&block->digest, memory_order_relaxed);
    if (digest) return digest;
    digest = sophia_vector_digest(sophia_shared_bytes(block), block->payload, block->model, block->dim,
                                  block->key);
    atomic_store_explicit(&block->digest, digest, memory_order_relaxed);
    return digest;
}

/* As the digest under key 0: equal vectors hash alike whatever key their digest has. */
static uint64_t sophia_shared_hash(sophia_shared *block)
{
    if (!block->key) return sophia_shared_digest(block);
    uint64_t hash = atomic_load_explicit(&block->hash, memory_order_relaxed);
    if (hash) return hash;
    hash = sophia_vector_digest(sophia_shared_bytes(block), block->payload, block->model, block->dim, 0);
    atomic_store_explicit(&block->hash, hash, memory_order_relaxed);
    return hash;
}

#endif

/* A bounded work-stealing deque: its owner puts and takes at one end, thieves take at the other.
 *
 * D. Chase, Y. Lev, "Dynamic circular work-stealing deque" (SPAA 2005), with the orders of N. M. Le et al., "Correct
 * and efficient work-stealing for weak memory models" (PPoPP 2013); here the two places where they have a fence are
 * sequentially consistent accesses, which every tool understands. The buffer never grows: nothing is ever exchanged
 * under a thief, and what finds no room goes elsewhere. Items are pointers, never NULL; the deque owns none.
 */
#ifndef SOPHIA_DEQUE_H
#define SOPHIA_DEQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "atomics.h"

typedef struct {
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(int64_t) top;    /* the next to be stolen */
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(int64_t) bottom; /* where the owner puts the next */
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(void *) *items;
    int64_t mask;
} sophia_deque;

/* `capacity` is a power of two; false without memory. */
static inline bool sophia_deque_open(sophia_deque *deque, size_t capacity)
{
    SOPHIA_INIT(&deque->top, 0);
    SOPHIA_INIT(&deque->bottom, 0);
    deque->mask = (int64_t)capacity - 1;
    deque->items = (SOPHIA_ATOMIC(void *) *)calloc(capacity, sizeof(*deque->items));
    return deque->items != NULL;
}

static inline void sophia_deque_close(sophia_deque *deque)
{
    free((void *)deque->items);
    deque->items = NULL;
}

/* Owner only. False where there is no room. */
static inline bool sophia_deque_push(sophia_deque *deque, void *item)
{
    const int64_t bottom = SOPHIA_LOAD(&deque->bottom, relaxed);
    const int64_t top = SOPHIA_LOAD(&deque->top, acquire);
    if (bottom - top > deque->mask) return false;
    SOPHIA_STORE(&deque->items[bottom & deque->mask], item, relaxed);
    SOPHIA_STORE(&deque->bottom, bottom + 1, release);
    return true;
}

/* Owner only: what it put last. NULL when nothing is left. */
static inline void *sophia_deque_take(sophia_deque *deque)
{
    const int64_t bottom = SOPHIA_LOAD(&deque->bottom, relaxed) - 1;
#ifdef SOPHIA_BUG_FENCE_TAKE
    SOPHIA_STORE(&deque->bottom, bottom, release);
#else
    SOPHIA_STORE(&deque->bottom, bottom, seq_cst); /* before the load of the top: a thief must see one or the other */
#endif
    int64_t top = SOPHIA_LOAD(&deque->top, seq_cst);
    void *item = NULL;
    if (top <= bottom) {
        item = SOPHIA_LOAD(&deque->items[bottom & deque->mask], relaxed);
        if (top < bottom) return item;
#ifndef SOPHIA_BUG_DEQUE_CAS
        if (!SOPHIA_CAS(&deque->top, &top, top + 1, seq_cst)) item = NULL; /* the last one: a thief was faster */
#else
        SOPHIA_STORE(&deque->top, top + 1, seq_cst);
#endif
    }
    SOPHIA_STORE(&deque->bottom, bottom + 1, relaxed);
    return item;
}

/* Any thread: what the owner put first. NULL when there is nothing; `lost` tells where another was faster, so that
 * there may be more. */
static inline void *sophia_deque_steal(sophia_deque *deque, bool *lost)
{
    *lost = false;
    int64_t top = SOPHIA_LOAD(&deque->top, seq_cst);
    const int64_t bottom = SOPHIA_LOAD(&deque->bottom, seq_cst);
    if (top >= bottom) return NULL;
    void *item = SOPHIA_LOAD(&deque->items[top & deque->mask], relaxed);
    if (SOPHIA_CAS(&deque->top, &top, top + 1, seq_cst)) return item;
    *lost = true;
    return NULL;
}

/* Items in the deque, about now. */
static inline size_t sophia_deque_count(sophia_deque *deque)
{
    const int64_t top = SOPHIA_LOAD(&deque->top, acquire);
    const int64_t bottom = SOPHIA_LOAD(&deque->bottom, acquire);
    return bottom > top ? (size_t)(bottom - top) : 0;
}

#endif

/* A bounded queue of small messages for any number of senders and receivers; nobody waits for a lock.
 *
 * D. Vyukov, "Bounded MPMC queue" (1024cores.net): each slot has the turn at which it may be written or read, so a
 * sender takes a place with one compare-and-swap and publishes it with one store. A message is 24 bytes of the
 * caller's; what they point to is the caller's to own. Messages of one sender keep their order.
 *
 * sophia_ring_pop() says that the ring is empty also while the message at its head is still being written; its sender
 * has not returned then, and must tell the receiver afterwards. Messages behind it wait with it, so that its sender may
 * make several of them readable at once, and tells once: where receivers sleep, one that leaves a message behind
 * (sophia_ring_ready()) wakes the next. sophia_ring_push() says full also while the receiver of the oldest message
 * still reads it.
 */
#ifndef SOPHIA_RING_H
#define SOPHIA_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "atomics.h"

#define SOPHIA_MESSAGE_WORDS 3
#define SOPHIA_RING_MOST ((size_t)1 << 20)

typedef struct {
    uint64_t words[SOPHIA_MESSAGE_WORDS];
} sophia_message;

typedef struct {
    SOPHIA_ATOMIC(uint64_t) turn; /* of the slot's place: free to write; place + 1: to read */
    sophia_message message;
} sophia_slot;

typedef struct {
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(uint64_t) tail; /* places taken by senders */
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(uint64_t) head; /* places taken by receivers */
    _Alignas(SOPHIA_LINE) sophia_slot *slots;
    uint64_t mask;
} sophia_ring;

/* `capacity` is a power of two from 2 to SOPHIA_RING_MOST; false without memory. */
static inline bool sophia_ring_open(sophia_ring *ring, size_t capacity)
{
    ring->mask = capacity - 1;
    SOPHIA_INIT(&ring->tail, 0);
    SOPHIA_INIT(&ring->head, 0);
    ring->slots = (sophia_slot *)aligned_alloc(SOPHIA_LINE, capacity * sizeof(sophia_slot));
    if (!ring->slots) return false;
    for (size_t i = 0; i < capacity; i++) SOPHIA_INIT(&ring->slots[i].turn, i);
    return true;
}

/* When no thread uses the ring any more; messages that are still in it are forgotten. */
static inline void sophia_ring_close(sophia_ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
}

/* Free slots from `place` on, at most `n`: free until the tail moves past them. */
static inline size_t sophia_ring_free_from(sophia_ring *ring, uint64_t place, size_t n, int64_t *late)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t turn = SOPHIA_LOAD(&ring->slots[(place + i) & ring->mask].turn, acquire);
        *late = (int64_t)(turn - (place + i));
        if (*late) return i;
    }
    return n;
}

/* How many of `messages`, from the first on, found room; they follow each other in the ring. */
static inline size_t sophia_ring_push_many(sophia_ring *ring, const sophia_message *messages, size_t n)
{
    if (!n) return 0;
    if (n > ring->mask + 1) n = (size_t)ring->mask + 1;
    uint64_t place = SOPHIA_LOAD(&ring->tail, relaxed);
    for (;;) {
        int64_t late = 0;
        const size_t room = sophia_ring_free_from(ring, place, n, &late);
        if (room) {
            if (!SOPHIA_CAS(&ring->tail, &place, place + room, relaxed)) continue;
            for (size_t i = 0; i < room; i++) {
                sophia_slot *slot = &ring->slots[(place + i) & ring->mask];
                for (int w = 0; w < SOPHIA_MESSAGE_WORDS; w++) {
                    SOPHIA_PUT(&slot->message.words[w], messages[i].words[w]);
                }
#ifdef SOPHIA_BUG_PUBLISH
                SOPHIA_STORE(&slot->turn, place + i + 1, relaxed);
#else
                SOPHIA_STORE(&slot->turn, place + i + 1, release);
#endif
            }
            return room;
        }
        if (late < 0) return 0;
        place = SOPHIA_LOAD(&ring->tail, relaxed); /* another sender was here */
    }
}

static inline bool sophia_ring_push(sophia_ring *ring, const sophia_message *message)
{
    return sophia_ring_push_many(ring, message, 1) == 1;
}

/* Takes up to `n` messages, the oldest first; how many. */
static inline size_t sophia_ring_pop_many(sophia_ring *ring, sophia_message *messages, size_t n)
{
    uint64_t place = SOPHIA_LOAD(&ring->head, relaxed);
    for (;;) {
        int64_t late = 0;
        size_t ready = 0;
        while (ready < n) {
            const uint64_t turn = SOPHIA_LOAD(&ring->slots[(place + ready) & ring->mask].turn, acquire);
            late = (int64_t)(turn - (place + ready + 1));
            if (late) break;
            ready++;
        }
        if (ready) {
            if (!SOPHIA_CAS(&ring->head, &place, place + ready, relaxed)) continue;
            for (size_t i = 0; i < ready; i++) {
                sophia_slot *slot = &ring->slots[(place + i) & ring->mask];
                for (int w = 0; w < SOPHIA_MESSAGE_WORDS; w++) {
                    messages[i].words[w] = SOPHIA_GET(&slot->message.words[w]);
                }
                SOPHIA_STORE(&slot->turn, place + i + ring->mask + 1, release);
            }
            return ready;
        }
        if (late <= 0) return 0;
        place = SOPHIA_LOAD(&ring->head, relaxed); /* another receiver was here */
    }
}

static inline bool sophia_ring_pop(sophia_ring *ring, sophia_message *message)
{
    return sophia_ring_pop_many(ring, message, 1) == 1;
}

/* Whether a pop would find a message now; not while the one at the head is still being written. */
static inline bool sophia_ring_ready(sophia_ring *ring)
{
    for (;;) {
        const uint64_t place = SOPHIA_LOAD(&ring->head, relaxed);
        const uint64_t turn = SOPHIA_LOAD(&ring->slots[place & ring->mask].turn, acquire);
        const int64_t late = (int64_t)(turn - (place + 1));
        if (late <= 0) return late == 0; /* otherwise another receiver was here, and there may be a next one */
    }
}

/* Messages in the ring, or being written or read, about now. */
static inline size_t sophia_ring_count(sophia_ring *ring)
{
    const uint64_t head = SOPHIA_LOAD(&ring->head, acquire);
    const uint64_t tail = SOPHIA_LOAD(&ring->tail, acquire);
    return tail > head ? (size_t)(tail - head) : 0;
}

#endif

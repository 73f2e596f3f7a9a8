/* A kernel actor: state that only its handler touches, and a bounded mailbox of 24-byte messages before it.
 *
 * Senders put a message into the mailbox and make the actor runnable if it is not. One worker at a time runs it, up to
 * SOPHIA_ACTOR_BUDGET messages, then it goes to the end of a queue: so a busy actor starves no other. Messages of one
 * sender are handled in their order. What messages point to belongs to the handler, which gets each message once, also
 * when the workers are abandoned (then it only lets go of it, and says false).
 *
 * An actor may be freed when nobody sends any more and sophia_actor_wait() has returned.
 */
#ifndef SOPHIA_ACTOR_H
#define SOPHIA_ACTOR_H

#include "ring.h"
#include "schedule.h"
#include "workers.h"

#ifndef SOPHIA_ACTOR_BUDGET
#define SOPHIA_ACTOR_BUDGET 64
#endif

typedef struct sophia_actor {
    sophia_runnable runnable; /* first: what the workers know of it */
    bool (*handle)(struct sophia_actor *actor, const sophia_message *message, sophia_workers *workers);
    void *state;
    sophia_ring mailbox;
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(uint64_t) woken; /* times that a sender made it runnable */
    SOPHIA_ATOMIC(uint64_t) sent;
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(uint64_t) rested; /* times that a worker was through with it: its last touch */
    SOPHIA_ATOMIC(uint64_t) handled, dropped;
} sophia_actor;

static int sophia_actor_run(sophia_runnable *runnable, sophia_workers *workers)
{
    sophia_actor *actor = (sophia_actor *)runnable;
    sophia_message message;
    for (int budget = SOPHIA_ACTOR_BUDGET; budget; budget--) {
        if (!sophia_ring_pop(&actor->mailbox, &message)) {
            /* A message that is still being written is not waited for: a sender that has no core would keep us busy. */
            if (!sophia_rests(&actor->runnable.scheduled, &actor->mailbox, 1)) return SOPHIA_AGAIN;
            (void)SOPHIA_ADD(&actor->rested, 1, seq_cst);
            (void)sophia_park_notify(&workers->ends, INT32_MAX);
            return SOPHIA_THROUGH;
        }
        sophia_count(actor->handle(actor, &message, workers) ? &actor->handled : &actor->dropped);
    }
    return SOPHIA_AGAIN;
}

/* False: the mailbox is full, and the message still the caller's. Any thread. */
static inline bool sophia_actor_send(sophia_actor *actor, const sophia_message *message, sophia_workers *workers)
{
    if (!sophia_ring_push(&actor->mailbox, message)) return false;
    (void)SOPHIA_ADD(&actor->sent, 1, relaxed);
    if (sophia_schedule(&actor->runnable.scheduled)) {
        (void)SOPHIA_ADD(&actor->woken, 1, seq_cst);
        sophia_workers_wake(workers, &actor->runnable);
    }
    return true;
}

/* Until all that was sent is handled or dropped, and no worker touches the actor. */
static void sophia_actor_wait(sophia_actor *actor, sophia_workers *workers)
{
    for (;;) {
        const uint32_t epoch = sophia_park_prepare(&workers->ends);
        if (SOPHIA_LOAD(&actor->rested, seq_cst) == SOPHIA_LOAD(&actor->woken, seq_cst)) break;
        sophia_park_wait(&workers->ends, epoch, -1);
    }
    sophia_park_cancel(&workers->ends);
}

/* `capacity` is a power of two; NULL without memory. */
static sophia_actor *sophia_actor_new(bool (*handle)(sophia_actor *, const sophia_message *, sophia_workers *),
                                      void *state, size_t capacity, int32_t home)
{
    sophia_actor *actor = (sophia_actor *)aligned_alloc(SOPHIA_LINE, sizeof *actor);
    if (!actor) return NULL;
    memset(actor, 0, sizeof *actor);
    actor->runnable.run = sophia_actor_run;
    actor->runnable.home = home;
    actor->handle = handle;
    actor->state = state;
    if (sophia_ring_open(&actor->mailbox, capacity)) return actor;
    free(actor);
    return NULL;
}

static void sophia_actor_free(sophia_actor *actor)
{
    sophia_ring_close(&actor->mailbox);
    free(actor);
}

#endif

/* One word an actor: whether it is in somebody's hands. So it is in one run queue at most, and one thread runs it.
 *
 * A sender first puts its message where the actor looks, then calls sophia_schedule(): who gets true must make the
 * actor runnable. Who runs it and finds nothing more calls sophia_rest(), and then looks once more: what came between
 * the two saw a scheduled actor and did nothing. A second true from sophia_schedule() means that it is still ours.
 * sophia_rests() is all of this for an actor whose messages are in rings.
 */
#ifndef SOPHIA_SCHEDULE_H
#define SOPHIA_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "atomics.h"
#include "ring.h"

typedef SOPHIA_ATOMIC(uint32_t) sophia_scheduled;

static inline bool sophia_schedule(sophia_scheduled *word)
{
    return SOPHIA_EXCHANGE(word, 1, seq_cst) == 0;
}

/* The exchange, not a store: it is ordered before the look that follows. */
static inline void sophia_rest(sophia_scheduled *word)
{
    (void)SOPHIA_EXCHANGE(word, 0, seq_cst);
}

/* About now. */
static inline bool sophia_is_scheduled(sophia_scheduled *word)
{
    return SOPHIA_LOAD(word, seq_cst) != 0;
}

/* Rests, and looks into the actor's `n` rings once more; false where the actor is still ours and must be run again.
 *
 * A message that is still being written is not waited for: its sender schedules the actor afterwards. */
static inline bool sophia_rests(sophia_scheduled *word, sophia_ring *rings, size_t n)
{
    sophia_rest(word);
#ifndef SOPHIA_BUG_RECHECK
    for (size_t i = 0; i < n; i++) {
        if (sophia_ring_ready(&rings[i])) return !sophia_schedule(word);
    }
#else
    (void)rings, (void)n;
#endif
    return true;
}

#endif

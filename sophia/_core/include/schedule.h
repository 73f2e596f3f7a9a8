/* One word an actor: whether it is in somebody's hands. So it is in one run queue at most, and one thread runs it.
 *
 * A sender first puts its message where the actor looks, then calls sophia_schedule(): who gets true must make the
 * actor runnable. Who runs it and finds nothing more calls sophia_rest(), and then looks once more: what came between
 * the two saw a scheduled actor and did nothing. A second true from sophia_schedule() means that it is still ours.
 */
#ifndef SOPHIA_SCHEDULE_H
#define SOPHIA_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "atomics.h"

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

#endif

/* Asking for a line of memory before it is read: the tables are larger than the caches. */
#ifndef SOPHIA_AHEAD_H
#define SOPHIA_AHEAD_H

static inline void sophia_ahead(const void *place)
{
    __builtin_prefetch(place);
    /* GCC holds what does nothing but prefetch for pure, and drops whole loops and calls of it. */
    __asm__ volatile("");
}

#endif

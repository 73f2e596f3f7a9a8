/* The time, to about a millisecond or four, for less than ten nanoseconds where the system has such a clock. */
#ifndef SOPHIA_MOMENT_H
#define SOPHIA_MOMENT_H

#include <stdint.h>
#include <time.h>

static inline int64_t sophia_coarse_now(void)
{
    struct timespec now;
#ifdef CLOCK_MONOTONIC_COARSE
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif

/* Where threads sleep until there is something to do: an event count on a futex, elsewhere on a condition variable.
 *
 * Who wants to sleep: sophia_park_prepare(), look for work once more, then sophia_park_wait() or, if there is some,
 * sophia_park_cancel(). Who has made work visible: sophia_park_notify(). Whatever the order of the two, either the
 * first sees the work or the second sees the sleeper: of the two fences one comes first, and the epoch is read before
 * the look.
 * Nobody spins: on few cores that takes the time from the one who is waited for.
 */
#ifndef SOPHIA_PARK_H
#define SOPHIA_PARK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "atomics.h"

#ifndef SOPHIA_PARK_FUTEX
#ifdef __linux__
#define SOPHIA_PARK_FUTEX 1
#else
#define SOPHIA_PARK_FUTEX 0
#endif
#endif

#if SOPHIA_PARK_FUTEX
#ifndef SOPHIA_FUTEX_WAIT /* SOPHIA_ATOMICS brings its own */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
long syscall(long number, ...); /* hidden by strict POSIX */
#define SOPHIA_FUTEX_WAIT(word, value, limit) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, limit, NULL, 0)
#define SOPHIA_FUTEX_WAKE(word, n) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0)
#endif
#else
#include <pthread.h>
#endif

typedef struct {
    SOPHIA_ATOMIC(uint32_t) epoch;    /* of notifications */
    SOPHIA_ATOMIC(uint32_t) sleepers; /* that sleep, or are about to */
#if !SOPHIA_PARK_FUTEX
    pthread_mutex_t mutex;
    pthread_cond_t changed;
#endif
} sophia_park;

static inline void sophia_park_open(sophia_park *park)
{
    SOPHIA_INIT(&park->epoch, 0);
    SOPHIA_INIT(&park->sleepers, 0);
#if !SOPHIA_PARK_FUTEX
    pthread_mutex_init(&park->mutex, NULL);
    pthread_cond_init(&park->changed, NULL);
#endif
}

/* When nobody sleeps there. */
static inline void sophia_park_close(sophia_park *park)
{
#if !SOPHIA_PARK_FUTEX
    pthread_cond_destroy(&park->changed);
    pthread_mutex_destroy(&park->mutex);
#else
    (void)park;
#endif
}

/* The epoch to give to sophia_park_wait(). */
static inline uint32_t sophia_park_prepare(sophia_park *park)
{
    (void)SOPHIA_ADD(&park->sleepers, 1, seq_cst);
    SOPHIA_FENCE();
    return SOPHIA_LOAD(&park->epoch, seq_cst);
}

static inline void sophia_park_cancel(sophia_park *park)
{
    (void)SOPHIA_SUB(&park->sleepers, 1, seq_cst);
}

#if SOPHIA_PARK_FUTEX
static inline void sophia_park_sleep(sophia_park *park, uint32_t epoch, const struct timespec *limit)
{
    (void)SOPHIA_FUTEX_WAIT(&park->epoch, epoch, limit);
}

static inline void sophia_park_wake(sophia_park *park, int n)
{
    (void)SOPHIA_ADD(&park->epoch, 1, seq_cst);
    (void)SOPHIA_FUTEX_WAKE(&park->epoch, n);
}
#else
static inline void sophia_park_sleep(sophia_park *park, uint32_t epoch, const struct timespec *limit)
{
    struct timespec until;
    if (limit) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += limit->tv_sec + (until.tv_nsec + limit->tv_nsec) / 1000000000L;
        until.tv_nsec = (until.tv_nsec + limit->tv_nsec) % 1000000000L;
    }
    pthread_mutex_lock(&park->mutex);
    int late = 0;
    while (SOPHIA_LOAD(&park->epoch, seq_cst) == epoch && !late) {
        late = limit ? pthread_cond_timedwait(&park->changed, &park->mutex, &until)
                     : pthread_cond_wait(&park->changed, &park->mutex);
    }
    pthread_mutex_unlock(&park->mutex);
}

static inline void sophia_park_wake(sophia_park *park, int n)
{
    pthread_mutex_lock(&park->mutex);
    (void)SOPHIA_ADD(&park->epoch, 1, seq_cst);
    if (n == 1) pthread_cond_signal(&park->changed);
    else pthread_cond_broadcast(&park->changed);
    pthread_mutex_unlock(&park->mutex);
}
#endif

/* Sleeps until the epoch is another, for `nanoseconds` at most (negative: for as long as it takes). May return early:
 * look for work, and prepare again. */
static inline void sophia_park_wait(sophia_park *park, uint32_t epoch, int64_t nanoseconds)
{
    struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    sophia_park_sleep(park, epoch, nanoseconds < 0 ? NULL : &limit);
    sophia_park_cancel(park);
}

/* Wakes up to `n` of those who sleep; true where there was one. After the work has been made visible. */
static inline bool sophia_park_notify(sophia_park *park, int n)
{
#ifndef SOPHIA_BUG_FENCE_NOTIFY
    SOPHIA_FENCE();
#endif
    if (!SOPHIA_LOAD(&park->sleepers, seq_cst)) return false;
    sophia_park_wake(park, n);
    return true;
}

#endif

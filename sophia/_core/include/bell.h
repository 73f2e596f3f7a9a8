/* How native threads call an event loop: one descriptor, written to once for any number of results.
 *
 * Who has put something where the loop will look rings; the loop, when its descriptor can be read, first silences the
 * bell, then looks. So whatever is put there after it looked rings again. An eventfd on Linux, a pipe elsewhere.
 */
#ifndef SOPHIA_BELL_H
#define SOPHIA_BELL_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "atomics.h"

#ifndef SOPHIA_BELL_EVENTFD
#ifdef __linux__
#define SOPHIA_BELL_EVENTFD 1
#else
#define SOPHIA_BELL_EVENTFD 0
#endif
#endif

#if SOPHIA_BELL_EVENTFD
#include <sys/eventfd.h>
#endif

typedef struct {
    int ear, hammer;                /* the loop's end, the threads' end; one descriptor where there is eventfd */
    SOPHIA_ATOMIC(uint32_t) ringing; /* it was rung and not silenced */
    SOPHIA_ATOMIC(uint64_t) rung;    /* times that the descriptor was written to */
} sophia_bell;

/* False, with errno, where the system gives no descriptor. */
static inline bool sophia_bell_open(sophia_bell *bell)
{
    SOPHIA_INIT(&bell->ringing, 0);
    SOPHIA_INIT(&bell->rung, 0);
    bell->ear = bell->hammer = -1;
#if SOPHIA_BELL_EVENTFD
    bell->ear = bell->hammer = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return bell->ear >= 0;
#else
    int ends[2];
    if (pipe(ends)) return false;
    for (int i = 0; i < 2; i++) {
        (void)fcntl(ends[i], F_SETFL, O_NONBLOCK);
        (void)fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    }
    bell->ear = ends[0];
    bell->hammer = ends[1];
    return true;
#endif
}

/* When no thread rings any more. */
static inline void sophia_bell_close(sophia_bell *bell)
{
    if (bell->hammer != bell->ear) (void)close(bell->hammer);
    if (bell->ear >= 0) (void)close(bell->ear);
    bell->ear = bell->hammer = -1;
}

static inline void sophia_bell_ring(sophia_bell *bell)
{
    if (SOPHIA_EXCHANGE(&bell->ringing, 1, seq_cst)) return;
    (void)SOPHIA_ADD(&bell->rung, 1, relaxed);
    const uint64_t one = 1;
    while (write(bell->hammer, &one, sizeof one) < 0 && errno == EINTR) {}
}

/* Times that the descriptor was written to. */
static inline uint64_t sophia_bell_rung(sophia_bell *bell) { return SOPHIA_LOAD(&bell->rung, relaxed); }

static inline void sophia_bell_silence(sophia_bell *bell)
{
    uint64_t much[8];
    ssize_t got;
    do got = read(bell->ear, much, sizeof much);
    while (got == (ssize_t)sizeof much || (got < 0 && errno == EINTR));
    (void)SOPHIA_EXCHANGE(&bell->ringing, 0, seq_cst);
}

#endif

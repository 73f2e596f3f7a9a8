/* Native threads that share their work: one a core, each with a deque of its own, and all steal from all.
 *
 * What is queued, stolen and run is a *runnable*: a job that is run once, or an actor with its mailbox (schedule.h
 * keeps an actor in one queue and one thread's hands at most). From outside a runnable goes to the inbox of its home
 * worker, if it has one, else to the ring that all share. A worker looks in its deque, its inbox, the shared ring, what
 * found no room, then in the deques of all others from a random one on, and in the inboxes of those that are busy. Of
 * the shared ring it takes several at once and puts them into its deque, where they can be stolen.
 *
 * Nobody spins. Who makes work visible wakes one sleeper at most, and none while a woken worker still searches: that
 * one, when it has found something and sees more, wakes the next. Where jobs come faster than a thread can be put to
 * sleep and woken, which costs more than many of them, a worker that finds nothing naps for 20 us before it sleeps: it
 * wakes by itself, so that nobody pays for that, and finds what has come. Every ring is bounded: what finds no room is
 * refused, or, being an actor, hung on a list that needs no room.
 *
 * Ownership: runnables are the caller's; each is run until it says that it is through with. Threads other than workers
 * may call submit, wake and the counters at any time between open and free; close belongs to one.
 */
#ifndef SOPHIA_WORKERS_H
#define SOPHIA_WORKERS_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
long syscall(long number, ...); /* hidden by strict POSIX */
#endif

#include "atomics.h"
#include "deque.h"
#include "park.h"
#include "ring.h"
#include "schedule.h"

#define SOPHIA_WORKERS_MOST 1024
#define SOPHIA_INBOX_ROOM 256
#define SOPHIA_DEQUE_ROOM 256
#define SOPHIA_TAKE_MOST 8   /* runnables from the shared ring at once */
#define SOPHIA_BRIEF 5000    /* nanoseconds: a sleep that was as short was not worth it */
#define SOPHIA_NAP 20000     /* nanoseconds */
#define SOPHIA_FAIR_TURNS 61 /* so often the shared ring comes before the deque, whose owner could keep it filled */

/* What a run says: the runnable is through, and may be gone; or it is to be queued once more. */
enum { SOPHIA_THROUGH, SOPHIA_AGAIN };

enum { SOPHIA_TAKEN, SOPHIA_FULL, SOPHIA_CLOSED }; /* what a submission says */

typedef struct sophia_workers sophia_workers;

typedef struct sophia_runnable {
    int (*run)(struct sophia_runnable *runnable, sophia_workers *workers);
    struct sophia_runnable *next; /* in the list of what found no room */
    sophia_scheduled scheduled;   /* an actor's; see schedule.h */
    int32_t home;                 /* the worker that is to run it if it can; negative: any */
} sophia_runnable;

typedef struct {
    sophia_deque deque;
    sophia_ring inbox; /* of runnables that have their home here */
    _Alignas(SOPHIA_LINE) sophia_park park;
    SOPHIA_ATOMIC(uint32_t) asleep; /* set by the worker; who wakes it takes that back first */
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(uint32_t) busy;
    SOPHIA_ATOMIC(uint64_t) runs, steals, parks;
    SOPHIA_ATOMIC(int32_t) pinned; /* the processor, or negative */
    uint64_t random;
    uint32_t turn;
    bool searching; /* it was woken and has found nothing yet */
    bool restless;  /* its last sleep was a brief one, or its last nap was worth it */
    int32_t number, processor;
    sophia_workers *workers;
    pthread_t thread;
} sophia_worker;

struct sophia_workers {
    sophia_ring shared;
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(sophia_runnable *) beyond; /* found no room */
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(uint32_t) idle;            /* workers that sleep and were not woken */
    SOPHIA_ATOMIC(int32_t) searching;                              /* below zero for a moment now and then */
    SOPHIA_ATOMIC(uint32_t) closing; /* nothing more is taken; workers leave when they find nothing */
    SOPHIA_ATOMIC(uint32_t) abandon; /* what is not done yet is to be skipped; long runs look at it */
    SOPHIA_ATOMIC(uint32_t) gone;    /* all workers have ended */
    SOPHIA_ATOMIC(uint32_t) alive;
    SOPHIA_ATOMIC(uint64_t) full;    /* jobs refused */
    sophia_park ends;                /* where close waits for the last worker */
    _Alignas(SOPHIA_LINE) sophia_worker *each;
    int32_t count;
};

/* Forks that made this process since the first call of sophia_forks_seen(), by which an owner of workers tells that
 * they are another process's: threads do not cross a fork. Each compiled module counts for itself. */
static volatile uint32_t sophia_forks;
static pthread_once_t sophia_forks_once = PTHREAD_ONCE_INIT;

static void sophia_forks_count(void) { sophia_forks++; }

static void sophia_forks_watch(void) { (void)pthread_atfork(NULL, NULL, sophia_forks_count); }

static uint32_t sophia_forks_seen(void)
{
    pthread_once(&sophia_forks_once, sophia_forks_watch);
    return sophia_forks;
}

/* Where there are no workers (NULL), nobody abandons them. */
static inline bool sophia_workers_abandoned(sophia_workers *workers)
{
    return workers && SOPHIA_LOAD(&workers->abandon, relaxed) != 0;
}

/* Counters that one thread writes and others read. */
static inline void sophia_count(SOPHIA_ATOMIC(uint64_t) *counter)
{
    SOPHIA_STORE(counter, SOPHIA_LOAD(counter, relaxed) + 1, relaxed);
}

static inline uint64_t sophia_read(SOPHIA_ATOMIC(uint64_t) *counter) { return SOPHIA_LOAD(counter, relaxed); }

/* ---- waking ---- */

static inline bool sophia_worker_rouse(sophia_workers *workers, int32_t number)
{
    sophia_worker *worker = &workers->each[number];
    uint32_t asleep = 1;
    if (!SOPHIA_LOAD(&worker->asleep, seq_cst) || !SOPHIA_CAS(&worker->asleep, &asleep, 0, seq_cst)) return false;
    (void)SOPHIA_SUB(&workers->idle, 1, seq_cst);
    (void)SOPHIA_ADD(&workers->searching, 1, seq_cst);
    (void)sophia_park_notify(&worker->park, 1);
    return true;
}

/* After work was made visible: somebody will see it. That is a worker that has not fallen asleep yet, one that
 * searches (it looks once more after it has stopped), or the one that is woken here.
 *
 * `home`: the worker in whose inbox it lies, or negative. Others take from there only while that worker runs something
 * else. Where it neither sleeps nor runs, it looks or naps: then it comes to its inbox by itself, or calls when it
 * begins to run something else first (sophia_worker_run()), and to wake another would wake it for nothing. */
static inline void sophia_workers_call(sophia_workers *workers, int32_t home)
{
    SOPHIA_FENCE();
    if (!SOPHIA_LOAD(&workers->idle, seq_cst)) return;
    if (home >= 0 && (sophia_worker_rouse(workers, home) || !SOPHIA_LOAD(&workers->each[home].busy, seq_cst))) return;
    if (SOPHIA_LOAD(&workers->searching, seq_cst) > 0) return;
    for (int32_t i = 0; i < workers->count; i++) {
        if (sophia_worker_rouse(workers, i)) return;
    }
}

/* ---- queues ---- */

static inline sophia_runnable *sophia_runnable_of(const sophia_message *message)
{
    return (sophia_runnable *)(uintptr_t)message->words[0];
}

static inline bool sophia_ring_offer(sophia_ring *ring, sophia_runnable *runnable)
{
    const sophia_message message = {{(uint64_t)(uintptr_t)runnable, 0, 0}};
    return sophia_ring_push(ring, &message);
}

static inline sophia_runnable *sophia_ring_next(sophia_ring *ring)
{
    sophia_message message;
    return sophia_ring_pop(ring, &message) ? sophia_runnable_of(&message) : NULL;
}

static inline void sophia_beyond_hang(sophia_workers *workers, sophia_runnable *first, sophia_runnable *last)
{
    sophia_runnable *head = SOPHIA_LOAD(&workers->beyond, relaxed);
    do last->next = head;
    while (!SOPHIA_CAS(&workers->beyond, &head, first, release));
}

/* The whole list is taken: so no link is ever read that another could change. */
static sophia_runnable *sophia_beyond_next(sophia_workers *workers)
{
    if (!SOPHIA_LOAD(&workers->beyond, relaxed)) return NULL;
    sophia_runnable *first = SOPHIA_EXCHANGE(&workers->beyond, NULL, acq_rel);
    if (!first || !first->next) return first;
    sophia_runnable *rest = first->next, *last = rest;
    while (last->next) last = last->next;
    sophia_beyond_hang(workers, rest, last);
    sophia_workers_call(workers, -1); /* who looked between the two saw nothing */
    return first;
}

static bool sophia_workers_have_work(sophia_workers *workers)
{
    if (sophia_ring_count(&workers->shared) || SOPHIA_LOAD(&workers->beyond, relaxed)) return true;
    for (int32_t i = 0; i < workers->count; i++) {
        sophia_worker *worker = &workers->each[i];
        if (sophia_deque_count(&worker->deque) || sophia_ring_count(&worker->inbox)) return true;
    }
    return false;
}

/* Into a queue, room or not. The worker in whose inbox it lies now; negative: where all look. */
static inline int32_t sophia_workers_place(sophia_workers *workers, sophia_runnable *runnable)
{
    const int32_t home = runnable->home; /* read before another can have it */
    if (home >= 0 && sophia_ring_offer(&workers->each[home].inbox, runnable)) return home;
    if (!sophia_ring_offer(&workers->shared, runnable)) sophia_beyond_hang(workers, runnable, runnable);
    return -1;
}

/* ---- a worker ---- */

static sophia_runnable *sophia_worker_take_shared(sophia_worker *self)
{
    sophia_workers *workers = self->workers;
    sophia_message taken[SOPHIA_TAKE_MOST];
    size_t wanted = 1 + sophia_ring_count(&workers->shared) / (size_t)workers->count;
    if (wanted > SOPHIA_TAKE_MOST) wanted = SOPHIA_TAKE_MOST;
    const size_t n = sophia_ring_pop_many(&workers->shared, taken, wanted);
    if (!n) return sophia_beyond_next(workers);
    /* The newest first: the owner takes the oldest, thieves what it would come to last. */
    for (size_t i = n; i-- > 1;) {
        sophia_runnable *runnable = sophia_runnable_of(&taken[i]);
        if (!sophia_deque_push(&self->deque, runnable)) (void)sophia_workers_place(workers, runnable);
    }
    if (n > 1) sophia_workers_call(workers, -1);
    return sophia_runnable_of(&taken[0]);
}

static sophia_runnable *sophia_worker_steal(sophia_worker *self)
{
    sophia_workers *workers = self->workers;
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    const uint64_t start = self->random % (uint64_t)workers->count;
    for (int32_t i = 0; i < workers->count; i++) {
        sophia_worker *victim = &workers->each[(start + (uint64_t)i) % (uint64_t)workers->count];
        if (victim == self) continue;
        bool lost;
        sophia_runnable *runnable;
        do runnable = (sophia_runnable *)sophia_deque_steal(&victim->deque, &lost);
        while (lost);
        const bool away = SOPHIA_LOAD(&victim->busy, seq_cst) || SOPHIA_LOAD(&workers->closing, seq_cst);
        if (!runnable && away) runnable = sophia_ring_next(&victim->inbox);
        if (runnable) {
            sophia_count(&self->steals);
            return runnable;
        }
    }
    return NULL;
}

static sophia_runnable *sophia_worker_look(sophia_worker *self)
{
    sophia_runnable *runnable = NULL;
    if (++self->turn % SOPHIA_FAIR_TURNS == 0) runnable = sophia_worker_take_shared(self);
    if (!runnable) runnable = (sophia_runnable *)sophia_deque_take(&self->deque);
    if (!runnable) runnable = sophia_ring_next(&self->inbox);
    if (!runnable) runnable = sophia_worker_take_shared(self);
    if (!runnable) runnable = sophia_worker_steal(self);
    return runnable;
}

static inline int64_t sophia_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

static void sophia_worker_stop_searching(sophia_worker *self)
{
    if (!self->searching) return;
    self->searching = false;
    (void)SOPHIA_SUB(&self->workers->searching, 1, seq_cst);
}

/* What has come during a nap; NULL where nothing has, and it is time to sleep. */
static sophia_runnable *sophia_worker_nap(sophia_worker *self)
{
    const struct timespec nap = {0, SOPHIA_NAP};
    sophia_worker_stop_searching(self); /* others are to be woken meanwhile */
    (void)nanosleep(&nap, NULL);
    sophia_runnable *runnable = sophia_worker_look(self);
    self->restless = runnable != NULL;
    return runnable;
}

/* Sleeps until there may be work. What was found meanwhile; NULL with `*leave` when there will be no more. */
static sophia_runnable *sophia_worker_rest(sophia_worker *self, bool *leave)
{
    sophia_workers *workers = self->workers;
    sophia_worker_stop_searching(self);
    const uint32_t epoch = sophia_park_prepare(&self->park);
    /* In this order: `idle` is never below the number of those asleep, not for a moment, or a caller would pass by
     * a worker that alone may take what lies in its inbox. */
#ifndef SOPHIA_BUG_IDLE
    (void)SOPHIA_ADD(&workers->idle, 1, seq_cst);
#endif
    SOPHIA_STORE(&self->asleep, 1, seq_cst);
#ifdef SOPHIA_BUG_IDLE
    (void)SOPHIA_ADD(&workers->idle, 1, seq_cst);
#endif
    *leave = SOPHIA_LOAD(&workers->closing, seq_cst) != 0;
    SOPHIA_FENCE(); /* the other half of the one in sophia_workers_call() */
    sophia_runnable *runnable = sophia_worker_look(self);
    if (runnable || *leave) {
        sophia_park_cancel(&self->park);
    } else {
        sophia_count(&self->parks);
        const int64_t since = sophia_nanoseconds();
        sophia_park_wait(&self->park, epoch, -1);
        self->restless = sophia_nanoseconds() - since < SOPHIA_BRIEF;
    }
    if (SOPHIA_EXCHANGE(&self->asleep, 0, seq_cst)) (void)SOPHIA_SUB(&workers->idle, 1, seq_cst);
    else self->searching = true;
    return runnable;
}

/* To the end of a queue. Nobody is called where this worker itself comes to it next. */
static void sophia_worker_again(sophia_worker *self, sophia_runnable *runnable)
{
    sophia_workers *workers = self->workers;
    const int32_t home = sophia_workers_place(workers, runnable);
    if (home == self->number) return; /* sophia_worker_run() calls if it runs another first */
    const bool next = home < 0 && sophia_deque_count(&self->deque) == 0 && sophia_ring_count(&self->inbox) == 0
                      && sophia_ring_count(&workers->shared) <= 1;
    if (!next) sophia_workers_call(workers, home);
}

static void sophia_worker_run(sophia_worker *self, sophia_runnable *runnable)
{
    sophia_workers *workers = self->workers;
    if (self->searching) {
        self->searching = false;
        (void)SOPHIA_SUB(&workers->searching, 1, seq_cst);
        SOPHIA_FENCE();
        if (SOPHIA_LOAD(&workers->idle, seq_cst) && sophia_workers_have_work(workers)) sophia_workers_call(workers, -1);
    }
    /* A thief that saw this inbox while its owner was not busy has left it alone, and may sleep by now. */
    SOPHIA_STORE(&self->busy, 1, seq_cst);
    if (SOPHIA_LOAD(&workers->idle, seq_cst) && sophia_ring_count(&self->inbox)) sophia_workers_call(workers, -1);
    sophia_count(&self->runs);
    const int said = runnable->run(runnable, workers);
    SOPHIA_STORE(&self->busy, 0, relaxed);
    if (said == SOPHIA_AGAIN) sophia_worker_again(self, runnable);
}

/* The system may refuse; then the worker runs wherever it is put, and `pinned` says so. */
static void sophia_worker_pin(sophia_worker *self)
{
#ifdef __linux__
    unsigned long mask[16] = {0};
    const size_t bits = 8 * sizeof(unsigned long);
    if (self->processor < 0 || (size_t)self->processor >= bits * 16) return;
    mask[(size_t)self->processor / bits] = 1ul << ((size_t)self->processor % bits);
    if (syscall(SYS_sched_setaffinity, 0, sizeof mask, mask) == 0) {
        SOPHIA_STORE(&self->pinned, self->processor, relaxed);
    }
#else
    (void)self;
#endif
}

static void *sophia_worker_main(void *memory)
{
    sophia_worker *self = (sophia_worker *)memory;
    sophia_workers *workers = self->workers;
    sophia_worker_pin(self);
#ifdef __linux__
    (void)prctl(PR_SET_TIMERSLACK, 1000ul, 0ul, 0ul, 0ul); /* or a nap takes 70 us */
#endif
    for (bool leave = false;;) {
        sophia_runnable *runnable = sophia_worker_look(self);
        if (!runnable && self->restless) runnable = sophia_worker_nap(self);
        if (!runnable) runnable = sophia_worker_rest(self, &leave);
        if (runnable) sophia_worker_run(self, runnable);
        else if (leave) break;
    }
    if (self->searching) (void)SOPHIA_SUB(&workers->searching, 1, seq_cst);
    if (SOPHIA_SUB(&workers->alive, 1, seq_cst) == 1) (void)sophia_park_notify(&workers->ends, INT32_MAX);
    return NULL;
}

/* ---- from outside ---- */

/* Runs what is left when no worker is; `abandon` is set, so it is skipped. */
static void sophia_workers_sweep(sophia_workers *workers)
{
    for (int32_t i = -1; i < workers->count; i++) {
        sophia_ring *ring = i < 0 ? &workers->shared : &workers->each[i].inbox;
        for (;;) {
            sophia_runnable *runnable = sophia_ring_next(ring);
            if (!runnable) runnable = sophia_beyond_next(workers);
            if (!runnable) break;
            if (runnable->run(runnable, workers) == SOPHIA_AGAIN) (void)sophia_workers_place(workers, runnable);
        }
    }
}

static inline void sophia_workers_placed(sophia_workers *workers, int32_t home)
{
    sophia_workers_call(workers, home);
    /* The workers may have ended in between: then either close sees what was placed, or this sees that. */
    if (SOPHIA_LOAD(&workers->gone, seq_cst)) sophia_workers_sweep(workers);
}

/* A job. SOPHIA_FULL or SOPHIA_CLOSED: it was not taken. */
static inline int sophia_workers_submit(sophia_workers *workers, sophia_runnable *runnable)
{
    const int32_t home = runnable->home;
    if (SOPHIA_LOAD(&workers->closing, seq_cst)) return SOPHIA_CLOSED;
    if (!sophia_ring_offer(home < 0 ? &workers->shared : &workers->each[home].inbox, runnable)) {
        (void)SOPHIA_ADD(&workers->full, 1, relaxed);
        return SOPHIA_FULL;
    }
    sophia_workers_placed(workers, home);
    return SOPHIA_TAKEN;
}

/* An actor for which sophia_schedule() has said true. Always taken: one that comes too late is run by the caller, and
 * sees that the workers are abandoned. */
static inline void sophia_workers_wake(sophia_workers *workers, sophia_runnable *runnable)
{
    sophia_workers_placed(workers, sophia_workers_place(workers, runnable));
}

/* When no thread runs any more, or in a forked child, where none does. */
static void sophia_workers_free(sophia_workers *workers)
{
    for (int32_t i = 0; i < workers->count; i++) {
        sophia_deque_close(&workers->each[i].deque);
        sophia_ring_close(&workers->each[i].inbox);
        sophia_park_close(&workers->each[i].park);
    }
    sophia_ring_close(&workers->shared);
    sophia_park_close(&workers->ends);
    free(workers->each);
    free(workers);
}

/* Takes nothing more, and lets the workers finish what there is, for `nanoseconds` at most; skips the rest, and joins
 * the threads. A run that does not look at `abandon` is waited for. Once. */
static void sophia_workers_close(sophia_workers *workers, int64_t nanoseconds)
{
    const int64_t deadline = sophia_nanoseconds() + nanoseconds;
    SOPHIA_STORE(&workers->closing, 1, seq_cst);
    for (int32_t i = 0; i < workers->count; i++) (void)sophia_worker_rouse(workers, i);
    for (;;) {
        const uint32_t epoch = sophia_park_prepare(&workers->ends);
        const int64_t left = deadline - sophia_nanoseconds();
        if (!SOPHIA_LOAD(&workers->alive, seq_cst) || left <= 0) {
            sophia_park_cancel(&workers->ends);
            break;
        }
        sophia_park_wait(&workers->ends, epoch, left);
    }
    SOPHIA_STORE(&workers->abandon, 1, seq_cst);
    for (int32_t i = 0; i < workers->count; i++) (void)pthread_join(workers->each[i].thread, NULL);
    SOPHIA_STORE(&workers->gone, 1, seq_cst);
    SOPHIA_FENCE();
    sophia_workers_sweep(workers);
}

/* One thread a worker, with all signals blocked: they are for the threads of the program. */
static bool sophia_worker_start(sophia_worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int refused = pthread_create(&worker->thread, NULL, sophia_worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !refused;
}

static bool sophia_worker_open(sophia_worker *worker, sophia_workers *workers, int32_t number, int32_t processor)
{
    memset(worker, 0, sizeof *worker);
    worker->workers = workers;
    worker->number = number;
    worker->processor = processor;
    worker->random = 0x9E3779B97F4A7C15u * (uint64_t)(number + 1);
    SOPHIA_INIT(&worker->asleep, 0);
    SOPHIA_INIT(&worker->busy, 0);
    SOPHIA_INIT(&worker->pinned, -1);
    sophia_park_open(&worker->park);
    const bool deque = sophia_deque_open(&worker->deque, SOPHIA_DEQUE_ROOM);
    return sophia_ring_open(&worker->inbox, SOPHIA_INBOX_ROOM) && deque;
}

/* `count` workers from 1 to SOPHIA_WORKERS_MOST, worker i on processors[i] (NULL: wherever), and a shared ring for
 * `capacity` runnables, a power of two. NULL without memory or threads. */
static sophia_workers *sophia_workers_open(int32_t count, size_t capacity, const int32_t *processors)
{
    sophia_workers *workers = (sophia_workers *)aligned_alloc(SOPHIA_LINE, sizeof *workers);
    if (!workers) return NULL;
    memset(workers, 0, sizeof *workers);
    sophia_park_open(&workers->ends);
    workers->each = (sophia_worker *)aligned_alloc(SOPHIA_LINE, (size_t)count * sizeof(sophia_worker));
    bool good = sophia_ring_open(&workers->shared, capacity) && workers->each;
    for (int32_t i = 0; good && i < count; i++) {
        good = sophia_worker_open(&workers->each[i], workers, i, processors ? processors[i] : -1);
        workers->count = i + 1;
    }
    if (!good) {
        sophia_workers_free(workers);
        return NULL;
    }
    SOPHIA_STORE(&workers->alive, (uint32_t)count, seq_cst);
    for (int32_t i = 0; i < count; i++) {
        if (sophia_worker_start(&workers->each[i])) continue;
        SOPHIA_STORE(&workers->closing, 1, seq_cst); /* those that run are ended; the others never began */
        for (int32_t k = 0; k < i; k++) (void)sophia_worker_rouse(workers, k);
        for (int32_t k = 0; k < i; k++) (void)pthread_join(workers->each[k].thread, NULL);
        sophia_workers_free(workers);
        return NULL;
    }
    return workers;
}

#endif

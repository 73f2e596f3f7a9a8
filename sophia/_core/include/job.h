/* The life of a job that is run once: begun by one worker or cancelled before, answered once, given back.
 *
 *     WAITING -> RUNNING -> DONE          a worker's
 *     WAITING -> CANCELLED                the owner's, before a worker came
 *     WAITING or RUNNING -> DROPPED       the workers are abandoned; what was half done is no result
 *
 * To answer is to tell who waits: threads sleep at the job itself, an event loop has an *ear*. Who puts the last word
 * into `ear` finds the one that is to be called there, and nobody can be put there afterwards. Last of all the worker
 * puts the job on the list of its owner, who from then on may free it; only that list says that no worker will touch
 * it again.
 */
#ifndef SOPHIA_JOB_H
#define SOPHIA_JOB_H

#include "atomics.h"
#include "bell.h"
#include "park.h"
#include "workers.h"

enum { SOPHIA_JOB_WAITING, SOPHIA_JOB_RUNNING, SOPHIA_JOB_DONE, SOPHIA_JOB_CANCELLED, SOPHIA_JOB_DROPPED };

/* A bell that is shared: with each job that will ring it. The last to let it go frees it. */
typedef struct {
    sophia_bell bell;
    SOPHIA_ATOMIC(uint32_t) references;
} sophia_ear;

typedef struct sophia_job sophia_job;

/* Finished jobs, put there by any thread and all taken at once by one; and how many ended how. */
typedef struct {
    SOPHIA_ATOMIC(sophia_job *) last;
    SOPHIA_ATOMIC(uint64_t) done, cancelled; /* what was dropped is among the cancelled */
} sophia_done;

struct sophia_job {
    sophia_runnable runnable; /* first: what the workers know of it */
    int (*work)(sophia_job *job, sophia_workers *workers); /* 0: cut short, the workers are abandoned */
    sophia_done *done;
    sophia_job *next;
    SOPHIA_ATOMIC(uint32_t) phase;
    SOPHIA_ATOMIC(sophia_ear *) ear;
    sophia_park threads;
};

static sophia_ear *sophia_ear_new(void)
{
    sophia_ear *ear = (sophia_ear *)malloc(sizeof *ear);
    if (!ear) return NULL;
    if (!sophia_bell_open(&ear->bell)) {
        free(ear);
        return NULL;
    }
    SOPHIA_INIT(&ear->references, 1);
    return ear;
}

static inline sophia_bell *sophia_ear_bell(sophia_ear *ear) { return &ear->bell; }

static inline void sophia_ear_release(sophia_ear *ear)
{
    if (SOPHIA_SUB(&ear->references, 1, acq_rel) != 1) return;
    sophia_bell_close(&ear->bell);
    free(ear);
}

/* In the place of an ear: the job has been answered. */
#define SOPHIA_ANSWERED ((sophia_ear *)(uintptr_t)1)

static inline uint32_t sophia_job_phase(sophia_job *job) { return SOPHIA_LOAD(&job->phase, acquire); }

static inline bool sophia_job_finished(sophia_job *job) { return sophia_job_phase(job) >= SOPHIA_JOB_DONE; }

/* From now on `ear` is rung when the job is answered, another before it no more. False: it has been answered. */
static inline bool sophia_job_listen(sophia_job *job, sophia_ear *ear)
{
    (void)SOPHIA_ADD(&ear->references, 1, relaxed);
    sophia_ear *before = SOPHIA_LOAD(&job->ear, acquire);
    do {
        if (before == SOPHIA_ANSWERED) {
            sophia_ear_release(ear);
            return false;
        }
    } while (!SOPHIA_CAS(&job->ear, &before, ear, acq_rel));
    if (before) sophia_ear_release(before);
    return true;
}

/* Wakes the threads; the ear that is to be rung and released, or NULL. After the phase has its last value. */
static inline sophia_ear *sophia_job_answer(sophia_job *job)
{
    sophia_ear *ear = SOPHIA_EXCHANGE(&job->ear, SOPHIA_ANSWERED, acq_rel);
    (void)sophia_park_notify(&job->threads, INT32_MAX);
    return ear == SOPHIA_ANSWERED ? NULL : ear;
}

static inline void sophia_ear_ring(sophia_ear *ear)
{
    if (!ear) return;
    sophia_bell_ring(&ear->bell);
    sophia_ear_release(ear);
}

static inline void sophia_done_put(sophia_done *done, sophia_job *job)
{
    sophia_job *last = SOPHIA_LOAD(&done->last, relaxed);
    do job->next = last;
    while (!SOPHIA_CAS(&done->last, &last, job, release));
}

/* All of them, in the order in which they were put there. */
static sophia_job *sophia_done_take(sophia_done *done)
{
    if (!SOPHIA_LOAD(&done->last, relaxed)) return NULL;
    sophia_job *job = SOPHIA_EXCHANGE(&done->last, NULL, acquire);
    sophia_job *first = NULL;
    while (job) {
        sophia_job *next = job->next;
        job->next = first;
        first = job;
        job = next;
    }
    return first;
}

/* What workers run. */
static int sophia_job_run(sophia_runnable *runnable, sophia_workers *workers)
{
    sophia_job *job = (sophia_job *)runnable;
    uint32_t phase = SOPHIA_JOB_WAITING;
    const bool mine = SOPHIA_CAS(&job->phase, &phase, SOPHIA_JOB_RUNNING, acq_rel);
    sophia_ear *ear = NULL;
    if (mine) { /* else it was cancelled, and answered by who did that */
        const bool good = !sophia_workers_abandoned(workers) && job->work(job, workers);
        (void)SOPHIA_ADD(good ? &job->done->done : &job->done->cancelled, 1, relaxed);
        SOPHIA_STORE(&job->phase, good ? SOPHIA_JOB_DONE : SOPHIA_JOB_DROPPED, release);
        ear = sophia_job_answer(job);
    }
    sophia_done_put(job->done, job); /* it may be freed now; the ear is ours */
    sophia_ear_ring(ear);
    return SOPHIA_THROUGH;
}

/* In the caller's own thread, for a job that no worker has or will have. */
static inline void sophia_job_run_here(sophia_job *job)
{
    (void)job->work(job, NULL);
    SOPHIA_STORE(&job->ear, SOPHIA_ANSWERED, relaxed);
    SOPHIA_STORE(&job->phase, SOPHIA_JOB_DONE, release);
}

/* True where no worker had begun it: it will never run. The caller then answers it. */
static inline bool sophia_job_cancel(sophia_job *job)
{
    uint32_t phase = SOPHIA_JOB_WAITING;
    if (!SOPHIA_CAS(&job->phase, &phase, SOPHIA_JOB_CANCELLED, acq_rel)) return false;
    (void)SOPHIA_ADD(&job->done->cancelled, 1, relaxed);
    return true;
}

static inline void sophia_job_open(sophia_job *job, int (*work)(sophia_job *, sophia_workers *), sophia_done *done,
                                   int32_t home)
{
    job->runnable.run = sophia_job_run;
    job->runnable.next = NULL;
    job->runnable.home = home;
    SOPHIA_INIT(&job->runnable.scheduled, 1);
    job->work = work;
    job->done = done;
    job->next = NULL;
    SOPHIA_INIT(&job->phase, SOPHIA_JOB_WAITING);
    SOPHIA_INIT(&job->ear, NULL);
    sophia_park_open(&job->threads);
}

/* Sleeps until the job is finished, for `nanoseconds` at most (negative: for as long as it takes). May return early. */
static inline void sophia_job_wait(sophia_job *job, int64_t nanoseconds)
{
    const uint32_t epoch = sophia_park_prepare(&job->threads);
    if (SOPHIA_LOAD(&job->phase, seq_cst) >= SOPHIA_JOB_DONE) sophia_park_cancel(&job->threads);
    else sophia_park_wait(&job->threads, epoch, nanoseconds);
}

#endif

/* The native pool without Python: nothing lost, nothing run twice, no actor run by two threads, close under load.
 *
 * Build natively, with -fsanitize=address,undefined, or with -fsanitize=thread. `workers_test N` makes it N times as
 * long. Exits with 1 at the first difference.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOPHIA_ACTOR_BUDGET 8 /* so that actors often go back to a queue */
#include "actor.h"
#include "job.h"

#define SENDERS 3

static int times = 1;

static void check(int good, const char *what)
{
    if (good) return;
    printf("WRONG: %s\n", what);
    exit(1);
}

static uint64_t sum_of(sophia_workers *workers, size_t offset)
{
    uint64_t sum = 0;
    for (int32_t i = 0; i < workers->count; i++) {
        sum += SOPHIA_LOAD((SOPHIA_ATOMIC(uint64_t) *)((char *)&workers->each[i] + offset), relaxed);
    }
    return sum;
}

#define SUM(workers, counter) sum_of(workers, offsetof(sophia_worker, counter))

static sophia_workers *opened(int32_t count, size_t capacity)
{
    sophia_workers *workers = sophia_workers_open(count, capacity, NULL);
    check(workers != NULL, "workers start");
    return workers;
}

static void closed(sophia_workers *workers, int64_t nanoseconds)
{
    sophia_workers_close(workers, nanoseconds);
    check(!sophia_workers_have_work(workers), "nothing is left in a queue");
    sophia_workers_free(workers);
}

/* ---- jobs that count how often they ran ---- */

typedef struct {
    sophia_job job;
    SOPHIA_ATOMIC(uint32_t) runs;
    uint32_t back; /* how often it came back */
} counted;

static int count_run(sophia_job *job, sophia_workers *workers)
{
    (void)workers;
    (void)SOPHIA_ADD(&((counted *)job)->runs, 1, relaxed);
    return 1;
}

static counted *new_jobs(size_t n, int (*work)(sophia_job *, sophia_workers *), sophia_done *done, int32_t home)
{
    counted *jobs = (counted *)calloc(n, sizeof *jobs);
    check(jobs != NULL, "memory");
    for (size_t i = 0; i < n; i++) sophia_job_open(&jobs[i].job, work, done, home);
    return jobs;
}

static size_t take_back(sophia_done *done)
{
    size_t n = 0;
    for (sophia_job *job = sophia_done_take(done); job; n++) {
        sophia_job *next = job->next;
        ((counted *)job)->back++;
        job = next;
    }
    return n;
}

typedef struct {
    sophia_workers *workers;
    counted *jobs;
    size_t n, taken, full;
    bool insist;
    pthread_t thread;
} sender;

static void *send_jobs(void *memory)
{
    sender *self = (sender *)memory;
    for (size_t i = 0; i < self->n; i++) {
        int said;
        while ((said = sophia_workers_submit(self->workers, &self->jobs[i].job.runnable)) == SOPHIA_FULL) {
            self->full++;
            if (!self->insist) break;
            sched_yield();
        }
        if (said == SOPHIA_TAKEN) self->taken++;
        else if (said == SOPHIA_CLOSED) break;
        else self->jobs[i].back = 100; /* was never taken */
    }
    return NULL;
}

static void start(sender *senders, sophia_workers *workers, counted *jobs, size_t each, bool insist)
{
    for (int s = 0; s < SENDERS; s++) {
        senders[s] = (sender){workers, jobs + (size_t)s * each, each, 0, 0, insist, 0};
        check(!pthread_create(&senders[s].thread, NULL, send_jobs, &senders[s]), "a thread starts");
    }
}

/* Many jobs from several threads through a small ring: each runs once. */
static void nothing_is_lost(int32_t count, int32_t home)
{
    const size_t each = 4000 * (size_t)times;
    sophia_done done = {NULL, 0, 0};
    sophia_workers *workers = opened(count, 64);
    counted *jobs = new_jobs(SENDERS * each, count_run, &done, home);
    sender senders[SENDERS];
    start(senders, workers, jobs, each, true);
    uint64_t full = 0;
    for (int s = 0; s < SENDERS; s++) {
        pthread_join(senders[s].thread, NULL);
        check(senders[s].taken == each, "all were taken in the end");
        full += senders[s].full;
    }
    check(SOPHIA_LOAD(&workers->full, relaxed) == full, "refusals are counted");
    size_t back = 0;
    while (back < SENDERS * each) {
        back += take_back(&done);
        sched_yield();
    }
    for (size_t i = 0; i < SENDERS * each; i++) {
        check(jobs[i].runs == 1 && jobs[i].back == 1, "each job ran once and came back once");
        check(sophia_job_phase(&jobs[i].job) == SOPHIA_JOB_DONE, "and is done");
    }
    closed(workers, 1000000000);
    free(jobs);
}

/* ---- one at a time: the moment at which workers fall asleep ---- */

static void near_empty(int32_t count)
{
    sophia_done done = {NULL, 0, 0};
    sophia_workers *workers = opened(count, 64);
    const size_t n = 3000 * (size_t)times;
    counted *jobs = new_jobs(n, count_run, &done, -1);
    for (size_t i = 0; i < n; i++) {
        jobs[i].job.runnable.home = i % 3 == 2 ? (int32_t)(i % (size_t)count) : -1;
        check(sophia_workers_submit(workers, &jobs[i].job.runnable) == SOPHIA_TAKEN, "there is room");
        while (i % 2 && !sophia_job_finished(&jobs[i].job)) sophia_job_wait(&jobs[i].job, -1);
    }
    sophia_workers_close(workers, 10000000000);
    check(take_back(&done) == n && SUM(workers, runs) == n, "all came back");
    for (size_t i = 0; i < n; i++) check(jobs[i].runs == 1, "each ran once");
    sophia_workers_free(workers);
    free(jobs);
}

/* ---- what finds no room in a deque, which never grows ---- */

/* A worker that no thread runs takes from the shared ring what its full deque cannot hold. */
static void a_full_deque_overflows(int32_t home)
{
    enum { SHARED = 16, MANY = SOPHIA_DEQUE_ROOM + SHARED };
    sophia_done done = {NULL, 0, 0};
    sophia_worker worker;
    sophia_workers workers;
    memset(&workers, 0, sizeof workers);
    workers.each = &worker;
    workers.count = 1;
    counted *jobs = new_jobs(MANY, count_run, &done, -1);
    check(sophia_ring_open(&workers.shared, SHARED) && sophia_worker_open(&worker, &workers, 0, -1), "memory");
    for (size_t i = 0; i < SOPHIA_DEQUE_ROOM; i++) {
        check(sophia_deque_push(&worker.deque, &jobs[i].job.runnable), "there is room");
    }
    for (size_t i = SOPHIA_DEQUE_ROOM; i < MANY; i++) {
        check(!sophia_deque_push(&worker.deque, &jobs[i].job.runnable), "and then there is none");
        jobs[i].job.runnable.home = home;
        check(sophia_ring_offer(&workers.shared, &jobs[i].job.runnable), "in the shared ring there is");
    }
    sophia_runnable *runnable = sophia_worker_take_shared(&worker);
    check(runnable == &jobs[SOPHIA_DEQUE_ROOM].job.runnable, "the first is given");
    check(sophia_deque_count(&worker.deque) == SOPHIA_DEQUE_ROOM, "the deque is as it was");
    const size_t there = home < 0 ? sophia_ring_count(&workers.shared) : sophia_ring_count(&worker.inbox);
    check(there == (home < 0 ? SHARED : SOPHIA_TAKE_MOST) - 1, "what found no room is in another queue");
    for (; runnable; runnable = sophia_worker_look(&worker)) (void)runnable->run(runnable, &workers);
    check(take_back(&done) == MANY && !sophia_workers_have_work(&workers), "all came back");
    for (size_t i = 0; i < MANY; i++) check(jobs[i].runs == 1, "each ran once");
    sophia_deque_close(&worker.deque);
    sophia_ring_close(&worker.inbox);
    sophia_park_close(&worker.park);
    sophia_ring_close(&workers.shared);
    free(jobs);
}

/* ---- a job that keeps its worker until others have run ---- */

static SOPHIA_ATOMIC(uint32_t) others, begun, gate;

static int wait_for_others(sophia_job *job, sophia_workers *workers)
{
    (void)job;
    SOPHIA_STORE(&begun, 1, seq_cst);
    while (SOPHIA_LOAD(&others, seq_cst)) {
        if (sophia_workers_abandoned(workers)) return 0;
        sched_yield();
    }
    return 1;
}

static int be_another(sophia_job *job, sophia_workers *workers)
{
    (void)SOPHIA_SUB(&others, 1, seq_cst);
    return count_run(job, workers);
}

static int wait_at_gate(sophia_job *job, sophia_workers *workers)
{
    (void)SOPHIA_ADD(&begun, 1, seq_cst);
    while (!SOPHIA_LOAD(&gate, seq_cst) && !sophia_workers_abandoned(workers)) sched_yield();
    return count_run(job, workers) && SOPHIA_LOAD(&gate, seq_cst);
}

/* The first job ends only when the others have run, and its worker cannot run them. */
static void stealing_happens(int32_t home)
{
    sophia_done done = {NULL, 0, 0};
    sophia_workers *workers = opened(2, 64);
    const size_t n = 20;
    counted *jobs = new_jobs(n, be_another, &done, home);
    jobs[0].job.work = wait_for_others;
    SOPHIA_STORE(&others, (uint32_t)n - 1, seq_cst);
    SOPHIA_STORE(&begun, 0, seq_cst);
    for (size_t i = 0; i < n; i++) {
        check(sophia_workers_submit(workers, &jobs[i].job.runnable) == SOPHIA_TAKEN, "there is room");
    }
    for (size_t i = 0; i < n; i++) {
        while (!sophia_job_finished(&jobs[i].job)) sophia_job_wait(&jobs[i].job, -1);
    }
    if (home >= 0) check(SUM(workers, steals) >= n - 1, "what waited for a busy worker was stolen");
    closed(workers, 1000000000);
    check(take_back(&done) == n, "all came back");
    free(jobs);
}

static void a_full_ring_refuses(void)
{
    sophia_done done = {NULL, 0, 0};
    sophia_workers *workers = opened(1, 16);
    counted *jobs = new_jobs(64, count_run, &done, -1);
    jobs[0].job.work = wait_at_gate;
    SOPHIA_STORE(&begun, 0, seq_cst);
    SOPHIA_STORE(&gate, 0, seq_cst);
    check(sophia_workers_submit(workers, &jobs[0].job.runnable) == SOPHIA_TAKEN, "the first is taken");
    while (!SOPHIA_LOAD(&begun, seq_cst)) sched_yield();
    for (size_t i = 1; i < 64; i++) {
        const int said = sophia_workers_submit(workers, &jobs[i].job.runnable);
        check(said == (i <= 16 ? SOPHIA_TAKEN : SOPHIA_FULL), "16 find room, the others are refused");
    }
    check(SOPHIA_LOAD(&workers->full, relaxed) == 47, "47 refused");
    for (size_t i = 3; i < 8; i++) {
        check(sophia_job_cancel(&jobs[i].job), "what waits can be cancelled");
        check(sophia_job_answer(&jobs[i].job) == NULL && !sophia_job_cancel(&jobs[i].job), "once");
    }
    check(!sophia_job_cancel(&jobs[0].job), "what runs cannot");
    SOPHIA_STORE(&gate, 1, seq_cst);
    sophia_workers_close(workers, 10000000000);
    check(take_back(&done) == 17, "what was taken came back");
    check(SOPHIA_LOAD(&done.done, relaxed) == 12 && SOPHIA_LOAD(&done.cancelled, relaxed) == 5, "12 done, 5 cancelled");
    for (size_t i = 0; i < 64; i++) {
        check(jobs[i].runs == (i <= 16 && !(i >= 3 && i < 8)), "cancelled and refused jobs never ran");
    }
    check(sophia_workers_submit(workers, &jobs[0].job.runnable) == SOPHIA_CLOSED, "closed");
    sophia_workers_free(workers);
    free(jobs);
}

/* The deadline is over at once: what was taken is run or skipped, and all of it comes back. */
static void close_under_load(int64_t nanoseconds)
{
    const size_t each = 3000;
    for (int round = 0; round < 12 * times; round++) {
        sophia_done done = {NULL, 0, 0};
        sophia_workers *workers = opened(2, 256);
        counted *jobs = new_jobs(SENDERS * each, count_run, &done, round % 3 - 1);
        sender senders[SENDERS];
        start(senders, workers, jobs, each, round % 2);
        for (int i = 0; i < 20 * round; i++) sched_yield();
        sophia_workers_close(workers, nanoseconds);
        uint64_t taken = 0;
        for (int s = 0; s < SENDERS; s++) {
            pthread_join(senders[s].thread, NULL);
            taken += senders[s].taken;
        }
        check(take_back(&done) == taken, "all that was taken came back");
        const uint64_t finished = SOPHIA_LOAD(&done.done, relaxed) + SOPHIA_LOAD(&done.cancelled, relaxed);
        check(finished == taken, "and was counted");
        for (size_t i = 0; i < SENDERS * each; i++) {
            check(jobs[i].runs <= 1 && (jobs[i].back <= 1 || jobs[i].back == 100), "nothing twice");
        }
        check(!sophia_workers_have_work(workers), "nothing is left");
        sophia_workers_free(workers);
        free(jobs);
    }
}

/* ---- actors ---- */

#define ACTORS 40

typedef struct {
    SOPHIA_ATOMIC(uint32_t) inside;
    uint64_t next[SENDERS]; /* only whoever runs the actor touches these */
} order;

static bool check_order(sophia_actor *actor, const sophia_message *message, sophia_workers *workers)
{
    order *self = (order *)actor->state;
    check(SOPHIA_EXCHANGE(&self->inside, 1, relaxed) == 0, "one thread at a time");
    const bool good = !sophia_workers_abandoned(workers);
    check(self->next[message->words[0]]++ == message->words[1], "in the order of each sender");
    SOPHIA_STORE(&self->inside, 0, relaxed);
    return good;
}

typedef struct {
    sophia_workers *workers;
    sophia_actor **actors;
    uint64_t number, each;
    pthread_t thread;
} teller;

static void *tell(void *memory)
{
    teller *self = (teller *)memory;
    for (uint64_t i = 0; i < self->each; i++) {
        for (int a = 0; a < ACTORS; a++) {
            const sophia_message message = {{self->number, i, 0}};
            while (!sophia_actor_send(self->actors[a], &message, self->workers)) sched_yield();
        }
    }
    return NULL;
}

/* More actors than the shared ring has room for, some with a home. */
static void actors_keep_their_order(int64_t nanoseconds)
{
    const uint64_t each = 300 * (uint64_t)times;
    sophia_workers *workers = opened(3, 16);
    sophia_actor *actors[ACTORS];
    order orders[ACTORS];
    memset(orders, 0, sizeof orders);
    for (int a = 0; a < ACTORS; a++) {
        actors[a] = sophia_actor_new(check_order, &orders[a], 16, a % 4 - 1);
        check(actors[a] != NULL, "memory");
    }
    teller tellers[SENDERS];
    for (uint64_t s = 0; s < SENDERS; s++) {
        tellers[s] = (teller){workers, actors, s, each, 0};
        check(!pthread_create(&tellers[s].thread, NULL, tell, &tellers[s]), "a thread starts");
    }
    if (!nanoseconds) sophia_workers_close(workers, 0); /* while they tell: then they run the actors themselves */
    for (int s = 0; s < SENDERS; s++) pthread_join(tellers[s].thread, NULL);
    for (int a = 0; a < ACTORS; a++) { /* freed while the workers go on, as soon as none touches it */
        sophia_actor *actor = actors[a];
        sophia_actor_wait(actor, workers);
        const uint64_t handled = SOPHIA_LOAD(&actor->handled, relaxed), dropped = SOPHIA_LOAD(&actor->dropped, relaxed);
        check(handled + dropped == SENDERS * each, "every message was handled or dropped");
        check(SOPHIA_LOAD(&actor->sent, relaxed) == SENDERS * each, "and counted");
        if (nanoseconds) check(dropped == 0, "and none was dropped");
        check(SOPHIA_LOAD(&actor->runnable.scheduled, relaxed) == 0, "the actor rests");
        sophia_actor_free(actor);
    }
    if (nanoseconds) sophia_workers_close(workers, nanoseconds);
    check(!sophia_workers_have_work(workers), "nothing is left in a queue");
    sophia_workers_free(workers);
}

/* ---- who waits for a job in an event loop ---- */

static void an_ear_is_rung_once(void)
{
    sophia_done done = {NULL, 0, 0};
    sophia_ear *ear = sophia_ear_new(), *other = sophia_ear_new();
    check(ear && other, "a descriptor");
    sophia_workers *workers = opened(1, 64);
    counted *jobs = new_jobs(64, wait_at_gate, &done, -1);
    SOPHIA_STORE(&gate, 0, seq_cst);
    for (int i = 0; i < 64; i++) {
        check(sophia_job_listen(&jobs[i].job, other) && sophia_job_listen(&jobs[i].job, ear), "not answered yet");
        check(sophia_workers_submit(workers, &jobs[i].job.runnable) == SOPHIA_TAKEN, "there is room");
    }
    check(SOPHIA_LOAD(&other->references, relaxed) == 1, "one ear a job");
    SOPHIA_STORE(&gate, 1, seq_cst);
    sophia_workers_close(workers, 10000000000);
    check(SOPHIA_LOAD(&ear->bell.rung, relaxed) == 1, "64 results, one write");
    check(SOPHIA_LOAD(&ear->references, relaxed) == 1, "and the jobs have let it go");
    check(!sophia_job_listen(&jobs[0].job, ear), "too late");
    sophia_bell_silence(&ear->bell);
    check(take_back(&done) == 64, "all came back");
    sophia_ear_release(ear);
    sophia_ear_release(other);
    sophia_workers_free(workers);
    free(jobs);
}

int main(int count, char **arguments)
{
    if (count > 1) times = atoi(arguments[1]);
    nothing_is_lost(1, -1);
    nothing_is_lost(2, -1);
    nothing_is_lost(4, -1);
    nothing_is_lost(3, 1);
    near_empty(1);
    near_empty(2);
    near_empty(3);
    a_full_deque_overflows(-1);
    a_full_deque_overflows(0);
    for (int i = 0; i < 20 * times; i++) {
        stealing_happens(-1);
        stealing_happens(0);
        stealing_happens(1);
    }
    a_full_ring_refuses();
    close_under_load(0);
    close_under_load(1000000000);
    actors_keep_their_order(30000000000);
    actors_keep_their_order(0);
    an_ear_is_rung_once();
    printf("ok\n");
    return 0;
}

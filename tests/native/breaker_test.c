/* The circuit breaker: its counts, its times, every single preemption of two threads, and many real threads.
 *
 * Before each access to a shared word `meanwhile` may run: that is another thread which does all it has to do between
 * two steps of this one. So what a lucky preemption does is tried at each step, without luck and without threads.
 */
#define SOPHIA_ATOMICS "stdatomic.h"
static void access_begins(void);
#define SOPHIA_ATOMIC(type) _Atomic(type)
#define SOPHIA_INIT(word, value) atomic_init(word, value)
#define SOPHIA_LOAD(word, order) (access_begins(), atomic_load_explicit(word, memory_order_##order))
#define SOPHIA_STORE(word, value, order) (access_begins(), atomic_store_explicit(word, value, memory_order_##order))
#define SOPHIA_ADD(word, value, order) (access_begins(), atomic_fetch_add_explicit(word, value, memory_order_##order))
#define SOPHIA_CAS(word, expected, value, order) \
    (access_begins(), \
     atomic_compare_exchange_strong_explicit(word, expected, value, memory_order_##order, memory_order_relaxed))

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include "breaker.h"

#define SECOND ((uint64_t)1 << 20)
#define THREADS 6
#ifndef ROUNDS
#define ROUNDS 3000
#endif

static _Thread_local long steps; /* until `meanwhile` runs */
static _Thread_local void (*meanwhile)(sophia_breaker *);
static _Thread_local sophia_breaker *subject;

static void access_begins(void)
{
    if (!meanwhile || --steps) return;
    void (*other)(sophia_breaker *) = meanwhile;
    meanwhile = NULL;
    other(subject);
}

static void check(int good, const char *what)
{
    if (good) return;
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}

static sophia_breaker *make(uint64_t window, uint64_t minimum)
{
    sophia_breaker *breaker = sophia_breaker_new(0.5, window, minimum, 5 * SECOND, 20 * SECOND, 3 * SECOND);
    check(breaker != NULL, "memory");
    return breaker;
}

static int64_t ask_at(sophia_breaker *breaker, uint64_t now)
{
    uint64_t left;
    const uint64_t word = sophia_breaker_word(breaker);
    const uint64_t since = sophia_breaker_since(breaker);
    return sophia_breaker_ask(breaker, word, since, now, &left);
}

/* The counts are what the ring holds of the generation of the closed breaker. */
static int counts_are_exact(sophia_breaker *breaker)
{
    const uint64_t generation = sophia_breaker_generation(sophia_breaker_word(breaker));
    sophia_breaker_numbers numbers;
    sophia_breaker_tell(breaker, &numbers);
    uint32_t calls = 0, failures = 0;
    for (uint64_t i = 0; i < breaker->window; i++) {
        const uint64_t slot = atomic_load(&breaker->slots[i]);
        if (slot >> 2 != generation || !(slot & 2)) continue;
        calls++;
        failures += slot & 1;
    }
    return numbers.window_calls == calls && numbers.window_failures == failures;
}

static void one_after_the_other(void)
{
    sophia_breaker *breaker = make(4, 3);
    const uint64_t start = SOPHIA_BREAKER_TIME - SECOND; /* the clock goes around soon */
    int64_t ticket = ask_at(breaker, start);
    check(ticket == 0, "a fresh breaker is closed");
    check(sophia_breaker_record(breaker, 0, true) == SOPHIA_BREAKER_COUNTED, "one failure");
    check(sophia_breaker_record(breaker, 0, false) == SOPHIA_BREAKER_COUNTED, "one success");
    check(sophia_breaker_record(breaker, 0, true) == SOPHIA_BREAKER_FULL, "two failures of three");
    check(sophia_breaker_open(breaker, 0, start) && !sophia_breaker_open(breaker, 0, start), "it opens once");
    check(sophia_breaker_record(breaker, 0, false) == SOPHIA_BREAKER_LATE, "a result of before");
    check(ask_at(breaker, start + 5 * SECOND - 1) == -1, "still open");
    const int64_t first = ask_at(breaker, start + 5 * SECOND);
    check(first > 0 && ask_at(breaker, start + 5 * SECOND) == -1, "one probe");
    const int64_t second = ask_at(breaker, start + 8 * SECOND);
    check(second > first && !sophia_breaker_probed(breaker, (uint64_t)first, false, 0), "a probe given up is late");
    check(sophia_breaker_probed(breaker, (uint64_t)second, true, start + 8 * SECOND), "the second fails");
    check(ask_at(breaker, start + 18 * SECOND - 1) == -1, "twice as long");
    const int64_t third = ask_at(breaker, start + 18 * SECOND);
    check(third > 0 && sophia_breaker_probed(breaker, (uint64_t)third, true, start + 18 * SECOND), "the third fails");
    check(ask_at(breaker, start + 2 * SECOND) == -1, "a clock that was put back");
    check(ask_at(breaker, start + 22 * SECOND - 1) == -1, "the wait began anew, and has a most");
    const int64_t fourth = ask_at(breaker, start + 22 * SECOND);
    check(fourth > 0, "the fourth");
    sophia_breaker_abandon(breaker, (uint64_t)fourth);
    const int64_t fifth = ask_at(breaker, start);
    check(fifth > fourth && sophia_breaker_probed(breaker, (uint64_t)fifth, false, 0), "an abandoned probe is free");
    check(sophia_breaker_closed(breaker) > 0 && counts_are_exact(breaker), "closed with an empty window");
    sophia_breaker_numbers numbers;
    sophia_breaker_tell(breaker, &numbers);
    check(numbers.calls == 6 && numbers.failures == 4 && numbers.late == 2 && numbers.opened == 3, "numbers");
    check(numbers.probes == 5 && numbers.given_up == 1 && numbers.abandoned == 1, "numbers of probes");
    check(!numbers.window_calls && !numbers.window_failures, "numbers of an empty window");
    sophia_breaker_free(breaker);
}

static int64_t other_ticket;

static void asks(sophia_breaker *breaker)
{
    other_ticket = ask_at(breaker, 100 * SECOND);
}

static void three_succeed(sophia_breaker *breaker)
{
    for (int i = 0; i < 3; i++) (void)sophia_breaker_record(breaker, 0, false);
}

static void three_fail(sophia_breaker *breaker)
{
    for (int i = 0; i < 3; i++) (void)sophia_breaker_record(breaker, 0, true);
}

static void goes_around(sophia_breaker *breaker)
{
    (void)sophia_breaker_force(breaker, SOPHIA_BREAKER_OPEN, 1);
    (void)sophia_breaker_force(breaker, SOPHIA_BREAKER_CLOSED, 2);
}

static void goes_around_and_on(sophia_breaker *breaker)
{
    goes_around(breaker);
    for (int i = 0; i < 6; i++) (void)sophia_breaker_record(breaker, sophia_breaker_word(breaker), i == 5);
}

static void opens_later(sophia_breaker *breaker)
{
    (void)sophia_breaker_force(breaker, SOPHIA_BREAKER_CLOSED, 0);
    (void)sophia_breaker_force(breaker, SOPHIA_BREAKER_OPEN, 90 * SECOND);
}

/* Whether `other` ran, between the steps of what is done after this. */
static void interrupt(sophia_breaker *breaker, long at, void (*other)(sophia_breaker *))
{
    subject = breaker;
    steps = at;
    meanwhile = other;
}

static bool interrupted(void)
{
    const bool ran = !meanwhile;
    meanwhile = NULL;
    return ran;
}

/* Of two who ask a breaker that is due one is the probe, wherever the second comes in. */
static void one_of_two_probes(unsigned state)
{
    for (long at = 1;; at++) {
        sophia_breaker *breaker = make(4, 3);
        (void)sophia_breaker_force(breaker, SOPHIA_BREAKER_OPEN, SECOND);
        if (state != SOPHIA_BREAKER_OPEN) check(ask_at(breaker, 50 * SECOND) > 0, "a probe");
        if (state == SOPHIA_BREAKER_IDLE) sophia_breaker_abandon(breaker, sophia_breaker_word(breaker));
        check(sophia_breaker_state(sophia_breaker_word(breaker)) == state, "the state to begin with");
        other_ticket = -1;
        interrupt(breaker, at, asks);
        const int64_t ticket = ask_at(breaker, 100 * SECOND);
        const bool ran = interrupted();
        check((ticket >= 0) + (other_ticket >= 0) == 1, "exactly one probe");
        check(ask_at(breaker, 103 * SECOND - 1) == -1, "and no third");
        check(ask_at(breaker, 103 * SECOND) > 0, "the time of the probe is kept");
        sophia_breaker_free(breaker);
        if (!ran) return;
    }
}

static void counts_hold(uint64_t window, bool failed, void (*other)(sophia_breaker *))
{
    for (long at = 1;; at++) {
        sophia_breaker *breaker = make(window, window);
        (void)sophia_breaker_record(breaker, 0, true);
        interrupt(breaker, at, other);
        (void)sophia_breaker_record(breaker, 0, failed);
        const bool ran = interrupted();
        check(counts_are_exact(breaker), "the counts are those of the ring");
        sophia_breaker_free(breaker);
        if (!ran) return;
    }
}

/* Who opens and is overtaken by a later opening does not change the time of that. */
static void the_later_time_stays(void)
{
    for (long at = 1;; at++) {
        sophia_breaker *breaker = make(4, 3);
        interrupt(breaker, at, opens_later);
        const bool mine = sophia_breaker_open(breaker, 0, 50 * SECOND);
        const bool ran = interrupted();
        if (ran) {
            check(ask_at(breaker, 95 * SECOND - 1) == -1 && ask_at(breaker, 95 * SECOND) > 0, "the later time");
        } else {
            check(mine && ask_at(breaker, 55 * SECOND) > 0, "its own time");
        }
        sophia_breaker_free(breaker);
        if (!ran) return;
    }
}

static sophia_breaker *shared;
static SOPHIA_ATOMIC(uint64_t) now_ticks;
static SOPHIA_ATOMIC(int) admitted, arrived, turn;

/* All wait for each other; the last one does what is done in between. */
static void meet(void (*between)(void))
{
    const int here = atomic_load(&turn);
    if (atomic_fetch_add(&arrived, 1) == THREADS - 1) {
        atomic_store(&arrived, 0);
        if (between) between();
        atomic_store(&turn, here + 1);
    } else {
        while (atomic_load(&turn) == here) sched_yield();
    }
}

static void open_and_due(void)
{
    atomic_store(&admitted, 0);
    (void)sophia_breaker_force(shared, SOPHIA_BREAKER_OPEN, atomic_load(&now_ticks));
    atomic_fetch_add(&now_ticks, 20 * SECOND); /* as long as it may stay open */
}

static void one_was_admitted(void)
{
    check(atomic_load(&admitted) == 1, "exactly one of many threads is the probe");
    check(sophia_breaker_state(sophia_breaker_word(shared)) == SOPHIA_BREAKER_PROBING, "which is under way");
}

static void *knock(void *unused)
{
    for (int round = 0; round < ROUNDS; round++) {
        meet(open_and_due);
        const int64_t ticket = ask_at(shared, atomic_load(&now_ticks));
        if (ticket >= 0) atomic_fetch_add(&admitted, 1);
        meet(one_was_admitted);
        if (ticket >= 0 && round % 3 < 2) (void)sophia_breaker_probed(shared, (uint64_t)ticket, round % 3 == 1, 7);
        if (ticket >= 0 && round % 3 == 2) sophia_breaker_abandon(shared, (uint64_t)ticket);
    }
    return unused;
}

/* Everything at once; nothing may be lost. */
static void *use(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed, *reported = (uint64_t *)malloc(sizeof *reported);
    check(reported != NULL, "memory");
    *reported = 0;
    for (int i = 0; i < 20 * ROUNDS; i++) {
        random = random * 6364136223846793005U + 1442695040888963407U;
        const unsigned draw = (unsigned)(random >> 33) % 1000;
        const uint64_t now = atomic_fetch_add(&now_ticks, SECOND / 8);
        const int64_t ticket = ask_at(shared, now);
        if (ticket < 0) continue;
        const uint64_t word = (uint64_t)ticket;
        if (draw < 5) {
            sophia_breaker_abandon(shared, word);
            continue;
        }
        ++*reported;
        if (sophia_breaker_state(word) == SOPHIA_BREAKER_PROBING) {
            (void)sophia_breaker_probed(shared, word, draw & 1, now);
        } else if (sophia_breaker_record(shared, word, draw < 480) == SOPHIA_BREAKER_FULL) {
            (void)sophia_breaker_open(shared, word, now);
        }
        if (draw == 999) (void)sophia_breaker_force(shared, SOPHIA_BREAKER_CLOSED, now);
    }
    return reported;
}

static uint64_t together(void *(*work)(void *))
{
    pthread_t threads[THREADS];
    uint64_t sum = 0;
    for (uintptr_t i = 0; i < THREADS; i++) {
        check(!pthread_create(&threads[i], NULL, work, work == use ? (void *)(i + 1) : NULL), "a thread");
    }
    for (int i = 0; i < THREADS; i++) {
        void *part = NULL;
        pthread_join(threads[i], &part);
        if (part) sum += *(uint64_t *)part;
        free(part);
    }
    return sum;
}

int main(void)
{
    one_after_the_other();
    one_of_two_probes(SOPHIA_BREAKER_OPEN);
    one_of_two_probes(SOPHIA_BREAKER_IDLE);
    one_of_two_probes(SOPHIA_BREAKER_PROBING);
    for (uint64_t window = 1; window < 5; window++) {
        for (int failed = 0; failed < 2; failed++) {
            counts_hold(window, failed, three_succeed);
            counts_hold(window, failed, three_fail);
            counts_hold(window, failed, goes_around);
            counts_hold(window, failed, goes_around_and_on);
        }
    }
    the_later_time_stays();

    shared = make(4, 3);
    (void)together(knock);
    sophia_breaker_free(shared);

    shared = make(50, 20);
    const uint64_t reported = together(use);
    sophia_breaker_numbers numbers;
    sophia_breaker_tell(shared, &numbers);
    check(numbers.opened > 10 && numbers.probes > 10, "it opened and was tried");
    check(numbers.calls <= reported && numbers.calls + numbers.late >= reported, "every result was counted or late");
    (void)sophia_breaker_force(shared, SOPHIA_BREAKER_CLOSED, 0);
    check(counts_are_exact(shared), "the counts are those of the ring after many threads");
    for (int i = 0; i < 60; i++) (void)sophia_breaker_record(shared, sophia_breaker_word(shared), i < 9);
    check(counts_are_exact(shared), "and go on being so");
    sophia_breaker_free(shared);
    puts("ok");
    return 0;
}

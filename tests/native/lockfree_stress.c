/* The lock-free parts of the core under real threads: lockfree_stress [PART [REPEATS [SIZE [SECONDS]]]].
 *
 * PART is deque, ring, actors, park, bell or all. Queues are kept nearly empty or nearly full: there the faults are.
 * Every item is accounted for. A repeat that takes longer than SECONDS is reported as stuck: nothing here waits for
 * more than another thread's next step. Exits with 1 at the first thing that is wrong.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bell.h"
#include "deque.h"
#include "park.h"
#include "ring.h"
#include "schedule.h"

enum { THREADS = 16, BATCH = 8 };

static const char *part = "";

static void check(bool good, const char *what)
{
    if (good) return;
    printf("WRONG: %s: %s\n", part, what);
    fflush(stdout);
    _exit(1);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static pthread_t threads[THREADS];
static size_t started;

/* Its number among those that do the same is what a thread is given. */
static void start(void *(*body)(void *), size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check(started < THREADS && !pthread_create(&threads[started], NULL, body, (void *)(uintptr_t)i), "no thread");
        started++;
    }
}

static void join(void)
{
    while (started) (void)pthread_join(threads[--started], NULL);
}

/* What is sent: who, which, and a word that both decide, so that a torn message is seen. */

static size_t size, senders, receivers;
static atomic_uchar *seen; /* of each sender's messages, or of each item: how often */

static uint64_t seal(uint64_t sender, uint64_t number)
{
    return (sender * 0x9E3779B97F4A7C15u + number) * 0xBF58476D1CE4E5B9u;
}

static sophia_message message_of(size_t sender, uint64_t number)
{
    return (sophia_message){{sender, number, seal(sender, number)}};
}

static void see(size_t which)
{
    check(atomic_fetch_add_explicit(&seen[which], 1, memory_order_relaxed) == 0, "taken twice");
}

/* `next`: the least number that may come from each sender. */
static void see_message(const sophia_message *message, uint64_t *next)
{
    const uint64_t sender = message->words[0], number = message->words[1];
    check(sender < senders && number < size && message->words[2] == seal(sender, number), "a torn message");
    check(number >= next[sender], "messages of one sender in another order");
    next[sender] = number + 1;
    see((size_t)(sender * size + number));
}

static void expect(size_t n)
{
    seen = (atomic_uchar *)calloc(n, sizeof *seen);
    check(seen != NULL, "no memory");
}

static void account(size_t n)
{
    for (size_t i = 0; i < n; i++) check(atomic_load_explicit(&seen[i], memory_order_relaxed) == 1, "lost");
    free((void *)seen);
}

/* Deque: an owner that keeps it nearly empty, or nearly full, and three thieves. */

static sophia_deque deque;
static size_t *items;
static atomic_bool over;

static void take_item(void *item)
{
    see(*(size_t *)item);
}

static void *thief(void *unused)
{
    (void)unused;
    bool lost = false;
    for (;;) {
        void *item = sophia_deque_steal(&deque, &lost);
        if (item) take_item(item);
        else if (!lost && atomic_load_explicit(&over, memory_order_acquire)) return NULL;
        else if (!lost) sched_yield();
    }
}

static void deque_run(bool full, uint32_t seed)
{
    check(sophia_deque_open(&deque, full ? 4 : 64), "no memory");
    items = (size_t *)malloc(size * sizeof *items);
    check(items != NULL, "no memory");
    expect(size);
    atomic_store(&over, false);
    start(thief, 3);
    void *item;
    for (size_t i = 0; i < size; i++) {
        items[i] = i; /* what a taker reads: written before it is put there */
        while (!sophia_deque_push(&deque, &items[i])) {
            check(full, "no room in a deque that is nearly empty");
            if ((item = sophia_deque_take(&deque)) != NULL) take_item(item);
        }
        if (full || next_random(&seed) % 4 == 0) continue;
        for (int k = 0; k < 2; k++) {
            if ((item = sophia_deque_take(&deque)) != NULL) take_item(item);
        }
        if (next_random(&seed) % 64 == 0) sched_yield(); /* so that the thieves come in the middle of it on one core */
    }
    while ((item = sophia_deque_take(&deque)) != NULL) take_item(item);
    atomic_store_explicit(&over, true, memory_order_release);
    join();
    account(size);
    free(items);
    sophia_deque_close(&deque);
}

static void deques(uint32_t seed)
{
    deque_run(false, seed);
    deque_run(true, seed);
}

/* Ring: many to one, one to one, many to many; one message at a time or several. */

static sophia_ring ring;
static atomic_size_t received;
static size_t batch;

static void *sender(void *self)
{
    const size_t me = (size_t)(uintptr_t)self;
    uint32_t seed = (uint32_t)me + 1;
    sophia_message messages[BATCH];
    for (uint64_t number = 0; number < size;) {
        size_t n = 1 + next_random(&seed) % batch;
        if (n > size - number) n = (size_t)(size - number);
        for (size_t i = 0; i < n; i++) messages[i] = message_of(me, number + i);
        const size_t accepted = sophia_ring_push_many(&ring, messages, n);
        check(accepted <= n, "more were accepted than offered");
        number += accepted;
        if (!accepted) sched_yield();
    }
    return NULL;
}

static void *receiver(void *self)
{
    uint32_t seed = (uint32_t)(uintptr_t)self + 77;
    uint64_t next[THREADS] = {0};
    sophia_message messages[BATCH];
    while (atomic_load_explicit(&received, memory_order_relaxed) < senders * size) {
        const size_t n = sophia_ring_pop_many(&ring, messages, 1 + next_random(&seed) % batch);
        for (size_t i = 0; i < n; i++) {
            /* the only receiver sees each sender's messages with no gap */
            check(receivers > 1 || messages[i].words[1] == next[messages[i].words[0] % THREADS], "a gap");
            see_message(&messages[i], next);
        }
        if (n) (void)atomic_fetch_add_explicit(&received, n, memory_order_relaxed);
        else sched_yield();
    }
    return NULL;
}

static void rings(uint32_t seed)
{
    static const struct {
        size_t senders, receivers, capacity, batch;
    } shapes[] = {{8, 1, 2, 1}, {8, 1, 64, BATCH}, {1, 1, 2, 1}, {1, 1, 1024, 1}, {1, 1, 4, BATCH}, {4, 4, 4, 1},
                  {4, 4, 16, BATCH}};
    (void)seed;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        senders = shapes[i].senders;
        receivers = shapes[i].receivers;
        batch = shapes[i].batch;
        check(sophia_ring_open(&ring, shapes[i].capacity), "no memory");
        expect(senders * size);
        atomic_store(&received, 0);
        start(sender, senders);
        start(receiver, receivers);
        join();
        check(!sophia_ring_count(&ring) && !sophia_ring_ready(&ring), "an empty ring is not said to be empty");
        account(senders * size);
        sophia_ring_close(&ring);
    }
}

/* Actors: small mailboxes, workers with a deque each that steal from each other and sleep when there is nothing. */

enum { ACTORS = 8, WORKERS = 3, RUN = 4 };

typedef struct {
    sophia_scheduled scheduled;
    sophia_ring mailbox;
    atomic_uint running;
    uint64_t handled, next[THREADS]; /* its own: plain, with no order but that of its runs */
} actor;

static actor actors[ACTORS];
static sophia_ring injected;
static sophia_deque queues[WORKERS];
static sophia_park park;
static atomic_size_t handled;
static bool unhurried;

static void make_runnable(size_t which, sophia_deque *queue)
{
    const sophia_message message = message_of(which, 0);
    if (!queue || !sophia_deque_push(queue, &actors[which])) {
        /* room for each actor, but the place may be one that is still being read */
        while (!sophia_ring_push(&injected, &message)) sched_yield();
    }
    (void)sophia_park_notify(&park, 1);
}

static void *tell(void *self)
{
    const size_t me = (size_t)(uintptr_t)self;
    uint32_t seed = (uint32_t)me + 1;
    for (uint64_t number = 0; number < size; number++) {
        const size_t to = next_random(&seed) % ACTORS;
        const sophia_message message = message_of(me, number);
        while (!sophia_ring_push(&actors[to].mailbox, &message)) sched_yield();
        if (sophia_schedule(&actors[to].scheduled)) make_runnable(to, NULL);
        if (unhurried && next_random(&seed) % 4 == 0) sched_yield(); /* mailboxes are nearly empty, not nearly full */
    }
    return NULL;
}

static actor *find_actor(size_t me)
{
    sophia_message message;
    bool lost;
    actor *found = (actor *)sophia_deque_take(&queues[me]);
    if (found) return found;
    if (sophia_ring_pop(&injected, &message)) return &actors[message.words[0]];
    do {
        lost = false;
        for (size_t i = 1; i < WORKERS; i++) {
            bool here;
            found = (actor *)sophia_deque_steal(&queues[(me + i) % WORKERS], &here);
            if (found) return found;
            lost |= here;
        }
    } while (lost);
    return NULL;
}

static void run_actor(actor *it, size_t me)
{
    sophia_message message;
    check(atomic_exchange_explicit(&it->running, 1, memory_order_relaxed) == 0, "two threads run one actor");
    size_t n = 0;
    for (; n < RUN && sophia_ring_pop(&it->mailbox, &message); n++) {
        see_message(&message, it->next);
        it->handled++;
    }
    check(atomic_exchange_explicit(&it->running, 0, memory_order_relaxed) == 1, "two threads run one actor");
    const bool again = n == RUN || !sophia_rests(&it->scheduled, &it->mailbox, 1);
    if (again) make_runnable((size_t)(it - actors), &queues[me]);
    if (atomic_fetch_add(&handled, n) + n == senders * size) {
        atomic_store(&over, true);
        (void)sophia_park_notify(&park, WORKERS);
    }
}

static void *worker(void *self)
{
    const size_t me = (size_t)(uintptr_t)self;
    while (!atomic_load(&over)) {
        actor *it = find_actor(me);
        if (!it) {
            const uint32_t epoch = sophia_park_prepare(&park);
            it = find_actor(me);
            if (it || atomic_load(&over)) sophia_park_cancel(&park);
            else sophia_park_wait(&park, epoch, -1);
        }
        if (it) run_actor(it, me);
    }
    return NULL;
}

static void actors_run(uint32_t seed)
{
    senders = 4;
    unhurried = seed % 4 < 2;
    sophia_park_open(&park);
    check(sophia_ring_open(&injected, ACTORS), "no memory");
    for (int i = 0; i < WORKERS; i++) check(sophia_deque_open(&queues[i], 2), "no memory");
    for (int i = 0; i < ACTORS; i++) {
        memset(&actors[i], 0, sizeof actors[i]);
        SOPHIA_INIT(&actors[i].scheduled, 0);
        check(sophia_ring_open(&actors[i].mailbox, seed % 2 ? 2 : 4), "no memory");
    }
    expect(senders * size);
    atomic_store(&handled, 0);
    atomic_store(&over, false);
    start(worker, WORKERS);
    start(tell, senders);
    join();
    account(senders * size);
    uint64_t sum = 0;
    for (int i = 0; i < ACTORS; i++) {
        sum += actors[i].handled;
        sophia_ring_close(&actors[i].mailbox);
    }
    check(sum == senders * size, "an actor lost what it had");
    for (int i = 0; i < WORKERS; i++) sophia_deque_close(&queues[i]);
    sophia_ring_close(&injected);
    sophia_park_close(&park);
}

/* Park: two threads that wake each other by turns. */

static sophia_park parks[2];
static atomic_size_t turn;

static void *player(void *self)
{
    const size_t me = (size_t)(uintptr_t)self;
    for (size_t i = me; i < size; i += 2) {
        while (atomic_load_explicit(&turn, memory_order_acquire) != i) {
            const uint32_t epoch = sophia_park_prepare(&parks[me]);
            if (atomic_load_explicit(&turn, memory_order_acquire) == i) sophia_park_cancel(&parks[me]);
            else sophia_park_wait(&parks[me], epoch, i % 64 ? -1 : 1000); /* now and then for a microsecond at most */
        }
        atomic_store_explicit(&turn, i + 1, memory_order_release);
        (void)sophia_park_notify(&parks[1 - me], 1);
    }
    return NULL;
}

static void parks_run(uint32_t seed)
{
    (void)seed;
    atomic_store(&turn, 0);
    for (int i = 0; i < 2; i++) sophia_park_open(&parks[i]);
    start(player, 2);
    join();
    check(atomic_load(&turn) == size, "a turn is lost");
    for (int i = 0; i < 2; i++) sophia_park_close(&parks[i]);
}

/* Bell: threads that put results into a ring, and a loop that sleeps on the descriptor. */

static sophia_bell bell;

static void *answer(void *self)
{
    const size_t me = (size_t)(uintptr_t)self;
    for (uint64_t number = 0; number < size; number++) {
        const sophia_message message = message_of(me, number);
        while (!sophia_ring_push(&ring, &message)) sched_yield();
        sophia_bell_ring(&bell);
    }
    return NULL;
}

static void bells(uint32_t seed)
{
    (void)seed;
    senders = 4;
    check(sophia_ring_open(&ring, 64) && sophia_bell_open(&bell), "no memory");
    expect(senders * size);
    start(answer, senders);
    uint64_t next[THREADS] = {0};
    sophia_message messages[BATCH];
    for (size_t results = 0, n; results < senders * size;) {
        struct pollfd ear = {bell.ear, POLLIN, 0};
        if (poll(&ear, 1, -1) != 1) continue;
        sophia_bell_silence(&bell);
        while ((n = sophia_ring_pop_many(&ring, messages, BATCH)) != 0) {
            for (size_t i = 0; i < n; i++) see_message(&messages[i], next);
            results += n;
        }
    }
    join();
    check(SOPHIA_LOAD(&bell.rung, relaxed) <= senders * size, "it was rung without a result");
    account(senders * size);
    sophia_bell_close(&bell);
    sophia_ring_close(&ring);
}

/* Ends the program when no repeat has ended for too long. */

static atomic_size_t beats;
static int seconds = 60;

static void *watch(void *unused)
{
    (void)unused;
    size_t last = 0;
    for (int quiet = 0;;) {
        struct timespec second = {1, 0};
        nanosleep(&second, NULL);
        const size_t now = atomic_load(&beats);
        quiet = now == last ? quiet + 1 : 0;
        last = now;
        check(quiet < seconds, "stuck");
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(uint32_t seed);
        size_t share; /* of SIZE, as the parts differ in what a step costs */
    } parts[] = {{"deque", deques, 32}, {"ring", rings, 4}, {"actors", actors_run, 4}, {"park", parks_run, 1},
                 {"bell", bells, 2}};
    const char *wanted = argc > 1 ? argv[1] : "all";
    const int repeats = argc > 2 ? atoi(argv[2]) : 1;
    const size_t most = argc > 3 ? (size_t)atol(argv[3]) : 1000;
    if (argc > 4) seconds = atoi(argv[4]);
    pthread_t watcher;
    part = "start";
    check(repeats > 0 && most > 0 && seconds > 0 && !pthread_create(&watcher, NULL, watch, NULL), "arguments");
    (void)pthread_detach(watcher);
    for (int i = 0; i < repeats; i++) {
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            if (strcmp(wanted, "all") && strcmp(wanted, parts[k].name)) continue;
            part = parts[k].name;
            size = most * parts[k].share;
            parts[k].run((uint32_t)i + 1);
            (void)atomic_fetch_add(&beats, 1);
        }
    }
    check(atomic_load(&beats) > 0, "no such part");
    puts("ok");
    return 0;
}

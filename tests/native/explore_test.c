/* The lock-free parts of the core in all interleavings of a few small threads: explore_test [PART [deep]].
 *
 * PART is litmus, deque, ring, schedule, park, bell, workers or all. Each scenario prints how many executions it has; those
 * that have very many are only for `deep`. The first that goes wrong is printed step by step, and ends the program
 * with 1.
 */
#define SOPHIA_ATOMICS "explore.h"
#define SOPHIA_PARK_FUTEX 1 /* the explorer's own, on any system */
#define SOPHIA_BELL_EVENTFD 1

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "deque.h"
#include "park.h"
#include "ring.h"
#include "schedule.h"

/* The bell's descriptor: a counter that the system keeps. */
static uint64_t descriptor;

static ssize_t rung(const uint64_t *one)
{
    (void)SOPHIA_ADD(&descriptor, *one, seq_cst);
    return sizeof *one;
}

static ssize_t heard(uint64_t *much)
{
    *much = SOPHIA_EXCHANGE(&descriptor, 0, seq_cst);
    if (*much) return sizeof *much;
    errno = EAGAIN;
    return -1;
}

#define write(hammer, one, bytes) rung(one)
#define read(ear, much, bytes) heard(much)
#include "bell.h"
#undef write
#undef read

/* What workers ask of the system: no time passes in a nap; how long they slept is the scenario's to say. */
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

static int64_t each_sleep; /* nanoseconds */
static void worker_goes_on(uint64_t from);
static int told_time(struct timespec *now);

#define clock_gettime(clock, now) told_time(now)
#define nanosleep(nap, left) ((void)(nap), worker_goes_on(16), 0)
#define prctl(...) 0
#include "workers.h"
#undef clock_gettime
#undef nanosleep
#undef prctl

enum { MOST = 8 };

static bool deep;

/* What a thread got, in its order: its own. */
static struct {
    uint64_t numbers[MOST];
    int n;
} got[EXPLORE_THREADS];

static void note(uint64_t number)
{
    const int self = explorer.now;
    if (got[self].n == MOST) abort();
    got[self].numbers[got[self].n++] = number;
}

static void nothing_yet(void)
{
    got[explorer.now].n = 0;
}

/* Litmus: the explorer itself finds what a model allows, and nothing else. */

static uint32_t x, y;
static uint64_t outcomes; /* bit 2a + b: where the two threads read a and b */

static void note_outcome(void)
{
    outcomes |= UINT64_C(1) << (2 * got[0].numbers[0] + got[1].numbers[0]);
}

#define LITMUS(name, first, middle, then) \
    static void name(void) \
    { \
        nothing_yet(); \
        SOPHIA_STORE(&first, 1, relaxed); \
        middle; \
        note(SOPHIA_LOAD(&then, relaxed)); \
    }

LITMUS(x_then_y, x, (void)0, y)
LITMUS(y_then_x, y, (void)0, x)
LITMUS(x_fence_y, x, SOPHIA_FENCE(), y)
LITMUS(y_fence_x, y, SOPHIA_FENCE(), x)

static void publish(void)
{
    nothing_yet();
    SOPHIA_STORE(&x, 1, relaxed);
    SOPHIA_STORE(&y, 1, release);
    note(0);
}

static void publish_in_no_order(void)
{
    nothing_yet();
    SOPHIA_STORE(&x, 1, relaxed);
    SOPHIA_STORE(&y, 1, relaxed);
    note(0);
}

/* 1 where what was published is not there. */
static void subscribe(void)
{
    nothing_yet();
    const uint32_t there = SOPHIA_LOAD(&y, acquire);
    note(there && !SOPHIA_LOAD(&x, relaxed));
}

static void litmus(explore_model model)
{
    const struct {
        const char *name;
        void (*first)(void), (*second)(void);
        uint64_t allowed;
    } tests[] = {
        {"litmus, store and load", x_then_y, y_then_x, 15},
        {"litmus, store, fence and load", x_fence_y, y_fence_x, 14}, /* not both zero */
        {"litmus, published", publish, subscribe, 1},
        {"litmus, published in no order", publish_in_no_order, subscribe, model == EXPLORE_PSO ? 3 : 1},
    };
    explore_keep("x", &x, sizeof x);
    explore_keep("y", &y, sizeof y);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        outcomes = 0;
        explore(tests[i].name, model, 2, (void (*[])(void)){tests[i].first, tests[i].second}, note_outcome);
        explore_check(outcomes == tests[i].allowed, "not the outcomes that the model has");
    }
    explore_forget();
}

/* Deque: each of the owner's items is taken once, by the owner or by a thief. */

static sophia_deque deque;
static char items[MOST];
static int put_items;

static void note_item(void *item)
{
    if (item) note((uint64_t)((char *)item - items));
}

static void owner(void)
{
    nothing_yet();
    for (int i = 0; i < put_items; i++) {
        while (!sophia_deque_push(&deque, &items[i])) note_item(sophia_deque_take(&deque)); /* full */
    }
    for (int i = 0; i < put_items; i++) note_item(sophia_deque_take(&deque));
}

static void one_by_one(void)
{
    nothing_yet();
    for (int i = 0; i < put_items; i++) {
        explore_check(sophia_deque_push(&deque, &items[i]), "no room in an empty deque");
        note_item(sophia_deque_take(&deque));
    }
}

static void thief(void)
{
    bool lost;
    nothing_yet();
    note_item(sophia_deque_steal(&deque, &lost));
}

static void eager_thief(void)
{
    bool lost;
    nothing_yet();
    for (int i = 0; i < 2; i++) note_item(sophia_deque_steal(&deque, &lost));
}

static void each_item_once(void)
{
    int taken[MOST] = {0};
    for (int t = 0; t < explorer.n; t++) {
        for (int i = 0; i < got[t].n; i++) taken[got[t].numbers[i]]++;
    }
    for (char *item; (item = (char *)sophia_deque_take(&deque)) != NULL;) taken[item - items]++;
    for (int i = 0; i < put_items; i++) {
        explore_check(taken[i] <= 1, "an item was taken twice");
        explore_check(taken[i] == 1, "an item is lost");
    }
}

static void deques(explore_model model)
{
    if (!sophia_deque_open(&deque, 2)) abort();
    explore_keep("deque", &deque, sizeof deque);
    explore_keep("items", (void *)deque.items, 2 * sizeof *deque.items);
    put_items = 1;
    explore("deque, one item, a thief", model, 2, (void (*[])(void)){owner, thief}, each_item_once);
    explore("deque, one item, two thieves", model, 3, (void (*[])(void)){owner, thief, thief}, each_item_once);
    put_items = 2;
    explore("deque, two items, a thief", model, 2, (void (*[])(void)){owner, eager_thief}, each_item_once);
    explore("deque, two items, two thieves", model, 3, (void (*[])(void)){owner, eager_thief, eager_thief},
            each_item_once);
    explore("deque, one after the other, two thieves", model, 3,
            (void (*[])(void)){one_by_one, eager_thief, eager_thief}, each_item_once);
    put_items = 3;
    explore("deque, full, a thief", model, 2, (void (*[])(void)){owner, eager_thief}, each_item_once);
    explore("deque, full, two thieves", model, 3, (void (*[])(void)){owner, thief, thief}, each_item_once);
    if (deep) {
        explore("deque, full, two eager thieves", model, 3, (void (*[])(void)){owner, eager_thief, eager_thief},
                each_item_once);
        explore("deque, three one after the other, two thieves", model, 3,
                (void (*[])(void)){one_by_one, eager_thief, eager_thief}, each_item_once);
    }
    explore_forget();
    sophia_deque_close(&deque);
}

/* Ring: what comes out is what went in, once, each sender's messages in their order. */

static sophia_ring ring;
static int sent_each, many;
static int accepted[EXPLORE_THREADS]; /* of a sender's messages, the first so many */

static sophia_message message_of(int sender, int number)
{
    return (sophia_message){{(uint64_t)sender, (uint64_t)number, (uint64_t)(sender * 100 + number)}};
}

static void note_message(const sophia_message *message)
{
    const uint64_t sender = message->words[0], number = message->words[1];
    explore_check(sender < EXPLORE_THREADS && number < MOST && message->words[2] == sender * 100 + number,
                  "a message was read before it was written");
    if (explorer.now >= 0) note(message->words[2]);
}

static void sender(void)
{
    const int self = explorer.now;
    accepted[self] = 0;
    nothing_yet();
    for (int i = 0; i < sent_each; i++) {
        const sophia_message message = message_of(self, accepted[self]);
        if (sophia_ring_push(&ring, &message)) accepted[self]++;
    }
}

static void sender_of_many(void)
{
    const int self = explorer.now;
    sophia_message messages[2];
    accepted[self] = 0;
    nothing_yet();
    for (int i = 0; i < many; i++) {
        for (int k = 0; k < 2; k++) messages[k] = message_of(self, accepted[self] + k);
        accepted[self] += (int)sophia_ring_push_many(&ring, messages, 2);
    }
}

static void receiver(void)
{
    sophia_message message;
    accepted[explorer.now] = 0;
    nothing_yet();
    for (int i = 0; i < 2; i++) {
        if (sophia_ring_pop(&ring, &message)) note_message(&message);
    }
}

static void receiver_of_many(void)
{
    sophia_message messages[3];
    accepted[explorer.now] = 0;
    nothing_yet();
    for (int i = 0; i < 2; i++) {
        const size_t n = sophia_ring_pop_many(&ring, messages, 3);
        for (size_t k = 0; k < n; k++) note_message(&messages[k]);
    }
}

static void each_message_once(void)
{
    int seen[EXPLORE_THREADS][MOST] = {{0}};
    int last[EXPLORE_THREADS];
    for (int t = 0; t <= explorer.n; t++) { /* after the receivers, what is still there */
        for (int s = 0; s < explorer.n; s++) last[s] = -1;
        sophia_message message;
        for (int i = 0; t < explorer.n ? i < got[t].n : sophia_ring_pop(&ring, &message); i++) {
            if (t == explorer.n) note_message(&message);
            const uint64_t which = t < explorer.n ? got[t].numbers[i] : message.words[2];
            const int from = (int)(which / 100), number = (int)(which % 100);
            explore_check(number > last[from], "messages of one sender in another order");
            last[from] = number;
            seen[from][number]++;
        }
    }
    for (int s = 0; s < explorer.n; s++) {
        for (int i = 0; i < MOST; i++) {
            explore_check(seen[s][i] <= 1, "a message was received twice");
            explore_check(seen[s][i] == (i < accepted[s]), "a message is lost");
        }
    }
    const sophia_message message = message_of(0, 0);
    explore_check(!sophia_ring_count(&ring) && !sophia_ring_ready(&ring), "an empty ring is not said to be empty");
    explore_check(sophia_ring_push(&ring, &message) && sophia_ring_push(&ring, &message)
                      && !sophia_ring_push(&ring, &message) && sophia_ring_count(&ring) == 2,
                  "a ring of two has not two places");
}

static void receive_one(void)
{
    sophia_message message;
    nothing_yet();
    explore_check(sophia_ring_pop(&ring, &message), "a message is not found");
    note_message(&message);
}

static void look(void)
{
    explore_check(sophia_ring_ready(&ring), "a ring that holds a message is not said to");
}

static void one_is_left(void)
{
    explore_check(sophia_ring_ready(&ring) && sophia_ring_count(&ring) == 1, "one message is not left");
}

static void open_ring(size_t capacity, int holds)
{
    if (!sophia_ring_open(&ring, capacity)) abort();
    for (size_t i = 0; i < capacity; i++) memset(&ring.slots[i].message, 0xEE, sizeof ring.slots[i].message);
    for (int i = 0; i < holds; i++) {
        const sophia_message message = message_of(0, i);
        if (!sophia_ring_push(&ring, &message)) abort();
    }
    explore_keep("ring", &ring, sizeof ring);
    explore_keep("slots", ring.slots, capacity * sizeof *ring.slots);
}

static void close_ring(void)
{
    explore_forget();
    sophia_ring_close(&ring);
}

static void rings(explore_model model)
{
    open_ring(4, 3);
    explore("ring, a look beside receivers", model, 3, (void (*[])(void)){look, receive_one, receive_one},
            one_is_left);
    close_ring();
    open_ring(2, 0);
    sent_each = 1;
    explore("ring, two senders", model, 3, (void (*[])(void)){sender, sender, receiver}, each_message_once);
    explore("ring, two receivers", model, 3, (void (*[])(void)){sender, receiver, receiver}, each_message_once);
    sent_each = 3;
    explore("ring, full", model, 2, (void (*[])(void)){sender, receiver}, each_message_once);
    many = 2;
    explore("ring, many at once", model, 2, (void (*[])(void)){sender_of_many, receiver_of_many}, each_message_once);
    if (model == EXPLORE_TSO) {
        sent_each = 2;
        explore("ring, two senders, full", model, 3, (void (*[])(void)){sender, sender, receiver}, each_message_once);
        many = 1;
        explore("ring, two senders of many", model, 3,
                (void (*[])(void)){sender_of_many, sender_of_many, receiver_of_many}, each_message_once);
    }
    close_ring();
}

/* Schedule: who makes the actor runnable runs it. */

static sophia_scheduled scheduled;
static uint32_t running; /* who runs the actor; 0: nobody */
static uint64_t handled; /* the actor's own, with no order but that of its runs */

static void send_and_run(void)
{
    const uint32_t self = (uint32_t)explorer.now + 1;
    for (int i = 0; i < sent_each; i++) {
        sophia_message message = message_of((int)self, i);
        explore_check(sophia_ring_push(&ring, &message), "no room for so few messages");
        explore_same((uint64_t)(4 * i));
        if (!sophia_schedule(&scheduled)) continue;
        do {
            explore_same((uint64_t)(4 * i + 1));
            explore_check(SOPHIA_EXCHANGE(&running, self, relaxed) == 0, "two threads run one actor");
            while (sophia_ring_pop(&ring, &message)) {
                SOPHIA_STORE(&handled, SOPHIA_LOAD(&handled, relaxed) + 1, relaxed);
                explore_same((uint64_t)(4 * i + 2));
            }
            explore_same((uint64_t)(4 * i + 3));
            explore_check(SOPHIA_EXCHANGE(&running, 0, relaxed) == self, "two threads run one actor");
        } while (!sophia_rests(&scheduled, &ring, 1));
    }
}

static void all_handled(void)
{
    explore_check(sophia_ring_count(&ring) == 0, "a message is left with an actor that is not scheduled");
    explore_check(scheduled == 0, "an idle actor is scheduled");
    explore_check(handled == (uint64_t)(explorer.n * sent_each), "a run did not see what the run before it did");
}

static void schedules(explore_model model)
{
    void (*const senders[])(void) = {send_and_run, send_and_run, send_and_run};
    open_ring(4, 0);
    SOPHIA_INIT(&scheduled, 0);
    explore_keep("scheduled", &scheduled, sizeof scheduled);
    explore_keep("running", &running, sizeof running);
    explore_keep("handled", &handled, sizeof handled);
    sent_each = 1;
    explore("schedule, two senders", model, 2, senders, all_handled);
    if (model == EXPLORE_TSO) {
        if (deep) explore("schedule, three senders", model, 3, senders, all_handled);
        sent_each = 2;
        explore("schedule, two senders of two", model, 2, senders, all_handled);
    }
    close_ring();
}

/* Park: who has looked for work and found none sleeps until there is some. */

static sophia_park park;
static uint32_t work;

static void make_work(void)
{
    SOPHIA_STORE(&work, 1, release);
    (void)sophia_park_notify(&park, 1);
}

static void make_work_for_all(void)
{
    SOPHIA_STORE(&work, 1, release);
    (void)sophia_park_notify(&park, EXPLORE_THREADS);
}

static void wait_for_work(void)
{
    while (!SOPHIA_LOAD(&work, acquire)) {
        const uint32_t epoch = sophia_park_prepare(&park);
        if (SOPHIA_LOAD(&work, acquire)) sophia_park_cancel(&park);
        else sophia_park_wait(&park, epoch, -1);
        explore_same(0);
    }
}

static void send_and_notify(void)
{
    for (int i = 0; i < sent_each; i++) {
        const sophia_message message = message_of(explorer.now, i);
        explore_check(sophia_ring_push(&ring, &message), "no room for so few messages");
        explore_same((uint64_t)(2 * i));
        (void)sophia_park_notify(&park, 1);
        explore_same((uint64_t)(2 * i + 1));
    }
}

static void wait_for_a_message(void)
{
    sophia_message message;
    while (!sophia_ring_pop(&ring, &message)) {
        explore_same(0);
        const uint32_t epoch = sophia_park_prepare(&park);
        if (sophia_ring_ready(&ring)) sophia_park_cancel(&park);
        else sophia_park_wait(&park, epoch, -1);
        explore_same(1);
    }
    explore_same(2);
    if (sophia_ring_ready(&ring)) (void)sophia_park_notify(&park, 1); /* two may have become readable at once */
}

static void nobody_sleeps(void)
{
    explore_check(park.sleepers == 0, "somebody is still counted as a sleeper");
}

static void parks(explore_model model)
{
    sophia_park_open(&park);
    explore_keep("park", &park, sizeof park);
    explore_keep("work", &work, sizeof work);
    explore("park, one sleeper", model, 2, (void (*[])(void)){make_work, wait_for_work}, nobody_sleeps);
    explore("park, two sleepers", model, 3, (void (*[])(void)){make_work_for_all, wait_for_work, wait_for_work},
            nobody_sleeps);
    open_ring(2, 0);
    sent_each = 1;
    explore("park, a message", model, 2, (void (*[])(void)){send_and_notify, wait_for_a_message}, nobody_sleeps);
    sent_each = 2;
    explore("park, two messages", model, 3,
            (void (*[])(void)){send_and_notify, wait_for_a_message, wait_for_a_message}, nobody_sleeps);
    sent_each = 1;
    if (deep) {
        explore("park, two messages of two senders", model, 4,
                (void (*[])(void)){send_and_notify, send_and_notify, wait_for_a_message, wait_for_a_message},
                nobody_sleeps);
    }
    close_ring();
    sophia_park_close(&park);
}

/* Bell: a loop that sleeps on the descriptor sees every result. */

static sophia_bell bell;

static void answer(void)
{
    for (int i = 0; i < sent_each; i++) {
        const sophia_message message = message_of(explorer.now, i);
        explore_check(sophia_ring_push(&ring, &message), "no room for so few results");
        sophia_bell_ring(&bell);
    }
}

static void loop(void)
{
    sophia_message message;
    int results = 0;
    while (results < (explorer.n - 1) * sent_each) {
        EXPLORE_UNTIL_NOT(&descriptor, 0);
        sophia_bell_silence(&bell);
        while (sophia_ring_pop(&ring, &message)) results++;
    }
}

static void all_seen(void)
{
    explore_check(bell.rung <= (uint64_t)((explorer.n - 1) * sent_each), "it was rung without a result");
}

static void bells(explore_model model)
{
    open_ring(4, 0);
    SOPHIA_INIT(&bell.ringing, 0);
    SOPHIA_INIT(&bell.rung, 0);
    explore_keep("bell", &bell, sizeof bell);
    explore_keep("descriptor", &descriptor, sizeof descriptor);
    sent_each = 1;
    explore("bell, one result", model, 2, (void (*[])(void)){answer, loop}, all_seen);
    if (model == EXPLORE_TSO) {
        explore("bell, two threads", model, 3, (void (*[])(void)){answer, answer, loop}, all_seen);
        sent_each = 2;
        explore("bell, two results", model, 2, (void (*[])(void)){answer, loop}, all_seen);
    }
    close_ring();
}

/* Workers: the loop that ships. What is submitted is run, wherever they are between looking, napping and sleeping. */

static sophia_workers *workers;
static sophia_runnable runnables[MOST];
static uint32_t left; /* runnables that have not run */
static int64_t times[EXPLORE_THREADS];

static sophia_worker *worker_here(void)
{
    return &workers->each[explorer.now - 1];
}

/* Where a worker has nothing in its hands, the place, this, and what is shared is all that it acts by. */
static void worker_goes_on(uint64_t from)
{
    explore_same(from + (uint64_t)worker_here()->searching + 2 * (uint64_t)worker_here()->restless);
}

/* Twice each sleep: before and after. */
static int told_time(struct timespec *now)
{
    int64_t *mine = &times[explorer.now];
    *mine = *mine ? 0 : each_sleep + 1;
    now->tv_sec = 0;
    now->tv_nsec = (long)(each_sleep + 1 - *mine);
    if (!*mine) worker_goes_on(32);
    return 0;
}

static int run_once(sophia_runnable *runnable, sophia_workers *of)
{
    (void)runnable, (void)of;
    worker_goes_on(64);
    (void)SOPHIA_SUB(&left, 1, seq_cst);
    return SOPHIA_THROUGH;
}

static void whole_worker(void)
{
    (void)sophia_worker_main(&workers->each[0]);
}

/* Two jobs, one for all and one for the worker, then close: the worker is not left asleep. */
static void submit_and_close(void)
{
    for (int i = 0; i < 2; i++) {
        runnables[i].home = i - 1;
        explore_check(sophia_workers_submit(workers, &runnables[i]) == SOPHIA_TAKEN, "no room for so few");
        explore_same((uint64_t)i + 1);
    }
    for (uint32_t now; (now = SOPHIA_LOAD(&left, seq_cst)) != 0;) {
        EXPLORE_UNTIL_NOT(&left, now);
        explore_same(MOST);
    }
    SOPHIA_STORE(&workers->closing, 1, seq_cst);
    (void)sophia_worker_rouse(workers, 0);
}

static void all_have_left(void)
{
    explore_check(!sophia_workers_have_work(workers) && !left, "work is left");
    explore_check(!workers->idle && !workers->searching && !workers->alive, "who is gone is still counted");
}

/* The second of two workers: sleeps, and then has a job in its inbox. */
static void sleeper(void)
{
    sophia_runnable *runnable = NULL;
    bool leave;
    while (!runnable) {
        runnable = sophia_worker_rest(&workers->each[1], &leave);
        if (!runnable) runnable = sophia_worker_look(&workers->each[1]);
    }
    sophia_worker_run(&workers->each[1], runnable);
}

/* The first falls asleep meanwhile, and finds nothing until it is to leave. */
static void passer_by(void)
{
    sophia_worker *self = &workers->each[0];
    bool leave = false;
    EXPLORE_UNTIL_NOT(&workers->each[1].parks, 0);
    explore_same(0);
    while (!leave) {
        explore_check(!(self->restless && sophia_worker_nap(self)), "another's job was taken from a worker that sleeps");
        explore_check(!sophia_worker_rest(self, &leave), "another's job was taken from a worker that sleeps");
    }
}

/* Calls for a job that a third has taken before anybody who was woken could; then one for the second's inbox. */
static void submit_to_the_sleeper(void)
{
    EXPLORE_UNTIL_NOT(&workers->each[0].asleep, 0);
    explore_same(0);
    sophia_workers_call(workers, -1);
    runnables[0].home = 1;
    explore_check(sophia_workers_submit(workers, &runnables[0]) == SOPHIA_TAKEN, "no room for one");
    explore_same(1);
    EXPLORE_UNTIL_NOT(&left, 1);
    explore_same(2);
    SOPHIA_STORE(&workers->closing, 1, seq_cst);
    (void)sophia_worker_rouse(workers, 0);
}

static void all_is_done(void)
{
    explore_check(!sophia_workers_have_work(workers) && !left, "work is left");
    explore_check(!workers->idle, "who is awake is still counted");
}

static void open_workers(int32_t count, uint32_t jobs, bool restless)
{
    workers = (sophia_workers *)aligned_alloc(SOPHIA_LINE, sizeof *workers);
    if (!workers) abort();
    memset(workers, 0, sizeof *workers);
    workers->each = (sophia_worker *)aligned_alloc(SOPHIA_LINE, (size_t)count * sizeof *workers->each);
    if (!workers->each || !sophia_ring_open(&workers->shared, 2)) abort();
    for (int32_t i = 0; i < count; i++) {
        if (!sophia_worker_open(&workers->each[i], workers, i, -1)) abort();
        explore_keep("inbox", workers->each[i].inbox.slots, SOPHIA_INBOX_ROOM * sizeof(sophia_slot));
        explore_keep("deque", (void *)workers->each[i].deque.items, SOPHIA_DEQUE_ROOM * sizeof(void *));
    }
    workers->count = count;
    workers->alive = (uint32_t)count;
    left = jobs;
    workers->each[0].restless = restless;
    for (int i = 0; i < 2; i++) runnables[i].run = run_once;
    explore_keep("left", &left, sizeof left);
    explore_keep("times", times, sizeof times);
    explore_keep("shared", workers->shared.slots, 2 * sizeof(sophia_slot));
    explore_keep("each", workers->each, (size_t)count * sizeof *workers->each);
    explore_keep("workers", workers, sizeof *workers);
}

static void close_workers(void)
{
    explore_forget();
    sophia_workers_free(workers);
}

static void pools(explore_model model)
{
    for (int naps = 0; naps < 2; naps++) {
        each_sleep = naps ? 0 : SOPHIA_BRIEF;
        open_workers(1, 2, naps);
        explore(naps ? "workers, one that naps" : "workers, one", model, 2,
                (void (*[])(void)){submit_and_close, whole_worker}, all_have_left);
        close_workers();
        open_workers(2, 1, naps);
        explore(naps ? "workers, a sleeper's inbox, another naps" : "workers, a sleeper's inbox", model, 3,
                (void (*[])(void)){submit_to_the_sleeper, passer_by, sleeper}, all_is_done);
        close_workers();
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*explored)(explore_model);
    } parts[] = {{"litmus", litmus}, {"deque", deques}, {"ring", rings}, {"schedule", schedules}, {"park", parks},
                 {"bell", bells}, {"workers", pools}};
    deep = argc > 2 && !strcmp(argv[2], "deep");
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (argc > 1 && strcmp(argv[1], "all") && strcmp(argv[1], parts[i].name)) continue;
        explorer.coarse = parts[i].explored != rings;
        parts[i].explored(parts[i].explored == pools ? EXPLORE_SC : EXPLORE_TSO);
        if (parts[i].explored != pools) parts[i].explored(EXPLORE_PSO);
    }
    puts("ok");
    return 0;
}

/* Goes through all interleavings of a few small threads over the very headers that ship (SOPHIA_ATOMICS in atomics.h).
 *
 * A virtual thread is a coroutine that stops before each access to a shared word; the explorer performs the access and
 * chooses who goes next, depth first, until every choice was made. What a thread does is decided by the values that it
 * read. So a state is the memory, the stores still held back, and what each thread has read: one that was seen before
 * is not entered again (64 bits of hash stand for a state). Nothing else bounds the search, and no run is random.
 *
 * Each thread has a buffer of stores that no other thread sees yet; its own loads do.
 *   TSO: stores reach memory in their order, at any time; whatever is sequentially consistent, and every exchange,
 *        addition or compare-and-swap, waits until the buffer is empty. So does x86-64.
 *   SC: stores are seen at once, for scenarios that would have too many states otherwise.
 *   PSO: relaxed and plain stores to different places reach memory in any order, a release only after all that came
 *        before it; an exchange and its like that is neither release nor sequentially consistent waits only for
 *        stores to its own place.
 * Loads are done in the order of the program: what an acquire prevents is left to ThreadSanitizer.
 *
 * Plain accesses to what an atomic word guards are steps like others, unless `explorer.coarse`: then they are done at
 * once, for scenarios that ask something else of code whose plain accesses another scenario has gone through.
 *
 * Whatever threads share, also what only a test keeps, must go through these accesses; what one thread has for itself
 * must be set by it anew in each execution. Outside of virtual threads accesses are plain.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { EXPLORE_THREADS = 4, EXPLORE_STORES = 24, EXPLORE_DEPTH = 1 << 12, EXPLORE_KEPT = 12, EXPLORE_STACK = 1 << 16 };

typedef enum { EXPLORE_TSO, EXPLORE_PSO, EXPLORE_SC } explore_model;

static const char *const explore_models[] = {"TSO", "PSO", "SC"};
typedef enum {
    EXPLORE_relaxed,
    EXPLORE_acquire,
    EXPLORE_release,
    EXPLORE_acq_rel,
    EXPLORE_seq_cst,
} explore_order;

typedef enum {
    EXPLORE_NOTHING, /* goes on by itself, as from here on nobody else can tell when */
    EXPLORE_FENCE,
    EXPLORE_LOAD,
    EXPLORE_STORE,
    EXPLORE_EXCHANGE,
    EXPLORE_ADD,
    EXPLORE_CAS,
    EXPLORE_SLEEP, /* unless the word is another already */
    EXPLORE_WAKE,
    EXPLORE_UNTIL, /* waits for as long as the word has this value */
    EXPLORE_END,
} explore_kind;

static const char *const explore_kinds[] = {"goes on",  "fence", "load", "store", "exchange", "add",
                                            "compare-and-swap", "sleep", "wake", "wait for", "end"};

typedef struct {
    explore_kind kind;
    explore_order order;
    size_t bytes;
    void *place;
    uint64_t value, expected;
} explore_step;

typedef struct {
    void (*body)(void);
    ucontext_t context;
    jmp_buf begin, here;
    explore_step next; /* what it stopped before */
    uint64_t result;
    uint64_t past; /* hash of what it read */
    explore_step stores[EXPLORE_STORES];
    int held; /* stores */
    bool begun, asleep;
} explore_thread;

/* Drains store `which` of a thread, or lets it do its step; `which` then is the first of the sleepers to wake. */
typedef struct {
    uint8_t thread, drain, which;
} explore_choice;

typedef struct {
    explore_choice choices[EXPLORE_THREADS * (EXPLORE_STORES + 1)];
    int n, at;
} explore_point;

static struct {
    const char *name;
    explore_model model;
    explore_thread threads[EXPLORE_THREADS];
    int n, now; /* now: -1 outside of them */
    bool coarse;
    jmp_buf home;
    uint64_t memory; /* hash of what was written */
    struct {
        const char *name;
        void *place, *copy;
        size_t bytes;
    } kept[EXPLORE_KEPT];
    int keeps;
    explore_point path[EXPLORE_DEPTH];
    struct {
        int thread;
        bool drain;
        explore_step step;
        uint64_t result;
    } log[EXPLORE_DEPTH];
    int logged;
    uint64_t *seen; /* an open table; 0 is free */
    size_t states, room;
    uint64_t executions;
} explorer = {.now = -1};

static _Alignas(64) unsigned char explore_stacks[EXPLORE_THREADS][EXPLORE_STACK];

static uint64_t explore_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ (hash >> 29)) * 0xBF58476D1CE4E5B9u;
    return hash ^ (hash >> 32);
}

/* What is shared: its bytes are put back before each execution. After it was opened, before explore(). */
static void explore_keep(const char *name, void *place, size_t bytes)
{
    if (explorer.keeps == EXPLORE_KEPT) abort();
    void *copy = malloc(bytes);
    if (!copy) abort();
    memcpy(copy, place, bytes);
    explorer.kept[explorer.keeps].name = name;
    explorer.kept[explorer.keeps].place = place;
    explorer.kept[explorer.keeps].copy = copy;
    explorer.kept[explorer.keeps++].bytes = bytes;
}

static void explore_forget(void)
{
    while (explorer.keeps) free(explorer.kept[--explorer.keeps].copy);
}

/* Prints the execution that led to here, and ends the program. */
static void explore_fail(const char *words)
{
    printf("WRONG: %s, %s: %s\n", explorer.name, explore_models[explorer.model], words);
    for (int i = 0; i < explorer.logged; i++) {
        const explore_step *step = &explorer.log[i].step;
        char place[64] = "";
        for (int k = 0; k < explorer.keeps; k++) {
            const ptrdiff_t at = (unsigned char *)step->place - (unsigned char *)explorer.kept[k].place;
            if (at < 0 || at >= (ptrdiff_t)explorer.kept[k].bytes) continue;
            snprintf(place, sizeof place, "%s+%td", explorer.kept[k].name, at);
        }
        printf("  thread %d: %s %s value %llx -> %llx\n", explorer.log[i].thread,
               explorer.log[i].drain ? "its store is seen:" : explore_kinds[step->kind], place,
               (unsigned long long)step->value, (unsigned long long)explorer.log[i].result);
    }
    exit(1);
}

static inline void explore_check(bool good, const char *words)
{
    if (!good) explore_fail(words);
}

static uint64_t explore_read(const void *place, size_t bytes)
{
    uint64_t value = 0;
    uint32_t half;
    if (bytes == sizeof value) memcpy(&value, place, sizeof value);
    else memcpy(&half, place, sizeof half), value = half;
    return value;
}

static void explore_write(void *place, uint64_t value, size_t bytes)
{
    const uint32_t half = (uint32_t)value;
    const uint64_t at = (uint64_t)(uintptr_t)place;
    if (bytes == sizeof half) value = half;
    explorer.memory ^= explore_mix(at, explore_read(place, bytes)) ^ explore_mix(at, value);
    if (bytes == sizeof value) memcpy(place, &value, sizeof value);
    else memcpy(place, &half, sizeof half);
}

/* A function of its own: no local variable lives across the jump. Who jumps away does nothing until it is jumped to. */
static void explore_jump(jmp_buf from, jmp_buf to)
{
    if (!setjmp(from)) longjmp(to, 1);
}

static void explore_entry(void)
{
    if (!setjmp(explorer.threads[explorer.now].begin)) longjmp(explorer.home, 1); /* each execution comes back here */
    explorer.threads[explorer.now].body();
    explorer.threads[explorer.now].next.kind = EXPLORE_END;
    longjmp(explorer.home, 1);
}

/* Up to where each execution begins. */
static void explore_start(int thread, void (*body)(void))
{
    explore_thread *it = &explorer.threads[thread];
    it->body = body;
    if (getcontext(&it->context)) abort();
    it->context.uc_stack.ss_sp = explore_stacks[thread];
    it->context.uc_stack.ss_size = EXPLORE_STACK;
    it->context.uc_link = NULL;
    makecontext(&it->context, explore_entry, 0);
    explorer.now = thread;
    if (!setjmp(explorer.home)) setcontext(&it->context);
    explorer.now = -1;
}

/* Until the thread stops before its next step. */
static void explore_resume(int thread)
{
    explore_thread *it = &explorer.threads[thread];
    explorer.now = thread;
    it->past = explore_mix(it->past, it->result + 1);
    if (it->begun) {
        explore_jump(explorer.home, it->here);
    } else {
        it->begun = true;
        explore_jump(explorer.home, it->begin);
    }
    explorer.now = -1;
}

/* What the step does; also for the test itself, before and after. */
static uint64_t explore_perform(explore_step *step, int thread, int which)
{
    const uint64_t before = step->place ? explore_read(step->place, step->bytes) : 0;
    switch (step->kind) {
    case EXPLORE_LOAD:
        for (int i = thread < 0 ? 0 : explorer.threads[thread].held; i--;) {
            const explore_step *own = &explorer.threads[thread].stores[i];
            if (own->place == step->place) return own->value;
        }
        return before;
    case EXPLORE_STORE:
    case EXPLORE_EXCHANGE:
        explore_write(step->place, step->value, step->bytes);
        return before;
    case EXPLORE_ADD:
        explore_write(step->place, before + step->value, step->bytes);
        return before;
    case EXPLORE_CAS:
        if (before == step->expected) explore_write(step->place, step->value, step->bytes);
        return before;
    case EXPLORE_SLEEP:
        if (thread >= 0 && before == step->value) explorer.threads[thread].asleep = true;
        return 0;
    case EXPLORE_WAKE:
        for (int i = 0, left = (int)step->value; i < explorer.n && left; i++) {
            explore_thread *sleeper = &explorer.threads[(which + i) % explorer.n];
            if (!sleeper->asleep || sleeper->next.place != step->place) continue;
            sleeper->asleep = false;
            sleeper->next.kind = EXPLORE_NOTHING;
            left--;
        }
        return 0;
    default:
        return 0;
    }
}

/* From a thread: whatever it has read so far, here it is the same, as `place` alone tells. So fewer states differ. */
static inline void explore_same(uint64_t place)
{
    explorer.threads[explorer.now].past = explore_mix(~UINT64_C(0), place); /* never what a thread begins with */
}

/* From a thread: a step of it. */
static uint64_t explore_access(explore_kind kind, void *place, size_t bytes, uint64_t value, uint64_t expected,
                               explore_order order)
{
    explore_step step = {kind, order, bytes, place, value, expected};
    if (bytes == sizeof(uint32_t)) step.value = (uint32_t)value;
    if (explorer.now < 0) return explore_perform(&step, -1, 0);
    explore_thread *self = &explorer.threads[explorer.now];
    if (kind == EXPLORE_STORE && order != EXPLORE_seq_cst && explorer.model != EXPLORE_SC) { /* seen by nobody yet, so nobody's choice */
        if (self->held == EXPLORE_STORES) explore_fail("more stores are held back than the explorer has room for");
        self->stores[self->held++] = step;
        return 0;
    }
    self->next = step;
    explore_jump(self->here, explorer.home);
    return self->result;
}

static bool explore_alone(const explore_thread *it)
{
    return !it->asleep && (it->next.kind == EXPLORE_NOTHING || (it->next.kind == EXPLORE_FENCE && !it->held));
}

static bool explore_may_step(const explore_thread *it)
{
    const explore_step *next = &it->next;
    if (it->asleep || next->kind == EXPLORE_END) return false;
    if (next->kind == EXPLORE_LOAD) return true;
    if (next->kind == EXPLORE_UNTIL && explore_read(next->place, next->bytes) == next->value) return false;
    if (explorer.model == EXPLORE_TSO || next->order >= EXPLORE_release) return !it->held;
    for (int i = 0; i < it->held; i++) {
        if (it->stores[i].place == next->place) return false;
    }
    return true;
}

static bool explore_may_drain(const explore_thread *it, int which)
{
    if (!which) return true;
    if (explorer.model == EXPLORE_TSO || it->stores[which].order >= EXPLORE_release) return false;
    for (int i = 0; i < which; i++) {
        if (it->stores[i].place == it->stores[which].place) return false;
    }
    return true;
}

static void explore_choices(explore_point *point)
{
    point->n = point->at = 0;
    for (int t = 0; t < explorer.n; t++) {
        const explore_thread *it = &explorer.threads[t];
        if (explore_may_step(it)) {
            /* who is woken, where it is one of several */
            for (int w = 0; w < (it->next.kind == EXPLORE_WAKE ? explorer.n : 1); w++) {
                const bool sleeps = explorer.threads[w].asleep && explorer.threads[w].next.place == it->next.place;
                if (!w || sleeps) point->choices[point->n++] = (explore_choice){(uint8_t)t, 0, (uint8_t)w};
            }
        }
        for (int i = 0; i < it->held; i++) {
            if (explore_may_drain(it, i)) point->choices[point->n++] = (explore_choice){(uint8_t)t, 1, (uint8_t)i};
        }
    }
}

static void explore_log(int thread, bool drain, explore_step step, uint64_t result)
{
    if (explorer.logged == EXPLORE_DEPTH) explore_fail("the execution does not end");
    explorer.log[explorer.logged].thread = thread;
    explorer.log[explorer.logged].drain = drain;
    explorer.log[explorer.logged].step = step;
    explorer.log[explorer.logged++].result = result;
}

static void explore_do(explore_choice choice)
{
    explore_thread *it = &explorer.threads[choice.thread];
    if (choice.drain) {
        const explore_step store = it->stores[choice.which];
        memmove(&it->stores[choice.which], &it->stores[choice.which + 1],
                (size_t)(--it->held - choice.which) * sizeof *it->stores);
        explore_log(choice.thread, true, store, 0);
        explore_write(store.place, store.value, store.bytes);
        return;
    }
    explore_step step = it->next;
    it->result = explore_perform(&step, choice.thread, choice.which);
    explore_log(choice.thread, false, step, it->result);
    if (!it->asleep) explore_resume(choice.thread);
}

static uint64_t explore_state(void)
{
    uint64_t hash = explore_mix(1, explorer.memory);
    for (int t = 0; t < explorer.n; t++) {
        const explore_thread *it = &explorer.threads[t];
        hash = explore_mix(hash, it->past + it->asleep);
        for (int i = 0; i < it->held; i++) {
            hash = explore_mix(hash, (uint64_t)(uintptr_t)it->stores[i].place + it->stores[i].order);
            hash = explore_mix(hash, it->stores[i].value);
        }
        hash = explore_mix(hash, (uint64_t)it->held);
    }
    return hash ? hash : 1;
}

/* False where the state was seen before. */
static bool explore_new(uint64_t state)
{
    if (2 * explorer.states >= explorer.room) {
        const size_t room = explorer.room ? 4 * explorer.room : 1 << 16;
        uint64_t *table = (uint64_t *)calloc(room, sizeof *table);
        if (!table) abort();
        for (size_t i = 0; i < explorer.room; i++) {
            if (!explorer.seen[i]) continue;
            size_t at = explorer.seen[i] & (room - 1);
            while (table[at]) at = (at + 1) & (room - 1);
            table[at] = explorer.seen[i];
        }
        free(explorer.seen);
        explorer.seen = table;
        explorer.room = room;
    }
    size_t at = state & (explorer.room - 1);
    for (; explorer.seen[at]; at = (at + 1) & (explorer.room - 1)) {
        if (explorer.seen[at] == state) return false;
    }
    explorer.seen[at] = state;
    explorer.states++;
    return true;
}

static void explore_reset(void)
{
    for (int i = 0; i < explorer.keeps; i++) {
        memcpy(explorer.kept[i].place, explorer.kept[i].copy, explorer.kept[i].bytes);
    }
    explorer.memory = 0;
    explorer.logged = 0;
    for (int t = 0; t < explorer.n; t++) {
        explore_thread *it = &explorer.threads[t];
        it->next.kind = EXPLORE_NOTHING;
        it->past = it->result = 0;
        it->held = 0;
        it->begun = it->asleep = false;
    }
}

/* One execution, which makes the first `depth` choices again; how many choices there were. */
static int explore_once(int depth, void (*check)(void))
{
    explore_reset();
    for (int at = 0;;) {
        for (int t = 0; t < explorer.n; t++) {
            while (explore_alone(&explorer.threads[t])) explore_resume(t);
        }
        if (at == EXPLORE_DEPTH) explore_fail("the execution does not end");
        explore_point *point = &explorer.path[at];
        if (at >= depth) {
            explore_choices(point);
            if (!point->n) {
                for (int t = 0; t < explorer.n; t++) {
                    const bool ended = explorer.threads[t].next.kind == EXPLORE_END;
                    explore_check(ended, "a lost wake-up: all who are left sleep");
                }
                check();
                return at;
            }
            if (point->n > 1 && !explore_new(explore_state())) return at;
        }
        explore_do(point->choices[point->at]);
        at++;
    }
}

/* All executions of `n` threads; `check` looks at what each of them left. Prints how many there were. */
static void explore(const char *name, explore_model model, int n, void (*const *bodies)(void), void (*check)(void))
{
    explorer.name = name;
    explorer.model = model;
    explorer.n = n;
    explorer.executions = explorer.states = 0;
    if (explorer.seen) memset(explorer.seen, 0, explorer.room * sizeof *explorer.seen);
    for (int t = 0; t < n; t++) explore_start(t, bodies[t]);
    int depth = 0;
    do {
        depth = explore_once(depth, check);
        explorer.executions++;
        while (depth && explorer.path[depth - 1].at + 1 == explorer.path[depth - 1].n) depth--;
        if (depth) explorer.path[depth - 1].at++;
    } while (depth);
    explore_reset(); /* as it was opened */
    printf("%s, %s: %llu executions, %zu states\n", name, explore_models[model],
           (unsigned long long)explorer.executions, explorer.states);
}

static inline bool explore_cas(void *place, void *expected, uint64_t value, size_t bytes, explore_order order)
{
    const uint64_t wanted = explore_read(expected, bytes);
    const uint64_t found = explore_access(EXPLORE_CAS, place, bytes, value, wanted, order);
    if (found == wanted) return true;
    const uint32_t half = (uint32_t)found;
    if (bytes == sizeof found) memcpy(expected, &found, sizeof found);
    else memcpy(expected, &half, sizeof half);
    return false;
}

static inline void explore_put(void *place, uint64_t value, size_t bytes)
{
    if (explorer.coarse) explore_write(place, value, bytes);
    else (void)explore_access(EXPLORE_STORE, place, bytes, value, 0, EXPLORE_relaxed);
}

static inline uint64_t explore_get(void *place, size_t bytes)
{
    if (!explorer.coarse) return explore_access(EXPLORE_LOAD, place, bytes, 0, 0, EXPLORE_relaxed);
    const uint64_t value = explore_read(place, bytes);
    if (explorer.now >= 0) {
        uint64_t *past = &explorer.threads[explorer.now].past;
        *past = explore_mix(*past, value);
    }
    return value;
}

#define EXPLORE_ACCESS(kind, word, value, order) \
    explore_access(EXPLORE_##kind, (void *)(word), sizeof *(word), (uint64_t)(value), 0, EXPLORE_##order)

#define SOPHIA_ATOMIC(type) type
#define SOPHIA_INIT(word, value) ((void)(*(word) = (value)))
#define SOPHIA_LOAD(word, order) ((__typeof__(*(word)))EXPLORE_ACCESS(LOAD, word, 0, order))
#define SOPHIA_STORE(word, value, order) ((void)EXPLORE_ACCESS(STORE, word, value, order))
#define SOPHIA_EXCHANGE(word, value, order) ((__typeof__(*(word)))EXPLORE_ACCESS(EXCHANGE, word, value, order))
#define SOPHIA_ADD(word, value, order) ((__typeof__(*(word)))EXPLORE_ACCESS(ADD, word, value, order))
#define SOPHIA_SUB(word, value, order) ((__typeof__(*(word)))EXPLORE_ACCESS(ADD, word, -(uint64_t)(value), order))
#define SOPHIA_CAS(word, expected, value, order) \
    explore_cas((void *)(word), expected, (uint64_t)(value), sizeof *(word), EXPLORE_##order)
#define SOPHIA_PUT(place, value) explore_put((void *)(place), (uint64_t)(value), sizeof *(place))
#define SOPHIA_GET(place) ((__typeof__(*(place)))explore_get((void *)(place), sizeof *(place)))
#define SOPHIA_FENCE() ((void)explore_access(EXPLORE_FENCE, NULL, 8, 0, 0, EXPLORE_seq_cst))

/* The kernel compares and sleeps in one step. Nobody wakes by himself, and no time passes. */
#define SOPHIA_FUTEX_WAIT(word, value, limit) ((void)(limit), EXPLORE_ACCESS(SLEEP, word, value, seq_cst))
#define SOPHIA_FUTEX_WAKE(word, n) EXPLORE_ACCESS(WAKE, word, n, seq_cst)
/* Sleeps for as long as the word has the value: what poll() is to a descriptor. */
#define EXPLORE_UNTIL_NOT(word, value) ((void)EXPLORE_ACCESS(UNTIL, word, value, seq_cst))

#endif

/* A circuit breaker that any number of threads use without a lock: who is let through, and when it opens.
 *
 * One word holds the state, a generation that grows with every change of it, and how many probes failed in a row; every
 * change is a compare-and-swap of this word. The word under which a call was let through is its ticket: a result whose
 * ticket is no longer the word belongs to an earlier generation and is ignored, and of all who would be the probe of
 * a half-open breaker one wins. To ask a closed breaker is one load.
 *
 * The window is a ring of the last results, each with the generation it belongs to, so a new generation starts with
 * an empty window and nothing has to be cleared. Each slot is swapped for what was there before, and the difference is
 * added to the counts: these are the exact sums of the ring whatever the order of the threads, once none is under way.
 *
 * Time comes from the caller, in ticks of 2^-20 s, and is kept modulo 2^44 beside the low bits of the generation that
 * it is the beginning of. Who sees the word of a generation before its time writes the time himself. It is read after
 * the word, so it is earlier only if the clock was put back; then the wait begins anew. Half of what the time may be,
 * 97 days, is how far back and forth are told apart: what is further may end a wait, or begin it anew, but once.
 */
#ifndef SOPHIA_BREAKER_H
#define SOPHIA_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "atomics.h"

#define SOPHIA_BREAKER_TICKS 1048576.0 /* in a second */
#define SOPHIA_BREAKER_TIME_BITS 44
#define SOPHIA_BREAKER_TIME (((uint64_t)1 << SOPHIA_BREAKER_TIME_BITS) - 1)
#define SOPHIA_BREAKER_MOST 32767 /* calls of a window: both of its counts have 16 bits, one of them with a sign */

enum {
    SOPHIA_BREAKER_CLOSED,
    SOPHIA_BREAKER_OPEN,
    SOPHIA_BREAKER_IDLE,    /* half open; the next who asks is the probe */
    SOPHIA_BREAKER_PROBING, /* half open; the probe is under way */
};

/* What a result came to. */
enum { SOPHIA_BREAKER_COUNTED, SOPHIA_BREAKER_LATE, SOPHIA_BREAKER_FULL };

/* The word: 2 bits of state, 55 of generation, 6 of failed probes; so it is never negative as an int64_t. */
#define SOPHIA_BREAKER_GENERATION (((uint64_t)1 << 55) - 1)
#define SOPHIA_BREAKER_STREAK 63

typedef struct {
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(uint64_t) word;
    SOPHIA_ATOMIC(uint64_t) since; /* low bits of the generation, and when it began */
    double rate;
    uint64_t window, minimum;
    uint64_t open, most, probe; /* ticks: how long it stays open at first and at most, and waits for a probe */
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(uint64_t) head; /* results that were counted in windows */
    SOPHIA_ATOMIC(uint64_t) counts; /* low 32 bits of the generation, calls, failures in the window */
    /* since it was made */
    SOPHIA_ATOMIC(uint64_t) failures, slow, probed; /* `probed`: results of probes */
    SOPHIA_ATOMIC(uint64_t) refused, late, abandoned, opened, probes, given_up;
    _Alignas(SOPHIA_LINE) SOPHIA_ATOMIC(uint64_t) slots[]; /* generation, 1 if there is a result, 1 if it failed */
} sophia_breaker;

static inline unsigned sophia_breaker_state(uint64_t word)
{
    return (unsigned)(word & 3);
}

static inline uint64_t sophia_breaker_generation(uint64_t word)
{
    return (word >> 2) & SOPHIA_BREAKER_GENERATION;
}

static inline unsigned sophia_breaker_streak(uint64_t word)
{
    return (unsigned)(word >> 57);
}

/* The word of the generation after that of `word`. */
static inline uint64_t sophia_breaker_next(uint64_t word, unsigned state, unsigned streak)
{
    if (streak > SOPHIA_BREAKER_STREAK) streak = SOPHIA_BREAKER_STREAK;
    const uint64_t generation = (sophia_breaker_generation(word) + 1) & SOPHIA_BREAKER_GENERATION;
    return (uint64_t)streak << 57 | generation << 2 | state;
}

/* Ticks of a clock that only the machine's sleep stops. */
static inline uint64_t sophia_breaker_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (((uint64_t)now.tv_sec << 20) + ((uint64_t)now.tv_nsec << 20) / 1000000000U) & SOPHIA_BREAKER_TIME;
}

/* A closed breaker, the caller's until sophia_breaker_free(); NULL without memory. Times are in ticks, below half of
 * SOPHIA_BREAKER_TIME; 1 <= minimum <= window <= SOPHIA_BREAKER_MOST; 0 < rate <= 1. */
static inline sophia_breaker *sophia_breaker_new(double rate, uint64_t window, uint64_t minimum, uint64_t open,
                                                 uint64_t most, uint64_t probe)
{
    size_t size = sizeof(sophia_breaker) + (size_t)window * sizeof(uint64_t);
    size = (size + SOPHIA_LINE - 1) / SOPHIA_LINE * SOPHIA_LINE;
    sophia_breaker *breaker = (sophia_breaker *)aligned_alloc(SOPHIA_LINE, size);
    if (!breaker) return NULL;
    breaker->rate = rate;
    breaker->window = window;
    breaker->minimum = minimum;
    breaker->open = open;
    breaker->most = most;
    breaker->probe = probe;
    SOPHIA_INIT(&breaker->word, 0);
    SOPHIA_INIT(&breaker->since, 0);
    SOPHIA_INIT(&breaker->head, 0);
    SOPHIA_INIT(&breaker->counts, 0);
    SOPHIA_INIT(&breaker->failures, 0);
    SOPHIA_INIT(&breaker->slow, 0);
    SOPHIA_INIT(&breaker->probed, 0);
    SOPHIA_INIT(&breaker->refused, 0);
    SOPHIA_INIT(&breaker->late, 0);
    SOPHIA_INIT(&breaker->abandoned, 0);
    SOPHIA_INIT(&breaker->opened, 0);
    SOPHIA_INIT(&breaker->probes, 0);
    SOPHIA_INIT(&breaker->given_up, 0);
    for (uint64_t i = 0; i < window; i++) SOPHIA_INIT(&breaker->slots[i], 0);
    return breaker;
}

/* When no thread uses it any more. */
static inline void sophia_breaker_free(sophia_breaker *breaker)
{
    free(breaker);
}

static inline uint64_t sophia_breaker_word(sophia_breaker *breaker)
{
    return SOPHIA_LOAD(&breaker->word, acquire);
}

static inline uint64_t sophia_breaker_since(sophia_breaker *breaker)
{
    return SOPHIA_LOAD(&breaker->since, acquire);
}

/* The ticket of a call if the breaker is closed, otherwise -1. */
static inline int64_t sophia_breaker_closed(sophia_breaker *breaker)
{
    const uint64_t word = sophia_breaker_word(breaker);
    return sophia_breaker_state(word) == SOPHIA_BREAKER_CLOSED ? (int64_t)word : -1;
}

static inline uint64_t sophia_breaker_stamp_of(uint64_t word, uint64_t now)
{
    return sophia_breaker_generation(word) << SOPHIA_BREAKER_TIME_BITS | (now & SOPHIA_BREAKER_TIME);
}

/* Whether `since` is of the generation of `word`. */
static inline bool sophia_breaker_stamped(uint64_t word, uint64_t since)
{
    return (since ^ sophia_breaker_stamp_of(word, since)) == 0;
}

/* The generation of `word` began `now`, unless somebody has said so already or there is a later one. A later one that
 * is not seen here has not written its time yet, and will write over this. */
static inline void sophia_breaker_stamp(sophia_breaker *breaker, uint64_t word, uint64_t now)
{
    for (;;) {
        uint64_t since = sophia_breaker_since(breaker);
        if (sophia_breaker_stamped(word, since) || sophia_breaker_word(breaker) != word) return;
        if (SOPHIA_CAS(&breaker->since, &since, sophia_breaker_stamp_of(word, now), acq_rel)) return;
    }
}

/* Ticks that an open breaker of this word stays so: twice as many after each failed probe, up to the most. */
static inline uint64_t sophia_breaker_open_ticks(const sophia_breaker *breaker, uint64_t word)
{
    uint64_t ticks = breaker->open;
    for (unsigned i = sophia_breaker_streak(word); i && ticks < breaker->most; i--) ticks *= 2;
    return ticks < breaker->most ? ticks : breaker->most;
}

/* Ticks from the beginning of the generation of `word` to `now`; 0 if that is not known or the clock was put back. */
static inline uint64_t sophia_breaker_elapsed(uint64_t word, uint64_t since, uint64_t now)
{
    const uint64_t elapsed = (now - since) & SOPHIA_BREAKER_TIME;
    if (!sophia_breaker_stamped(word, since) || elapsed >> (SOPHIA_BREAKER_TIME_BITS - 1)) return 0;
    return elapsed;
}

/* Ticks that are left until somebody would be let through; 0: at once. For a word that is not closed. */
static inline uint64_t sophia_breaker_left(const sophia_breaker *breaker, uint64_t word, uint64_t since, uint64_t now)
{
    const unsigned state = sophia_breaker_state(word);
    if (state == SOPHIA_BREAKER_IDLE) return 0;
    const uint64_t wait = state == SOPHIA_BREAKER_OPEN ? sophia_breaker_open_ticks(breaker, word) : breaker->probe;
    const uint64_t elapsed = sophia_breaker_elapsed(word, since, now);
    return elapsed < wait ? wait - elapsed : 0;
}

/* A ticket, that of a probe unless the breaker has just been closed; or -1, and in `left` the ticks that are left.
 * `word` and `since` were loaded in this order, and the clock was read after them. */
static inline int64_t sophia_breaker_ask(sophia_breaker *breaker, uint64_t word, uint64_t since, uint64_t now,
                                         uint64_t *left)
{
    *left = 0;
    if (sophia_breaker_state(word) == SOPHIA_BREAKER_CLOSED) return (int64_t)word;
    if (sophia_breaker_state(word) != SOPHIA_BREAKER_IDLE) {
        if (!sophia_breaker_stamped(word, since)) {
            sophia_breaker_stamp(breaker, word, now);
        } else if (((now - since) & SOPHIA_BREAKER_TIME) >> (SOPHIA_BREAKER_TIME_BITS - 1)) {
            (void)SOPHIA_CAS(&breaker->since, &since, sophia_breaker_stamp_of(word, now), acq_rel);
            since = sophia_breaker_stamp_of(word, now);
        }
        *left = sophia_breaker_left(breaker, word, since, now);
        if (*left) {
            (void)SOPHIA_ADD(&breaker->refused, 1, relaxed);
            return -1;
        }
    }
    const uint64_t probe = sophia_breaker_next(word, SOPHIA_BREAKER_PROBING, sophia_breaker_streak(word));
    uint64_t seen = word;
#ifdef SOPHIA_BUG_PROBE
    seen = SOPHIA_LOAD(&breaker->word, acquire);
    if (seen == word) SOPHIA_STORE(&breaker->word, probe, release);
#else
    (void)SOPHIA_CAS(&breaker->word, &seen, probe, acq_rel);
#endif
    if (seen == word) {
        (void)SOPHIA_ADD(&breaker->probes, 1, relaxed);
        if (sophia_breaker_state(word) == SOPHIA_BREAKER_PROBING) (void)SOPHIA_ADD(&breaker->given_up, 1, relaxed);
        sophia_breaker_stamp(breaker, probe, now);
        return (int64_t)probe;
    }
    seen = sophia_breaker_word(breaker);
    if (sophia_breaker_state(seen) == SOPHIA_BREAKER_CLOSED) return (int64_t)seen;
    (void)SOPHIA_ADD(&breaker->refused, 1, relaxed);
    return -1;
}

/* Calls and failures in the window of a generation, from the counts; none of an earlier one, and false where the counts
 * are of a later one. */
static inline bool sophia_breaker_unpack(uint64_t counts, uint64_t generation, uint32_t *calls, uint32_t *failures)
{
    const int32_t ahead = (int32_t)((uint32_t)(counts >> 32) - (uint32_t)generation);
    *calls = ahead ? 0 : (uint32_t)(counts >> 16) & 0xFFFF;
    *failures = ahead ? 0 : (uint32_t)counts & 0xFFFF;
    return ahead <= 0;
}

static inline uint64_t sophia_breaker_pack(uint64_t generation, uint32_t calls, uint32_t failures)
{
    return (uint64_t)(uint32_t)generation << 32 | (uint64_t)(calls & 0xFFFF) << 16 | (failures & 0xFFFF);
}

/* The result of a call with the ticket of a closed breaker: counted, late, or full: then it should open. */
static inline int sophia_breaker_record(sophia_breaker *breaker, uint64_t ticket, bool failed)
{
    if (sophia_breaker_word(breaker) != ticket) {
        (void)SOPHIA_ADD(&breaker->late, 1, relaxed);
        return SOPHIA_BREAKER_LATE;
    }
    if (failed) (void)SOPHIA_ADD(&breaker->failures, 1, relaxed);
    const uint64_t generation = sophia_breaker_generation(ticket);
    const uint64_t result = generation << 2 | 2 | (uint64_t)failed;
    SOPHIA_ATOMIC(uint64_t) *slot = &breaker->slots[SOPHIA_ADD(&breaker->head, 1, relaxed) % breaker->window];
    uint64_t old = SOPHIA_LOAD(slot, relaxed);
    do {
        if (old == result) return SOPHIA_BREAKER_COUNTED; /* nothing changes: most of all calls */
        if (old >> 2 > generation) return SOPHIA_BREAKER_LATE;
    } while (!SOPHIA_CAS(slot, &old, result, relaxed));
    const bool fresh = old >> 2 != generation || !(old & 2);
    const uint32_t more = (uint32_t)failed - (fresh ? 0 : (uint32_t)(old & 1)); /* modulo 2^32 */
    uint64_t counts = SOPHIA_LOAD(&breaker->counts, relaxed);
    uint32_t calls, failures;
    do {
        if (!sophia_breaker_unpack(counts, generation, &calls, &failures)) return SOPHIA_BREAKER_LATE;
        calls += fresh;
        failures = (failures + more) & 0xFFFF;
    } while (!SOPHIA_CAS(&breaker->counts, &counts, sophia_breaker_pack(generation, calls, failures), relaxed));
    /* Another thread that went around the whole ring may have taken back what this one's neighbour still has to add. */
    if (failures > calls || calls < breaker->minimum) return SOPHIA_BREAKER_COUNTED;
    return (double)failures / (double)calls >= breaker->rate ? SOPHIA_BREAKER_FULL : SOPHIA_BREAKER_COUNTED;
}

/* From the word of this ticket to another state; false if it is no longer the word. */
static inline bool sophia_breaker_turn(sophia_breaker *breaker, uint64_t ticket, unsigned state, unsigned streak,
                                       uint64_t now)
{
    const uint64_t next = sophia_breaker_next(ticket, state, streak);
    uint64_t seen = ticket;
    if (!SOPHIA_CAS(&breaker->word, &seen, next, acq_rel)) return false;
    if (state == SOPHIA_BREAKER_OPEN) {
        if (sophia_breaker_state(ticket) != SOPHIA_BREAKER_OPEN) (void)SOPHIA_ADD(&breaker->opened, 1, relaxed);
        sophia_breaker_stamp(breaker, next, now);
    } else if (state == SOPHIA_BREAKER_CLOSED) { /* nobody has to, but who looks sees an empty window */
        const uint64_t generation = sophia_breaker_generation(next);
        uint64_t counts = SOPHIA_LOAD(&breaker->counts, relaxed);
        while ((int32_t)((uint32_t)(counts >> 32) - (uint32_t)generation) < 0) {
            if (SOPHIA_CAS(&breaker->counts, &counts, sophia_breaker_pack(generation, 0, 0), relaxed)) break;
        }
    }
    return true;
}

static inline void sophia_breaker_slow(sophia_breaker *breaker)
{
    (void)SOPHIA_ADD(&breaker->slow, 1, relaxed);
}

/* After a window was full. */
static inline bool sophia_breaker_open(sophia_breaker *breaker, uint64_t ticket, uint64_t now)
{
    return sophia_breaker_turn(breaker, ticket, SOPHIA_BREAKER_OPEN, 0, now);
}

/* The result of the probe: closed, or open again; false if it is late. */
static inline bool sophia_breaker_probed(sophia_breaker *breaker, uint64_t ticket, bool failed, uint64_t now)
{
    const unsigned streak = failed ? sophia_breaker_streak(ticket) + 1 : 0;
    if (!sophia_breaker_turn(breaker, ticket, failed ? SOPHIA_BREAKER_OPEN : SOPHIA_BREAKER_CLOSED, streak, now)) {
        (void)SOPHIA_ADD(&breaker->late, 1, relaxed);
        return false;
    }
    (void)SOPHIA_ADD(&breaker->probed, 1, relaxed);
    if (failed) (void)SOPHIA_ADD(&breaker->failures, 1, relaxed);
    return true;
}

/* A call that says neither: its probe is free for another. */
static inline void sophia_breaker_abandon(sophia_breaker *breaker, uint64_t ticket)
{
    if (sophia_breaker_state(ticket) == SOPHIA_BREAKER_PROBING) {
        (void)sophia_breaker_turn(breaker, ticket, SOPHIA_BREAKER_IDLE, sophia_breaker_streak(ticket), 0);
    }
    (void)SOPHIA_ADD(&breaker->abandoned, 1, relaxed);
}

/* Opens it or closes it, whatever it is; the word that it had. The wait of an open one begins anew, and a closed one
 * has an empty window. */
static inline uint64_t sophia_breaker_force(sophia_breaker *breaker, unsigned state, uint64_t now)
{
    for (;;) {
        const uint64_t word = sophia_breaker_word(breaker);
        const unsigned streak = state == SOPHIA_BREAKER_OPEN ? sophia_breaker_streak(word) : 0;
        if (sophia_breaker_turn(breaker, word, state, streak, now)) return word;
    }
}

/* What is known of a breaker at about one moment. */
typedef struct {
    uint64_t word, calls, failures, slow, refused, late, abandoned, opened, probes, given_up;
    uint32_t window_calls, window_failures; /* of an open or half-open one: those that it had when it opened */
} sophia_breaker_numbers;

static inline void sophia_breaker_tell(sophia_breaker *breaker, sophia_breaker_numbers *numbers)
{
    const uint64_t counts = SOPHIA_LOAD(&breaker->counts, relaxed);
    numbers->word = sophia_breaker_word(breaker);
    numbers->calls = SOPHIA_LOAD(&breaker->head, relaxed) + SOPHIA_LOAD(&breaker->probed, relaxed);
    numbers->failures = SOPHIA_LOAD(&breaker->failures, relaxed);
    numbers->slow = SOPHIA_LOAD(&breaker->slow, relaxed);
    numbers->refused = SOPHIA_LOAD(&breaker->refused, relaxed);
    numbers->late = SOPHIA_LOAD(&breaker->late, relaxed);
    numbers->abandoned = SOPHIA_LOAD(&breaker->abandoned, relaxed);
    numbers->opened = SOPHIA_LOAD(&breaker->opened, relaxed);
    numbers->probes = SOPHIA_LOAD(&breaker->probes, relaxed);
    numbers->given_up = SOPHIA_LOAD(&breaker->given_up, relaxed);
    const bool closed = sophia_breaker_state(numbers->word) == SOPHIA_BREAKER_CLOSED;
    const uint64_t generation = closed ? sophia_breaker_generation(numbers->word) : counts >> 32;
    (void)sophia_breaker_unpack(counts, generation, &numbers->window_calls, &numbers->window_failures);
}

#endif

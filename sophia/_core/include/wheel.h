/* Timers of one thread: set, cleared and fired in constant time, however many there are.
 *
 * G. Varghese, T. Lauck, "Hashed and hierarchical timing wheels" (SOSP 1987): a timer lies in the level of the highest
 * six bits in which its tick differs from now, in the slot that these bits name; when now comes to a slot of a higher
 * level, its timers move down. The node is part of what it times, and belongs to that.
 */
#ifndef SOPHIA_WHEEL_H
#define SOPHIA_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOPHIA_WHEEL_LEVELS 7
#define SOPHIA_WHEEL_SLOTS 64
#define SOPHIA_WHEEL_MOST ((UINT64_C(1) << 41) - 1) /* ticks from now, at most */

typedef struct sophia_timer {
    struct sophia_timer *next, *before; /* NULL while it is not set */
    uint64_t due;
    void *owner;
} sophia_timer;

typedef struct {
    uint64_t now;
    size_t count; /* that are set, or due and not yet cleared */
    uint64_t busy[SOPHIA_WHEEL_LEVELS]; /* a bit for each slot that has timers */
    sophia_timer slots[SOPHIA_WHEEL_LEVELS][SOPHIA_WHEEL_SLOTS]; /* heads of rings */
} sophia_wheel;

static inline void sophia_timer_empty(sophia_timer *head)
{
    head->next = head->before = head;
}

static inline void sophia_wheel_open(sophia_wheel *wheel)
{
    wheel->now = 0;
    wheel->count = 0;
    for (int level = 0; level < SOPHIA_WHEEL_LEVELS; level++) {
        wheel->busy[level] = 0;
        for (int slot = 0; slot < SOPHIA_WHEEL_SLOTS; slot++) sophia_timer_empty(&wheel->slots[level][slot]);
    }
}

static inline void sophia_timer_link(sophia_timer *head, sophia_timer *timer)
{
    timer->before = head->before;
    timer->next = head;
    head->before->next = timer;
    head->before = timer;
}

static inline void sophia_timer_unlink(sophia_timer *timer)
{
    timer->before->next = timer->next;
    timer->next->before = timer->before;
    timer->next = timer->before = NULL;
}

static inline int sophia_wheel_level(const sophia_wheel *wheel, uint64_t due)
{
    const uint64_t differ = (wheel->now ^ due) | (SOPHIA_WHEEL_SLOTS - 1);
    const int level = (63 - __builtin_clzll(differ)) / 6;
    return level < SOPHIA_WHEEL_LEVELS ? level : SOPHIA_WHEEL_LEVELS - 1; /* the highest goes round */
}

static inline void sophia_wheel_place(sophia_wheel *wheel, sophia_timer *timer)
{
    const int level = sophia_wheel_level(wheel, timer->due);
    const int slot = (int)(timer->due >> (6 * level)) & (SOPHIA_WHEEL_SLOTS - 1);
    sophia_timer_link(&wheel->slots[level][slot], timer);
    wheel->busy[level] |= UINT64_C(1) << slot;
}

/* Due at a tick; one that is not after now fires at the next, one beyond SOPHIA_WHEEL_MOST at that. The timer must not
 * be set. */
static inline void sophia_wheel_set(sophia_wheel *wheel, sophia_timer *timer, uint64_t due)
{
    if (due <= wheel->now) due = wheel->now + 1;
    /* the highest level must not come round */
    const uint64_t most = wheel->now + SOPHIA_WHEEL_MOST;
    timer->due = due < most ? due : most;
    sophia_wheel_place(wheel, timer);
    wheel->count++;
}

static inline bool sophia_timer_is_set(const sophia_timer *timer)
{
    return timer->next != NULL;
}

/* The timer must be set, or be due. A slot that it leaves empty is found so when now comes to it. */
static inline void sophia_wheel_clear(sophia_wheel *wheel, sophia_timer *timer)
{
    sophia_timer_unlink(timer);
    wheel->count--;
}

/* The next tick at which there may be something to do; false where there is no timer. */
static inline bool sophia_wheel_next(sophia_wheel *wheel, uint64_t *tick, int *at_level)
{
    for (int level = 0; level < SOPHIA_WHEEL_LEVELS; level++) {
        const int here = (int)(wheel->now >> (6 * level)) & (SOPHIA_WHEEL_SLOTS - 1);
        while (wheel->busy[level]) {
            /* slots from here on, then those of the next round */
            const uint64_t busy = wheel->busy[level];
            const uint64_t turned = here ? (busy >> here) | (busy << (SOPHIA_WHEEL_SLOTS - here)) : busy;
            const int away = __builtin_ctzll(turned);
            const int slot = (here + away) & (SOPHIA_WHEEL_SLOTS - 1);
            sophia_timer *head = &wheel->slots[level][slot];
            if (head->next == head) {
                wheel->busy[level] &= ~(UINT64_C(1) << slot);
                continue;
            }
            const uint64_t start = (wheel->now >> (6 * level)) << (6 * level);
            *tick = start + ((uint64_t)away << (6 * level));
            *at_level = level;
            return true;
        }
    }
    return false;
}

/* Moves the timers of a slot into `ring`, behind what is there. */
static inline void sophia_wheel_empty_slot(sophia_wheel *wheel, int level, int slot, sophia_timer *ring)
{
    sophia_timer *head = &wheel->slots[level][slot];
    while (head->next != head) {
        sophia_timer *timer = head->next;
        sophia_timer_unlink(timer);
        sophia_timer_link(ring, timer);
    }
    wheel->busy[level] &= ~(UINT64_C(1) << slot);
}

/* All that is set, into the ring of `due`; to be cleared. */
static inline void sophia_wheel_drop(sophia_wheel *wheel, sophia_timer *due)
{
    for (int level = 0; level < SOPHIA_WHEEL_LEVELS; level++) {
        for (int slot = 0; slot < SOPHIA_WHEEL_SLOTS; slot++) sophia_wheel_empty_slot(wheel, level, slot, due);
    }
}

/* Moves now to `to`, and what is due into the ring of `due`, in the order of their ticks; to be cleared one by one, so
 * that each may clear those that are due after it. */
static inline void sophia_wheel_advance(sophia_wheel *wheel, uint64_t to, sophia_timer *due)
{
    uint64_t tick = 0;
    int level = 0;
    while (sophia_wheel_next(wheel, &tick, &level) && tick <= to) {
        if (tick > wheel->now) wheel->now = tick;
        const int slot = (int)(tick >> (6 * level)) & (SOPHIA_WHEEL_SLOTS - 1);
        sophia_timer moved;
        sophia_timer_empty(&moved);
        sophia_wheel_empty_slot(wheel, level, slot, &moved);
        while (moved.next != &moved) {
            sophia_timer *timer = moved.next;
            sophia_timer_unlink(timer);
            if (timer->due <= wheel->now) sophia_timer_link(due, timer);
            else sophia_wheel_place(wheel, timer);
        }
    }
    if (to > wheel->now) wheel->now = to;
}

#endif

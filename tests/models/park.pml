/* park.h: the event count on a futex, under total store order (tso.h): what a notifier publishes may still be in its
 * store buffer when it looks for sleepers.
 *
 * Two notifiers publish two pieces of work each; two workers take what they find, and sleep without a time limit when
 * they find nothing. The kernel wakes nobody who was not notified here, which is the worst case. Sleepers store by
 * read-modify-write only, so they need no buffer.
 *
 * Claim: when nothing can move any more, all work is done (so nobody sleeps while there is some), and `sleepers` counts
 * exactly those who sleep. `done_with`: that comes about, so nobody goes round for ever.
 */
#define THREADS 2
#define WORDS 4
#include "tso.h"

#define NOTIFIERS THREADS
#define EACH 2
#define WORK (NOTIFIERS * EACH)
#define WORKERS 2

/* memory[i]: whether the i-th piece of work is there. */
byte epoch, sleepers;   /* of sophia_park */
bool asleep[WORKERS];   /* in the kernel's queue of the futex */
byte done;

inline wake_one() /* FUTEX_WAKE of one: any of those in the queue */
{
    if
    :: asleep[0] -> asleep[0] = false
    :: asleep[1] -> asleep[1] = false
    :: !asleep[0] && !asleep[1]
    fi
}

proctype notifier(byte me)
{
    byte n;
    do
    :: n < EACH ->
        store(me, me * EACH + n, 1); /* makes work visible: a release store */
        /* sophia_park_notify(park, 1) */
#ifndef BUG_FENCE
        DRAINED(me);
#endif
        if
        :: sleepers > 0 ->
            /* sophia_park_wake() */
            atomic {
                DRAINED(me);
#ifndef BUG_EPOCH_KEPT /* wakes without a new epoch: not seen by who is about to sleep */
                epoch++
#endif
            }
            atomic { wake_one() }
        :: else
        fi;
        n++
    :: else -> break
    od
}

inline look(found) /* any piece of work, taken by compare-and-swap */
{
    atomic {
        found = true;
        if
        :: memory[0] -> memory[0] = 0; done++
        :: memory[1] -> memory[1] = 0; done++
        :: memory[2] -> memory[2] = 0; done++
        :: memory[3] -> memory[3] = 0; done++
        :: !memory[0] && !memory[1] && !memory[2] && !memory[3] -> found = false
        fi
    }
}

proctype worker(byte me)
{
    byte seen;
    bool found;
    do
    :: look(found);
        if
        :: found
        :: else ->
            sleepers++; /* sophia_park_prepare() */
#ifndef BUG_EPOCH_LATE
            seen = epoch;
#endif
#ifndef BUG_NO_LOOK /* sleeps without looking once more */
            look(found);
#endif
#ifdef BUG_EPOCH_LATE /* the epoch of after the look */
            seen = epoch;
#endif
            if
            :: found
            :: else -> /* sophia_park_wait(): FUTEX_WAIT compares and joins the queue in one step */
                atomic {
                    if
                    :: epoch == seen -> asleep[me] = true
                    :: else
                    fi;
                    seen = 0
                }
end:
                !asleep[me]
            fi;
            atomic { sleepers--; seen = 0; found = false } /* sophia_park_cancel() */
        fi
    od
}

init
{
    atomic {
        run cpu(0);
        run cpu(1);
        run notifier(0);
        run notifier(1);
        run worker(0);
        run worker(1)
    }
    timeout ->
    assert(done == WORK && sleepers == WORKERS && asleep[0] && asleep[1])
}

ltl done_with { <> (done == WORK) }

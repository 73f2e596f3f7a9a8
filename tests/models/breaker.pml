/* The circuit breaker: one word that holds a state, a generation, and a value of the state (closed: failures in a row;
 * open or half-open: the deadline until which nobody is let through). It is changed by compare-and-swap only, and every
 * change of state begins a new generation. A call remembers the generation in which it was let through; its result
 * counts in that generation only.
 *
 * closed -> open when failures in a row reach the limit; open -> half-open by the first call after the deadline, which
 * is the probe; half-open -> closed or open by the probe's result, or half-open of a new generation by the first call
 * after the probe's own deadline, which is the next probe: the earlier one hangs, and its result is late.
 *
 * Time has no numbers here: the deadline of the present generation passes at any moment, soon or never.
 *
 * Claims: each generation begins once, and who begins a half-open one is its probe, so there is one probe a generation;
 * nothing is let through while open or half-open and before the deadline; each change is due to results of its own
 * generation; whatever has happened, once the time has come, one call is let through, and its success closes the
 * breaker (so it is never stuck half-open). `ends`: no call tries for ever.
 */
#define CALLERS 3
#define CALLS 5 /* of all of them */
#define LIMIT 2 /* failures in a row */

#define CLOSED 0
#define OPEN 1
#define HALF 2

byte state, generation, failures; /* the word: read, and compared and changed, in one step */
byte passed;                      /* the last generation whose deadline has passed */
byte left = CALLS;                /* calls that have not begun */
byte callers;                     /* that have ended */
#ifdef BUG_DEADLINE_APART         /* in a word of its own, stored after the change of state: whose deadline it is */
byte deadline;
#define DEADLINE deadline
#else
#define DEADLINE g
#endif
/* What the claims speak of: the last generation that has begun, and calls of it that have failed, or not. */
byte begun, failed, good;

#define SAME (state == s && generation == g && failures == f)

inline read() /* an atomic load */
{
    d_step {
        s = state;
        g = generation;
        f = failures
    }
}

inline begin(to) /* the compare-and-swap changes the state */
{
    g++;
    assert(g > begun);
    state = to;
    generation = g;
    failures = 0;
    begun = g;
    failed = 0;
    good = 0
}

inline store_deadline(ours)
{
#ifdef BUG_DEADLINE_APART
    if
    :: ours -> deadline = g
    :: else
    fi;
#endif
    atomic {
        s = 0;
        g = 0;
        f = 0;
        over = false
    }
}

inline admit()
{
    read();
    if
    :: s == CLOSED -> atomic { through = true; mine = g }
    :: s != CLOSED ->
        over = (passed >= DEADLINE); /* clock_gettime() against the deadline that was read */
        if
        :: !over
#ifdef BUG_NO_PATIENCE /* waits for a probe that hangs */
        :: over && s == HALF
        :: over && s == OPEN ->
#else
        :: over ->
#endif
            atomic {
                if
#ifndef BUG_STORE /* a store after the load, instead of the compare-and-swap */
                :: !SAME /* another call was faster, and is the probe */
                :: SAME ->
#else
                :: true ->
#endif
                    assert(g + 1 > begun);
                    assert(state != CLOSED && passed >= generation);
                    begin(HALF);
                    through = true;
                    mine = g
                fi
            }
        fi
    fi;
    store_deadline(through && s != CLOSED)
}

inline result()
{
    do
    :: read();
        if
#ifndef BUG_LATE /* counts whatever comes */
        :: g != mine -> break /* late: ignored */
#endif
        :: s == CLOSED && well && f == 0 -> break /* nothing to change */
        :: else ->
            atomic {
                if
                :: !SAME /* again */
                :: SAME && s == CLOSED && well -> failures = 0; break
                :: SAME && s == CLOSED && !well && f + 1 < LIMIT ->
                    failures++;
                    assert(failures <= failed);
                    break
                :: SAME && s == CLOSED && !well && f + 1 >= LIMIT ->
                    assert(failed >= LIMIT);
                    begin(OPEN);
                    over = true;
                    break
                :: SAME && s == HALF && well ->
                    assert(good == 1);
                    begin(CLOSED);
                    break
                :: SAME && s == HALF && !well ->
                    assert(failed == 1);
                    begin(OPEN);
                    over = true;
                    break
#ifdef BUG_LATE
                :: SAME && s == OPEN -> break
#endif
                fi
            }
        fi
    od;
    store_deadline(over)
}

proctype caller(bool last)
{
    byte s, g, f, mine;
    bool over, through, well;
    do
    :: d_step { left > 0 -> left-- }
        admit();
        if
        :: through -> /* the call runs, for as long as it likes */
            if
            :: atomic { true -> good = (mine == generation -> good + 1 : good); well = true }
            :: atomic { !last -> failed = (mine == generation -> failed + 1 : failed); well = false }
            :: !last -> goto hung /* for ever */
            fi;
            result()
        :: !through -> assert(!last)
        fi;
hung:
        atomic {
            mine = 0;
            through = false;
            well = false
        }
    :: left == 0 -> break
    od;
    callers++
}

active proctype clock()
{
end:
    do
    :: atomic { state != CLOSED && passed < generation && callers < CALLERS -> passed = generation }
    od
}

init
{
    atomic {
        run caller(false);
        run caller(false);
        run caller(false)
    }
    timeout ->
    atomic {
        assert(callers == CALLERS);
        passed = generation;
        left = 1;
        run caller(true)
    }
    timeout ->
    assert(callers == CALLERS + 1 && state == CLOSED && failures == 0)
}

ltl ends { <> (callers == CALLERS + 1) }

/* Close and drain of a mailbox. A word `senders` counts those inside a tell: a sender adds itself, then reads `closed`,
 * then pushes or turns away, then takes itself out. The closer stores `closed`, waits until nobody is inside, and only
 * then lets the rest be handled until a deadline; what is left becomes dead letters, and the mailbox has ended.
 *
 * Store of `closed` against load of `senders`, and addition to `senders` against load of `closed`: one of the two sees
 * the other, if the store is sequentially consistent. The addition is a read-modify-write, so only the closer has
 * something to keep in a store buffer.
 *
 * Claims: nobody pushes after the closer began to drain; nothing is handled, and nothing becomes a dead letter, after
 * the end; when all has ended, what was told is exactly what was handled, dead or refused, and what was refused is what
 * its senders were told to be. `ends`: it does end.
 */
#define SENDERS 2
#define EACH 2
#define TOLD (SENDERS * EACH)
#define ROOM 2 /* of the ring */

byte senders;
bool closed;
byte tail, head;      /* sophia_ring: places taken by senders, by the receiver */
byte published;       /* slots that can be read */
bool late;            /* the deadline has come */
bool stopped;         /* the worker shall not handle any more */
bool away;            /* and does not */
/* What the claims speak of. */
bool draining, ended;
byte handled, dead, accepted, refused, returned;

inline leave()
{
    atomic {
        senders--;
        returned++
    }
}

inline push() /* sophia_ring_push() */
{
    atomic {
        if
        :: tail - head < ROOM -> tail++; place = true /* compare-and-swap of the tail */
        :: else -> refused++ /* full */
        fi
    }
    if
    :: place ->
        atomic { /* store of the turn */
            assert(!draining && !ended);
            published++;
            accepted++;
            place = false
        }
    :: else
    fi
}

active[SENDERS] proctype sender() /* tells */
{
    byte n;
    bool shut, place;
    do
    :: n < EACH ->
#ifdef BUG_CHECK_FIRST /* reads `closed` and then adds itself */
        shut = closed;
        senders++;
#else
        senders++;
        shut = closed;
#endif
#ifdef BUG_LEAVES_EARLY /* takes itself out before the push */
        leave();
#endif
        if
        :: shut -> refused++
        :: else -> push()
        fi;
#ifndef BUG_LEAVES_EARLY
        leave();
#endif
        atomic {
            n++;
            shut = false
        }
    :: else -> break
    od
}

inline pop(count) /* sophia_ring_pop() */
{
    atomic {
        assert(!ended && published > 0);
        published--;
        head++;
        count++
    }
}

active proctype worker() /* runs the actor */
{
    do
    :: stopped -> break
    :: !stopped && published > 0 -> pop(handled)
    od;
    away = true
}

active proctype clock()
{
    draining;
    late = true
}

#ifdef BUG_STORE /* `closed` is stored without an order: it waits in the buffer while `senders` is read */
bool closing;
active proctype cpu()
{
end:
    closing -> closed = true
}
#endif

active proctype closer()
{
#ifdef BUG_STORE
    closing = true;
#else
    closed = true;
#endif
#ifndef BUG_NO_WAIT /* does not wait for those inside */
    senders == 0;
#endif
    draining = true;
    if
    :: published == 0 /* all was handled */
    :: late
    fi;
    stopped = true;
#ifndef BUG_BESIDE /* takes dead letters beside the worker that handles its last message */
    away;
#endif
    do
    :: published > 0 -> pop(dead)
    :: published == 0 -> break
    od;
    ended = true
}

active proctype still()
{
    timeout ->
    assert(ended && senders == 0 && returned == TOLD);
    assert(published == 0 && head == tail);
    assert(TOLD == handled + dead + refused && accepted == handled + dead)
}

ltl ends { <> (ended && returned == TOLD) }

/* bell.h: how native threads call an event loop through a descriptor that they write to once for many results.
 *
 * Two threads put two results each where the loop looks, and ring. The loop waits until its descriptor can be read
 * (level-triggered, as asyncio's add_reader), silences the bell, and then looks.
 *
 * Claims: when nothing can move any more, every result was seen; the descriptor holds one write of each thread at most
 * (so neither a pipe nor an eventfd is ever full). `seen_all`: every result is seen in the end.
 */
#define RINGERS 2
#define EACH 2
#define RESULTS (RINGERS * EACH)

bool ringing;  /* of sophia_bell */
byte written;  /* the descriptor's counter: it can be read if there is anything */
byte waiting;  /* results where the loop looks */
byte seen;

active[RINGERS] proctype ringer()
{
    byte n;
    bool rung;
    do
    :: n < EACH ->
        waiting++; /* sophia_ring_push() */
        d_step { /* sophia_bell_ring(): exchange */
            rung = ringing;
            ringing = true
        }
        if
        :: rung
        :: else ->
            atomic {
                written++; /* write() */
                assert(written <= RINGERS)
            }
        fi;
        d_step {
            n++;
            rung = false
        }
    :: else -> break
    od
}

#ifdef BUG_SILENCE_STORE /* a store instead of the exchange: it waits in the buffer while the loop looks */
bool silencing;
active proctype cpu()
{
end:
    do
    :: d_step { silencing -> silencing = false; ringing = false }
    od
}
#endif

inline look()
{
    do
    :: d_step { waiting > 0 -> waiting--; seen++ } /* sophia_ring_pop() */
    :: waiting == 0 -> break
    od
}

active proctype loop()
{
end:
    do
    :: written > 0 -> /* the selector says: can be read */
#ifdef BUG_LOOK_FIRST
        look();
#endif
        /* sophia_bell_silence() */
#ifdef BUG_READ_LAST /* first the word, then the descriptor */
        ringing = false;
        written = 0;
#else
        written = 0; /* read() */
#ifdef BUG_SILENCE_STORE
        d_step { !silencing -> silencing = true }
#else
        ringing = false; /* exchange */
#endif
#endif
#ifndef BUG_LOOK_FIRST
        look()
#endif
    od
}

active proctype still()
{
    timeout ->
    assert(seen == RESULTS && waiting == 0)
}

ltl seen_all { <> (seen == RESULTS) }

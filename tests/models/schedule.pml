/* schedule.h: one word an actor. Senders put a message into the actor's ring and then exchange the word; a worker
 * drains the ring, rests, looks once more (sophia_rests()).
 *
 * Claims: whoever runs the actor runs it alone, and it is in one run queue at most; every message is handled exactly
 * once; when nothing can move any more, none is left. `heard`: that also comes about, whatever the order in which the
 * threads get a core. So nobody goes round for a message that is still being written: its sender may have no core, and
 * schedules the actor afterwards.
 *
 * The exchanges are read-modify-writes of the same word, so the later one sees all that came before the earlier one:
 * no store buffer is needed but where one of them is replaced by a store.
 */
#define SENDERS 2
#define EACH 2 /* messages of a sender */
#define WORKERS 2
#define MESSAGES (SENDERS * EACH)

#define EMPTY 0
#define WRITTEN 1
#define TAKEN 2

bool scheduled;          /* sophia_scheduled */
byte tail, head;         /* sophia_ring: places taken by senders, by the receiver */
byte turn[MESSAGES + 1]; /* of each slot: to write, to read, read */
byte runnable;           /* entries in run queues */
/* What the claims speak of. */
byte running;
byte handled[MESSAGES + 1];
byte done;

inline run_it() /* put into a run queue */
{
    assert(runnable == 0 && running == 0);
    runnable++
}

inline schedule(mine) /* sophia_schedule() */
{
#ifdef BUG_LOAD_STORE /* two accesses instead of an exchange */
    mine = !scheduled;
    scheduled = true
#else
    d_step {
        mine = !scheduled;
        scheduled = true
    }
#endif
}

active[SENDERS] proctype sender()
{
    byte n, place;
    bool mine;
    do
    :: n < EACH ->
#ifdef BUG_SCHEDULE_FIRST /* the word before the message */
        schedule(mine);
#endif
        d_step { /* sophia_ring_push(): compare-and-swap of the tail */
            place = tail;
            tail++
        }
        turn[place] = WRITTEN; /* sophia_ring_push(): store of the turn */
#ifndef BUG_SCHEDULE_FIRST
        schedule(mine);
#endif
        atomic {
            if
            :: mine -> run_it()
            :: else
            fi;
            n++;
            place = 0;
            mine = false
        }
    :: else -> break
    od
}

#ifdef BUG_REST_STORE /* a store instead of the exchange: it waits in the buffer while the worker looks */
bool resting;
active proctype cpu()
{
end:
    do
    :: d_step { resting -> resting = false; scheduled = false }
    od
}
#endif

active[WORKERS] proctype worker()
{
    byte place, seen;
    bool mine;
end:
    do
    :: atomic {
            runnable > 0 -> /* takes the actor out of its run queue */
            runnable--;
            assert(running == 0);
            running++
        }
drain:
        do
        :: place = head; /* sophia_ring_pop() */
            if
            :: turn[place] != WRITTEN -> break
            :: else
            fi;
            atomic {
                head = place + 1;
                handled[place]++;
                assert(handled[place] == 1);
                done++
            }
            turn[place] = TAKEN;
            if
            :: true
            :: atomic { /* has run long enough: back into a run queue, scheduled as it is */
                    true;
                    running--;
                    run_it();
                    place = 0
                }
                goto end
            fi
        od;
        atomic { /* sophia_rest() */
#ifdef BUG_REST_STORE
            !resting -> resting = true;
#else
            scheduled = false;
#endif
            running--;
            place = 0
        }
#ifdef BUG_NO_LOOK /* leaves after resting */
        goto end;
#endif
        /* sophia_ring_ready(): another worker may run the actor by now, and take what is seen here */
look:
        place = head;
        seen = turn[place];
#ifdef BUG_COUNT /* looks whether a place is taken, though its message may not be written yet */
        if
        :: tail > place && seen != TAKEN -> seen = WRITTEN
        :: else
        fi;
#endif
        if
        :: seen == TAKEN -> goto look
        :: seen == WRITTEN ->
#ifdef BUG_REST_STORE
            !resting; /* an exchange waits for the buffer */
#endif
#ifdef BUG_KEEPS /* goes on without having scheduled it again */
            mine = true;
#else
            schedule(mine);
#endif
            atomic {
                if
                :: mine -> mine = false; seen = 0; place = 0; run_it() /* SOPHIA_AGAIN: to the end of a queue */
                :: else -> seen = 0; place = 0
                fi
            }
        :: seen == EMPTY -> place = 0
        fi
    od
}

active proctype still()
{
    timeout ->
    assert(done == MESSAGES && !scheduled && runnable == 0 && running == 0)
}

ltl heard { <> (done == MESSAGES) }

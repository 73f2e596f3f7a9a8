/* deque.h: D. Chase and Y. Lev's deque, its owner and two thieves, under total store order (tso.h).
 *
 * The deque has two places for four items, so places are used again while a thief may still look at them. The owner
 * puts and takes in any order, until all items were put, and then takes until nothing is left; thieves try all the
 * time. Thieves store by compare-and-swap only, so the owner alone has a store buffer.
 *
 * Claims: no item is taken twice, and none that was put is left when the owner finds nothing more.
 */
#define THREADS 1
#define WORDS 4
#include "tso.h"

#define THIEVES 2
#define ITEMS 4
#define MASK 1
#define OWNER 0

#define TOP 0
#define BOTTOM 1
#define PLACE(i) (2 + ((i) & MASK))

byte taken[ITEMS + 1];
bool over;
byte gone; /* thieves that have stopped */

inline took(item)
{
    assert(item > 0 && taken[item] == 0);
    taken[item]++
}

inline push(item, room) /* sophia_deque_push() */
{
    bottom = LOAD(OWNER, BOTTOM);
    top = LOAD(OWNER, TOP);
    if
#ifdef BUG_ROOM /* one item more than there are places */
    :: bottom - top > MASK + 1 -> room = false
#else
    :: bottom - top > MASK -> room = false
#endif
    :: else ->
#ifdef BUG_PUBLISH /* the bottom before the item */
        store(OWNER, BOTTOM, bottom + 1);
        store(OWNER, PLACE(bottom), item);
#else
        store(OWNER, PLACE(bottom), item);
        store(OWNER, BOTTOM, bottom + 1);
#endif
        room = true
    fi
}

inline take(item) /* sophia_deque_take() */
{
    bottom = LOAD(OWNER, BOTTOM) - 1;
#ifdef BUG_FENCE /* the bottom may still be in the buffer when the top is read */
    store(OWNER, BOTTOM, bottom);
#else
    atomic { DRAINED(OWNER) -> memory[BOTTOM] = bottom } /* seq_cst */
#endif
    top = LOAD(OWNER, TOP);
    item = 0;
    if
    :: top <= bottom ->
        item = LOAD(OWNER, PLACE(bottom));
        if
        :: top == bottom -> /* the last one */
            atomic {
                DRAINED(OWNER) ->
#ifdef BUG_CAS /* takes it without asking the thieves */
                memory[TOP] = top + 1;
#else
                if
                :: memory[TOP] == top -> memory[TOP] = top + 1
                :: else -> item = 0
                fi
#endif
            }
            store(OWNER, BOTTOM, bottom + 1)
        :: else
        fi
    :: else -> store(OWNER, BOTTOM, bottom + 1)
    fi;
    atomic {
        if
        :: item -> took(item)
        :: else
        fi;
        bottom = 0;
        top = 0
    }
}

active proctype owner()
{
    short bottom, top;
    byte item, next = 1;
    bool room;
    run cpu(OWNER);
    do
    :: next <= ITEMS ->
        push(next, room);
        atomic {
            if
            :: room -> next++
            :: else
            fi;
            room = false;
            bottom = 0;
            top = 0
        }
    :: true ->
        take(item);
        item = 0
    :: next > ITEMS -> break
    od;
    do
    :: take(item);
        if
        :: item -> item = 0
        :: else -> break
        fi
    od;
    over = true;
    gone == THIEVES;
    for (item : 1 .. ITEMS) {
        assert(taken[item] == 1)
    }
}

active[THIEVES] proctype thief()
{
    short top, bottom;
    byte item;
    do
    :: over -> break
    :: else -> /* sophia_deque_steal() */
        top = memory[TOP];
        bottom = memory[BOTTOM];
        if
        :: top < bottom ->
            item = memory[PLACE(top)];
            atomic {
                if
                :: memory[TOP] == top -> /* compare-and-swap */
                    memory[TOP] = top + 1;
                    took(item)
                :: else /* lost */
                fi
            }
        :: else
        fi;
        d_step {
            top = 0;
            bottom = 0;
            item = 0
        }
    od;
    gone++
}

/* A gate that can be shut while others pass: after sophia_gate_shut() nobody is inside and nobody gets in.
 *
 * One word: how many are inside, and a bit for "shut". Who gets in adds itself first and looks at the bit of what was
 * there before; so whoever was let in is counted, and who shuts the gate waits for those.
 */
#ifndef SOPHIA_GATE_H
#define SOPHIA_GATE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "atomics.h"

#define SOPHIA_GATE_SHUT (UINT64_C(1) << 63)

typedef SOPHIA_ATOMIC(uint64_t) sophia_gate;

/* True: inside, until sophia_gate_leave(). False: the gate is shut. */
static inline bool sophia_gate_enter(sophia_gate *gate)
{
    if (SOPHIA_LOAD(gate, relaxed) & SOPHIA_GATE_SHUT) return false; /* many that come late must not keep it busy */
    if (!(SOPHIA_ADD(gate, 1, acq_rel) & SOPHIA_GATE_SHUT)) return true;
    (void)SOPHIA_SUB(gate, 1, release);
    return false;
}

static inline void sophia_gate_leave(sophia_gate *gate)
{
    (void)SOPHIA_SUB(gate, 1, release);
}

static inline bool sophia_gate_is_shut(sophia_gate *gate)
{
    return (SOPHIA_LOAD(gate, acquire) & SOPHIA_GATE_SHUT) != 0;
}

/* Waits for those who are inside, which is the time of a few stores. Not from inside. */
static inline void sophia_gate_shut(sophia_gate *gate)
{
    uint64_t was = SOPHIA_LOAD(gate, relaxed);
    while (!(was & SOPHIA_GATE_SHUT) && !SOPHIA_CAS(gate, &was, was | SOPHIA_GATE_SHUT, acq_rel)) {}
    while (SOPHIA_LOAD(gate, acquire) & ~SOPHIA_GATE_SHUT) (void)sched_yield();
}

#endif

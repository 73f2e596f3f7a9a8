/* The words that threads share: every access to one goes through these names, and says its order.
 *
 * So the very code that ships can be compiled against other definitions of them: tests give their own header in
 * SOPHIA_ATOMICS, in which an access is a step of a search through all interleavings, with the stores that a CPU may
 * still hold back. The faults that such tests must find are seeded by SOPHIA_BUG_..., never defined in a build that
 * ships.
 *
 * SOPHIA_PUT and SOPHIA_GET are plain accesses to what an atomic word guards. A fence in the middle of atomic accesses
 * is not understood by ThreadSanitizer; there it is an exchange, which orders as much.
 */
#ifndef SOPHIA_ATOMICS_H
#define SOPHIA_ATOMICS_H

#include <stdint.h>

#include "sanitize.h"

#define SOPHIA_LINE 64 /* bytes of a cache line: what two threads write to does not share one */

#ifdef SOPHIA_ATOMICS
#include SOPHIA_ATOMICS
#else

#include <stdatomic.h>

#define SOPHIA_ATOMIC(type) _Atomic(type)
#define SOPHIA_INIT(word, value) atomic_init(word, value)
#define SOPHIA_LOAD(word, order) atomic_load_explicit(word, memory_order_##order)
#define SOPHIA_STORE(word, value, order) atomic_store_explicit(word, value, memory_order_##order)
#define SOPHIA_EXCHANGE(word, value, order) atomic_exchange_explicit(word, value, memory_order_##order)
#define SOPHIA_ADD(word, value, order) atomic_fetch_add_explicit(word, value, memory_order_##order)
#define SOPHIA_SUB(word, value, order) atomic_fetch_sub_explicit(word, value, memory_order_##order)
/* Strong; a failure loads, relaxed, what is there into *expected. */
#define SOPHIA_CAS(word, expected, value, order) \
    atomic_compare_exchange_strong_explicit(word, expected, value, memory_order_##order, memory_order_relaxed)
#define SOPHIA_PUT(place, value) (*(place) = (value))
#define SOPHIA_GET(place) (*(place))

#if SOPHIA_TSAN
static _Atomic(uint32_t) sophia_fence_word;
#define SOPHIA_FENCE() ((void)atomic_exchange_explicit(&sophia_fence_word, 0, memory_order_seq_cst))
#else
#define SOPHIA_FENCE() atomic_thread_fence(memory_order_seq_cst)
#endif

#endif
#endif

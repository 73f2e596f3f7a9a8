/* The tie rule of every vote.
 *
 * Where a vote over an even total is equal, the bit is taken from
 *     mix64(seed ^ (index + 1) * SOPHIA_TIE_STEP)
 * of its word, `index` being the word's number. A bit's count is the sum of the weights of those who vote 1, negative
 * weights as they are. `seed` is the lowest plane of the word's 64 counts in which a bit is set: bit 0 of the counts,
 * which is the exclusive or of the voters of odd weight; where that is zero, as when all weights are even or each voter
 * comes twice, bit 1; and so on. It does not depend on the order of the voters, favours none of them, is the same when
 * all weights are doubled, and when somebody voted and his vote was taken back; and two votes of different inputs get
 * unrelated bits, so ties add no similarity between unrelated bundles.
 */
#ifndef SOPHIA_TIES_H
#define SOPHIA_TIES_H

#include <stddef.h>
#include <stdint.h>

#include "hash.h"

#define SOPHIA_TIE_STEP 0x9E3779B97F4A7C15ull

static inline uint64_t sophia_tie_word(uint64_t seed, size_t index)
{
    return sophia_mix64(seed ^ ((uint64_t)index + 1) * SOPHIA_TIE_STEP);
}

/* The seed of one word of bit-sliced counters that hold `origin` where the count is 0: plane p is planes[p * stride].
 * `lanes` are those that are voted on. */
static inline uint64_t sophia_tie_seed(const uint64_t *planes, size_t stride, size_t nplanes, uint64_t origin,
                                       uint64_t lanes)
{
    uint64_t borrow = 0; /* of `origin`, which is taken away again from all 64 counters */
    for (size_t p = 0; p < 64; p++) {
        const uint64_t value = p < nplanes ? planes[p * stride] : 0, less = origin >> p & 1 ? ~(uint64_t)0 : 0;
        const uint64_t plane = (value ^ less ^ borrow) & lanes;
        if (plane) return plane;
        borrow = (less & borrow) | (~value & (less | borrow));
    }
    return 0;
}

/* The same of n <= 64 sums of votes, +1 for 0 and -1 for 1, of weights whose sum is `net`; `parity` are the counts'
 * bits 0. */
static inline uint64_t sophia_tie_seed_of_sums(const int32_t *sums, size_t n, int64_t net, uint64_t parity)
{
    uint64_t seed = parity;
    for (unsigned p = 1; seed == 0 && p < 32; p++) {
        for (size_t i = 0; i < n; i++) seed |= ((uint64_t)(net - sums[i]) >> 1 >> p & 1) << i;
    }
    return seed;
}

#endif

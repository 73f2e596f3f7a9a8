/* Bit-sliced majority counters, written once for every width of register (no include guard: a template).
 *
 * The includer defines V (the register), V_WORDS (uint64 words in it), V_ISA (target attribute),
 * V_NAME(name), and on V: V_LOAD(p), V_STORE(p, v), V_SET(word), V_XOR, V_AND, V_OR, V_ANDNOT(a, b) = ~a & b,
 * V_SUM3(a, b, c) = a ^ b ^ c, V_MAJ3(a, b, c), V_TIES(seed, first_word), V_BLANK(parity, tie): whether a word of
 * `parity` is zero where one of `tie` is not; and V_COLUMNS, the registers that
 * are voted on at once (1 or 2): two share the loads of the row pointers, and the second line of each row is
 * fetched beside the first (1.09 for 1.88 us for 100 rows of 1,280 bytes with AVX-512).
 *
 * Counting (Harley and Seal's carry-save adders): plane p of a register holds bit p of 64 * V_WORDS counters.
 * Eight rows go in with seven full adders, then one carry ripples up. The number of planes is a compile-time
 * constant, so that they stay in registers. The counters start at 2^TOP - 1 - n/2: the top plane is then the
 * majority, and a tie is "every lower plane is set and the top one is not".
 */

#define V_ADD(high, low, a, b)                                                                             \
    do {                                                                                                   \
        const V old_ = (low);                                                                              \
        (low) = V_SUM3(old_, a, b);                                                                        \
        (high) = V_MAJ3(old_, a, b);                                                                       \
    } while (0)

#define V_ROW(i, c) V_XOR(V_LOAD(rows[i] + at[c]), flip)

/* Adds the rows' words at `at[c]` to planes[c][0..top], for `columns` registers at once. */
V_ISA static inline __attribute__((always_inline)) void V_NAME(gather)(V (*planes)[SOPHIA_GROUP_PLANES],
                                                                       const int columns, const int top,
                                                                       const uint64_t *const *rows, size_t n,
                                                                       const size_t *at, V flip)
{
    size_t i = 0;
    if (top >= 3) {
        for (; i + 8 <= n; i += 8) {
#pragma GCC unroll 2
            for (int c = 0; c < columns; c++) {
                V *const plane = planes[c];
                V two_a, two_b, four_a, four_b, carry;
                V_ADD(two_a, plane[0], V_ROW(i, c), V_ROW(i + 1, c));
                V_ADD(two_b, plane[0], V_ROW(i + 2, c), V_ROW(i + 3, c));
                V_ADD(four_a, plane[1], two_a, two_b);
                V_ADD(two_a, plane[0], V_ROW(i + 4, c), V_ROW(i + 5, c));
                V_ADD(two_b, plane[0], V_ROW(i + 6, c), V_ROW(i + 7, c));
                V_ADD(four_b, plane[1], two_a, two_b);
                V_ADD(carry, plane[2], four_a, four_b);
                for (int p = 3; p <= top; p++) {
                    const V next = V_AND(plane[p], carry);
                    plane[p] = V_XOR(plane[p], carry);
                    carry = next;
                }
            }
        }
    }
    for (; i < n; i++) {
#pragma GCC unroll 2
        for (int c = 0; c < columns; c++) {
            V *const plane = planes[c];
            V carry = V_ROW(i, c);
            for (int p = 0; p <= top; p++) {
                const V next = V_AND(plane[p], carry);
                plane[p] = V_XOR(plane[p], carry);
                carry = next;
            }
        }
    }
}

/* The seeds of ties of a register of words; see sophia_tie_seed. */
V_ISA static __attribute__((noinline, cold)) V V_NAME(seeds)(const uint64_t *planes, size_t stride, size_t nplanes,
                                                             uint64_t origin)
{
    uint64_t seeds[V_WORDS];
    for (size_t w = 0; w < V_WORDS; w++) seeds[w] = sophia_tie_seed(planes + w, stride, nplanes, origin, ~(uint64_t)0);
    return V_LOAD(seeds);
}

V_ISA static inline __attribute__((always_inline)) void V_NAME(vote)(const int columns, const int top,
                                                                     const uint64_t *const *rows, size_t n,
                                                                     const size_t *at, V *votes)
{
    const uint64_t start = ((uint64_t)1 << top) - 1 - n / 2;
    V planes[V_COLUMNS][SOPHIA_GROUP_PLANES];
    for (int c = 0; c < columns; c++) {
        for (int p = 0; p <= top; p++) planes[c][p] = V_SET((start >> p & 1) ? ~(uint64_t)0 : 0);
    }
    V_NAME(gather)(planes, columns, top, rows, n, at, V_SET(0));
    for (int c = 0; c < columns; c++) {
        votes[c] = planes[c][top];
        if (top > 0 && n % 2 == 0) {
            V tie = planes[c][0];
            for (int p = 1; p < top; p++) tie = V_AND(tie, planes[c][p]);
            tie = V_ANDNOT(planes[c][top], tie);
            V seed = V_XOR(planes[c][0], V_SET((start & 1) ? ~(uint64_t)0 : 0));
            if (__builtin_expect(V_BLANK(seed, tie) != 0, 0)) {
                uint64_t counters[SOPHIA_GROUP_PLANES * V_WORDS];
                for (int p = 0; p <= top; p++) V_STORE(counters + p * V_WORDS, planes[c][p]);
                seed = V_NAME(seeds)(counters, V_WORDS, (size_t)top + 1, start);
            }
            votes[c] = V_OR(votes[c], V_AND(tie, V_TIES(seed, at[c])));
        }
    }
}

/* The vote on whole registers of words from `start` on, V_COLUMNS at a time and then the odd one. With a
 * `head` the two ends are voted on first and stored last, and the columns between start on a whole register's
 * boundary; they overlap the ends, but `out` may be one of the rows, so no word may be stored before all
 * votes that read it are taken. */
#define V_MAJORITY(TOP)                                                                                    \
    case TOP:                                                                                              \
        for (int e = 0; head && e < 2; e += V_COLUMNS) {                                                   \
            V_NAME(vote)(V_COLUMNS, TOP, rows, n, ends + e, end_votes + e);                                \
        }                                                                                                  \
        for (; word + V_COLUMNS * V_WORDS <= words; word += V_COLUMNS * V_WORDS) {                         \
            const size_t at[2] = {word, word + V_WORDS};                                                   \
            V votes[V_COLUMNS];                                                                            \
            V_NAME(vote)(V_COLUMNS, TOP, rows, n, at, votes);                                              \
            for (int c = 0; c < V_COLUMNS; c++) V_STORE(out + at[c], votes[c]);                            \
        }                                                                                                  \
        for (; word + V_WORDS <= words; word += V_WORDS) {                                                 \
            V vote;                                                                                        \
            V_NAME(vote)(1, TOP, rows, n, &word, &vote);                                                   \
            V_STORE(out + word, vote);                                                                     \
        }                                                                                                  \
        break

/* These three work from a word on, whole registers only, and return the word they stopped at.
 *
 * Rows of a foreign matrix usually start 16 bytes past a cache line. Then every load would touch two lines,
 * and all bytes would come twice from the second cache; so the columns are laid on the lines of the first
 * row. */
V_ISA static size_t V_NAME(majority)(const uint64_t *const *rows, size_t n, uint64_t *out, size_t words,
                                     size_t start)
{
    const size_t step = V_WORDS * sizeof(uint64_t), off = (uintptr_t)rows[0] % step;
    const size_t head = V_WORDS > 1 && start == 0 && off && words >= 2 * V_WORDS ? (step - off) / 8 : 0;
    size_t word = start + head;
    int top = 0;
    const size_t ends[2] = {0, words - V_WORDS};
    V end_votes[2] = {V_SET(0), V_SET(0)};
    while (((size_t)1 << top) <= n / 2) top++;
    switch (top) {
        V_MAJORITY(0);
        V_MAJORITY(1);
        V_MAJORITY(2);
        V_MAJORITY(3);
        V_MAJORITY(4);
        V_MAJORITY(5);
        V_MAJORITY(6);
    }
    if (head) {
        V_STORE(out + ends[0], end_votes[0]);
        V_STORE(out + ends[1], end_votes[1]);
        return words;
    }
    return word;
}

V_ISA static size_t V_NAME(count)(const uint64_t *const *rows, size_t n, uint64_t flip, size_t first,
                                  uint64_t *planes, size_t nplanes, size_t words, size_t at)
{
    for (; at + V_WORDS <= words; at += V_WORDS) {
        V sums[1][SOPHIA_GROUP_PLANES];
        for (unsigned p = 0; p < SOPHIA_GROUP_PLANES; p++) sums[0][p] = V_SET(0);
        V_NAME(gather)(sums, 1, SOPHIA_GROUP_PLANES - 1, rows, n, &at, V_SET(flip));
        V carry = V_SET(0);
        for (size_t p = first; p < nplanes; p++) {
            uint64_t *const plane = planes + p * words + at;
            const V old = V_LOAD(plane), add = p - first < SOPHIA_GROUP_PLANES ? sums[0][p - first] : V_SET(0);
            V_STORE(plane, V_SUM3(old, add, carry));
            carry = V_MAJ3(old, add, carry);
        }
    }
    return at;
}

V_ISA static size_t V_NAME(settle)(const uint64_t *planes, size_t nplanes, int even, uint64_t origin,
                                   uint64_t *out, size_t words, size_t at)
{
    for (; at + V_WORDS <= words; at += V_WORDS) {
        V vote = V_LOAD(planes + (nplanes - 1) * words + at);
        if (even && nplanes > 1) {
            V tie = V_LOAD(planes + at);
            V seed = V_XOR(tie, V_SET((origin & 1) ? ~(uint64_t)0 : 0));
            for (size_t p = 1; p + 1 < nplanes; p++) tie = V_AND(tie, V_LOAD(planes + p * words + at));
            tie = V_ANDNOT(vote, tie);
            if (V_BLANK(seed, tie)) seed = V_NAME(seeds)(planes + at, words, nplanes, origin);
            vote = V_OR(vote, V_AND(tie, V_TIES(seed, at)));
        }
        V_STORE(out + at, vote);
    }
    return at;
}

#undef V_ADD
#undef V_ROW
#undef V_MAJORITY
#undef V
#undef V_WORDS
#undef V_COLUMNS
#undef V_ISA
#undef V_NAME
#undef V_LOAD
#undef V_STORE
#undef V_SET
#undef V_XOR
#undef V_AND
#undef V_OR
#undef V_ANDNOT
#undef V_SUM3
#undef V_MAJ3
#undef V_TIES
#undef V_BLANK

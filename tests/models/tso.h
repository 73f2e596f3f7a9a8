/* Total store order, as x86 has it: what a thread stores waits in a buffer of its own, in order, and comes to memory
 * at any later time; its own loads see it at once. A fence, and every read-modify-write, waits until the buffer is
 * empty. Define THREADS (that have a buffer) and WORDS first, and start a `cpu` for each thread.
 */
#define DEPTH 3

typedef buffer {
    byte n;
    byte word[DEPTH];
    short value[DEPTH]
};
buffer held[THREADS];
short memory[WORDS];

#define HOLDS(me, i, w) (held[me].n > i && held[me].word[i] == (w))
#define LOAD(me, w) \
    (HOLDS(me, 2, w) -> held[me].value[2] : \
    (HOLDS(me, 1, w) -> held[me].value[1] : \
    (HOLDS(me, 0, w) -> held[me].value[0] : memory[w])))
#define DRAINED(me) (held[me].n == 0)

inline store(me, w, v) /* SOPHIA_STORE, relaxed or release */
{
    atomic {
        held[me].n < DEPTH;
        held[me].word[held[me].n] = w;
        held[me].value[held[me].n] = v;
        held[me].n++
    }
}

proctype cpu(byte me) /* the oldest store comes to memory */
{
end:
    do
    :: d_step {
            held[me].n > 0;
            memory[held[me].word[0]] = held[me].value[0];
            held[me].word[0] = held[me].word[1];
            held[me].value[0] = held[me].value[1];
            held[me].word[1] = held[me].word[2];
            held[me].value[1] = held[me].value[2];
            held[me].word[2] = 0;
            held[me].value[2] = 0;
            held[me].n--
        }
    od
}

/* The encoder kernels: one table of function pointers, filled once for each SIMD level. */
#ifndef SOPHIA_ENC_KERNELS_H
#define SOPHIA_ENC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct sophia_enc_kernels {
    /* Adds sign * weight to every accumulator lane, where the sign of lane i is bit i of the pseudo-random
     * hypervector that `seed` names. `words` is the row length in uint64; acc holds 64 * words lanes. */
    void (*add_random_i16)(int16_t *acc, uint64_t seed, int16_t weight, size_t words);
};

#endif

#ifndef SOPHIA_ENC_SCALAR_H
#define SOPHIA_ENC_SCALAR_H

#include "cpu.h"
#include "enc_kernels.h"
#include "hash.h"

static void sophia_add_random_i16_scalar(int16_t *acc, uint64_t seed, int16_t weight, size_t words)
{
    for (size_t w = 0; w < words; w++) {
        const uint64_t bits = sophia_mix64(seed + SOPHIA_MIX_C * (w + 1));
        for (int i = 0; i < 64; i++) acc[64 * w + i] += (bits >> i & 1) ? weight : (int16_t)-weight;
    }
}

#define SOPHIA_ENC_SCALAR {sophia_add_random_i16_scalar}

#endif

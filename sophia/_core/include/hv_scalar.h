#ifndef SOPHIA_HV_SCALAR_H
#define SOPHIA_HV_SCALAR_H

#include "cpu.h"
#include "hv_kernels.h"

static void sophia_bind_b1_scalar(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t words)
{
    for (size_t i = 0; i < words; i++) out[i] = a[i] ^ b[i];
}

static uint64_t sophia_hamming_b1_scalar(const uint64_t *a, const uint64_t *b, size_t words)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < words; i++) bits += (uint64_t)__builtin_popcountll(a[i] ^ b[i]);
    return bits;
}

#define SOPHIA_HV_SCALAR {sophia_bind_b1_scalar, sophia_hamming_b1_scalar}

#endif

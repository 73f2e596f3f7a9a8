#ifndef SOPHIA_HV_AVX2_H
#define SOPHIA_HV_AVX2_H

#include "cpu.h"
#include "hv_kernels.h"

SOPHIA_AVX2 static void sophia_bind_b1_avx2(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t words)
{
    for (size_t i = 0; i < words; i++) out[i] = a[i] ^ b[i];
}

SOPHIA_AVX2 static uint64_t sophia_hamming_b1_avx2(const uint64_t *a, const uint64_t *b, size_t words)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < words; i++) bits += (uint64_t)__builtin_popcountll(a[i] ^ b[i]);
    return bits;
}

#define SOPHIA_HV_AVX2 {sophia_bind_b1_avx2, sophia_hamming_b1_avx2}

#endif

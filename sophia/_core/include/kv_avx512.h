#ifndef SOPHIA_KV_AVX512_H
#define SOPHIA_KV_AVX512_H

#include "cpu.h"
#include "kv_kernels.h"

SOPHIA_AVX512 static double sophia_dot_f64_avx512(const double *a, const double *b)
{
    double sum = 0.0;
    for (int i = 0; i < 8; i++) sum += a[i] * b[i];
    return sum;
}

#define SOPHIA_KV_AVX512 {sophia_dot_f64_avx512}

#endif

#ifndef SOPHIA_KV_AVX2_H
#define SOPHIA_KV_AVX2_H

#include "cpu.h"
#include "kv_kernels.h"

SOPHIA_AVX2 static double sophia_dot_f64_avx2(const double *a, const double *b)
{
    double sum = 0.0;
    for (int i = 0; i < 8; i++) sum += a[i] * b[i];
    return sum;
}

#define SOPHIA_KV_AVX2 {sophia_dot_f64_avx2}

#endif

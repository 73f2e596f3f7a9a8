#ifndef SOPHIA_KV_SCALAR_H
#define SOPHIA_KV_SCALAR_H

#include "cpu.h"
#include "kv_kernels.h"

static double sophia_dot_f64_scalar(const double *a, const double *b)
{
    double sum = 0.0;
    for (int i = 0; i < 8; i++) sum += a[i] * b[i];
    return sum;
}

#define SOPHIA_KV_SCALAR {sophia_dot_f64_scalar}

#endif

/* The K-Vector kernels (eight doubles): one table of function pointers, filled once for each SIMD level. */
#ifndef SOPHIA_KV_KERNELS_H
#define SOPHIA_KV_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct sophia_kv_kernels {
    double (*dot_f64)(const double *a, const double *b);
};

#endif

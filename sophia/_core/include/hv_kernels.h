/* The hypervector kernels: one table of function pointers, filled once for each SIMD level.
 *
 * Packed rows are uint64 words, a whole number of 64-byte blocks, 64-byte aligned, with zero padding bits.
 */
#ifndef SOPHIA_HV_KERNELS_H
#define SOPHIA_HV_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct sophia_hv_kernels {
    void (*bind_b1)(const uint64_t *a, const uint64_t *b, uint64_t *out, size_t words);
    uint64_t (*hamming_b1)(const uint64_t *a, const uint64_t *b, size_t words);
};

#endif

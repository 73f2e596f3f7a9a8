/* Every compiled kernel, gathered into one table a level. Included by cpu.pyx only. */
#ifndef SOPHIA_DISPATCH_H
#define SOPHIA_DISPATCH_H

#include "cpu.h"
#include "kernels.h"

#include "enc_scalar.h"
#include "hv_scalar.h"
#include "kv_scalar.h"
#include "ln_scalar.h"
#include "ro_scalar.h"
#if SOPHIA_X86
#include "enc_avx2.h"
#include "enc_avx512.h"
#include "hv_avx2.h"
#include "hv_avx512.h"
#include "kv_avx2.h"
#include "ln_avx2.h"
#include "kv_avx512.h"
#include "ln_avx512.h"
#include "ro_avx2.h"
#include "ro_avx512.h"
#elif SOPHIA_ARM
#include "hv_neon.h"
#endif

static const struct sophia_kernels sophia_kernels_scalar = {
    SOPHIA_LEVEL_SCALAR, SOPHIA_HV_SCALAR, SOPHIA_KV_SCALAR, SOPHIA_ENC_SCALAR, SOPHIA_RO_SCALAR, SOPHIA_LN_SCALAR};
#if SOPHIA_X86
static const struct sophia_kernels sophia_kernels_avx2 = {
    SOPHIA_LEVEL_AVX2, SOPHIA_HV_AVX2, SOPHIA_KV_AVX2, SOPHIA_ENC_AVX2, SOPHIA_RO_AVX2, SOPHIA_LN_AVX2};
static const struct sophia_kernels sophia_kernels_avx512 = {
    SOPHIA_LEVEL_AVX512, SOPHIA_HV_AVX512, SOPHIA_KV_AVX512, SOPHIA_ENC_AVX512, SOPHIA_RO_AVX512, SOPHIA_LN_AVX512};
#elif SOPHIA_ARM
static const struct sophia_kernels sophia_kernels_neon = {
    SOPHIA_LEVEL_NEON, SOPHIA_HV_NEON, SOPHIA_KV_SCALAR, SOPHIA_ENC_SCALAR, SOPHIA_RO_SCALAR, SOPHIA_LN_SCALAR};
#endif

/* NULL when this build or this machine has no such level. */
static const struct sophia_kernels *sophia_kernels_at(int level)
{
    if (level < 0 || level >= SOPHIA_LEVEL_COUNT || !(sophia_levels() & (1u << level))) return NULL;
    switch (level) {
    case SOPHIA_LEVEL_SCALAR: return &sophia_kernels_scalar;
#if SOPHIA_X86
    case SOPHIA_LEVEL_AVX2: return &sophia_kernels_avx2;
    case SOPHIA_LEVEL_AVX512: return &sophia_kernels_avx512;
#elif SOPHIA_ARM
    case SOPHIA_LEVEL_NEON: return &sophia_kernels_neon;
#endif
    default: return NULL;
    }
}

#endif

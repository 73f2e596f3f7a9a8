/* Which SIMD levels the processor *and* the operating system allow.
 *
 * A CPUID bit alone is not enough: a kernel or hypervisor that does not save the wide registers turns an
 * AVX instruction into a fault, so XCR0 is read (XGETBV) before a level is offered.
 */
#ifndef SOPHIA_CPU_H
#define SOPHIA_CPU_H

#if defined(__x86_64__)
#define SOPHIA_X86 1
#include <cpuid.h>
#else
#define SOPHIA_X86 0
#endif

#if defined(__aarch64__)
#define SOPHIA_ARM 1
#else
#define SOPHIA_ARM 0
#endif

/* Per-function instruction sets: one translation unit holds every level and needs no special flags. */
#define SOPHIA_AVX2 __attribute__((target("avx2,popcnt,bmi,bmi2,fma")))
#define SOPHIA_AVX512                                                                                      \
    __attribute__((target("avx2,popcnt,bmi,bmi2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx512vnni,avx512vbmi2")))

enum sophia_level {
    SOPHIA_LEVEL_SCALAR = 0,
    SOPHIA_LEVEL_AVX2 = 1,
    SOPHIA_LEVEL_AVX512 = 2,
    SOPHIA_LEVEL_NEON = 3,
    SOPHIA_LEVEL_COUNT = 4
};

#if SOPHIA_X86
static unsigned long long sophia_xcr0(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((unsigned long long)high << 32) | low;
}

static int sophia_x86_level(void)
{
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return SOPHIA_LEVEL_SCALAR;
    const unsigned osxsave = 1u << 27, avx = 1u << 28, popcnt = 1u << 23, fma = 1u << 12;
    const unsigned wanted = osxsave | avx | popcnt | fma;
    if ((ecx & wanted) != wanted) return SOPHIA_LEVEL_SCALAR;
    const unsigned long long xcr0 = sophia_xcr0();
    if ((xcr0 & 0x6) != 0x6) return SOPHIA_LEVEL_SCALAR; /* xmm and ymm state */
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return SOPHIA_LEVEL_SCALAR;
    const unsigned bmi = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
    if ((ebx & (bmi | avx2 | bmi2)) != (bmi | avx2 | bmi2)) return SOPHIA_LEVEL_SCALAR;
    const unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    const unsigned vbmi2 = 1u << 6, vnni = 1u << 11, vpopcntdq = 1u << 14;
    if ((xcr0 & 0xE6) != 0xE6) return SOPHIA_LEVEL_AVX2; /* opmask and zmm state */
    if ((ebx & (f | dq | bw | vl)) != (f | dq | bw | vl)) return SOPHIA_LEVEL_AVX2;
    if ((ecx & (vbmi2 | vnni | vpopcntdq)) != (vbmi2 | vnni | vpopcntdq)) return SOPHIA_LEVEL_AVX2;
    return SOPHIA_LEVEL_AVX512;
}
#endif

/* Bit i is set when level i can run here. */
static unsigned sophia_levels(void)
{
    unsigned levels = 1u << SOPHIA_LEVEL_SCALAR;
#if SOPHIA_X86
    const int best = sophia_x86_level();
    if (best >= SOPHIA_LEVEL_AVX2) levels |= 1u << SOPHIA_LEVEL_AVX2;
    if (best >= SOPHIA_LEVEL_AVX512) levels |= 1u << SOPHIA_LEVEL_AVX512;
#elif SOPHIA_ARM
    levels |= 1u << SOPHIA_LEVEL_NEON; /* part of the aarch64 ABI */
#endif
    return levels;
}

#endif

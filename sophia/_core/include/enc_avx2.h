/* AVX2 encoder kernels: VPXOR, VPAND, VPOR for the adders (five a full adder), VPMULUDQ for the generator
 * (three a 64-bit product, which AVX2 lacks), VPSHUFB and VPCMPEQB to turn plane bits into bytes. */
#ifndef SOPHIA_ENC_AVX2_H
#define SOPHIA_ENC_AVX2_H

#include <immintrin.h>

#include "cpu.h"
#include "enc_kernels.h"
#include "enc_scalar.h"
#include "hash.h"

/* x * (high * 2^32 + low), modulo 2^64. */
SOPHIA_AVX2 static inline __m256i sophia_mul64_split_avx2(__m256i x, __m256i low, __m256i high)
{
    const __m256i cross =
        _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(x, 32), low), _mm256_mul_epu32(x, high));
    return _mm256_add_epi64(_mm256_mul_epu32(x, low), _mm256_slli_epi64(cross, 32));
}

SOPHIA_AVX2 static inline __m256i sophia_row_avx2(uint64_t name, size_t w)
{
    const __m256i low = _mm256_set1_epi64x(SOPHIA_MIX64_MULTIPLIER & 0xFFFFFFFFull);
    const __m256i high = _mm256_set1_epi64x(SOPHIA_MIX64_MULTIPLIER >> 32);
    const __m256i step = _mm256_set_epi64x((long long)(4 * SOPHIA_MIX_C), (long long)(3 * SOPHIA_MIX_C),
                                           (long long)(2 * SOPHIA_MIX_C), (long long)SOPHIA_MIX_C);
    __m256i x = _mm256_add_epi64(_mm256_set1_epi64x((long long)(name + SOPHIA_MIX_C * w)), step);
    x = _mm256_xor_si256(x, _mm256_srli_epi64(x, 32));
    x = sophia_mul64_split_avx2(x, low, high);
    x = _mm256_xor_si256(x, _mm256_srli_epi64(x, 32));
    x = sophia_mul64_split_avx2(x, low, high);
    return _mm256_xor_si256(x, _mm256_srli_epi64(x, 28));
}

SOPHIA_AVX2 static inline __m256i sophia_majority_avx2(__m256i a, __m256i b, __m256i c)
{
    return _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_xor_si256(a, b)));
}

#define ENC_NAME(f) f##_avx2
#define ENC_TARGET SOPHIA_AVX2
#define ENC_VEC __m256i
#define ENC_LANES 4
#define ENC_SIDE 2
#define ENC_LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define ENC_STORE(p, v) _mm256_storeu_si256((__m256i *)(p), (v))
#define ENC_XOR(a, b) _mm256_xor_si256((a), (b))
#define ENC_AND(a, b) _mm256_and_si256((a), (b))
#define ENC_XOR3(a, b, c) _mm256_xor_si256(_mm256_xor_si256((a), (b)), (c))
#define ENC_MAJ(a, b, c) sophia_majority_avx2((a), (b), (c))
#define ENC_ROW(name, w) sophia_row_avx2((name), (w))
#include "enc_count.h"

/* Byte `part` (planes 8*part to 8*part+7) of the counts of 32 lanes, half a word. */
SOPHIA_AVX2 static inline __m256i sophia_count_byte_avx2(const uint64_t *planes, size_t depth, size_t words,
                                                         int shift, size_t part)
{
    const __m256i byte = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2,
                                          2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i select = _mm256_set1_epi64x((long long)0x8040201008040201ull);
    __m256i bytes = _mm256_setzero_si256();
    const size_t end = depth < 8 * part + 8 ? depth : 8 * part + 8;
    for (size_t j = 8 * part; j < end; j++) {
        const __m256i half = _mm256_set1_epi32((int)(planes[j * words] >> shift));
        const __m256i chosen = _mm256_and_si256(_mm256_shuffle_epi8(half, byte), select);
        const __m256i bit = _mm256_set1_epi8((char)(1 << (j & 7)));
        bytes = _mm256_or_si256(bytes, _mm256_and_si256(_mm256_cmpeq_epi8(chosen, select), bit));
    }
    return bytes;
}

SOPHIA_AVX2 static void sophia_sums_i32_avx2(const uint64_t *planes, size_t depth, size_t words,
                                             int32_t total, int32_t *sums)
{
    const __m256i all = _mm256_set1_epi32(total);
    for (size_t half = 0; half < 2 * words; half++) {
        uint8_t parts[3][32];
        for (size_t part = 0; part < 3; part++) {
            const __m256i bytes =
                sophia_count_byte_avx2(planes + half / 2, depth, words, half % 2 * 32, part);
            _mm256_storeu_si256((__m256i *)parts[part], bytes);
        }
        for (int i = 0; i < 32; i += 8) {
            __m256i twice = _mm256_setzero_si256();
            for (int part = 0; part < 3; part++) {
                const __m256i lanes =
                    _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(parts[part] + i)));
                twice = _mm256_or_si256(twice, _mm256_slli_epi32(lanes, 8 * part + 1));
            }
            _mm256_storeu_si256((__m256i *)(sums + 32 * half + i), _mm256_sub_epi32(all, twice));
        }
    }
}

SOPHIA_AVX2 static void sophia_scale_i32_i8_avx2(const int32_t *sums, size_t dim, int8_t *out)
{
    sophia_scale_i32_i8(sums, dim, out);
}

#define SOPHIA_ENC_AVX2 {sophia_tally_b1_avx2, sophia_sums_i32_avx2, sophia_scale_i32_i8_avx2}

#endif

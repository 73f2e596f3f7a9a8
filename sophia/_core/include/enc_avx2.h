/* AVX2 encoder kernels: VPXOR, VPAND, VPOR for the adders (five a full adder), VPMULUDQ for the generator
 * (three a 64-bit product, which AVX2 lacks), VPCMPEQD to turn plane bits into lane masks. */
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
    const __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(x, 32), low), _mm256_mul_epu32(x, high));
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
#define ENC_LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define ENC_STORE(p, v) _mm256_storeu_si256((__m256i *)(p), (v))
#define ENC_XOR(a, b) _mm256_xor_si256((a), (b))
#define ENC_AND(a, b) _mm256_and_si256((a), (b))
#define ENC_XOR3(a, b, c) _mm256_xor_si256(_mm256_xor_si256((a), (b)), (c))
#define ENC_MAJ(a, b, c) sophia_majority_avx2((a), (b), (c))
#define ENC_ROW(name, w) sophia_row_avx2((name), (w))
#include "enc_count.h"

SOPHIA_AVX2 static void sophia_sums_i32_avx2(const uint64_t *planes, size_t depth, size_t words, int32_t total,
                                             int32_t *sums)
{
    const __m256i select = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    for (size_t w = 0; w < words; w++) {
        for (int byte = 0; byte < 8; byte++) {
            __m256i count = _mm256_setzero_si256();
            for (size_t j = 0; j < depth; j++) {
                const int bits = (int)(planes[j * words + w] >> 8 * byte & 0xFF);
                const __m256i mask = _mm256_and_si256(_mm256_set1_epi32(bits), select);
                const __m256i vote = _mm256_set1_epi32(2 << j);
                count = _mm256_add_epi32(count, _mm256_and_si256(_mm256_cmpeq_epi32(mask, select), vote));
            }
            const __m256i sum = _mm256_sub_epi32(_mm256_set1_epi32(total), count);
            _mm256_storeu_si256((__m256i *)(sums + 64 * w + 8 * byte), sum);
        }
    }
}

SOPHIA_AVX2 static void sophia_scale_i32_i8_avx2(const int32_t *sums, size_t dim, int8_t *out)
{
    sophia_scale_i32_i8(sums, dim, out);
}

#define SOPHIA_ENC_AVX2 {sophia_tally_b1_avx2, sophia_sums_i32_avx2, sophia_scale_i32_i8_avx2}

#endif

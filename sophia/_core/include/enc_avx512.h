/* AVX-512 encoder kernels: VPTERNLOGQ is both halves of a full adder, VPMULLQ (DQ) the generator's product,
 * byte masks (BW) turn plane bits into counts, 64 lanes an instruction. */
#ifndef SOPHIA_ENC_AVX512_H
#define SOPHIA_ENC_AVX512_H

#include <immintrin.h>

#include "cpu.h"
#include "enc_kernels.h"
#include "enc_scalar.h"
#include "hash.h"

SOPHIA_AVX512 static inline __m512i sophia_row_avx512(uint64_t name, size_t w)
{
    const __m512i multiplier = _mm512_set1_epi64((long long)SOPHIA_MIX64_MULTIPLIER);
    const __m512i step = _mm512_mullo_epi64(_mm512_set_epi64(8, 7, 6, 5, 4, 3, 2, 1),
                                            _mm512_set1_epi64((long long)SOPHIA_MIX_C));
    __m512i x = _mm512_add_epi64(_mm512_set1_epi64((long long)(name + SOPHIA_MIX_C * w)), step);
    x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 32));
    x = _mm512_mullo_epi64(x, multiplier);
    x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 32));
    x = _mm512_mullo_epi64(x, multiplier);
    return _mm512_xor_si512(x, _mm512_srli_epi64(x, 28));
}

#define ENC_NAME(f) f##_avx512
#define ENC_TARGET SOPHIA_AVX512
#define ENC_VEC __m512i
#define ENC_LANES 8
#define ENC_SIDE 1
#define ENC_LOAD(p) _mm512_loadu_si512((const void *)(p))
#define ENC_STORE(p, v) _mm512_storeu_si512((void *)(p), (v))
#define ENC_XOR(a, b) _mm512_xor_si512((a), (b))
#define ENC_AND(a, b) _mm512_and_si512((a), (b))
#define ENC_XOR3(a, b, c) _mm512_ternarylogic_epi64((a), (b), (c), 0x96)
#define ENC_MAJ(a, b, c) _mm512_ternarylogic_epi64((a), (b), (c), 0xE8)
#define ENC_ROW(name, w) sophia_row_avx512((name), (w))
#include "enc_count.h"

/* Byte `part` (planes 8*part to 8*part+7) of the counts of the 64 lanes of one word. */
SOPHIA_AVX512 static inline __m512i sophia_count_byte_avx512(const uint64_t *planes, size_t depth,
                                                             size_t words, size_t part)
{
    __m512i bytes = _mm512_setzero_si512();
    const size_t end = depth < 8 * part + 8 ? depth : 8 * part + 8;
    for (size_t j = 8 * part; j < end; j++) {
        const __m512i bit = _mm512_set1_epi8((char)(1 << (j & 7)));
        bytes = _mm512_mask_add_epi8(bytes, _cvtu64_mask64(planes[j * words]), bytes, bit);
    }
    return bytes;
}

SOPHIA_AVX512 static void sophia_sums_i32_avx512(const uint64_t *planes, size_t depth, size_t words,
                                                 int32_t total, int32_t *sums)
{
    const __m512i all = _mm512_set1_epi32(total);
    for (size_t w = 0; w < words; w++) {
        const __m512i low = sophia_count_byte_avx512(planes + w, depth, words, 0);
        const __m512i middle = sophia_count_byte_avx512(planes + w, depth, words, 1);
        const __m512i high = sophia_count_byte_avx512(planes + w, depth, words, 2);
#define SOPHIA_QUARTER(q)                                                                                    \
    do {                                                                                                     \
        __m512i twice = _mm512_slli_epi32(_mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(low, q)), 1);       \
        const __m512i m = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(middle, q));                        \
        twice = _mm512_add_epi32(twice, _mm512_slli_epi32(m, 9));                                            \
        const __m512i h = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(high, q));                          \
        twice = _mm512_add_epi32(twice, _mm512_slli_epi32(h, 17));                                           \
        _mm512_storeu_si512(sums + 64 * w + 16 * q, _mm512_sub_epi32(all, twice));                           \
    } while (0)
        SOPHIA_QUARTER(0);
        SOPHIA_QUARTER(1);
        SOPHIA_QUARTER(2);
        SOPHIA_QUARTER(3);
#undef SOPHIA_QUARTER
    }
}

SOPHIA_AVX512 static void sophia_scale_i32_i8_avx512(const int32_t *sums, size_t dim, int8_t *out)
{
    sophia_scale_i32_i8(sums, dim, out);
}

#define SOPHIA_ENC_AVX512 {sophia_tally_b1_avx512, sophia_sums_i32_avx512, sophia_scale_i32_i8_avx512}

#endif

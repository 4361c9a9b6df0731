/* SPDX-License-Identifier: Apache-2.0
 * Kernel of int_encode.h. Full groups only; shorter ones go to the reference. */
#include "stages/int_encode.h"

#include <immintrin.h>

#include "base/bytes.h"
#include "model/convert.h"

#define GROUP 32

static __m256i abs_bits(const float *x)
{
    return _mm256_and_si256(_mm256_loadu_si256((const __m256i *)x), _mm256_set1_epi32(0x7fffffff));
}

static uint32_t abs_max_bits_avx2(const float *x, size_t n)
{
    __m256i max = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        max = _mm256_max_epi32(max, abs_bits(x + i));
    }
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, _MM_SHUFFLE(1, 0, 3, 2)));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, _MM_SHUFFLE(2, 3, 0, 1)));
    uint32_t head = (uint32_t)_mm_cvtsi128_si32(m);
    uint32_t tail = tm_int_kernel_ref.abs_max_bits(x + i, n - i);
    return head > tail ? head : tail;
}

static float inverse(float d)
{
    float i = d == 0.0f ? 0.0f : 1.0f / d;
    return (tm_f32_bits(i) & 0x7fffffff) == 0x7f800000 ? 0.0f : i;
}

/* Four vectors of 32-bit symbols 0..255 to 32 bytes. */
static void store_codes(const __m256i q[4], uint8_t *codes)
{
    __m256i packed =
        _mm256_packus_epi16(_mm256_packus_epi32(q[0], q[1]), _mm256_packus_epi32(q[2], q[3]));
    packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)codes, packed);
}

static uint16_t quantize8_avx2(const float *x, size_t n, uint8_t *codes)
{
    if (n != GROUP) {
        return tm_int_kernel_ref.quantize8(x, n, codes);
    }
    float d = tm_f32_from_bits(abs_max_bits_avx2(x, GROUP)) / 127.0f;
    const __m256 id = _mm256_set1_ps(inverse(d));
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256 half = _mm256_set1_ps(0.5f);
    const __m256i zero = _mm256_set1_epi32(128);
    __m256i q[4];
    for (int i = 0; i < 4; i++) {
        __m256 t = _mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), id);
        __m256 a = _mm256_andnot_ps(sign, t);
        __m256i whole = _mm256_cvttps_epi32(a);
        __m256 rest = _mm256_sub_ps(a, _mm256_cvtepi32_ps(whole));
        /* A true comparison is -1. */
        __m256 up = _mm256_cmp_ps(rest, half, _CMP_GE_OQ);
        whole = _mm256_sub_epi32(whole, _mm256_castps_si256(up));
        __m256i minus = _mm256_srai_epi32(_mm256_castps_si256(t), 31);
        whole = _mm256_sub_epi32(_mm256_xor_si256(whole, minus), minus);
        q[i] = _mm256_add_epi32(whole, zero);
    }
    store_codes(q, codes);
    return tm_f32_to_f16(d);
}

static uint16_t quantize4_avx2(const float *x, size_t n, uint8_t *codes)
{
    if (n != GROUP) {
        return tm_int_kernel_ref.quantize4(x, n, codes);
    }
    __m256i max = _mm256_set1_epi32((int)abs_max_bits_avx2(x, GROUP));
    uint32_t at_max = 0;
    for (int i = 0; i < 4; i++) {
        __m256i equal = _mm256_cmpeq_epi32(abs_bits(x + 8 * i), max);
        at_max |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(equal)) << (8 * i);
    }
    float d = x[__builtin_ctz(at_max)] / -8.0f;
    const __m256 id = _mm256_set1_ps(inverse(d));
    const __m256 middle = _mm256_set1_ps(8.5f);
    const __m256i top = _mm256_set1_epi32(15);
    __m256i q[4];
    for (int i = 0; i < 4; i++) {
        __m256 t = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), id), middle);
        q[i] = _mm256_min_epi32(_mm256_cvttps_epi32(t), top);
    }
    store_codes(q, codes);
    return tm_f32_to_f16(d);
}

const struct tm_int_kernel tm_int_kernel_avx2 = {abs_max_bits_avx2, quantize8_avx2, quantize4_avx2};

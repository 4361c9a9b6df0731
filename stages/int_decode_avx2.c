/* SPDX-License-Identifier: Apache-2.0
 * Kernel of int_decode.h. */
#include "stages/int_decode.h"

#include <immintrin.h>

void tm_int_scale_avx2(const uint8_t *codes, size_t count, int zero, float scale, float *out)
{
    const __m256i z = _mm256_set1_epi32(zero);
    const __m256 s = _mm256_set1_ps(scale);
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        __m256i q = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(codes + i)));
        __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(q, z)), s);
        _mm256_storeu_ps(out + i, _mm256_add_ps(y, _mm256_setzero_ps()));
    }
    tm_int_scale_ref(codes + i, count - i, zero, scale, out + i);
}

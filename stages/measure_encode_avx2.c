/* SPDX-License-Identifier: Apache-2.0
 * Kernel of measure_encode.h: lanes 0..3 and 4..7 in one vector each. */
#include "stages/measure_encode.h"

#include <immintrin.h>

static inline void add_four(const float *x, const float *y, __m256d *error, __m256d *norm,
                            __m256d *max)
{
    __m256d source = _mm256_cvtps_pd(_mm_loadu_ps(x));
    __m256d e = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(y)), source);
    __m256d off = _mm256_andnot_pd(_mm256_set1_pd(-0.0), e);
    *error = _mm256_add_pd(*error, _mm256_mul_pd(e, e));
    *norm = _mm256_add_pd(*norm, _mm256_mul_pd(source, source));
    *max = _mm256_max_pd(off, *max);
}

void tm_measure_avx2(const float *x, const float *y, size_t count, struct tm_measure_lanes *lanes)
{
    __m256d error0 = _mm256_loadu_pd(lanes->error), error1 = _mm256_loadu_pd(lanes->error + 4);
    __m256d norm0 = _mm256_loadu_pd(lanes->norm), norm1 = _mm256_loadu_pd(lanes->norm + 4);
    __m256d max0 = _mm256_loadu_pd(lanes->max), max1 = _mm256_loadu_pd(lanes->max + 4);
    size_t i = 0;
    for (; i + TM_MEASURE_LANES <= count; i += TM_MEASURE_LANES) {
        add_four(x + i, y + i, &error0, &norm0, &max0);
        add_four(x + i + 4, y + i + 4, &error1, &norm1, &max1);
    }
    _mm256_storeu_pd(lanes->error, error0);
    _mm256_storeu_pd(lanes->error + 4, error1);
    _mm256_storeu_pd(lanes->norm, norm0);
    _mm256_storeu_pd(lanes->norm + 4, norm1);
    _mm256_storeu_pd(lanes->max, max0);
    _mm256_storeu_pd(lanes->max + 4, max1);
    tm_measure_ref(x + i, y + i, count - i, lanes);
}

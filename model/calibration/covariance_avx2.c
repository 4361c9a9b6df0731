/* SPDX-License-Identifier: Apache-2.0
 * Kernel of covariance.h: four rows of a tile at a time, products of a pair of tokens added in 32
 * bits by one instruction, and sums of as many pairs as fit there moved to 64 bits. */
#include "model/calibration/covariance.h"

#include <immintrin.h>

#define ROWS 4

static inline void widen(__m256i sum, int64_t *to)
{
    __m256i low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(sum));
    __m256i high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sum, 1));
    __m256i *at = (__m256i *)(void *)to;
    _mm256_storeu_si256(at, _mm256_add_epi64(_mm256_loadu_si256(at), low));
    _mm256_storeu_si256(at + 1, _mm256_add_epi64(_mm256_loadu_si256(at + 1), high));
}

static inline __m256i both(const int16_t *a)
{
    int32_t pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    return _mm256_set1_epi32(pair);
}

static void some_pairs(const int16_t *a, const int16_t *b, size_t pairs, int64_t *sums)
{
    __m256i sum[ROWS][2];
    for (size_t i = 0; i < ROWS; i++) {
        sum[i][0] = sum[i][1] = _mm256_setzero_si256();
    }
    for (size_t pair = 0; pair < pairs; pair++) {
        const __m256i *columns = (const __m256i *)(const void *)b;
        __m256i left = _mm256_loadu_si256(columns), right = _mm256_loadu_si256(columns + 1);
        for (size_t i = 0; i < ROWS; i++) {
            __m256i row = both(a + 2 * i);
            sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(row, left));
            sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(row, right));
        }
        a += 2 * TM_COV_PANEL;
        b += 2 * TM_COV_PANEL;
    }
    for (size_t i = 0; i < ROWS; i++) {
        widen(sum[i][0], sums + i * TM_COV_PANEL);
        widen(sum[i][1], sums + i * TM_COV_PANEL + 8);
    }
}

void tm_cov_tile_avx2(const struct tm_cov_tile *tile)
{
    size_t most = tm_cov_pairs_at_once(tile->product_max);
    for (size_t at = 0; at < tile->pairs;) {
        size_t pairs = tile->pairs - at < most ? tile->pairs - at : most;
        size_t offset = at * TM_COV_PANEL * 2;
        for (size_t i = 0; i < TM_COV_PANEL; i += ROWS) {
            some_pairs(tile->a + offset + 2 * i, tile->b + offset, pairs,
                       tile->sums + i * TM_COV_PANEL);
        }
        at += pairs;
    }
}

/* SPDX-License-Identifier: Apache-2.0
 * Kernel of covariance.h: one row of a tile at a time, sums of as many pairs as fit in 32 bits
 * moved to 64. */
#include "model/calibration/covariance.h"

#include <arm_neon.h>

static inline void widen(int32x4_t sum, int64_t *to)
{
    vst1q_s64(to, vaddw_s32(vld1q_s64(to), vget_low_s32(sum)));
    vst1q_s64(to + 2, vaddw_s32(vld1q_s64(to + 2), vget_high_s32(sum)));
}

static void some_pairs(const int16_t *a, const int16_t *b, size_t pairs, int64_t *sums)
{
    int32x4_t sum[4];
    for (size_t j = 0; j < 4; j++) {
        sum[j] = vdupq_n_s32(0);
    }
    for (size_t pair = 0; pair < pairs; pair++) {
        for (size_t half = 0; half < 2; half++) {
            int16x8x2_t columns = vld2q_s16(b + 16 * half);
            for (size_t token = 0; token < 2; token++) {
                int16x8_t v = columns.val[token];
                sum[2 * half] = vmlal_n_s16(sum[2 * half], vget_low_s16(v), a[token]);
                sum[2 * half + 1] = vmlal_n_s16(sum[2 * half + 1], vget_high_s16(v), a[token]);
            }
        }
        a += 2 * TM_COV_PANEL;
        b += 2 * TM_COV_PANEL;
    }
    for (size_t j = 0; j < 4; j++) {
        widen(sum[j], sums + 4 * j);
    }
}

void tm_cov_tile_neon(const struct tm_cov_tile *tile)
{
    size_t most = tm_cov_pairs_at_once(tile->product_max);
    for (size_t at = 0; at < tile->pairs;) {
        size_t pairs = tile->pairs - at < most ? tile->pairs - at : most;
        size_t offset = at * TM_COV_PANEL * 2;
        for (size_t i = 0; i < TM_COV_PANEL; i++) {
            some_pairs(tile->a + offset + 2 * i, tile->b + offset, pairs,
                       tile->sums + i * TM_COV_PANEL);
        }
        at += pairs;
    }
}

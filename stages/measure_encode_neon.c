/* SPDX-License-Identifier: Apache-2.0
 * Kernel of measure_encode.h: two lanes a vector. */
#include "stages/measure_encode.h"

#include <arm_neon.h>

#define VECTORS (TM_MEASURE_LANES / 2)

struct sums {
    float64x2_t error[VECTORS], norm[VECTORS], max[VECTORS];
};

static inline void add_two(struct sums *s, int v, float64x2_t source, float64x2_t decoded)
{
    float64x2_t e = vsubq_f64(decoded, source);
    float64x2_t off = vabsq_f64(e);
    s->error[v] = vaddq_f64(s->error[v], vmulq_f64(e, e));
    s->norm[v] = vaddq_f64(s->norm[v], vmulq_f64(source, source));
    /* Not vmaxq_f64: an error that is no number leaves the maximum. */
    s->max[v] = vbslq_f64(vcgtq_f64(off, s->max[v]), off, s->max[v]);
}

void tm_measure_neon(const float *x, const float *y, size_t count, struct tm_measure_lanes *lanes)
{
    struct sums s;
    for (int v = 0; v < VECTORS; v++) {
        s.error[v] = vld1q_f64(lanes->error + 2 * v);
        s.norm[v] = vld1q_f64(lanes->norm + 2 * v);
        s.max[v] = vld1q_f64(lanes->max + 2 * v);
    }
    size_t i = 0;
    for (; i + TM_MEASURE_LANES <= count; i += TM_MEASURE_LANES) {
        for (int v = 0; v < VECTORS; v += 2) {
            float32x4_t source = vld1q_f32(x + i + 2 * v), decoded = vld1q_f32(y + i + 2 * v);
            add_two(&s, v, vcvt_f64_f32(vget_low_f32(source)), vcvt_f64_f32(vget_low_f32(decoded)));
            add_two(&s, v + 1, vcvt_high_f64_f32(source), vcvt_high_f64_f32(decoded));
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        vst1q_f64(lanes->error + 2 * v, s.error[v]);
        vst1q_f64(lanes->norm + 2 * v, s.norm[v]);
        vst1q_f64(lanes->max + 2 * v, s.max[v]);
    }
    tm_measure_ref(x + i, y + i, count - i, lanes);
}

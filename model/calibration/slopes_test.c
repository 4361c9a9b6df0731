/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/slopes.h"

#include <math.h>

#include "model/pass/elementwise.h"
#include "tests/support/suite.h"

#define COUNT 300

/* Beside the pass's own gates: by_up is the gate over up, by_gate a difference of it. */
START_TEST(slopes_are_derivatives)
{
    for (int gelu = 0; gelu < 2; gelu++) {
        void (*gate_fn)(float *, const float *, size_t) = gelu ? tm_geglu : tm_swiglu;
        float gate[COUNT], up[COUNT], by_gate[COUNT], by_up[COUNT], value[COUNT], low[COUNT],
            high[COUNT];
        const float step = 1.0f / 64;
        for (size_t i = 0; i < COUNT; i++) {
            gate[i] = ((float)i - 150.0f) / 16.0f;
            up[i] = 1.0f + (float)(i % 5);
            value[i] = gate[i];
            low[i] = gate[i] - step;
            high[i] = gate[i] + step;
        }
        tm_slopes(gelu, gate, up, COUNT, by_gate, by_up);
        gate_fn(value, up, COUNT);
        gate_fn(low, up, COUNT);
        gate_fn(high, up, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            ck_assert(fabsf(by_up[i] * up[i] - value[i]) < 1e-5f * (1.0f + fabsf(value[i])));
            ck_assert(fabsf(by_gate[i] - (high[i] - low[i]) / (2 * step)) < 2e-3f);
        }
    }
}
END_TEST

START_TEST(far_values_stay_finite)
{
    const float gate[2] = {-500.0f, 500.0f}, up[2] = {2.0f, 2.0f};
    for (int gelu = 0; gelu < 2; gelu++) {
        float by_gate[2], by_up[2];
        tm_slopes(gelu, gate, up, 2, by_gate, by_up);
        ck_assert(fabsf(by_gate[0]) < 1e-6f && fabsf(by_up[0]) < 1e-6f);
        ck_assert(fabsf(by_gate[1] - 2.0f) < 1e-6f && fabsf(by_up[1] - 500.0f) < 1e-3f);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("slopes");
    TCase *tcase = tcase_create("slopes");
    tcase_add_test(tcase, slopes_are_derivatives);
    tcase_add_test(tcase, far_values_stay_finite);
    suite_add_tcase(suite, tcase);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/elementwise.h"

#include <math.h>

#include "base/rng.h"
#include "tests/support/suite.h"

#define COUNT 523

static float x[COUNT], y[COUNT], weight[COUNT];

static void fill(void)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 11);
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = (float)tm_rng_normal(&rng) * 3.0f;
        y[i] = (float)tm_rng_normal(&rng);
        weight[i] = (float)tm_rng_normal(&rng);
    }
}

/* Against the formula in double. */
static void near(float got, double want)
{
    ck_assert_double_eq_tol((double)got, want, 1e-5 * (1.0 + fabs(want)));
}

START_TEST(norms)
{
    fill();
    double mean = 0.0;
    for (size_t i = 0; i < COUNT; i++) {
        mean += (double)x[i] * (double)x[i] / COUNT;
    }
    float out[COUNT];
    tm_rms_norm(x, weight, COUNT, 1e-5f, out);
    for (size_t i = 0; i < COUNT; i++) {
        near(out[i], (double)x[i] / sqrt(mean + 1e-5) * (double)weight[i]);
    }
    tm_rms_norm(x, weight, COUNT, 1e-5f, x);
    ck_assert_mem_eq(x, out, sizeof out);
}
END_TEST

START_TEST(probabilities)
{
    for (size_t count = 1; count <= COUNT; count = count * 2 + 1) {
        fill();
        double sum = 0.0, max = -1e9, got = 0.0;
        float before[COUNT];
        for (size_t i = 0; i < count; i++) {
            max = (double)x[i] > max ? (double)x[i] : max;
            before[i] = x[i];
        }
        for (size_t i = 0; i < count; i++) {
            sum += exp((double)x[i] - max);
        }
        ck_assert_double_eq_tol(tm_log_sum_exp(x, count), max + log(sum), 1e-6);
        tm_softmax(x, count);
        for (size_t i = 0; i < count; i++) {
            ck_assert_double_eq_tol((double)x[i], exp((double)before[i] - max) / sum, 1e-6);
            got += (double)x[i];
        }
        ck_assert_double_eq_tol(got, 1.0, 1e-5);
    }
}
END_TEST

START_TEST(gates)
{
    fill();
    float silu[COUNT], gelu[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        silu[i] = gelu[i] = x[i];
    }
    tm_swiglu(silu, y, COUNT);
    tm_geglu(gelu, y, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        double v = (double)x[i], u = sqrt(2.0 / 3.14159265358979324) * (v + 0.044715 * v * v * v);
        near(silu[i], v / (1.0 + exp(-v)) * (double)y[i]);
        near(gelu[i], 0.5 * v * (1.0 + tanh(u)) * (double)y[i]);
    }
    float far[4] = {-200.0f, 200.0f, -1e6f, 1e6f}, one[4] = {1.0f, 1.0f, 1.0f, 1.0f};
    tm_swiglu(far, one, 4);
    ck_assert(far[0] == 0.0f && far[1] == 200.0f && far[2] == 0.0f && far[3] == 1e6f);
}
END_TEST

START_TEST(rotations)
{
    float c[2] = {0.0f, -1.0f}, s[2] = {1.0f, 0.0f}; /* 90 and 180 degrees */
    float halves[4] = {1.0f, 2.0f, 3.0f, 4.0f}, pairs[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    tm_rotate(halves, 4, false, c, s);
    ck_assert(halves[0] == -3.0f && halves[1] == -2.0f && halves[2] == 1.0f && halves[3] == -4.0f);
    tm_rotate(pairs, 4, true, c, s);
    ck_assert(pairs[0] == -2.0f && pairs[1] == 1.0f && pairs[2] == -3.0f && pairs[3] == -4.0f);
}
END_TEST

START_TEST(sums_and_finite_numbers)
{
    float a[3] = {1.0f, 2.0f, -3.0f}, b[3] = {0.5f, 0.5f, 0.5f};
    tm_add_f32(a, b, 3);
    tm_scale_f32(a, 2.0f, 3);
    ck_assert(a[0] == 3.0f && a[1] == 5.0f && a[2] == -5.0f);
    ck_assert(tm_all_finite(a, 3));
    a[2] = INFINITY;
    ck_assert(!tm_all_finite(a, 3));
    ck_assert(tm_all_finite(a, 2));
    a[0] = NAN;
    ck_assert(!tm_all_finite(a, 1));
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("elementwise");
    tcase_add_test(tcase, norms);
    tcase_add_test(tcase, probabilities);
    tcase_add_test(tcase, gates);
    tcase_add_test(tcase, rotations);
    tcase_add_test(tcase, sums_and_finite_numbers);
    Suite *suite = suite_create("elementwise");
    suite_add_tcase(suite, tcase);
    return suite;
}

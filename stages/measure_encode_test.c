/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/measure_encode.h"

#include <string.h>

#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

START_TEST(known_answers)
{
    float x[10], y[10];
    for (size_t i = 0; i < 10; i++) {
        x[i] = (float)i;
        y[i] = (float)i + (i == 7 ? -3.0f : 0.5f);
    }
    struct tm_block_error e;
    FOR_EACH_KERNEL(kernel)
    {
        tm_block_measure(x, y, 10, &e);
        ck_assert_double_eq(e.squared_error, 9 * 0.25 + 9.0);
        ck_assert_double_eq(e.squared_norm, 285.0);
        ck_assert_double_eq(e.max_abs, 3.0);
        tm_block_measure(x, x, 10, &e);
        ck_assert_double_eq(e.squared_error, 0.0);
        ck_assert_double_eq(e.max_abs, 0.0);
        tm_block_measure(NULL, NULL, 0, &e);
        ck_assert_double_eq(e.squared_norm, 0.0);
    }
}
END_TEST

/* The order is part of the format: lane i mod 8, then pairs. 2^54 swallows 1.5625 when that is
 * added to it, but not the 3.125 of two that meet first. */
START_TEST(order_of_the_sum)
{
    float x[16] = {0}, y[16] = {0};
    struct tm_block_error e;
    x[0] = 134217728.0f;
    x[2] = 1.25f;
    x[3] = 1.25f;
    double want = 0x1p54 + 4.0;
    x[9] = 1.0f; /* lane 1: swallowed */
    FOR_EACH_KERNEL(kernel)
    {
        tm_block_measure(x, y, 16, &e);
        ck_assert_double_eq(e.squared_norm, want);
        ck_assert_double_eq(e.squared_error, want);
    }
}
END_TEST

START_TEST(kernels_agree)
{
    for (size_t n = 0; n < 70; n++) {
        float *x = normal_values(n, n + 1, 1.0f), *y = normal_values(n + 99, n + 1, 1e-3f);
        struct tm_block_error first, e;
        bool any = false;
        FOR_EACH_KERNEL(kernel)
        {
            tm_block_measure(x, y, n, &e);
            ck_assert(!any || memcmp(&first, &e, sizeof e) == 0);
            first = e;
            any = true;
        }
        tm_free(x);
        tm_free(y);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("measure_encode");
    TCase *tc = tcase_create("measure_encode");
    tcase_add_test(tc, known_answers);
    tcase_add_test(tc, order_of_the_sum);
    tcase_add_test(tc, kernels_agree);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/rope.h"

#include <math.h>

#include "tests/support/suite.h"

static struct tm_arch arch = {.head_dim = 16, .rope_base = 10000.0, .rope_local_base = 1000.0};

START_TEST(plain_and_local)
{
    double f[8], want;
    tm_rope_frequencies(&arch, false, NULL, f);
    for (int i = 0; i < 8; i++) {
        want = pow(10000.0, -2.0 * i / 16);
        ck_assert_double_eq_tol(f[i], want, want * 1e-14);
    }
    tm_rope_frequencies(&arch, true, NULL, f);
    for (int i = 0; i < 8; i++) {
        want = pow(1000.0, -2.0 * i / 16);
        ck_assert_double_eq_tol(f[i], want, want * 1e-14);
    }
}
END_TEST

START_TEST(stretched)
{
    struct tm_arch a = arch;
    double plain[8], f[8];
    float factors[8] = {1, 2, 4, 8, 1, 2, 4, 8};
    tm_rope_frequencies(&a, false, NULL, plain);
    a.rope = (struct tm_rope_scaling){.kind = TM_ROPE_LINEAR, .factor = 4.0};
    tm_rope_frequencies(&a, false, factors, f);
    for (int i = 0; i < 8; i++) {
        ck_assert_double_eq(f[i], plain[i] / 4.0 / (double)factors[i]);
    }
    double local[8];
    tm_rope_frequencies(&arch, true, NULL, local);
    tm_rope_frequencies(&a, true, factors, f); /* layers with a window are left alone */
    ck_assert_mem_eq(f, local, sizeof f);
    a.rope = (struct tm_rope_scaling){.kind = TM_ROPE_LLAMA3,
                                      .factor = 8.0,
                                      .low_factor = 1.0,
                                      .high_factor = 4.0,
                                      .original_context = 64.0};
    tm_rope_frequencies(&a, false, NULL, f);
    ck_assert_double_eq(f[0], plain[0]); /* a wave of 6.3 tokens */
    /* a wave of 2 pi / 0.316 = 19.9 tokens is between 64 / 4 and 64 */
    double smooth = (64.0 * plain[1] / 6.283185307179586 - 1.0) / 3.0;
    ck_assert_double_eq_tol(f[1], (1.0 - smooth) * plain[1] / 8.0 + smooth * plain[1], 1e-15);
    ck_assert_double_eq(f[7], plain[7] / 8.0);
}
END_TEST

START_TEST(angles)
{
    double f[2] = {1.0, 0.01};
    float c[2], s[2];
    tm_rope_angles(f, 2, 100000, c, s);
    for (int i = 0; i < 2; i++) {
        ck_assert_double_eq_tol((double)c[i], cos(100000 * f[i]), 1e-7);
        ck_assert_double_eq_tol((double)s[i], sin(100000 * f[i]), 1e-7);
    }
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("rope");
    tcase_add_test(tcase, plain_and_local);
    tcase_add_test(tcase, stretched);
    tcase_add_test(tcase, angles);
    Suite *suite = suite_create("rope");
    suite_add_tcase(suite, tcase);
    return suite;
}

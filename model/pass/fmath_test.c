/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/fmath.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "tests/support/suite.h"

/* The judge is libm in long double; what it is wrong by is far below what is allowed. */
static double relative(double got, long double want)
{
    return (double)fabsl(((long double)got - want) / want);
}

START_TEST(exponentials)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 1);
    for (int i = 0; i < 100000; i++) {
        double x = (tm_rng_f64(&rng) - 0.5) * (i % 2 == 0 ? 1400.0 : 4.0);
        ck_assert_double_lt(relative(tm_exp(x), expl((long double)x)), 0x1p-51);
    }
    ck_assert_double_eq(tm_exp(0.0), 1.0);
    ck_assert_double_eq(tm_exp(-709.0), 0.0);
    ck_assert(isinf(tm_exp(709.5)));
    ck_assert(isnan(tm_exp((double)NAN)));
    ck_assert_double_eq(tm_exp(-(double)INFINITY), 0.0);
}
END_TEST

START_TEST(logarithms)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 2);
    for (int i = 0; i < 100000; i++) {
        double x = ldexp(1.0 + tm_rng_f64(&rng), (int)tm_rng_below(&rng, 200) - 100);
        long double want = logl((long double)x);
        double off = (double)fabsl((long double)tm_log(x) - want);
        ck_assert_double_lt(off, 0x1p-52 + (double)fabsl(want) * 0x1p-49);
    }
    ck_assert_double_eq(tm_log(1.0), 0.0);
    ck_assert_double_lt(relative(tm_log(0x1p-1070), logl(0x1p-1070L)), 0x1p-49);
    ck_assert_double_lt(relative(tm_log(0x1p1023), logl(0x1p1023L)), 0x1p-49);
    ck_assert(isinf(tm_log(0.0)) && tm_log(0.0) < 0.0);
    ck_assert(isnan(tm_log(-1.0)));
    ck_assert(isnan(tm_log((double)NAN)));
}
END_TEST

START_TEST(powers)
{
    for (int i = 0; i < 128; i++) {
        double exponent = -2.0 * i / 128.0;
        ck_assert_double_lt(relative(tm_pow(10000.0, exponent), powl(10000.0L, exponent)), 1e-14);
        ck_assert_double_lt(relative(tm_pow(1e6, exponent), powl(1e6L, exponent)), 1e-14);
    }
}
END_TEST

START_TEST(sines_and_cosines)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 3);
    for (int i = 0; i < 100000; i++) {
        double x = ldexp(tm_rng_f64(&rng) * 2.0 - 1.0, (int)tm_rng_below(&rng, 31)), s, c;
        tm_sin_cos(x, &s, &c);
        ck_assert_double_lt((double)fabsl((long double)s - sinl((long double)x)), 0x1p-50);
        ck_assert_double_lt((double)fabsl((long double)c - cosl((long double)x)), 0x1p-50);
    }
}
END_TEST

START_TEST(float_exponentials)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 4);
    for (int i = 0; i < 20000; i++) {
        float x[5], y[5];
        for (int k = 0; k < 5; k++) {
            x[k] = (float)(tm_rng_f64(&rng) * 175.0 - 87.0);
        }
        tm_exp_f32(x, 5, y);
        for (int k = 0; k < 5; k++) {
            ck_assert_double_lt(relative((double)y[k], expl((long double)x[k])), 0x1p-22);
        }
    }
    float edge[6] = {0.0f, -87.1f, -INFINITY, 88.4f, INFINITY, NAN};
    tm_exp_f32(edge, 6, edge);
    ck_assert_float_eq(edge[0], 1.0f);
    ck_assert_float_eq(edge[1], 0.0f);
    ck_assert_float_eq(edge[2], 0.0f);
    ck_assert(isinf(edge[3]) && isinf(edge[4]) && isnan(edge[5]));
}
END_TEST

/* The bits are a promise: of a walk through each function, mixed to one number. */
START_TEST(bits_are_the_same_everywhere)
{
    uint64_t mix = 0;
    for (int i = 1; i <= 5000; i++) {
        double x = i * 0.0137 - 30.0, s, c;
        float f = (float)x, e;
        tm_sin_cos(x * 100.0, &s, &c);
        tm_exp_f32(&f, 1, &e);
        double out[5] = {tm_exp(x), tm_log(x * x + 0.1), s, c, (double)e};
        for (int k = 0; k < 5; k++) {
            mix = (mix ^ tm_f64_bits(out[k])) * 0x9e3779b97f4a7c15u;
            mix ^= mix >> 29;
        }
    }
    ck_assert_msg(mix == 0xb3095ce3129feb5bu, "the bits mix to 0x%llx", (unsigned long long)mix);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("fmath");
    tcase_add_test(tcase, exponentials);
    tcase_add_test(tcase, logarithms);
    tcase_add_test(tcase, powers);
    tcase_add_test(tcase, sines_and_cosines);
    tcase_add_test(tcase, float_exponentials);
    tcase_add_test(tcase, bits_are_the_same_everywhere);
    Suite *suite = suite_create("fmath");
    suite_add_tcase(suite, tcase);
    return suite;
}

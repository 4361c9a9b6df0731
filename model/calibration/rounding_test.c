/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/rounding.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "model/calibration/cal_input.h"
#include "tests/support/suite.h"

#define TOKENS 7
#define COLS 21

static float x[TOKENS * COLS];

static void fill(void)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 3);
    for (size_t i = 0; i < TOKENS * COLS; i++) {
        x[i] = (float)(tm_rng_f64(&rng) * 2.0 - 1.0);
    }
}

START_TEST(weights_and_sinks)
{
    float inverse[TOKENS], sorted[TOKENS];
    bool sink[TOKENS];
    fill();
    for (size_t i = 0; i < COLS; i++) {
        x[2 * COLS + i] = 100.0f;
        x[4 * COLS + i] = 0.0f;
    }
    x[5 * COLS] = INFINITY;
    struct tm_vectors stream = {x, COLS, TOKENS};
    ck_assert_uint_eq(tm_round_weights(stream, COLS, 64.0f, inverse, sink, sorted), 1);
    for (size_t t = 0; t < TOKENS; t++) {
        double square = 0;
        for (size_t i = 0; i < COLS; i++) {
            square += (double)x[t * COLS + i] * x[t * COLS + i] / COLS;
        }
        ck_assert_int_eq(sink[t], t == 2);
        ck_assert(t == 4 || t == 5 ? inverse[t] == 0.0f
                                   : fabs(inverse[t] * sqrt(square) - 1) < 1e-6);
    }
    ck_assert_uint_eq(tm_round_weights(stream, COLS, 1e5f, inverse, sink, sorted), 0);
}
END_TEST

START_TEST(exponents_make_the_pilot_fit)
{
    float most[COLS], sorted[COLS];
    int8_t exponents[COLS];
    for (size_t i = 0; i < COLS; i++) {
        most[i] = i < 5 ? 0.001f : i == 20 ? 5000.0f : 0.75f + (float)i * 0.125f;
    }
    tm_round_exponents(most, COLS, 12, exponents, sorted);
    float median = 0.75f + 10 * 0.125f; /* five quieter than 5, then 5, 6 ... */
    for (size_t i = 0; i < COLS; i++) {
        float loud = most[i] > median ? most[i] : median, value = ldexpf(loud, exponents[i]);
        ck_assert_msg(value < 4096.0f && value >= 2048.0f, "%zu: %g", i, (double)value);
    }
    memset(most, 0, sizeof most);
    tm_round_exponents(most, COLS, 12, exponents, sorted);
    ck_assert_int_eq(exponents[3], 0);
    most[7] = 1.0f;
    tm_round_exponents(most, COLS, 12, exponents, sorted);
    ck_assert_int_eq(exponents[3], 11);
    most[7] = 1e38f;
    tm_round_exponents(most, COLS, 12, exponents, sorted);
    ck_assert_int_eq(exponents[3], -TM_CAL_EXPONENT_MAX);
}
END_TEST

START_TEST(panels_hold_rounded_values)
{
    float inverse[TOKENS];
    bool sink[TOKENS] = {0};
    int8_t exponents[COLS];
    int16_t panel[2 * (TOKENS + 1) * TM_COV_PANEL];
    uint32_t most;
    fill();
    x[0] = 0.5f; /* times 1 times 1: a tie, to 0 */
    x[COLS] = 1.5f;
    x[COLS + 17] = 1e6f;
    x[2 * COLS + 17] = NAN;
    sink[3] = true;
    for (size_t t = 0; t < TOKENS; t++) {
        inverse[t] = t < 2 ? 1.0f : 0.3f;
    }
    for (size_t i = 0; i < COLS; i++) {
        exponents[i] = (int8_t)(i == 0 ? 0 : 11);
    }
    struct tm_rounded r = {{x, COLS, TOKENS}, COLS, inverse, sink};
    for (size_t p = 0; p < 2; p++) {
        memset(panel, 0x55, sizeof panel);
        ck_assert_uint_eq(tm_round_panel(&r, exponents, p, panel, &most), p == 1 ? 2 : 0);
        for (size_t t = 0; t < TOKENS + 1; t++) {
            for (size_t i = 0; i < TM_COV_PANEL; i++) {
                size_t c = p * TM_COV_PANEL + i;
                int16_t got = panel[(t / 2 * TM_COV_PANEL + i) * 2 + t % 2];
                if (t == TOKENS || t == 3 || c >= COLS) {
                    ck_assert_int_eq(got, 0);
                } else if (c != 17 || t < 1 || t > 2) {
                    float value = ldexpf(x[t * COLS + c] * inverse[t], exponents[c]);
                    ck_assert_int_eq(got, (int16_t)rintf(value));
                }
                ck_assert_int_le(got < 0 ? -got : got, (int)most);
            }
        }
    }
    ck_assert_uint_eq(most, TM_COV_VALUE_MAX);
    r = (struct tm_rounded){{x, COLS, 2}, COLS, NULL, NULL};
    tm_round_panel(&r, exponents, 0, panel, &most);
    ck_assert_int_eq(panel[0], 0);
    ck_assert_int_eq(panel[1], 2);
}
END_TEST

START_TEST(the_largest_of_each_column)
{
    float most[TM_COV_PANEL] = {0}, inverse[TOKENS] = {1, 1, 2, 1, 1, 1, 1};
    bool sink[TOKENS] = {[3] = true};
    fill();
    x[2 * COLS + 16] = -4.0f;
    x[3 * COLS + 16] = 100.0f;
    struct tm_rounded r = {{x, COLS, TOKENS}, COLS, inverse, sink};
    tm_round_look(&r, 1, most);
    ck_assert(most[0] == 8.0f);
    ck_assert(most[5] == 0.0f);
}
END_TEST

START_TEST(vectors_have_their_own_exponent)
{
    int16_t out[COLS];
    fill();
    x[4] = -1000.0f;
    int8_t exponent = tm_round_vector(x, 0.5f, COLS, out);
    ck_assert_int_eq(exponent, 6); /* 500 * 2^6 < 2^15 */
    for (size_t i = 0; i < COLS; i++) {
        ck_assert_int_eq(out[i], (int16_t)rintf(x[i] * 32.0f));
    }
    memset(x, 0, sizeof x);
    ck_assert_int_eq(tm_round_vector(x, 0.5f, COLS, out), 0);
    ck_assert_int_eq(out[4], 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("rounding");
    TCase *tcase = tcase_create("rounding");
    tcase_add_test(tcase, weights_and_sinks);
    tcase_add_test(tcase, exponents_make_the_pilot_fit);
    tcase_add_test(tcase, panels_hold_rounded_values);
    tcase_add_test(tcase, the_largest_of_each_column);
    tcase_add_test(tcase, vectors_have_their_own_exponent);
    suite_add_tcase(suite, tcase);
    return suite;
}

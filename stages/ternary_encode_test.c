/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/ternary_encode.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "model/convert.h"
#include "stages/ternary_decode.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

/* Encodes and decodes; returns the symbols. */
static struct tm_symbols round_trip(uint32_t group, struct tm_block_shape shape,
                                    const float *values, float *back)
{
    struct tm_stage_params params = {0, group, 0};
    struct tm_symbols s;
    tm_symbols_init(&s);
    ck_assert_int_eq(tm_ternary_encode(&params, shape, values, &s, NULL), TM_OK);
    ck_assert_int_eq(tm_symbols_check(TM_STAGE_TERNARY, &params, shape, &s, NULL), TM_OK);
    tm_ternary_decode(&params, shape, &s, back);
    return s;
}

START_TEST(packing_by_hand)
{
    /* Digits 2 0 1 2 1 | 0 2 1 1 1 (two spare): 2 + 9 + 54 + 81 = 146, 6 + 9 + 27 + 81 = 123. */
    const float x[] = {0.5f, -0.5f, 0.0f, 0.5f, -0.0f, -0.5f, 0.5f};
    float back[7];
    struct tm_symbols s = round_trip(32, (struct tm_block_shape){1, 7}, x, back);
    ck_assert_uint_eq(s.count, 2);
    ck_assert_uint_eq(s.codes.data[0], 146);
    ck_assert_uint_eq(s.codes.data[1], 123);
    ck_assert_uint_eq(tm_get_u16(s.side.data), 0x3800);
    for (size_t i = 0; i < 7; i++) {
        ck_assert(back[i] == x[i]);
        ck_assert(back[i] != 0.0f || tm_f32_bits(back[i]) == 0);
    }
    tm_symbols_deinit(&s);
}
END_TEST

/* {-a, 0, +a} with every finite float16 a, of any density. */
START_TEST(exact_on_ternary_input)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 7);
    float x[150], back[150];
    for (uint32_t half = 1; half < 0x7c00; half += 7) {
        float a = tm_f16_to_f32((uint16_t)half);
        uint64_t zeros = tm_rng_below(&rng, 100);
        for (size_t i = 0; i < 150; i++) {
            bool zero = tm_rng_below(&rng, 100) < zeros;
            x[i] = zero ? 0.0f : tm_rng_below(&rng, 2) == 0 ? a : -a;
        }
        struct tm_symbols s = round_trip(64, (struct tm_block_shape){2, 75}, x, back);
        ck_assert_mem_eq(x, back, sizeof x);
        tm_symbols_deinit(&s);
    }
}
END_TEST

static double squared_error(const float *x, const float *y, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    }
    return sum;
}

/* No threshold among the values with any float16 scale near the best one does better. */
START_TEST(optimal_split)
{
    enum { N = 40 };
    float *x = normal_values((uint64_t)_i, N, 1.0f), back[N], other[N];
    struct tm_symbols s = round_trip(64, (struct tm_block_shape){1, N}, x, back);
    uint16_t ours = tm_get_u16(s.side.data);
    double best = squared_error(x, back, N);
    for (size_t t = 0; t < N; t++) {
        for (int step = -400; step <= 400; step++) {
            float scale = tm_f16_to_f32((uint16_t)(ours + step));
            for (size_t i = 0; i < N; i++) {
                other[i] = fabsf(x[i]) < fabsf(x[t]) ? 0.0f : copysignf(scale, x[i]);
            }
            ck_assert_double_le(best, squared_error(x, other, N) * (1 + 1e-12));
        }
    }
    tm_symbols_deinit(&s);
    tm_free(x);
}
END_TEST

/* The gain of k non-zeros is S_k^2 / k. 4, 1: 16 against 12.5. 3, 2: 9 against 12.5. */
START_TEST(chosen_splits)
{
    static const struct {
        float x[3];
        float y[3];
    } rows[] = {
        {{1.0f, -4.0f, 0.0f}, {0.0f, -4.0f, 0.0f}},
        {{1.0f, -1.0f, 1.0f}, {1.0f, -1.0f, 1.0f}},
        {{3.0f, -2.0f, 0.0f}, {2.5f, -2.5f, 0.0f}},
        /* 50 for both fives, (10.125)^2 / 3 = 34.2 for all. */
        {{5.0f, 5.0f, 0.125f}, {5.0f, 5.0f, 0.0f}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        float back[3];
        struct tm_symbols s = round_trip(32, (struct tm_block_shape){1, 3}, rows[i].x, back);
        for (size_t k = 0; k < 3; k++) {
            ck_assert_float_eq(back[k], rows[i].y[k]);
        }
        tm_symbols_deinit(&s);
    }
}
END_TEST

START_TEST(zero_groups)
{
    float x[256], back[256];
    for (size_t i = 0; i < 256; i++) {
        x[i] = i % 2 == 0 ? 0.0f : -0.0f;
    }
    struct tm_symbols s = round_trip(128, (struct tm_block_shape){1, 256}, x, back);
    for (size_t i = 0; i < 256; i++) {
        ck_assert_uint_eq(tm_f32_bits(back[i]), 0);
    }
    ck_assert_uint_eq(tm_get_u16(s.side.data), 0);
    tm_symbols_deinit(&s);
}
END_TEST

START_TEST(what_does_not_fit)
{
    struct tm_stage_params params = {0, 32, 0};
    struct tm_block_shape shape = {2, 40};
    struct tm_symbols s;
    struct tm_err err;
    static const struct {
        float value;
        enum tm_unfit why;
    } rows[] = {{NAN, TM_UNFIT_NAN},
                {-INFINITY, TM_UNFIT_INF},
                {70000.0f, TM_UNFIT_SCALE_RANGE},
                {65519.0f, TM_FITS},
                {1e-40f, TM_FITS}};
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        float *x = normal_values(1, 80, 1.0f);
        x[40 + 35] = rows[k].value;
        struct tm_misfit misfit = tm_ternary_fits(&params, shape, x);
        ck_assert_int_eq(misfit.why, rows[k].why);
        tm_symbols_init(&s);
        tm_status status = tm_ternary_encode(&params, shape, x, &s, &err);
        ck_assert_int_eq(status, rows[k].why == TM_FITS ? TM_OK : TM_E_REFUSED);
        if (misfit.why != TM_FITS) {
            ck_assert_uint_eq(misfit.row, 1);
            ck_assert_uint_eq(misfit.col, misfit.why == TM_UNFIT_SCALE_RANGE ? 32 : 35);
            ck_assert_ptr_nonnull(strstr(err.where, "row 1"));
        }
        tm_symbols_deinit(&s);
        tm_free(x);
    }
    /* A whole row below float16. */
    float *tiny = normal_values(1, 40, 1e-10f);
    ck_assert_int_eq(tm_ternary_fits(&params, (struct tm_block_shape){1, 40}, tiny).why,
                     TM_UNFIT_SCALE_RANGE);
    tm_free(tiny);
}
END_TEST

START_TEST(failed_allocations)
{
    struct tm_stage_params params = {0, 32, 0};
    float *x = normal_values(1, 500, 1.0f);
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_symbols s;
        tm_symbols_init(&s);
        tm_mem_fail_at(n);
        tm_status status = tm_ternary_encode(&params, (struct tm_block_shape){5, 100}, x, &s, NULL);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_symbols_deinit(&s);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_free(x);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("ternary_encode");
    TCase *tc = tcase_create("ternary_encode");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, packing_by_hand);
    tcase_add_test(tc, exact_on_ternary_input);
    tcase_add_loop_test(tc, optimal_split, 0, 10);
    tcase_add_test(tc, chosen_splits);
    tcase_add_test(tc, zero_groups);
    tcase_add_test(tc, what_does_not_fit);
    tcase_add_test(tc, failed_allocations);
    suite_add_tcase(suite, tc);
    return suite;
}

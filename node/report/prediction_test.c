/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/prediction.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "stages/pipeline_encode.h"
#include "tests/support/suite.h"

#define ROWS 128u
#define COLS 2048u

static float *values, *decoded;

static void setup(void)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 11);
    values = tm_alloc(sizeof *values * ROWS * COLS);
    decoded = tm_alloc(sizeof *values * ROWS * COLS);
    for (size_t i = 0; i < (size_t)ROWS * COLS; i++) {
        values[i] = (float)(0.02 * tm_rng_normal(&rng));
    }
}

static void teardown(void)
{
    tm_free(values);
    tm_free(decoded);
}

static struct tm_pipeline parse(const char *text)
{
    struct tm_pipeline pipeline;
    struct tm_err err;
    ck_assert_int_eq(tm_pipeline_parse(tm_view_str(text), &pipeline, &err), TM_OK);
    return pipeline;
}

/* What the pipeline makes of normal numbers is what was predicted. */
static void measure(const char *text, double bits_off)
{
    struct tm_pipeline pipeline = parse(text);
    struct tm_block_shape shape = {ROWS, COLS};
    struct tm_prediction want = tm_predict(&pipeline);
    struct tm_buf block;
    tm_buf_init(&block, 1 << 24);
    ck_assert(want.known);
    ck_assert_int_eq(tm_pipeline_encode(&pipeline, shape, values, &block, NULL), TM_OK);
    ck_assert_int_eq(
        tm_pipeline_decode(&pipeline, shape, tm_buf_view(&block), TM_DECODE_FAST, decoded, NULL),
        TM_OK);
    double squared_error = 0, squared_sum = 0;
    for (size_t i = 0; i < (size_t)ROWS * COLS; i++) {
        double off = (double)values[i] - (double)decoded[i];
        squared_error += off * off;
        squared_sum += (double)values[i] * (double)values[i];
    }
    double error = sqrt(squared_error / squared_sum);
    double bits = 8.0 * (double)block.bytes / ((double)ROWS * COLS);
    ck_assert_msg(fabs(error / want.error - 1) < 0.01, "%s: error %g, predicted %g", text, error,
                  want.error);
    ck_assert_msg(fabs(bits / want.bits_per_weight - 1) < bits_off, "%s: %g bits, predicted %g",
                  text, bits, want.bits_per_weight);
    tm_buf_deinit(&block);
}

START_TEST(normal_numbers_are_as_predicted)
{
    measure("int(bits=8)>rans", 0.01);
    measure("int(bits=8)", 1e-9);
    measure("int(bits=4)>rans", 0.01);
    measure("int(bits=4)", 1e-9);
    measure("ternary(group=32)>rans", 0.01);
    measure("ternary(group=64)", 0.001);
    measure("ternary(group=128)>rans", 0.01);
    measure("ternary(group=256)>rans", 0.01);
    measure("ternary(group=512)", 0.001);
    measure("ternary(group=1024)>rans", 0.01);
    measure("ternary(group=800)>rans", 0.02); /* the nearest row of the table */
}
END_TEST

START_TEST(lossless_ones_have_none)
{
    struct tm_pipeline pipeline = parse("zstd");
    ck_assert(!tm_predict(&pipeline).known);
    pipeline = parse("raw");
    ck_assert(!tm_predict(&pipeline).known);
    pipeline.count = 0;
    ck_assert(!tm_predict(&pipeline).known);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("prediction");
    TCase *tc = tcase_create("prediction");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, normal_numbers_are_as_predicted);
    tcase_add_test(tc, lossless_ones_have_none);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/dot.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/rng.h"
#include "model/convert.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

#define ROWS 21
#define COLS 512 /* at most */
#define VECTORS 8

static const enum tm_dtype dtypes[] = {TM_F32, TM_F16, TM_BF16, TM_Q8_0, TM_Q4_0, TM_Q4_1, TM_Q6_K};
#define DTYPES (sizeof dtypes / sizeof dtypes[0])

static uint8_t packed[ROWS * COLS * 4];
static float plain[ROWS * COLS], x[VECTORS * COLS];

/* Where the type allows it, no multiple of what kernels do at a time. */
static size_t cols_of(enum tm_dtype dtype)
{
    uint32_t block = tm_dtype_block_elements(dtype);
    return block == 1 ? 104 : block == 32 ? 96 : COLS;
}

static size_t row_bytes(enum tm_dtype dtype)
{
    return cols_of(dtype) / tm_dtype_block_elements(dtype) * tm_dtype_block_bytes(dtype);
}

/* Random bytes are valid blocks but for scales that are not finite. */
static void fill(enum tm_dtype dtype, uint64_t seed)
{
    struct tm_rng rng;
    size_t count = ROWS * cols_of(dtype);
    tm_rng_init(&rng, seed);
    for (size_t i = 0; i < VECTORS * COLS; i++) {
        x[i] = (float)tm_rng_below(&rng, 2001) / 1000.0f - 1.0f;
    }
    for (size_t i = 0; i < count; i++) {
        plain[i] = (float)tm_rng_below(&rng, 2001) / 777.0f - 1.3f;
    }
    if (dtype == TM_F32) {
        memcpy(packed, plain, sizeof plain);
        return;
    }
    if (dtype != TM_Q4_1 && dtype != TM_Q6_K) {
        ck_assert_int_eq(tm_convert_from_f32(dtype, plain, count, packed), TM_OK);
    } else {
        size_t bytes = tm_dtype_block_bytes(dtype);
        for (uint8_t *at = packed; at < packed + ROWS * row_bytes(dtype); at += bytes) {
            for (size_t i = 0; i < bytes; i++) {
                at[i] = (uint8_t)tm_rng_below(&rng, 256);
            }
            /* Below 2^1 in size, not an infinity. */
            at[dtype == TM_Q6_K ? 209 : 1] &= 0xbb;
            at[3] &= dtype == TM_Q6_K ? 0xff : 0xbb;
        }
    }
    ck_assert_int_eq(tm_convert_to_f32(dtype, packed, count, plain), TM_OK);
}

static float expected(size_t cols, size_t row, size_t vector)
{
    float lane[8] = {0};
    for (size_t i = 0; i < cols; i++) {
        lane[i % 8] = fmaf(plain[row * cols + i], x[vector * COLS + i], lane[i % 8]);
    }
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7])) + 0.0f;
}

START_TEST(products_are_those_of_the_float_values)
{
    for (size_t d = 0; d < DTYPES; d++) {
        size_t cols = cols_of(dtypes[d]);
        fill(dtypes[d], 7 + d);
        FOR_EACH_KERNEL(kernel)
        {
            for (size_t rows = 1; rows <= ROWS; rows += 5) {
                for (size_t vectors = 1; vectors <= VECTORS; vectors++) {
                    float y[VECTORS * ROWS];
                    memset(y, 0xff, sizeof y);
                    tm_dot(&(struct tm_dot){.dtype = dtypes[d],
                                            .w = packed,
                                            .w_stride = row_bytes(dtypes[d]),
                                            .rows = rows,
                                            .cols = cols,
                                            .x = x,
                                            .x_stride = COLS,
                                            .vectors = vectors,
                                            .y = y,
                                            .y_stride = ROWS});
                    for (size_t i = 0; i < vectors * rows; i++) {
                        float want = expected(cols, i % rows, i / rows);
                        ck_assert_mem_eq(&y[i / rows * ROWS + i % rows], &want, sizeof want);
                    }
                }
            }
        }
    }
}
END_TEST

START_TEST(unpacked_weights_are_those_of_the_converter)
{
    for (size_t d = 0; d < DTYPES; d++) {
        fill(dtypes[d], 70 + d);
        FOR_EACH_KERNEL(kernel)
        {
            static float out[ROWS * COLS];
            memset(out, 0xff, sizeof out);
            size_t count = ROWS * cols_of(dtypes[d]);
            tm_dot_unpack(dtypes[d], packed, count, out);
            ck_assert_mem_eq(out, plain, count * sizeof *out);
        }
    }
    ck_assert(!tm_dot_has(TM_Q5_K));
    ck_assert(!tm_dot_has(TM_I8));
}
END_TEST

/* A sum in another order differs: 2^24 swallows a 1 that comes alone, not two that meet first. */
START_TEST(order_of_the_sum)
{
    float w[16] = {0}, one[16], y;
    for (size_t i = 0; i < 16; i++) {
        one[i] = 1.0f;
    }
    w[0] = 16777216.0f;
    FOR_EACH_KERNEL(kernel)
    {
        struct tm_dot dot = {.dtype = TM_F32,
                             .w = (const uint8_t *)w,
                             .w_stride = sizeof w,
                             .rows = 1,
                             .cols = 16,
                             .x = one,
                             .x_stride = 16,
                             .vectors = 1,
                             .y = &y,
                             .y_stride = 1};
        w[2] = w[3] = 1.0f;
        w[8] = 0.0f;
        tm_dot(&dot);
        ck_assert_float_eq(y, 16777218.0f);
        w[3] = 0.0f;
        w[8] = 1.0f; /* the same lane as the large one */
        w[2] = 0.0f;
        tm_dot(&dot);
        ck_assert_float_eq(y, 16777216.0f);
    }
}
END_TEST

START_TEST(no_sum_is_minus_zero)
{
    float w[8] = {0}, minus[8], y = 1.0f;
    for (size_t i = 0; i < 8; i++) {
        w[i] = 1e-30f;
        minus[i] = -1e-30f;
    }
    FOR_EACH_KERNEL(kernel)
    {
        tm_dot(&(struct tm_dot){.dtype = TM_F32,
                                .w = (const uint8_t *)w,
                                .w_stride = sizeof w,
                                .rows = 1,
                                .cols = 8,
                                .x = minus,
                                .x_stride = 8,
                                .vectors = 1,
                                .y = &y,
                                .y_stride = 1});
        ck_assert(y == 0.0f && !signbit(y));
    }
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("dot");
    tcase_add_test(tcase, products_are_those_of_the_float_values);
    tcase_add_test(tcase, unpacked_weights_are_those_of_the_converter);
    tcase_add_test(tcase, order_of_the_sum);
    tcase_add_test(tcase, no_sum_is_minus_zero);
    Suite *suite = suite_create("dot");
    suite_add_tcase(suite, tcase);
    return suite;
}

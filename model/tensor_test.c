/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tensor.h"

#include "tests/support/suite.h"

START_TEST(dtypes_by_name_and_value)
{
    enum tm_dtype dtype;
    ck_assert(tm_dtype_parse(tm_view_str("BF16"), &dtype) && dtype == TM_BF16);
    ck_assert(tm_dtype_parse(tm_view_str("Q4_K"), &dtype) && dtype == TM_Q4_K);
    ck_assert(!tm_dtype_parse(tm_view_str("bf16"), &dtype));
    ck_assert(!tm_dtype_parse(tm_view_str("F3"), &dtype));
    ck_assert(!tm_dtype_parse(tm_view_str(""), &dtype));
    ck_assert(tm_dtype_known(0) && tm_dtype_known(39) && tm_dtype_known(46));
    ck_assert(!tm_dtype_known(15) && !tm_dtype_known(31) && !tm_dtype_known(47));
    ck_assert_str_eq(tm_dtype_name(TM_F8_E4M3), "F8_E4M3");
    ck_assert_uint_eq(tm_dtype_block_elements(TM_Q8_0), 32);
    ck_assert_uint_eq(tm_dtype_block_bytes(TM_Q6_K), 210);
    ck_assert(tm_dtype_is_float(TM_Q5_1) && tm_dtype_is_float(TM_F64));
    ck_assert(!tm_dtype_is_float(TM_BOOL) && !tm_dtype_is_float(TM_I32));
}
END_TEST

START_TEST(sizes_do_not_overflow)
{
    static const struct {
        struct tm_shape shape;
        enum tm_dtype dtype;
        bool good;
        uint64_t bytes;
    } cases[] = {
        {{0, {0}}, TM_F32, true, 4},
        {{1, {0}}, TM_F64, true, 0},
        {{2, {3, 5}}, TM_F16, true, 30},
        {{3, {4, 0, 3}}, TM_BF16, true, 0},
        {{2, {3, 64}}, TM_Q4_0, true, 3 * 2 * 18},
        {{2, {3, 48}}, TM_Q4_0, false, 0},
        {{0, {0}}, TM_Q8_0, false, 0},
        {{2, {3, 256}}, TM_Q6_K, true, 630},
        {{2, {1ull << 32, 1ull << 32}}, TM_U8, false, 0},
        {{2, {1ull << 31, 1ull << 32}}, TM_U8, true, 1ull << 63},
        {{2, {1ull << 31, 1ull << 32}}, TM_F16, false, 0},
        {{3, {1ull << 32, 1ull << 32, 0}}, TM_U8, false, 0},
        /* 4 * (2^30-1) * (2^30+1) floats: 2^64 - 16 bytes */
        {{3, {(1 << 30) + 1, (1 << 30) - 1, 4}}, TM_F32, true, UINT64_MAX - 15},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 0;
        bool good = tm_shape_bytes(&cases[i].shape, cases[i].dtype, &bytes);
        ck_assert_msg(good == cases[i].good, "case %zu", i);
        ck_assert_msg(!good || bytes == cases[i].bytes, "case %zu", i);
    }
}
END_TEST

START_TEST(matrices)
{
    static const struct {
        struct tm_shape shape;
        uint64_t rows, cols;
    } cases[] = {
        {{0, {0}}, 1, 1},           {{1, {7}}, 1, 7},           {{2, {0, 7}}, 0, 0},
        {{2, {40, 32}}, 40, 32},    {{2, {40, 31}}, 1, 1240},   {{4, {16, 3, 14, 14}}, 16, 588},
        {{3, {64, 8, 3}}, 1, 1536}, {{3, {64, 11, 3}}, 64, 33}, {{3, {2, 3, 100}}, 6, 100},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t rows = 9, cols = 9;
        tm_shape_matrix(&cases[i].shape, &rows, &cols);
        ck_assert_msg(rows == cases[i].rows && cols == cases[i].cols, "case %zu: %lu x %lu", i,
                      (unsigned long)rows, (unsigned long)cols);
    }
}
END_TEST

START_TEST(texts_are_cut_not_overrun)
{
    struct tm_shape shape = {2, {576, 1536}}, scalar = {.rank = 0};
    char out[32];
    ck_assert_str_eq(tm_shape_text(&shape, out, sizeof out), "[576, 1536]");
    ck_assert_str_eq(tm_shape_text(&scalar, out, sizeof out), "[]");
    ck_assert_str_eq(tm_shape_text(&shape, out, 6), "[576,");
    ck_assert_str_eq(tm_shape_text(&shape, out, 1), "");
    struct tm_shape other = {2, {576, 1537}}, longer = {3, {576, 1536, 1}};
    ck_assert(tm_shape_eq(&shape, &shape));
    ck_assert(!tm_shape_eq(&shape, &other) && !tm_shape_eq(&shape, &longer));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("tensor");
    TCase *tcase = tcase_create("tensor");
    tcase_add_test(tcase, dtypes_by_name_and_value);
    tcase_add_test(tcase, sizes_do_not_overflow);
    tcase_add_test(tcase, matrices);
    tcase_add_test(tcase, texts_are_cut_not_overrun);
    suite_add_tcase(suite, tcase);
    return suite;
}

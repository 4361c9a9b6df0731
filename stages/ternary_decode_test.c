/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/ternary_decode.h"

#include "base/bytes.h"
#include "tests/support/suite.h"

/* All 243 symbols, one scale of 3 per 32 weights, against plain division. */
START_TEST(every_symbol)
{
    struct tm_symbols s;
    float out[5 * TM_TRIT_ALPHABET];
    struct tm_stage_params params = {0, 32, 0};
    struct tm_block_shape shape = {1, 5 * TM_TRIT_ALPHABET};
    tm_symbols_init(&s);
    s.count = TM_TRIT_ALPHABET;
    for (unsigned i = 0; i < TM_TRIT_ALPHABET; i++) {
        ck_assert_int_eq(tm_buf_put_u8(&s.codes, (uint8_t)i), TM_OK);
    }
    for (uint32_t i = 0; i < tm_row_groups(shape.cols, 32); i++) {
        ck_assert_int_eq(tm_buf_put_u16(&s.side, 0x4200), TM_OK);
    }
    tm_ternary_decode(&params, shape, &s, out);
    static const int power[] = {1, 3, 9, 27, 81};
    for (int i = 0; i < 5 * TM_TRIT_ALPHABET; i++) {
        int digit = i / 5 / power[i % 5] % 3;
        ck_assert_float_eq(out[i], 3.0f * (float)(digit - 1));
        ck_assert(out[i] != 0.0f || tm_f32_bits(out[i]) == 0);
    }
    tm_symbols_deinit(&s);
}
END_TEST

/* Scales follow the rows; a row ends its group. Weights of a symbol may lie in two rows. */
START_TEST(rows_and_groups)
{
    struct tm_symbols s;
    float out[2 * 33];
    struct tm_stage_params params = {0, 32, 0};
    tm_symbols_init(&s);
    s.count = 14;
    for (unsigned i = 0; i < 14; i++) {
        ck_assert_int_eq(tm_buf_put_u8(&s.codes, 242), TM_OK);
    }
    static const uint16_t scales[] = {0x3c00, 0x4000, 0x0000, 0xc000};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(tm_buf_put_u16(&s.side, scales[i]), TM_OK);
    }
    tm_ternary_decode(&params, (struct tm_block_shape){2, 33}, &s, out);
    ck_assert(out[0] == 1.0f && out[31] == 1.0f && out[32] == 2.0f);
    ck_assert(out[33] == 0.0f && out[64] == 0.0f && out[65] == -2.0f);
    tm_symbols_deinit(&s);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("ternary_decode");
    TCase *tc = tcase_create("ternary_decode");
    tcase_add_test(tc, every_symbol);
    tcase_add_test(tc, rows_and_groups);
    suite_add_tcase(suite, tc);
    return suite;
}

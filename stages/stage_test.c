/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/stage.h"

#include <string.h>

#include "tests/support/suite.h"

START_TEST(names_and_kinds)
{
    static const struct {
        enum tm_stage_id id;
        const char *name;
        enum tm_data_kind in, out;
    } rows[] = {
        {TM_STAGE_INT, "int", TM_DATA_FLOAT, TM_DATA_SYMBOLS},
        {TM_STAGE_TERNARY, "ternary", TM_DATA_FLOAT, TM_DATA_SYMBOLS},
        {TM_STAGE_RANS, "rans", TM_DATA_SYMBOLS, TM_DATA_BYTES},
        {TM_STAGE_ZSTD, "zstd", TM_DATA_BYTES, TM_DATA_BYTES},
        {TM_STAGE_RAW, "raw", TM_DATA_BYTES, TM_DATA_BYTES},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum tm_stage_id id;
        ck_assert_str_eq(tm_stage_name(rows[i].id), rows[i].name);
        ck_assert(tm_stage_parse(tm_view_str(rows[i].name), &id));
        ck_assert_int_eq(id, rows[i].id);
        ck_assert_uint_eq(tm_stage_version(id), 1);
        ck_assert_int_eq(tm_stage_input(id), rows[i].in);
        ck_assert_int_eq(tm_stage_output(id), rows[i].out);
    }
    enum tm_stage_id none;
    ck_assert(!tm_stage_parse(tm_view_str("in"), &none));
    ck_assert(!tm_stage_parse(tm_view_str(""), &none));
    ck_assert(!tm_stage_parse(tm_view_str("int8"), &none));
}
END_TEST

START_TEST(symbol_counts)
{
    static const struct {
        enum tm_stage_id id;
        struct tm_stage_params params;
        struct tm_block_shape shape;
        size_t symbols, side;
        uint32_t alphabet;
    } rows[] = {
        {TM_STAGE_INT, {8, 32, 0}, {3, 64}, 192, 12, 256},
        {TM_STAGE_INT, {4, 32, 0}, {3, 65}, 195, 18, 16},
        {TM_STAGE_INT, {4, 32, 0}, {0, 0}, 0, 0, 16},
        {TM_STAGE_TERNARY, {0, 128, 0}, {2, 129}, 52, 8, 243},
        {TM_STAGE_TERNARY, {0, 32, 0}, {1, 5}, 1, 2, 243},
        {TM_STAGE_TERNARY, {0, 32, 0}, {1, 6}, 2, 2, 243},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t symbols, side;
        uint32_t alphabet;
        tm_stage_symbol_counts(rows[i].id, &rows[i].params, rows[i].shape, &symbols, &side,
                               &alphabet);
        ck_assert_uint_eq(symbols, rows[i].symbols);
        ck_assert_uint_eq(side, rows[i].side);
        ck_assert_uint_eq(alphabet, rows[i].alphabet);
    }
}
END_TEST

START_TEST(block_limit)
{
    ck_assert(tm_shape_is_block((struct tm_block_shape){4096, 4096}));
    ck_assert(!tm_shape_is_block((struct tm_block_shape){4096, 4097}));
    ck_assert(!tm_shape_is_block((struct tm_block_shape){UINT32_MAX, UINT32_MAX}));
}
END_TEST

/* One symbol of two weights and one scale. */
static tm_status check_ternary(uint8_t symbol, uint16_t scale, struct tm_err *err)
{
    struct tm_symbols symbols;
    tm_symbols_init(&symbols);
    symbols.alphabet = TM_TRIT_ALPHABET;
    symbols.count = 1;
    ck_assert_int_eq(tm_buf_put_u8(&symbols.codes, symbol), TM_OK);
    ck_assert_int_eq(tm_buf_put_u16(&symbols.side, scale), TM_OK);
    struct tm_stage_params params = {0, 32, 0};
    struct tm_block_shape shape = {1, 2};
    tm_status status = tm_symbols_check(TM_STAGE_TERNARY, &params, shape, &symbols, err);
    tm_symbols_deinit(&symbols);
    return status;
}

START_TEST(checked_symbols)
{
    struct tm_err err;
    /* Spare trits 2..4 are code 0, digit 1: 9 + 27 + 81. */
    ck_assert_int_eq(check_ternary(9 + 27 + 81 + 8, 0x3c00, &err), TM_OK);
    ck_assert_int_eq(check_ternary(9 + 27 + 8, 0x3c00, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "after the last weight"));
    ck_assert_int_eq(check_ternary(9 + 27 + 81, 0x7c00, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "row 0, group 0 is not finite"));
    ck_assert_int_eq(check_ternary(9 + 27 + 81, 0xfe00, NULL), TM_E_MALFORMED);
    ck_assert_int_eq(check_ternary(9 + 27 + 81, 0x7bff, NULL), TM_OK);
}
END_TEST

START_TEST(refusals_name_the_place)
{
    struct tm_err err;
    struct tm_misfit misfit = {TM_UNFIT_INF, 3, 17};
    ck_assert_int_eq(tm_misfit_refuse(misfit, &err), TM_E_REFUSED);
    ck_assert_str_eq(err.where, "row 3, column 17 of the block");
    ck_assert_ptr_nonnull(strstr(err.why, "infinite"));
    ck_assert_str_eq(tm_unfit_text(TM_UNFIT_NAN), "holds NaN");
    ck_assert_ptr_nonnull(strstr(tm_unfit_text(TM_UNFIT_SCALE_RANGE), "float16"));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("stage");
    TCase *tc = tcase_create("stage");
    tcase_add_test(tc, names_and_kinds);
    tcase_add_test(tc, symbol_counts);
    tcase_add_test(tc, block_limit);
    tcase_add_test(tc, checked_symbols);
    tcase_add_test(tc, refusals_name_the_place);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/pipeline.h"

#include <string.h>

#include "base/bytes.h"
#include "tests/support/suite.h"

static struct tm_pipeline parse(const char *text)
{
    struct tm_pipeline p;
    struct tm_err err;
    ck_assert_msg(tm_pipeline_parse(tm_view_str(text), &p, &err) == TM_OK, "%s: %s", text, err.why);
    return p;
}

START_TEST(canonical_text)
{
    static const struct {
        const char *text, *canonical;
    } rows[] = {
        {"int", "int.1(bits=8,group=32)"},
        {"int(bits=4) > rans", "int.1(bits=4,group=32) > rans.1"},
        {"int.1(group=32,bits=4)>rans.1", "int.1(bits=4,group=32) > rans.1"},
        {"  int ( bits = 8 )  >  rans ( ) ", "int.1(bits=8,group=32) > rans.1"},
        {"ternary > rans", "ternary.1(group=128) > rans.1"},
        {"ternary(group=1024)", "ternary.1(group=1024)"},
        {"zstd", "zstd.1(level=9)"},
        {"zstd.1(level=19)", "zstd.1(level=19)"},
        {"raw", "raw.1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[TM_PIPELINE_TEXT];
        struct tm_pipeline p = parse(rows[i].text), again;
        ck_assert_str_eq(tm_pipeline_text(&p, out), rows[i].canonical);
        again = parse(out);
        ck_assert_mem_eq(&p, &again, sizeof p);
    }
}
END_TEST

START_TEST(bad_text)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "no stage is called ''"},
        {"int8", "expected"},
        {"integer", "no stage is called 'integer'"},
        {"INT", "no stage is called ''"},
        {"int.2", "no version 2"},
        {"int.", "number is missing"},
        {"int.99999999999999999999", "number is missing or out of range"},
        {"int(bits=5)", "bits=5 is out of range: a multiple of 4 from 4 to 8"},
        {"int(bits=04)", "number"},
        {"int(group=64)", "group=64 is out of range"},
        {"int(level=3)", "stage int has no parameter 'level'"},
        {"int(bits=4,bits=4)", "given twice"},
        {"int(bits=4", "')' is missing"},
        {"int(bits 4)", "'=' is missing"},
        {"int(bits=4,)", "no parameter ''"},
        {"ternary(group=33)", "multiple of 32 from 32 to 1024"},
        {"zstd(level=20)", "level=20"},
        {"rans", "cannot come first"},
        {"rans > int", "cannot come first"},
        {"int > zstd", "zstd cannot take what int gives"},
        {"int > rans > rans", "rans cannot take what rans gives"},
        {"zstd > zstd", "zstd cannot take what zstd gives"},
        {"raw > int", "int cannot take what raw gives"},
        {"int > ternary", "ternary cannot take what int gives"},
        {"int > rans > rans > rans > rans", "more than 4 stages"},
        {"int >", "no stage is called ''"},
        {"int rans", "'>' or the end was expected"},
        {"int\n", "'>' or the end was expected"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tm_pipeline p;
        struct tm_err err;
        ck_assert_int_eq(tm_pipeline_parse(tm_view_str(rows[i].text), &p, &err), TM_E_USAGE);
        ck_assert_msg(strstr(err.why, rows[i].why) != NULL, "%s: '%s' lacks '%s'", rows[i].text,
                      err.why, rows[i].why);
        ck_assert_ptr_nonnull(strstr(err.hint, "ternary"));
        ck_assert_int_eq(tm_pipeline_parse(tm_view_str(rows[i].text), &p, NULL), TM_E_USAGE);
    }
}
END_TEST

START_TEST(kinds_and_exports)
{
    struct tm_pipeline int8 = parse("int"), int4 = parse("int(bits=4) > rans");
    struct tm_pipeline ternary = parse("ternary"), zstd = parse("zstd");
    struct tm_block_shape whole = {2, 64}, ragged = {2, 65};
    ck_assert_int_eq(tm_pipeline_input(&int8), TM_DATA_FLOAT);
    ck_assert_int_eq(tm_pipeline_input(&zstd), TM_DATA_BYTES);
    ck_assert(tm_pipeline_is_lossless(&zstd) && !tm_pipeline_is_lossless(&ternary));
    ck_assert(tm_pipeline_exports_as(&int8, whole, TM_Q8_0));
    ck_assert(!tm_pipeline_exports_as(&int8, whole, TM_Q4_0));
    ck_assert(!tm_pipeline_exports_as(&int8, ragged, TM_Q8_0));
    ck_assert(tm_pipeline_exports_as(&int4, whole, TM_Q4_0));
    ck_assert(!tm_pipeline_exports_as(&int4, whole, TM_F32));
    ck_assert(!tm_pipeline_exports_as(&ternary, whole, TM_Q4_0));
    ck_assert(!tm_pipeline_exports_as(&zstd, whole, TM_Q8_0));
}
END_TEST

/* Plain int 4: one scale, then nibbles, first weight low. */
START_TEST(plain_layout)
{
    struct tm_pipeline p = parse("int(bits=4)");
    struct tm_block_shape shape = {1, 3};
    uint8_t bytes[] = {0x00, 0x40, 0xa9, 0x00};
    float y[3];
    struct tm_err err;
    ck_assert_uint_eq(tm_pipeline_bound(&p, shape), 4);
    ck_assert_int_eq(
        tm_pipeline_decode(&p, shape, tm_view_of(bytes, 4), TM_DECODE_CANONICAL, y, &err), TM_OK);
    ck_assert(y[0] == 2.0f && y[1] == 4.0f && y[2] == -16.0f);
    bytes[3] = 0x10;
    ck_assert_int_eq(tm_pipeline_decode(&p, shape, tm_view_of(bytes, 4), TM_DECODE_FAST, y, &err),
                     TM_E_MALFORMED);
    ck_assert_str_eq(err.where, "byte 3 of the block");
    bytes[3] = 0;
    ck_assert_int_eq(tm_pipeline_decode(&p, shape, tm_view_of(bytes, 3), TM_DECODE_FAST, y, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "cut short"));
    shape.cols = 1;
    ck_assert_int_eq(tm_pipeline_decode(&p, shape, tm_view_of(bytes, 4), TM_DECODE_FAST, y, &err),
                     TM_E_MALFORMED);
    shape.cols = 3;
    bytes[1] = 0x7c;
    ck_assert_int_eq(tm_pipeline_decode(&p, shape, tm_view_of(bytes, 4), TM_DECODE_FAST, y, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "not finite"));
}
END_TEST

START_TEST(bytes_left_and_limits)
{
    struct tm_pipeline p = parse("int > rans"), raw = parse("raw"), zstd = parse("zstd");
    struct tm_block_shape shape = {1, 2};
    /* Constant 128; one scale: constant planes 0x00 and 0x3c. */
    uint8_t bytes[] = {1, 128, 1, 0, 1, 0x3c, 0};
    float y[2] = {7.0f, 7.0f};
    struct tm_err err;
    ck_assert_int_eq(
        tm_pipeline_decode(&p, shape, tm_view_of(bytes, 6), TM_DECODE_CANONICAL, y, NULL), TM_OK);
    ck_assert(y[0] == 0.0f && y[1] == 0.0f);
    ck_assert_int_eq(tm_pipeline_decode(&p, shape, tm_view_of(bytes, 7), TM_DECODE_FAST, y, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "left after the block"));
    shape = (struct tm_block_shape){65536, 65536};
    ck_assert_int_eq(tm_pipeline_decode(&p, shape, tm_view_of(bytes, 6), TM_DECODE_FAST, y, &err),
                     TM_E_LIMIT);
    uint8_t out[4];
    ck_assert_int_eq(tm_pipeline_decode_bytes(&raw, 4, tm_view_of("abcd", 4), out, &err), TM_OK);
    ck_assert_mem_eq(out, "abcd", 4);
    ck_assert_int_eq(tm_pipeline_decode_bytes(&raw, 4, tm_view_of("abc", 3), out, &err),
                     TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "the block has 3 bytes, 4 were expected");
    ck_assert_int_eq(
        tm_pipeline_decode_bytes(&zstd, TM_BLOCK_BYTES_MAX + 1, tm_view_of("", 0), out, &err),
        TM_E_LIMIT);
}
END_TEST

START_TEST(gguf_refuses_other_types)
{
    struct tm_pipeline p = parse("int(bits=4)");
    struct tm_err err;
    uint8_t out[34];
    ck_assert_int_eq(tm_pipeline_decode_gguf(&p, (struct tm_block_shape){1, 32}, tm_view_of("", 0),
                                             TM_Q8_0, out, &err),
                     TM_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(err.why, "is no Q8_0"));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pipeline");
    TCase *tc = tcase_create("pipeline");
    tcase_add_test(tc, canonical_text);
    tcase_add_test(tc, bad_text);
    tcase_add_test(tc, kinds_and_exports);
    tcase_add_test(tc, plain_layout);
    tcase_add_test(tc, bytes_left_and_limits);
    tcase_add_test(tc, gguf_refuses_other_types);
    suite_add_tcase(suite, tc);
    return suite;
}

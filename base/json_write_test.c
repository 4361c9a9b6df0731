/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static void write_sample(struct tm_jw *jw)
{
    tm_jw_object(jw, NULL);
    tm_jw_str(jw, "s", "a\"\\\n\t\x01\x7f\xc3\xa4\xff");
    tm_jw_u64(jw, "u", UINT64_MAX);
    tm_jw_i64(jw, "i", INT64_MIN);
    tm_jw_f64(jw, "f", 0.1);
    tm_jw_f64(jw, "inf", INFINITY);
    tm_jw_array(jw, "list");
    tm_jw_bool(jw, NULL, true);
    tm_jw_bool(jw, NULL, false);
    tm_jw_null(jw, NULL);
    tm_jw_array(jw, NULL);
    tm_jw_array_end(jw);
    tm_jw_array_end(jw);
    tm_jw_object_n(jw, tm_view_of("k\0y", 3));
    tm_jw_object_end(jw);
    tm_jw_strn(jw, "z", tm_view_of("a\0b", 3));
    tm_jw_object_end(jw);
}

START_TEST(compact)
{
    struct tm_buf out;
    struct tm_jw jw;
    tm_buf_init(&out, 4096);
    tm_jw_begin(&jw, &out, false);
    write_sample(&jw);
    ck_assert_int_eq(tm_jw_end(&jw), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&out), TM_OK);
    ck_assert_str_eq((char *)out.data,
                     "{\"s\":\"a\\\"\\\\\\n\\t\\u0001\\u007f\xc3\xa4\xef\xbf\xbd\","
                     "\"u\":18446744073709551615,\"i\":-9223372036854775808,\"f\":0.1,"
                     "\"inf\":null,\"list\":[true,false,null,[]],\"k\\u0000y\":{},"
                     "\"z\":\"a\\u0000b\"}");
    tm_buf_deinit(&out);
}
END_TEST

/* U+202E and, as two halves, U+E0021; a reader gets the same characters back. */
START_TEST(hidden_characters)
{
    struct tm_buf out;
    struct tm_jw jw;
    struct tm_json_doc *doc = NULL;
    struct tm_view back;
    const char text[] = "\xe2\x80\xae\xf3\xa0\x80\xa1";
    tm_buf_init(&out, 100);
    tm_jw_begin(&jw, &out, false);
    tm_jw_str(&jw, NULL, text);
    ck_assert_int_eq(tm_jw_end(&jw), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), "\"\\u202e\\udb40\\udc21\""));
    ck_assert_int_eq(tm_json_parse(tm_buf_view(&out), "t", &doc, NULL), TM_OK);
    ck_assert(tm_json_str(tm_json_root(doc), &back) && tm_view_eq_str(back, text));
    tm_json_free(&doc);
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(pretty)
{
    struct tm_buf out;
    struct tm_jw jw;
    tm_buf_init(&out, 4096);
    tm_jw_begin(&jw, &out, true);
    tm_jw_array(&jw, NULL);
    tm_jw_object(&jw, NULL);
    tm_jw_u64(&jw, "a", 1);
    tm_jw_object(&jw, "b");
    tm_jw_object_end(&jw);
    tm_jw_object_end(&jw);
    tm_jw_u64(&jw, NULL, 2);
    tm_jw_array_end(&jw);
    ck_assert_int_eq(tm_jw_end(&jw), TM_OK);
    ck_assert(
        tm_view_eq_str(tm_buf_view(&out), "[\n  {\n    \"a\": 1,\n    \"b\": {}\n  },\n  2\n]"));
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(scalars_at_the_root)
{
    struct tm_buf out;
    struct tm_jw jw;
    tm_buf_init(&out, 64);
    tm_jw_begin(&jw, &out, true);
    tm_jw_str(&jw, NULL, "x");
    ck_assert_int_eq(tm_jw_end(&jw), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), "\"x\""));
    tm_buf_deinit(&out);
}
END_TEST

/* At each size too small and at each failed allocation the first error is kept. */
START_TEST(errors_stick)
{
    struct tm_buf out;
    struct tm_jw jw;
    size_t max = 0;
    tm_status status = TM_E_LIMIT;
    for (; status != TM_OK; max++) {
        tm_buf_init(&out, max);
        tm_jw_begin(&jw, &out, max % 2 == 0);
        write_sample(&jw);
        status = tm_jw_end(&jw);
        ck_assert(status == TM_OK || status == TM_E_LIMIT);
        tm_buf_deinit(&out);
    }
    ck_assert_uint_gt(max, 100);
    for (uint64_t n = 1; n <= 2; n++) {
        tm_buf_init(&out, 4096);
        tm_mem_fail_at(n);
        tm_jw_begin(&jw, &out, false);
        write_sample(&jw);
        ck_assert_int_eq(tm_jw_end(&jw), TM_E_NOMEM);
        tm_buf_deinit(&out);
    }
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("json_write");
    TCase *tc = tcase_create("write");
    tcase_add_test(tc, compact);
    tcase_add_test(tc, hidden_characters);
    tcase_add_test(tc, pretty);
    tcase_add_test(tc, scalars_at_the_root);
    tcase_add_test(tc, errors_stick);
    suite_add_tcase(suite, tc);
    return suite;
}

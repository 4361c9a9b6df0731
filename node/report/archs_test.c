/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/archs.h"

#include <string.h>

#include "model/pass/arch.h"
#include "tests/support/suite.h"

START_TEST(a_line_for_each)
{
    struct tm_buf out;
    tm_buf_init(&out, 4096);
    ck_assert_int_eq(tm_archs_text(&out), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&out), TM_OK);
    unsigned lines = 0;
    for (const char *at = (const char *)out.data; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    ck_assert_uint_eq(lines, TM_ARCH_COUNT + 2);
    ck_assert_ptr_nonnull(
        strstr((const char *)out.data, "\nqwen3        yes       yes        yes"));
    ck_assert_ptr_nonnull(strstr((const char *)out.data, "\n*            yes       -          -"));
    tm_buf_deinit(&out);
    tm_buf_init(&out, 100);
    ck_assert_int_eq(tm_archs_text(&out), TM_E_LIMIT);
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(those_with_a_tick_are_known_to_the_pass)
{
    struct tm_buf out;
    struct tm_jw jw;
    struct tm_json_doc *doc = NULL;
    struct tm_err err;
    tm_buf_init(&out, 4096);
    tm_jw_begin(&jw, &out, false);
    tm_jw_object(&jw, NULL);
    tm_archs_json(&jw);
    tm_jw_object_end(&jw);
    ck_assert_int_eq(tm_jw_end(&jw), TM_OK);
    ck_assert_int_eq(tm_json_parse(tm_buf_view(&out), "archs", &doc, &err), TM_OK);
    const struct tm_json *archs = tm_json_get(tm_json_root(doc), "archs");
    ck_assert_uint_eq(tm_json_count(archs), TM_ARCH_COUNT + 1);
    for (size_t i = 0; i < tm_json_count(archs); i++) {
        const struct tm_json *arch = tm_json_at(archs, i);
        struct tm_view name, models;
        enum tm_arch_kind kind;
        bool compress = false, run = false, calibrate = false;
        ck_assert(tm_json_str(tm_json_get(arch, "arch"), &name));
        ck_assert(tm_json_str(tm_json_get(arch, "models"), &models) && models.bytes > 0);
        ck_assert(tm_json_bool(tm_json_get(arch, "compress"), &compress) && compress);
        ck_assert(tm_json_bool(tm_json_get(arch, "run"), &run));
        ck_assert(tm_json_bool(tm_json_get(arch, "calibrate"), &calibrate));
        ck_assert_int_eq(run, tm_arch_parse(name, &kind));
        ck_assert_int_eq(calibrate, run);
    }
    tm_json_free(&doc);
    tm_buf_deinit(&out);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("archs");
    TCase *tc = tcase_create("archs");
    tcase_add_test(tc, a_line_for_each);
    tcase_add_test(tc, those_with_a_tick_are_known_to_the_pass);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/normalize.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static tm_status parse(struct tm_normals *normals, const char *json, struct tm_err *err)
{
    struct tm_json_doc *doc = NULL;
    TM_TRY(tm_json_parse(tm_view_str(json), "t", &doc, err));
    tm_status status = tm_normals_json(normals, tm_json_root(doc), err);
    tm_json_free(&doc);
    return status;
}

static const struct {
    const char *json, *in, *out;
} cases[] = {
    {"null", "A\xcc\x81", "A\xcc\x81"},
    {"{\"type\":\"NFC\"}", "A\xcc\x81", "\xc3\x81"},
    {"{\"type\":\"NFC\"}", "\xef\xac\x81", "\xef\xac\x81"}, /* the ligature stays */
    {"{\"type\":\"NFKC\"}", "\xef\xac\x81\xe2\x91\xa0", "fi1"},
    {"{\"type\":\"NFD\"}", "\xc3\x81", "A\xcc\x81"},
    {"{\"type\":\"NFKD\"}", "\xe2\x84\xab", "A\xcc\x8a"},
    {"{\"type\":\"NFC\"}", "\xea\xb0\x80", "\xea\xb0\x80"},
    {"{\"type\":\"NFD\"}", "\xea\xb0\x80", "\xe1\x84\x80\xe1\x85\xa1"}, /* Hangul */
    {"{\"type\":\"Lowercase\"}", "A\xc3\x89\xc4\xb0", "a\xc3\xa9i\xcc\x87"},
    {"{\"type\":\"StripAccents\"}", "A\xcc\x81\xc3\x81", "A\xc3\x81"},
    {"{\"type\":\"Strip\"}",
     " \xc2\xa0"
     "a b\t",
     "a b"},
    {"{\"type\":\"Strip\",\"strip_left\":false}", " a ", " a"},
    {"{\"type\":\"Strip\",\"strip_right\":false}", " a ", "a "},
    {"{\"type\":\"Strip\"}", " \t", ""},
    {"{\"type\":\"Prepend\",\"prepend\":\"_\"}", "a", "_a"},
    {"{\"type\":\"Prepend\",\"prepend\":\"_\"}", "", ""},
    {"{\"type\":\"Replace\",\"pattern\":{\"String\":\".\"},\"content\":\"!!\"}", "a.b.", "a!!b!!"},
    {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}", "a   b c",
     "a b c"},
    {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"x*\"},\"content\":\"-\"}", "\xc3\xa9x",
     "-\xc3\xa9--"},
    {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\" \"},"
     "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}]}",
     "a b",
     "\xe2\x96\x81"
     "a\xe2\x96\x81"
     "b"},
    {"{\"type\":\"Sequence\",\"normalizers\":[]}", "a", "a"},
};

START_TEST(steps_change_the_text)
{
    struct tm_buf out, spare;
    tm_buf_init(&out, 1000);
    tm_buf_init(&spare, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_normals normals;
        struct tm_err err;
        tm_normals_init(&normals);
        ck_assert_int_eq(parse(&normals, cases[i].json, &err), TM_OK);
        ck_assert_int_eq(tm_normals_apply(&normals, tm_view_str(cases[i].in), &out, &spare), TM_OK);
        ck_assert_msg(tm_view_eq_str(tm_buf_view(&out), cases[i].out), "%s: %s becomes %.*s",
                      cases[i].json, cases[i].in, (int)out.bytes, (const char *)out.data);
        tm_normals_deinit(&normals);
    }
    tm_buf_deinit(&out);
    tm_buf_deinit(&spare);
}
END_TEST

static const struct {
    const char *json, *word;
    tm_status status;
} bad[] = {
    {"3", "no type", TM_E_MALFORMED},
    {"{\"type\":\"Magic\\n\"}", "'Magic\\x0a' is not known", TM_E_INCOMPATIBLE},
    {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}", "no content", TM_E_MALFORMED},
    {"{\"type\":\"Replace\",\"content\":\"a\"}", "no pattern", TM_E_MALFORMED},
    {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"a\"}", "parenthesis",
     TM_E_MALFORMED},
    {"{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!\"}", "no base64", TM_E_MALFORMED},
    {"{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}", "in a map of 3 bytes",
     TM_E_MALFORMED},
    {"{\"type\":\"Sequence\",\"normalizers\":[7]}", "step 0 has no type", TM_E_MALFORMED},
    {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Sequence\"}]}", "'Sequence' is not known",
     TM_E_INCOMPATIBLE},
};

START_TEST(bad_steps_are_named)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tm_normals normals;
        struct tm_err err;
        tm_normals_init(&normals);
        ck_assert_int_eq(parse(&normals, bad[i].json, &err), bad[i].status);
        ck_assert_msg(strstr(err.why, bad[i].word) != NULL, "%s: %s", bad[i].json, err.why);
        tm_normals_deinit(&normals);
    }
}
END_TEST

START_TEST(too_many_steps)
{
    struct tm_normals normals;
    struct tm_err err;
    tm_normals_init(&normals);
    for (int i = 0; i < TM_NORMAL_STEPS_MAX; i++) {
        ck_assert_int_eq(tm_normals_add(&normals, TM_NORMAL_NFC, NULL, tm_view_str(""), &err),
                         TM_OK);
    }
    ck_assert_int_eq(tm_normals_add(&normals, TM_NORMAL_NFC, NULL, tm_view_str(""), &err),
                     TM_E_MALFORMED);
    tm_normals_deinit(&normals);
}
END_TEST

START_TEST(white_space_is_unicodes)
{
    /* The 25 characters of PropList.txt. */
    unsigned count = 0;
    for (uint32_t code = 0; code < 0x110000; code++) {
        count += tm_is_space(code);
    }
    ck_assert_uint_eq(count, 25);
    ck_assert(tm_is_space(0x3000) && tm_is_space(0x85) && !tm_is_space(0x200b));
}
END_TEST

START_TEST(memory_runs_out)
{
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_normals normals;
        struct tm_buf out, spare;
        struct tm_err err;
        tm_normals_init(&normals);
        tm_buf_init(&out, 1000);
        tm_buf_init(&spare, 1000);
        tm_mem_fail_at(n);
        tm_status status = parse(&normals, cases[12].json, &err);
        if (status == TM_OK) {
            status = parse(&normals, "{\"type\":\"NFKD\"}", &err);
        }
        if (status == TM_OK) {
            status = tm_normals_apply(&normals, tm_view_str("\xc3\x81."), &out, &spare);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_normals_deinit(&normals);
        tm_buf_deinit(&out);
        tm_buf_deinit(&spare);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("normalize");
    TCase *tc = tcase_create("normalize");
    tcase_add_test(tc, steps_change_the_text);
    tcase_add_test(tc, bad_steps_are_named);
    tcase_add_test(tc, too_many_steps);
    tcase_add_test(tc, white_space_is_unicodes);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/json_pull.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

/* Skips the whole text. */
static tm_status skip_all(struct tm_view text, struct tm_err *err)
{
    struct tm_json_pull p;
    tm_pull_begin(&p, text, "t.json", 0, err);
    TM_TRY(tm_pull_skip(&p));
    return tm_pull_end(&p);
}

static const char *const good[] = {
    "1",           " [ ] ",      "{}",         "-0.5e+10",  "[1,2,[3],{\"a\":{}}]", "\"\\u00e9\"",
    "true",        "null",       "false",      "\"\"",      "\"\\ud83d\\ude00\"",   "{\"\":0}",
    "[1e5,0.0]",   "\"\\b\\/\"", "[[],[],[]]", "\t\n\r 0 ", "{\"a\":1,\"a\":2}",    "\"\x7f\"",
    "\"\xc3\xa9\""};

static const char *const bad[] = {"",
                                  "{",
                                  "[1,]",
                                  "{\"a\":1,}",
                                  "{\"a\"}",
                                  "{a:1}",
                                  "01",
                                  "-",
                                  "1.",
                                  "1e",
                                  "+1",
                                  "nul",
                                  "nullx",
                                  "[1 2]",
                                  "{\"a\" 1}",
                                  "\"",
                                  "\"\n\"",
                                  "\"\\x\"",
                                  "\"\\u12\"",
                                  "\"\\ud800\"",
                                  "\"\\udc00\"",
                                  "\"\\ud800\\u0041\"",
                                  "1 1",
                                  "[}",
                                  "{]",
                                  "\"\xff\"",
                                  "\"\xc0\x80\"",
                                  "\"\xed\xa0\x80\"",
                                  "[,1]",
                                  "{,}",
                                  ".5",
                                  "NaN",
                                  "'a'",
                                  "//",
                                  "\"\\",
                                  "[1,,2]"};

START_TEST(strict_grammar)
{
    struct tm_err err;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_msg(skip_all(tm_view_str(good[i]), &err) == TM_OK, "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(skip_all(tm_view_str(bad[i]), &err) == TM_E_MALFORMED, "%s", bad[i]);
        ck_assert_says(&err, "t.json: byte ");
    }
}
END_TEST

/* Every text that base/json.h takes, and no other, is taken; but for duplicate keys. */
START_TEST(agrees_with_the_tree_reader)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0] + sizeof bad / sizeof bad[0]; i++) {
        size_t goods = sizeof good / sizeof good[0];
        const char *text = i < goods ? good[i] : bad[i - goods];
        struct tm_json_doc *doc = NULL;
        struct tm_err err;
        tm_status tree = tm_json_parse(tm_view_str(text), "t", &doc, &err);
        tm_json_free(&doc);
        if (strcmp(text, "{\"a\":1,\"a\":2}") != 0) {
            ck_assert_msg((skip_all(tm_view_str(text), &err) == TM_OK) == (tree == TM_OK), "%s",
                          text);
        }
    }
}
END_TEST

START_TEST(depth_is_bounded)
{
    char text[2 * TM_PULL_DEPTH_MAX + 3];
    struct tm_err err;
    for (size_t depth = TM_PULL_DEPTH_MAX; depth <= TM_PULL_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        tm_status status = skip_all(tm_view_of(text, 2 * depth), &err);
        ck_assert_int_eq(status, depth <= TM_PULL_DEPTH_MAX ? TM_OK : TM_E_MALFORMED);
    }
    ck_assert_says(&err, "deep");
}
END_TEST

static tm_status walk(struct tm_buf *key, struct tm_buf *text, uint64_t *sum, struct tm_err *err)
{
    static const char json[] =
        " { \"n\\u00e9\" : [ 1, 20 , 18446744073709551615 ] , \"s\" : \"a\\n\\ud83d\\ude00\" } ";
    struct tm_json_pull p;
    bool more = false, item = false;
    enum tm_json_kind kind;
    tm_pull_begin(&p, tm_view_str(json), "t.json", 0, err);
    TM_TRY(tm_pull_object(&p));
    TM_TRY(tm_pull_member(&p, &more, key));
    ck_assert(more && tm_view_eq_str(tm_buf_view(key), "n\xc3\xa9"));
    TM_TRY(tm_pull_kind(&p, &kind));
    ck_assert_int_eq(kind, TM_JSON_ARRAY);
    TM_TRY(tm_pull_array(&p));
    *sum = 0;
    TM_TRY(tm_pull_item(&p, &item));
    while (item) {
        uint64_t n = 0;
        TM_TRY(tm_pull_u64(&p, &n));
        *sum += n;
        TM_TRY(tm_pull_item(&p, &item));
    }
    TM_TRY(tm_pull_member(&p, &more, key));
    ck_assert(more && tm_view_eq_str(tm_buf_view(key), "s"));
    TM_TRY(tm_pull_string(&p, text));
    TM_TRY(tm_pull_member(&p, &more, key));
    ck_assert(!more);
    return tm_pull_end(&p);
}

START_TEST(walks_values_and_survives_failing_memory)
{
    size_t live = tm_mem_live_blocks();
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        struct tm_buf key, text;
        struct tm_err err;
        uint64_t sum = 0;
        tm_buf_init(&key, 100);
        tm_buf_init(&text, 100);
        tm_mem_fail_at(n);
        tm_status status = walk(&key, &text, &sum, &err);
        done = !tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, done ? TM_OK : TM_E_NOMEM);
        if (done) {
            ck_assert_uint_eq(sum, 20); /* 1 + 20 + 2^64-1 */
            ck_assert(tm_view_eq_str(tm_buf_view(&text), "a\n\xf0\x9f\x98\x80"));
        }
        tm_buf_deinit(&key);
        tm_buf_deinit(&text);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

START_TEST(numbers_that_are_no_u64)
{
    static const char *const texts[] = {"-1", "1.0", "1e3", "18446744073709551616", "\"1\"", "x"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tm_json_pull p;
        struct tm_err err;
        uint64_t n = 0;
        tm_pull_begin(&p, tm_view_str(texts[i]), "t", 0, &err);
        ck_assert_msg(tm_pull_u64(&p, &n) == TM_E_MALFORMED, "%s", texts[i]);
    }
}
END_TEST

START_TEST(long_strings_are_refused)
{
    struct tm_json_pull p;
    struct tm_buf buf;
    struct tm_err err;
    tm_buf_init(&buf, 4);
    tm_pull_begin(&p, tm_view_str("\"12345\""), "t", 0, &err);
    ck_assert_int_eq(tm_pull_string(&p, &buf), TM_E_MALFORMED);
    ck_assert_says(&err, "too long");
    tm_buf_deinit(&buf);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("json_pull");
    TCase *tcase = tcase_create("json_pull");
    tcase_add_test(tcase, strict_grammar);
    tcase_add_test(tcase, agrees_with_the_tree_reader);
    tcase_add_test(tcase, depth_is_bounded);
    tcase_add_test(tcase, walks_values_and_survives_failing_memory);
    tcase_add_test(tcase, numbers_that_are_no_u64);
    tcase_add_test(tcase, long_strings_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}

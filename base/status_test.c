/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <signal.h>
#include <string.h>

#include "tests/support/suite.h"

START_TEST(table)
{
    /* The exit codes are a promise of the command line. */
    static const int exit_codes[TM_STATUS_COUNT] = {0, 1, 1, 1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10};
    for (int i = 0; i < TM_STATUS_COUNT; i++) {
        ck_assert_int_eq(tm_status_exit_code((tm_status)i), exit_codes[i]);
        ck_assert_uint_gt(strlen(tm_status_text((tm_status)i)), 0);
        ck_assert_int_eq(strncmp(tm_status_name((tm_status)i), "TM_", 3), 0);
    }
    ck_assert_str_eq(tm_status_name(TM_E_VERIFY), "TM_E_VERIFY");
    ck_assert_str_eq(tm_status_text(TM_E_MALFORMED), "malformed");
    ck_assert_int_eq(tm_status_exit_code((tm_status)999), 1);
}
END_TEST

START_TEST(set_and_line)
{
    struct tm_err err;
    char line[256];
    ck_assert_int_eq(tm_err_set(&err, TM_E_MALFORMED, "m.gguf", "cannot read", "fetch it again",
                                "%d bytes, %d wanted", 3, 4),
                     TM_E_MALFORMED);
    ck_assert_int_eq(err.status, TM_E_MALFORMED);
    ck_assert_str_eq(tm_err_line(&err, line, sizeof line),
                     "m.gguf: cannot read: 3 bytes, 4 wanted; fetch it again");
    tm_err_prefix(&err, "dir");
    ck_assert_str_eq(err.where, "dir: m.gguf");
    tm_err_set(&err, TM_E_IO, NULL, NULL, NULL, "%s", "why");
    ck_assert_str_eq(tm_err_line(&err, line, sizeof line), "why");
    tm_err_prefix(&err, "dir");
    ck_assert_str_eq(err.where, "dir");
    tm_err_set(&err, TM_E_NOMEM, NULL, NULL, NULL, "%s", "");
    ck_assert_str_eq(tm_err_line(&err, line, sizeof line), "out of memory");
    ck_assert_int_eq(tm_err_set(NULL, TM_E_IO, "a", "b", "c", "d"), TM_E_IO);
    tm_err_prefix(NULL, "dir");
}
END_TEST

START_TEST(set_may_read_itself)
{
    struct tm_err err;
    tm_err_set(&err, TM_E_IO, "a", "b", "c", "inner");
    tm_err_set(&err, TM_E_USAGE, err.where, err.what, err.hint, "outer of %s", err.why);
    char line[64];
    ck_assert_str_eq(tm_err_line(&err, line, sizeof line), "a: b: outer of inner; c");
}
END_TEST

START_TEST(cut_to_fit)
{
    struct tm_err err;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    tm_err_set(&err, TM_E_IO, text, text, text, "%s", text);
    ck_assert_uint_eq(strlen(err.where), sizeof err.where - 1);
    ck_assert_uint_eq(strlen(err.what), sizeof err.what - 1);
    ck_assert_uint_eq(strlen(err.why), sizeof err.why - 1);
    ck_assert_uint_eq(strlen(err.hint), sizeof err.hint - 1);
    tm_err_prefix(&err, text);
    ck_assert_uint_eq(strlen(err.where), sizeof err.where - 1);
    /* A character of three bytes that does not fit whole is left out whole. */
    memcpy(text + sizeof err.what - 3, "\xe2\x82\xac", 3);
    tm_err_set(&err, TM_E_IO, "", text, "", "%s", "");
    ck_assert_uint_eq(strlen(err.what), sizeof err.what - 3);
    char line[2048];
    ck_assert_ptr_null(strchr(tm_err_line(&err, line, sizeof line), '\\'));
}
END_TEST

START_TEST(escapes)
{
    static const struct {
        const char *in;
        size_t bytes;
        const char *out;
    } cases[] = {
        {"plain", 5, "plain"},
        {"a\nb", 3, "a\\x0ab"},
        {"\x1b[31m", 5, "\\x1b[31m"},
        {"a\0b", 3, "a\\x00b"},
        {"\x7f", 1, "\\x7f"},
        {"\xc2\x9b", 2, "\\xc2\\x9b"},          /* C1: an 8-bit escape sequence */
        {"\xe2\x80\xae", 3, "\\xe2\\x80\\xae"}, /* turns the direction of writing */
        {"\xc2\xa0", 2, "\xc2\xa0"},
        {"\xc3\xa4", 2, "\xc3\xa4"},
        {"\xff\xfe", 2, "\\xff\\xfe"},
        {"\xed\xa0\x80", 3, "\\xed\\xa0\\x80"},
        {"\xe2\x82", 2, "\\xe2\\x82"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[64];
        ck_assert_str_eq(tm_escape(cases[i].in, cases[i].bytes, out, sizeof out), cases[i].out);
    }
    char small[5];
    ck_assert_str_eq(tm_escape("abc\n", 4, small, sizeof small), "abc"); /* never half an escape */
    ck_assert_str_eq(tm_escape("abcdef", 6, small, sizeof small), "abcd");
    ck_assert_str_eq(tm_escape("abc", 3, small, 1), "");
}
END_TEST

START_TEST(line_is_one_line)
{
    struct tm_err err;
    tm_err_set(&err, TM_E_IO, "evil\nname\r", "w", NULL, "%s", "\x1b]0;title\x07");
    char line[256];
    tm_err_line(&err, line, sizeof line);
    for (const char *at = line; *at != '\0'; at++) {
        ck_assert_int_ge(*at, ' ');
    }
    for (size_t bytes = 1; bytes < 30; bytes++) {
        ck_assert_uint_lt(strlen(tm_err_line(&err, line, bytes)), bytes);
    }
}
END_TEST

START_TEST(assert_aborts)
{
    TM_ASSERT(1 + 1 == 3);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("status");
    TCase *tc = tcase_create("status");
    tcase_add_test(tc, table);
    tcase_add_test(tc, set_and_line);
    tcase_add_test(tc, set_may_read_itself);
    tcase_add_test(tc, cut_to_fit);
    tcase_add_test(tc, escapes);
    tcase_add_test(tc, line_is_one_line);
    tcase_add_test_raise_signal(tc, assert_aborts, SIGABRT);
    suite_add_tcase(suite, tc);
    return suite;
}

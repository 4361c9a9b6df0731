/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/json.h"
#include "node/common/options_private.h"
#include "tests/support/captured.h"
#include "tests/support/suite.h"

static tm_status say(const struct tm_command *command, const struct tm_parsed *parsed,
                     struct tm_err *err)
{
    (void)err;
    printf("%s %s\n", parsed->arguments[0], tm_opt_text(command, parsed, "tone"));
    return TM_OK;
}

static tm_status broken(const struct tm_command *command, const struct tm_parsed *parsed,
                        struct tm_err *err)
{
    (void)command;
    (void)parsed;
    return tm_err_set(err, TM_E_VERIFY, "x\033[31m.tmpk", "broken", "get another", "byte %d", 7);
}

static tm_status silent(const struct tm_command *command, const struct tm_parsed *parsed,
                        struct tm_err *err)
{
    (void)command;
    (void)parsed;
    (void)err;
    return TM_E_NOMEM;
}

static const struct tm_option options[] = {
    {"tone", 't', TM_OPT_CHOICE, "T", "soft|loud", "soft", "how"},
    {0},
};
static const struct tm_option none[] = {{0}};
static const struct tm_command c_say = {
    "say", "WORD", 1, 1, "says a word", "At length.", "  prog say hello", options, say,
};
static const struct tm_command c_fail = {"fail", "", 0, 0, "fails", NULL, NULL, none, broken};
static const struct tm_command c_two = {"deep silent", "", 0, 0, "fails", NULL, NULL, none, silent};
static const struct tm_command *const commands[] = {&c_say, &c_fail, &c_two, NULL};
static const struct tm_program program = {"prog", "a program", commands, "config.toml"};

static struct captured got;

static void run(char *const *words)
{
    captured_run(&program, words, &got);
}

START_TEST(data_on_stdout)
{
    run((char *[]){"prog", "say", "hello", "--tone", "loud", NULL});
    ck_assert_int_eq(got.code, 0);
    ck_assert_str_eq(got.out, "hello loud\n");
    ck_assert_str_eq(got.err, "");
}
END_TEST

START_TEST(help_and_version)
{
    run((char *[]){"prog", "--help", NULL});
    ck_assert_int_eq(got.code, 0);
    ck_assert_ptr_nonnull(strstr(got.out, "says a word"));
    run((char *[]){"prog", "say", "--help", NULL});
    ck_assert_int_eq(got.code, 0);
    ck_assert_ptr_nonnull(strstr(got.out, "usage: prog say WORD"));
    ck_assert_ptr_nonnull(strstr(got.out, "-t, --tone T"));
    ck_assert_ptr_nonnull(strstr(got.out, "soft|loud"));
    ck_assert_ptr_nonnull(strstr(got.out, "prog say hello"));
    run((char *[]){"prog", "--version", NULL});
    ck_assert_str_eq(got.out, "prog " TMILL_VERSION "\n");
    run((char *[]){"prog", NULL});
    ck_assert_int_eq(got.code, 2);
}
END_TEST

START_TEST(one_line_on_stderr_without_control_characters)
{
    run((char *[]){"prog", "fail", NULL});
    ck_assert_int_eq(got.code, 4);
    ck_assert_str_eq(got.out, "");
    ck_assert_str_eq(got.err, "prog: x\\x1b[31m.tmpk: broken: byte 7; get another\n");
}
END_TEST

START_TEST(errors_as_json)
{
    struct tm_json_doc *doc = NULL;
    uint64_t code = 0;
    struct tm_view text;
    run((char *[]){"prog", "fail", "--json", NULL});
    ck_assert_int_eq(got.code, 4);
    ck_assert_uint_eq(captured_lines(got.err), 1);
    ck_assert_int_eq(tm_json_parse(tm_view_str(got.err), "stderr", &doc, NULL), TM_OK);
    const struct tm_json *root = tm_json_root(doc);
    ck_assert(tm_json_str(tm_json_get(root, "schema"), &text));
    ck_assert(tm_view_eq_str(text, "tmill.error/1"));
    ck_assert(tm_json_u64(tm_json_get(root, "code"), &code));
    ck_assert_uint_eq(code, 4);
    ck_assert(tm_json_str(tm_json_get(root, "why"), &text));
    ck_assert(tm_view_eq_str(text, "byte 7"));
    ck_assert(tm_json_str(tm_json_get(root, "hint"), &text));
    ck_assert(tm_view_eq_str(text, "get another"));
    tm_json_free(&doc);
}
END_TEST

START_TEST(a_status_without_words_still_gets_a_line)
{
    run((char *[]){"prog", "deep", "silent", NULL});
    ck_assert_int_eq(got.code, 1);
    ck_assert_str_eq(got.err, "prog: deep silent: failed: out of memory\n");
}
END_TEST

START_TEST(unknown_commands_and_options)
{
    run((char *[]){"prog", "shout", NULL});
    ck_assert_int_eq(got.code, 2);
    ck_assert_uint_eq(captured_lines(got.err), 1);
    run((char *[]){"prog", "deep", NULL});
    ck_assert_int_eq(got.code, 2);
    run((char *[]){"prog", "say", "x", "--tone", "shrill", NULL});
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "soft|loud"));
}
END_TEST

START_TEST(a_full_stdout_is_an_error)
{
    captured_run_to(&program, (char *[]){"prog", "say", "hello", NULL}, "/dev/full", &got);
    ck_assert_int_eq(got.code, 1);
    ck_assert_ptr_nonnull(strstr(got.err, "standard output"));
}
END_TEST

START_TEST(an_unknown_kernel_is_a_usage_error)
{
    setenv("TMILL_KERNEL", "mmx", 1);
    run((char *[]){"prog", "say", "hello", NULL});
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "TMILL_KERNEL"));
    unsetenv("TMILL_KERNEL");
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("program");
    TCase *tc = tcase_create("program");
    tcase_add_test(tc, data_on_stdout);
    tcase_add_test(tc, help_and_version);
    tcase_add_test(tc, one_line_on_stderr_without_control_characters);
    tcase_add_test(tc, errors_as_json);
    tcase_add_test(tc, a_status_without_words_still_gets_a_line);
    tcase_add_test(tc, unknown_commands_and_options);
    tcase_add_test(tc, a_full_stdout_is_an_error);
    tcase_add_test(tc, an_unknown_kernel_is_a_usage_error);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/run_command.h"

#include "node/common/program.h"
#include "tests/support/captured.h"
#include "tests/support/suite.h"
#include "tests/support/tiny_folder.h"

static tm_status run(const struct tm_command *command, const struct tm_parsed *parsed,
                     struct tm_err *err)
{
    return tm_run_run(command, parsed, parsed->arguments[0], NULL, err);
}

static const struct tm_option options[] = {TM_RUN_COMMAND_OPTIONS, {0}};
static const struct tm_command command = {"run", "MODEL", 1, 1, "runs", NULL, NULL, options, run};
static const struct tm_command *const commands[] = {&command, NULL};
static const struct tm_program program = {"prog", "runs", commands, "config.toml"};

static struct test_dir dir;
static struct captured got;

static void setup(void)
{
    struct tiny_model *m = tiny_new("llama");
    dir = test_dir_make();
    tiny_write_folder(&dir, m);
    tiny_free(m);
}

static void teardown(void)
{
    test_dir_remove(&dir);
}

#define RUN(...)                                                                                   \
    captured_run(&program, (char *[]){"prog", "run", dir.path, __VA_ARGS__, NULL}, &got)

START_TEST(it_writes_so_many_tokens)
{
    char first[sizeof got.out];
    RUN("-p", "abc", "-n", "10");
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_uint_eq(strlen(got.out), 11); /* one letter a token, and a newline */
    ck_assert_ptr_nonnull(strstr(got.err, "10 tokens at "));
    memcpy(first, got.out, sizeof first);
    RUN("-p", "abc", "-n", "10", "--threads", "2", "-q");
    ck_assert_str_eq(got.out, first);
    ck_assert_str_eq(got.err, "");
    RUN("-p", "abc", "-n", "0", "-q");
    ck_assert_str_eq(got.out, "");
}
END_TEST

START_TEST(seeds)
{
    char first[sizeof got.out];
    RUN("-p", "abc", "-n", "20", "-q", "--temperature", "1.5", "--seed", "3");
    memcpy(first, got.out, sizeof first);
    RUN("-p", "abc", "-n", "20", "-q", "--temperature", "1.5", "--seed", "3");
    ck_assert_str_eq(got.out, first);
    RUN("-p", "abc", "-n", "20", "-q", "--temperature", "1.5", "--seed", "4");
    ck_assert_str_ne(got.out, first);
}
END_TEST

START_TEST(the_end_of_the_context)
{
    RUN("-p", "abc", "-c", "8", "--json");
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_ptr_nonnull(strstr(got.out, "\"schema\": \"tmill.run/1\""));
    ck_assert_ptr_nonnull(strstr(got.out, "\"end\": \"context\""));
    ck_assert_ptr_nonnull(strstr(got.out, "\"prompt_tokens\": 3"));
    ck_assert_ptr_nonnull(strstr(got.out, "\"tokens\": 6")); /* the last is not read again */
}
END_TEST

START_TEST(what_is_refused)
{
    RUN("-p", "");
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "the prompt is empty"));
    RUN("-p", "abcdefgh", "-c", "8");
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "it has 8 tokens, and the context 8"));
    RUN("-p", "a", "-c", "65");
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "the model was made for at most 64"));
    RUN("-p", "a", "--temperature", "x");
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "'x' is no number from 0 to 100"));
    RUN("-p", "a", "--top-p", "1.5");
    ck_assert_ptr_nonnull(strstr(got.err, "--top-p"));
    ck_assert_int_eq(got.code, 2);
    RUN("-p", "a", "--system", "x");
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "add --chat"));
    RUN("-p", "a", "--chat");
    ck_assert_int_eq(got.code, 3);
    ck_assert_ptr_nonnull(strstr(got.err, "the model has no chat template"));
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("run_command");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, it_writes_so_many_tokens);
    tcase_add_test(tcase, seeds);
    tcase_add_test(tcase, the_end_of_the_context);
    tcase_add_test(tcase, what_is_refused);
    Suite *suite = suite_create("run_command");
    suite_add_tcase(suite, tcase);
    return suite;
}

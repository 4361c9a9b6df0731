/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/export_command.h"

#include "tests/support/captured.h"
#include "tests/support/made_package.h"
#include "tests/support/suite.h"

static tm_status run(const struct tm_command *command, const struct tm_parsed *parsed,
                     struct tm_err *err)
{
    return tm_export_run(command, parsed, parsed->arguments[0], err);
}

static const struct tm_option options[] = {TM_EXPORT_COMMAND_OPTIONS, {0}};
static const struct tm_command command = {"export", "PKG", 1,       1,  "exports",
                                          NULL,     NULL,  options, run};
static const struct tm_command *const commands[] = {&command, NULL};
static const struct tm_program program = {"prog", "exports", commands, "config.toml"};

static struct small_job s;
static struct captured got;
static char target[128];

static void setup(void)
{
    made_package_with(&s, "int8");
    snprintf(target, sizeof target, "%s/m.gguf", s.dir);
}

static void teardown(void)
{
    small_job_close(&s);
}

START_TEST(it_writes_and_says_so)
{
    captured_run(&program,
                 (char *[]){"prog", "export", s.out, "--format", "gguf", "-o", target, NULL}, &got);
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_ptr_nonnull(strstr(got.out, "m.gguf"));
    ck_assert(tm_path_exists(target));
    captured_run(&program,
                 (char *[]){"prog", "export", s.out, "--format", "safetensors", "--type", "bf16",
                            "--json", "-o", target, NULL},
                 &got);
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_ptr_nonnull(strstr(got.out, "\"schema\": \"tmill.export/1\""));
}
END_TEST

START_TEST(both_format_and_file_are_wanted)
{
    captured_run(&program, (char *[]){"prog", "export", s.out, "-o", target, NULL}, &got);
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "--format"));
    captured_run(&program, (char *[]){"prog", "export", s.out, "--format", "gguf", NULL}, &got);
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "--output"));
    captured_run(&program,
                 (char *[]){"prog", "export", s.model, "--format", "gguf", "-o", target, NULL},
                 &got);
    ck_assert_int_eq(got.code, 4); /* a model is no package */
    ck_assert(!tm_path_exists(target));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("export_command");
    TCase *tc = tcase_create("export_command");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, it_writes_and_says_so);
    tcase_add_test(tc, both_format_and_file_are_wanted);
    suite_add_tcase(suite, tc);
    return suite;
}

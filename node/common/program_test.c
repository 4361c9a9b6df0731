/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/program.h"

#include <signal.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
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

/* A signal in the middle of work, with a file half written; a second one if asked. */
static tm_status interrupted(const struct tm_command *command, const struct tm_parsed *parsed,
                             struct tm_err *err)
{
    struct tm_file_out *file = NULL;
    (void)command;
    TM_TRY(tm_file_out_begin(parsed->arguments[0], 0644, &file, err));
    TM_TRY(tm_file_out_write(file, "half", 4, err));
    raise(SIGTERM);
    if (tm_stop_signal != SIGTERM) {
        return TM_E_INTERNAL;
    }
    if (parsed->argument_count > 1) {
        raise(SIGINT); /* does not return */
    }
    return tm_err_set(err, TM_E_STOPPED, "here", "stopped", NULL, "asked to stop");
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
static const struct tm_command c_other = {"deep loud", "", 0, 0, "fails", NULL, NULL, none, silent};
static const struct tm_command c_stop = {
    "stop", "FILE [TWICE]", 1, 2, "is interrupted", NULL, NULL, none, interrupted,
};
static const struct tm_command *const commands[] = {&c_say,   &c_fail, &c_two,
                                                    &c_other, &c_stop, NULL};
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

START_TEST(an_incomplete_command_lists_the_rest)
{
    run((char *[]){"prog", "deep", NULL});
    ck_assert_int_eq(got.code, 2);
    ck_assert_str_eq(got.err,
                     "prog: deep: incomplete command: there are: deep silent, deep loud\n");
    run((char *[]){"prog", "dee", NULL});
    ck_assert_ptr_nonnull(strstr(got.err, "unknown command"));
}
END_TEST

/* However wrong the command line is; but not after --. */
START_TEST(errors_are_json_wherever_it_is_said)
{
    char *const *lines[] = {
        (char *[]){"prog", "shout", "--json", NULL},
        (char *[]){"prog", "--json", NULL},
        (char *[]){"prog", "say", "--nonsense", "--json", NULL},
        (char *[]){"prog", "say", "x", "--tone", "shrill", "--json", NULL},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct tm_json_doc *doc = NULL;
        uint64_t code = 0;
        run(lines[i]);
        ck_assert_int_eq(got.code, 2);
        ck_assert_msg(tm_json_parse(tm_view_str(got.err), "stderr", &doc, NULL) == TM_OK, "%zu: %s",
                      i, got.err);
        ck_assert(tm_json_u64(tm_json_get(tm_json_root(doc), "code"), &code));
        ck_assert_uint_eq(code, 2);
        tm_json_free(&doc);
    }
    run((char *[]){"prog", "say", "x", "y", "--", "--json", NULL});
    ck_assert_ptr_nonnull(strstr(got.err, "prog: y: too many"));
}
END_TEST

START_TEST(lost_output_is_noticed)
{
    static const char *const places[] = {"/dev/full", ""};
    char *const *lines[] = {
        (char *[]){"prog", "say", "hello", NULL},
        (char *[]){"prog", "say", "--help", NULL},
        (char *[]){"prog", "--help", NULL},
        (char *[]){"prog", "--version", NULL},
    };
    for (size_t i = 0; i < 8; i++) {
        captured_run_to(&program, lines[i / 2], places[i % 2], &got);
        ck_assert_msg(got.code == 1, "%zu: exit %d, %s", i, got.code, got.err);
        ck_assert_ptr_nonnull(strstr(got.err, "standard output: cannot write"));
    }
}
END_TEST

START_TEST(signals)
{
    char dir[64] = "/tmp/tm-program-XXXXXX", path[96];
    struct tm_dir_list list;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
    run((char *[]){"prog", "stop", path, NULL});
    ck_assert_int_eq(got.code, 9);
    run((char *[]){"prog", "stop", path, "twice", NULL});
    ck_assert_int_eq(got.code, 128 + SIGINT);
    ck_assert_int_eq(tm_dir_list(dir, &list, NULL), TM_OK);
    ck_assert_uint_eq(list.count, 0);
    tm_dir_list_free(&list);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* Each program has a file of its own: the keys of one are unknown to the other. */
START_TEST(the_configuration_of_the_program)
{
    static const struct tm_program other = {"other", "a program", commands, "other.toml"};
    char dir[64] = "/tmp/tm-program-XXXXXX", path[128];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    setenv("XDG_CONFIG_HOME", dir, 1);
    unsetenv("TMILL_CONFIG");
    snprintf(path, sizeof path, "%s/tmill", dir);
    ck_assert_int_eq(tm_dir_make(path, 0755, NULL), TM_OK);
    snprintf(path, sizeof path, "%s/tmill/config.toml", dir);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_view_str("tone = \"loud\"\n"), NULL),
                     TM_OK);
    snprintf(path, sizeof path, "%s/tmill/other.toml", dir);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_view_str("pitch = 3\n"), NULL), TM_OK);
    run((char *[]){"prog", "say", "hello", NULL});
    ck_assert_str_eq(got.out, "hello loud\n");
    captured_run(&other, (char *[]){"other", "say", "hello", NULL}, &got);
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "other.toml:1:"));
    ck_assert_ptr_nonnull(strstr(got.err, "'pitch' is no option"));
    ck_assert_int_eq(tm_dir_remove_tree(dir, NULL), TM_OK);
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
    tcase_add_test(tc, an_incomplete_command_lists_the_rest);
    tcase_add_test(tc, errors_are_json_wherever_it_is_said);
    tcase_add_test(tc, lost_output_is_noticed);
    tcase_add_test(tc, signals);
    tcase_add_test(tc, the_configuration_of_the_program);
    suite_add_tcase(suite, tc);
    return suite;
}

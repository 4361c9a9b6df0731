/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/envelope.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/captured.h"
#include "tests/support/suite.h"

static tm_status object(const struct tm_command *command, const struct tm_parsed *parsed,
                        struct tm_err *err)
{
    static char *const warnings[] = {"a \"quoted\" one", "two"};
    struct tm_envelope out;
    (void)command;
    (void)parsed;
    tm_envelope_begin(&out, "test.object/1");
    tm_jw_str(&out.jw, "name", "x");
    return tm_envelope_end(&out, warnings, 2, err);
}

static tm_status list(const struct tm_command *command, const struct tm_parsed *parsed,
                      struct tm_err *err)
{
    struct tm_envelope out;
    (void)command;
    (void)parsed;
    tm_envelope_begin_list(&out, "test.list/1");
    tm_jw_u64(&out.jw, NULL, 7);
    return tm_envelope_end(&out, NULL, 0, err);
}

static tm_status dropped(const struct tm_command *command, const struct tm_parsed *parsed,
                         struct tm_err *err)
{
    struct tm_envelope out;
    (void)command;
    (void)parsed;
    (void)err;
    size_t before = tm_mem_live_blocks();
    tm_envelope_begin(&out, "test.dropped/1");
    tm_envelope_drop(&out);
    tm_envelope_drop(&out);
    return tm_mem_live_blocks() == before ? TM_OK : TM_E_INTERNAL;
}

/* The envelope or the status of the n-th failing allocation; never a part of the text. */
static tm_status without_memory(const struct tm_command *command, const struct tm_parsed *parsed,
                                struct tm_err *err)
{
    size_t before = tm_mem_live_blocks();
    tm_mem_fail_at(1);
    tm_status status = list(command, parsed, err);
    bool failed = tm_mem_failed();
    tm_mem_fail_at(0);
    return failed && status == TM_E_NOMEM && tm_mem_live_blocks() == before ? TM_OK : TM_E_INTERNAL;
}

static const struct tm_option none[] = {{0}};
#define COMMAND(name, run)                                                                         \
    {                                                                                              \
        name, "", 0, 0, "prints", NULL, NULL, none, run                                            \
    }
static const struct tm_command c_object = COMMAND("object", object), c_list = COMMAND("list", list),
                               c_dropped = COMMAND("dropped", dropped),
                               c_without = COMMAND("without", without_memory);
static const struct tm_command *const commands[] = {&c_object, &c_list, &c_dropped, &c_without,
                                                    NULL};
static const struct tm_program program = {"prog", "prints", commands, "config.toml"};
static struct captured got;

static struct tm_json_doc *run(char *command)
{
    struct tm_json_doc *doc = NULL;
    captured_run(&program, (char *[]){"prog", command, NULL}, &got);
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_int_eq(tm_json_parse(tm_view_str(got.out), "stdout", &doc, NULL), TM_OK);
    ck_assert_uint_eq(tm_json_count(tm_json_root(doc)), 3);
    ck_assert_int_eq(got.out[strlen(got.out) - 1], '\n');
    return doc;
}

START_TEST(an_object_with_warnings)
{
    struct tm_json_doc *doc = run("object");
    const struct tm_json *root = tm_json_root(doc);
    struct tm_view text;
    ck_assert(tm_json_str(tm_json_get(root, "schema"), &text));
    ck_assert(tm_view_eq_str(text, "test.object/1"));
    ck_assert(tm_json_str(tm_json_get(tm_json_get(root, "data"), "name"), &text));
    ck_assert(tm_view_eq_str(text, "x"));
    const struct tm_json *warnings = tm_json_get(root, "warnings");
    ck_assert_uint_eq(tm_json_count(warnings), 2);
    ck_assert(tm_json_str(tm_json_at(warnings, 0), &text));
    ck_assert(tm_view_eq_str(text, "a \"quoted\" one"));
    tm_json_free(&doc);
}
END_TEST

START_TEST(a_list_without_warnings)
{
    struct tm_json_doc *doc = run("list");
    const struct tm_json *root = tm_json_root(doc);
    uint64_t number = 0;
    ck_assert(tm_json_u64(tm_json_at(tm_json_get(root, "data"), 0), &number));
    ck_assert_uint_eq(number, 7);
    ck_assert_int_eq(tm_json_kind(tm_json_get(root, "warnings")), TM_JSON_ARRAY);
    ck_assert_uint_eq(tm_json_count(tm_json_get(root, "warnings")), 0);
    tm_json_free(&doc);
}
END_TEST

START_TEST(nothing_is_printed_when_dropped_or_out_of_memory)
{
    captured_run(&program, (char *[]){"prog", "dropped", NULL}, &got);
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_str_eq(got.out, "");
    captured_run(&program, (char *[]){"prog", "without", NULL}, &got);
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_str_eq(got.out, "");
}
END_TEST

START_TEST(a_full_stdout_is_an_error)
{
    captured_run_to(&program, (char *[]){"prog", "object", NULL}, "/dev/full", &got);
    ck_assert_int_eq(got.code, 1);
    ck_assert_ptr_nonnull(strstr(got.err, "standard output: cannot write"));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("envelope");
    TCase *tc = tcase_create("envelope");
    tcase_add_test(tc, an_object_with_warnings);
    tcase_add_test(tc, a_list_without_warnings);
    tcase_add_test(tc, nothing_is_printed_when_dropped_or_out_of_memory);
    tcase_add_test(tc, a_full_stdout_is_an_error);
    suite_add_tcase(suite, tc);
    return suite;
}

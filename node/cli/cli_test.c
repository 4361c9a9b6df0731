/* SPDX-License-Identifier: Apache-2.0
 * What the commands share, and the commands themselves as far as one process can try them; whole
 * programs are in tests/whole. */
#include "node/cli/cli.h"

#include <string.h>

#include "base/json.h"
#include "tests/support/captured.h"
#include "tests/support/made_package.h"
#include "tests/support/suite.h"

static const struct tm_command *const commands[] = {
    &tm_cmd_inspect,  &tm_cmd_verify,   &tm_cmd_export,   &tm_cmd_publish,    &tm_cmd_jobs,
    &tm_cmd_show,     &tm_cmd_cancel,   &tm_cmd_selftest, &tm_cmd_key_gen,    &tm_cmd_key_show,
    &tm_cmd_compress, &tm_cmd_node_run, &tm_cmd_watch,    &tm_cmd_key_export, NULL,
};
static const struct tm_program program = {"tmill", "test", commands, "config.toml"};

static struct small_job s;
static struct captured got;
static char home[96];

static void setup(void)
{
    made_package_with(&s, "int8");
    snprintf(home, sizeof home, "%s/home", s.dir);
    setenv("HOME", home, 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_STATE_HOME");
}

static void teardown(void)
{
    small_job_close(&s);
}

#define RUN(...) captured_run(&program, (char *[]){"tmill", __VA_ARGS__, NULL}, &got)

/* The member of "data" of the answer, as a number. */
static uint64_t number(const char *key)
{
    struct tm_json_doc *doc = NULL;
    uint64_t value = 0;
    ck_assert_msg(got.code == 0, "%s", got.err);
    ck_assert_int_eq(tm_json_parse(tm_view_str(got.out), "stdout", &doc, NULL), TM_OK);
    const struct tm_json *data = tm_json_get(tm_json_root(doc), "data");
    ck_assert_msg(tm_json_u64(tm_json_get(data, key), &value), "no %s in %s", key, got.out);
    tm_json_free(&doc);
    return value;
}

START_TEST(numbers_have_points_and_four_digits)
{
    char text[32];
    ck_assert_str_eq(tm_cli_number(1.4125, text), "1.413");
    ck_assert_str_eq(tm_cli_number(0, text), "0.000000000");
    ck_assert_str_eq(tm_cli_number(0.08977, text), "0.08977");
    ck_assert_str_eq(tm_cli_number(1234.4, text), "1234");
    ck_assert_str_eq(tm_cli_number(-1, text), "-");
}
END_TEST

START_TEST(keys_are_made_shown_and_never_overwritten)
{
    char key[128];
    RUN("key", "show");
    ck_assert_int_eq(got.code, 3);
    ck_assert_ptr_nonnull(strstr(got.err, "key gen"));
    RUN("key", "gen");
    ck_assert_msg(got.code == 0, "%s", got.err);
    RUN("key", "gen");
    ck_assert_int_ne(got.code, 0);
    RUN("key", "gen", "--name", "../../away"); /* a name is no path */
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "bad key name"));
    RUN("key", "export");
    ck_assert_int_eq(got.code, 0);
    snprintf(key, sizeof key, "%.100s", got.out);
    RUN("key", "show", "--json");
    ck_assert_int_eq(got.code, 0);
    key[strcspn(key, "\n")] = '\0';
    ck_assert_ptr_nonnull(strstr(got.out, key));
}
END_TEST

START_TEST(an_owners_key_is_made_on_first_use_but_not_where_told)
{
    struct tm_identity *a = NULL, *b = NULL;
    struct tm_err err = {0};
    char path[160];
    ck_assert_int_eq(tm_cli_identity(NULL, "owner", &a, &err), TM_OK);
    ck_assert_int_eq(tm_cli_identity(NULL, "owner", &b, &err), TM_OK);
    ck_assert(tm_public_key_eq(tm_identity_public(a), tm_identity_public(b)));
    tm_identity_destroy(&a);
    tm_identity_destroy(&b);
    snprintf(path, sizeof path, "%s/some.key", s.dir);
    ck_assert_int_eq(tm_cli_identity(path, "owner", &a, &err), TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_cli_identity(path, "node", &a, &err), TM_OK);
    tm_identity_destroy(&a);
}
END_TEST

START_TEST(inspect_models_and_packages)
{
    RUN("inspect", s.model, "--json", "--tensors", "--hash");
    ck_assert_uint_eq(number("tensor_count"), SMALL_JOB_MATRICES + 1);
    ck_assert_ptr_nonnull(strstr(got.out, "\"sha256\""));
    RUN("inspect", s.model, "--tensors");
    ck_assert_ptr_nonnull(strstr(got.out, "layers.0.weight"));
    RUN("inspect", s.out, "--json");
    ck_assert_uint_eq(number("chunks"), SMALL_JOB_LOSSY + 1);
    RUN("inspect", s.out, "--tensors");
    ck_assert_ptr_nonnull(strstr(got.out, "int.1(bits=8,group=32) > rans.1"));
    RUN("inspect", "/no/such/model");
    ck_assert_int_eq(got.code, 3);
    ck_assert_uint_eq(captured_lines(got.err), 1);
}
END_TEST

START_TEST(verify_says_what_it_proved_and_what_not)
{
    RUN("verify", s.out);
    ck_assert_int_eq(got.code, 0);
    ck_assert_ptr_nonnull(strstr(got.out, "not checked: give --against"));
    RUN("verify", s.out, "--against", s.model, "--sample", "4", "--seed", "3");
    ck_assert_int_eq(got.code, 0);
    ck_assert_ptr_nonnull(strstr(got.out, "4/17 units made again"));
    ck_assert_ptr_nonnull(strstr(got.out, "not proven     the other 13 units"));
    RUN("verify", s.out, "--against", s.model, "--full", "--json");
    ck_assert_uint_eq(number("units_checked"), 17);
    RUN("verify", s.out, "--owner", "tmpub1nonsense");
    ck_assert_int_ne(got.code, 0);
}
END_TEST

START_TEST(publish_counts_up_and_refuses_the_same)
{
    char repo[128];
    snprintf(repo, sizeof repo, "%s/repo", s.dir);
    RUN("publish", s.out, "--repo", repo, "--name", "tiny", "--json");
    ck_assert_uint_eq(number("release"), 1);
    RUN("publish", s.out, "--repo", repo, "--name", "tiny");
    ck_assert_int_eq(got.code, 10);
    RUN("publish", s.out, "--repo", repo, "--name", "other", "--json");
    ck_assert_uint_eq(number("index_version"), 2);
    RUN("publish", s.out, "--repo", repo, "--name", "../x");
    ck_assert_int_eq(got.code, 2);
    RUN("publish", s.model, "--repo", repo);
    ck_assert_int_eq(got.code, 4);
    RUN("publish", s.out);
    ck_assert_int_eq(got.code, 2);
}
END_TEST

START_TEST(jobs_are_listed_shown_and_cancelled)
{
    char state[128], id[16];
    snprintf(state, sizeof state, "%s/xdg", s.dir);
    setenv("XDG_STATE_HOME", state, 1);
    RUN("jobs");
    ck_assert_str_eq(got.out, "no jobs\n");
    snprintf(s.state, sizeof s.state, "%.80s/xdg/tmill", s.dir);
    small_job_prepare(&s);
    made_unit(&s, 0, 0);
    snprintf(id, sizeof id, "%s", s.job->id);
    RUN("show", id, "--json");
    ck_assert_uint_eq(number("units_done"), 1);
    ck_assert_ptr_nonnull(strstr(got.out, "\"state\": \"running\"")); /* we hold its lock */
    tm_job_close(&s.job);
    RUN("jobs", "--json");
    ck_assert_ptr_nonnull(strstr(got.out, id));
    ck_assert_ptr_nonnull(strstr(got.out, "\"state\": \"stopped\""));
    RUN("watch", id);
    ck_assert_int_eq(got.code, 0);
    RUN("cancel", id);
    ck_assert_int_eq(got.code, 0);
    RUN("cancel", id);
    ck_assert_int_eq(got.code, 10);
    RUN("show", "Jnone");
    ck_assert_int_eq(got.code, 3);
    unsetenv("XDG_STATE_HOME");
}
END_TEST

START_TEST(selftest_prints_the_digests)
{
    RUN("selftest", "--json");
    ck_assert_int_eq(got.code, 0);
    ck_assert_ptr_nonnull(strstr(got.out, "\"golden\""));
}
END_TEST

START_TEST(what_is_missing_is_named)
{
    RUN("compress", s.model);
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "-o OUT.tmpk"));
    RUN("compress", s.model, "-o", s.out, "--workers", "0");
    ck_assert_int_eq(got.code, 2);
    RUN("node", "run", "--join", "tcp://127.0.0.1:1");
    ck_assert_int_eq(got.code, 2);
    ck_assert_ptr_nonnull(strstr(got.err, "--server-key"));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("cli");
    TCase *tc = tcase_create("cli");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, numbers_have_points_and_four_digits);
    tcase_add_test(tc, keys_are_made_shown_and_never_overwritten);
    tcase_add_test(tc, an_owners_key_is_made_on_first_use_but_not_where_told);
    tcase_add_test(tc, inspect_models_and_packages);
    tcase_add_test(tc, verify_says_what_it_proved_and_what_not);
    tcase_add_test(tc, publish_counts_up_and_refuses_the_same);
    tcase_add_test(tc, jobs_are_listed_shown_and_cancelled);
    tcase_add_test(tc, selftest_prints_the_digests);
    tcase_add_test(tc, what_is_missing_is_named);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0
 * The commands of tmill-edge as far as one process can try them, against a folder that was
 * published; whole programs and servers are in tests/whole. */
#include "node/edge/edge_commands.h"

#include <string.h>

#include "base/json.h"
#include "package/release.h"
#include "tests/support/captured.h"
#include "tests/support/made_package.h"
#include "tests/support/suite.h"

static const struct tm_command *const commands[] = {
    &tm_edge_trust_add, &tm_edge_trust_list, &tm_edge_trust_remove, &tm_edge_pull,
    &tm_edge_update,    &tm_edge_list,       &tm_edge_show,         &tm_edge_verify,
    &tm_edge_export,    &tm_edge_rollback,   &tm_edge_remove,       NULL,
};
static const struct tm_program program = {"tmill-edge", "test", commands, "edge.toml"};

static struct small_job s;
static struct captured got;
static struct tm_index index_now;
static char repo[96], key[TM_PUBLIC_KEY_TEXT], key_id[TM_NODE_ID_TEXT], data_home[96];

#define RUN(...) captured_run(&program, (char *[]){"tmill-edge", __VA_ARGS__, NULL}, &got)

static void write_index(void)
{
    char path[128];
    struct tm_err err;
    struct tm_buf text;
    tm_buf_init(&text, 1 << 20);
    snprintf(path, sizeof path, "%s/index.json", repo);
    ck_assert_int_eq(tm_index_write(&index_now, s.owner, &text, &err), TM_OK);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_buf_view(&text), &err), TM_OK);
    tm_buf_deinit(&text);
}

/* The package at path as the next release of name. */
static void publish(const char *path, const char *name)
{
    struct tm_package *package = NULL;
    struct tm_buf bytes;
    struct tm_err err;
    char to[256], hex[TM_DIGEST_TEXT];
    ck_assert_int_eq(tm_package_open(path, &package, &err), TM_OK);
    ck_assert_int_eq(
        tm_index_add(&index_now, name, tm_package_id(package), tm_package_bytes(package), "", &err),
        TM_OK);
    snprintf(to, sizeof to, "%s/packages", repo);
    ck_assert_int_eq(tm_dir_make(to, 0755, &err), TM_OK);
    snprintf(to, sizeof to, "%s/packages/%s.tmpk", repo,
             tm_digest_hex(tm_package_id(package), hex));
    tm_package_close(&package);
    tm_buf_init(&bytes, 1 << 24);
    ck_assert_int_eq(tm_file_read(path, &bytes, &err), TM_OK);
    ck_assert_int_eq(tm_file_write_atomic(to, 0644, tm_buf_view(&bytes), &err), TM_OK);
    tm_buf_deinit(&bytes);
    write_index();
}

/* A package of other weights: the model of the small job made by another recipe. */
static void publish_next(void)
{
    struct small_job other;
    made_package_with(&other, "int4");
    publish(other.out, "tiny");
    small_job_close(&other);
}

static void setup(void)
{
    made_package_with(&s, "int8");
    snprintf(repo, sizeof repo, "%s/repo", s.dir);
    snprintf(data_home, sizeof data_home, "%s/data", s.dir);
    setenv("XDG_DATA_HOME", data_home, 1);
    setenv("XDG_CONFIG_HOME", data_home, 1);
    tm_public_key_text(tm_identity_public(s.owner), key);
    struct tm_node_id node = tm_identity_node_id(s.owner);
    tm_node_id_hex(&node, key_id);
    tm_index_init(&index_now);
    publish(s.out, "tiny");
}

static void teardown(void)
{
    tm_index_deinit(&index_now);
    small_job_close(&s);
}

static void ok(void)
{
    ck_assert_msg(got.code == 0, "exit %d: %s", got.code, got.err);
}

/* stdout is one envelope of the schema; the first item of its data (or data itself) has the text
 * under the key. */
static void envelope_has(const char *schema, const char *name, const char *value)
{
    struct tm_json_doc *doc = NULL;
    struct tm_view text;
    ok();
    ck_assert_int_eq(tm_json_parse(tm_view_str(got.out), "stdout", &doc, NULL), TM_OK);
    const struct tm_json *root = tm_json_root(doc);
    ck_assert(tm_json_str(tm_json_get(root, "schema"), &text));
    ck_assert(tm_view_eq_str(text, schema));
    ck_assert_int_eq(tm_json_kind(tm_json_get(root, "warnings")), TM_JSON_ARRAY);
    const struct tm_json *data = tm_json_get(root, "data");
    if (tm_json_kind(data) == TM_JSON_ARRAY) {
        data = tm_json_at(data, 0);
    }
    ck_assert_msg(tm_json_str(tm_json_get(data, name), &text), "no %s: %s", name, got.out);
    ck_assert_msg(tm_view_eq_str(text, value), "%s", got.out);
    tm_json_free(&doc);
}

static void trust_and_pull(void)
{
    RUN("trust", "add", key);
    ok();
    RUN("pull", repo, "tiny", "-q");
    ok();
}

START_TEST(the_life_of_a_model)
{
    char out[128];
    trust_and_pull();
    ck_assert_ptr_nonnull(strstr(got.out, "tiny  release 1  fetched"));
    ck_assert_str_eq(got.err, "");
    RUN("list");
    ck_assert_ptr_nonnull(strstr(got.out, "release 1\n"));
    RUN("show", "tiny");
    ck_assert_ptr_nonnull(strstr(got.out, key));
    RUN("verify");
    ck_assert_ptr_nonnull(strstr(got.out, "17 unit signatures"));
    RUN("update", "-q");
    ck_assert_int_eq(got.code, 10);
    publish_next();
    RUN("update", "-q");
    ok();
    ck_assert_ptr_nonnull(strstr(got.out, "tiny  release 1 -> 2"));
    RUN("rollback", "tiny");
    ok();
    RUN("list");
    ck_assert_ptr_nonnull(strstr(got.out, "release 1"));
    RUN("rollback", "tiny");
    ck_assert_int_eq(got.code, 10);
    snprintf(out, sizeof out, "%s/tiny.gguf", s.dir);
    RUN("export", "tiny", "--format", "gguf", "-o", out, "-q");
    ok();
    ck_assert(tm_path_exists(out));
    RUN("rm", "tiny");
    ok();
    RUN("list");
    ck_assert_str_eq(got.out, "no models\n");
}
END_TEST

START_TEST(each_command_in_json)
{
    RUN("trust", "add", key, "--json");
    envelope_has("tmill.edge.trust.add/1", "id", key_id);
    RUN("trust", "list", "--json");
    envelope_has("tmill.edge.trust/1", "key", key);
    RUN("pull", repo, "tiny", "-q", "--json");
    envelope_has("tmill.edge.pull/1", "name", "tiny");
    RUN("list", "--json");
    envelope_has("tmill.edge.list/1", "remote", repo);
    RUN("show", "tiny", "--json");
    envelope_has("tmill.edge.show/1", "owner", key);
    RUN("verify", "tiny", "--json");
    envelope_has("tmill.edge.verify/1", "name", "tiny");
    publish_next();
    RUN("update", "-q", "--json");
    envelope_has("tmill.edge.pull/1", "name", "tiny");
    RUN("rollback", "tiny", "--json");
    envelope_has("tmill.edge.rollback/1", "name", "tiny");
    RUN("rm", "tiny", "--json");
    envelope_has("tmill.edge.rm/1", "name", "tiny");
    RUN("trust", "rm", key_id, "--json");
    envelope_has("tmill.edge.trust.rm/1", "id", key_id);
}
END_TEST

START_TEST(wrong_words_have_their_exit_codes)
{
    RUN("pull", repo, "tiny", "-q");
    ck_assert_int_eq(got.code, 4); /* nobody is trusted yet */
    ck_assert_ptr_nonnull(strstr(got.err, "trust add"));
    RUN("trust", "add", "tmpub1nonsense");
    ck_assert_int_ne(got.code, 0);
    RUN("trust", "rm", key_id);
    ck_assert_int_eq(got.code, 3);
    trust_and_pull();
    RUN("trust", "add", key);
    ck_assert_int_eq(got.code, 10);
    RUN("pull", repo, "../tiny");
    ck_assert_int_eq(got.code, 2);
    RUN("pull", "ftp://example.org", "tiny");
    ck_assert_int_eq(got.code, 2);
    RUN("pull", "no/such/folder", "tiny");
    ck_assert_int_eq(got.code, 3);
    RUN("pull", repo, "other");
    ck_assert_int_eq(got.code, 3);
    RUN("show", "other");
    ck_assert_int_eq(got.code, 3);
    RUN("verify", "other");
    ck_assert_int_eq(got.code, 3);
    RUN("update", "other");
    ck_assert_int_eq(got.code, 3);
    RUN("list", "--store", "");
    ck_assert_int_eq(got.code, 2);
    ck_assert_uint_eq(captured_lines(got.err), 1);
}
END_TEST

START_TEST(nothing_to_update)
{
    RUN("update");
    ck_assert_int_eq(got.code, 10);
    ck_assert_ptr_nonnull(strstr(got.err, "no model is installed"));
}
END_TEST

/* A pull of the release that is there still moves the place where updates come from. */
START_TEST(a_pull_moves_the_place)
{
    char moved[128];
    trust_and_pull();
    snprintf(moved, sizeof moved, "%s/moved", s.dir);
    ck_assert_int_eq(rename(repo, moved), 0);
    RUN("update", "-q");
    ck_assert_int_eq(got.code, 3);
    RUN("pull", moved, "tiny", "-q");
    ck_assert_int_eq(got.code, 10);
    RUN("update", "-q");
    ck_assert_int_eq(got.code, 10);
}
END_TEST

/* "a" is damaged on the device and at the publisher; "b" is checked and updated all the same. */
START_TEST(one_bad_model_does_not_stop_the_others)
{
    char path[256];
    FILE *f;
    publish(s.out, "a");
    publish(s.out, "b");
    RUN("trust", "add", key);
    RUN("pull", repo, "a", "-q");
    ok();
    RUN("pull", repo, "b", "-q");
    ok();
    snprintf(path, sizeof path, "%s/tmill/edge/models/a/1/model.tmpk", data_home);
    f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 20000, SEEK_SET), 0);
    int byte = fgetc(f);
    ck_assert_int_eq(fseek(f, 20000, SEEK_SET), 0);
    fputc(byte ^ 1, f);
    fclose(f);
    RUN("verify");
    ck_assert_int_eq(got.code, 4);
    ck_assert_ptr_nonnull(strstr(got.err, "models/a/1"));
    ck_assert_ptr_nonnull(strstr(got.out, "b  release 1 ok"));
    snprintf(path, sizeof path, "%s/tmill/edge/models/a/remote", data_home);
    ck_assert_int_eq(unlink(path), 0);
    publish(s.out, "b");
    RUN("update", "-q");
    ck_assert_int_eq(got.code, 3);
    ck_assert_ptr_nonnull(strstr(got.err, "no place to update from"));
    ck_assert_ptr_nonnull(strstr(got.out, "b  release 1 -> 2"));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("edge_commands");
    TCase *tc = tcase_create("edge_commands");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_life_of_a_model);
    tcase_add_test(tc, each_command_in_json);
    tcase_add_test(tc, wrong_words_have_their_exit_codes);
    tcase_add_test(tc, nothing_to_update);
    tcase_add_test(tc, a_pull_moves_the_place);
    tcase_add_test(tc, one_bad_model_does_not_stop_the_others);
    suite_add_tcase(suite, tc);
    return suite;
}

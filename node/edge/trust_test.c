/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/trust.h"

#include <string.h>
#include <unistd.h>

#include "tests/support/small_job.h"
#include "tests/support/suite.h"

static char store[64];
static struct tm_err err;
static struct tm_trust trust;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    snprintf(store, sizeof store, "/tmp/tm-trust-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(store));
}

static void teardown(void)
{
    ck_assert_int_eq(tm_dir_remove_tree(store, &err), TM_OK);
}

START_TEST(keys_are_added_listed_and_removed)
{
    struct tm_identity *a = small_job_identity(1), *b = small_job_identity(2);
    char id[TM_NODE_ID_TEXT];
    ck_assert_int_eq(tm_trust_load(store, &trust, &err), TM_OK);
    ck_assert_uint_eq(trust.count, 0);
    ck_assert_int_eq(tm_trust_add(store, tm_identity_public(a), &err), TM_OK);
    ck_assert_int_eq(tm_trust_add(store, tm_identity_public(b), &err), TM_OK);
    ck_assert_int_eq(tm_trust_add(store, tm_identity_public(a), &err), TM_E_NOTHING);
    ck_assert_int_eq(tm_trust_load(store, &trust, &err), TM_OK);
    ck_assert_uint_eq(trust.count, 2);
    struct tm_node_id node = tm_identity_node_id(a);
    ck_assert_int_eq(tm_trust_remove(store, tm_node_id_hex(&node, id), &err), TM_OK);
    ck_assert_int_eq(tm_trust_remove(store, id, &err), TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_trust_load(store, &trust, &err), TM_OK);
    ck_assert_uint_eq(trust.count, 1);
    ck_assert(tm_public_key_eq(&trust.keys[0], tm_identity_public(b)));
    tm_identity_destroy(&a);
    tm_identity_destroy(&b);
}
END_TEST

START_TEST(what_is_no_key_is_told_with_its_file)
{
    char path[128];
    snprintf(path, sizeof path, "%s/trust", store);
    ck_assert_int_eq(tm_dir_make(path, 0755, &err), TM_OK);
    snprintf(path, sizeof path, "%s/trust/x.pub", store);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_view_str("tmpub1oops\n"), &err), TM_OK);
    ck_assert_int_eq(tm_trust_load(store, &trust, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.where, "x.pub"));
    ck_assert_int_eq(tm_trust_remove(store, "../../etc/passwd", &err), TM_E_USAGE);
}
END_TEST

START_TEST(the_place_of_a_model_is_remembered)
{
    char path[128], location[TM_PATH_MAX];
    ck_assert_int_eq(tm_remote_read(store, "smol", location, &err), TM_E_NOT_FOUND);
    snprintf(path, sizeof path, "%s/models/smol", store);
    ck_assert_int_eq(tm_dir_make(path, 0755, &err), TM_OK);
    ck_assert_int_eq(tm_remote_write(store, "smol", "https://example.org/repo", &err), TM_OK);
    ck_assert_int_eq(tm_remote_read(store, "smol", location, &err), TM_OK);
    ck_assert_str_eq(location, "https://example.org/repo");
}
END_TEST

static void put(const char *name, const void *data, size_t bytes)
{
    char path[192];
    snprintf(path, sizeof path, "%s/trust", store);
    ck_assert_int_eq(tm_dir_make(path, 0755, &err), TM_OK);
    snprintf(path, sizeof path, "%s/trust/%s", store, name);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_view_of(data, bytes), &err), TM_OK);
}

/* One file each, removed again; all are refused with the file's name. */
START_TEST(files_that_hold_no_one_key)
{
    static char long_line[1000];
    struct tm_identity *a = small_job_identity(1), *b = small_job_identity(2);
    char text[TM_PUBLIC_KEY_TEXT], id[TM_NODE_ID_TEXT], name[64], path[192], two[256], zero[256];
    struct tm_node_id node = tm_identity_node_id(a);
    tm_public_key_text(tm_identity_public(a), text);
    snprintf(name, sizeof name, "%s.pub", tm_node_id_hex(&node, id));
    memset(long_line, 'x', sizeof long_line);
    int two_bytes = snprintf(two, sizeof two, "%s\n%s\n", text, text);
    int zero_bytes = snprintf(zero, sizeof zero, "%s%c%s", text, 0, text);
    const struct {
        const void *data;
        size_t bytes;
    } cases[] = {{"", 0},
                 {"\n", 1},
                 {long_line, sizeof long_line},
                 {two, (size_t)two_bytes},
                 {zero, (size_t)zero_bytes},
                 {text, strlen(text) - 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(name, cases[i].data, cases[i].bytes);
        ck_assert_msg(tm_trust_load(store, &trust, &err) == TM_E_MALFORMED, "case %zu", i);
        ck_assert_ptr_nonnull(strstr(err.where, name));
    }
    put(name, text, strlen(text)); /* the end of line may be missing */
    ck_assert_int_eq(tm_trust_load(store, &trust, &err), TM_OK);
    ck_assert_uint_eq(trust.count, 1);
    /* Another key under that name could not be removed by its id. */
    tm_public_key_text(tm_identity_public(b), text);
    put(name, text, strlen(text));
    ck_assert_int_eq(tm_trust_load(store, &trust, &err), TM_E_MALFORMED);
    node = tm_identity_node_id(b);
    ck_assert_ptr_nonnull(strstr(err.why, tm_node_id_hex(&node, id)));
    snprintf(path, sizeof path, "%s/trust/%s", store, name);
    ck_assert_int_eq(unlink(path), 0);
    put("README", "not a key", 9); /* other files are left alone */
    ck_assert_int_eq(tm_trust_load(store, &trust, &err), TM_OK);
    ck_assert_uint_eq(trust.count, 0);
    tm_identity_destroy(&a);
    tm_identity_destroy(&b);
}
END_TEST

START_TEST(more_keys_than_there_is_room_for)
{
    for (size_t i = 0; i <= TM_TRUST_MAX; i++) {
        char text[TM_PUBLIC_KEY_TEXT], id[TM_NODE_ID_TEXT], name[64];
        struct tm_public_key key = {{(uint8_t)i, (uint8_t)(i >> 8), 7}};
        struct tm_node_id node = tm_node_id_of(&key);
        snprintf(name, sizeof name, "%s.pub", tm_node_id_hex(&node, id));
        tm_public_key_text(&key, text);
        put(name, text, strlen(text));
    }
    ck_assert_int_eq(tm_trust_load(store, &trust, &err), TM_E_LIMIT);
    ck_assert_uint_eq(trust.count, TM_TRUST_MAX);
    ck_assert_ptr_nonnull(strstr(err.why, "256"));
}
END_TEST

START_TEST(key_ids_that_are_none)
{
    static const char *const ids[] = {"", "3f2a", "../../../../../../../../../../etc/passwd/x",
                                      "zzzzzzzzzzzzzzzzzzzz/../zzzzzzzzzzzzzzzzz"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        ck_assert_int_eq(tm_trust_remove(store, ids[i], &err), TM_E_USAGE);
        ck_assert_ptr_nonnull(strstr(err.hint, "trust list"));
    }
    ck_assert_int_eq(tm_trust_remove(store, "0123456789012345678901234567890123456789", &err),
                     TM_E_NOT_FOUND);
}
END_TEST

START_TEST(places_that_cannot_be_remembered)
{
    static char location[TM_PATH_MAX + 8], back[TM_PATH_MAX];
    char path[128];
    snprintf(path, sizeof path, "%s/models/smol", store);
    ck_assert_int_eq(tm_dir_make(path, 0755, &err), TM_OK);
    ck_assert_int_eq(tm_remote_write(store, "smol", "", &err), TM_E_USAGE);
    ck_assert_int_eq(tm_remote_write(store, "smol", "http://x\nhttp://y", &err), TM_E_USAGE);
    memset(location, 'l', TM_PATH_MAX - 1); /* one byte more than there is room for */
    ck_assert_int_eq(tm_remote_write(store, "smol", location, &err), TM_E_USAGE);
    location[TM_PATH_MAX - 2] = '\0';
    ck_assert_int_eq(tm_remote_write(store, "smol", location, &err), TM_OK);
    ck_assert_int_eq(tm_remote_read(store, "smol", back, &err), TM_OK);
    ck_assert_str_eq(back, location);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("trust");
    TCase *tc = tcase_create("trust");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, keys_are_added_listed_and_removed);
    tcase_add_test(tc, what_is_no_key_is_told_with_its_file);
    tcase_add_test(tc, the_place_of_a_model_is_remembered);
    tcase_add_test(tc, files_that_hold_no_one_key);
    tcase_add_test(tc, more_keys_than_there_is_room_for);
    tcase_add_test(tc, key_ids_that_are_none);
    tcase_add_test(tc, places_that_cannot_be_remembered);
    suite_add_tcase(suite, tc);
    return suite;
}

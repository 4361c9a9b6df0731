/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/trust.h"

#include <string.h>

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

Suite *tm_suite(void)
{
    Suite *suite = suite_create("trust");
    TCase *tc = tcase_create("trust");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, keys_are_added_listed_and_removed);
    tcase_add_test(tc, what_is_no_key_is_told_with_its_file);
    tcase_add_test(tc, the_place_of_a_model_is_remembered);
    suite_add_tcase(suite, tc);
    return suite;
}

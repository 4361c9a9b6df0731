/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/package_add.h"

#include "node/common/decode.h"
#include "node/coordinator/verify.h"
#include "tests/support/made_package.h"
#include "tests/support/suite.h"

static const char name[] = "notes/of it.txt";

/* Every check of a package, and verify against the source. */
static void check_whole(const struct small_job *s, const char *path, uint32_t nodes)
{
    struct tm_package *package = NULL;
    struct tm_verify_report report;
    struct tm_err err = {0};
    uint32_t good = 0;
    ck_assert_msg(tm_package_open(path, &package, &err) == TM_OK, "%s", err.why);
    ck_assert_int_eq(tm_package_check(package, &err), TM_OK);
    ck_assert_msg(tm_package_check_ledger(package, &good, &err) == TM_OK, "%s", err.why);
    ck_assert_uint_eq(good, tm_package_meta(package)->chunk_count);
    ck_assert_uint_eq(tm_package_ledger(package)->node_count, nodes);
    tm_package_close(&package);
    struct tm_verify_options options = {
        .package_path = path, .model_path = s->model, .full = true, .quiet = true};
    ck_assert_msg(tm_verify(&options, &report, &err) == TM_OK, "%s", err.why);
    ck_assert_uint_eq(report.units_checked, report.units);
}

/* Whether the last attachment has these bytes. */
static void has_last(const char *path, uint32_t count, const char *text)
{
    struct tm_package *package = NULL;
    struct tm_decoder *decoder = NULL;
    struct tm_buf bytes;
    tm_buf_init(&bytes, 1 << 20);
    ck_assert_int_eq(tm_package_open(path, &package, NULL), TM_OK);
    ck_assert_int_eq(tm_decoder_new(package, &decoder, NULL), TM_OK);
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    ck_assert_uint_eq(meta->attachment_count, count);
    ck_assert_str_eq(meta->attachments[count - 1].name, name);
    ck_assert_int_eq(tm_decoder_attachment(decoder, count - 1, &bytes, NULL), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&bytes), text));
    tm_decoder_destroy(&decoder);
    tm_package_close(&package);
    tm_buf_deinit(&bytes);
}

static struct tm_digest id_of(const char *path)
{
    struct tm_package *package = NULL;
    ck_assert_int_eq(tm_package_open(path, &package, NULL), TM_OK);
    struct tm_digest id = *tm_package_id(package);
    tm_package_close(&package);
    return id;
}

START_TEST(added_and_replaced)
{
    struct small_job s;
    struct tm_err err = {0};
    char added[128];
    made_package_with(&s, "int8");
    snprintf(added, sizeof added, "%s/added.tmpk", s.dir);
    ck_assert_msg(tm_package_add(s.out, added, name, tm_view_str("first"), s.owner, &err) == TM_OK,
                  "%s", err.why);
    check_whole(&s, added, 1);
    has_last(added, 1, "first");
    struct tm_digest before = id_of(s.out), first = id_of(added);
    ck_assert(!tm_digest_eq(&before, &first));
    ck_assert_int_eq(tm_package_add(added, added, name, tm_view_str("second one"), s.owner, &err),
                     TM_OK);
    check_whole(&s, added, 1);
    has_last(added, 1, "second one");
    ck_assert_int_eq(tm_package_add(added, added, name, tm_view_str("first"), s.owner, &err),
                     TM_OK);
    struct tm_digest again = id_of(added);
    ck_assert(tm_digest_eq(&first, &again));
    small_job_close(&s);
}
END_TEST

/* The key of one who adds may stand before, between or behind those of the nodes. */
START_TEST(added_by_others)
{
    struct small_job s;
    struct tm_err err = {0};
    char added[128];
    made_package_with(&s, "int8");
    snprintf(added, sizeof added, "%s/added.tmpk", s.dir);
    bool before = false, behind = false;
    for (uint8_t seed = 100; seed < 110; seed++) {
        struct tm_identity *other = small_job_identity(seed);
        int order = memcmp(tm_identity_public(other)->b, tm_identity_public(s.owner)->b,
                           TM_PUBLIC_KEY_BYTES);
        before = before || order < 0;
        behind = behind || order > 0;
        ck_assert_int_eq(tm_package_add(s.out, added, name, tm_view_str("x"), other, &err), TM_OK);
        check_whole(&s, added, 2);
        tm_identity_destroy(&other);
    }
    ck_assert(before && behind);
    small_job_close(&s);
}
END_TEST

START_TEST(what_is_refused)
{
    struct small_job s;
    struct tm_err err = {0};
    char added[128], missing[128];
    made_package_with(&s, "keep");
    snprintf(added, sizeof added, "%s/added.tmpk", s.dir);
    snprintf(missing, sizeof missing, "%s/missing.tmpk", s.dir);
    ck_assert_int_eq(tm_package_add(missing, added, name, tm_view_str("x"), s.owner, &err),
                     TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_package_add(s.out, added, "../x", tm_view_str("x"), s.owner, &err),
                     TM_E_MALFORMED);
    ck_assert(!tm_path_exists(added));
    ck_assert_int_eq(tm_package_add(s.out, added, name, tm_view_str("x"), s.owner, &err), TM_OK);
    ck_assert_int_eq(tm_package_add(added, added, "more", tm_view_str("y"), s.owner, &err), TM_OK);
    /* It is no longer the last one. */
    ck_assert_int_eq(tm_package_add(added, added, name, tm_view_str("z"), s.owner, &err),
                     TM_E_USAGE);
    ck_assert_str_eq(err.where, name);
    small_job_close(&s);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("package_add");
    tcase_add_test(tcase, added_and_replaced);
    tcase_add_test(tcase, added_by_others);
    tcase_add_test(tcase, what_is_refused);
    Suite *suite = suite_create("package_add");
    suite_add_tcase(suite, tcase);
    return suite;
}

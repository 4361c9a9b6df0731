/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>

#include "node/report/report.h"

#include "tests/support/made_package.h"
#include "tests/support/suite.h"

static struct small_job s;
static struct tm_report report;
static struct tm_err err;
static char journal[TM_PATH_MAX];

/* A job of which the first `units` units are done. */
static void setup_units(uint32_t units)
{
    small_job_open(&s);
    for (uint32_t u = 0; u < units; u++) {
        made_unit(&s, u, 0);
    }
    ck_assert_int_eq(tm_path_join(journal, s.job->dir, "journal.db"), TM_OK);
    memset(&err, 0, sizeof err);
}

static void setup(void)
{
    setup_units(6);
}

static void teardown(void)
{
    tm_report_deinit(&report);
    small_job_close(&s);
}

static tm_status make(const char *state)
{
    tm_job_close(&s.job);
    return tm_report_of_job(journal, state, &report, &err);
}

START_TEST(what_is_known_so_far)
{
    uint32_t units = s.job->split.unit_count;
    ck_assert_msg(make("stopped") == TM_OK, "%s", err.why);
    ck_assert_int_eq(report.subject, TM_REPORT_JOB);
    ck_assert_str_eq(report.job_state, "stopped");
    ck_assert_uint_eq(report.units, units);
    ck_assert_uint_eq(report.units_done, 6);
    ck_assert_uint_eq(report.tensor_count, SMALL_JOB_MATRICES + 1);
    ck_assert_str_eq(report.path, "out.tmpk");
    ck_assert_str_eq(report.package_id, "");
    uint32_t done = 0;
    for (uint32_t i = 0; i < report.tensor_count; i++) {
        const struct tm_report_tensor *t = &report.tensors[i];
        done += t->units_done;
        ck_assert_uint_eq(t->units, t->lossless ? 1 : 4);
        if (!t->lossless && t->units_done > 0) {
            ck_assert_double_eq_tol(tm_report_error(t), 0.1, 1e-12); /* as made_unit says */
        }
    }
    ck_assert_uint_eq(done, 6);
    ck_assert_uint_eq(report.node_count, 1);
    ck_assert_uint_eq(report.nodes[0].units, 6);
    ck_assert_uint_eq(report.nodes[0].own, 6);
}
END_TEST

START_TEST(nodes_and_bans_of_the_journal)
{
    struct tm_journal_node node = {.node = *tm_identity_public(s.owner), .name = "attic"};
    struct tm_identity *other = small_job_identity(9);
    struct tm_journal_ban ban = {
        .node = tm_identity_node_id(other), .unit = 2, .reason = "wrong bytes"};
    struct tm_journal_node idle = {.node = *tm_identity_public(other), .name = "idle"};
    ck_assert_int_eq(tm_journal_begin(s.job->journal, &err), TM_OK);
    ck_assert_int_eq(tm_journal_put_node(s.job->journal, &node, &err), TM_OK);
    ck_assert_int_eq(tm_journal_put_node(s.job->journal, &idle, &err), TM_OK);
    ck_assert_int_eq(tm_journal_put_ban(s.job->journal, &ban, &err), TM_OK);
    ck_assert_int_eq(tm_journal_commit(s.job->journal, &err), TM_OK);
    ck_assert_int_eq(make(NULL), TM_OK);
    ck_assert_uint_eq(report.node_count, 2);
    uint32_t first = report.nodes[0].units > 0 ? 0 : 1;
    ck_assert_str_eq(report.nodes[first].name, "attic");
    ck_assert_str_eq(report.nodes[1 - first].name, "idle");
    ck_assert_uint_eq(report.nodes[1 - first].units, 0);
    ck_assert_uint_eq(report.ban_count, 1);
    ck_assert_str_eq(report.bans[0].reason, "wrong bytes");
    tm_identity_destroy(&other);
}
END_TEST

START_TEST(another_model_or_none)
{
    char moved[128];
    tm_job_close(&s.job);
    snprintf(moved, sizeof moved, "%s.moved", s.model);
    ck_assert_int_eq(rename(s.model, moved), 0);
    ck_assert_int_eq(tm_report_of_job(journal, NULL, &report, &err), TM_E_NOT_FOUND);
    static const char bytes[] = "\x3b\0\0\0\0\0\0\0"
                                "{\"x\":{\"dtype\":\"F16\",\"shape\":[4],"
                                "\"data_offsets\":[0,8]}}     12345678";
    ck_assert_int_eq(tm_file_write_atomic(s.model, 0600, tm_view_of(bytes, sizeof bytes - 1), &err),
                     TM_OK);
    ck_assert_int_eq(tm_report_of_job(journal, NULL, &report, &err), TM_E_INCOMPATIBLE);
    ck_assert_int_eq(tm_report_of_job("/no/such", NULL, &report, &err), TM_E_NOT_FOUND);
    ck_assert_uint_eq(report.tensor_count, 0);
}
END_TEST

START_TEST(without_memory)
{
    tm_job_close(&s.job);
    size_t before = tm_mem_live_blocks();
    for (uint64_t n = 1, failed = 1; failed; n++) {
        tm_mem_fail_at(n);
        tm_status status = tm_report_of_job(journal, NULL, &report, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_report_deinit(&report);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("report_job");
    TCase *tc = tcase_create("report_job");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_is_known_so_far);
    tcase_add_test(tc, nodes_and_bans_of_the_journal);
    tcase_add_test(tc, another_model_or_none);
    tcase_add_test(tc, without_memory);
    suite_add_tcase(suite, tc);
    return suite;
}

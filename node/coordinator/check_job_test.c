/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/check_job.h"

#include "tests/support/small_job.h"
#include "tests/support/suite.h"

static struct small_job g_job;

static void set_up(void)
{
    small_job_open(&g_job);
}

static void tear_down(void)
{
    small_job_close(&g_job);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

/* The owner makes every unit; what it made passes the check of a result. */
START_TEST(made_and_checked)
{
    for (uint32_t u = 0; u < g_job.job->split.unit_count; u++) {
        struct tm_check_job *made = tm_check_job_new(g_job.job, u);
        struct tm_check_job *checked = tm_check_job_new(g_job.job, u);
        made->owner = g_job.owner;
        made->work.run(&made->work);
        ck_assert_int_eq(made->result.verdict, TM_VERDICT_GOOD);
        struct tm_digest leaf = tm_merkle_leaf(tm_buf_view(&made->bytes));
        ck_assert(tm_digest_eq(&leaf, &made->leaf));
        checked->encoded = tm_buf_view(&made->bytes);
        checked->node = made->node;
        checked->sig = made->sig;
        checked->audit = true;
        checked->work.run(&checked->work);
        ck_assert_int_eq(checked->result.verdict, TM_VERDICT_GOOD);
        ck_assert(checked->result.audited);
        checked->work.drop(&checked->work);
        tm_check_job_free(made);
    }
}
END_TEST

START_TEST(faults_need_no_look)
{
    struct tm_check_job *c = tm_check_job_new(g_job.job, 0);
    c->fault = "the bytes do not hash to their leaf";
    c->work.run(&c->work);
    ck_assert_int_eq(c->result.verdict, TM_VERDICT_MALFORMED);
    ck_assert_str_eq(c->result.detail, c->fault);
    tm_check_job_free(c);
}
END_TEST

START_TEST(own_failures)
{
    struct tm_check_job *c = tm_check_job_new(g_job.job, 0);
    g_job.job->unit_source[0].b[5] ^= 1;
    c->owner = g_job.owner;
    c->work.run(&c->work);
    ck_assert_int_eq(c->result.verdict, TM_VERDICT_NOT_CHECKED);
    ck_assert_ptr_nonnull(strstr(c->result.detail, "changed"));
    tm_check_job_free(c);
    tm_check_job_free(NULL);
    tm_mem_fail_at(1);
    ck_assert_ptr_null(tm_check_job_new(g_job.job, 0));
    tm_mem_fail_at(0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("check_job");
    TCase *tc = tcase_create("check_job");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, made_and_checked);
    tcase_add_test(tc, faults_need_no_look);
    tcase_add_test(tc, own_failures);
    suite_add_tcase(suite, tc);
    return suite;
}

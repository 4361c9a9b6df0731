/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/job_sweep.h"

#include <stdio.h>

#include "tests/support/made_package.h"
#include "tests/support/suite.h"

static struct small_job s;
static char objects[160], journal[160];

static void setup(void)
{
    small_job_open(&s);
    made_units(&s, UINT32_MAX, 0);
    snprintf(objects, sizeof objects, "%s/objects", s.job->dir);
    snprintf(journal, sizeof journal, "%s/journal.db", s.job->dir);
    ck_assert(tm_path_is_dir(objects));
}

static void teardown(void)
{
    small_job_close(&s);
}

static void set_state(enum tm_job_state state)
{
    struct tm_err err;
    ck_assert_int_eq(tm_journal_set_state(s.job->journal, state, &err), TM_OK);
}

START_TEST(a_job_that_can_be_resumed_keeps_them)
{
    static const enum tm_job_state states[] = {TM_JOB_NEW, TM_JOB_RUNNING, TM_JOB_STOPPED};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        set_state(states[i]);
        tm_job_close(&s.job);
        tm_job_sweep(s.state);
        ck_assert(tm_path_is_dir(objects));
        small_job_prepare(&s);
        ck_assert(s.job->existed);
    }
}
END_TEST

START_TEST(a_job_that_is_over_loses_them)
{
    static const enum tm_job_state states[] = {TM_JOB_DONE, TM_JOB_CANCELLED};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        set_state(states[i]);
        tm_job_sweep(s.state);
        ck_assert(tm_path_is_dir(objects)); /* a process holds the job's lock */
        tm_job_close(&s.job);
        tm_job_sweep(s.state);
        ck_assert(!tm_path_exists(objects));
        ck_assert(tm_path_exists(journal));
        small_job_prepare(&s); /* begins anew */
        made_units(&s, UINT32_MAX, 0);
    }
    tm_job_sweep("/nonexistent");
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("job_sweep");
    TCase *tc = tcase_create("job_sweep");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_job_that_can_be_resumed_keeps_them);
    tcase_add_test(tc, a_job_that_is_over_loses_them);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0
 * A folder with a journal in it, a job and results for it. */
#ifndef TM_TESTS_JOURNAL_SAMPLE_H
#define TM_TESTS_JOURNAL_SAMPLE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "node/journal/journal.h"

static char g_dir[64];
static char g_path[128];
static struct tm_err g_err;

static inline void set_up(void)
{
    snprintf(g_dir, sizeof g_dir, "/tmp/tm-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(g_dir));
    snprintf(g_path, sizeof g_path, "%s/journal.db", g_dir);
    ck_assert_int_eq(tm_crypto_init(&g_err), TM_OK);
}

static inline void tear_down(void)
{
    ck_assert_int_eq(tm_dir_remove_tree(g_dir, &g_err), TM_OK);
}

static inline struct tm_journal *open_at(bool read_only)
{
    struct tm_journal *j = NULL;
    char line[1024];
    tm_status status = tm_journal_open(g_path, read_only, &j, &g_err);
    ck_assert_msg(status == TM_OK, "%s", tm_err_line(&g_err, line, sizeof line));
    return j;
}

static inline struct tm_journal_job sample_job(void)
{
    struct tm_journal_job job = {
        .id = (char *)"J0123456789ab",
        .model_path = (char *)"/models/a.gguf",
        .out_path = (char *)"/out/a.tmpk",
        .recipe = (char *)"int4",
        .tensors_under = (char *)"ema.model",
        .plan = (char *)"schema = 1\n",
        .unit_count = 1000,
        .block_weights = 262144,
        .created_s = 1700000000,
        .state = TM_JOB_NEW,
    };
    job.plan_digest.b[0] = 0x11;
    return job;
}

static inline struct tm_journal_result sample_result(uint32_t unit, uint8_t node)
{
    struct tm_journal_result r = {.unit = unit, .bytes = 100 + unit, .checks = 3};
    memset(r.node.b, node, sizeof r.node.b);
    memset(r.leaf.b, (int)(unit & 0xff), sizeof r.leaf.b);
    r.leaf.b[0] = (uint8_t)(unit >> 8);
    r.squared_error_bits = UINT64_MAX - unit;
    r.squared_norm_bits = unit;
    memset(r.sig.b, 0x77, sizeof r.sig.b);
    return r;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/saver.h"

#include "tests/support/small_job.h"
#include "tests/support/suite.h"

static struct small_job g_job;
static struct tm_transport *g_transport;
static struct tm_saver *g_saver;
static struct tm_err g_err;

static void set_up(void)
{
    small_job_open(&g_job);
    ck_assert_int_eq(tm_transport_new(&g_transport, &g_err), TM_OK);
    ck_assert_int_eq(tm_saver_new(g_transport, g_job.job, &g_saver, &g_err), TM_OK);
}

static void tear_down(void)
{
    tm_saver_destroy(&g_saver);
    tm_transport_destroy(&g_transport);
    small_job_close(&g_job);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static struct tm_save *result_of(uint32_t unit, const char *chunk, uint64_t seq)
{
    struct tm_save *save = tm_calloc(1, sizeof *save);
    ck_assert_ptr_nonnull(save);
    save->kind = TM_SAVE_RESULT;
    save->seq = seq;
    tm_buf_init(&save->chunk, 1000);
    ck_assert_int_eq(tm_buf_put_str(&save->chunk, chunk), TM_OK);
    save->result.unit = unit;
    save->result.node.b[0] = 7;
    save->result.bytes = (uint32_t)save->chunk.bytes;
    save->result.leaf = tm_merkle_leaf(tm_buf_view(&save->chunk));
    return save;
}

static struct tm_save *take(void)
{
    struct tm_poll_item item = tm_saver_poll(g_saver);
    struct tm_save *save;
    int tries = 0;
    while ((save = tm_saver_take(g_saver)) == NULL) {
        ck_assert_int_lt(tries++, 50);
        tm_poll(&item, 1, 100);
    }
    return save;
}

START_TEST(durable_in_order)
{
    char text[32];
    for (uint32_t u = 0; u < 200; u++) {
        snprintf(text, sizeof text, "chunk %u", u);
        tm_saver_submit(g_saver, result_of(u, text, u + 1));
    }
    ck_assert_uint_eq(tm_saver_pending(g_saver), 200);
    /* A second process's view: whatever came back is in the journal and the store. */
    char path[TM_PATH_MAX];
    struct tm_journal *reader = NULL;
    snprintf(path, sizeof path, "%s/journal.db", g_job.job->dir);
    ck_assert_int_eq(tm_journal_open(path, true, &reader, &g_err), TM_OK);
    for (uint32_t u = 0; u < 200; u++) {
        uint32_t done = 0;
        struct tm_save *save = take();
        ck_assert_int_eq(save->status, TM_OK);
        ck_assert_uint_eq(save->seq, u + 1);
        ck_assert_int_eq(tm_journal_done_count(reader, &done, &g_err), TM_OK);
        ck_assert_uint_gt(done, u);
        ck_assert(tm_store_has(g_job.job->chunks, &save->result.leaf));
        tm_save_free(save);
    }
    ck_assert_uint_eq(tm_saver_pending(g_saver), 0);
    tm_journal_close(&reader);
}
END_TEST

START_TEST(bans_and_nodes)
{
    tm_saver_submit(g_saver, result_of(1, "a", 1));
    struct tm_save *ban = tm_calloc(1, sizeof *ban);
    ban->kind = TM_SAVE_BAN;
    ban->seq = 2;
    struct tm_public_key key = {{7}};
    ban->ban.node = tm_node_id_of(&key);
    struct tm_save *node = tm_calloc(1, sizeof *node);
    node->kind = TM_SAVE_NODE;
    node->node.node = key;
    node->node.cores = 3;
    tm_saver_submit(g_saver, ban);
    tm_saver_submit(g_saver, node);
    for (int i = 0; i < 3; i++) {
        struct tm_save *save = take();
        ck_assert_int_eq(save->status, TM_OK);
        tm_save_free(save);
    }
    tm_saver_destroy(&g_saver);
    uint32_t done = 9;
    ck_assert_int_eq(tm_journal_done_count(g_job.job->journal, &done, &g_err), TM_OK);
    ck_assert_uint_eq(done, 0);
    struct tm_journal_node *nodes;
    size_t count;
    ck_assert_int_eq(tm_journal_nodes(g_job.job->journal, &nodes, &count, &g_err), TM_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(nodes[0].cores, 3);
    tm_free(nodes);
}
END_TEST

START_TEST(after_a_failure_nothing_is_written)
{
    tm_saver_submit(g_saver, result_of(1, "a", 1));
    tm_save_free(take());
    tm_saver_submit(g_saver, result_of(1, "another chunk of the same unit", 2));
    struct tm_save *save = take();
    ck_assert_int_eq(save->status, TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(tm_saver_error(g_saver)->why, "second one"));
    tm_save_free(save);
    tm_saver_submit(g_saver, result_of(2, "b", 3));
    save = take();
    ck_assert_int_eq(save->status, TM_E_VERIFY);
    tm_save_free(save);
    tm_saver_destroy(&g_saver);
    uint32_t done = 0;
    ck_assert_int_eq(tm_journal_done_count(g_job.job->journal, &done, &g_err), TM_OK);
    ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(the_end_finishes_what_was_submitted)
{
    char text[32];
    for (uint32_t u = 0; u < 100; u++) {
        snprintf(text, sizeof text, "chunk %u", u);
        tm_saver_submit(g_saver, result_of(u, text, u + 1));
    }
    tm_saver_destroy(&g_saver);
    uint32_t done = 0;
    ck_assert_int_eq(tm_journal_done_count(g_job.job->journal, &done, &g_err), TM_OK);
    ck_assert_uint_eq(done, 100);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("saver");
    TCase *tc = tcase_create("saver");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, durable_in_order);
    tcase_add_test(tc, bans_and_nodes);
    tcase_add_test(tc, after_a_failure_nothing_is_written);
    tcase_add_test(tc, the_end_finishes_what_was_submitted);
    suite_add_tcase(suite, tc);
    return suite;
}

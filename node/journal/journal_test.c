/* SPDX-License-Identifier: Apache-2.0 */
#include "node/journal/journal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/support/journal_sample.h"
#include "tests/support/suite.h"

static void put_all(struct tm_journal *j, uint32_t first, uint32_t count, uint8_t node)
{
    ck_assert_int_eq(tm_journal_begin(j, &g_err), TM_OK);
    for (uint32_t u = first; u < first + count; u++) {
        struct tm_journal_result r = sample_result(u, node);
        ck_assert_int_eq(tm_journal_put_result(j, &r, &g_err), TM_OK);
    }
    ck_assert_int_eq(tm_journal_commit(j, &g_err), TM_OK);
}

START_TEST(job_round_trip)
{
    struct tm_journal *j = open_at(false);
    struct tm_journal_job got;
    ck_assert_int_eq(tm_journal_read_job(j, &got, &g_err), TM_E_NOT_FOUND);
    uint64_t epoch = 0;
    ck_assert_int_eq(tm_journal_start_epoch(j, &epoch, &g_err), TM_E_NOT_FOUND);
    struct tm_journal_job job = sample_job();
    ck_assert_int_eq(tm_journal_create_job(j, &job, &g_err), TM_OK);
    ck_assert_int_ne(tm_journal_create_job(j, &job, &g_err), TM_OK);
    for (uint64_t i = 1; i <= 3; i++) {
        ck_assert_int_eq(tm_journal_start_epoch(j, &epoch, &g_err), TM_OK);
        ck_assert_uint_eq(epoch, i);
        tm_journal_close(&j);
        ck_assert_ptr_null(j);
        j = open_at(false);
    }
    ck_assert_int_eq(tm_journal_read_job(j, &got, &g_err), TM_OK);
    ck_assert_str_eq(got.id, job.id);
    ck_assert_str_eq(got.model_path, job.model_path);
    ck_assert_str_eq(got.tensors_under, job.tensors_under);
    ck_assert_str_eq(got.out_path, job.out_path);
    ck_assert_str_eq(got.recipe, job.recipe);
    ck_assert_str_eq(got.plan, job.plan);
    ck_assert(tm_digest_eq(&got.plan_digest, &job.plan_digest));
    ck_assert_uint_eq(got.unit_count, 1000);
    ck_assert_uint_eq(got.block_weights, 262144);
    ck_assert_int_eq(got.created_s, 1700000000);
    ck_assert_int_eq(got.state, TM_JOB_RUNNING);
    ck_assert_uint_eq(got.epoch, 3);
    tm_journal_job_deinit(&got);
    ck_assert_int_eq(tm_journal_set_state(j, TM_JOB_CANCELLED, &g_err), TM_OK);
    ck_assert_int_eq(tm_journal_read_job(j, &got, &g_err), TM_OK);
    ck_assert_str_eq(tm_job_state_name(got.state), "cancelled");
    ck_assert_str_eq(tm_job_state_name((enum tm_job_state)99), "unknown");
    ck_assert_str_eq(tm_job_state_name((enum tm_job_state)(TM_JOB_CANCELLED + 1)), "unknown");
    tm_journal_job_deinit(&got);
    tm_journal_close(&j);
}
END_TEST

START_TEST(results_are_never_overwritten)
{
    struct tm_journal *j = open_at(false);
    put_all(j, 0, 300, 1);
    ck_assert_int_eq(tm_journal_begin(j, &g_err), TM_OK);
    struct tm_journal_result r = sample_result(7, 2);
    ck_assert_int_eq(tm_journal_put_result(j, &r, &g_err), TM_OK); /* same leaf: kept as it was */
    r.leaf.b[31] ^= 1;
    ck_assert_int_eq(tm_journal_put_result(j, &r, &g_err), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(g_err.why, "unit 7 has leaf"));
    ck_assert_int_eq(tm_journal_commit(j, &g_err), TM_OK);
    struct tm_journal_result *all;
    size_t count;
    ck_assert_int_eq(tm_journal_results(j, &all, &count, &g_err), TM_OK);
    ck_assert_uint_eq(count, 300);
    for (uint32_t u = 0; u < 300; u++) {
        struct tm_journal_result want = sample_result(u, 1);
        ck_assert_mem_eq(&all[u].node, &want.node, sizeof want.node);
        ck_assert_mem_eq(&all[u].leaf, &want.leaf, sizeof want.leaf);
        ck_assert_mem_eq(&all[u].sig, &want.sig, sizeof want.sig);
        ck_assert_uint_eq(all[u].unit, u);
        ck_assert_uint_eq(all[u].bytes, want.bytes);
        ck_assert_uint_eq(all[u].checks, want.checks);
        ck_assert_uint_eq(all[u].squared_error_bits, want.squared_error_bits);
        ck_assert_uint_eq(all[u].squared_norm_bits, want.squared_norm_bits);
    }
    tm_free(all);
    tm_journal_close(&j);
}
END_TEST

START_TEST(ban_drops_results_at_once)
{
    struct tm_journal *j = open_at(false);
    put_all(j, 0, 10, 1);
    put_all(j, 10, 5, 2);
    struct tm_journal_result r = sample_result(0, 2);
    struct tm_journal_ban ban = {.node = tm_node_id_of(&r.node), .unit = 12};
    snprintf(ban.reason, sizeof ban.reason, "audit mismatch");
    /* Rolled back: neither the ban nor the deletion happened. */
    ck_assert_int_eq(tm_journal_begin(j, &g_err), TM_OK);
    ck_assert_int_eq(tm_journal_put_ban(j, &ban, &g_err), TM_OK);
    tm_journal_rollback(j);
    uint32_t done = 0;
    ck_assert_int_eq(tm_journal_done_count(j, &done, &g_err), TM_OK);
    ck_assert_uint_eq(done, 15);
    ck_assert_int_eq(tm_journal_begin(j, &g_err), TM_OK);
    ck_assert_int_eq(tm_journal_put_ban(j, &ban, &g_err), TM_OK);
    ck_assert_int_eq(tm_journal_put_ban(j, &ban, &g_err), TM_OK);
    r = sample_result(500, 2);
    ck_assert_int_eq(tm_journal_put_result(j, &r, &g_err), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(g_err.why, "is banned"));
    ck_assert_int_eq(tm_journal_commit(j, &g_err), TM_OK);
    ck_assert_int_eq(tm_journal_done_count(j, &done, &g_err), TM_OK);
    ck_assert_uint_eq(done, 10);
    struct tm_journal_ban *bans;
    size_t count;
    ck_assert_int_eq(tm_journal_bans(j, &bans, &count, &g_err), TM_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(bans[0].dropped, 5);
    ck_assert_uint_eq(bans[0].unit, 12);
    ck_assert_str_eq(bans[0].reason, "audit mismatch");
    ck_assert(tm_node_id_eq(&bans[0].node, &ban.node));
    tm_free(bans);
    /* A unit of another node is dropped by its number. */
    ck_assert_int_eq(tm_journal_drop_result(j, 3, &g_err), TM_OK);
    ck_assert_int_eq(tm_journal_drop_result(j, 3, &g_err), TM_OK);
    ck_assert_int_eq(tm_journal_done_count(j, &done, &g_err), TM_OK);
    ck_assert_uint_eq(done, 9);
    tm_journal_close(&j);
}
END_TEST

START_TEST(nodes_are_replaced)
{
    struct tm_journal *j = open_at(false);
    struct tm_journal_node node = {.cores = 4, .accepted = 1, .weights_per_s = 1000};
    node.node.b[5] = 9;
    snprintf(node.name, sizeof node.name, "attic");
    ck_assert_int_eq(tm_journal_put_node(j, &node, &g_err), TM_OK);
    node.accepted = 17;
    node.audited = 2;
    ck_assert_int_eq(tm_journal_put_node(j, &node, &g_err), TM_OK);
    struct tm_journal_node *all;
    size_t count;
    ck_assert_int_eq(tm_journal_nodes(j, &all, &count, &g_err), TM_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(all[0].name, "attic");
    ck_assert_uint_eq(all[0].cores, 4);
    ck_assert_uint_eq(all[0].accepted, 17);
    ck_assert_uint_eq(all[0].audited, 2);
    ck_assert_uint_eq(all[0].weights_per_s, 1000);
    ck_assert_mem_eq(&all[0].node, &node.node, sizeof node.node);
    tm_free(all);
    tm_journal_close(&j);
}
END_TEST

START_TEST(one_writer_many_readers)
{
    struct tm_journal *j = open_at(false);
    struct tm_journal *second = NULL;
    ck_assert_int_eq(tm_journal_open(g_path, false, &second, &g_err), TM_E_REFUSED);
    ck_assert_ptr_null(second);
    ck_assert_ptr_nonnull(strstr(g_err.why, "another process"));
    put_all(j, 0, 5, 1);
    /* A reader sees commits while a transaction of the writer is open. */
    ck_assert_int_eq(tm_journal_begin(j, &g_err), TM_OK);
    struct tm_journal_result r = sample_result(100, 1);
    ck_assert_int_eq(tm_journal_put_result(j, &r, &g_err), TM_OK);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct tm_journal *reader = NULL;
        uint32_t done = 0;
        bool good = tm_journal_open(g_path, true, &reader, &g_err) == TM_OK &&
                    tm_journal_done_count(reader, &done, &g_err) == TM_OK && done == 5 &&
                    tm_journal_put_result(reader, &r, &g_err) != TM_OK;
        _exit(good ? 0 : 1);
    }
    int code = -1;
    ck_assert_int_eq(waitpid(child, &code, 0), child);
    ck_assert_int_eq(code, 0);
    ck_assert_int_eq(tm_journal_commit(j, &g_err), TM_OK);
    tm_journal_close(&j);
    /* ... and after the writer is gone. */
    struct tm_journal *reader = open_at(true);
    uint32_t done = 0;
    ck_assert_int_eq(tm_journal_done_count(reader, &done, &g_err), TM_OK);
    ck_assert_uint_eq(done, 6);
    tm_journal_close(&reader);
}
END_TEST

START_TEST(refused_files)
{
    struct tm_journal *j = NULL;
    ck_assert_int_eq(tm_journal_open(g_path, true, &j, &g_err), TM_E_NOT_FOUND);
    ck_assert_ptr_null(j);
    static const char junk[] = "this is not a database, but it is long enough to look like one: "
                               "0123456789012345678901234567890123456789012345678901234567890123";
    ck_assert_int_eq(tm_file_write_atomic(g_path, 0644, tm_view_of(junk, sizeof junk), &g_err),
                     TM_OK);
    ck_assert_int_eq(tm_journal_open(g_path, false, &j, &g_err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(g_err.why, "damaged"));
    /* What a kill or a full disk leaves of a journal that was just being created. */
    ck_assert_int_eq(tm_file_write_atomic(g_path, 0644, tm_view_of(junk, 0), &g_err), TM_OK);
    ck_assert_int_eq(tm_journal_open(g_path, true, &j, &g_err), TM_E_NOT_FOUND);
    j = open_at(false);
    tm_journal_close(&j);
    ck_assert_int_eq(unlink(g_path), 0);
    /* A later schema: SQLite keeps user_version big-endian at offset 60 of the header. */
    j = open_at(false);
    tm_journal_close(&j);
    FILE *f = fopen(g_path, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 63, SEEK_SET), 0);
    ck_assert_int_eq(fputc(9, f), 9);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(tm_journal_open(g_path, false, &j, &g_err), TM_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(g_err.why, "version 9"));
    char missing[160];
    snprintf(missing, sizeof missing, "%s/none/journal.db", g_dir);
    ck_assert_int_ne(tm_journal_open(missing, false, &j, &g_err), TM_OK);
}
END_TEST

START_TEST(memory_failures)
{
    struct tm_journal *j = open_at(false);
    struct tm_journal_job job = sample_job();
    ck_assert_int_eq(tm_journal_create_job(j, &job, &g_err), TM_OK);
    put_all(j, 0, 200, 1);
    tm_journal_close(&j);
    size_t blocks = tm_mem_live_blocks();
    uint64_t n = 0;
    tm_status status;
    do {
        tm_mem_fail_at(++n);
        struct tm_journal_job got = {0};
        struct tm_journal_result *all = NULL;
        size_t count = 0;
        status = tm_journal_open(g_path, false, &j, &g_err);
        if (status == TM_OK) {
            status = tm_journal_read_job(j, &got, &g_err);
        }
        if (status == TM_OK) {
            status = tm_journal_results(j, &all, &count, &g_err);
        }
        ck_assert(status == TM_OK || status == TM_E_NOMEM);
        tm_free(all);
        tm_journal_job_deinit(&got);
        tm_journal_close(&j);
        ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
    } while (tm_mem_failed());
    tm_mem_fail_at(0);
    ck_assert_int_eq(status, TM_OK);
    ck_assert_uint_gt(n, 5);
}
END_TEST

/* ---- kill -9 ---- */

#define BATCH 20u

/* Writes batches from `first` on and reports each one through the pipe once it is committed. */
_Noreturn static void write_until_killed(uint32_t first, int out)
{
    struct tm_journal *j = NULL;
    if (tm_journal_open(g_path, false, &j, &g_err) != TM_OK) {
        _exit(1);
    }
    for (uint32_t at = first;; at += BATCH) {
        bool good = tm_journal_begin(j, &g_err) == TM_OK;
        for (uint32_t u = at; good && u < at + BATCH; u++) {
            struct tm_journal_result r = sample_result(u, 1);
            good = tm_journal_put_result(j, &r, &g_err) == TM_OK;
        }
        uint32_t acked = at + BATCH;
        if (!good || tm_journal_commit(j, &g_err) != TM_OK ||
            write(out, &acked, sizeof acked) != (ssize_t)sizeof acked) {
            _exit(1);
        }
    }
}

/* One life of the writer, killed after `acks` acknowledged batches; returns the last acknowledged.
 */
static uint32_t one_life(uint32_t first, unsigned acks)
{
    int pipe_fd[2];
    ck_assert_int_eq(pipe(pipe_fd), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        close(pipe_fd[0]);
        write_until_killed(first, pipe_fd[1]);
    }
    close(pipe_fd[1]);
    uint32_t acked = first;
    for (unsigned i = 0; i < acks; i++) {
        ck_assert_int_eq(read(pipe_fd[0], &acked, sizeof acked), (ssize_t)sizeof acked);
    }
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    uint32_t late;
    while (read(pipe_fd[0], &late, sizeof late) == (ssize_t)sizeof late) {
        acked = late; /* acknowledged before the signal came through */
    }
    close(pipe_fd[0]);
    int code = 0;
    ck_assert_int_eq(waitpid(child, &code, 0), child);
    ck_assert(WIFSIGNALED(code) && WTERMSIG(code) == SIGKILL);
    return acked;
}

START_TEST(kill_loses_nothing_acknowledged)
{
    uint32_t first = 0;
    for (unsigned life = 0; life < 25; life++) {
        uint32_t acked = one_life(first, 1 + life % 4);
        struct tm_journal *j = open_at(false);
        struct tm_journal_result *all;
        size_t count;
        ck_assert_int_eq(tm_journal_results(j, &all, &count, &g_err), TM_OK);
        ck_assert_uint_ge(count, acked);
        ck_assert_uint_eq(count % BATCH, 0); /* whole batches or nothing */
        for (uint32_t u = 0; u < count; u++) {
            struct tm_journal_result want = sample_result(u, 1);
            ck_assert_uint_eq(all[u].unit, u);
            ck_assert_mem_eq(&all[u].leaf, &want.leaf, sizeof want.leaf);
        }
        first = (uint32_t)count;
        tm_free(all);
        tm_journal_close(&j);
    }
}
END_TEST

START_TEST(group_commit_rate)
{
    struct tm_journal *j = open_at(false);
    const struct tm_clock *clock = tm_clock_os();
    uint64_t start = tm_clock_ms(clock);
    uint32_t batches = 0;
    while (tm_clock_ms(clock) - start < 300) {
        put_all(j, batches * 64, 64, 1);
        batches++;
    }
    uint64_t ms = tm_clock_ms(clock) - start;
    printf("journal: %u commits of 64 rows in %llu ms: %llu rows/s, synchronous=FULL\n", batches,
           (unsigned long long)ms, (unsigned long long)(batches * 64000ull / ms));
    uint32_t done = 0;
    ck_assert_int_eq(tm_journal_done_count(j, &done, &g_err), TM_OK);
    ck_assert_uint_eq(done, batches * 64);
    tm_journal_close(&j);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("journal");
    TCase *tc = tcase_create("journal");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, job_round_trip);
    tcase_add_test(tc, results_are_never_overwritten);
    tcase_add_test(tc, ban_drops_results_at_once);
    tcase_add_test(tc, nodes_are_replaced);
    tcase_add_test(tc, one_writer_many_readers);
    tcase_add_test(tc, refused_files);
    tcase_add_test(tc, memory_failures);
    tcase_add_test(tc, kill_loses_nothing_acknowledged);
    tcase_add_test(tc, group_commit_rate);
    suite_add_tcase(suite, tc);
    return suite;
}

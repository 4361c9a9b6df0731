/* SPDX-License-Identifier: Apache-2.0
 * Runs that do not reach their end: stopped, cancelled, killed, a model that changes, a chunk that
 * rots. What comes out after the resumption is the same package. */
#include "node/coordinator/mesh_loop.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/small_job.h"
#include "tests/support/suite.h"

static struct small_job g_job;
static struct tm_err g_err;

static void set_up(void)
{
    small_job_open(&g_job);
}

static void tear_down(void)
{
    small_job_close(&g_job);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static tm_status run_mesh(const volatile int *stop, const struct tm_sink *sink,
                          struct tm_mesh_report *report)
{
    struct tm_mesh_options options = {.job = g_job.job,
                                      .identity = g_job.owner,
                                      .local_workers = 2,
                                      .quiet = true,
                                      .sink = sink,
                                      .stop = stop};
    return tm_mesh_run(&options, report, &g_err);
}

static void run_to_end(struct tm_mesh_report *report)
{
    char line[1600];
    tm_status status = run_mesh(NULL, NULL, report);
    ck_assert_msg(status == TM_OK, "%s", tm_err_line(&g_err, line, sizeof line));
}

static struct tm_digest merged(void)
{
    struct tm_buf file;
    tm_buf_init(&file, 64u << 20);
    ck_assert_int_eq(tm_job_merge(g_job.job, g_job.owner, true, &g_err), TM_OK);
    ck_assert_int_eq(tm_file_read(g_job.out, &file, &g_err), TM_OK);
    struct tm_digest digest = tm_digest_of(tm_buf_view(&file));
    tm_buf_deinit(&file);
    return digest;
}

static void start_over(void)
{
    tm_job_close(&g_job.job);
    ck_assert_int_eq(tm_dir_remove_tree(g_job.state, &g_err), TM_OK);
    small_job_prepare(&g_job);
}

static struct tm_digest reference(void)
{
    struct tm_mesh_report report;
    run_to_end(&report);
    struct tm_digest digest = merged();
    start_over();
    return digest;
}

static enum tm_job_state state_of_job(void)
{
    struct tm_journal_job job;
    ck_assert_int_eq(tm_journal_read_job(g_job.job->journal, &job, &g_err), TM_OK);
    enum tm_job_state state = job.state;
    tm_journal_job_deinit(&job);
    return state;
}

/* Sets the stop flag, or makes the cancel file, when the local worker has joined. */
struct ending {
    volatile int stop;
    bool cancel;
};

static void on_event(void *context, enum tm_level level, const char *event,
                     const struct tm_field *fields, size_t count)
{
    struct ending *ending = context;
    char path[TM_PATH_MAX];
    (void)level;
    (void)fields;
    (void)count;
    if (strcmp(event, "node.joined") != 0) {
        return;
    }
    if (ending->cancel) {
        ck_assert_int_eq(tm_path_join(path, g_job.job->dir, "cancel"), TM_OK);
        ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_view_str(""), &g_err), TM_OK);
    } else {
        ending->stop = 1;
    }
}

START_TEST(stopped_then_resumed)
{
    struct tm_digest want = reference();
    struct ending ending = {0};
    struct tm_sink sink = {.emit = on_event, .context = &ending};
    struct tm_mesh_report report;
    ck_assert_int_eq(run_mesh(&ending.stop, &sink, &report), TM_E_STOPPED);
    ck_assert_ptr_nonnull(strstr(g_err.hint, "tmill resume"));
    ck_assert_int_eq(state_of_job(), TM_JOB_STOPPED);
    run_to_end(&report);
    ck_assert_int_eq(state_of_job(), TM_JOB_RUNNING); /* until the merge */
    struct tm_digest digest = merged();
    ck_assert(tm_digest_eq(&digest, &want));
}
END_TEST

START_TEST(cancelled)
{
    struct ending ending = {.cancel = true};
    struct tm_sink sink = {.emit = on_event, .context = &ending};
    struct tm_mesh_options options = {.job = g_job.job,
                                      .identity = g_job.owner,
                                      .local_workers = 1,
                                      .quiet = true,
                                      .sink = &sink};
    struct tm_mesh_report report;
    /* Without the file it would end in a blink: the file is there before it starts. */
    on_event(&ending, TM_LEVEL_INFO, "node.joined", NULL, 0);
    ck_assert_int_eq(tm_mesh_run(&options, &report, &g_err), TM_E_STOPPED);
    ck_assert_str_eq(g_err.why, "cancelled");
    ck_assert_int_eq(state_of_job(), TM_JOB_CANCELLED);
}
END_TEST

START_TEST(nothing_to_do_when_all_is_in_the_journal)
{
    struct tm_mesh_report report;
    run_to_end(&report);
    run_to_end(&report);
    ck_assert_uint_eq(report.units_resumed, report.units);
}
END_TEST

START_TEST(rotten_chunk_is_made_again)
{
    struct tm_digest want = reference();
    struct tm_mesh_report report;
    struct tm_journal_result *results;
    size_t count;
    run_to_end(&report);
    ck_assert_int_eq(tm_journal_results(g_job.job->journal, &results, &count, &g_err), TM_OK);
    ck_assert_int_eq(tm_store_remove(g_job.job->chunks, &results[3].leaf, &g_err), TM_OK);
    tm_free(results);
    run_to_end(&report);
    ck_assert_uint_eq(report.units_resumed, report.units - 1);
    struct tm_digest digest = merged();
    ck_assert(tm_digest_eq(&digest, &want));
}
END_TEST

START_TEST(changed_model_is_noticed)
{
    FILE *f = fopen(g_job.model, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, -4, SEEK_END), 0);
    ck_assert_int_eq(fputc(0x77, f), 0x77);
    ck_assert_int_eq(fclose(f), 0);
    struct tm_mesh_report report;
    tm_status status = run_mesh(NULL, NULL, &report);
    ck_assert_int_ne(status, TM_OK);
    ck_assert_ptr_nonnull(strstr(g_err.why, "changed"));
}
END_TEST

/* The child runs the job; it is killed when `done` units are in its journal (or has ended by then).
 */
static void one_life(uint32_t done)
{
    char path[TM_PATH_MAX];
    snprintf(path, sizeof path, "%s/journal.db", g_job.job->dir);
    tm_job_close(&g_job.job);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct tm_mesh_report report;
        small_job_prepare(&g_job);
        _exit(run_mesh(NULL, NULL, &report) == TM_OK ? 0 : 1);
    }
    struct tm_journal *journal = NULL;
    ck_assert_int_eq(tm_journal_open(path, true, &journal, &g_err), TM_OK);
    int code = 0;
    uint32_t now = 0;
    pid_t ended = 0;
    while (now < done && ended == 0) {
        ck_assert_int_eq(tm_journal_done_count(journal, &now, &g_err), TM_OK);
        ended = waitpid(child, &code, WNOHANG);
    }
    if (ended == 0) {
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, &code, 0), child);
    }
    ck_assert(WIFSIGNALED(code) || WEXITSTATUS(code) == 0);
    tm_journal_close(&journal);
    small_job_prepare(&g_job);
    uint32_t after = 0;
    ck_assert_int_eq(tm_journal_done_count(g_job.job->journal, &after, &g_err), TM_OK);
    ck_assert_uint_ge(after, now); /* what was seen once is never lost */
}

START_TEST(killed_at_any_moment)
{
    for (uint32_t done = 1; done < 16; done += 3) {
        one_life(done);
    }
    struct tm_mesh_report report;
    run_to_end(&report);
    struct tm_digest digest = merged();
    start_over();
    struct tm_digest want = reference();
    ck_assert(tm_digest_eq(&digest, &want));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("mesh_loop");
    TCase *tc = tcase_create("mesh_loop");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, stopped_then_resumed);
    tcase_add_test(tc, cancelled);
    tcase_add_test(tc, nothing_to_do_when_all_is_in_the_journal);
    tcase_add_test(tc, rotten_chunk_is_made_again);
    tcase_add_test(tc, changed_model_is_noticed);
    tcase_add_test(tc, killed_at_any_moment);
    suite_add_tcase(suite, tc);
    return suite;
}

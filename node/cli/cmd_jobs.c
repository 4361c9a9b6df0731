/* SPDX-License-Identifier: Apache-2.0
 * jobs, show, watch, cancel: read (and stop) the jobs of this user by their journals. */
#include "node/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/os.h"
#include "node/coordinator/job.h"

/* A job as its journal tells it. */
struct job_view {
    struct tm_journal_job job;
    uint32_t done;
    bool running; /* a process holds its lock */
    struct tm_journal_node *nodes;
    size_t node_count;
    struct tm_journal_ban *bans;
    size_t ban_count;
};

static void view_deinit(struct job_view *view)
{
    tm_journal_job_deinit(&view->job);
    tm_free(view->nodes);
    tm_free(view->bans);
    memset(view, 0, sizeof *view);
}

bool tm_cli_job_runs(const char *journal_path)
{
    char dir[TM_PATH_MAX], lock[TM_PATH_MAX];
    if (tm_path_dir(dir, journal_path) != TM_OK || tm_path_join(lock, dir, "lock") != TM_OK) {
        return false;
    }
    int fd = tm_os_open(lock, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool held = tm_os_flock(fd, LOCK_EX | LOCK_NB) != 0;
    close(fd);
    return held;
}

static tm_status read_view(const char *path, struct job_view *view, struct tm_err *err)
{
    struct tm_journal *journal = NULL;
    tm_status status;
    memset(view, 0, sizeof *view);
    TM_TRY(tm_journal_open(path, true, &journal, err));
    TM_TRY_GOTO(tm_journal_read_job(journal, &view->job, err), done);
    TM_TRY_GOTO(tm_journal_done_count(journal, &view->done, err), done);
    TM_TRY_GOTO(tm_journal_nodes(journal, &view->nodes, &view->node_count, err), done);
    TM_TRY_GOTO(tm_journal_bans(journal, &view->bans, &view->ban_count, err), done);
    view->running = tm_cli_job_runs(path);
done:
    tm_journal_close(&journal);
    if (status != TM_OK) {
        view_deinit(view);
    }
    return status;
}

const char *tm_cli_job_state(const struct tm_journal_job *job, bool runs)
{
    if (runs) {
        return "running";
    }
    if (job->state == TM_JOB_RUNNING || job->state == TM_JOB_NEW) {
        return "stopped"; /* it was killed */
    }
    return tm_job_state_name(job->state);
}

static const char *state_text(const struct job_view *view)
{
    return tm_cli_job_state(&view->job, view->running);
}

static void job_members(struct tm_jw *jw, const struct job_view *view)
{
    tm_jw_str(jw, "job", view->job.id);
    tm_jw_str(jw, "state", state_text(view));
    tm_jw_str(jw, "model", view->job.model_path);
    tm_jw_str(jw, "output", view->job.out_path);
    tm_jw_str(jw, "recipe", view->job.recipe);
    tm_jw_u64(jw, "units", view->job.unit_count);
    tm_jw_u64(jw, "units_done", view->done);
    tm_jw_i64(jw, "created", view->job.created_s);
    tm_jw_u64(jw, "epoch", view->job.epoch);
    tm_jw_u64(jw, "nodes", view->node_count);
    tm_jw_u64(jw, "nodes_banned", view->ban_count);
}

static void job_line(const struct job_view *view)
{
    char model[256], out[256];
    const char *name = tm_path_base(view->job.model_path);
    const char *to = tm_path_base(view->job.out_path);
    printf("%-14s %-10s %5u/%-5u units  %2zu nodes  %s -> %s\n", view->job.id, state_text(view),
           view->done, view->job.unit_count, view->node_count,
           tm_escape(name, strlen(name), model, sizeof model),
           tm_escape(to, strlen(to), out, sizeof out));
}

static tm_status list_jobs(struct tm_dir_list *list, char *jobs, struct tm_err *err)
{
    char state[TM_PATH_MAX];
    TM_TRY(tm_xdg_dir(TM_XDG_STATE, state, err));
    TM_TRY(tm_path_join(jobs, state, "jobs"));
    return tm_path_is_dir(jobs) ? tm_dir_list(jobs, list, err) : TM_OK;
}

static tm_status run_jobs(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    struct tm_dir_list list = {0};
    struct tm_envelope json;
    char jobs[TM_PATH_MAX];
    (void)command;
    TM_TRY(list_jobs(&list, jobs, err));
    if (parsed->json) {
        tm_envelope_begin(&json, "tmill.jobs/1");
        tm_jw_array(&json.jw, "jobs");
    }
    for (size_t i = 0; i < list.count; i++) {
        char dir[TM_PATH_MAX], path[TM_PATH_MAX];
        struct job_view view;
        /* A folder without a readable journal is a job that was killed while it was being made. */
        if (tm_path_join(dir, jobs, list.names[i]) != TM_OK ||
            tm_path_join(path, dir, "journal.db") != TM_OK || !tm_path_exists(path) ||
            read_view(path, &view, NULL) != TM_OK) {
            continue;
        }
        if (parsed->json) {
            tm_jw_object(&json.jw, NULL);
            job_members(&json.jw, &view);
            tm_jw_object_end(&json.jw);
        } else {
            job_line(&view);
        }
        view_deinit(&view);
    }
    if (!parsed->json && list.count == 0) {
        printf("no jobs\n");
    }
    tm_dir_list_free(&list);
    if (parsed->json) {
        tm_jw_array_end(&json.jw);
        return tm_envelope_end(&json, NULL, 0, err);
    }
    return TM_OK;
}

static void show_text(const struct job_view *view)
{
    char text[TM_PATH_MAX], id[TM_NODE_ID_TEXT];
    printf("job      %s, %s\n", view->job.id, state_text(view));
    printf("model    %s\n",
           tm_escape(view->job.model_path, strlen(view->job.model_path), text, sizeof text));
    printf("output   %s\n",
           tm_escape(view->job.out_path, strlen(view->job.out_path), text, sizeof text));
    printf("recipe   %s\n",
           tm_escape(view->job.recipe, strlen(view->job.recipe), text, sizeof text));
    printf("units    %u of %u done, started %llu times\n", view->done, view->job.unit_count,
           (unsigned long long)view->job.epoch);
    for (size_t i = 0; i < view->node_count; i++) {
        const struct tm_journal_node *n = &view->nodes[i];
        struct tm_node_id node = tm_node_id_of(&n->node);
        printf("node     %.12s  %-16s %u units, %u audited, %llu weights/s a core\n",
               tm_node_id_hex(&node, id), tm_escape(n->name, strlen(n->name), text, 64),
               n->accepted, n->audited, (unsigned long long)n->weights_per_s);
    }
    for (size_t i = 0; i < view->ban_count; i++) {
        const struct tm_journal_ban *b = &view->bans[i];
        printf("banned   %.12s  unit %u: %s; %u results done again\n", tm_node_id_hex(&b->node, id),
               b->unit, tm_escape(b->reason, strlen(b->reason), text, sizeof text), b->dropped);
    }
}

static tm_status show_json(const struct job_view *view, struct tm_err *err)
{
    char text[TM_PUBLIC_KEY_TEXT];
    struct tm_envelope json;
    tm_envelope_begin(&json, "tmill.show/1");
    job_members(&json.jw, view);
    tm_jw_array(&json.jw, "node_list");
    for (size_t i = 0; i < view->node_count; i++) {
        const struct tm_journal_node *n = &view->nodes[i];
        tm_jw_object(&json.jw, NULL);
        tm_jw_str(&json.jw, "key", tm_public_key_text(&n->node, text));
        tm_jw_str(&json.jw, "node_name", n->name);
        tm_jw_u64(&json.jw, "cores", n->cores);
        tm_jw_u64(&json.jw, "accepted", n->accepted);
        tm_jw_u64(&json.jw, "audited", n->audited);
        tm_jw_u64(&json.jw, "weights_per_s", n->weights_per_s);
        tm_jw_object_end(&json.jw);
    }
    tm_jw_array_end(&json.jw);
    tm_jw_array(&json.jw, "ban_list");
    for (size_t i = 0; i < view->ban_count; i++) {
        const struct tm_journal_ban *b = &view->bans[i];
        tm_jw_object(&json.jw, NULL);
        tm_jw_str(&json.jw, "id", tm_node_id_hex(&b->node, text));
        tm_jw_u64(&json.jw, "unit", b->unit);
        tm_jw_str(&json.jw, "reason", b->reason);
        tm_jw_u64(&json.jw, "results_redone", b->dropped);
        tm_jw_object_end(&json.jw);
    }
    tm_jw_array_end(&json.jw);
    return tm_envelope_end(&json, NULL, 0, err);
}

static tm_status run_show(const struct tm_command *command, const struct tm_parsed *parsed,
                          struct tm_err *err)
{
    char id[16], path[TM_PATH_MAX];
    struct job_view view;
    tm_status status = TM_OK;
    (void)command;
    TM_TRY(tm_job_journal_path(NULL, parsed->arguments[0], id, path, err));
    TM_TRY(read_view(path, &view, err));
    if (parsed->json) {
        status = show_json(&view, err);
    } else {
        show_text(&view);
    }
    view_deinit(&view);
    return status;
}

/* ---- watch ---- */

static void pause_ms(unsigned ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

static void watch_line(const struct job_view *view, bool terminal, unsigned seconds)
{
    unsigned percent =
        view->job.unit_count > 0 ? (unsigned)(100.0 * view->done / view->job.unit_count) : 100;
    char bar[41];
    for (unsigned i = 0; i < 40; i++) {
        bar[i] = i < percent * 40 / 100 ? '#' : '.';
    }
    bar[40] = '\0';
    printf("%s%s %s %3u%% [%s] %u/%u units  %zu nodes  %zu banned  %us", terminal ? "\r\033[K" : "",
           view->job.id, state_text(view), percent, bar, view->done, view->job.unit_count,
           view->node_count, view->ban_count, seconds);
    if (!terminal) {
        printf("\n");
    }
    fflush(stdout);
}

static void watch_json(const struct job_view *view)
{
    struct tm_buf out;
    struct tm_jw jw;
    tm_buf_init(&out, 1 << 20);
    tm_jw_begin(&jw, &out, false);
    tm_jw_object(&jw, NULL);
    tm_jw_str(&jw, "schema", "tmill.watch/1");
    job_members(&jw, view);
    tm_jw_object_end(&jw);
    if (tm_jw_end(&jw) == TM_OK) {
        printf("%.*s\n", (int)out.bytes, (const char *)out.data);
    }
    tm_buf_deinit(&out);
    fflush(stdout);
}

static tm_status run_watch(const struct tm_command *command, const struct tm_parsed *parsed,
                           struct tm_err *err)
{
    char id[16], path[TM_PATH_MAX];
    bool terminal = isatty(STDOUT_FILENO) == 1 && !parsed->json;
    uint64_t start = tm_clock_ms(tm_clock_os()), next_line = 0;
    (void)command;
    TM_TRY(tm_job_journal_path(NULL, parsed->arguments[0], id, path, err));
    for (;;) {
        struct job_view view;
        TM_TRY(read_view(path, &view, err));
        uint64_t now = tm_clock_ms(tm_clock_os()) - start;
        bool last = !view.running || tm_stop_signal != 0;
        if (parsed->json && (now >= next_line || last)) {
            watch_json(&view);
            next_line = now + 1000;
        } else if (!parsed->json && (terminal || now >= next_line || last)) {
            watch_line(&view, terminal, (unsigned)(now / 1000));
            next_line = now + 10000;
        }
        view_deinit(&view);
        if (last) {
            break;
        }
        pause_ms(500);
    }
    if (terminal) {
        printf("\n");
    }
    return TM_OK;
}

static tm_status run_cancel(const struct tm_command *command, const struct tm_parsed *parsed,
                            struct tm_err *err)
{
    char id[16], path[TM_PATH_MAX], dir[TM_PATH_MAX], cancel[TM_PATH_MAX];
    struct job_view view;
    (void)command;
    TM_TRY(tm_job_journal_path(NULL, parsed->arguments[0], id, path, err));
    TM_TRY(read_view(path, &view, err));
    enum tm_job_state state = view.job.state;
    bool running = view.running;
    view_deinit(&view);
    if (state == TM_JOB_DONE || state == TM_JOB_CANCELLED) {
        return tm_err_set(err, TM_E_NOTHING, id, "nothing to cancel", NULL, "the job is %s",
                          tm_job_state_name(state));
    }
    TM_TRY(tm_path_dir(dir, path));
    if (running) {
        TM_TRY(tm_path_join(cancel, dir, "cancel"));
        TM_TRY(tm_file_write_atomic(cancel, 0600, tm_view_str("cancel\n"), err));
    } else {
        struct tm_journal *journal = NULL;
        TM_TRY(tm_journal_open(path, false, &journal, err));
        tm_status status = tm_journal_set_state(journal, TM_JOB_CANCELLED, err);
        tm_journal_close(&journal);
        TM_TRY(status);
    }
    if (parsed->json) {
        struct tm_envelope json;
        tm_envelope_begin(&json, "tmill.cancel/1");
        tm_jw_str(&json.jw, "job", id);
        return tm_envelope_end(&json, NULL, 0, err);
    }
    printf("%s %s\n", id, running ? "is being cancelled" : "cancelled");
    return TM_OK;
}

static const struct tm_option no_options[] = {{0}};
const struct tm_command tm_cmd_jobs = {
    "jobs",     "",       0, 0, "lists the jobs of this user", NULL, "  tmill jobs --json",
    no_options, run_jobs,
};
const struct tm_command tm_cmd_show = {
    "show",     "JOB",    1, 1, "shows one job: units, nodes, bans", NULL, "  tmill show J3f2a",
    no_options, run_show,
};
const struct tm_command tm_cmd_watch = {
    "watch",
    "JOB",
    1,
    1,
    "follows a job until it ends",
    "Redraws one line on a terminal, prints one every 10 s elsewhere; with --json one JSON value "
    "a\n"
    "second.",
    "  tmill watch J3f2a",
    no_options,
    run_watch,
};
const struct tm_command tm_cmd_cancel = {
    "cancel",   "JOB",      1, 1, "ends a job for good", NULL, "  tmill cancel J3f2a",
    no_options, run_cancel,
};

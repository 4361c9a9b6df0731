/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/os.h"
#include "node/coordinator/job_private.h"
#include "node/coordinator/job_sweep.h"

/* realpath of an existing path, or of the folder of a new one plus its name. */
static tm_status absolute(const char *path, bool must_exist, char **out, struct tm_err *err)
{
    char full[TM_PATH_MAX], dir[TM_PATH_MAX], real_dir[TM_PATH_MAX];
    if (must_exist) {
        char *real = realpath(path, real_dir);
        if (real == NULL) {
            return tm_err_set_os(err, errno, path, "cannot open");
        }
        *out = tm_strdup(real);
        return *out != NULL ? TM_OK : TM_E_NOMEM;
    }
    TM_TRY(tm_path_dir(dir, path));
    if (realpath(dir, real_dir) == NULL) {
        return errno == ENOENT || errno == ENOTDIR
                   ? tm_err_set(err, TM_E_NOT_FOUND, path, "cannot write here",
                                "make the folder first, or choose another place", "folder %s: %s",
                                dir, strerror(errno))
                   : tm_err_set_os(err, errno, path, "cannot write here");
    }
    TM_TRY(tm_path_join(full, real_dir, tm_path_base(path)));
    *out = tm_strdup(full);
    return *out != NULL ? TM_OK : TM_E_NOMEM;
}

static tm_status check_output(struct tm_job *job, struct tm_err *err)
{
    char dir[TM_PATH_MAX];
    const char *out = job->out_path;
    if (tm_checkpoint_is_input(job->checkpoint, out)) {
        return tm_err_set(err, TM_E_USAGE, out, "the output is the input",
                          "choose another output file (-o)",
                          "it would overwrite the model that is being read");
    }
    if (tm_path_is_link(out) || (tm_path_exists(out) && tm_path_is_dir(out))) {
        return tm_err_set(err, TM_E_USAGE, out, "cannot be the output",
                          "choose another output file (-o)", "it is a folder or a symbolic link");
    }
    TM_TRY(tm_path_dir(dir, out));
    if (access(dir, W_OK | X_OK) != 0) {
        return tm_err_set(err, TM_E_REFUSED, out, "cannot write here", "choose another folder",
                          "folder %s: %s", dir, strerror(errno));
    }
    return TM_OK;
}

/* Upper bound of the package and, beside it, the finished chunks of the job. */
static tm_status check_space(const struct tm_job *job, const char *state_dir, struct tm_err *err)
{
    uint64_t need = 1 << 20, free_out = 0, free_state = 0;
    char dir[TM_PATH_MAX];
    for (uint32_t u = 0; u < job->split.unit_count; u++) {
        const struct tm_unit *unit = &job->split.units[u];
        struct tm_block_shape shape = {unit->rows, unit->cols};
        need += tm_pipeline_bound(&job->pipelines[unit->pipeline], shape) + 256;
    }
    TM_TRY(tm_path_dir(dir, job->out_path));
    TM_TRY(tm_path_free_bytes(dir, &free_out, err));
    TM_TRY(tm_path_free_bytes(state_dir, &free_state, err));
    uint64_t least = free_out < free_state ? free_out : free_state;
    if (least < 2 * need) {
        char a[TM_NUM_TEXT], b[TM_NUM_TEXT];
        return tm_err_set(err, TM_E_REFUSED, free_out <= free_state ? dir : state_dir,
                          "not enough free space", "free some space, or write to another disk",
                          "the job may need %s, %s are free", tm_format_bytes(2 * need, a),
                          tm_format_bytes(least, b));
    }
    return TM_OK;
}

static void make_id(struct tm_job *job, uint32_t block_weights)
{
    char hex[TM_DIGEST_TEXT], text[TM_PATH_MAX + 128];
    int n = snprintf(text, sizeof text, "%s %u %s", tm_digest_hex(&job->plan_digest, hex),
                     block_weights, job->out_path);
    struct tm_digest id = tm_digest_of(tm_view_of(text, (size_t)n));
    snprintf(job->id, sizeof job->id, "J%.12s", tm_digest_hex(&id, hex));
}

static tm_status lock(struct tm_job *job, const struct tm_root *root, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    struct tm_root_at at;
    TM_TRY(tm_path_join(path, job->dir, "lock"));
    int code = tm_root_at(root, path, &at);
    if (code == 0) {
        int flags = O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW;
        job->lock_fd = tm_os_openat(at.fd, at.name, flags, 0600);
        code = job->lock_fd < 0 ? errno : 0;
        tm_root_at_close(&at);
    }
    if (code != 0) {
        return tm_err_set_os(err, code, path, "cannot open");
    }
    if (tm_os_flock(job->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        char hint[128];
        if (errno != EWOULDBLOCK) {
            return tm_err_set_os(err, errno, path, "cannot lock");
        }
        snprintf(hint, sizeof hint, "tmill watch %s shows it, tmill cancel %s ends it", job->id,
                 job->id);
        return tm_err_set(err, TM_E_REFUSED, job->id, "the job is running", hint,
                          "another process holds %s", path);
    }
    return TM_OK;
}

/* Reads what is there: an unfinished run of the same plan goes on; anything else starts anew. */
static tm_status find_old(struct tm_job *job, const char *journal_path, bool *keep,
                          struct tm_err *err)
{
    struct tm_journal *journal = NULL;
    struct tm_journal_job old;
    bool found;
    *keep = false;
    TM_TRY(tm_path_find(journal_path, &found, err));
    if (!found) {
        return TM_OK;
    }
    memset(&old, 0, sizeof old);
    /* For writing: a crash may have left a rollback journal that SQLite must play back first. */
    tm_status status = tm_journal_open(journal_path, false, &journal, err);
    if (status == TM_OK) {
        status = tm_journal_read_job(journal, &old, err);
        tm_journal_close(&journal);
    }
    if (status == TM_E_NOT_FOUND) {
        return TM_OK; /* killed between creating the file and writing the job */
    }
    if (status == TM_OK) {
        *keep = tm_digest_eq(&old.plan_digest, &job->plan_digest) && old.state != TM_JOB_DONE &&
                old.state != TM_JOB_CANCELLED && old.unit_count == job->split.unit_count;
    }
    tm_journal_job_deinit(&old);
    return status;
}

static tm_status clear_dir(const struct tm_job *job, const struct tm_root *root, struct tm_err *err)
{
    static const char *const names[] = {"objects",        "cancel",         "journal.db",
                                        "journal.db-wal", "journal.db-shm", TM_JOB_CANDIDATE,
                                        TM_JOB_GATE};
    char path[TM_PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        TM_TRY(tm_path_join(path, job->dir, names[i]));
        TM_TRY(tm_path_is_dir_in(root, path) ? tm_dir_remove_tree_in(root, path, err)
                                             : tm_file_remove_in(root, path, err));
    }
    return TM_OK;
}

static tm_status write_job(struct tm_job *job, uint32_t block_weights, struct tm_err *err)
{
    struct tm_journal_job record = {
        .id = job->id,
        .model_path = job->model_path,
        .out_path = job->out_path,
        .recipe = job->recipe,
        .tensors_under = job->tensors_under,
        .plan = job->plan_text,
        .plan_digest = job->plan_digest,
        .unit_count = job->split.unit_count,
        .block_weights = block_weights,
        .created_s = tm_clock_wall_s(tm_clock_os()),
        .state = TM_JOB_NEW,
    };
    return tm_journal_create_job(job->journal, &record, err);
}

/* What open_state does in the job's folder: takes the lock, keeps or clears what is there. */
static tm_status settle_dir(struct tm_job *job, const struct tm_root *root,
                            const char *journal_path, struct tm_err *err)
{
    char cancel[TM_PATH_MAX];
    TM_TRY(lock(job, root, err));
    TM_TRY(find_old(job, journal_path, &job->existed, err));
    if (!job->existed) {
        TM_TRY(clear_dir(job, root, err));
    }
    TM_TRY(tm_path_join(cancel, job->dir, "cancel"));
    return tm_file_remove_in(root, cancel, err);
}

static tm_status open_state(struct tm_job *job, const char *state_dir, uint32_t block_weights,
                            struct tm_err *err)
{
    char dir[TM_PATH_MAX], path[TM_PATH_MAX];
    struct tm_root *root = NULL;
    TM_TRY(tm_path_join(path, state_dir, "jobs"));
    TM_TRY(tm_path_join(dir, path, job->id));
    TM_TRY(tm_dir_make(dir, 0700, err));
    job->dir = tm_strdup(dir);
    if (job->dir == NULL) {
        return TM_E_NOMEM;
    }
    TM_TRY(tm_path_join(path, dir, "journal.db"));
    TM_TRY(tm_root_open(dir, &root, err));
    tm_status status = settle_dir(job, root, path, err);
    tm_root_close(&root);
    TM_TRY(status);
    TM_TRY(tm_journal_open(path, false, &job->journal, err));
    if (!job->existed) {
        TM_TRY(write_job(job, block_weights, err));
        TM_TRY(tm_dir_sync(dir, err)); /* SQLite does so too, and does not look at the result */
    }
    struct tm_store_options store = {.dir = dir, .kind = TM_STORE_LEAF};
    return tm_store_open(&store, &job->chunks, err);
}

static tm_status open_files(struct tm_job *job, const struct tm_job_options *options,
                            struct tm_err *err)
{
    bool file_recipe = strchr(options->recipe, '/') != NULL || strchr(options->recipe, '.') != NULL;
    const char *under = options->tensors_under != NULL ? options->tensors_under : "";
    TM_TRY(tm_checkpoint_open_under(options->model_path, under[0] != '\0' ? under : NULL,
                                    &job->checkpoint, err));
    job->tensors_under = tm_strdup(under);
    if (job->tensors_under == NULL) {
        return TM_E_NOMEM;
    }
    TM_TRY(absolute(options->model_path, true, &job->model_path, err));
    TM_TRY(absolute(options->out_path, false, &job->out_path, err));
    TM_TRY(check_output(job, err));
    if (file_recipe) {
        TM_TRY(absolute(options->recipe, true, &job->recipe, err));
    } else {
        job->recipe = tm_strdup(options->recipe);
        if (job->recipe == NULL) {
            return TM_E_NOMEM;
        }
    }
    return TM_OK;
}

static tm_status prepare(struct tm_job *job, const struct tm_job_options *options,
                         struct tm_err *err)
{
    char state[TM_PATH_MAX];
    uint32_t weights = options->block_weights != 0 ? options->block_weights : TM_BLOCK_WEIGHTS;
    TM_TRY(open_files(job, options, err));
    TM_TRY(tm_job_make_plan(job, options, err));
    if (options->state_dir != NULL) {
        snprintf(state, sizeof state, "%s", options->state_dir);
    } else {
        TM_TRY(tm_xdg_dir(TM_XDG_STATE, state, err));
    }
    tm_job_sweep(state);                  /* before the free space is asked for */
    TM_TRY(check_space(job, state, err)); /* before hours of reading */
    TM_TRY(tm_job_read_source(job, options, err));
    TM_TRY(check_space(job, state, err)); /* what is kept without loss needs more */
    make_id(job, weights);
    return open_state(job, state, weights, err);
}

tm_status tm_job_prepare(const struct tm_job_options *options, struct tm_job **out,
                         struct tm_err *err)
{
    struct tm_job *job = tm_calloc(1, sizeof *job);
    if (job == NULL) {
        return TM_E_NOMEM;
    }
    job->lock_fd = -1;
    tm_status status = prepare(job, options, err);
    if (status != TM_OK) {
        tm_job_close(&job);
        return status;
    }
    *out = job;
    return TM_OK;
}

/* The one job folder whose name starts with prefix, into id. */
static tm_status match_id(const char *jobs_dir, const char *prefix, char id[16], struct tm_err *err)
{
    struct tm_dir_list list = {0};
    size_t found = 0;
    bool there;
    TM_TRY(tm_path_find(jobs_dir, &there, err));
    if (there) {
        TM_TRY(tm_dir_list(jobs_dir, &list, err));
    }
    for (size_t i = 0; i < list.count; i++) {
        if (strncmp(list.names[i], prefix, strlen(prefix)) == 0) {
            snprintf(id, 16, "%.15s", list.names[i]);
            found++;
        }
    }
    tm_dir_list_free(&list);
    if (found == 1) {
        return TM_OK;
    }
    return tm_err_set(err, TM_E_NOT_FOUND, prefix, "no such job", "tmill jobs lists them",
                      found == 0 ? "no job starts so in %s" : "several jobs start so in %s",
                      jobs_dir);
}

tm_status tm_job_journal_path(const char *state_dir, const char *prefix, char id[16],
                              char path[TM_PATH_MAX], struct tm_err *err)
{
    char state[TM_PATH_MAX], jobs[TM_PATH_MAX], dir[TM_PATH_MAX];
    if (state_dir != NULL) {
        snprintf(state, sizeof state, "%s", state_dir);
    } else {
        TM_TRY(tm_xdg_dir(TM_XDG_STATE, state, err));
    }
    TM_TRY(tm_path_join(jobs, state, "jobs"));
    TM_TRY(match_id(jobs, prefix, id, err));
    TM_TRY(tm_path_join(dir, jobs, id));
    return tm_path_join(path, dir, "journal.db");
}

tm_status tm_job_open(const char *state_dir, const char *id, const struct tm_job_options *options,
                      struct tm_job **out, struct tm_err *err)
{
    char full[16], path[TM_PATH_MAX];
    struct tm_journal *journal = NULL;
    struct tm_journal_job old;
    memset(&old, 0, sizeof old);
    TM_TRY(tm_job_journal_path(state_dir, id, full, path, err));
    TM_TRY(tm_journal_open(path, true, &journal, err));
    tm_status status = tm_journal_read_job(journal, &old, err);
    tm_journal_close(&journal);
    if (status == TM_OK && (old.state == TM_JOB_DONE || old.state == TM_JOB_CANCELLED)) {
        status = tm_err_set(err, TM_E_NOTHING, full, "nothing to resume",
                            "tmill compress or tmill submit starts a new job", "the job is %s",
                            tm_job_state_name(old.state));
    }
    if (status == TM_OK) {
        struct tm_job_options again = *options;
        again.model_path = old.model_path;
        again.out_path = old.out_path;
        again.recipe = old.recipe;
        again.tensors_under = old.tensors_under;
        again.block_weights = old.block_weights;
        again.state_dir = state_dir;
        status = tm_job_prepare(&again, out, err);
    }
    if (status == TM_OK && strcmp((*out)->id, full) != 0) {
        status = tm_err_set(err, TM_E_VERIFY, old.model_path, "the model has changed",
                            "start a new job with tmill compress",
                            "its plan is no longer that of job %s", full);
        tm_job_close(out);
    }
    tm_journal_job_deinit(&old);
    return status;
}

void tm_job_close(struct tm_job **job)
{
    struct tm_job *j = *job;
    if (j == NULL) {
        return;
    }
    tm_journal_close(&j->journal);
    tm_store_close(&j->chunks);
    tm_split_deinit(&j->split);
    tm_plan_deinit(&j->plan);
    tm_checkpoint_close(&j->checkpoint);
    for (size_t i = 0; i < j->warning_count; i++) {
        tm_free(j->warnings[i]);
    }
    tm_free(j->warnings);
    tm_free(j->pipelines);
    tm_free(j->unit_source);
    tm_free(j->tensor_source);
    tm_free(j->plan_text);
    tm_free(j->dir);
    tm_free(j->model_path);
    tm_free(j->out_path);
    tm_free(j->recipe);
    tm_free(j->tensors_under);
    if (j->lock_fd >= 0) {
        close(j->lock_fd);
    }
    tm_free(j);
    *job = NULL;
}

tm_status tm_job_read_unit(struct tm_job *job, uint32_t unit, struct tm_buf *out,
                           struct tm_err *err)
{
    const struct tm_unit *u = &job->split.units[unit];
    tm_buf_clear(out);
    if (u->attachment) {
        return tm_checkpoint_attachment_range(job->checkpoint, u->tensor, u->source_offset,
                                              u->source_bytes, out, err);
    }
    uint8_t *at = NULL;
    TM_TRY(tm_buf_extend(out, u->source_bytes, &at));
    return tm_checkpoint_read(job->checkpoint, u->tensor, u->source_offset, at, u->source_bytes,
                              err);
}

uint32_t tm_job_find_source(const struct tm_job *job, const struct tm_digest *source)
{
    for (uint32_t u = 0; u < job->split.unit_count; u++) {
        if (memcmp(job->unit_source[u].b, source->b, TM_DIGEST_BYTES) == 0) {
            return u;
        }
    }
    return job->split.unit_count;
}

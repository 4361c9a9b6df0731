/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/gated.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "node/coordinator/package_add.h"
#include "node/quality/figures.h"

struct work {
    const struct tm_gated_options *o;
    struct tm_gated *out;
    struct tm_gate gate;
    struct tm_evaluate_options evaluate;
    struct tm_buf tasks, figures;
    char candidate[TM_PATH_MAX];
    struct tm_err *err;
};

static tm_status weights_error(struct work *w)
{
    struct tm_package *package = NULL;
    TM_TRY(tm_package_open(w->candidate, &package, w->err));
    const struct tm_pkg_ledger *ledger = tm_package_ledger(package);
    w->out->error = tm_pkg_relative_error(ledger, 0, ledger->entry_count);
    tm_package_close(&package);
    return TM_OK;
}

/* A model that has no graph here, or no tokenizer, can be compressed all the same. */
static tm_status measure(struct work *w)
{
    const struct tm_job *job = w->o->job;
    struct tm_err cannot = {.status = TM_OK};
    TM_TRY(tm_gate_tasks(&w->gate, NULL, &w->tasks));
    w->evaluate = (struct tm_evaluate_options){
        .model_path = w->candidate,
        .base_path = job->model_path,
        .under = job->tensors_under[0] != '\0' ? job->tensors_under : NULL,
        .text_path = w->o->text_path,
        .tasks = w->tasks.bytes > 0 ? (const char *)w->tasks.data : NULL,
        .task_data = w->o->task_data,
        .seed = 1,
        .cache_bytes = w->o->cache_bytes,
        .quiet = w->o->quiet,
        .stop = w->o->stop};
    w->evaluate.cannot = &cannot;
    tm_status status = tm_evaluate(&w->evaluate, &w->out->evaluation, w->err);
    w->evaluate.cannot = NULL;
    w->out->measured = status == TM_OK;
    if (status == TM_E_NOTHING) {
        snprintf(w->out->reason, sizeof w->out->reason, "%s", tm_err_why(&cannot, status));
        return TM_OK;
    }
    return status;
}

static tm_status hold(struct work *w)
{
    struct tm_gate_figures figures = {.evaluation = w->out->measured ? &w->out->evaluation : NULL,
                                      .has_error = true,
                                      .error = w->out->error};
    return tm_gate_check(&w->gate, &figures, w->o->job->out_path, w->err);
}

static tm_status place(struct work *w)
{
    const char *path = w->o->job->out_path;
    if (!w->out->measured) {
        return tm_job_merge_to(w->o->job, path, w->o->owner, w->o->quiet, w->err);
    }
    TM_TRY(tm_figures_write(&w->evaluate, &w->out->evaluation, &w->figures));
    return tm_package_add(w->candidate, path, TM_PACKAGE_FIGURES, tm_buf_view(&w->figures),
                          w->o->owner, w->err);
}

static tm_status run(struct work *w)
{
    struct tm_job *job = w->o->job;
    TM_TRY(tm_path_join(w->candidate, job->dir, TM_JOB_CANDIDATE));
    TM_TRY(tm_gate_parse(tm_view_str(w->o->gate), &w->gate, w->err));
    TM_TRY(tm_job_merge_to(job, w->candidate, w->o->owner, w->o->quiet, w->err));
    TM_TRY(weights_error(w));
    TM_TRY(measure(w));
    TM_TRY(hold(w));
    TM_TRY(place(w));
    return tm_job_finish(job, TM_JOB_DONE, w->err);
}

tm_status tm_gated_merge(const struct tm_gated_options *options, struct tm_gated *out,
                         struct tm_err *err)
{
    struct work w = {.o = options, .out = out, .err = err};
    *out = (struct tm_gated){.measured = false};
    tm_buf_init(&w.tasks, 1 << 16);
    tm_buf_init(&w.figures, TM_FIGURES_BYTES_MAX);
    tm_status status = run(&w);
    tm_buf_deinit(&w.tasks);
    tm_buf_deinit(&w.figures);
    if (status != TM_OK) {
        tm_gated_deinit(out);
        tm_status removed = tm_file_remove_in(NULL, w.candidate, NULL);
        (void)removed; /* it can be made again */
    }
    return status;
}

void tm_gated_deinit(struct tm_gated *gated)
{
    tm_evaluation_deinit(&gated->evaluation);
    *gated = (struct tm_gated){.measured = false};
}

tm_status tm_gated_preflight(const char *gate, const char *text_path, const char *task_data,
                             struct tm_err *err)
{
    struct tm_gate parsed;
    struct tm_buf tasks;
    struct tm_file_in *text = NULL;
    TM_TRY(tm_gate_parse(tm_view_str(gate), &parsed, err));
    if (text_path != NULL) {
        TM_TRY(tm_file_open(text_path, &text, err));
        tm_file_close(&text);
    }
    tm_buf_init(&tasks, 1 << 16);
    tm_status status = tm_gate_tasks(&parsed, NULL, &tasks);
    const char *list = (const char *)tasks.data;
    struct tm_view spec;
    while (status == TM_OK && tm_task_next(&list, &spec)) {
        struct tm_task task;
        status = tm_task_open(spec, task_data, &task, err);
        tm_task_deinit(&task);
    }
    tm_buf_deinit(&tasks);
    return status;
}

tm_status tm_gated_save(const struct tm_job *job, const char *gate, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    TM_TRY(tm_path_join(path, job->dir, TM_JOB_GATE));
    return tm_file_write_atomic(path, 0600, tm_view_str(gate), err);
}

tm_status tm_gated_load(const struct tm_job *job, struct tm_buf *out, struct tm_err *err)
{
    char path[TM_PATH_MAX];
    TM_TRY(tm_path_join(path, job->dir, TM_JOB_GATE));
    tm_status status = tm_path_exists(path) ? tm_file_read(path, out, err) : TM_OK;
    return status == TM_OK ? tm_buf_terminate(out) : status;
}

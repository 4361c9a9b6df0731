/* SPDX-License-Identifier: Apache-2.0
 * The report of a job: from its journal, and from the model for what the units are of. */
#include "node/report/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/checkpoint.h"
#include "node/journal/journal.h"
#include "scheduler/split.h"

static const char what_failed[] = "cannot report on the job";

struct work {
    struct tm_journal *journal;
    struct tm_journal_job job;
    struct tm_checkpoint *checkpoint;
    const struct tm_inventory *inv;
    struct tm_plan plan;
    struct tm_split split;
    struct tm_journal_result *results;
    size_t result_count;
    struct tm_journal_node *nodes;
    size_t node_count;
    struct tm_journal_ban *bans;
    size_t ban_count;
};

static void work_deinit(struct work *w)
{
    tm_free(w->bans);
    tm_free(w->nodes);
    tm_free(w->results);
    tm_split_deinit(&w->split);
    tm_plan_deinit(&w->plan);
    tm_checkpoint_close(&w->checkpoint);
    tm_journal_job_deinit(&w->job);
    tm_journal_close(&w->journal);
}

static tm_status read_journal(struct work *w, const char *path, struct tm_err *err)
{
    TM_TRY(tm_journal_open(path, true, &w->journal, err));
    TM_TRY(tm_journal_read_job(w->journal, &w->job, err));
    TM_TRY(tm_journal_results(w->journal, &w->results, &w->result_count, err));
    TM_TRY(tm_journal_nodes(w->journal, &w->nodes, &w->node_count, err));
    return tm_journal_bans(w->journal, &w->bans, &w->ban_count, err);
}

/* The journal knows units by number; which tensors they are of follows from model and plan. */
static tm_status read_model(struct work *w, struct tm_err *err)
{
    const struct tm_journal_job *job = &w->job;
    const char *under = job->tensors_under[0] != '\0' ? job->tensors_under : NULL;
    TM_TRY(tm_checkpoint_open_under(job->model_path, under, &w->checkpoint, err));
    w->inv = tm_checkpoint_inventory(w->checkpoint);
    TM_TRY(tm_plan_read(tm_view_str(job->plan), job->model_path, w->inv, &w->plan, err));
    TM_TRY(tm_split_make(w->inv, &w->plan, job->block_weights, &w->split, err));
    if (w->split.unit_count != job->unit_count) {
        return tm_err_set(err, TM_E_VERIFY, job->model_path, what_failed,
                          "bring back the model that the job was started with",
                          "the model has changed: it makes %u units, the job has %u",
                          w->split.unit_count, job->unit_count);
    }
    return TM_OK;
}

static tm_status fill_texts(const struct work *w, struct tm_report *out)
{
    out->subject = TM_REPORT_JOB;
    out->path = tm_strdup(tm_path_base(w->job.out_path));
    out->model_name = tm_strdup(tm_path_base(w->job.model_path));
    out->arch = tm_strdup(w->inv->arch != NULL ? w->inv->arch : "");
    out->pipelines = tm_calloc(w->plan.pipeline_count, sizeof *out->pipelines);
    if (out->path == NULL || out->model_name == NULL || out->arch == NULL ||
        out->pipelines == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < w->plan.pipeline_count; i++) {
        out->pipelines[i] = tm_strdup(w->plan.pipelines[i]);
        if (out->pipelines[i] == NULL) {
            return TM_E_NOMEM;
        }
        out->pipeline_count++;
    }
    snprintf(out->job_id, sizeof out->job_id, "%s", w->job.id);
    tm_digest_hex(&w->job.plan_digest, out->plan_digest);
    out->units = w->job.unit_count;
    out->units_done = (uint32_t)w->result_count;
    return TM_OK;
}

static tm_status fill_tensor(const struct work *w, size_t index, struct tm_report_tensor *to,
                             struct tm_err *err)
{
    const struct tm_tensor *from = &w->inv->tensors[index];
    struct tm_pipeline pipeline;
    to->pipeline = w->plan.tensors[index].pipeline;
    TM_TRY(tm_pipeline_parse(tm_view_str(w->plan.pipelines[to->pipeline]), &pipeline, err));
    to->name_bytes = from->name_bytes;
    to->layer = tm_layer_of_name(from->name);
    to->kind = tm_tensor_kind_of(tm_view_of(from->name, from->name_bytes));
    to->dtype = from->dtype;
    to->shape = from->shape;
    to->lossless = tm_pipeline_is_lossless(&pipeline);
    to->prediction = tm_predict(&pipeline);
    to->source_bytes = from->bytes;
    to->units = w->split.first[index + 1] - w->split.first[index];
    TM_ASSERT(tm_shape_elements(&to->shape, &to->weights)); /* the inventory was checked */
    return TM_OK;
}

static tm_status fill_tensors(const struct work *w, struct tm_report *out, struct tm_err *err)
{
    out->tensors = tm_calloc(w->inv->tensor_count, sizeof *out->tensors);
    if (out->tensors == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t i = 0; i < w->inv->tensor_count; i++) {
        struct tm_report_tensor *to = &out->tensors[i];
        to->name = tm_strndup(w->inv->tensors[i].name, w->inv->tensors[i].name_bytes);
        if (to->name == NULL) {
            return TM_E_NOMEM;
        }
        out->tensor_count++;
        TM_TRY(fill_tensor(w, i, to, err));
    }
    for (size_t i = 0; i < w->inv->attachment_count; i++) {
        out->attachment_bytes += w->inv->attachments[i].bytes;
    }
    out->attachment_count = w->inv->attachment_count;
    return TM_OK;
}

static struct tm_report_node *node_of(struct tm_report *out, const struct tm_public_key *key)
{
    struct tm_node_id id = tm_node_id_of(key);
    uint32_t i = 0;
    while (i < out->node_count && !tm_node_id_eq(&out->nodes[i].id, &id)) {
        i++;
    }
    out->nodes[i].id = id;
    out->node_count = i == out->node_count ? i + 1 : out->node_count;
    return &out->nodes[i];
}

static void count_result(const struct work *w, const struct tm_journal_result *result,
                         struct tm_report *out)
{
    struct tm_report_node *node = node_of(out, &result->node);
    node->units++;
    node->bytes += result->bytes;
    node->decoded += (result->checks & TM_CHECK_DECODED) != 0;
    node->audited += (result->checks & TM_CHECK_AUDITED) != 0;
    node->own += (result->checks & TM_CHECK_OWNER) != 0;
    const struct tm_unit *unit = &w->split.units[result->unit];
    if (!unit->attachment) {
        struct tm_report_tensor *t = &out->tensors[unit->tensor];
        t->units_done++;
        t->bytes += result->bytes;
        t->audited += (result->checks & TM_CHECK_AUDITED) != 0;
        t->squared_error += tm_f64_from_bits(result->squared_error_bits);
        t->squared_sum += tm_f64_from_bits(result->squared_norm_bits);
    }
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, TM_NODE_ID_BYTES); /* the first member of a node */
}

/* Keys that made results, with the names of those that are known. */
static tm_status fill_results(const struct work *w, struct tm_report *out)
{
    /* One for each node that announced itself, and one for each that did not. */
    out->nodes = tm_calloc(w->result_count + w->node_count, sizeof *out->nodes);
    out->bans = tm_calloc(w->ban_count, sizeof *out->bans);
    if (out->nodes == NULL || out->bans == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t i = 0; i < w->node_count; i++) {
        struct tm_report_node *node = node_of(out, &w->nodes[i].node);
        memcpy(node->name, w->nodes[i].name, sizeof node->name);
    }
    for (size_t i = 0; i < w->result_count; i++) {
        if (w->results[i].unit < w->split.unit_count) {
            count_result(w, &w->results[i], out);
        }
    }
    if (out->node_count > 0) {
        qsort(out->nodes, out->node_count, sizeof *out->nodes, by_id);
    }
    for (size_t i = 0; i < w->ban_count; i++) {
        out->bans[i].id = w->bans[i].node;
        memcpy(out->bans[i].reason, w->bans[i].reason, sizeof out->bans[i].reason);
    }
    out->ban_count = (uint32_t)w->ban_count;
    return TM_OK;
}

tm_status tm_report_of_job(const char *journal_path, const char *state, struct tm_report *out,
                           struct tm_err *err)
{
    struct work w = {.journal = NULL};
    tm_status status;
    memset(out, 0, sizeof *out);
    TM_TRY_GOTO(read_journal(&w, journal_path, err), done);
    TM_TRY_GOTO(read_model(&w, err), done);
    TM_TRY_GOTO(fill_texts(&w, out), done);
    snprintf(out->job_state, sizeof out->job_state, "%s",
             state != NULL ? state : tm_job_state_name(w.job.state));
    TM_TRY_GOTO(fill_tensors(&w, out, err), done);
    TM_TRY_GOTO(fill_results(&w, out), done);
    status = tm_report_rank(out);
done:
    work_deinit(&w);
    if (status != TM_OK) {
        tm_report_deinit(out);
    }
    return status == TM_E_NOMEM
               ? tm_err_set(err, TM_E_NOMEM, journal_path, what_failed, NULL, "out of memory")
               : status;
}

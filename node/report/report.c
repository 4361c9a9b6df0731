/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/checkpoint.h"
#include "scheduler/split.h"

static const char what_failed[] = "cannot report on the package";

/* ---- figures ---- */

double tm_report_error(const struct tm_report_tensor *tensor)
{
    if (tensor->lossless || tensor->squared_error == 0) {
        return 0;
    }
    double error = sqrt(tensor->squared_error / tensor->squared_sum);
    return isfinite(error) ? error : (double)INFINITY;
}

double tm_report_bits(const struct tm_report_tensor *tensor)
{
    if (tensor->units_done == 0 || tensor->weights == 0) {
        return 0;
    }
    /* Of an unfinished tensor: its units are of one size but for the last. */
    double part = (double)tensor->units_done / tensor->units;
    return 8.0 * (double)tensor->bytes / ((double)tensor->weights * part);
}

struct tm_report_totals tm_report_sum(const struct tm_report *report)
{
    struct tm_report_totals sum = {0};
    double squared_error = 0, squared_sum = 0, done_weights = 0;
    bool lossy_done = false;
    for (uint32_t i = 0; i < report->tensor_count; i++) {
        const struct tm_report_tensor *t = &report->tensors[i];
        sum.weights += t->weights;
        sum.source_bytes += t->source_bytes;
        sum.bytes += t->bytes;
        done_weights += t->units > 0 ? (double)t->weights * t->units_done / t->units : 0;
        if (!t->lossless) {
            sum.lossy++;
            lossy_done = lossy_done || t->units_done > 0;
            squared_error += t->squared_error;
            squared_sum += t->squared_sum;
        }
    }
    for (uint32_t i = 0; i < report->node_count; i++) {
        sum.units += report->nodes[i].units;
        sum.decoded += report->nodes[i].decoded;
        sum.audited += report->nodes[i].audited;
        sum.own += report->nodes[i].own;
    }
    sum.error = squared_sum > 0 ? sqrt(squared_error / squared_sum) : 0;
    sum.error = sum.lossy > 0 && !lossy_done ? (double)NAN : sum.error;
    sum.bits_per_weight = done_weights > 0 ? 8.0 * (double)sum.bytes / done_weights : 0;
    return sum;
}

double tm_report_bits_of_all(const struct tm_report *report)
{
    if (report->model_weights > 0) {
        return 8.0 * (double)report->model_bytes / (double)report->model_weights;
    }
    return tm_report_sum(report).bits_per_weight;
}

const struct tm_report_quality *tm_report_own_quality(const struct tm_report *report)
{
    for (uint32_t i = 0; i < report->quality_count; i++) {
        if (report->qualities[i].is_this) {
            return &report->qualities[i];
        }
    }
    return NULL;
}

/* ---- order ---- */

struct ranked {
    double error;
    uint32_t index;
};

static int worst_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->error != y->error) {
        return x->error > y->error ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

tm_status tm_report_rank(struct tm_report *report)
{
    struct ranked *ranked = tm_calloc(report->tensor_count, sizeof *ranked);
    tm_free(report->worst);
    report->worst = tm_calloc(report->tensor_count, sizeof *report->worst);
    if (ranked == NULL || report->worst == NULL) {
        tm_free(ranked);
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < report->tensor_count; i++) {
        ranked[i] = (struct ranked){tm_report_error(&report->tensors[i]), i};
    }
    if (report->tensor_count > 0) {
        qsort(ranked, report->tensor_count, sizeof *ranked, worst_first);
    }
    for (uint32_t i = 0; i < report->tensor_count; i++) {
        report->worst[i] = ranked[i].index;
    }
    tm_free(ranked);
    return TM_OK;
}

/* ---- of a package ---- */

static tm_status copy_texts(const struct tm_pkg_meta *meta, const char *path, struct tm_report *out)
{
    out->path = tm_strdup(tm_path_base(path));
    out->model_name = tm_strdup(meta->model_name);
    out->arch = tm_strdup(meta->arch);
    out->pipelines = tm_calloc(meta->pipeline_count, sizeof *out->pipelines);
    if (out->path == NULL || out->model_name == NULL || out->arch == NULL ||
        out->pipelines == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < meta->pipeline_count; i++) {
        out->pipelines[i] = tm_strdup(meta->pipelines[i]);
        if (out->pipelines[i] == NULL) {
            return TM_E_NOMEM;
        }
        out->pipeline_count++;
    }
    return TM_OK;
}

static tm_status incompatible(const struct tm_pkg_tensor *t, struct tm_err *err)
{
    char name[300], where[320];
    snprintf(where, sizeof where, "tensor '%s'",
             tm_escape(t->name, t->name_bytes, name, sizeof name));
    return tm_err_set(err, TM_E_INCOMPATIBLE, where, what_failed, "use a newer Tensormill",
                      "its type is unknown here");
}

/* `where`: which pipeline is meant by an error. */
static tm_status read_pipeline(const struct tm_pkg_meta *meta, uint32_t index,
                               struct tm_pipeline *out, struct tm_err *err)
{
    if (tm_pipeline_parse(tm_view_str(meta->pipelines[index]), out, err) == TM_OK) {
        return TM_OK;
    }
    char text[300];
    return tm_err_set(
        err, TM_E_INCOMPATIBLE, "pipeline", what_failed, "use a newer Tensormill",
        "this build cannot read '%s'",
        tm_escape(meta->pipelines[index], strlen(meta->pipelines[index]), text, sizeof text));
}

static tm_status fill_tensor(const struct tm_pkg_meta *meta, const struct tm_pkg_ledger *ledger,
                             const struct tm_pkg_tensor *from, struct tm_report_tensor *to,
                             struct tm_err *err)
{
    struct tm_pipeline pipeline;
    if (!tm_dtype_known(from->dtype)) {
        return incompatible(from, err);
    }
    TM_TRY(read_pipeline(meta, from->pipeline, &pipeline, err));
    to->name_bytes = from->name_bytes;
    to->layer = tm_layer_of_name(from->name);
    to->kind = tm_tensor_kind_of(tm_view_of(from->name, from->name_bytes));
    to->dtype = (enum tm_dtype)from->dtype;
    to->shape.rank = from->rank;
    memcpy(to->shape.dim, from->dim, sizeof from->dim[0] * from->rank);
    if (!tm_shape_elements(&to->shape, &to->weights)) {
        return incompatible(from, err);
    }
    to->pipeline = from->pipeline;
    to->lossless = tm_pipeline_is_lossless(&pipeline);
    to->prediction = tm_predict(&pipeline);
    to->source_bytes = from->source_bytes;
    to->units = to->units_done = from->chunk_count;
    for (uint32_t c = from->first_chunk; c < from->first_chunk + from->chunk_count; c++) {
        const struct tm_pkg_ledger_entry *entry = &ledger->entries[c];
        to->bytes += meta->chunks[c].bytes;
        to->audited += (entry->checks & TM_CHECK_AUDITED) != 0;
        to->squared_error += tm_f64_from_bits(entry->squared_error_bits);
        to->squared_sum += tm_f64_from_bits(entry->squared_norm_bits);
    }
    return TM_OK;
}

static tm_status fill_tensors(const struct tm_pkg_meta *meta, const struct tm_pkg_ledger *ledger,
                              struct tm_report *out, struct tm_err *err)
{
    out->tensors = tm_calloc(meta->tensor_count, sizeof *out->tensors);
    if (out->tensors == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < meta->tensor_count; i++) {
        struct tm_report_tensor *to = &out->tensors[i];
        to->name = tm_strndup(meta->tensors[i].name, meta->tensors[i].name_bytes);
        if (to->name == NULL) {
            return TM_E_NOMEM;
        }
        out->tensor_count++;
        TM_TRY(fill_tensor(meta, ledger, &meta->tensors[i], to, err));
    }
    for (uint32_t i = 0; i < meta->attachment_count; i++) {
        out->attachment_bytes += meta->attachments[i].bytes;
    }
    out->attachment_count = meta->attachment_count;
    return TM_OK;
}

static tm_status fill_nodes(const struct tm_pkg_meta *meta, const struct tm_pkg_ledger *ledger,
                            struct tm_report *out)
{
    out->nodes = tm_calloc(ledger->node_count, sizeof *out->nodes);
    out->bans = tm_calloc(ledger->banned_count, sizeof *out->bans);
    if (out->nodes == NULL || out->bans == NULL) {
        return TM_E_NOMEM;
    }
    out->node_count = ledger->node_count;
    out->ban_count = ledger->banned_count;
    for (uint32_t i = 0; i < ledger->node_count; i++) {
        out->nodes[i].id = tm_node_id_of(&ledger->nodes[i]);
    }
    for (uint32_t i = 0; i < ledger->banned_count; i++) {
        out->bans[i].id = ledger->banned[i];
    }
    for (uint32_t i = 0; i < ledger->entry_count; i++) {
        const struct tm_pkg_ledger_entry *entry = &ledger->entries[i];
        struct tm_report_node *node = &out->nodes[entry->node];
        node->units++;
        node->bytes += meta->chunks[i].bytes;
        node->decoded += (entry->checks & TM_CHECK_DECODED) != 0;
        node->audited += (entry->checks & TM_CHECK_AUDITED) != 0;
        node->own += (entry->checks & TM_CHECK_OWNER) != 0;
    }
    return TM_OK;
}

tm_status tm_report_of_package(struct tm_package *package, const char *path, struct tm_report *out,
                               struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    const struct tm_pkg_ledger *ledger = tm_package_ledger(package);
    tm_status status;
    memset(out, 0, sizeof *out);
    out->subject = TM_REPORT_PACKAGE;
    tm_digest_hex(tm_package_id(package), out->package_id);
    tm_digest_hex(tm_package_root(package), out->root);
    tm_digest_hex(&meta->plan_digest, out->plan_digest);
    tm_public_key_text(tm_package_owner(package), out->owner);
    out->file_bytes = tm_package_bytes(package);
    out->units = out->units_done = meta->chunk_count;
    TM_TRY_GOTO(copy_texts(meta, path, out), failed);
    TM_TRY_GOTO(fill_tensors(meta, ledger, out, err), failed);
    TM_TRY_GOTO(fill_nodes(meta, ledger, out), failed);
    TM_TRY_GOTO(tm_report_rank(out), failed);
    TM_TRY_GOTO(tm_report_add_carried(out, package, err), failed);
    return TM_OK;
failed:
    tm_report_deinit(out);
    return status == TM_E_NOMEM
               ? tm_err_set(err, TM_E_NOMEM, path, what_failed, NULL, "out of memory")
               : status;
}

tm_status tm_report_of_package_file(const char *path, struct tm_report *out, struct tm_err *err)
{
    struct tm_package *package = NULL;
    memset(out, 0, sizeof *out);
    TM_TRY(tm_package_open(path, &package, err));
    tm_status status = tm_report_of_package(package, path, out, err);
    tm_package_close(&package);
    return status;
}

tm_status tm_report_of_model(const char *path, const char *under, struct tm_report *out,
                             struct tm_err *err)
{
    struct tm_checkpoint *checkpoint = NULL;
    memset(out, 0, sizeof *out);
    TM_TRY(tm_checkpoint_open_under(path, under, &checkpoint, err));
    const struct tm_inventory *inv = tm_checkpoint_inventory(checkpoint);
    out->subject = TM_REPORT_MODEL;
    out->model_weights = inv->total_elements;
    out->model_bytes = inv->total_bytes;
    out->path = tm_strdup(tm_path_base(path));
    out->model_name = tm_strdup(tm_path_base(path));
    out->arch = tm_strdup(inv->arch != NULL ? inv->arch : "");
    tm_checkpoint_close(&checkpoint);
    if (out->path == NULL || out->model_name == NULL || out->arch == NULL ||
        tm_report_rank(out) != TM_OK) {
        tm_report_deinit(out);
        return tm_err_set(err, TM_E_NOMEM, path, what_failed, NULL, "out of memory");
    }
    return TM_OK;
}

void tm_report_deinit(struct tm_report *report)
{
    for (uint32_t i = 0; i < report->tensor_count; i++) {
        tm_free(report->tensors[i].name);
    }
    for (uint32_t i = 0; i < report->pipeline_count; i++) {
        tm_free(report->pipelines[i]);
    }
    for (uint32_t i = 0; i < report->quality_count; i++) {
        tm_free(report->qualities[i].label);
    }
    tm_free(report->path);
    tm_free(report->model_name);
    tm_free(report->arch);
    tm_free(report->pipelines);
    tm_free(report->tensors);
    tm_free(report->worst);
    tm_free(report->nodes);
    tm_free(report->bans);
    memset(report, 0, sizeof *report);
}

/* SPDX-License-Identifier: Apache-2.0
 * The report for other programs. */
#include "node/report/report_write.h"

static void text_if(struct tm_jw *jw, const char *key, const char *text)
{
    if (text[0] != '\0') {
        tm_jw_str(jw, key, text);
    }
}

static void head(struct tm_jw *jw, const struct tm_report *r)
{
    static const char *const subjects[] = {"package", "job", "model"};
    tm_jw_str(jw, "subject", subjects[r->subject]);
    tm_jw_str(jw, "file", r->path);
    tm_jw_str(jw, "model", r->model_name);
    tm_jw_str(jw, "arch", r->arch);
    text_if(jw, "package_id", r->package_id);
    text_if(jw, "merkle_root", r->root);
    text_if(jw, "plan_digest", r->plan_digest);
    text_if(jw, "owner", r->owner);
    text_if(jw, "job", r->job_id);
    text_if(jw, "state", r->job_state);
}

static void totals(struct tm_jw *jw, const struct tm_report *r)
{
    struct tm_report_totals sum = tm_report_sum(r);
    tm_jw_u64(jw, "file_bytes", r->file_bytes);
    tm_jw_u64(jw, "tensor_count", r->tensor_count);
    tm_jw_u64(jw, "tensors_compressed", sum.lossy);
    tm_jw_u64(jw, "weights", sum.weights);
    tm_jw_u64(jw, "tensor_bytes", sum.bytes);
    tm_jw_u64(jw, "source_bytes", sum.source_bytes);
    tm_jw_u64(jw, "bf16_bytes", 2 * sum.weights);
    tm_jw_u64(jw, "f32_bytes", 4 * sum.weights);
    tm_jw_f64(jw, "bits_per_weight", sum.bits_per_weight);
    tm_jw_f64(jw, "relative_error", sum.error);
    tm_jw_u64(jw, "attachments", r->attachment_count);
    tm_jw_u64(jw, "attachment_bytes", r->attachment_bytes);
    tm_jw_u64(jw, "units", r->units);
    tm_jw_u64(jw, "units_done", r->units_done);
    tm_jw_u64(jw, "units_decoded", sum.decoded);
    tm_jw_u64(jw, "units_audited", sum.audited);
}

static void tasks(struct tm_jw *jw, const struct tm_report_quality *q)
{
    tm_jw_array(jw, "tasks");
    for (uint32_t i = 0; i < q->task_count; i++) {
        const struct tm_report_task *t = &q->tasks[i];
        tm_jw_object(jw, NULL);
        tm_jw_str(jw, "task", t->name);
        tm_jw_u64(jw, "items", t->items);
        tm_jw_f64(jw, "accuracy", t->accuracy);
        tm_jw_f64(jw, "accuracy_error", t->accuracy_error);
        if (t->has_base) {
            tm_jw_f64(jw, "base_accuracy", t->base_accuracy);
            tm_jw_f64(jw, "kept", t->kept);
            tm_jw_f64(jw, "kept_error", t->kept_error);
        }
        tm_jw_object_end(jw);
    }
    tm_jw_array_end(jw);
}

static void qualities(struct tm_jw *jw, const struct tm_report *r)
{
    tm_jw_array(jw, "quality");
    for (uint32_t i = 0; i < r->quality_count; i++) {
        const struct tm_report_quality *q = &r->qualities[i];
        tm_jw_object(jw, NULL);
        tm_jw_str(jw, "label", q->label);
        tm_jw_bool(jw, "this_package", q->is_this);
        tm_jw_bool(jw, "carried", q->carried);
        if (q->bits_per_weight > 0) {
            tm_jw_f64(jw, "bits_per_weight", q->bits_per_weight);
        }
        tm_jw_u64(jw, "tokens", q->figures.tokens);
        tm_jw_f64(jw, "perplexity", q->figures.perplexity);
        tm_jw_f64(jw, "perplexity_error", q->figures.perplexity_error);
        if (q->figures.has_base) {
            tm_jw_f64(jw, "ratio", q->figures.ratio);
            tm_jw_f64(jw, "ratio_error", q->figures.ratio_error);
            tm_jw_f64(jw, "kl_mean", q->figures.kl_mean);
            tm_jw_f64(jw, "kl_error", q->figures.kl_error);
            tm_jw_f64(jw, "kl_median", q->figures.kl_median);
            tm_jw_f64(jw, "kl_99", q->figures.kl_99);
            tm_jw_f64(jw, "kl_max", q->figures.kl_max);
            tm_jw_f64(jw, "same_top", q->figures.same_top);
        }
        tasks(jw, q);
        tm_jw_object_end(jw);
    }
    tm_jw_array_end(jw);
}

static void tensor(struct tm_jw *jw, const struct tm_report *r, const struct tm_report_tensor *t)
{
    tm_jw_object(jw, NULL);
    tm_jw_strn(jw, "name", tm_view_of(t->name, t->name_bytes));
    if (t->layer >= 0) {
        tm_jw_i64(jw, "layer", t->layer);
    }
    tm_jw_str(jw, "kind", tm_tensor_kind_name(t->kind));
    tm_jw_str(jw, "dtype", tm_dtype_name(t->dtype));
    tm_jw_array(jw, "shape");
    for (uint32_t d = 0; d < t->shape.rank; d++) {
        tm_jw_u64(jw, NULL, t->shape.dim[d]);
    }
    tm_jw_array_end(jw);
    tm_jw_str(jw, "pipeline", r->pipelines[t->pipeline]);
    tm_jw_bool(jw, "lossless", t->lossless);
    tm_jw_u64(jw, "source_bytes", t->source_bytes);
    tm_jw_u64(jw, "bytes", t->bytes);
    tm_jw_f64(jw, "bits_per_weight", tm_report_bits(t));
    tm_jw_f64(jw, "relative_error", tm_report_error(t));
    if (t->prediction.known) {
        tm_jw_f64(jw, "predicted_error", t->prediction.error);
        tm_jw_f64(jw, "predicted_bits_per_weight", t->prediction.bits_per_weight);
    }
    tm_jw_u64(jw, "units", t->units);
    tm_jw_u64(jw, "units_done", t->units_done);
    tm_jw_u64(jw, "units_audited", t->audited);
    tm_jw_object_end(jw);
}

static void nodes(struct tm_jw *jw, const struct tm_report *r)
{
    char id[TM_NODE_ID_TEXT];
    tm_jw_array(jw, "nodes");
    for (uint32_t i = 0; i < r->node_count; i++) {
        const struct tm_report_node *n = &r->nodes[i];
        tm_jw_object(jw, NULL);
        tm_jw_str(jw, "id", tm_node_id_hex(&n->id, id));
        text_if(jw, "node_name", n->name);
        tm_jw_u64(jw, "units", n->units);
        tm_jw_u64(jw, "decoded", n->decoded);
        tm_jw_u64(jw, "audited", n->audited);
        tm_jw_u64(jw, "made_by_owner", n->own);
        tm_jw_u64(jw, "bytes", n->bytes);
        tm_jw_object_end(jw);
    }
    tm_jw_array_end(jw);
    tm_jw_array(jw, "nodes_banned");
    for (uint32_t i = 0; i < r->ban_count; i++) {
        tm_jw_object(jw, NULL);
        tm_jw_str(jw, "id", tm_node_id_hex(&r->bans[i].id, id));
        text_if(jw, "reason", r->bans[i].reason);
        tm_jw_object_end(jw);
    }
    tm_jw_array_end(jw);
}

void tm_report_json(const struct tm_report *report, struct tm_jw *jw)
{
    head(jw, report);
    totals(jw, report);
    qualities(jw, report);
    tm_jw_array(jw, "tensors");
    for (uint32_t i = 0; i < report->tensor_count; i++) {
        tensor(jw, report, &report->tensors[report->worst[i]]);
    }
    tm_jw_array_end(jw);
    nodes(jw, report);
}

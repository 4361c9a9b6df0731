/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/evaluate.h"

static void write_result(const struct tm_task_result *r, bool last_word, struct tm_jw *jw)
{
    tm_jw_f64(jw, "accuracy", r->accuracy);
    tm_jw_f64(jw, "accuracy_error", r->accuracy_error);
    if (last_word) {
        tm_jw_f64(jw, "perplexity", r->perplexity);
    } else {
        tm_jw_f64(jw, "by_byte", r->by_byte);
        tm_jw_f64(jw, "by_byte_error", r->by_byte_error);
    }
}

static void write_variant(const struct tm_evaluated_task *t, enum tm_task_variant v,
                          struct tm_jw *jw)
{
    write_result(&t->model[v], t->last_word, jw);
    if (t->base[v].items > 0) {
        double error, kept = tm_task_kept(&t->model[v], &t->base[v], &error);
        tm_jw_object(jw, "base");
        write_result(&t->base[v], t->last_word, jw);
        tm_jw_object_end(jw);
        tm_jw_f64(jw, "kept", kept);
        tm_jw_f64(jw, "kept_error", error);
    }
}

static void write_task(const struct tm_evaluated_task *t, struct tm_jw *jw)
{
    tm_jw_object(jw, NULL);
    tm_jw_str(jw, "task", t->name);
    tm_jw_u64(jw, "items", t->items);
    write_variant(t, TM_TASK_PLAIN, jw);
    for (int v = TM_TASK_PLAIN + 1; v < TM_TASK_VARIANTS; v++) {
        if (t->model[v].items > 0) {
            tm_jw_object(jw, tm_task_variant_name((enum tm_task_variant)v));
            write_variant(t, (enum tm_task_variant)v, jw);
            tm_jw_object_end(jw);
        }
    }
    tm_jw_object_end(jw);
}

static void write_base(const struct tm_evaluation *e, struct tm_jw *jw)
{
    const struct tm_quality *q = &e->quality;
    char hex[TM_DIGEST_TEXT];
    tm_jw_object(jw, "base");
    tm_jw_str(jw, "weights_sha256", tm_digest_hex(&e->base_digest, hex));
    tm_jw_f64(jw, "nll", q->base_nll);
    tm_jw_f64(jw, "perplexity", q->base_perplexity);
    tm_jw_f64(jw, "ratio", q->ratio);
    tm_jw_f64(jw, "ratio_error", q->ratio_error);
    tm_jw_f64(jw, "kl_mean", q->kl_mean);
    tm_jw_f64(jw, "kl_error", q->kl_error);
    tm_jw_f64(jw, "kl_median", q->kl_median);
    tm_jw_f64(jw, "kl_99", q->kl_99);
    tm_jw_f64(jw, "kl_max", q->kl_max);
    tm_jw_f64(jw, "same_top", q->same_top);
    tm_jw_object_end(jw);
}

void tm_evaluation_write(const struct tm_evaluation *e, struct tm_jw *jw)
{
    const struct tm_quality *q = &e->quality;
    char hex[TM_DIGEST_TEXT];
    tm_jw_str(jw, "text_sha256", tm_digest_hex(&e->text_digest, hex));
    tm_jw_u64(jw, "context", e->context);
    tm_jw_u64(jw, "windows", q->windows);
    tm_jw_u64(jw, "tokens", q->tokens);
    tm_jw_f64(jw, "nll", q->nll);
    tm_jw_f64(jw, "nll_error", q->nll_error);
    tm_jw_f64(jw, "perplexity", q->perplexity);
    tm_jw_f64(jw, "perplexity_error", q->perplexity_error);
    if (e->has_base) {
        write_base(e, jw);
    }
    tm_jw_array(jw, "tasks");
    for (size_t i = 0; i < e->task_count; i++) {
        write_task(&e->tasks[i], jw);
    }
    tm_jw_array_end(jw);
}

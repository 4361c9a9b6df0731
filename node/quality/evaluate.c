/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/progress.h"
#include "model/pass/weights_digest.h"
#include "node/common/mini_text.h"
#include "node/common/model_of.h"
#include "node/common/text_of.h"
#include "node/quality/logits_cache.h"

#define SPEED_TOKENS 32 /* generated to measure the speed */

/* The two ways of saying that a text has no first token are one number. */
_Static_assert(TM_TEXT_NO_FIRST == TM_QUALITY_KEEP, "a text without a first token");

static const char what_failed[] = "cannot measure the model";

struct work {
    const struct tm_evaluate_options *o;
    struct tm_evaluation *out;
    struct tm_model model, base;
    struct tm_pass *pass, *base_pass;
    struct tm_logits_cache *cache;
    uint32_t context;
    struct tm_text text;
    struct tm_progress *progress;
    uint64_t step; /* of progress, for each call */
    struct tm_err *err;
};

static bool progress(void *context, uint64_t done, uint64_t all)
{
    struct work *w = context;
    (void)all;
    tm_progress_update(w->progress, done * w->step, NULL);
    return w->o->stop == NULL || *w->o->stop == 0;
}

static void begin_progress(struct work *w, const char *label, const char *item, uint64_t total,
                           uint64_t step)
{
    w->step = step;
    w->progress = tm_progress_new(&(struct tm_progress_options){.label = label,
                                                                .total = total * step,
                                                                .unit = TM_PROGRESS_ITEMS,
                                                                .item_name = item,
                                                                .quiet = w->o->quiet});
}

static tm_status read_text(struct work *w)
{
    struct tm_text_options options = {.tokenizer = w->model.tokenizer,
                                      .model_path = w->o->model_path,
                                      .path = w->o->text_path,
                                      .built_in = tm_view_of(tm_mini_text, tm_mini_text_bytes),
                                      .what = what_failed};
    TM_TRY(tm_text_of(&options, &w->text, w->err));
    w->out->text = w->text.name;
    w->out->text_digest = tm_digest_of(tm_buf_view(&w->text.bytes));
    return TM_OK;
}

/* ---- models ---- */

/* Beyond the context that a model was made for it says nothing that is worth a figure. */
static tm_status choose_context(struct work *w)
{
    uint32_t most = w->model.weights.arch.context;
    w->context = w->o->context;
    if (w->context == 0) {
        w->context = most < TM_QUALITY_CONTEXT ? most / 2 * 2 : TM_QUALITY_CONTEXT;
    }
    if (w->context > most || w->context < 4 || w->context % 2 != 0) {
        return tm_err_set(
            w->err, TM_E_USAGE, "--context", what_failed,
            "choose an even number within the model's context",
            "windows of %lu tokens are impossible: the model was made for at most %lu",
            (unsigned long)w->context, (unsigned long)most);
    }
    w->out->context = w->context;
    return TM_OK;
}

static tm_status new_pass(const struct work *w, const struct tm_model *model, struct tm_pass **out)
{
    struct tm_pass_options options = {.context = w->context, .threads = w->o->threads};
    return tm_pass_new(&model->weights, &options, out, w->err);
}

static tm_status open_base(struct work *w)
{
    TM_TRY(tm_model_of(w->o->base_path, w->o->under, &w->base, w->err));
    TM_TRY(tm_weights_digest(&w->base.weights, &w->out->base_digest));
    w->out->has_base = true;
    if (w->o->cache_bytes > 0) {
        TM_TRY(
            tm_logits_cache_open(NULL, w->o->cache_bytes, &w->out->base_digest, &w->cache, w->err));
    }
    return new_pass(w, &w->base, &w->base_pass);
}

/* ---- measuring ---- */

static tm_status measure_text(struct work *w)
{
    size_t count;
    const uint32_t *ids = tm_text_ids(&w->text, &count);
    uint64_t windows = count / w->context;
    struct tm_quality_options options = {.context = w->context,
                                         .first_token = w->text.first_token,
                                         .progress = progress,
                                         .progress_context = w};
    options.windows = w->o->tokens / w->context + (w->o->tokens % w->context != 0);
    options.store = w->cache != NULL ? tm_logits_cache_store(w->cache) : NULL;
    if (options.windows > 0 && options.windows < windows) {
        windows = options.windows;
    }
    begin_progress(w, "measure", "tokens", windows, w->context);
    tm_status status =
        tm_quality_measure(w->pass, w->base_pass, ids, count, &options, &w->out->quality, w->err);
    tm_progress_finish(&w->progress);
    w->out->base_windows_cached = w->out->quality.windows_found;
    return status;
}

/* Time for a prompt of half a window and for some tokens behind it. */
static tm_status measure_speed(struct work *w)
{
    size_t count;
    const uint32_t *ids = tm_text_ids(&w->text, &count);
    struct tm_speed *speed = &w->out->speed;
    uint32_t prompt = w->context / 2, vocab = tm_pass_vocab(w->pass);
    uint32_t more = prompt < SPEED_TOKENS ? prompt : SPEED_TOKENS, at = 0, n = 0;
    float *logits = tm_realloc_array(NULL, vocab, sizeof *logits);
    tm_status status =
        logits != NULL ? TM_OK
                       : tm_err_set(w->err, TM_E_NOMEM, NULL, what_failed, NULL, "out of memory");
    const struct tm_clock *clock = tm_clock_os();
    uint64_t began = tm_clock_ms(clock);
    tm_pass_rewind(w->pass, 0);
    for (; at < prompt && status == TM_OK; at += n) {
        n = prompt - at < tm_pass_batch(w->pass) ? prompt - at : tm_pass_batch(w->pass);
        status = tm_pass_run(w->pass, ids + at, n, w->err);
    }
    uint64_t middle = tm_clock_ms(clock);
    for (uint32_t i = 0; i < more && status == TM_OK; i++) {
        tm_pass_logits(w->pass, n - 1, 1, logits);
        speed->first_token_ms = i == 0 ? tm_clock_ms(clock) - began : speed->first_token_ms;
        n = 1;
        status = tm_pass_run(w->pass, ids + prompt + i, n, w->err);
    }
    uint64_t end = tm_clock_ms(clock);
    speed->prompt_tokens = prompt;
    speed->generated = more;
    speed->prompt_tokens_s = prompt * 1000.0 / (double)(middle > began ? middle - began : 1);
    speed->generation_tokens_s = more * 1000.0 / (double)(end > middle ? end - middle : 1);
    w->out->has_speed = true;
    tm_free(logits);
    return status;
}

/* ---- tasks ---- */

static tm_status ask(struct work *w, const struct tm_task *task, struct tm_pass *pass,
                     struct tm_model *model, enum tm_task_variant variant,
                     struct tm_task_result *out)
{
    char label[64];
    size_t items = task->count;
    struct tm_task_options options = {.variant = variant,
                                      .seed = w->o->seed,
                                      .items = w->o->task_items,
                                      .first_token = w->text.first_token,
                                      .progress = progress,
                                      .progress_context = w};
    if (options.items > 0 && options.items < items) {
        items = options.items;
    }
    snprintf(label, sizeof label, "%s%s%s", task->name, variant == TM_TASK_PLAIN ? "" : ", ",
             variant == TM_TASK_PLAIN ? "" : tm_task_variant_name(variant));
    begin_progress(w, label, "questions", items, 1);
    tm_status status = tm_task_measure(pass, model->tokenizer, task, &options, out, w->err);
    tm_progress_finish(&w->progress);
    return status;
}

static tm_status measure_task(struct work *w, struct tm_view spec)
{
    struct tm_evaluated_task *to = &w->out->tasks[w->out->task_count];
    struct tm_task task;
    TM_TRY(tm_task_open(spec, w->o->task_data, &task, w->err));
    snprintf(to->name, sizeof to->name, "%s", task.name);
    to->last_word = task.last_word;
    w->out->task_count++;
    tm_status status = TM_OK;
    for (int v = 0; v < (w->o->robust ? TM_TASK_VARIANTS : 1) && status == TM_OK; v++) {
        status = ask(w, &task, w->pass, &w->model, (enum tm_task_variant)v, &to->model[v]);
        if (status == TM_OK && w->base_pass != NULL) {
            status = ask(w, &task, w->base_pass, &w->model, (enum tm_task_variant)v, &to->base[v]);
        }
    }
    to->items = to->model[TM_TASK_PLAIN].items;
    tm_task_deinit(&task);
    return status;
}

static tm_status measure_tasks(struct work *w)
{
    const char *list = w->o->tasks;
    struct tm_view spec;
    while (tm_task_next(&list, &spec)) {
        if (w->out->task_count == TM_EVALUATION_TASKS) {
            return tm_err_set(w->err, TM_E_USAGE, "--tasks", what_failed, NULL,
                              "more than %d tasks", TM_EVALUATION_TASKS);
        }
        TM_TRY(measure_task(w, spec));
    }
    return TM_OK;
}

/* The model; with o->cannot one that cannot be run is no failure. */
static tm_status open_model(struct work *w)
{
    struct tm_err err = {.status = TM_OK}, *cannot = w->o->cannot;
    tm_status status = tm_model_of(w->o->model_path, w->o->under, &w->model, &err);
    bool runs = status == TM_OK && w->model.tokenizer != NULL;
    if (cannot != NULL && !runs && (status == TM_OK || status == TM_E_INCOMPATIBLE)) {
        if (status == TM_OK) {
            tm_err_set(&err, TM_E_NOTHING, w->o->model_path, what_failed, NULL,
                       "the model has no tokenizer");
        }
        *cannot = err;
        return TM_E_NOTHING;
    }
    if (status != TM_OK && w->err != NULL) {
        *w->err = err;
    }
    return status;
}

static tm_status run_work(struct work *w)
{
    TM_TRY(open_model(w));
    w->out->load_ms = w->model.load_ms;
    TM_TRY(choose_context(w));
    TM_TRY(read_text(w));
    TM_TRY(new_pass(w, &w->model, &w->pass));
    if (w->o->base_path != NULL) {
        TM_TRY(open_base(w));
    }
    TM_TRY(measure_text(w));
    TM_TRY(measure_tasks(w));
    return w->o->speed ? measure_speed(w) : TM_OK;
}

tm_status tm_evaluate(const struct tm_evaluate_options *options, struct tm_evaluation *out,
                      struct tm_err *err)
{
    struct work w = {.o = options, .out = out, .err = err};
    *out = (struct tm_evaluation){.seed = options->seed};
    tm_status status = run_work(&w);
    tm_pass_destroy(&w.pass);
    tm_pass_destroy(&w.base_pass);
    tm_logits_cache_close(&w.cache);
    tm_model_deinit(&w.model);
    tm_model_deinit(&w.base);
    tm_text_deinit(&w.text);
    if (status != TM_OK) {
        tm_evaluation_deinit(out);
    }
    return status;
}

void tm_evaluation_deinit(struct tm_evaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->task_count; i++) {
        for (int v = 0; v < TM_TASK_VARIANTS; v++) {
            tm_task_result_deinit(&evaluation->tasks[i].model[v]);
            tm_task_result_deinit(&evaluation->tasks[i].base[v]);
        }
    }
    *evaluation = (struct tm_evaluation){.text = NULL};
}

bool tm_evaluation_accuracy(const struct tm_evaluation *evaluation, const char *task, bool times,
                            double *out)
{
    double sum = 0.0, error;
    size_t count = 0;
    for (size_t i = 0; i < evaluation->task_count; i++) {
        const struct tm_evaluated_task *t = &evaluation->tasks[i];
        if (task != NULL && strcmp(task, t->name) != 0) {
            continue;
        }
        if (times && t->base[TM_TASK_PLAIN].items == 0) {
            return false;
        }
        sum += times ? tm_task_kept(&t->model[TM_TASK_PLAIN], &t->base[TM_TASK_PLAIN], &error)
                     : t->model[TM_TASK_PLAIN].accuracy;
        count++;
    }
    *out = sum / (double)(count > 0 ? count : 1);
    return count > 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/task_measure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/pass/elementwise.h"
#include "model/pass/fmath.h"

#define ROWS 16 /* positions whose logits are in memory at a time */
#define TEXT_BYTES_MAX ((size_t)4 << 20)

static const char what_failed[] = "cannot measure the model";

struct run {
    struct tm_pass *pass;
    struct tm_tokenizer *tokenizer;
    const struct tm_task *task;
    const struct tm_task_options *options;
    struct tm_buf prompt, text, ids, cached; /* cached: the ids that the pass holds */
    size_t prompt_ids;                       /* tokens of the prompt alone */
    float *logits;                           /* [ROWS][vocab] */
    size_t item;
    double last_nll; /* summed over `last_tokens` tokens of last words */
    uint64_t last_tokens;
    struct tm_err *err;
};

/* What the model makes of one choice. */
struct score {
    double log_likelihood;
    bool greedy; /* it would have written just this */
    size_t tokens;
};

static const uint32_t *ids_in(const struct tm_buf *buf)
{
    return (const uint32_t *)(const void *)buf->data;
}

static size_t count_in(const struct tm_buf *buf)
{
    return buf->bytes / sizeof(uint32_t);
}

static tm_status refuse(struct run *r, const char *why)
{
    char where[64];
    snprintf(where, sizeof where, "task %s, item %zu", r->task->name, r->item + 1);
    return tm_err_set(r->err, TM_E_USAGE, where, what_failed,
                      "leave the item out, or give a larger --context", "%s", why);
}

static tm_status encode(struct run *r, struct tm_view text)
{
    tm_buf_clear(&r->ids);
    if (r->options->first_token != TM_QUALITY_KEEP) {
        TM_TRY(tm_buf_put(&r->ids, &r->options->first_token, sizeof(uint32_t)));
    }
    return tm_tokenizer_encode(r->tokenizer, text, 0, &r->ids, r->err);
}

/* Runs what the pass does not hold already and adds up the log-likelihoods of ids[first..count). */
static tm_status run_ids(struct run *r, const uint32_t *ids, size_t count, size_t first,
                         struct score *out)
{
    uint32_t vocab = tm_pass_vocab(r->pass), batch = tm_pass_batch(r->pass);
    const uint32_t *held = ids_in(&r->cached);
    size_t at = 0, most = count_in(&r->cached) < first - 1 ? count_in(&r->cached) : first - 1;
    while (at < most && held[at] == ids[at]) {
        at++;
    }
    tm_pass_rewind(r->pass, (uint32_t)at);
    r->cached.bytes = at * sizeof(uint32_t);
    /* The last token is only asked for. */
    for (size_t end; at + 1 < count; at = end) {
        end = count - 1 - at < batch ? count - 1 : at + batch;
        TM_TRY(tm_pass_run(r->pass, ids + at, (uint32_t)(end - at), r->err));
        for (size_t row = at > first - 1 ? at : first - 1; row < end;) {
            size_t n = end - row < ROWS ? end - row : ROWS;
            tm_pass_logits(r->pass, (uint32_t)(row - at), (uint32_t)n, r->logits);
            for (size_t i = 0; i < n; i++, row++) {
                const float *logits = r->logits + i * vocab;
                out->log_likelihood += (double)logits[ids[row + 1]] - tm_log_sum_exp(logits, vocab);
                out->greedy = out->greedy && tm_top_of(logits, vocab) == ids[row + 1];
            }
        }
    }
    return tm_buf_put(&r->cached, ids + count_in(&r->cached),
                      (count - 1 - count_in(&r->cached)) * sizeof(uint32_t));
}

/* Prompt and choice are tokenised together; the tokens behind the prompt's own are the choice's. */
static tm_status score_choice(struct run *r, struct tm_view choice, struct score *out)
{
    size_t most = tm_pass_context(r->pass);
    tm_buf_clear(&r->text);
    TM_TRY(tm_buf_put(&r->text, r->prompt.data, r->prompt.bytes));
    TM_TRY(tm_buf_put(&r->text, choice.data, choice.bytes));
    TM_TRY(encode(r, tm_buf_view(&r->text)));
    size_t count = count_in(&r->ids), first = r->prompt_ids, cut = 0;
    *out = (struct score){.greedy = true};
    if (count <= first || first == 0) {
        return refuse(r, "prompt or choice has no token of its own");
    }
    out->tokens = count - first;
    if (count - 1 > most) {
        cut = count - 1 - most;
    }
    if (cut >= first) {
        return refuse(r, "the choice has more tokens than the context");
    }
    return run_ids(r, ids_in(&r->ids) + cut, count - cut, first - cut, out);
}

static tm_status answer(struct run *r, struct tm_task_result *out)
{
    const struct tm_task_item *item = &r->task->items[r->item];
    tm_buf_clear(&r->prompt);
    TM_TRY(tm_task_vary(tm_task_text(r->task, item->prompt), r->options->variant, r->options->seed,
                        r->item, &r->prompt));
    TM_TRY(encode(r, tm_buf_view(&r->prompt)));
    r->prompt_ids = count_in(&r->ids);
    double best = 0.0, best_by_byte = 0.0;
    uint32_t chosen = 0, chosen_by_byte = 0;
    for (uint32_t i = 0; i < item->count; i++) {
        struct tm_view choice = tm_task_text(r->task, r->task->choices[item->first + i]);
        struct score score;
        TM_TRY(score_choice(r, choice, &score));
        double by_byte = score.log_likelihood / (double)(choice.bytes - 1);
        if (i == 0 || score.log_likelihood > best) {
            best = score.log_likelihood;
            chosen = i;
        }
        if (i == 0 || by_byte > best_by_byte) {
            best_by_byte = by_byte;
            chosen_by_byte = i;
        }
        if (r->task->last_word) {
            r->last_nll -= score.log_likelihood;
            r->last_tokens += score.tokens;
            out->right[r->item] = out->right_by_byte[r->item] = score.greedy;
        }
    }
    if (!r->task->last_word) {
        out->right[r->item] = chosen == item->answer;
        out->right_by_byte[r->item] = chosen_by_byte == item->answer;
    }
    return TM_OK;
}

static double share(const uint8_t *right, size_t count, double *error)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += right[i];
    }
    double p = (double)sum / (double)count;
    *error = count > 1 ? sqrt(p * (1.0 - p) / (double)(count - 1)) : 0.0;
    return p;
}

static tm_status measure(struct run *r, struct tm_task_result *out)
{
    out->right = tm_calloc(out->items, 1);
    out->right_by_byte = tm_calloc(out->items, 1);
    r->logits = tm_realloc_array(NULL, (size_t)ROWS * tm_pass_vocab(r->pass), sizeof *r->logits);
    if (out->right == NULL || out->right_by_byte == NULL || r->logits == NULL) {
        return tm_err_set(r->err, TM_E_NOMEM, NULL, what_failed, NULL, "out of memory");
    }
    tm_pass_rewind(r->pass, 0);
    for (r->item = 0; r->item < out->items; r->item++) {
        TM_TRY(answer(r, out));
        if (r->options->progress != NULL &&
            !r->options->progress(r->options->progress_context, r->item + 1, out->items)) {
            return tm_err_set(r->err, TM_E_STOPPED, NULL, "stopped", NULL,
                              "asked to stop after %zu of %zu items", r->item + 1, out->items);
        }
    }
    out->accuracy = share(out->right, out->items, &out->accuracy_error);
    out->by_byte = share(out->right_by_byte, out->items, &out->by_byte_error);
    if (r->task->last_word) {
        out->perplexity = tm_exp(r->last_nll / (double)r->last_tokens);
    }
    return TM_OK;
}

tm_status tm_task_measure(struct tm_pass *pass, struct tm_tokenizer *tokenizer,
                          const struct tm_task *task, const struct tm_task_options *options,
                          struct tm_task_result *out, struct tm_err *err)
{
    struct run run = {.pass = pass, .tokenizer = tokenizer, .task = task, .options = options};
    run.err = err;
    *out = (struct tm_task_result){.items = task->count};
    if (options->items > 0 && options->items < out->items) {
        out->items = options->items;
    }
    tm_buf_init(&run.prompt, TEXT_BYTES_MAX);
    tm_buf_init(&run.text, TEXT_BYTES_MAX);
    tm_buf_init(&run.ids, TEXT_BYTES_MAX * sizeof(uint32_t));
    tm_buf_init(&run.cached, TEXT_BYTES_MAX * sizeof(uint32_t));
    tm_status status = measure(&run, out);
    tm_buf_deinit(&run.prompt);
    tm_buf_deinit(&run.text);
    tm_buf_deinit(&run.ids);
    tm_buf_deinit(&run.cached);
    tm_free(run.logits);
    if (status != TM_OK) {
        tm_task_result_deinit(out);
    }
    return status;
}

void tm_task_result_deinit(struct tm_task_result *result)
{
    tm_free(result->right);
    tm_free(result->right_by_byte);
    *result = (struct tm_task_result){.items = 0};
}

double tm_task_kept(const struct tm_task_result *result, const struct tm_task_result *base,
                    double *error)
{
    double n = (double)base->items, gained = 0.0, lost = 0.0;
    TM_ASSERT(result->items == base->items);
    for (size_t i = 0; i < base->items; i++) {
        gained += result->right[i] > base->right[i];
        lost += result->right[i] < base->right[i];
    }
    *error = 0.0;
    if (base->accuracy == 0.0) {
        return result->accuracy == 0.0 ? 1.0 : HUGE_VAL;
    }
    double mean = (gained - lost) / n;
    double variance = (gained + lost) / n - mean * mean;
    *error = base->items > 1 ? sqrt(variance / (n - 1.0)) / base->accuracy : 0.0;
    return result->accuracy / base->accuracy;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/pass/elementwise.h"
#include "model/pass/fmath.h"

/* Positions whose logits are in memory at a time. */
#define ROWS 16

static const char what_failed[] = "cannot measure the model";

struct run {
    struct tm_pass *pass, *base;
    const struct tm_quality_options *options;
    uint32_t context;
    uint64_t windows, scored;    /* scored: tokens of a window */
    uint32_t *ids;               /* of the present window */
    float *logits, *base_logits; /* [ROWS][vocab] */
    double *nll, *base_nll, *kl; /* [windows * scored] */
    uint64_t at;                 /* first of the rows in memory, in those */
    uint64_t same_top;
    bool found; /* the store has the base's logits of this window */
    uint64_t windows_found;
    uint32_t tops[ROWS]; /* 1 where both have the same likeliest token */
    uint32_t next[ROWS]; /* the tokens that follow */
};

double tm_divergence(const float *p, const float *q, size_t count)
{
    enum { PART = 256 };
    double p_sum = tm_log_sum_exp(p, count), q_sum = tm_log_sum_exp(q, count);
    double lane[TM_LANES] = {0};
    float e[PART];
    for (size_t at = 0; at < count; at += PART) {
        size_t n = count - at < PART ? count - at : PART;
        for (size_t i = 0; i < n; i++) {
            e[i] = (float)((double)p[at + i] - p_sum);
        }
        tm_exp_f32(e, n, e);
        for (size_t i = 0; i < n; i++) {
            double gap = ((double)p[at + i] - (double)q[at + i]) - (p_sum - q_sum);
            lane[i % TM_LANES] += (double)e[i] * gap;
        }
    }
    double sum =
        ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    /* Rounding can make the divergence of two nearly equal rows a little negative. */
    return sum > 0.0 ? sum : 0.0;
}

static void score_row(void *context, size_t index, size_t thread)
{
    (void)thread;
    struct run *r = context;
    uint32_t vocab = tm_pass_vocab(r->pass), next = r->next[index];
    const float *logits = r->logits + index * vocab;
    r->nll[r->at + index] = tm_log_sum_exp(logits, vocab) - (double)logits[next];
    if (r->base != NULL) {
        const float *base = r->base_logits + index * vocab;
        r->base_nll[r->at + index] = tm_log_sum_exp(base, vocab) - (double)base[next];
        r->kl[r->at + index] = tm_divergence(base, logits, vocab);
        r->tops[index] = tm_top_of(base, vocab) == tm_top_of(logits, vocab);
    }
}

/* Logits of the base for the rows that are next. */
static tm_status base_rows(struct run *r, uint32_t index, uint32_t count, struct tm_err *err)
{
    const struct tm_logits_store *store = r->options->store;
    size_t floats = (size_t)count * tm_pass_vocab(r->base);
    if (r->found) {
        return store->read(store->context, r->base_logits, floats, err);
    }
    tm_pass_logits(r->base, index, count, r->base_logits);
    return store != NULL ? store->write(store->context, r->base_logits, floats, err) : TM_OK;
}

/* Positions `from` to `to` of the window, which are number `index` on of the last batch. */
static tm_status score(struct run *r, uint32_t from, uint32_t to, uint32_t index,
                       struct tm_err *err)
{
    while (from < to) {
        uint32_t n = to - from < ROWS ? to - from : ROWS;
        tm_pass_logits(r->pass, index, n, r->logits);
        if (r->base != NULL) {
            TM_TRY(base_rows(r, index, n, err));
        }
        for (uint32_t i = 0; i < n; i++) {
            r->next[i] = r->ids[from + i + 1];
        }
        tm_team_run(tm_pass_team(r->pass), n, 32ull * n * tm_pass_vocab(r->pass), score_row, r);
        for (uint32_t i = 0; i < n && r->base != NULL; i++) {
            r->same_top += r->tops[i];
        }
        r->at += n;
        from += n;
        index += n;
    }
    return TM_OK;
}

static tm_status begin_window(struct run *r, const uint32_t *ids, struct tm_err *err)
{
    const struct tm_logits_store *store = r->options->store;
    memcpy(r->ids, ids, r->context * sizeof *ids);
    if (r->options->first_token != TM_QUALITY_KEEP) {
        r->ids[0] = r->options->first_token;
    }
    tm_pass_rewind(r->pass, 0);
    if (r->base == NULL) {
        return TM_OK;
    }
    tm_pass_rewind(r->base, 0);
    r->found = false;
    if (store != NULL) {
        TM_TRY(store->begin(store->context, r->ids, r->context, &r->found, err));
    }
    r->windows_found += r->found;
    return TM_OK;
}

static tm_status run_window(struct run *r, const uint32_t *ids, struct tm_err *err)
{
    const struct tm_logits_store *store = r->base != NULL ? r->options->store : NULL;
    uint32_t batch = tm_pass_batch(r->pass), first = r->context / 2, last = r->context - 1;
    if (r->base != NULL && tm_pass_batch(r->base) < batch) {
        batch = tm_pass_batch(r->base);
    }
    TM_TRY(begin_window(r, ids, err));
    for (uint32_t at = 0; at < r->context; at += batch) {
        uint32_t end = r->context - at < batch ? r->context : at + batch;
        TM_TRY(tm_pass_run(r->pass, r->ids + at, end - at, err));
        if (r->base != NULL && !r->found) {
            TM_TRY(tm_pass_run(r->base, r->ids + at, end - at, err));
        }
        uint32_t from = at > first ? at : first, to = end < last ? end : last;
        if (from < to) {
            TM_TRY(score(r, from, to, from - at, err));
        }
    }
    return store != NULL ? store->end(store->context, err) : TM_OK;
}

/* ---- figures ---- */

static double mean_of(const double *x, uint64_t count, double *error)
{
    double sum = 0.0, squares = 0.0;
    for (uint64_t i = 0; i < count; i++) {
        sum += x[i];
    }
    double mean = sum / (double)count;
    for (uint64_t i = 0; i < count; i++) {
        squares += (x[i] - mean) * (x[i] - mean);
    }
    *error = count > 1 ? sqrt(squares / (double)count / (double)(count - 1)) : 0.0;
    return mean;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Changes r->kl and r->base_nll. */
static void summarise(struct run *r, struct tm_quality *out)
{
    uint64_t n = r->windows * r->scored;
    *out = (struct tm_quality){.windows = r->windows, .tokens = n};
    out->nll = mean_of(r->nll, n, &out->nll_error);
    out->perplexity = tm_exp(out->nll);
    out->perplexity_error = out->perplexity * out->nll_error;
    if (r->base == NULL) {
        return;
    }
    double unused;
    out->has_base = true;
    out->windows_found = r->windows_found;
    out->base_nll = mean_of(r->base_nll, n, &unused);
    out->base_perplexity = tm_exp(out->base_nll);
    for (uint64_t i = 0; i < n; i++) {
        r->base_nll[i] = r->nll[i] - r->base_nll[i];
    }
    /* The two likelihoods of a token go together: the error is that of their difference. */
    out->ratio = tm_exp(mean_of(r->base_nll, n, &out->ratio_error));
    out->ratio_error *= out->ratio;
    out->kl_mean = mean_of(r->kl, n, &out->kl_error);
    qsort(r->kl, n, sizeof *r->kl, by_size);
    out->kl_median = n % 2 == 1 ? r->kl[n / 2] : (r->kl[n / 2 - 1] + r->kl[n / 2]) / 2.0;
    out->kl_99 = r->kl[(n * 99 + 99) / 100 - 1]; /* nearest rank */
    out->kl_max = r->kl[n - 1];
    out->same_top = (double)r->same_top / (double)n;
}

static tm_status check(const struct run *r, size_t count, struct tm_err *err)
{
    if (r->context < 4 || r->context % 2 != 0 || r->context > tm_pass_context(r->pass)) {
        return tm_err_set(err, TM_E_USAGE, NULL, what_failed,
                          "choose an even --context within the model's",
                          "a window of %lu tokens is impossible; the model runs at most %lu",
                          (unsigned long)r->context, (unsigned long)tm_pass_context(r->pass));
    }
    if (r->windows == 0) {
        return tm_err_set(
            err, TM_E_USAGE, NULL, what_failed, "give a longer text, or a smaller --context",
            "the text has %zu tokens; a window takes %lu", count, (unsigned long)r->context);
    }
    if (r->base != NULL && tm_pass_vocab(r->base) != tm_pass_vocab(r->pass)) {
        return tm_err_set(
            err, TM_E_INCOMPATIBLE, NULL, what_failed, "give the model that this one was made from",
            "the base has a vocabulary of %lu tokens, the model one of %lu",
            (unsigned long)tm_pass_vocab(r->base), (unsigned long)tm_pass_vocab(r->pass));
    }
    return TM_OK;
}

static tm_status allocate(struct run *r, struct tm_err *err)
{
    size_t vocab = tm_pass_vocab(r->pass), n = (size_t)(r->windows * r->scored);
    r->ids = tm_realloc_array(NULL, r->context, sizeof *r->ids);
    r->logits = tm_realloc_array(NULL, ROWS * vocab, sizeof *r->logits);
    r->nll = tm_calloc(n, sizeof *r->nll);
    bool good = r->ids != NULL && r->logits != NULL && r->nll != NULL;
    if (r->base != NULL) {
        r->base_logits = tm_realloc_array(NULL, ROWS * vocab, sizeof *r->base_logits);
        r->base_nll = tm_calloc(n, sizeof *r->base_nll);
        r->kl = tm_calloc(n, sizeof *r->kl);
        good = good && r->base_logits != NULL && r->base_nll != NULL && r->kl != NULL;
    }
    return good ? TM_OK
                : tm_err_set(err, TM_E_NOMEM, NULL, what_failed, "measure fewer --tokens",
                             "no memory for the figures of %zu tokens", n);
}

static tm_status measure(struct run *r, const uint32_t *ids, struct tm_err *err)
{
    for (uint64_t i = 0; i < r->windows; i++) {
        TM_TRY(run_window(r, ids + i * r->context, err));
        if (r->options->progress != NULL &&
            !r->options->progress(r->options->progress_context, i + 1, r->windows)) {
            return tm_err_set(err, TM_E_STOPPED, NULL, "stopped", NULL,
                              "asked to stop after %llu of %llu windows",
                              (unsigned long long)(i + 1), (unsigned long long)r->windows);
        }
    }
    return TM_OK;
}

tm_status tm_quality_measure(struct tm_pass *pass, struct tm_pass *base, const uint32_t *ids,
                             size_t count, const struct tm_quality_options *options,
                             struct tm_quality *out, struct tm_err *err)
{
    struct run run = {.pass = pass, .base = base, .options = options};
    run.context = options->context == 0 ? TM_QUALITY_CONTEXT : options->context;
    run.windows = count / run.context;
    if (options->windows > 0 && options->windows < run.windows) {
        run.windows = options->windows;
    }
    run.scored = run.context - 1 - run.context / 2;
    TM_TRY(check(&run, count, err));
    tm_status status = allocate(&run, err);
    if (status == TM_OK) {
        status = measure(&run, ids, err);
    }
    if (status == TM_OK) {
        summarise(&run, out);
    }
    tm_free(run.ids);
    tm_free(run.logits);
    tm_free(run.base_logits);
    tm_free(run.nll);
    tm_free(run.base_nll);
    tm_free(run.kl);
    return status;
}

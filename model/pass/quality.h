/* SPDX-License-Identifier: Apache-2.0
 * What a model makes of a text, alone and beside the model that it came from. Windows and scoring
 * are those of llama.cpp's perplexity tool: the text is cut into windows of `context` tokens, each
 * window starts with an empty cache, and the tokens of its second half count. Every figure is a
 * function of weights, ids and options alone, to the last bit. */
#ifndef TM_MODEL_PASS_QUALITY_H
#define TM_MODEL_PASS_QUALITY_H

#include "model/pass/pass.h"

#define TM_QUALITY_CONTEXT 512

/* Keeps logits of the base from one measurement to the next. Errors of the three end it. */
struct tm_logits_store {
    void *context;
    /* The logits of a window begin: the rows of its second half, each once, in order. *found: they
     * are there and will be read, else they will be written. ids as they are run. */
    tm_status (*begin)(void *context, const uint32_t *ids, uint32_t count, bool *found,
                       struct tm_err *err);
    /* The next `count` floats. */
    tm_status (*read)(void *context, float *logits, size_t count, struct tm_err *err);
    tm_status (*write)(void *context, const float *logits, size_t count, struct tm_err *err);
    tm_status (*end)(void *context, struct tm_err *err);
};

struct tm_quality_options {
    uint32_t context;     /* tokens of a window, even, >= 4; 0: 512 */
    uint64_t windows;     /* most windows; 0: all whole ones of the text */
    uint32_t first_token; /* put in the place of each window's first; TM_QUALITY_KEEP: none */
    /* Called after each window; false stops with TM_E_STOPPED. May be NULL. */
    bool (*progress)(void *context, uint64_t done, uint64_t windows);
    void *progress_context;
    const struct tm_logits_store *store; /* NULL: none */
};
#define TM_QUALITY_KEEP UINT32_MAX

/* Of the `tokens` scored. Errors are standard errors of the mean. */
struct tm_quality {
    uint64_t windows, tokens;
    uint64_t windows_found; /* whose base logits the store had */
    double nll, nll_error;  /* mean negative log-likelihood, nats */
    double perplexity, perplexity_error;
    /* Against the base; all 0 without one. */
    bool has_base;
    double base_nll, base_perplexity;
    double ratio, ratio_error;                          /* perplexity / base_perplexity */
    double kl_mean, kl_error, kl_median, kl_99, kl_max; /* of base to model, nats */
    double same_top; /* share of tokens with the same likeliest next token */
};

/* base may be NULL; it has the same vocabulary and its own cache. Errors: TM_E_USAGE when the text
 * is shorter than a window, TM_E_INCOMPATIBLE when the vocabularies differ; those of tm_pass_run;
 * TM_E_NOMEM; TM_E_STOPPED. */
tm_status tm_quality_measure(struct tm_pass *pass, struct tm_pass *base, const uint32_t *ids,
                             size_t count, const struct tm_quality_options *options,
                             struct tm_quality *out, struct tm_err *err) TM_MUST_USE;

/* Divergence of two rows of logits, sum over i of p(i) (log p(i) - log q(i)); count >= 1. */
double tm_divergence(const float *p, const float *q, size_t count);

#endif

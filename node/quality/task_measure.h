/* SPDX-License-Identifier: Apache-2.0
 * The share of a task that a model gets right. A choice's likelihood is that of its tokens behind
 * the prompt; the likeliest choice is the model's answer, of equal ones the first. A last word is
 * right when each of its tokens is the likeliest one. Every figure is a function of weights, task
 * and options alone, to the last bit. */
#ifndef TM_NODE_TASK_MEASURE_H
#define TM_NODE_TASK_MEASURE_H

#include "model/pass/quality.h"
#include "model/tokenizer/tokenizer.h"
#include "node/quality/task.h"
#include "node/quality/task_vary.h"

struct tm_task_options {
    enum tm_task_variant variant;
    uint64_t seed;        /* of the variants */
    size_t items;         /* most that are asked; 0: all */
    uint32_t first_token; /* put before each prompt; TM_QUALITY_KEEP: none */
    /* Called after each item; false stops with TM_E_STOPPED. May be NULL. */
    bool (*progress)(void *context, uint64_t done, uint64_t items);
    void *progress_context;
};

struct tm_task_result {
    size_t items;
    uint8_t *right, *right_by_byte;  /* per item, 1 or 0 */
    double accuracy, accuracy_error; /* share of right ones and its standard error */
    double by_byte, by_byte_error;   /* the same by likelihood over the choice's bytes */
    double perplexity;               /* of the last words' tokens; 0 for choices */
};

/* Prompts that are too long for the pass lose their beginning. Errors: those of tm_pass_run and
 * tm_tokenizer_encode; TM_E_USAGE names the item whose choice alone does not fit or has no token;
 * TM_E_NOMEM; TM_E_STOPPED. On failure *out is empty. */
tm_status tm_task_measure(struct tm_pass *pass, struct tm_tokenizer *tokenizer,
                          const struct tm_task *task, const struct tm_task_options *options,
                          struct tm_task_result *out, struct tm_err *err) TM_MUST_USE;
/* A zeroed one is empty and valid. */
void tm_task_result_deinit(struct tm_task_result *result);

/* What a model kept of what its base knew: accuracy over the base's, with the standard error that
 * follows from the items on which the two differ. Both have answered the same items. 1 and 0 when
 * neither knew anything. */
double tm_task_kept(const struct tm_task_result *result, const struct tm_task_result *base,
                    double *error);

#endif

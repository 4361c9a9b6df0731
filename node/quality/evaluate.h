/* SPDX-License-Identifier: Apache-2.0
 * Everything that is measured of a model or a package: what it makes of a text, alone and beside
 * its base; tasks; speed. All but speed, load time and memory are functions of the two models, the
 * text and the options alone, to the last bit. docs/quality.md explains each figure. */
#ifndef TM_NODE_EVALUATE_H
#define TM_NODE_EVALUATE_H

#include "base/json.h"
#include "crypto/digest.h"
#include "model/pass/quality.h"
#include "node/quality/task_measure.h"

#define TM_EVALUATION_TASKS 8

struct tm_evaluate_options {
    const char *model_path;
    const char *base_path; /* NULL: no comparison */
    const char *under;     /* tm_checkpoint_open_under, or NULL */
    const char *text_path; /* NULL: the built-in text */
    const char *tasks;     /* "arc,piqa=FILE", or NULL: none */
    const char *task_data; /* folder of their files, or NULL */
    size_t task_items;     /* most of each; 0: all */
    bool robust;           /* the tasks with typos and with a distraction too */
    uint64_t seed;         /* of those */
    uint64_t tokens;       /* most of the text; 0: all */
    uint32_t context;      /* of a window; 0: 512, or what the model was made for */
    size_t threads;        /* 0: one for each core */
    uint64_t cache_bytes;  /* of the base's logits on disk; 0: none are kept */
    bool speed;            /* time a prompt and some generated tokens */
    bool quiet;            /* no progress */
    struct tm_err *cannot; /* not NULL: that a model has no graph or no tokenizer is TM_E_NOTHING,
                              and the reason is put here */
    const volatile int *stop; /* may be NULL */
};

struct tm_evaluated_task {
    char name[16];
    bool last_word;
    size_t items;
    /* By enum tm_task_variant; items == 0: not asked for. */
    struct tm_task_result model[TM_TASK_VARIANTS], base[TM_TASK_VARIANTS];
};

struct tm_speed {
    double prompt_tokens_s, generation_tokens_s;
    uint64_t first_token_ms;
    uint64_t prompt_tokens, generated;
};

struct tm_evaluation {
    const char *text; /* its path, or what it is */
    struct tm_digest text_digest;
    uint32_t context;
    struct tm_quality quality;
    bool has_base;
    struct tm_digest base_digest; /* tm_weights_digest */
    uint64_t base_windows_cached; /* of quality.windows: the base's logits were there already */
    struct tm_evaluated_task tasks[TM_EVALUATION_TASKS];
    size_t task_count;
    uint64_t seed;
    bool has_speed;
    struct tm_speed speed;
    uint64_t load_ms;
};

/* Errors: those of tm_model_of, tm_task_open, tm_quality_measure and tm_task_measure;
 * TM_E_NOT_FOUND for a model without tokenizer, TM_E_MALFORMED for a text that is not UTF-8,
 * TM_E_USAGE for a context that the model has not. On failure *out is empty. */
tm_status tm_evaluate(const struct tm_evaluate_options *options, struct tm_evaluation *out,
                      struct tm_err *err) TM_MUST_USE;
/* A zeroed one is empty and valid. */
void tm_evaluation_deinit(struct tm_evaluation *evaluation);

/* Share of a task's (or, with NULL, of all tasks', each with the same weight) right answers, plain;
 * over the base's when `times`. false when the task was not asked. */
bool tm_evaluation_accuracy(const struct tm_evaluation *evaluation, const char *task, bool times,
                            double *out);

/* The figures that are the same everywhere, as members of the object that is open. */
void tm_evaluation_write(const struct tm_evaluation *evaluation, struct tm_jw *jw);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Tasks with a right answer: questions with choices, and texts whose last word is missing. Prompts
 * are worded as EleutherAI's lm-evaluation-harness words them, so that shares of right answers can
 * be compared (docs/quality.md says how each is built).
 *
 *   mini       built in: choices; node/quality/data/mini_tasks.jsonl
 *   arc        ARC (Clark et al. 2018): {"prompt" or "question", "choices", "answer_idx"}
 *   piqa       PIQA (Bisk et al. 2020): {"goal", "sol1", "sol2"} and "label", or valid-labels.lst
 *              beside the file
 *   hellaswag  HellaSwag (Zellers et al. 2019): {"activity_label", "ctx_a", "ctx_b", "endings",
 *              "label"}
 *   lambada    LAMBADA (Paperno et al. 2016): {"text"}
 *
 * Files have one JSON object a line. */
#ifndef TM_NODE_TASK_H
#define TM_NODE_TASK_H

#include "base/buf.h"

#define TM_TASK_CHOICES 16

/* Bytes of the task's text. */
struct tm_task_span {
    size_t at, bytes;
};

struct tm_task_item {
    struct tm_task_span prompt;
    uint32_t first;  /* of its choices among the task's */
    uint32_t count;  /* of them; 1 when the last word is asked for */
    uint32_t answer; /* the right one, below count */
};

struct tm_task {
    char name[16];
    bool last_word; /* right is what the model would have written itself */
    struct tm_task_item *items;
    size_t count;
    struct tm_task_span *choices; /* what follows the prompt, with its leading blank */
    size_t choice_count;
    struct tm_buf text;
};

/* The next of a list "arc,piqa=FILE" into *spec, and *list behind it; false at its end. list may be
 * NULL. */
bool tm_task_next(const char **list, struct tm_view *spec);
/* Whether a task has this name. */
bool tm_task_known(struct tm_view name);

/* spec: a name of the list above, looked for in `folder` as the data sets are usually laid out, or
 * NAME=FILE. folder may be NULL. Errors: TM_E_USAGE for an unknown name, TM_E_NOT_FOUND,
 * TM_E_MALFORMED with file and line, TM_E_LIMIT (512 MiB). On failure *out is empty. */
tm_status tm_task_open(struct tm_view spec, const char *folder, struct tm_task *out,
                       struct tm_err *err) TM_MUST_USE;
/* The lines of one file; labels (of piqa) may be empty. For tm_task_open and the fuzzer. */
tm_status tm_task_parse(struct tm_view lines, struct tm_view labels, const char *path,
                        struct tm_task *task, struct tm_err *err) TM_MUST_USE;
/* Bytes that live as long as the task. */
struct tm_view tm_task_text(const struct tm_task *task, struct tm_task_span span);
/* A zeroed one is empty and valid. */
void tm_task_deinit(struct tm_task *task);

#endif

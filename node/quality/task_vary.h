/* SPDX-License-Identifier: Apache-2.0
 * The same prompt, harder to read: for how well a model holds on to what it knows. Both changes
 * depend on the prompt's number and the seed alone. */
#ifndef TM_NODE_TASK_VARY_H
#define TM_NODE_TASK_VARY_H

#include "base/buf.h"

enum tm_task_variant {
    TM_TASK_PLAIN,
    TM_TASK_TYPOS, /* two neighbouring letters of every sixth word or so have changed places */
    TM_TASK_DISTRACTION, /* a paragraph about something else comes before it */
    TM_TASK_VARIANTS
};

const char *tm_task_variant_name(enum tm_task_variant variant);
/* Appends the changed prompt. TM_E_NOMEM, TM_E_LIMIT. */
tm_status tm_task_vary(struct tm_view prompt, enum tm_task_variant variant, uint64_t seed,
                       uint64_t number, struct tm_buf *out) TM_MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What every command prints with --json: one value on stdout,
 * {"schema": "tmill.show/1", "data": {...} or [...], "warnings": []}. */
#ifndef TM_NODE_ENVELOPE_H
#define TM_NODE_ENVELOPE_H

#include "base/json.h"

struct tm_envelope {
    struct tm_buf text;
    struct tm_jw jw; /* write the members (items) of data with it */
    bool list;
};

/* Opens "data" as an object, or as an array. Errors stick until the end. */
void tm_envelope_begin(struct tm_envelope *envelope, const char *schema);
void tm_envelope_begin_list(struct tm_envelope *envelope, const char *schema);
/* Closes data, adds the warnings, prints, frees. */
tm_status tm_envelope_end(struct tm_envelope *envelope, char *const *warnings, size_t warning_count,
                          struct tm_err *err) TM_MUST_USE;
/* Frees without printing; also after the end, and for a zeroed envelope. */
void tm_envelope_drop(struct tm_envelope *envelope);

#endif

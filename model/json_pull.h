/* SPDX-License-Identifier: Apache-2.0
 * Reads JSON one value at a time without building a tree, for headers and tokenizers of many
 * megabytes: memory is one string. As strict as base/json.h, but for duplicate keys: the caller
 * sees every key and decides. Usage:
 *
 *   TM_TRY(tm_pull_object(&p));
 *   while (true) {
 *       TM_TRY(tm_pull_member(&p, &more, &key));
 *       if (!more) { break; }
 *       ... read or tm_pull_skip exactly one value ...
 *   }
 *
 * Every error is TM_E_MALFORMED with the byte offset, or TM_E_NOMEM. */
#ifndef TM_MODEL_JSON_PULL_H
#define TM_MODEL_JSON_PULL_H

#include "base/json.h"

#define TM_PULL_DEPTH_MAX 64

struct tm_json_pull {
    struct tm_view text;
    size_t at;
    bool first;       /* nothing yet in the innermost open array or object */
    const char *path; /* for errors; borrowed */
    uint64_t base;    /* file offset of text[0], for errors */
    struct tm_err *err;
};

void tm_pull_begin(struct tm_json_pull *p, struct tm_view text, const char *path, uint64_t base,
                   struct tm_err *err);
/* Only blanks may be left. */
tm_status tm_pull_end(struct tm_json_pull *p) TM_MUST_USE;
/* Kind of the next value by its first byte (a number is TM_JSON_REAL); p->at is then its start. */
tm_status tm_pull_kind(struct tm_json_pull *p, enum tm_json_kind *out) TM_MUST_USE;

tm_status tm_pull_object(struct tm_json_pull *p) TM_MUST_USE;
/* The next key into *key (replaced; a buffer with max_bytes), or more = false past the last. */
tm_status tm_pull_member(struct tm_json_pull *p, bool *more, struct tm_buf *key) TM_MUST_USE;
tm_status tm_pull_array(struct tm_json_pull *p) TM_MUST_USE;
tm_status tm_pull_item(struct tm_json_pull *p, bool *more) TM_MUST_USE;

/* Decoded text, valid UTF-8, replaces what is in *out. */
tm_status tm_pull_string(struct tm_json_pull *p, struct tm_buf *out) TM_MUST_USE;
/* A whole number without sign, fraction or exponent. */
tm_status tm_pull_u64(struct tm_json_pull *p, uint64_t *out) TM_MUST_USE;
/* Any value, checked. */
tm_status tm_pull_skip(struct tm_json_pull *p) TM_MUST_USE;
/* A caller's own complaint about the value at p->at: fills the error and returns it. */
tm_status tm_pull_fail(struct tm_json_pull *p, const char *why) TM_MUST_USE;

#endif

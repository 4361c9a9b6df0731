/* SPDX-License-Identifier: Apache-2.0
 * Regular expressions of tokenizer.json, run by PCRE2. They are written for Oniguruma; the classes
 * that mean something else in PCRE2 (\s, \S, \w, \h) are rewritten. Matching is bounded: a pattern
 * that backtracks without end is an error, not a hang. */
#ifndef TM_MODEL_TOKENIZER_REGEX_H
#define TM_MODEL_TOKENIZER_REGEX_H

#include "base/buf.h"

#define TM_REGEX_PATTERN_MAX 65536 /* bytes */

struct tm_regex;

/* TM_E_MALFORMED with PCRE2's message and the offset, TM_E_NOMEM. */
tm_status tm_regex_new(struct tm_view pattern, struct tm_regex **out,
                       struct tm_err *err) TM_MUST_USE;
/* Matches this text, literally. */
tm_status tm_regex_literal(struct tm_view text, struct tm_regex **out,
                           struct tm_err *err) TM_MUST_USE;
void tm_regex_destroy(struct tm_regex **regex);

/* The first match at or after `from` in valid UTF-8: TM_OK with *start and *end; TM_E_NOTHING when
 * there is none; TM_E_LIMIT when the pattern takes too long. Not thread-safe for one regex. */
tm_status tm_regex_next(struct tm_regex *regex, struct tm_view text, size_t from, size_t *start,
                        size_t *end) TM_MUST_USE;

#endif

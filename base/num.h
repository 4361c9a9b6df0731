/* SPDX-License-Identifier: Apache-2.0
 * Strict numbers: overflow-checked arithmetic, text to number without locale, number to text that
 * reads back to the same value. */
#ifndef TM_BASE_NUM_H
#define TM_BASE_NUM_H

#include "base/buf.h"

/* false on overflow; *out is then untouched. */
bool tm_add_u64(uint64_t a, uint64_t b, uint64_t *out);
bool tm_mul_u64(uint64_t a, uint64_t b, uint64_t *out);
/* Smallest multiple of `unit` (> 0) that is >= a; false on overflow. */
bool tm_align_u64(uint64_t a, uint64_t unit, uint64_t *out);

/* Parsers: TM_E_MALFORMED when the text is no such number, TM_E_LIMIT when it is one but out of
 * range; *out is then untouched. */

/* The whole view is a decimal number without sign, blanks or leading zeros ("0" is fine). */
tm_status tm_parse_u64(struct tm_view text, uint64_t *out) TM_MUST_USE;
tm_status tm_parse_i64(struct tm_view text, int64_t *out) TM_MUST_USE; /* optional leading '-' */
/* A number in JSON's grammar, correctly rounded, whatever the locale; no nan, inf or hex. */
tm_status tm_parse_f64(struct tm_view text, double *out) TM_MUST_USE;
/* "64", "64k", "64KiB", "1.5GiB", "10MB": k/M/G/T and ...B are powers of 1000, ...iB of 1024. Up to
 * six decimals before a unit; parts of a byte are dropped. */
tm_status tm_parse_size(struct tm_view text, uint64_t *out_bytes) TM_MUST_USE;
/* "250ms", "30s", "5m", "2h": a duration in milliseconds. */
tm_status tm_parse_duration_ms(struct tm_view text, uint64_t *out_ms) TM_MUST_USE;

#define TM_NUM_TEXT 40
/* "1.20 GiB", three significant digits, powers of 1024. Returns out (TM_NUM_TEXT bytes). */
const char *tm_format_bytes(uint64_t bytes, char *out);
/* Shortest decimal that reads back to the same double, '.' in every locale; "null" if not finite.
 * */
const char *tm_format_f64(double value, char *out);
/* For people, into out[32]: four significant digits and at most nine behind the point, '.' in every
 * locale; "-" for a negative number, one of 10^12 or more, and one that is not finite. */
#define TM_SHORT_TEXT 32
const char *tm_format_short(double value, char *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * JSON. Reading: strict (jansson behind it), duplicate keys refused, numbers exact, bounded depth.
 * Writing: a streaming writer onto a tm_buf. The only user of jansson.h is json.c. */
#ifndef TM_BASE_JSON_H
#define TM_BASE_JSON_H

#include "base/buf.h"

/* ---- reading ---- */

enum tm_json_kind {
    TM_JSON_NULL,
    TM_JSON_BOOL,
    TM_JSON_INT,
    TM_JSON_REAL,
    TM_JSON_STRING,
    TM_JSON_ARRAY,
    TM_JSON_OBJECT
};

struct tm_json_doc;
/* A node borrowed from its document. */
struct tm_json;

/* One JSON value and nothing after it but blanks. Depth <= 64. An integer outside int64 is a
 * TM_JSON_REAL. Strings may hold NUL (the caller decides), keys may not. err->why has line, column
 * and byte offset. A duplicate key is TM_E_MALFORMED and the line says "duplicate". */
tm_status tm_json_parse(struct tm_view text, const char *where, struct tm_json_doc **out,
                        struct tm_err *err) TM_MUST_USE;
void tm_json_free(struct tm_json_doc **doc);
const struct tm_json *tm_json_root(const struct tm_json_doc *doc);

enum tm_json_kind tm_json_kind(const struct tm_json *node);
const char *tm_json_kind_name(enum tm_json_kind kind);
/* Object member or array item; NULL when absent or node is of another kind (NULL-safe). */
const struct tm_json *tm_json_get(const struct tm_json *node, const char *key);
const struct tm_json *tm_json_at(const struct tm_json *node, size_t index);
/* Members of an object or items of an array; 0 for other kinds. */
size_t tm_json_count(const struct tm_json *node);
/* Object members in file order: start with *iter = NULL; false at the end. key is borrowed. */
bool tm_json_next(const struct tm_json *object, void **iter, struct tm_view *key,
                  const struct tm_json **value);
/* Typed values: false (and *out untouched) when the node is NULL, of another kind or out of range.
 * */
bool tm_json_str(const struct tm_json *node, struct tm_view *out); /* bytes are NUL-terminated */
bool tm_json_u64(const struct tm_json *node, uint64_t *out);
bool tm_json_i64(const struct tm_json *node, int64_t *out);
bool tm_json_f64(const struct tm_json *node, double *out); /* takes integers too */
bool tm_json_bool(const struct tm_json *node, bool *out);

/* ---- writing ---- */

/* Errors stick: write on, and look at tm_jw_end. Depth <= 64. Keys and values are escaped; invalid
 * UTF-8 bytes become U+FFFD. Commas are automatic. */
struct tm_jw {
    struct tm_buf *out;
    tm_status status;
    unsigned depth;
    bool comma;
    bool pretty; /* two-space indentation */
};

void tm_jw_begin(struct tm_jw *jw, struct tm_buf *out, bool pretty);
tm_status tm_jw_end(struct tm_jw *jw) TM_MUST_USE; /* first error, or TM_OK */
/* key is NULL inside an array and at the root. */
void tm_jw_object(struct tm_jw *jw, const char *key);
void tm_jw_object_end(struct tm_jw *jw);
void tm_jw_array(struct tm_jw *jw, const char *key);
void tm_jw_array_end(struct tm_jw *jw);
void tm_jw_str(struct tm_jw *jw, const char *key, const char *value);
void tm_jw_strn(struct tm_jw *jw, const char *key, struct tm_view value);
void tm_jw_u64(struct tm_jw *jw, const char *key, uint64_t value);
void tm_jw_i64(struct tm_jw *jw, const char *key, int64_t value);
void tm_jw_f64(struct tm_jw *jw, const char *key, double value); /* null when not finite */
void tm_jw_bool(struct tm_jw *jw, const char *key, bool value);
void tm_jw_null(struct tm_jw *jw, const char *key);
/* Keys that are not C strings (tensor names as object keys). */
void tm_jw_object_n(struct tm_jw *jw, struct tm_view key);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The writing part of base/json.h. */
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

#include "base/num.h"
#include "base/utf8.h"

#define DEPTH_MAX 64

/* Keeps the first error. */
static void keep(struct tm_jw *jw, tm_status status)
{
    if (jw->status == TM_OK) {
        jw->status = status;
    }
}

static void put(struct tm_jw *jw, const char *text)
{
    if (jw->status == TM_OK) {
        keep(jw, tm_buf_put_str(jw->out, text));
    }
}

static void put_char(struct tm_jw *jw, uint32_t code, const char *text, size_t bytes)
{
    static const char short_for[] = "\"\\\b\f\n\r\t";
    static const char short_forms[] = "\"\\bfnrt";
    const char *found = code != 0 && code < 0x80 ? strchr(short_for, (int)code) : NULL;
    if (found != NULL) {
        char pair[3] = {'\\', short_forms[found - short_for], '\0'};
        put(jw, pair);
    } else if (tm_utf8_is_control(code) && code > 0xffff) { /* two halves (RFC 8259, section 7) */
        unsigned rest = code - 0x10000;
        keep(jw, tm_buf_printf(jw->out, "\\u%04x\\u%04x", 0xd800 + (rest >> 10),
                               0xdc00 + (rest & 0x3ff)));
    } else if (tm_utf8_is_control(code)) {
        keep(jw, tm_buf_printf(jw->out, "\\u%04x", (unsigned)code));
    } else {
        keep(jw, tm_buf_put(jw->out, text, bytes));
    }
}

static void put_string(struct tm_jw *jw, struct tm_view value)
{
    const char *text = (const char *)value.data;
    put(jw, "\"");
    for (size_t at = 0; at < value.bytes && jw->status == TM_OK;) {
        uint32_t code = 0;
        size_t length = tm_utf8_decode(text + at, value.bytes - at, &code);
        if (length == 0) {
            put(jw, "\xef\xbf\xbd");
            length = 1;
        } else {
            put_char(jw, code, text + at, length);
        }
        at += length;
    }
    put(jw, "\"");
}

static void new_line(struct tm_jw *jw)
{
    if (jw->pretty) {
        put(jw, "\n");
        for (unsigned i = 0; i < jw->depth; i++) {
            put(jw, "  ");
        }
    }
}

/* What stands before a value: comma, line break, key. */
static void start(struct tm_jw *jw, const struct tm_view *key)
{
    if (jw->comma) {
        put(jw, ",");
    }
    if (jw->depth > 0) {
        new_line(jw);
    }
    if (key != NULL) {
        put_string(jw, *key);
        put(jw, jw->pretty ? ": " : ":");
    }
    jw->comma = true;
}

static void start_z(struct tm_jw *jw, const char *key)
{
    struct tm_view view = tm_view_str(key != NULL ? key : "");
    start(jw, key != NULL ? &view : NULL);
}

static void open(struct tm_jw *jw, const char *bracket)
{
    TM_ASSERT(jw->depth < DEPTH_MAX);
    put(jw, bracket);
    jw->depth++;
    jw->comma = false;
}

static void shut(struct tm_jw *jw, const char *bracket)
{
    TM_ASSERT(jw->depth > 0);
    jw->depth--;
    if (jw->comma) { /* not empty */
        new_line(jw);
    }
    put(jw, bracket);
    jw->comma = true;
}

void tm_jw_begin(struct tm_jw *jw, struct tm_buf *out, bool pretty)
{
    *jw = (struct tm_jw){.out = out, .status = TM_OK, .pretty = pretty};
}

tm_status tm_jw_end(struct tm_jw *jw)
{
    TM_ASSERT(jw->depth == 0);
    return jw->status;
}

void tm_jw_object(struct tm_jw *jw, const char *key)
{
    start_z(jw, key);
    open(jw, "{");
}

void tm_jw_object_n(struct tm_jw *jw, struct tm_view key)
{
    start(jw, &key);
    open(jw, "{");
}

void tm_jw_object_end(struct tm_jw *jw)
{
    shut(jw, "}");
}

void tm_jw_array(struct tm_jw *jw, const char *key)
{
    start_z(jw, key);
    open(jw, "[");
}

void tm_jw_array_end(struct tm_jw *jw)
{
    shut(jw, "]");
}

void tm_jw_str(struct tm_jw *jw, const char *key, const char *value)
{
    tm_jw_strn(jw, key, tm_view_str(value));
}

void tm_jw_strn(struct tm_jw *jw, const char *key, struct tm_view value)
{
    start_z(jw, key);
    put_string(jw, value);
}

void tm_jw_u64(struct tm_jw *jw, const char *key, uint64_t value)
{
    start_z(jw, key);
    if (jw->status == TM_OK) {
        keep(jw, tm_buf_printf(jw->out, "%" PRIu64, value));
    }
}

void tm_jw_i64(struct tm_jw *jw, const char *key, int64_t value)
{
    start_z(jw, key);
    if (jw->status == TM_OK) {
        keep(jw, tm_buf_printf(jw->out, "%" PRId64, value));
    }
}

void tm_jw_f64(struct tm_jw *jw, const char *key, double value)
{
    char text[TM_NUM_TEXT];
    start_z(jw, key);
    put(jw, tm_format_f64(value, text));
}

void tm_jw_bool(struct tm_jw *jw, const char *key, bool value)
{
    start_z(jw, key);
    put(jw, value ? "true" : "false");
}

void tm_jw_null(struct tm_jw *jw, const char *key)
{
    start_z(jw, key);
    put(jw, "null");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static const struct {
    const char *name;
    const char *text;
    int exit_code;
} rows[TM_STATUS_COUNT] = {
#define ROW(code, exit, words) [code] = {#code, words, exit},
    TM_STATUS_LIST(ROW)
#undef ROW
};

/* A number outside the list can only come from a bug; it still gets an answer. */
static size_t row_of(tm_status status)
{
    return (unsigned)status < TM_STATUS_COUNT ? (size_t)status : (size_t)TM_E_INTERNAL;
}

const char *tm_status_text(tm_status status)
{
    return rows[row_of(status)].text;
}

const char *tm_status_name(tm_status status)
{
    return rows[row_of(status)].name;
}

int tm_status_exit_code(tm_status status)
{
    return rows[row_of(status)].exit_code;
}

/* Drops a UTF-8 character that truncation cut in two, so that a valid text stays valid. */
static void drop_cut_tail(char *text)
{
    size_t bytes = strlen(text);
    for (size_t back = 1; back <= 3 && back <= bytes; back++) {
        uint8_t byte = (uint8_t)text[bytes - back];
        if ((byte & 0xc0) == 0x80) {
            continue;
        }
        size_t needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        if (needed > back) {
            text[bytes - back] = '\0';
        }
        return;
    }
}

static void copy_cut(char *out, size_t out_bytes, const char *text)
{
    size_t bytes = text != NULL ? strlen(text) : 0;
    bool cut = bytes >= out_bytes;
    if (cut) {
        bytes = out_bytes - 1;
    }
    if (bytes > 0) {
        memcpy(out, text, bytes);
    }
    out[bytes] = '\0';
    if (cut) {
        drop_cut_tail(out);
    }
}

tm_status tm_err_set(struct tm_err *err, tm_status status, const char *where, const char *what,
                     const char *hint, const char *why_fmt, ...)
{
    if (err == NULL) {
        return status;
    }
    /* Built aside: the arguments may point into *err itself. */
    struct tm_err made = {.status = status};
    copy_cut(made.where, sizeof made.where, where);
    copy_cut(made.what, sizeof made.what, what);
    copy_cut(made.hint, sizeof made.hint, hint);
    va_list args;
    va_start(args, why_fmt);
    int length = vsnprintf(made.why, sizeof made.why, why_fmt, args);
    va_end(args);
    if (length < 0) {
        made.why[0] = '\0';
    } else if ((size_t)length >= sizeof made.why) {
        drop_cut_tail(made.why);
    }
    *err = made;
    return status;
}

void tm_err_prefix(struct tm_err *err, const char *prefix)
{
    if (err == NULL) {
        return;
    }
    char joined[2 * sizeof err->where + 2];
    char start[sizeof err->where];
    copy_cut(start, sizeof start, prefix);
    snprintf(joined, sizeof joined, "%s%s%s", start, err->where[0] != '\0' ? ": " : "", err->where);
    copy_cut(err->where, sizeof err->where, joined);
}

/* Escapes text behind out[*at]; whole characters only, NUL-terminated. */
static void escape_onto(const char *text, size_t text_bytes, char *out, size_t out_bytes,
                        size_t *at)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < text_bytes;) {
        uint32_t code = 0;
        size_t length = tm_utf8_decode(text + i, text_bytes - i, &code);
        char piece[16];
        size_t piece_bytes = 0;
        if (length > 0 && !tm_utf8_is_control(code)) {
            memcpy(piece, text + i, length);
            piece_bytes = length;
        } else {
            length = length > 0 ? length : 1;
            for (size_t k = 0; k < length; k++) {
                uint8_t byte = (uint8_t)text[i + k];
                piece[piece_bytes++] = '\\';
                piece[piece_bytes++] = 'x';
                piece[piece_bytes++] = hex[byte >> 4];
                piece[piece_bytes++] = hex[byte & 15];
            }
        }
        if (piece_bytes >= out_bytes - *at) {
            break;
        }
        memcpy(out + *at, piece, piece_bytes);
        *at += piece_bytes;
        i += length;
    }
    out[*at] = '\0';
}

const char *tm_escape(const char *text, size_t text_bytes, char *out, size_t out_bytes)
{
    TM_ASSERT(out_bytes > 0);
    size_t at = 0;
    escape_onto(text, text_bytes, out, out_bytes, &at);
    return out;
}

const char *tm_err_why(const struct tm_err *err, tm_status status)
{
    return err->why[0] != '\0' ? err->why : tm_status_text(status);
}

const char *tm_err_line(const struct tm_err *err, char *out, size_t out_bytes)
{
    TM_ASSERT(out_bytes > 0);
    const char *why = err->why;
    if (err->why[0] == '\0' && err->what[0] == '\0') {
        why = tm_status_text(err->status);
    }
    const char *parts[4] = {err->where, err->what, why, err->hint};
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < 4; i++) {
        if (parts[i][0] == '\0') {
            continue;
        }
        if (at > 0) {
            escape_onto(i == 3 ? "; " : ": ", 2, out, out_bytes, &at);
        }
        escape_onto(parts[i], strlen(parts[i]), out, out_bytes, &at);
    }
    return out;
}

_Noreturn void tm_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}

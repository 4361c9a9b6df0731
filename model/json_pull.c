/* SPDX-License-Identifier: Apache-2.0 */
#include "model/json_pull.h"

#include <string.h>

#include "base/num.h"
#include "base/utf8.h"
#include "model/where.h"

void tm_pull_begin(struct tm_json_pull *p, struct tm_view text, const char *path, uint64_t base,
                   struct tm_err *err)
{
    *p = (struct tm_json_pull){.text = text, .path = path, .base = base, .err = err};
}

tm_status tm_pull_fail(struct tm_json_pull *p, const char *why)
{
    struct tm_where where;
    tm_where_byte(&where, p->path, p->base + p->at);
    return tm_err_set(p->err, TM_E_MALFORMED, where.text, "cannot read the JSON text", NULL, "%s",
                      why);
}

/* The byte at p->at, or -1 at the end. */
static int peek(const struct tm_json_pull *p)
{
    return p->at < p->text.bytes ? p->text.data[p->at] : -1;
}

static int skip_blanks(struct tm_json_pull *p)
{
    int c = peek(p);
    while (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        p->at++;
        c = peek(p);
    }
    return c;
}

static tm_status unexpected(struct tm_json_pull *p, const char *wanted)
{
    return tm_pull_fail(p, peek(p) < 0 ? "the text ends too early" : wanted);
}

tm_status tm_pull_end(struct tm_json_pull *p)
{
    return skip_blanks(p) < 0 ? TM_OK : tm_pull_fail(p, "there is text after the value");
}

tm_status tm_pull_kind(struct tm_json_pull *p, enum tm_json_kind *out)
{
    int c = skip_blanks(p);
    if (c == '-' || (c >= '0' && c <= '9')) {
        *out = TM_JSON_REAL;
        return TM_OK;
    }
    switch (c) {
    case '{':
        *out = TM_JSON_OBJECT;
        return TM_OK;
    case '[':
        *out = TM_JSON_ARRAY;
        return TM_OK;
    case '"':
        *out = TM_JSON_STRING;
        return TM_OK;
    case 't':
    case 'f':
        *out = TM_JSON_BOOL;
        return TM_OK;
    case 'n':
        *out = TM_JSON_NULL;
        return TM_OK;
    default:
        return unexpected(p, "a value is expected");
    }
}

static tm_status open_with(struct tm_json_pull *p, int c, const char *wanted)
{
    if (skip_blanks(p) != c) {
        return unexpected(p, wanted);
    }
    p->at++;
    p->first = true;
    return TM_OK;
}

tm_status tm_pull_object(struct tm_json_pull *p)
{
    return open_with(p, '{', "an object is expected");
}

tm_status tm_pull_array(struct tm_json_pull *p)
{
    return open_with(p, '[', "an array is expected");
}

/* Passes the comma before the next entry or the closing bracket. */
static tm_status next_entry(struct tm_json_pull *p, int close, bool *more)
{
    int c = skip_blanks(p);
    if (c == close) {
        p->at++;
        p->first = false;
        *more = false;
        return TM_OK;
    }
    if (!p->first) {
        if (c != ',') {
            return unexpected(p,
                              close == '}' ? "',' or '}' is expected" : "',' or ']' is expected");
        }
        p->at++;
        skip_blanks(p);
    }
    p->first = false;
    *more = true;
    return TM_OK;
}

tm_status tm_pull_item(struct tm_json_pull *p, bool *more)
{
    return next_entry(p, ']', more);
}

static tm_status pass_colon(struct tm_json_pull *p)
{
    if (skip_blanks(p) != ':') {
        return unexpected(p, "':' is expected");
    }
    p->at++;
    return TM_OK;
}

tm_status tm_pull_member(struct tm_json_pull *p, bool *more, struct tm_buf *key)
{
    TM_TRY(next_entry(p, '}', more));
    if (!*more) {
        return TM_OK;
    }
    TM_TRY(tm_pull_string(p, key));
    return pass_colon(p);
}

/* ---- strings ---- */

static bool hex4(const struct tm_json_pull *p, size_t at, uint32_t *out)
{
    if (p->text.bytes - at < 4) {
        return false;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = p->text.data[at + i];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            digit = (uint32_t)((c | 32) - 'a' + 10);
        } else {
            return false;
        }
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

/* \uXXXX with p->at on the first digit; a surrogate needs its other half. */
static tm_status unicode_escape(struct tm_json_pull *p, char *out, size_t *out_bytes)
{
    uint32_t code = 0, low = 0;
    if (!hex4(p, p->at, &code)) {
        return tm_pull_fail(p, "\\u is not followed by four hex digits");
    }
    p->at += 4;
    if (code >= 0xd800 && code <= 0xdbff) {
        bool pair = p->text.bytes - p->at >= 6 && p->text.data[p->at] == '\\' &&
                    p->text.data[p->at + 1] == 'u' && hex4(p, p->at + 2, &low) && low >= 0xdc00 &&
                    low <= 0xdfff;
        if (!pair) {
            return tm_pull_fail(p, "half of a surrogate pair");
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        p->at += 6;
    }
    *out_bytes = tm_utf8_encode(code, out);
    return *out_bytes > 0 ? TM_OK : tm_pull_fail(p, "half of a surrogate pair");
}

/* One escape with p->at behind the backslash. */
static tm_status escape(struct tm_json_pull *p, char *out, size_t *out_bytes)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    int c = peek(p);
    if (c == 'u') {
        p->at++;
        return unicode_escape(p, out, out_bytes);
    }
    const char *found = c > 0 ? strchr(from, c) : NULL;
    if (found == NULL) {
        return unexpected(p, "unknown escape");
    }
    p->at++;
    out[0] = to[found - from];
    *out_bytes = 1;
    return TM_OK;
}

/* Bytes at p->at that stand for themselves, all of them whole characters. */
static tm_status plain_run(struct tm_json_pull *p, size_t *out)
{
    size_t end = p->at;
    while (end < p->text.bytes) {
        uint8_t c = p->text.data[end];
        if (c == '"' || c == '\\' || c < 0x20) {
            break;
        }
        uint32_t code;
        size_t bytes = 1;
        if (c >= 0x80) {
            bytes = tm_utf8_decode((const char *)p->text.data + end, p->text.bytes - end, &code);
        }
        if (bytes == 0) {
            p->at = end;
            return tm_pull_fail(p, "invalid UTF-8");
        }
        end += bytes;
    }
    *out = end - p->at;
    return TM_OK;
}

/* out may be NULL: then the string is only checked. */
static tm_status put(struct tm_json_pull *p, struct tm_buf *out, const void *data, size_t bytes)
{
    tm_status status = out != NULL ? tm_buf_put(out, data, bytes) : TM_OK;
    if (status == TM_E_LIMIT) {
        return tm_pull_fail(p, "the string is too long");
    }
    if (status != TM_OK) {
        return tm_err_set(p->err, status, p->path, "cannot read the JSON text", NULL,
                          "out of memory");
    }
    return TM_OK;
}

static tm_status read_string(struct tm_json_pull *p, struct tm_buf *out)
{
    if (skip_blanks(p) != '"') {
        return unexpected(p, "a string is expected");
    }
    p->at++;
    while (true) {
        size_t run = 0;
        TM_TRY(plain_run(p, &run));
        TM_TRY(put(p, out, p->text.data + p->at, run));
        p->at += run;
        int c = peek(p);
        if (c == '"') {
            p->at++;
            return TM_OK;
        }
        if (c != '\\') {
            return unexpected(p, "a control character in a string");
        }
        p->at++;
        char decoded[4];
        size_t bytes = 0;
        TM_TRY(escape(p, decoded, &bytes));
        TM_TRY(put(p, out, decoded, bytes));
    }
}

tm_status tm_pull_string(struct tm_json_pull *p, struct tm_buf *out)
{
    tm_buf_clear(out);
    return read_string(p, out);
}

/* ---- other values ---- */

static size_t digits(struct tm_json_pull *p)
{
    size_t start = p->at;
    while (peek(p) >= '0' && peek(p) <= '9') {
        p->at++;
    }
    return p->at - start;
}

/* Passes a number; *whole when it has no sign, fraction or exponent. */
static tm_status number(struct tm_json_pull *p, bool *whole)
{
    *whole = peek(p) != '-';
    p->at += *whole ? 0 : 1;
    bool zero = peek(p) == '0';
    size_t count = digits(p);
    if (count == 0 || (zero && count > 1)) {
        return tm_pull_fail(p, "not a number");
    }
    if (peek(p) == '.') {
        *whole = false;
        p->at++;
        if (digits(p) == 0) {
            return tm_pull_fail(p, "not a number");
        }
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        *whole = false;
        p->at++;
        if (peek(p) == '+' || peek(p) == '-') {
            p->at++;
        }
        if (digits(p) == 0) {
            return tm_pull_fail(p, "not a number");
        }
    }
    return TM_OK;
}

tm_status tm_pull_u64(struct tm_json_pull *p, uint64_t *out)
{
    bool whole = false;
    skip_blanks(p);
    size_t start = p->at;
    TM_TRY(number(p, &whole));
    struct tm_view text = tm_view_of(p->text.data + start, p->at - start);
    if (!whole || tm_parse_u64(text, out) != TM_OK) {
        p->at = start;
        return tm_pull_fail(p, "a whole number from 0 to 2^64-1 is expected");
    }
    return TM_OK;
}

static tm_status word(struct tm_json_pull *p)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t bytes = strlen(words[i]);
        if (p->text.bytes - p->at >= bytes && memcmp(p->text.data + p->at, words[i], bytes) == 0) {
            p->at += bytes;
            return TM_OK;
        }
    }
    return tm_pull_fail(p, "an unknown word");
}

static tm_status skip_scalar(struct tm_json_pull *p, enum tm_json_kind kind)
{
    bool whole;
    switch (kind) {
    case TM_JSON_STRING:
        return read_string(p, NULL);
    case TM_JSON_REAL:
    case TM_JSON_INT:
        return number(p, &whole);
    default:
        return word(p);
    }
}

/* Passes the start of a value: a whole scalar, or the bracket of a container, which is pushed. */
static tm_status skip_start(struct tm_json_pull *p, uint8_t *open, size_t *depth)
{
    enum tm_json_kind kind = TM_JSON_NULL;
    TM_TRY(tm_pull_kind(p, &kind));
    if (kind != TM_JSON_OBJECT && kind != TM_JSON_ARRAY) {
        return skip_scalar(p, kind);
    }
    if (*depth == TM_PULL_DEPTH_MAX) {
        return tm_pull_fail(p, "nested too deep");
    }
    open[(*depth)++] = kind == TM_JSON_OBJECT ? '}' : ']';
    p->at++;
    p->first = true;
    return TM_OK;
}

tm_status tm_pull_skip(struct tm_json_pull *p)
{
    uint8_t open[TM_PULL_DEPTH_MAX];
    size_t depth = 0;
    TM_TRY(skip_start(p, open, &depth));
    while (depth > 0) {
        bool more = false;
        TM_TRY(next_entry(p, open[depth - 1], &more));
        if (!more) {
            depth--;
            continue;
        }
        if (open[depth - 1] == '}') {
            TM_TRY(read_string(p, NULL));
            TM_TRY(pass_colon(p));
        }
        TM_TRY(skip_start(p, open, &depth));
    }
    p->first = false;
    return TM_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * Look-ups in a parsed TOML tree; the parser is toml_parse.c. */
#include "base/toml.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"

/* The parser bounds the depth, and so this recursion. */
void tm_toml_free(struct tm_toml **root)
{
    struct tm_toml *node = *root;
    if (node == NULL) {
        return;
    }
    if (node->kind == TM_TOML_STRING) {
        tm_free(node->string.data);
    } else if (node->kind == TM_TOML_ARRAY || node->kind == TM_TOML_TABLE) {
        for (size_t i = 0; i < node->list.count; i++) {
            tm_toml_free(&node->list.items[i]);
        }
        tm_free(node->list.items);
    }
    tm_free(node->key);
    tm_free(node);
    *root = NULL;
}

const struct tm_toml *tm_toml_get(const struct tm_toml *table, const char *key)
{
    if (table == NULL || table->kind != TM_TOML_TABLE) {
        return NULL;
    }
    for (size_t i = 0; i < table->list.count; i++) {
        if (strcmp(table->list.items[i]->key, key) == 0) {
            return table->list.items[i];
        }
    }
    return NULL;
}

const char *tm_toml_kind_name(enum tm_toml_kind kind)
{
    static const char *const names[] = {"a string",  "an integer", "a number",
                                        "a boolean", "an array",   "a table"};
    TM_ASSERT((unsigned)kind < sizeof names / sizeof names[0]);
    return names[kind];
}

/* ---- errors ---- */

static const char *place_of(const struct tm_toml *node, const char *name, char out[320])
{
    snprintf(out, 320, "%.256s:%" PRIu32 ":%" PRIu32, name, node->line, node->column);
    return out;
}

static const char *what_of(const struct tm_toml *node, char out[160])
{
    char key[128];
    const char *text = node->key != NULL ? node->key : "";
    snprintf(out, 160, "key '%s'", tm_escape(text, strlen(text), key, sizeof key));
    return out;
}

static tm_status wrong_kind(const struct tm_toml *node, const char *name, enum tm_toml_kind wanted,
                            struct tm_err *err)
{
    char where[320];
    char what[160];
    return tm_err_set(err, TM_E_USAGE, place_of(node, name, where), what_of(node, what), NULL,
                      "%s is needed here, not %s", tm_toml_kind_name(wanted),
                      tm_toml_kind_name(node->kind));
}

/* ---- typed look-ups ---- */

tm_status tm_toml_get_str(const struct tm_toml *table, const char *key, const char *name,
                          const char **out, struct tm_err *err)
{
    const struct tm_toml *node = tm_toml_get(table, key);
    if (node == NULL) {
        return TM_OK;
    }
    if (node->kind != TM_TOML_STRING) {
        return wrong_kind(node, name, TM_TOML_STRING, err);
    }
    *out = node->string.data;
    return TM_OK;
}

tm_status tm_toml_get_u64(const struct tm_toml *table, const char *key, const char *name,
                          uint64_t min, uint64_t max, uint64_t *out, struct tm_err *err)
{
    const struct tm_toml *node = tm_toml_get(table, key);
    if (node == NULL) {
        return TM_OK;
    }
    if (node->kind != TM_TOML_INT) {
        return wrong_kind(node, name, TM_TOML_INT, err);
    }
    if (node->integer < 0 || (uint64_t)node->integer < min || (uint64_t)node->integer > max) {
        char where[320];
        char what[160];
        return tm_err_set(err, TM_E_USAGE, place_of(node, name, where), what_of(node, what), NULL,
                          "%" PRId64 " is not between %" PRIu64 " and %" PRIu64, node->integer, min,
                          max);
    }
    *out = (uint64_t)node->integer;
    return TM_OK;
}

tm_status tm_toml_get_f64(const struct tm_toml *table, const char *key, const char *name,
                          double min, double max, double *out, struct tm_err *err)
{
    const struct tm_toml *node = tm_toml_get(table, key);
    if (node == NULL) {
        return TM_OK;
    }
    if (node->kind != TM_TOML_FLOAT && node->kind != TM_TOML_INT) {
        return wrong_kind(node, name, TM_TOML_FLOAT, err);
    }
    double value = node->kind == TM_TOML_INT ? (double)node->integer : node->real;
    if (!(value >= min && value <= max)) {
        char where[320];
        char what[160];
        char texts[3][TM_NUM_TEXT];
        return tm_err_set(err, TM_E_USAGE, place_of(node, name, where), what_of(node, what), NULL,
                          "%s is not between %s and %s", tm_format_f64(value, texts[0]),
                          tm_format_f64(min, texts[1]), tm_format_f64(max, texts[2]));
    }
    *out = value;
    return TM_OK;
}

tm_status tm_toml_get_bool(const struct tm_toml *table, const char *key, const char *name,
                           bool *out, struct tm_err *err)
{
    const struct tm_toml *node = tm_toml_get(table, key);
    if (node == NULL) {
        return TM_OK;
    }
    if (node->kind != TM_TOML_BOOL) {
        return wrong_kind(node, name, TM_TOML_BOOL, err);
    }
    *out = node->boolean;
    return TM_OK;
}

static bool is_allowed(const char *key, const char *const *allowed)
{
    for (size_t i = 0; allowed[i] != NULL; i++) {
        if (strcmp(key, allowed[i]) == 0) {
            return true;
        }
    }
    return false;
}

tm_status tm_toml_check_keys(const struct tm_toml *table, const char *const *allowed,
                             const char *name, struct tm_err *err)
{
    TM_ASSERT(table->kind == TM_TOML_TABLE);
    for (size_t i = 0; i < table->list.count; i++) {
        const struct tm_toml *node = table->list.items[i];
        if (is_allowed(node->key, allowed)) {
            continue;
        }
        char where[320];
        char what[160];
        char hint[sizeof err->hint] = "known keys:";
        for (size_t k = 0; allowed[k] != NULL; k++) {
            size_t used = strlen(hint);
            snprintf(hint + used, sizeof hint - used, "%s %s", k > 0 ? "," : "", allowed[k]);
        }
        return tm_err_set(err, TM_E_USAGE, place_of(node, name, where), what_of(node, what), hint,
                          "there is no such key%s", allowed[0] == NULL ? " (none is known)" : "");
    }
    return TM_OK;
}

/* ---- writing ---- */

static tm_status put_escaped(struct tm_buf *out, uint32_t code)
{
    static const char short_for[] = "\"\\\b\f\n\r\t";
    static const char short_forms[] = "\"\\bfnrt";
    const char *found = code != 0 && code < 0x80 ? strchr(short_for, (int)code) : NULL;
    if (found != NULL) {
        return tm_buf_printf(out, "\\%c", short_forms[found - short_for]);
    }
    return tm_buf_printf(out, code > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)code);
}

tm_status tm_toml_put_str(struct tm_buf *out, struct tm_view text)
{
    const char *at = (const char *)text.data;
    TM_TRY(tm_buf_put_u8(out, '"'));
    for (size_t i = 0; i < text.bytes;) {
        uint32_t code = 0xfffd;
        size_t length = tm_utf8_decode(at + i, text.bytes - i, &code);
        if (length == 0 || code == '"' || code == '\\' || tm_utf8_is_control(code)) {
            TM_TRY(put_escaped(out, code));
        } else {
            TM_TRY(tm_buf_put(out, at + i, length));
        }
        i += length > 0 ? length : 1;
    }
    return tm_buf_put_u8(out, '"');
}

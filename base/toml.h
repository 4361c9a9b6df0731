/* SPDX-License-Identifier: Apache-2.0
 * A strict subset of TOML 1.0 for recipes, plans and configuration: comments, bare and quoted keys,
 * dotted keys, [tables], [[arrays of tables]], basic and literal strings (one line), integers,
 * floats, booleans, arrays (over lines too), inline tables. Numbers are decimal. No dates, no
 * multi-line strings, no nan or inf, no NUL in a string. Duplicate keys are errors. Every node
 * knows its line and column (from 1). */
#ifndef TM_BASE_TOML_H
#define TM_BASE_TOML_H

#include "base/buf.h"

enum tm_toml_kind {
    TM_TOML_STRING,
    TM_TOML_INT,
    TM_TOML_FLOAT,
    TM_TOML_BOOL,
    TM_TOML_ARRAY,
    TM_TOML_TABLE
};

struct tm_toml {
    enum tm_toml_kind kind;
    uint32_t line, column;
    char *key; /* name in the parent table; NULL for array items and the root */
    union {
        struct {
            char *data; /* NUL-terminated */
            size_t bytes;
        } string;
        int64_t integer;
        double real;
        bool boolean;
        struct {
            struct tm_toml **items; /* members of a table in file order, or items */
            size_t count, capacity;
        } list;
    };
};

const char *tm_toml_kind_name(enum tm_toml_kind kind); /* "a string", "an integer", ... */

/* name is what errors call the text ("recipe.toml"): "recipe.toml:3:9: ...", columns in bytes. Text
 * <= 16 MiB and 2^20 values (TM_E_LIMIT), depth <= 16; all else that is wrong is TM_E_MALFORMED.
 * The root is a table; free with tm_toml_free. */
tm_status tm_toml_parse(struct tm_view text, const char *name, struct tm_toml **out,
                        struct tm_err *err) TM_MUST_USE;
void tm_toml_free(struct tm_toml **root);

/* Member of a table; NULL when absent or when table is no table. */
const struct tm_toml *tm_toml_get(const struct tm_toml *table, const char *key);

/* Typed look-ups. Absent: TM_OK with *out untouched. Wrong kind or out of range: TM_E_USAGE with
 * name:line:column. Strings are borrowed. */
tm_status tm_toml_get_str(const struct tm_toml *table, const char *key, const char *name,
                          const char **out, struct tm_err *err) TM_MUST_USE;
tm_status tm_toml_get_u64(const struct tm_toml *table, const char *key, const char *name,
                          uint64_t min, uint64_t max, uint64_t *out,
                          struct tm_err *err) TM_MUST_USE;
tm_status tm_toml_get_f64(const struct tm_toml *table, const char *key, const char *name,
                          double min, double max, double *out, struct tm_err *err) TM_MUST_USE;
tm_status tm_toml_get_bool(const struct tm_toml *table, const char *key, const char *name,
                           bool *out, struct tm_err *err) TM_MUST_USE;
/* TM_E_USAGE naming line:column and the key when table has a key that is not in allowed (a
 * NULL-terminated list); the hint lists the allowed ones. */
tm_status tm_toml_check_keys(const struct tm_toml *table, const char *const *allowed,
                             const char *name, struct tm_err *err) TM_MUST_USE;
/* Appends text as a TOML basic string with quotes. */
tm_status tm_toml_put_str(struct tm_buf *out, struct tm_view text) TM_MUST_USE;

#endif

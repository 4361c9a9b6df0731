/* SPDX-License-Identifier: Apache-2.0
 * Any bytes: parsed or refused; what was parsed is walked, written and parsed again. */
#include "base/json.h"

#include "base/mem.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_node(struct tm_jw *jw, const char *key, const struct tm_json *node);

static void write_members(struct tm_jw *jw, const struct tm_json *node)
{
    void *iter = NULL;
    struct tm_view key;
    const struct tm_json *value = NULL;
    size_t count = 0;
    while (tm_json_next(node, &iter, &key, &value)) {
        TM_ASSERT(tm_json_get(node, (const char *)key.data) == value);
        write_node(jw, (const char *)key.data, value);
        count++;
    }
    TM_ASSERT(count == tm_json_count(node));
}

static void write_leaf(struct tm_jw *jw, const char *key, const struct tm_json *node)
{
    struct tm_view text;
    int64_t integer = 0;
    double real = 0;
    bool boolean = false;
    if (tm_json_str(node, &text)) {
        tm_jw_strn(jw, key, text);
    } else if (tm_json_i64(node, &integer)) {
        tm_jw_i64(jw, key, integer);
    } else if (tm_json_f64(node, &real)) {
        tm_jw_f64(jw, key, real);
    } else if (tm_json_bool(node, &boolean)) {
        tm_jw_bool(jw, key, boolean);
    } else {
        tm_jw_null(jw, key);
    }
}

/* Recursion is bounded by the parser's depth limit. */
static void write_node(struct tm_jw *jw, const char *key, const struct tm_json *node)
{
    if (tm_json_kind(node) == TM_JSON_OBJECT) {
        tm_jw_object(jw, key);
        write_members(jw, node);
        tm_jw_object_end(jw);
    } else if (tm_json_kind(node) == TM_JSON_ARRAY) {
        tm_jw_array(jw, key);
        for (size_t i = 0; i < tm_json_count(node); i++) {
            write_node(jw, NULL, tm_json_at(node, i));
        }
        tm_jw_array_end(jw);
    } else {
        write_leaf(jw, key, node);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_json_doc *doc = NULL;
    struct tm_json_doc *again = NULL;
    struct tm_err err = {.status = TM_OK};
    tm_status status = tm_json_parse(tm_view_of(data, size), "fuzz", &doc, &err);
    if (status != TM_OK) {
        TM_ASSERT(doc == NULL && err.status == status && err.why[0] != '\0');
        return 0;
    }
    struct tm_buf out;
    tm_buf_init(&out, SIZE_MAX);
    struct tm_jw jw;
    tm_jw_begin(&jw, &out, size % 2 == 0);
    write_node(&jw, NULL, tm_json_root(doc));
    status = tm_jw_end(&jw);
    status = status == TM_OK ? tm_json_parse(tm_buf_view(&out), "again", &again, &err) : status;
    TM_ASSERT(ok_or_ran_out(status));
    TM_ASSERT(status != TM_OK ||
              tm_json_kind(tm_json_root(doc)) == tm_json_kind(tm_json_root(again)) ||
              tm_json_kind(tm_json_root(doc)) == TM_JSON_REAL); /* 1.0 is written as 1 */
    tm_json_free(&doc);
    tm_json_free(&again);
    tm_buf_deinit(&out);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/gguf_meta.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/where.h"

static const char what_failed[] = "cannot read the GGUF metadata";

/* Smallest pair: a key of one byte, a type and a value of one byte. */
#define PAIR_BYTES_MIN (8 + 1 + 4 + 1)

static const struct {
    const char *name;
    uint32_t bytes;
} types[] = {{"u8", 1},  {"i8", 1},  {"u16", 2},  {"i16", 2},    {"u32", 4},
             {"i32", 4}, {"f32", 4}, {"bool", 1}, {"string", 0}, {"array", 0},
             {"u64", 8}, {"i64", 8}, {"f64", 8}};

#define TYPE_COUNT (sizeof types / sizeof types[0])

uint32_t tm_gguf_type_bytes(uint32_t type)
{
    return type < TYPE_COUNT ? types[type].bytes : 0;
}

const char *tm_gguf_type_name(uint32_t type)
{
    return type < TYPE_COUNT ? types[type].name : "unknown";
}

/* ---- walking ---- */

/* An error about the pair with this key (empty when it is not known yet); `at` as in the blob. */
static tm_status malformed(struct tm_err *err, struct tm_view key, size_t at, const char *why)
{
    struct tm_where where;
    tm_where_named(&where, "", "key", key);
    return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL, "%s (at byte %llu)", why,
                      (unsigned long long)TM_GGUF_META_AT + at);
}

/* `bytes` more bytes at the cursor: TM_OK when they are in memory. */
static tm_status need(struct tm_gguf_iter *iter, uint64_t bytes, struct tm_view key,
                      struct tm_err *err)
{
    if (bytes <= tm_cursor_left(&iter->cursor)) {
        return TM_OK;
    }
    uint64_t exist = iter->total - iter->cursor.at;
    if (bytes <= exist) {
        iter->short_read = true;
        return TM_E_LIMIT;
    }
    struct tm_where where;
    tm_where_named(&where, "", "key", key);
    return tm_err_set(
        err, TM_E_MALFORMED, where.text, what_failed, NULL,
        "the file is truncated: %llu bytes are needed at byte %llu, and %llu are there",
        (unsigned long long)bytes, (unsigned long long)TM_GGUF_META_AT + iter->cursor.at,
        (unsigned long long)exist);
}

tm_status tm_gguf_meta_begin(struct tm_gguf_iter *iter, struct tm_view blob, uint64_t total,
                             struct tm_err *err)
{
    TM_ASSERT(total >= blob.bytes);
    *iter = (struct tm_gguf_iter){.cursor = tm_cursor_of(blob), .total = total};
    TM_TRY(need(iter, 8, tm_view_of(NULL, 0), err));
    iter->left = tm_cursor_u64(&iter->cursor);
    uint64_t most = (total - 8) / PAIR_BYTES_MIN;
    most = most < TM_GGUF_KEYS_MAX ? most : TM_GGUF_KEYS_MAX;
    if (iter->left > most) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, what_failed, NULL,
                          "%llu keys are announced, and at most %llu fit: the file is truncated or "
                          "damaged",
                          (unsigned long long)iter->left, (unsigned long long)most);
    }
    return TM_OK;
}

static tm_status take_string(struct tm_gguf_iter *iter, struct tm_view key, uint64_t max,
                             struct tm_view *out, struct tm_err *err)
{
    TM_TRY(need(iter, 8, key, err));
    size_t at = iter->cursor.at;
    uint64_t bytes = tm_cursor_u64(&iter->cursor);
    TM_TRY(need(iter, bytes <= max ? bytes : 0, key, err));
    if (bytes > max) {
        struct tm_where where;
        tm_where_named(&where, "", "key", key);
        return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "a text of %llu bytes (at byte %llu), and at most %llu are allowed",
                          (unsigned long long)bytes, (unsigned long long)TM_GGUF_META_AT + at,
                          (unsigned long long)max);
    }
    *out = tm_cursor_take(&iter->cursor, bytes);
    return TM_OK;
}

static tm_status take_key(struct tm_gguf_iter *iter, struct tm_gguf_kv *out, struct tm_err *err)
{
    size_t at = iter->cursor.at;
    TM_TRY(take_string(iter, tm_view_of(NULL, 0), TM_GGUF_KEY_MAX, &out->key, err));
    if (out->key.bytes == 0) {
        return malformed(err, out->key, at, "an empty key");
    }
    if (memchr(out->key.data, 0, out->key.bytes) != NULL ||
        !tm_utf8_valid((const char *)out->key.data, out->key.bytes)) {
        return malformed(err, tm_view_of(NULL, 0), at, "a key that is not UTF-8 text");
    }
    return TM_OK;
}

static tm_status check_bools(const struct tm_gguf_iter *iter, const struct tm_gguf_kv *kv,
                             struct tm_err *err)
{
    for (size_t i = 0; i < kv->value.bytes; i++) {
        if (kv->value.data[i] > 1) {
            return malformed(err, kv->key, iter->cursor.at - kv->value.bytes + i,
                             "a truth value that is neither 0 nor 1");
        }
    }
    return TM_OK;
}

static tm_status take_array(struct tm_gguf_iter *iter, struct tm_gguf_kv *out, struct tm_err *err)
{
    TM_TRY(need(iter, 12, out->key, err));
    size_t at = iter->cursor.at;
    uint32_t type = tm_cursor_u32(&iter->cursor);
    out->item_count = tm_cursor_u64(&iter->cursor);
    if (type == TM_GGUF_ARRAY) {
        return malformed(err, out->key, at, "an array of arrays cannot be read");
    }
    if (type >= TYPE_COUNT) {
        return malformed(err, out->key, at, "an array of an unknown type");
    }
    out->item_type = (enum tm_gguf_type)type;
    uint64_t item_bytes = type == TM_GGUF_STRING ? 8 : types[type].bytes;
    if (out->item_count > iter->total / item_bytes) {
        return malformed(err, out->key, at,
                         "the file is truncated: the array is longer than it all");
    }
    size_t start = iter->cursor.at;
    if (type != TM_GGUF_STRING) {
        TM_TRY(need(iter, out->item_count * item_bytes, out->key, err));
        out->value = tm_cursor_take(&iter->cursor, out->item_count * item_bytes);
        return type == TM_GGUF_BOOL ? check_bools(iter, out, err) : TM_OK;
    }
    for (uint64_t i = 0; i < out->item_count; i++) {
        struct tm_view text;
        TM_TRY(take_string(iter, out->key, TM_GGUF_STRING_MAX, &text, err));
    }
    out->value = tm_view_of(iter->cursor.data + start, iter->cursor.at - start);
    return TM_OK;
}

static tm_status take_value(struct tm_gguf_iter *iter, struct tm_gguf_kv *out, struct tm_err *err)
{
    TM_TRY(need(iter, 4, out->key, err));
    size_t at = iter->cursor.at;
    uint32_t type = tm_cursor_u32(&iter->cursor);
    if (type >= TYPE_COUNT) {
        struct tm_where where;
        tm_where_named(&where, "", "key", out->key);
        return tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL,
                          "%lu is no type of a value (at byte %llu)", (unsigned long)type,
                          (unsigned long long)TM_GGUF_META_AT + at);
    }
    out->type = (enum tm_gguf_type)type;
    if (type == TM_GGUF_STRING) {
        return take_string(iter, out->key, TM_GGUF_STRING_MAX, &out->value, err);
    }
    if (type == TM_GGUF_ARRAY) {
        return take_array(iter, out, err);
    }
    TM_TRY(need(iter, types[type].bytes, out->key, err));
    out->value = tm_cursor_take(&iter->cursor, types[type].bytes);
    return type == TM_GGUF_BOOL ? check_bools(iter, out, err) : TM_OK;
}

tm_status tm_gguf_meta_next(struct tm_gguf_iter *iter, struct tm_gguf_kv *out, struct tm_err *err)
{
    if (iter->left == 0) {
        return TM_E_NOTHING;
    }
    size_t start = iter->cursor.at;
    *out = (struct tm_gguf_kv){.type = TM_GGUF_U8};
    TM_TRY(take_key(iter, out, err));
    TM_TRY(take_value(iter, out, err));
    out->raw = tm_view_of(iter->cursor.data + start, iter->cursor.at - start);
    iter->left--;
    return TM_OK;
}

/* ---- whole blobs ---- */

static int compare_views(const void *a, const void *b)
{
    const struct tm_view *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->bytes < y->bytes ? x->bytes : y->bytes);
    return order != 0 ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static tm_status collect_keys(struct tm_gguf_iter *iter, struct tm_view *keys, struct tm_err *err)
{
    struct tm_gguf_kv kv;
    tm_status status;
    for (size_t i = 0; (status = tm_gguf_meta_next(iter, &kv, err)) == TM_OK; i++) {
        keys[i] = kv.key;
    }
    return status == TM_E_NOTHING ? TM_OK : status;
}

tm_status tm_gguf_meta_check(struct tm_view blob, struct tm_err *err)
{
    struct tm_gguf_iter iter;
    TM_TRY(tm_gguf_meta_begin(&iter, blob, blob.bytes, err));
    size_t count = (size_t)iter.left;
    /* At most one view for each 14 bytes of the blob. */
    struct tm_view *keys = tm_calloc(count, sizeof *keys);
    if (keys == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, what_failed, NULL, "out of memory");
    }
    tm_status status = collect_keys(&iter, keys, err);
    if (status == TM_OK && iter.cursor.at != blob.bytes) {
        status = malformed(err, tm_view_of(NULL, 0), iter.cursor.at, "bytes behind the last key");
    }
    if (status == TM_OK) {
        qsort(keys, count, sizeof *keys, compare_views);
        for (size_t i = 1; i < count && status == TM_OK; i++) {
            if (tm_view_eq(keys[i - 1], keys[i])) {
                struct tm_where where;
                tm_where_named(&where, "", "key", keys[i]);
                status = tm_err_set(err, TM_E_MALFORMED, where.text, what_failed, NULL,
                                    "duplicate key: it is there twice");
            }
        }
    }
    tm_free(keys);
    return status;
}

bool tm_gguf_meta_find(struct tm_view blob, const char *key, struct tm_gguf_kv *out)
{
    struct tm_gguf_iter iter;
    if (tm_gguf_meta_begin(&iter, blob, blob.bytes, NULL) != TM_OK) {
        return false;
    }
    while (tm_gguf_meta_next(&iter, out, NULL) == TM_OK) {
        if (tm_view_eq_str(out->key, key)) {
            return true;
        }
    }
    return false;
}

bool tm_gguf_meta_str(struct tm_view blob, const char *key, struct tm_view *out)
{
    struct tm_gguf_kv kv;
    if (!tm_gguf_meta_find(blob, key, &kv) || kv.type != TM_GGUF_STRING) {
        return false;
    }
    *out = kv.value;
    return true;
}

bool tm_gguf_meta_u64(struct tm_view blob, const char *key, uint64_t *out)
{
    struct tm_gguf_kv kv;
    return tm_gguf_meta_find(blob, key, &kv) && tm_gguf_kv_u64(&kv, out);
}

bool tm_gguf_kv_u64(const struct tm_gguf_kv *kv, uint64_t *out)
{
    bool is_signed = kv->type == TM_GGUF_I8 || kv->type == TM_GGUF_I16 || kv->type == TM_GGUF_I32 ||
                     kv->type == TM_GGUF_I64;
    bool is_unsigned = kv->type == TM_GGUF_U8 || kv->type == TM_GGUF_U16 ||
                       kv->type == TM_GGUF_U32 || kv->type == TM_GGUF_U64 ||
                       kv->type == TM_GGUF_BOOL;
    size_t bytes = kv->value.bytes;
    if ((!is_signed && !is_unsigned) || bytes == 0 ||
        (is_signed && (kv->value.data[bytes - 1] & 0x80) != 0)) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = bytes; i > 0; i--) {
        value = value << 8 | kv->value.data[i - 1];
    }
    *out = value;
    return true;
}

bool tm_gguf_string_next(struct tm_cursor *cursor, struct tm_view *out)
{
    if (tm_cursor_left(cursor) == 0) {
        return false;
    }
    uint64_t bytes = tm_cursor_u64(cursor);
    *out = tm_cursor_take(cursor, bytes);
    return !cursor->overrun;
}

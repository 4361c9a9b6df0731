/* SPDX-License-Identifier: Apache-2.0
 * The key-value pairs of a GGUF file, walked in place. A "gguf-metadata" blob is what lies in a
 * GGUF file from byte 16 on, up to the first tensor entry, little-endian, as in version 2 and 3:
 *
 *   blob   = u64 count, count * pair
 *   pair   = string key, u32 type, value
 *   string = u64 bytes, text
 *   value  = a scalar | string | u32 item type, u64 items, items back to back
 *
 * Key: 1..65535 bytes of UTF-8 without NUL. Arrays hold scalars or strings, never arrays. Nothing
 * is copied: results borrow from the blob. See docs/formats/gguf-metadata.md and ggml docs/gguf.md.
 */
#ifndef TM_MODEL_GGUF_META_H
#define TM_MODEL_GGUF_META_H

#include "base/bytes.h"

#define TM_GGUF_META_AT 16             /* offset of the blob in a GGUF file */
#define TM_GGUF_KEYS_MAX 65536         /* pairs */
#define TM_GGUF_KEY_MAX 65535          /* bytes */
#define TM_GGUF_STRING_MAX (16u << 20) /* bytes of one string value */

enum tm_gguf_type {
    TM_GGUF_U8 = 0,
    TM_GGUF_I8 = 1,
    TM_GGUF_U16 = 2,
    TM_GGUF_I16 = 3,
    TM_GGUF_U32 = 4,
    TM_GGUF_I32 = 5,
    TM_GGUF_F32 = 6,
    TM_GGUF_BOOL = 7,
    TM_GGUF_STRING = 8,
    TM_GGUF_ARRAY = 9,
    TM_GGUF_U64 = 10,
    TM_GGUF_I64 = 11,
    TM_GGUF_F64 = 12
};

struct tm_gguf_kv {
    struct tm_view key;
    enum tm_gguf_type type;
    struct tm_view value;        /* scalar: its bytes; string: its text; array: the encoded items */
    enum tm_gguf_type item_type; /* arrays only */
    uint64_t item_count;         /* arrays only */
    struct tm_view raw; /* the whole pair as in the file: what a writer copies to keep it */
};

struct tm_gguf_iter {
    struct tm_cursor cursor;
    uint64_t total;  /* bytes that exist from the start of the blob on, in memory or not */
    uint64_t left;   /* pairs not yet read */
    bool short_read; /* the pair exists but lies (partly) beyond the bytes in memory */
};

/* Starts at the count. `total` >= blob.bytes; pass blob.bytes when the blob is whole.
 * TM_E_MALFORMED when the count is too large or cannot fit into total. */
tm_status tm_gguf_meta_begin(struct tm_gguf_iter *iter, struct tm_view blob, uint64_t total,
                             struct tm_err *err) TM_MUST_USE;
/* The next pair: TM_OK; TM_E_NOTHING after the last one; TM_E_MALFORMED with the byte offset (from
 * the blob's start) and the key; TM_E_LIMIT with short_read set when more bytes are needed first.
 * After the last pair iter->cursor.at is the size of the blob. */
tm_status tm_gguf_meta_next(struct tm_gguf_iter *iter, struct tm_gguf_kv *out,
                            struct tm_err *err) TM_MUST_USE;

/* A whole blob and nothing behind it: every pair well-formed, no key twice. */
tm_status tm_gguf_meta_check(struct tm_view blob, struct tm_err *err) TM_MUST_USE;

/* By key, over a checked blob; false when absent (or, for the typed ones, of another kind). */
bool tm_gguf_meta_find(struct tm_view blob, const char *key, struct tm_gguf_kv *out);
bool tm_gguf_meta_str(struct tm_view blob, const char *key, struct tm_view *out);
/* Any integer type with a value >= 0. */
bool tm_gguf_meta_u64(struct tm_view blob, const char *key, uint64_t *out);

/* Value of a scalar integer (or bool) pair as u64; false for other types and negative values. */
bool tm_gguf_kv_u64(const struct tm_gguf_kv *kv, uint64_t *out);
/* Next text of an array of strings: start with cursor = tm_cursor_of(kv->value); false at the end.
 */
bool tm_gguf_string_next(struct tm_cursor *cursor, struct tm_view *out);
/* Bytes of a scalar type; 0 for strings, arrays and unknown types. */
uint32_t tm_gguf_type_bytes(uint32_t type);
const char *tm_gguf_type_name(uint32_t type); /* "u32", "array"; "unknown" */

#endif

/* SPDX-License-Identifier: Apache-2.0
 * A GGUF metadata blob: a checked one can be walked to its last byte. */
#include "model/gguf_meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t walk_strings(const struct tm_gguf_kv *kv)
{
    struct tm_cursor cursor = tm_cursor_of(kv->value);
    struct tm_view text;
    uint64_t count = 0;
    while (tm_gguf_string_next(&cursor, &text)) {
        count++;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tm_view blob = tm_view_of(data, size);
    struct tm_gguf_iter iter;
    struct tm_gguf_kv kv;
    struct tm_err err = {.status = TM_OK};
    uint64_t n;
    if (tm_gguf_meta_check(blob, &err) != TM_OK) {
        TM_ASSERT(err.why[0] != '\0');
        return 0;
    }
    TM_ASSERT(tm_gguf_meta_begin(&iter, blob, size, NULL) == TM_OK);
    while (tm_gguf_meta_next(&iter, &kv, NULL) == TM_OK) {
        if (kv.type == TM_GGUF_ARRAY && kv.item_type == TM_GGUF_STRING) {
            TM_ASSERT(walk_strings(&kv) == kv.item_count);
        }
        (void)tm_gguf_kv_u64(&kv, &n);
    }
    TM_ASSERT(iter.cursor.at == size);
    return 0;
}

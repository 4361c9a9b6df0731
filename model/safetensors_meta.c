/* SPDX-License-Identifier: Apache-2.0 */
#include "model/safetensors_meta.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "model/gguf_meta.h"

/* Base64 of the largest attachment fits. */
#define TEXT_BYTES_MAX TM_SAFETENSORS_HEADER_MAX
#define ENTRIES_MAX 65536

void tm_safetensors_meta_init(struct tm_safetensors_meta *meta)
{
    memset(meta, 0, sizeof *meta);
    tm_buf_init(&meta->gguf, TM_ATTACHMENT_MAX);
    tm_buf_init(&meta->other, TM_ATTACHMENT_MAX);
}

void tm_safetensors_meta_deinit(struct tm_safetensors_meta *meta)
{
    tm_buf_deinit(&meta->gguf);
    tm_buf_deinit(&meta->other);
}

/* ---- reading ---- */

struct reader {
    struct tm_json_pull *pull;
    struct tm_safetensors_meta *meta;
    struct tm_jw writer; /* onto meta->other */
    struct tm_buf key, text;
    char **keys; /* all so far */
    bool found_gguf;
};

static tm_status fail_memory(const struct tm_json_pull *pull, tm_status status)
{
    return status == TM_OK ? TM_OK : tm_sources_fail(status, pull->path, pull->err);
}

static tm_status decode_gguf(struct reader *r)
{
    tm_status status = tm_base64_decode(tm_buf_view(&r->text), &r->meta->gguf);
    if (status == TM_E_MALFORMED) {
        return tm_pull_fail(r->pull, "__metadata__['" TM_SAFETENSORS_GGUF_KEY "'] is no base64");
    }
    TM_TRY(fail_memory(r->pull, status));
    r->found_gguf = true;
    status = tm_gguf_meta_check(tm_buf_view(&r->meta->gguf), r->pull->err);
    if (status != TM_OK) {
        tm_err_prefix(r->pull->err, "__metadata__['" TM_SAFETENSORS_GGUF_KEY "']");
        tm_err_prefix(r->pull->err, r->pull->path);
    }
    return status;
}

static tm_status keep_key(struct reader *r)
{
    size_t n = r->meta->entries;
    if (n == ENTRIES_MAX) {
        return tm_pull_fail(r->pull, "__metadata__ has too many entries");
    }
    if ((n & (n - 1)) == 0) {
        char **grown = tm_realloc_array(r->keys, n == 0 ? 1 : 2 * n, sizeof *grown);
        if (grown == NULL) {
            return fail_memory(r->pull, TM_E_NOMEM);
        }
        r->keys = grown;
    }
    if (r->key.bytes > 0 && memchr(r->key.data, 0, r->key.bytes) != NULL) {
        return tm_pull_fail(r->pull, "a key of __metadata__ holds a NUL");
    }
    char *copy = tm_strndup(r->key.bytes > 0 ? (const char *)r->key.data : "", r->key.bytes);
    if (copy == NULL) {
        return fail_memory(r->pull, TM_E_NOMEM);
    }
    r->keys[r->meta->entries++] = copy;
    return TM_OK;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static tm_status check_keys(struct reader *r)
{
    size_t count = r->meta->entries;
    if (count > 0) {
        qsort(r->keys, count, sizeof *r->keys, compare_keys);
    }
    for (size_t i = 1; i < count; i++) {
        if (strcmp(r->keys[i - 1], r->keys[i]) == 0) {
            return tm_pull_fail(r->pull, "duplicate key in __metadata__");
        }
    }
    return TM_OK;
}

static tm_status read_entries(struct reader *r)
{
    bool more = true;
    TM_TRY(tm_pull_object(r->pull));
    tm_jw_begin(&r->writer, &r->meta->other, false);
    tm_jw_object(&r->writer, NULL);
    while (true) {
        TM_TRY(tm_pull_member(r->pull, &more, &r->key));
        if (!more) {
            break;
        }
        enum tm_json_kind kind = TM_JSON_NULL;
        TM_TRY(tm_pull_kind(r->pull, &kind));
        if (kind != TM_JSON_STRING) {
            return tm_pull_fail(r->pull, "a value of __metadata__ is not a string");
        }
        TM_TRY(keep_key(r));
        TM_TRY(tm_pull_string(r->pull, &r->text));
        if (strcmp(r->keys[r->meta->entries - 1], TM_SAFETENSORS_GGUF_KEY) != 0) {
            tm_jw_strn(&r->writer, r->keys[r->meta->entries - 1], tm_buf_view(&r->text));
            continue;
        }
        if (r->found_gguf) {
            return tm_pull_fail(r->pull, "duplicate key in __metadata__");
        }
        TM_TRY(decode_gguf(r));
    }
    tm_jw_object_end(&r->writer);
    TM_TRY(fail_memory(r->pull, tm_jw_end(&r->writer)));
    return check_keys(r);
}

tm_status tm_safetensors_meta_read(struct tm_json_pull *pull, struct tm_safetensors_meta *meta)
{
    enum tm_json_kind kind = TM_JSON_NULL;
    TM_TRY(tm_pull_kind(pull, &kind));
    if (kind == TM_JSON_NULL) {
        return tm_pull_skip(pull);
    }
    if (kind != TM_JSON_OBJECT) {
        return tm_pull_fail(pull, "__metadata__ is not an object");
    }
    size_t start = pull->at;
    struct reader r = {.pull = pull, .meta = meta};
    tm_buf_init(&r.key, TM_TENSOR_NAME_MAX);
    tm_buf_init(&r.text, TEXT_BYTES_MAX);
    tm_status status = read_entries(&r);
    if (status == TM_OK && meta->entries > 0) {
        meta->offset = pull->base + start;
        meta->bytes = pull->at - start;
    }
    for (size_t i = 0; i < meta->entries; i++) {
        tm_free(r.keys[i]);
    }
    tm_free(r.keys);
    tm_buf_deinit(&r.key);
    tm_buf_deinit(&r.text);
    return status;
}

/* ---- attaching ---- */

static tm_status warn_if_other(struct tm_sources *sources, uint32_t file, size_t index,
                               const struct tm_safetensors_meta *meta, struct tm_err *err)
{
    struct tm_buf first, here;
    tm_buf_init(&first, TM_ATTACHMENT_MAX);
    tm_buf_init(&here, TM_ATTACHMENT_MAX);
    uint8_t *at = NULL;
    tm_status status = tm_sources_read_attachment(sources, index, &first, err);
    if (status == TM_OK) {
        status =
            tm_sources_fail(tm_buf_extend(&here, (size_t)meta->bytes, &at), "__metadata__", err);
    }
    if (status == TM_OK) {
        status = tm_file_read_at(sources->files[file], meta->offset, at, (size_t)meta->bytes, err);
    }
    if (status == TM_OK && !tm_view_eq(tm_buf_view(&first), tm_buf_view(&here))) {
        status = tm_sources_fail(
            tm_inventory_warn(&sources->inventory,
                              "%s has other __metadata__ than the first file: left out",
                              tm_path_base(sources->inventory.files[file])),
            "__metadata__", err);
    }
    tm_buf_deinit(&first);
    tm_buf_deinit(&here);
    return status;
}

tm_status tm_safetensors_meta_attach(struct tm_sources *sources, uint32_t file,
                                     const struct tm_safetensors_meta *meta, struct tm_err *err)
{
    static const char gguf[] = "gguf-metadata", other[] = "safetensors-metadata";
    const struct tm_inventory *inventory = &sources->inventory;
    if (meta->bytes == 0) {
        return TM_OK;
    }
    size_t kept = tm_inventory_attachment(inventory, other);
    if (kept < inventory->attachment_count) {
        return warn_if_other(sources, file, kept, meta, err);
    }
    if (meta->gguf.bytes == 0) {
        return tm_sources_attach_range(sources, other, file, meta->offset, meta->bytes, err);
    }
    if (tm_inventory_attachment(inventory, gguf) == inventory->attachment_count) {
        TM_TRY(tm_sources_attach_bytes(sources, gguf, tm_buf_view(&meta->gguf), err));
    }
    if (meta->entries > 1) {
        TM_TRY(tm_sources_attach_bytes(sources, other, tm_buf_view(&meta->other), err));
    }
    return TM_OK;
}

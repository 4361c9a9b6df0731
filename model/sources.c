/* SPDX-License-Identifier: Apache-2.0 */
#include "model/sources.h"

#include <string.h>

#include "base/mem.h"

static const char what_failed[] = "cannot read the model";

void tm_sources_deinit(struct tm_sources *sources)
{
    for (size_t i = 0; i < TM_INVENTORY_FILES_MAX; i++) {
        tm_file_close(&sources->files[i]);
    }
    tm_free(sources->layouts);
    tm_free(sources->checks);
    tm_inventory_deinit(&sources->inventory);
}

/* Room for one more item: in powers of two, when the last one is full. */
static tm_status make_room(void **items, size_t count, size_t item_bytes)
{
    if ((count & (count - 1)) != 0) {
        return TM_OK;
    }
    void *grown = tm_realloc_array(*items, count == 0 ? 1 : 2 * count, item_bytes);
    if (grown == NULL) {
        return TM_E_NOMEM;
    }
    *items = grown;
    return TM_OK;
}

tm_status tm_sources_add_layout(struct tm_sources *sources, const struct tm_layout *layout,
                                uint32_t *out)
{
    void *items = sources->layouts;
    tm_status status = make_room(&items, sources->layout_count, sizeof *layout);
    sources->layouts = items;
    TM_TRY(status);
    sources->layouts[sources->layout_count++] = *layout;
    *out = (uint32_t)sources->layout_count;
    return TM_OK;
}

tm_status tm_sources_add_check(struct tm_sources *sources, uint64_t at, uint64_t bytes,
                               uint32_t crc, uint32_t *out)
{
    void *items = sources->checks;
    tm_status status = make_room(&items, sources->check_count, sizeof *sources->checks);
    sources->checks = items;
    TM_TRY(status);
    struct tm_layout_check *check = &sources->checks[sources->check_count++];
    check->at = at;
    check->bytes = bytes;
    check->crc = crc;
    atomic_init(&check->good, false);
    *out = (uint32_t)sources->check_count;
    return TM_OK;
}

tm_status tm_sources_fail(tm_status status, const char *path, struct tm_err *err)
{
    switch (status) {
    case TM_OK:
        return TM_OK;
    case TM_E_NOMEM:
        return tm_err_set(err, status, path, what_failed, NULL, "out of memory");
    default:
        return tm_err_set(err, status, path, what_failed, NULL,
                          "more than %d files, %u tensors or %u MiB of metadata",
                          TM_INVENTORY_FILES_MAX, TM_INVENTORY_TENSORS_MAX,
                          TM_ATTACHMENT_MAX >> 20);
    }
}

tm_status tm_sources_open(struct tm_sources *sources, const char *path, uint32_t *file,
                          struct tm_err *err)
{
    struct tm_file_in *opened = NULL;
    TM_TRY(tm_file_open(path, &opened, err));
    tm_status status = tm_inventory_add_file(&sources->inventory, path, file);
    if (status != TM_OK) {
        tm_file_close(&opened);
        return tm_sources_fail(status, path, err);
    }
    sources->files[*file] = opened;
    return TM_OK;
}

static tm_status read_head(struct tm_sources *sources, uint32_t file, uint8_t *out,
                           struct tm_view *head, struct tm_err *err)
{
    uint64_t bytes = tm_file_bytes(sources->files[file]);
    size_t take = bytes < TM_SNIFF_BYTES ? (size_t)bytes : TM_SNIFF_BYTES;
    *head = tm_view_of(out, take);
    return tm_file_read_at(sources->files[file], 0, out, take, err);
}

tm_status tm_sources_sniff(struct tm_sources *sources, uint32_t file, enum tm_file_kind *out,
                           struct tm_err *err)
{
    uint8_t bytes[TM_SNIFF_BYTES];
    struct tm_view head;
    TM_TRY(read_head(sources, file, bytes, &head, err));
    return tm_sniff(head, tm_file_bytes(sources->files[file]), tm_file_path(sources->files[file]),
                    out, err);
}

tm_status tm_sources_attach_range(struct tm_sources *sources, const char *name, uint32_t file,
                                  uint64_t offset, uint64_t bytes, struct tm_err *err)
{
    struct tm_attachment attachment = {
        .name = (char *)name, .file = file, .offset = offset, .bytes = bytes};
    if (bytes > TM_ATTACHMENT_MAX) {
        return tm_err_set(err, TM_E_LIMIT, tm_file_path(sources->files[file]), what_failed, NULL,
                          "%s has %llu bytes, and at most %u are carried along", name,
                          (unsigned long long)bytes, TM_ATTACHMENT_MAX);
    }
    return tm_sources_fail(tm_inventory_add_attachment(&sources->inventory, &attachment), name,
                           err);
}

tm_status tm_sources_attach_file(struct tm_sources *sources, const char *path, const char *name,
                                 struct tm_err *err)
{
    uint32_t file;
    uint8_t bytes[TM_SNIFF_BYTES];
    struct tm_view head;
    TM_TRY(tm_sources_open(sources, path, &file, err));
    TM_TRY(read_head(sources, file, bytes, &head, err));
    TM_TRY(tm_sniff_lfs(head, path, err));
    return tm_sources_attach_range(sources, name, file, 0, tm_file_bytes(sources->files[file]),
                                   err);
}

tm_status tm_sources_attach_bytes(struct tm_sources *sources, const char *name, struct tm_view data,
                                  struct tm_err *err)
{
    struct tm_attachment attachment = {.name = (char *)name,
                                       .bytes = data.bytes,
                                       .in_memory = true,
                                       .data = (uint8_t *)(uintptr_t)data.data};
    return tm_sources_fail(tm_inventory_add_attachment(&sources->inventory, &attachment), name,
                           err);
}

tm_status tm_sources_read_range(struct tm_sources *sources, size_t index, uint64_t offset,
                                size_t bytes, struct tm_buf *out, struct tm_err *err)
{
    TM_ASSERT(index < sources->inventory.attachment_count);
    const struct tm_attachment *a = &sources->inventory.attachments[index];
    uint8_t *at = NULL;
    if (offset > a->bytes || bytes > a->bytes - offset) {
        return tm_err_set(err, TM_E_USAGE, a->name, what_failed, NULL,
                          "%llu bytes at offset %llu are asked for, and it has %llu",
                          (unsigned long long)bytes, (unsigned long long)offset,
                          (unsigned long long)a->bytes);
    }
    tm_status status = tm_buf_extend(out, bytes, &at);
    if (status != TM_OK || bytes == 0) {
        return tm_sources_fail(status, a->name, err);
    }
    if (a->in_memory) {
        memcpy(at, a->data + offset, bytes);
        return TM_OK;
    }
    status = tm_file_read_at(sources->files[a->file], a->offset + offset, at, bytes, err);
    if (status != TM_OK) {
        out->bytes -= bytes;
    }
    return status;
}

tm_status tm_sources_read_attachment(struct tm_sources *sources, size_t index, struct tm_buf *out,
                                     struct tm_err *err)
{
    TM_ASSERT(index < sources->inventory.attachment_count);
    return tm_sources_read_range(sources, index, 0,
                                 (size_t)sources->inventory.attachments[index].bytes, out, err);
}

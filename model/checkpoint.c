/* SPDX-License-Identifier: Apache-2.0 */
#include "model/checkpoint.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/folder.h"
#include "model/gguf_files.h"
#include "model/gguf_meta.h"
#include "model/llama2c.h"
#include "model/pth.h"
#include "model/safetensors.h"
#include "model/safetensors_index.h"
#include "model/sources.h"
#include "model/tokenizer_count.h"
#include "model/where.h"

#define HASH_PIECE_BYTES (1u << 20)

struct tm_checkpoint {
    struct tm_sources sources;
    char *path;
    bool is_folder;
};

/* ---- opening ---- */

static tm_status open_model_file(struct tm_sources *sources, const char *path, struct tm_err *err)
{
    uint32_t file;
    enum tm_file_kind kind = TM_FILE_JSON;
    TM_TRY(tm_sources_open(sources, path, &file, err));
    TM_TRY(tm_sources_sniff(sources, file, &kind, err));
    switch (kind) {
    case TM_FILE_GGUF:
        return tm_gguf_open(sources, file, err);
    case TM_FILE_SAFETENSORS:
        return tm_safetensors_open(sources, file, err);
    case TM_FILE_LLAMA2C:
        return tm_llama2c_open(sources, file, err);
    case TM_FILE_PYTORCH:
        return tm_pth_open(
            sources, &(struct tm_pth_options){.file = file, .under = sources->tensors_under}, err);
    case TM_FILE_JSON:
        break;
    }
    return tm_shards_open(sources, file, err);
}

static tm_status open_folder(struct tm_sources *sources, const char *path, struct tm_err *err)
{
    struct tm_dir_list names;
    char model[TM_PATH_MAX];
    TM_TRY(tm_dir_list(path, &names, err));
    tm_status status = tm_folder_find_model(path, &names, model, err);
    if (status == TM_OK) {
        status = open_model_file(sources, model, err);
    }
    if (status == TM_OK) {
        status = tm_folder_attach(sources, path, &names, err);
    }
    tm_dir_list_free(&names);
    return status;
}

/* Token counts from the attachment `name`, unless they are known or there is none. */
static tm_status count_tokens(struct tm_sources *sources, const char *name,
                              tm_status (*count)(struct tm_view, const char *,
                                                 struct tm_token_counts *, struct tm_err *),
                              struct tm_err *err)
{
    struct tm_inventory *inventory = &sources->inventory;
    size_t index = tm_inventory_attachment(inventory, name);
    if (inventory->token_count > 0 || index == inventory->attachment_count) {
        return TM_OK;
    }
    const struct tm_attachment *a = &inventory->attachments[index];
    const char *path = a->in_memory ? name : inventory->files[a->file];
    struct tm_token_counts counts = {.tokens = 0};
    struct tm_buf text;
    tm_buf_init(&text, TM_ATTACHMENT_MAX);
    tm_status status = tm_sources_read_attachment(sources, index, &text, err);
    if (status == TM_OK) {
        status = count(tm_buf_view(&text), path, &counts, err);
    }
    tm_buf_deinit(&text);
    if (status == TM_OK && counts.repeated > 0) {
        status = tm_sources_fail(tm_inventory_warn(inventory,
                                                   "%s: %" PRIu64 " of %" PRIu64
                                                   " tokens have the same text as another one",
                                                   name, counts.repeated, counts.tokens),
                                 path, err);
    }
    inventory->token_count = counts.tokens;
    inventory->merge_count = counts.merges;
    return status;
}

/* The architecture in GGUF metadata that travels in a safetensors file. */
static tm_status arch_from_meta(struct tm_sources *sources, struct tm_err *err)
{
    struct tm_inventory *inventory = &sources->inventory;
    struct tm_view arch = tm_view_str("");
    size_t index = tm_inventory_attachment(inventory, "gguf-metadata");
    if (inventory->arch != NULL) {
        return TM_OK;
    }
    if (index < inventory->attachment_count && inventory->attachments[index].in_memory) {
        const struct tm_attachment *a = &inventory->attachments[index];
        struct tm_view found;
        if (tm_gguf_meta_str(tm_view_of(a->data, (size_t)a->bytes), "general.architecture",
                             &found) &&
            found.bytes > 0 && memchr(found.data, 0, found.bytes) == NULL) {
            arch = found;
        }
    }
    return tm_sources_fail(tm_inventory_set_arch(inventory, arch), NULL, err);
}

static tm_status finish(struct tm_sources *sources, struct tm_err *err)
{
    TM_TRY(arch_from_meta(sources, err));
    enum tm_format format = sources->inventory.format;
    if (format == TM_FORMAT_SAFETENSORS || format == TM_FORMAT_PYTORCH) {
        TM_TRY(tm_sources_fail(tm_inventory_sort_natural(&sources->inventory), NULL, err));
    }
    TM_TRY(tm_inventory_seal(&sources->inventory, err));
    TM_TRY(count_tokens(sources, "tokenizer.json", tm_token_count_json, err));
    return count_tokens(sources, "gguf-metadata", tm_token_count_gguf, err);
}

static tm_status check_under(const struct tm_checkpoint *checkpoint, struct tm_err *err)
{
    const struct tm_sources *sources = &checkpoint->sources;
    if (sources->tensors_under == NULL || sources->inventory.format == TM_FORMAT_PYTORCH) {
        return TM_OK;
    }
    return tm_err_set(err, TM_E_USAGE, checkpoint->path, "cannot choose its tensors",
                      "leave out --tensors-under", "it is %s, which has no dictionaries in it",
                      tm_format_name(sources->inventory.format));
}

tm_status tm_checkpoint_open(const char *path, struct tm_checkpoint **out, struct tm_err *err)
{
    return tm_checkpoint_open_under(path, NULL, out, err);
}

tm_status tm_checkpoint_open_under(const char *path, const char *under, struct tm_checkpoint **out,
                                   struct tm_err *err)
{
    struct tm_checkpoint *checkpoint = tm_calloc(1, sizeof *checkpoint);
    if (checkpoint == NULL) {
        return tm_sources_fail(TM_E_NOMEM, path, err);
    }
    tm_status status = TM_OK;
    checkpoint->path = tm_strdup(path);
    if (checkpoint->path == NULL) {
        status = tm_sources_fail(TM_E_NOMEM, path, err);
        goto done;
    }
    checkpoint->sources.tensors_under = under;
    checkpoint->is_folder = tm_path_is_dir(path);
    status = checkpoint->is_folder ? open_folder(&checkpoint->sources, path, err)
                                   : open_model_file(&checkpoint->sources, path, err);
    TM_TRY_GOTO(status, done);
    TM_TRY_GOTO(check_under(checkpoint, err), done);
    status = finish(&checkpoint->sources, err);
done:
    if (status != TM_OK) {
        tm_checkpoint_close(&checkpoint);
    } else {
        checkpoint->sources.tensors_under = NULL; /* the caller's */
        *out = checkpoint;
    }
    return status;
}

void tm_checkpoint_close(struct tm_checkpoint **checkpoint)
{
    if (*checkpoint == NULL) {
        return;
    }
    tm_sources_deinit(&(*checkpoint)->sources);
    tm_free((*checkpoint)->path);
    tm_free(*checkpoint);
    *checkpoint = NULL;
}

const struct tm_inventory *tm_checkpoint_inventory(const struct tm_checkpoint *checkpoint)
{
    return &checkpoint->sources.inventory;
}

const char *tm_checkpoint_path(const struct tm_checkpoint *checkpoint)
{
    return checkpoint->path;
}

/* ---- reading ---- */

tm_status tm_checkpoint_read(struct tm_checkpoint *checkpoint, size_t index, uint64_t offset,
                             void *out, size_t bytes, struct tm_err *err)
{
    const struct tm_inventory *inventory = &checkpoint->sources.inventory;
    TM_ASSERT(index < inventory->tensor_count);
    const struct tm_tensor *t = &inventory->tensors[index];
    struct tm_where where;
    if (offset > t->bytes || bytes > t->bytes - offset) {
        tm_where(&where, inventory->files[t->file], tm_view_of(t->name, t->name_bytes));
        return tm_err_set(err, TM_E_USAGE, where.text, "cannot read the tensor", NULL,
                          "%llu bytes at offset %llu are asked for, and it has %llu",
                          (unsigned long long)bytes, (unsigned long long)offset,
                          (unsigned long long)t->bytes);
    }
    if (bytes == 0) {
        return TM_OK;
    }
    struct tm_file_in *file = checkpoint->sources.files[t->file];
    if (t->layout != 0) {
        const struct tm_layout *layout = &checkpoint->sources.layouts[t->layout - 1];
        if (layout->check != 0) {
            TM_TRY(tm_layout_check(&checkpoint->sources.checks[layout->check - 1], file, t, err));
        }
        return tm_layout_read(layout, file, t, offset, out, bytes, err);
    }
    return tm_file_read_at(file, t->offset + offset, out, bytes, err);
}

tm_status tm_checkpoint_hash(struct tm_checkpoint *checkpoint, size_t index, struct tm_digest *out,
                             struct tm_err *err)
{
    TM_ASSERT(index < checkpoint->sources.inventory.tensor_count);
    const struct tm_tensor *t = &checkpoint->sources.inventory.tensors[index];
    size_t piece = t->bytes < HASH_PIECE_BYTES ? (size_t)t->bytes : HASH_PIECE_BYTES;
    struct tm_hash *hash = NULL;
    uint8_t *data = tm_alloc(piece);
    tm_status status = data == NULL ? TM_E_NOMEM : tm_hash_new(&hash);
    if (status != TM_OK) {
        status = tm_sources_fail(status, checkpoint->path, err);
        goto done;
    }
    for (uint64_t at = 0; at < t->bytes;) {
        size_t bytes = t->bytes - at < piece ? (size_t)(t->bytes - at) : piece;
        TM_TRY_GOTO(tm_checkpoint_read(checkpoint, index, at, data, bytes, err), done);
        tm_hash_update(hash, data, bytes);
        at += bytes;
    }
    *out = tm_hash_final(hash);
done:
    tm_hash_destroy(&hash);
    tm_free(data);
    return status;
}

tm_status tm_checkpoint_attachment_range(struct tm_checkpoint *checkpoint, size_t index,
                                         uint64_t offset, size_t bytes, struct tm_buf *out,
                                         struct tm_err *err)
{
    return tm_sources_read_range(&checkpoint->sources, index, offset, bytes, out, err);
}

tm_status tm_checkpoint_attachment(struct tm_checkpoint *checkpoint, size_t index,
                                   struct tm_buf *out, struct tm_err *err)
{
    return tm_sources_read_attachment(&checkpoint->sources, index, out, err);
}

/* ---- outputs ---- */

/* The real path of the nearest existing folder that holds path, into out[PATH_MAX]. */
static bool real_parent(const char *path, char *out)
{
    char folder[TM_PATH_MAX], parent[TM_PATH_MAX];
    if (tm_path_dir(folder, path) != TM_OK) {
        return false;
    }
    while (realpath(folder, out) == NULL) {
        if (tm_path_dir(parent, folder) != TM_OK || strcmp(parent, folder) == 0) {
            return false;
        }
        memcpy(folder, parent, sizeof folder);
    }
    return true;
}

bool tm_checkpoint_is_input(const struct tm_checkpoint *checkpoint, const char *path)
{
    const struct tm_inventory *inventory = &checkpoint->sources.inventory;
    char folder[PATH_MAX], parent[PATH_MAX];
    if (tm_path_same(checkpoint->path, path)) {
        return true;
    }
    for (size_t i = 0; i < inventory->file_count; i++) {
        if (tm_path_same(inventory->files[i], path)) {
            return true;
        }
    }
    if (!checkpoint->is_folder || realpath(checkpoint->path, folder) == NULL ||
        !real_parent(path, parent)) {
        return false;
    }
    size_t bytes = strlen(folder);
    return strncmp(parent, folder, bytes) == 0 &&
           (parent[bytes] == '\0' || parent[bytes] == '/' || bytes == 1);
}

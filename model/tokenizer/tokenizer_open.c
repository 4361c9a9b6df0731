/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/tokenizer_open.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "model/checkpoint.h"
#include "model/gguf_meta.h"
#include "model/sniff.h"
#include "model/tokenizer/tokenizer_config.h"
#include "model/tokenizer/tokenizer_parts.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)

typedef tm_status from_bytes(struct tm_view bytes, const char *path, struct tm_tokenizer **out,
                             struct tm_err *err);

static tm_status from_checked_gguf(struct tm_view meta, const char *path, struct tm_tokenizer **out,
                                   struct tm_err *err)
{
    TM_TRY(tm_gguf_meta_check(meta, err));
    return tm_tokenizer_from_gguf(meta, path, out, err);
}

/* ---- by name ---- */

struct opening {
    const struct tm_tokenizer_files *files;
    struct tm_buf bytes;
    char path[TM_PATH_MAX + 64]; /* of the file that was read last, for errors */
    struct tm_tokenizer *t;
    struct tm_err *err;
};

/* Reads a file: TM_E_NOTHING when it is not there. */
static tm_status fetch(struct opening *o, const char *name)
{
    tm_buf_clear(&o->bytes);
    snprintf(o->path, sizeof o->path, "%s/%s", o->files->path, name);
    return o->files->read(o->files->context, name, &o->bytes, o->err);
}

static tm_status find(struct opening *o)
{
    static const struct {
        const char *name;
        from_bytes *read;
    } kinds[] = {{"tokenizer.json", tm_tokenizer_from_json},
                 {"tokenizer.model", tm_tokenizer_from_spm},
                 {"gguf-metadata", from_checked_gguf}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        tm_status status = fetch(o, kinds[i].name);
        if (status != TM_E_NOTHING) {
            TM_TRY(status);
            return kinds[i].read(tm_buf_view(&o->bytes), o->path, &o->t, o->err);
        }
    }
    return tm_err_set(o->err, TM_E_NOT_FOUND, o->files->path, tm_tokenizer_what,
                      "name a .gguf file, or a folder with tokenizer.json or tokenizer.model",
                      "there is none with it");
}

/* One of the files beside the tokenizer. */
static tm_status complete(struct opening *o, const char *name,
                          tm_status (*read)(struct tm_tokenizer *, struct tm_view, const char *,
                                            struct tm_err *))
{
    tm_status status = fetch(o, name);
    if (status == TM_E_NOTHING) {
        return TM_OK;
    }
    return status == TM_OK ? read(o->t, tm_buf_view(&o->bytes), o->path, o->err) : status;
}

static tm_status set_template(struct tm_tokenizer *t, struct tm_view text, const char *path,
                              struct tm_err *err)
{
    tm_status status = tm_tokenizer_set_chat_template(t, text, err);
    if (status != TM_OK) {
        tm_err_prefix(err, path);
    }
    return status;
}

static tm_status complete_all(struct opening *o)
{
    TM_TRY(complete(o, "tokenizer_config.json", tm_tokenizer_config));
    TM_TRY(complete(o, "chat_template.jinja", set_template));
    return complete(o, "generation_config.json", tm_tokenizer_generation);
}

static tm_status finish(struct opening *o, tm_status status, struct tm_tokenizer **out)
{
    tm_buf_deinit(&o->bytes);
    if (status != TM_OK) {
        tm_tokenizer_destroy(&o->t);
    }
    *out = o->t;
    return status;
}

tm_status tm_tokenizer_open_files(const struct tm_tokenizer_files *files, struct tm_tokenizer **out,
                                  struct tm_err *err)
{
    struct opening o = {.files = files, .err = err};
    tm_buf_init(&o.bytes, FILE_BYTES_MAX);
    tm_status status = find(&o);
    return finish(&o, status == TM_OK ? complete_all(&o) : status, out);
}

/* ---- by path ---- */

static tm_status read_in_folder(void *context, const char *name, struct tm_buf *out,
                                struct tm_err *err)
{
    char path[TM_PATH_MAX];
    if (tm_path_join(path, context, name) != TM_OK || !tm_path_exists(path)) {
        return TM_E_NOTHING;
    }
    return tm_file_read(path, out, err);
}

static tm_status read_attachment(void *context, const char *name, struct tm_buf *out,
                                 struct tm_err *err)
{
    struct tm_checkpoint *checkpoint = context;
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    size_t index = tm_inventory_attachment(inventory, name);
    return index < inventory->attachment_count
               ? tm_checkpoint_attachment(checkpoint, index, out, err)
               : TM_E_NOTHING;
}

static tm_status open_checkpoint(const char *path, struct tm_tokenizer **out, struct tm_err *err)
{
    struct tm_checkpoint *checkpoint = NULL;
    TM_TRY(tm_checkpoint_open(path, &checkpoint, err));
    struct tm_tokenizer_files files = {read_attachment, checkpoint, path};
    tm_status status = tm_tokenizer_open_files(&files, out, err);
    tm_checkpoint_close(&checkpoint);
    return status;
}

/* A folder: its files; without a tokenizer among them it may hold a GGUF. */
static tm_status open_folder(const char *path, struct tm_tokenizer **out, struct tm_err *err)
{
    struct tm_err other;
    struct tm_tokenizer_files files = {read_in_folder, (void *)(uintptr_t)path, path};
    tm_status status = tm_tokenizer_open_files(&files, out, err);
    if (status == TM_E_NOT_FOUND && open_checkpoint(path, out, &other) == TM_OK) {
        return TM_OK;
    }
    return status;
}

/* A serialized ModelProto begins with a piece, and the piece with its text. */
static bool is_spm(struct tm_view head)
{
    return head.bytes > 9 && head.data[0] == 0x0a && head.data[2] == 0x0a && head.data[8] != '{';
}

static tm_status sniff(const char *path, bool *spm, enum tm_file_kind *kind, struct tm_err *err)
{
    struct tm_file_in *file = NULL;
    uint8_t head[TM_SNIFF_BYTES];
    TM_TRY(tm_file_open(path, &file, err));
    uint64_t bytes = tm_file_bytes(file);
    size_t count = bytes < sizeof head ? (size_t)bytes : sizeof head;
    tm_status status = tm_file_read_at(file, 0, head, count, err);
    tm_file_close(&file);
    TM_TRY(status);
    *spm = is_spm(tm_view_of(head, count));
    return *spm ? TM_OK : tm_sniff(tm_view_of(head, count), bytes, path, kind, err);
}

/* The file of a tokenizer itself, with what lies beside it. */
static tm_status open_itself(const char *path, const char *folder, from_bytes *read,
                             struct tm_tokenizer **out, struct tm_err *err)
{
    struct tm_tokenizer_files files = {read_in_folder, (void *)(uintptr_t)folder, folder};
    struct opening o = {.files = &files, .err = err};
    tm_buf_init(&o.bytes, FILE_BYTES_MAX);
    tm_status status = tm_file_read(path, &o.bytes, err);
    status = status == TM_OK ? read(tm_buf_view(&o.bytes), path, &o.t, err) : status;
    return finish(&o, status == TM_OK ? complete_all(&o) : status, out);
}

tm_status tm_tokenizer_open(const char *path, struct tm_tokenizer **out, struct tm_err *err)
{
    char folder[TM_PATH_MAX];
    bool spm = false;
    enum tm_file_kind kind = TM_FILE_JSON;
    *out = NULL;
    if (err != NULL) {
        memset(err, 0, sizeof *err);
    }
    if (tm_path_is_dir(path)) {
        return open_folder(path, out, err);
    }
    TM_TRY(sniff(path, &spm, &kind, err));
    if (tm_path_dir(folder, path) != TM_OK) {
        return tm_err_set(err, TM_E_LIMIT, path, tm_tokenizer_what, NULL, "the path is too long");
    }
    if (spm) {
        return open_itself(path, folder, tm_tokenizer_from_spm, out, err);
    }
    switch (kind) {
    case TM_FILE_GGUF:
    case TM_FILE_LLAMA2C:
        return open_checkpoint(path, out, err);
    case TM_FILE_JSON:
        return open_itself(path, folder, tm_tokenizer_from_json, out, err);
    case TM_FILE_SAFETENSORS:
    case TM_FILE_PYTORCH:
        break;
    }
    return open_folder(folder, out, err);
}

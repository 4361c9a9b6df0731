/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/export.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/progress.h"
#include "model/writer.h"
#include "node/common/export_figures.h"

#define GGUF_METADATA "gguf-metadata"

struct export
{
    const struct tm_export_options *options;
    struct tm_package *package;
    struct tm_decoder *decoder;
    struct tm_tensor_spec *specs;
    struct tm_buf metadata; /* attachment gguf-metadata, when there is one */
    struct tm_writer *writer;
    struct tm_progress *progress;
    uint64_t written;
};

static bool holds(enum tm_format format, enum tm_dtype dtype)
{
    if (format == TM_FORMAT_SAFETENSORS) {
        return tm_dtype_block_elements(dtype) == 1;
    }
    switch (dtype) {
    case TM_U8:
    case TM_U16:
    case TM_U32:
    case TM_U64:
    case TM_BOOL:
    case TM_F8_E4M3:
    case TM_F8_E5M2:
        return false;
    default:
        return true;
    }
}

/* dtype that a tensor leaves as; the writer refuses what is left unfit. */
static enum tm_dtype target_dtype(const struct export *e, uint32_t tensor)
{
    enum tm_dtype keep = tm_decoder_keep_dtype(e->decoder, tensor);
    enum tm_dtype source = (enum tm_dtype)tm_package_meta(e->package)->tensors[tensor].dtype;
    if (!tm_dtype_is_float(source)) {
        return source;
    }
    switch (e->options->type) {
    case TM_EXPORT_F32:
        return TM_F32;
    case TM_EXPORT_F16:
    case TM_EXPORT_BF16:
        /* llama.cpp wants norms and biases, which have one dimension, as float32. */
        if (e->options->format == TM_FORMAT_GGUF &&
            tm_package_meta(e->package)->tensors[tensor].rank <= 1) {
            return TM_F32;
        }
        return e->options->type == TM_EXPORT_F16 ? TM_F16 : TM_BF16;
    case TM_EXPORT_KEEP:
        break;
    }
    if (holds(e->options->format, keep)) {
        return keep;
    }
    return keep == TM_F8_E4M3 || keep == TM_F8_E5M2 ? TM_F16 : TM_F32;
}

static tm_status make_specs(struct export *e)
{
    const struct tm_pkg_meta *meta = tm_package_meta(e->package);
    e->specs = tm_calloc(meta->tensor_count, sizeof e->specs[0]);
    if (e->specs == NULL) {
        return TM_E_NOMEM;
    }
    for (uint32_t i = 0; i < meta->tensor_count; i++) {
        e->specs[i].name = meta->tensors[i].name;
        e->specs[i].name_bytes = meta->tensors[i].name_bytes;
        e->specs[i].shape = tm_decoder_shape(e->decoder, i);
        e->specs[i].dtype = target_dtype(e, i);
    }
    return TM_OK;
}

static tm_status load_metadata(struct export *e, struct tm_err *err)
{
    uint32_t index = tm_pkg_attachment_find(tm_package_meta(e->package), GGUF_METADATA);
    return index != UINT32_MAX ? tm_decoder_attachment(e->decoder, index, &e->metadata, err)
                               : TM_OK;
}

static tm_status begin(struct export *e, struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(e->package);
    struct tm_export_pairs pairs;
    TM_TRY(tm_export_figures(e->package, e->decoder, &pairs, err));
    struct tm_writer_options options = {
        .format = e->options->format,
        .path = e->options->out_path,
        .arch = meta->arch,
        .gguf_metadata = tm_buf_view(&e->metadata),
        .metadata = pairs.pairs,
    };
    return tm_writer_begin(&options, e->specs, meta->tensor_count, &e->writer, err);
}

static tm_status append(void *context, const void *data, size_t bytes, struct tm_err *err)
{
    struct export *e = context;
    if (e->options->stop != NULL && *e->options->stop != 0) {
        return tm_err_set(err, TM_E_STOPPED, e->options->out_path, "stopped",
                          "run the command again", "asked to stop; nothing was written");
    }
    return tm_writer_append(e->writer, data, bytes, err);
}

static tm_status write_tensors(struct export *e, struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(e->package);
    for (uint32_t i = 0; i < meta->tensor_count; i++) {
        TM_TRY(tm_decoder_tensor(e->decoder, i, e->specs[i].dtype, append, e, err));
        e->written += meta->tensors[i].chunk_count;
        tm_progress_update(e->progress, e->written, NULL);
    }
    return TM_OK;
}

/* Whether an attachment is a small file of the source folder: "config.json", not "gguf-metadata".
 */
static bool is_neighbour(const char *name)
{
    return strchr(name, '/') == NULL && name[0] != '.' && strchr(name, '.') != NULL;
}

/* config.json, tokenizer.json and so on beside DIR/model.safetensors. */
static tm_status write_neighbours(struct export *e, struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(e->package);
    char dir[TM_PATH_MAX], path[TM_PATH_MAX];
    bool found;
    if (strcmp(tm_path_base(e->options->out_path), "model.safetensors") != 0) {
        return TM_OK;
    }
    TM_TRY(tm_path_dir(dir, e->options->out_path));
    for (uint32_t i = 0; i < meta->attachment_count; i++) {
        const char *name = meta->attachments[i].name;
        TM_TRY(tm_path_join(path, dir, name));
        TM_TRY(tm_path_find(path, &found, err));
        if (!is_neighbour(name) || found) {
            continue;
        }
        struct tm_buf bytes;
        tm_buf_init(&bytes, (size_t)256 << 20);
        tm_status status = tm_decoder_attachment(e->decoder, i, &bytes, err);
        if (status == TM_OK) {
            status = tm_file_write_atomic(path, 0644, tm_buf_view(&bytes), err);
        }
        tm_buf_deinit(&bytes);
        TM_TRY(status);
    }
    return TM_OK;
}

tm_status tm_export(const struct tm_export_options *options, struct tm_err *err)
{
    struct export e = {.options = options};
    tm_status status;
    tm_buf_init(&e.metadata, (size_t)256 << 20);
    if (tm_path_same(options->package_path, options->out_path)) {
        return tm_err_set(err, TM_E_USAGE, options->out_path, "the output is the input",
                          "choose another output file (-o)", "it would overwrite the package");
    }
    TM_TRY_GOTO(tm_package_open(options->package_path, &e.package, err), done);
    TM_TRY_GOTO(tm_decoder_new(e.package, &e.decoder, err), done);
    TM_TRY_GOTO(make_specs(&e), done);
    TM_TRY_GOTO(load_metadata(&e, err), done);
    TM_TRY_GOTO(begin(&e, err), done);
    e.progress = tm_progress_new(
        &(struct tm_progress_options){.label = "export",
                                      .total = tm_package_meta(e.package)->chunk_count,
                                      .unit = TM_PROGRESS_ITEMS,
                                      .item_name = "chunks",
                                      .quiet = options->quiet});
    TM_TRY_GOTO(write_tensors(&e, err), done);
    TM_TRY_GOTO(tm_writer_finish(&e.writer, err), done);
    status = write_neighbours(&e, err);
done:
    tm_progress_finish(&e.progress);
    tm_writer_abort(&e.writer);
    tm_decoder_destroy(&e.decoder);
    tm_package_close(&e.package);
    tm_buf_deinit(&e.metadata);
    tm_free(e.specs);
    return status;
}

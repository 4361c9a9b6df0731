/* SPDX-License-Identifier: Apache-2.0
 * What the formats share: the checks of the declaration and the stream of tensor bytes. */
#include "model/writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"
#include "model/gguf.h"
#include "model/safetensors.h"
#include "model/where.h"
#include "model/writer_format.h"

static const char what[] = "cannot write the model";

struct tm_writer {
    struct tm_file_out *file;
    char *path;
    uint64_t alignment;
    uint64_t *tensor_bytes;
    size_t count;
    size_t current; /* the tensor that the next byte belongs to; count when all are whole */
    uint64_t done;  /* bytes that it has */
};

/* ---- the declaration ---- */

static struct tm_view name_of(const struct tm_tensor_spec *spec)
{
    return tm_view_of(spec->name, spec->name_bytes);
}

tm_status tm_writer_refuse(const struct tm_writer_options *options,
                           const struct tm_tensor_spec *spec, struct tm_err *err, const char *hint,
                           const char *why)
{
    struct tm_where where;
    tm_where(&where, options->path, name_of(spec));
    return tm_err_set(err, TM_E_INCOMPATIBLE, where.text, what, hint, "%s", why);
}

uint64_t tm_writer_spec_bytes(const struct tm_tensor_spec *spec)
{
    uint64_t bytes = 0;
    TM_ASSERT(tm_shape_bytes(&spec->shape, spec->dtype, &bytes));
    return bytes;
}

static int by_name(const void *a, const void *b)
{
    const struct tm_tensor_spec *x = a;
    const struct tm_tensor_spec *y = b;
    size_t shorter = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
    int order = shorter > 0 ? memcmp(x->name, y->name, shorter) : 0;
    return order != 0 ? order : (x->name_bytes > y->name_bytes) - (x->name_bytes < y->name_bytes);
}

static tm_status check_unique(const struct tm_writer_options *options,
                              const struct tm_tensor_spec *specs, size_t count, struct tm_err *err)
{
    struct tm_tensor_spec *sorted = tm_calloc(count, sizeof *sorted);
    if (sorted == NULL) {
        return TM_E_NOMEM;
    }
    if (count > 0) {
        memcpy(sorted, specs, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, by_name);
    }
    tm_status status = TM_OK;
    for (size_t i = 1; i < count && status == TM_OK; i++) {
        if (by_name(&sorted[i - 1], &sorted[i]) == 0) {
            status = tm_writer_refuse(options, &sorted[i], err, NULL, "two tensors have this name");
        }
    }
    tm_free(sorted);
    return status;
}

static tm_status check_specs(const struct tm_writer_options *options,
                             const struct tm_tensor_spec *specs, size_t count, struct tm_err *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        const struct tm_tensor_spec *spec = &specs[i];
        uint64_t bytes;
        if (!tm_utf8_valid(spec->name, spec->name_bytes) ||
            memchr(spec->name, 0, spec->name_bytes) != NULL) {
            return tm_writer_refuse(options, spec, err, NULL,
                                    "the name is not UTF-8 text without zero bytes");
        }
        if (!tm_shape_bytes(&spec->shape, spec->dtype, &bytes)) {
            return tm_writer_refuse(options, spec, err, NULL,
                                    "the rows are no whole number of blocks of its type, or the "
                                    "size overflows");
        }
        /* Room for the alignment of each tensor too. */
        if (!tm_add_u64(total, bytes, &total) || total > (uint64_t)INT64_MAX / 2) {
            return tm_writer_refuse(options, spec, err, NULL, "the file would be too large");
        }
    }
    return check_unique(options, specs, count, err);
}

static tm_status check_pairs(const struct tm_writer_options *options, struct tm_err *err)
{
    const char *const *pairs = options->metadata;
    for (size_t i = 0; pairs != NULL && pairs[i] != NULL; i += 2) {
        const char *reason = NULL;
        if (pairs[i][0] == 0 || pairs[i + 1] == NULL) {
            reason = "a metadata key is empty or has no value";
        } else if (!tm_utf8_valid(pairs[i], strlen(pairs[i])) ||
                   !tm_utf8_valid(pairs[i + 1], strlen(pairs[i + 1]))) {
            reason = "metadata is not UTF-8 text";
        }
        for (size_t k = 0; k < i && reason == NULL; k += 2) {
            reason = strcmp(pairs[k], pairs[i]) == 0 ? "a metadata key is given twice" : NULL;
        }
        if (reason != NULL) {
            return tm_err_set(err, TM_E_USAGE, options->path, what, NULL, "%s: '%.200s'", reason,
                              pairs[i]);
        }
    }
    return TM_OK;
}

static tm_status make_head(const struct tm_writer_options *options,
                           const struct tm_tensor_spec *specs, size_t count,
                           struct tm_writer_head *head, struct tm_err *err)
{
    TM_TRY(check_specs(options, specs, count, err));
    TM_TRY(check_pairs(options, err));
    return options->format == TM_FORMAT_GGUF
               ? tm_writer_head_gguf(options, specs, count, head, err)
               : tm_writer_head_safetensors(options, specs, count, head, err);
}

/* Says what the buffer and the allocator could not. */
static tm_status explain(const struct tm_writer_options *options, tm_status status,
                         const struct tm_writer_head *head, struct tm_err *err)
{
    if (status == TM_E_NOMEM) {
        return tm_err_set(err, status, options->path, what, NULL, "out of memory");
    }
    if (status == TM_E_LIMIT) {
        return tm_err_set(err, status, options->path, what,
                          "write fewer tensors or less metadata into one file",
                          "the header would be larger than %zu bytes", head->bytes.max_bytes);
    }
    return status;
}

/* ---- the stream ---- */

static tm_status put_zeros(struct tm_writer *writer, uint64_t count, struct tm_err *err)
{
    static const uint8_t zeros[4096];
    while (count > 0) {
        size_t piece = count < sizeof zeros ? (size_t)count : sizeof zeros;
        TM_TRY(tm_file_out_write(writer->file, zeros, piece, err));
        count -= piece;
    }
    return TM_OK;
}

/* Goes past the tensors that have all their bytes; those of no bytes take no room. */
static tm_status pass_whole_tensors(struct tm_writer *writer, struct tm_err *err)
{
    while (writer->current < writer->count &&
           writer->done == writer->tensor_bytes[writer->current]) {
        uint64_t over = tm_file_out_at(writer->file) % writer->alignment;
        TM_TRY(put_zeros(writer, over == 0 ? 0 : writer->alignment - over, err));
        writer->current++;
        writer->done = 0;
    }
    return TM_OK;
}

static void writer_free(struct tm_writer **writer)
{
    tm_file_out_abort(&(*writer)->file);
    tm_free((*writer)->tensor_bytes);
    tm_free((*writer)->path);
    tm_free(*writer);
    *writer = NULL;
}

static tm_status open_writer(const struct tm_writer_options *options,
                             const struct tm_tensor_spec *specs, size_t count,
                             struct tm_writer **out)
{
    *out = tm_calloc(1, sizeof **out);
    if (*out == NULL) {
        return TM_E_NOMEM;
    }
    struct tm_writer *writer = *out;
    writer->path = tm_strdup(options->path);
    writer->tensor_bytes = tm_calloc(count, sizeof *writer->tensor_bytes);
    if (writer->path == NULL || writer->tensor_bytes == NULL) {
        return TM_E_NOMEM;
    }
    writer->count = count;
    for (size_t i = 0; i < count; i++) {
        writer->tensor_bytes[i] = tm_writer_spec_bytes(&specs[i]);
    }
    return TM_OK;
}

tm_status tm_writer_begin(const struct tm_writer_options *options,
                          const struct tm_tensor_spec *specs, size_t count, struct tm_writer **out,
                          struct tm_err *err)
{
    struct tm_writer_head head = {.alignment = 1};
    struct tm_writer *writer = NULL;
    tm_buf_init(&head.bytes, options->format == TM_FORMAT_GGUF
                                 ? (size_t)TM_GGUF_HEADER_MAX
                                 : (size_t)TM_SAFETENSORS_HEADER_MAX + 8);
    tm_status status = make_head(options, specs, count, &head, err);
    if (status == TM_OK) {
        status = open_writer(options, specs, count, &writer);
    }
    if (status != TM_OK) {
        status = explain(options, status, &head, err);
        goto done;
    }
    writer->alignment = head.alignment;
    TM_TRY_GOTO(tm_file_out_begin(options->path, 0644, &writer->file, err), done);
    TM_TRY_GOTO(tm_file_out_write(writer->file, head.bytes.data, head.bytes.bytes, err), done);
    status = pass_whole_tensors(writer, err);
done:
    if (status != TM_OK && writer != NULL) {
        writer_free(&writer);
    }
    *out = writer;
    tm_buf_deinit(&head.bytes);
    return status;
}

tm_status tm_writer_append(struct tm_writer *writer, const void *data, size_t bytes,
                           struct tm_err *err)
{
    const uint8_t *from = data;
    while (bytes > 0) {
        if (writer->current == writer->count) {
            return tm_err_set(err, TM_E_USAGE, writer->path, what, NULL,
                              "%zu bytes more than the declared tensors hold", bytes);
        }
        uint64_t room = writer->tensor_bytes[writer->current] - writer->done;
        size_t piece = bytes < room ? bytes : (size_t)room;
        TM_TRY(tm_file_out_write(writer->file, from, piece, err));
        from += piece;
        bytes -= piece;
        writer->done += piece;
        TM_TRY(pass_whole_tensors(writer, err));
    }
    return TM_OK;
}

tm_status tm_writer_finish(struct tm_writer **writer, struct tm_err *err)
{
    struct tm_writer *w = *writer;
    tm_status status;
    if (w->current < w->count) {
        status = tm_err_set(err, TM_E_USAGE, w->path, what, NULL,
                            "tensor %zu of %zu has %llu of its %llu bytes", w->current + 1,
                            w->count, (unsigned long long)w->done,
                            (unsigned long long)w->tensor_bytes[w->current]);
    } else {
        status = tm_file_out_commit(&w->file, err);
    }
    writer_free(writer);
    return status;
}

void tm_writer_abort(struct tm_writer **writer)
{
    if (writer != NULL && *writer != NULL) {
        writer_free(writer);
    }
}

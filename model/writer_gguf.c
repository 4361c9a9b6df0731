/* SPDX-License-Identifier: Apache-2.0
 * The header of a GGUF file, version 3 (ggml docs/gguf.md): magic, version, tensor count, key-value
 * pairs, tensor entries, zeros up to the alignment. Offsets count from there. */
#include "model/writer_format.h"

#include <string.h>

#include "base/num.h"
#include "model/gguf.h"
#include "model/gguf_meta.h"
#include "model/gguf_type.h"

enum { VERSION = 3, ALIGNMENT_DEFAULT = 32, ALIGNMENT_MAX = 1 << 16, QUANTIZATION_VERSION = 2 };

#define NO_FILE_TYPE UINT32_MAX

/* Values of general.file_type (llama_ftype) that name a dtype: `usual` is written, `other` means it
 * too. The first row is what a file without tensors has. */
struct file_type {
    enum tm_dtype dtype;
    uint32_t usual, other;
};

static const struct file_type file_types[] = {
    {TM_F32, 0, 0},
    {TM_F16, 1, 1},
    {TM_BF16, 32, 32},
    {TM_Q4_0, 2, 2},
    {TM_Q4_1, 3, 3},
    {TM_Q5_0, 8, 8},
    {TM_Q5_1, 9, 9},
    {TM_Q8_0, 7, 7},
    {TM_Q4_K, 15, 14}, /* "M" and "S" mixtures */
    {TM_Q5_K, 17, 16},
    {TM_Q6_K, 18, 18},
    {TM_F64, NO_FILE_TYPE, NO_FILE_TYPE},
    {TM_I8, NO_FILE_TYPE, NO_FILE_TYPE},
    {TM_I16, NO_FILE_TYPE, NO_FILE_TYPE},
    {TM_I32, NO_FILE_TYPE, NO_FILE_TYPE},
    {TM_I64, NO_FILE_TYPE, NO_FILE_TYPE},
};
enum { FILE_TYPES = sizeof file_types / sizeof file_types[0] };

/* ---- what the tensors say ---- */

static tm_status check_tensors(const struct tm_writer_options *options,
                               const struct tm_tensor_spec *specs, size_t count, struct tm_err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct tm_tensor_spec *spec = &specs[i];
        uint32_t type;
        if (!tm_gguf_type_of(spec->dtype, &type)) {
            return tm_writer_refuse(options, spec, err, "write safetensors instead",
                                    "GGUF has no such element type");
        }
        if (spec->shape.rank > TM_GGUF_RANK_MAX) {
            return tm_writer_refuse(options, spec, err, "write safetensors instead",
                                    "GGUF holds at most 4 dimensions");
        }
        if (spec->name_bytes > TM_GGUF_NAME_MAX) {
            return tm_writer_refuse(options, spec, err, "write safetensors instead",
                                    "GGUF holds names of at most 63 bytes");
        }
        for (uint32_t k = 0; k < spec->shape.rank; k++) {
            if (spec->shape.dim[k] > INT64_MAX) {
                return tm_writer_refuse(options, spec, err, NULL, "a dimension is over 2^63");
            }
        }
    }
    return TM_OK;
}

static uint64_t elements_of(const struct tm_tensor_spec *specs, size_t count, enum tm_dtype dtype)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t elements = 0;
        TM_ASSERT(tm_shape_elements(&specs[i].shape, &elements));
        sum += specs[i].dtype == dtype ? elements : 0;
    }
    return sum;
}

/* The dtype with the most elements, of equal ones the first in file_types. */
static const struct file_type *majority_of(const struct tm_tensor_spec *specs, size_t count)
{
    const struct file_type *best = NULL;
    uint64_t most = 0;
    for (size_t i = 0; i < FILE_TYPES; i++) {
        uint64_t elements = elements_of(specs, count, file_types[i].dtype);
        if (best == NULL || elements > most) {
            best = &file_types[i];
            most = elements;
        }
    }
    return best;
}

static bool any_quantised(const struct tm_tensor_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tm_dtype_block_elements(specs[i].dtype) > 1) {
            return true;
        }
    }
    return false;
}

/* ---- key-value pairs ---- */

struct pairs {
    const struct tm_writer_options *options;
    const struct file_type *majority;
    struct tm_buf *out;
    uint64_t count;
    bool keep_alignment;
};

static tm_status put_string(struct tm_buf *out, struct tm_view text)
{
    TM_TRY(tm_buf_put_u64(out, text.bytes));
    return tm_buf_put(out, text.data, text.bytes);
}

static tm_status put_u32_pair(struct pairs *pairs, const char *key, uint32_t value)
{
    TM_TRY(put_string(pairs->out, tm_view_str(key)));
    TM_TRY(tm_buf_put_u32(pairs->out, TM_GGUF_U32));
    TM_TRY(tm_buf_put_u32(pairs->out, value));
    pairs->count++;
    return TM_OK;
}

static tm_status put_string_pair(struct pairs *pairs, const char *key, const char *value)
{
    TM_TRY(put_string(pairs->out, tm_view_str(key)));
    TM_TRY(tm_buf_put_u32(pairs->out, TM_GGUF_STRING));
    TM_TRY(put_string(pairs->out, tm_view_str(value)));
    pairs->count++;
    return TM_OK;
}

static bool is_split(struct tm_view key)
{
    return key.bytes >= 6 && memcmp(key.data, "split.", 6) == 0;
}

/* Keys that describe the file itself; a text of the user under such a name would have a wrong type.
 */
static bool is_ours(struct tm_view key)
{
    return is_split(key) || tm_view_eq_str(key, "general.file_type") ||
           tm_view_eq_str(key, "general.alignment") ||
           tm_view_eq_str(key, "general.quantization_version");
}

static bool user_has(const struct tm_writer_options *options, struct tm_view key)
{
    const char *const *given = options->metadata;
    for (size_t i = 0; given != NULL && given[i] != NULL; i += 2) {
        if (tm_view_eq_str(key, given[i]) && !is_ours(key)) {
            return true;
        }
    }
    return false;
}

static bool blob_has(const struct tm_writer_options *options, const char *key)
{
    struct tm_gguf_kv kv;
    return options->gguf_metadata.bytes > 0 && tm_gguf_meta_find(options->gguf_metadata, key, &kv);
}

/* Keeps the value when it already names the majority type (Q4_K_S stays Q4_K_S). */
static tm_status put_file_type(struct pairs *pairs, const struct tm_gguf_kv *old)
{
    const struct file_type *majority = pairs->majority;
    uint64_t value;
    if (majority->usual == NO_FILE_TYPE) {
        return TM_OK;
    }
    if (old != NULL && old->type == TM_GGUF_U32 && tm_gguf_kv_u64(old, &value) &&
        (value == majority->usual || value == majority->other)) {
        pairs->count++;
        return tm_buf_put(pairs->out, old->raw.data, old->raw.bytes);
    }
    return put_u32_pair(pairs, "general.file_type", majority->usual);
}

static tm_status put_kept_pair(struct pairs *pairs, const struct tm_gguf_kv *kv)
{
    if (tm_view_eq_str(kv->key, "general.file_type")) {
        return put_file_type(pairs, kv);
    }
    if (is_split(kv->key) || user_has(pairs->options, kv->key) ||
        (!pairs->keep_alignment && tm_view_eq_str(kv->key, "general.alignment"))) {
        return TM_OK;
    }
    pairs->count++;
    return tm_buf_put(pairs->out, kv->raw.data, kv->raw.bytes);
}

static tm_status put_blob(struct pairs *pairs, struct tm_err *err)
{
    struct tm_view blob = pairs->options->gguf_metadata;
    struct tm_gguf_iter iter;
    struct tm_gguf_kv kv;
    TM_TRY(tm_gguf_meta_begin(&iter, blob, blob.bytes, err));
    for (;;) {
        tm_status status = tm_gguf_meta_next(&iter, &kv, err);
        if (status != TM_OK) {
            return status == TM_E_NOTHING ? TM_OK : status;
        }
        TM_TRY(put_kept_pair(pairs, &kv));
    }
}

static tm_status put_pairs(struct pairs *pairs, bool quantised, struct tm_err *err)
{
    const struct tm_writer_options *options = pairs->options;
    const char *architecture = "general.architecture";
    if (options->arch != NULL && options->arch[0] != 0 && !blob_has(options, architecture) &&
        !user_has(options, tm_view_str(architecture))) {
        TM_TRY(put_string_pair(pairs, architecture, options->arch));
    }
    if (options->gguf_metadata.bytes > 0) {
        TM_TRY(put_blob(pairs, err));
    } else {
        TM_TRY(put_file_type(pairs, NULL));
    }
    const char *const *given = options->metadata;
    for (size_t i = 0; given != NULL && given[i] != NULL; i += 2) {
        if (!is_ours(tm_view_str(given[i]))) {
            TM_TRY(put_string_pair(pairs, given[i], given[i + 1]));
        }
    }
    if (quantised && !blob_has(options, "general.quantization_version")) {
        TM_TRY(put_u32_pair(pairs, "general.quantization_version", QUANTIZATION_VERSION));
    }
    return TM_OK;
}

/* The alignment that the metadata asks for, if a reader may trust it. */
static bool find_alignment(struct tm_view blob, uint64_t *alignment)
{
    struct tm_gguf_kv kv;
    uint64_t value;
    if (blob.bytes == 0 || !tm_gguf_meta_find(blob, "general.alignment", &kv) ||
        kv.type != TM_GGUF_U32 || !tm_gguf_kv_u64(&kv, &value) || value < 8 ||
        value > ALIGNMENT_MAX || (value & (value - 1)) != 0) {
        return false;
    }
    *alignment = value;
    return true;
}

/* ---- tensor entries ---- */

static tm_status put_entry(struct tm_buf *out, const struct tm_tensor_spec *spec, uint64_t offset)
{
    TM_TRY(put_string(out, tm_view_of(spec->name, spec->name_bytes)));
    TM_TRY(tm_buf_put_u32(out, spec->shape.rank > 0 ? spec->shape.rank : 1));
    if (spec->shape.rank == 0) { /* GGUF has no scalars */
        TM_TRY(tm_buf_put_u64(out, 1));
    }
    for (uint32_t i = spec->shape.rank; i > 0; i--) {
        TM_TRY(tm_buf_put_u64(out, spec->shape.dim[i - 1]));
    }
    uint32_t type = 0;
    TM_ASSERT(tm_gguf_type_of(spec->dtype, &type));
    TM_TRY(tm_buf_put_u32(out, type));
    return tm_buf_put_u64(out, offset);
}

static tm_status put_entries(const struct tm_writer_options *options,
                             const struct tm_tensor_spec *specs, size_t count,
                             struct tm_writer_head *head, struct tm_err *err)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        TM_TRY(put_entry(&head->bytes, &specs[i], offset));
        if (!tm_add_u64(offset, tm_writer_spec_bytes(&specs[i]), &offset) ||
            !tm_align_u64(offset, head->alignment, &offset)) {
            return tm_writer_refuse(options, &specs[i], err, NULL, "the file would be too large");
        }
    }
    while (head->bytes.bytes % head->alignment != 0) {
        TM_TRY(tm_buf_put_u8(&head->bytes, 0));
    }
    return TM_OK;
}

tm_status tm_writer_head_gguf(const struct tm_writer_options *options,
                              const struct tm_tensor_spec *specs, size_t count,
                              struct tm_writer_head *head, struct tm_err *err)
{
    struct tm_buf *out = &head->bytes;
    TM_TRY(check_tensors(options, specs, count, err));
    if (options->gguf_metadata.bytes > 0) {
        tm_status status = tm_gguf_meta_check(options->gguf_metadata, err);
        if (status != TM_OK) {
            tm_err_prefix(err, options->path);
            return status;
        }
    }
    head->alignment = ALIGNMENT_DEFAULT;
    struct pairs pairs = {.options = options, .majority = majority_of(specs, count), .out = out};
    pairs.keep_alignment = find_alignment(options->gguf_metadata, &head->alignment);
    TM_TRY(tm_buf_put_str(out, "GGUF"));
    TM_TRY(tm_buf_put_u32(out, VERSION));
    TM_TRY(tm_buf_put_u64(out, count));
    TM_TRY(tm_buf_put_u64(out, 0)); /* the pairs are counted below */
    TM_TRY(put_pairs(&pairs, any_quantised(specs, count), err));
    tm_set_u64(out->data + TM_GGUF_META_AT, pairs.count);
    return put_entries(options, specs, count, head, err);
}

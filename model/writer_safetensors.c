/* SPDX-License-Identifier: Apache-2.0
 * The header of a safetensors file (format of huggingface/safetensors): u64 length, JSON of that
 * length padded with blanks to a multiple of 8, then the tensors without gaps. */
#include "model/writer_format.h"

#include "base/base64.h"
#include "base/bytes.h"
#include "base/json.h"
#include "model/safetensors.h"

enum { LENGTH_BYTES = 8, UNIT = 8 };

static bool can_hold(enum tm_dtype dtype)
{
    return tm_dtype_block_elements(dtype) == 1;
}

/* One more string in __metadata__, by way of a buffer of its own. */
static tm_status put_gguf_blob(struct tm_jw *jw, struct tm_view blob)
{
    struct tm_buf text;
    tm_buf_init(&text, TM_SAFETENSORS_HEADER_MAX);
    tm_status status = tm_base64_encode(blob, &text);
    if (status == TM_OK) {
        tm_jw_strn(jw, TM_SAFETENSORS_GGUF_KEY, tm_buf_view(&text));
    }
    tm_buf_deinit(&text);
    return status;
}

static tm_status put_metadata(struct tm_jw *jw, const struct tm_writer_options *options)
{
    const char *const *pairs = options->metadata;
    bool has_blob = options->gguf_metadata.bytes > 0;
    if ((pairs == NULL || pairs[0] == NULL) && !has_blob) {
        return TM_OK;
    }
    tm_jw_object(jw, "__metadata__");
    for (size_t i = 0; pairs != NULL && pairs[i] != NULL; i += 2) {
        if (!has_blob || !tm_view_eq_str(tm_view_str(pairs[i]), TM_SAFETENSORS_GGUF_KEY)) {
            tm_jw_str(jw, pairs[i], pairs[i + 1]);
        }
    }
    if (has_blob) {
        TM_TRY(put_gguf_blob(jw, options->gguf_metadata));
    }
    tm_jw_object_end(jw);
    return TM_OK;
}

static void put_tensor(struct tm_jw *jw, const struct tm_tensor_spec *spec, uint64_t *offset)
{
    tm_jw_object_n(jw, tm_view_of(spec->name, spec->name_bytes));
    tm_jw_str(jw, "dtype", tm_dtype_name(spec->dtype));
    tm_jw_array(jw, "shape");
    for (uint32_t i = 0; i < spec->shape.rank; i++) {
        tm_jw_u64(jw, NULL, spec->shape.dim[i]);
    }
    tm_jw_array_end(jw);
    tm_jw_array(jw, "data_offsets");
    tm_jw_u64(jw, NULL, *offset);
    *offset += tm_writer_spec_bytes(spec);
    tm_jw_u64(jw, NULL, *offset);
    tm_jw_array_end(jw);
    tm_jw_object_end(jw);
}

static tm_status check_tensors(const struct tm_writer_options *options,
                               const struct tm_tensor_spec *specs, size_t count, struct tm_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!can_hold(specs[i].dtype)) {
            return tm_writer_refuse(options, &specs[i], err,
                                    "write a float type, or GGUF to keep the blocks",
                                    "safetensors has no block-quantised types");
        }
        if (tm_view_eq_str(tm_view_of(specs[i].name, specs[i].name_bytes), "__metadata__")) {
            return tm_writer_refuse(options, &specs[i], err, NULL,
                                    "safetensors keeps this name for itself");
        }
    }
    return TM_OK;
}

tm_status tm_writer_head_safetensors(const struct tm_writer_options *options,
                                     const struct tm_tensor_spec *specs, size_t count,
                                     struct tm_writer_head *head, struct tm_err *err)
{
    struct tm_buf *out = &head->bytes;
    struct tm_jw jw;
    uint64_t offset = 0;
    TM_TRY(check_tensors(options, specs, count, err));
    TM_TRY(tm_buf_put_u64(out, 0));
    tm_jw_begin(&jw, out, false);
    tm_jw_object(&jw, NULL);
    TM_TRY(put_metadata(&jw, options));
    for (size_t i = 0; i < count; i++) {
        put_tensor(&jw, &specs[i], &offset);
    }
    tm_jw_object_end(&jw);
    TM_TRY(tm_jw_end(&jw));
    while (out->bytes % UNIT != 0) {
        TM_TRY(tm_buf_put_u8(out, ' '));
    }
    tm_set_u64(out->data, out->bytes - LENGTH_BYTES);
    head->alignment = 1;
    return TM_OK;
}

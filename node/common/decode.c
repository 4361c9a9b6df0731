/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/decode.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/convert.h"

struct tm_decoder {
    struct tm_package *package;
    const struct tm_pkg_meta *meta;
    struct tm_pipeline *pipelines;
    struct tm_buf encoded,
        bytes; /* one chunk; one chunk as target dtype, or carried source bytes */
    float *values;
    size_t values_capacity;
};

tm_status tm_decoder_new(struct tm_package *package, struct tm_decoder **out, struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    struct tm_decoder *d = tm_calloc(1, sizeof *d);
    if (d == NULL) {
        return TM_E_NOMEM;
    }
    tm_status status = TM_OK;
    d->package = package;
    d->meta = meta;
    tm_buf_init(&d->encoded, TM_BLOCK_BYTES_MAX * 2);
    tm_buf_init(&d->bytes, TM_BLOCK_BYTES_MAX * 2);
    d->pipelines = tm_calloc(meta->pipeline_count, sizeof d->pipelines[0]);
    status = d->pipelines != NULL ? TM_OK : TM_E_NOMEM;
    for (uint32_t i = 0; i < meta->pipeline_count && status == TM_OK; i++) {
        if (tm_pipeline_parse(tm_view_str(meta->pipelines[i]), &d->pipelines[i], err) != TM_OK) {
            status = tm_err_set(err, TM_E_INCOMPATIBLE, meta->pipelines[i],
                                "cannot decode this pipeline", "use a newer Tensormill",
                                "this build does not have it");
        }
    }
    if (status != TM_OK) {
        tm_decoder_destroy(&d);
        return status;
    }
    *out = d;
    return TM_OK;
}

void tm_decoder_destroy(struct tm_decoder **decoder)
{
    struct tm_decoder *d = *decoder;
    if (d != NULL) {
        tm_buf_deinit(&d->encoded);
        tm_buf_deinit(&d->bytes);
        tm_free(d->pipelines);
        tm_free(d->values);
        tm_free(d);
        *decoder = NULL;
    }
}

const struct tm_pipeline *tm_decoder_pipeline(const struct tm_decoder *decoder, uint32_t index)
{
    TM_ASSERT(index < decoder->meta->pipeline_count);
    return &decoder->pipelines[index];
}

static const struct tm_pipeline *pipeline_of(const struct tm_decoder *d, uint32_t tensor)
{
    return &d->pipelines[d->meta->tensors[tensor].pipeline];
}

bool tm_decoder_is_lossless(const struct tm_decoder *decoder, uint32_t tensor)
{
    return tm_pipeline_input(pipeline_of(decoder, tensor)) == TM_DATA_BYTES;
}

struct tm_shape tm_decoder_shape(const struct tm_decoder *decoder, uint32_t tensor)
{
    const struct tm_pkg_tensor *t = &decoder->meta->tensors[tensor];
    struct tm_shape shape = {.rank = t->rank};
    memcpy(shape.dim, t->dim, t->rank * sizeof t->dim[0]);
    return shape;
}

/* Whether every chunk of the tensor is whole rows, and these are rows of the dtype's blocks. */
static bool exports_as(const struct tm_decoder *d, uint32_t tensor, enum tm_dtype dtype)
{
    const struct tm_pkg_tensor *t = &d->meta->tensors[tensor];
    struct tm_shape shape = tm_decoder_shape(d, tensor);
    uint64_t bytes;
    if (!tm_shape_bytes(&shape, dtype, &bytes)) {
        return false;
    }
    for (uint32_t c = t->first_chunk; c < t->first_chunk + t->chunk_count; c++) {
        struct tm_block_shape block = {d->meta->chunks[c].rows, d->meta->chunks[c].cols};
        if (!tm_pipeline_exports_as(pipeline_of(d, tensor), block, dtype)) {
            return false;
        }
    }
    return t->chunk_count > 0;
}

enum tm_dtype tm_decoder_keep_dtype(const struct tm_decoder *decoder, uint32_t tensor)
{
    if (tm_decoder_is_lossless(decoder, tensor)) {
        return (enum tm_dtype)decoder->meta->tensors[tensor].dtype;
    }
    if (exports_as(decoder, tensor, TM_Q8_0)) {
        return TM_Q8_0;
    }
    if (exports_as(decoder, tensor, TM_Q4_0)) {
        return TM_Q4_0;
    }
    /* A ternary weight is 0 or plus or minus a float16 scale. */
    return pipeline_of(decoder, tensor)->stage[0].id == TM_STAGE_TERNARY ? TM_F16 : TM_F32;
}

static tm_status need_values(struct tm_decoder *d, size_t count)
{
    if (count > d->values_capacity) {
        tm_free(d->values);
        d->values = tm_alloc(count * sizeof d->values[0]);
        d->values_capacity = d->values != NULL ? count : 0;
    }
    return d->values != NULL || count == 0 ? TM_OK : TM_E_NOMEM;
}

static tm_status read_chunk(struct tm_decoder *d, uint32_t chunk, struct tm_err *err)
{
    return tm_package_chunk(d->package, chunk, &d->encoded, err);
}

static tm_status emit_values(struct tm_decoder *d, size_t count, enum tm_dtype dtype, tm_emit emit,
                             void *context, struct tm_err *err)
{
    struct tm_shape flat = {.rank = 1, .dim = {count}};
    uint64_t bytes = 0;
    uint8_t *at = NULL;
    if (!tm_shape_bytes(&flat, dtype, &bytes)) {
        return TM_E_USAGE;
    }
    struct tm_buf out;
    tm_buf_init(&out, TM_BLOCK_BYTES_MAX * 4);
    tm_status status = tm_buf_extend(&out, bytes, &at);
    if (status == TM_OK) {
        status = tm_convert_from_f32(dtype, d->values, count, at);
    }
    if (status == TM_OK) {
        status = emit(context, at, bytes, err);
    }
    tm_buf_deinit(&out);
    return status;
}

/* A chunk of weights: straight to GGUF blocks, or by float32. */
static tm_status weights_chunk(struct tm_decoder *d, uint32_t tensor, uint32_t c,
                               enum tm_dtype dtype, tm_emit emit, void *context, struct tm_err *err)
{
    const struct tm_pipeline *pipeline = pipeline_of(d, tensor);
    const struct tm_pkg_chunk *chunk = &d->meta->chunks[c];
    struct tm_block_shape block = {chunk->rows, chunk->cols};
    size_t count = (size_t)chunk->rows * chunk->cols;
    TM_TRY(read_chunk(d, c, err));
    if ((dtype == TM_Q8_0 || dtype == TM_Q4_0) && tm_pipeline_exports_as(pipeline, block, dtype)) {
        uint8_t *at = NULL;
        size_t bytes = count / tm_dtype_block_elements(dtype) * (size_t)tm_dtype_block_bytes(dtype);
        tm_buf_clear(&d->bytes);
        TM_TRY(tm_buf_extend(&d->bytes, bytes, &at));
        TM_TRY(tm_pipeline_decode_gguf(pipeline, block, tm_buf_view(&d->encoded), dtype, at, err));
        return emit(context, at, bytes, err);
    }
    TM_TRY(need_values(d, count));
    TM_TRY(tm_pipeline_decode(pipeline, block, tm_buf_view(&d->encoded), TM_DECODE_FAST, d->values,
                              err));
    return emit_values(d, count, dtype, emit, context, err);
}

/* A chunk of source bytes as another dtype: whole blocks are converted, the rest is carried over to
 * the next chunk, because lossless chunks are cut without regard to blocks. */
static tm_status convert_carried(struct tm_decoder *d, enum tm_dtype from, enum tm_dtype dtype,
                                 tm_emit emit, void *context, struct tm_err *err)
{
    size_t block = tm_dtype_block_bytes(from);
    size_t blocks = d->bytes.bytes / block;
    size_t count = blocks * tm_dtype_block_elements(from);
    TM_TRY(need_values(d, count));
    TM_TRY(tm_convert_to_f32(from, d->bytes.data, count, d->values));
    TM_TRY(emit_values(d, count, dtype, emit, context, err));
    d->bytes.bytes -= blocks * block;
    memmove(d->bytes.data, d->bytes.data + blocks * block, d->bytes.bytes);
    return TM_OK;
}

static tm_status lossless_chunk(struct tm_decoder *d, uint32_t tensor, uint32_t c,
                                enum tm_dtype dtype, tm_emit emit, void *context,
                                struct tm_err *err)
{
    enum tm_dtype from = (enum tm_dtype)d->meta->tensors[tensor].dtype;
    uint8_t *at = NULL;
    TM_TRY(read_chunk(d, c, err));
    TM_TRY(tm_buf_extend(&d->bytes, d->meta->chunks[c].cols, &at));
    TM_TRY(tm_pipeline_decode_bytes(pipeline_of(d, tensor), d->meta->chunks[c].cols,
                                    tm_buf_view(&d->encoded), at, err));
    if (dtype != from) {
        return convert_carried(d, from, dtype, emit, context, err);
    }
    tm_status status = emit(context, d->bytes.data, d->bytes.bytes, err);
    tm_buf_clear(&d->bytes);
    return status;
}

tm_status tm_decoder_tensor(struct tm_decoder *decoder, uint32_t tensor, enum tm_dtype dtype,
                            tm_emit emit, void *context, struct tm_err *err)
{
    const struct tm_pkg_tensor *t = &decoder->meta->tensors[tensor];
    bool lossless = tm_decoder_is_lossless(decoder, tensor);
    tm_buf_clear(&decoder->bytes);
    for (uint32_t c = t->first_chunk; c < t->first_chunk + t->chunk_count; c++) {
        tm_status status = lossless ? lossless_chunk(decoder, tensor, c, dtype, emit, context, err)
                                    : weights_chunk(decoder, tensor, c, dtype, emit, context, err);
        if (status != TM_OK) {
            char name[300], where[400];
            snprintf(where, sizeof where, "tensor '%s' chunk %u",
                     tm_escape(t->name, t->name_bytes, name, sizeof name), c);
            tm_err_prefix(err, where);
            return status;
        }
    }
    return TM_OK;
}

tm_status tm_decoder_attachment(struct tm_decoder *decoder, uint32_t attachment, struct tm_buf *out,
                                struct tm_err *err)
{
    const struct tm_pkg_attachment *a = &decoder->meta->attachments[attachment];
    size_t start = out->bytes;
    for (uint32_t c = a->first_chunk; c < a->first_chunk + a->chunk_count; c++) {
        uint8_t *at = NULL;
        TM_TRY(read_chunk(decoder, c, err));
        TM_TRY(tm_buf_extend(out, decoder->meta->chunks[c].cols, &at));
        TM_TRY(tm_pipeline_decode_bytes(&decoder->pipelines[a->pipeline],
                                        decoder->meta->chunks[c].cols,
                                        tm_buf_view(&decoder->encoded), at, err));
    }
    struct tm_digest digest = tm_digest_of(tm_view_of(out->data + start, out->bytes - start));
    if (!tm_digest_eq(&digest, &a->source)) {
        return tm_err_set(err, TM_E_VERIFY, a->name, "attachment does not verify",
                          "fetch the package again", "its SHA-256 is not the one in the tables");
    }
    return TM_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/decode.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "model/convert.h"

struct tm_decoder {
    struct tm_package *package;
    const struct tm_pkg_meta *meta;
    struct tm_pipeline *pipelines;
    struct tm_buf encoded; /* one chunk */
    struct tm_buf bytes;   /* one chunk as GGUF blocks, or source bytes carried to the next chunk */
    struct tm_buf slice;   /* a slice as target dtype */
    float *values;
    size_t values_capacity;
};

/* Values converted at a time; a multiple of every block. Bounds the memory of a conversion. */
#define SLICE_VALUES ((size_t)1 << 18)

/* ---- what the tables may say ---- */

static tm_status refuse(struct tm_err *err, tm_status status, const struct tm_pkg_tensor *t,
                        const char *why)
{
    char name[300], where[320];
    snprintf(where, sizeof where, "tensor '%s'",
             tm_escape(t->name, t->name_bytes, name, sizeof name));
    return tm_err_set(err, status, where, "cannot decode the package",
                      status == TM_E_INCOMPATIBLE ? "use a newer Tensormill"
                                                  : "ask its publisher to make it again",
                      "%s", why);
}

/* Shapes of the chunks against the pipeline and what they add up to. */
static bool chunks_fit(const struct tm_pkg_meta *meta, uint32_t first, uint32_t count,
                       bool lossless, uint64_t total)
{
    uint64_t sum = 0;
    for (uint32_t c = first; c < first + count; c++) {
        struct tm_block_shape block = {meta->chunks[c].rows, meta->chunks[c].cols};
        bool fits = lossless ? block.rows == 1 && block.cols <= TM_BLOCK_BYTES_MAX
                             : tm_shape_is_block(block);
        if (!fits || !tm_add_u64(sum, (uint64_t)block.rows * block.cols, &sum)) {
            return false;
        }
    }
    return sum == total;
}

/* The package reader knows neither dtypes nor stages: what follows from them is checked here. */
static tm_status check_tensor(const struct tm_decoder *d, uint32_t tensor, struct tm_err *err)
{
    const struct tm_pkg_tensor *t = &d->meta->tensors[tensor];
    struct tm_shape shape = tm_decoder_shape(d, tensor);
    uint64_t elements, bytes;
    if (!tm_dtype_known(t->dtype)) {
        char why[64];
        snprintf(why, sizeof why, "this build does not know dtype %u", t->dtype);
        return refuse(err, TM_E_INCOMPATIBLE, t, why);
    }
    if (!tm_shape_elements(&shape, &elements) ||
        !tm_shape_bytes(&shape, (enum tm_dtype)t->dtype, &bytes) || bytes != t->source_bytes) {
        return refuse(err, TM_E_MALFORMED, t, "its dtype, shape and size do not agree");
    }
    bool lossless = tm_decoder_is_lossless(d, tensor);
    if (!lossless && !tm_dtype_is_float((enum tm_dtype)t->dtype)) {
        return refuse(err, TM_E_MALFORMED, t, "integers went through a pipeline of weights");
    }
    if (!chunks_fit(d->meta, t->first_chunk, t->chunk_count, lossless,
                    lossless ? bytes : elements)) {
        return refuse(err, TM_E_MALFORMED, t, "its chunks do not add up to its shape");
    }
    return TM_OK;
}

static tm_status check_attachment(const struct tm_decoder *d, uint32_t index, struct tm_err *err)
{
    const struct tm_pkg_attachment *a = &d->meta->attachments[index];
    if (!tm_pipeline_is_lossless(&d->pipelines[a->pipeline]) ||
        !chunks_fit(d->meta, a->first_chunk, a->chunk_count, true, a->bytes)) {
        return tm_err_set(err, TM_E_MALFORMED, a->name, "cannot decode the package",
                          "ask its publisher to make it again",
                          "its chunks are not the bytes of an attachment");
    }
    return TM_OK;
}

static tm_status check_meta(const struct tm_decoder *d, struct tm_err *err)
{
    for (uint32_t i = 0; i < d->meta->tensor_count; i++) {
        TM_TRY(check_tensor(d, i, err));
    }
    for (uint32_t i = 0; i < d->meta->attachment_count; i++) {
        TM_TRY(check_attachment(d, i, err));
    }
    return TM_OK;
}

static tm_status parse_pipelines(struct tm_decoder *d, struct tm_err *err)
{
    for (uint32_t i = 0; i < d->meta->pipeline_count; i++) {
        const char *text = d->meta->pipelines[i];
        struct tm_err reason = {.status = TM_OK};
        if (tm_pipeline_parse(tm_view_str(text), &d->pipelines[i], &reason) != TM_OK) {
            return tm_err_set(err, TM_E_INCOMPATIBLE, text, "cannot decode this pipeline",
                              "use a newer Tensormill", "this build does not have it (%.300s)",
                              reason.why);
        }
    }
    return TM_OK;
}

tm_status tm_decoder_new(struct tm_package *package, struct tm_decoder **out, struct tm_err *err)
{
    const struct tm_pkg_meta *meta = tm_package_meta(package);
    struct tm_decoder *d = tm_calloc(1, sizeof *d);
    if (d == NULL) {
        return TM_E_NOMEM;
    }
    d->package = package;
    d->meta = meta;
    tm_buf_init(&d->encoded, TM_PACKAGE_CHUNK_MAX);
    tm_buf_init(&d->bytes, 2 * (size_t)TM_BLOCK_BYTES_MAX);
    tm_buf_init(&d->slice, SLICE_VALUES * sizeof(float));
    d->pipelines = tm_calloc(meta->pipeline_count, sizeof d->pipelines[0]);
    tm_status status = d->pipelines != NULL ? parse_pipelines(d, err) : TM_E_NOMEM;
    if (status == TM_OK) {
        status = check_meta(d, err);
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
        tm_buf_deinit(&d->slice);
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

/* Float16 reaches 65504; from 65520 a number would be rounded to infinity: it is refused. */
static tm_status check_f16(const float *values, size_t count, struct tm_err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (fabsf(values[i]) >= 65520.0f && !isinf(values[i])) {
            char number[TM_NUM_TEXT];
            return tm_err_set(err, TM_E_REFUSED, NULL, "cannot leave as F16",
                              "choose --type bf16 or f32", "%s is beyond its range",
                              tm_format_f64((double)values[i], number));
        }
    }
    return TM_OK;
}

static tm_status emit_values(struct tm_decoder *d, size_t count, enum tm_dtype dtype, tm_emit emit,
                             void *context, struct tm_err *err)
{
    for (size_t done = 0; done < count;) {
        size_t n = count - done < SLICE_VALUES ? count - done : SLICE_VALUES;
        size_t bytes = n / tm_dtype_block_elements(dtype) * tm_dtype_block_bytes(dtype);
        uint8_t *at = NULL;
        if (dtype == TM_F16) {
            TM_TRY(check_f16(d->values + done, n, err));
        }
        tm_buf_clear(&d->slice);
        TM_TRY(tm_buf_extend(&d->slice, bytes, &at));
        TM_TRY(tm_convert_from_f32(dtype, d->values + done, n, at));
        TM_TRY(emit(context, at, bytes, err));
        done += n;
    }
    return TM_OK;
}

/* A chunk of weights: straight to GGUF blocks, or by float32. */
static tm_status weights_chunk(struct tm_decoder *d, uint32_t tensor, uint32_t c,
                               enum tm_dtype dtype, tm_emit emit, void *context, struct tm_err *err)
{
    const struct tm_pipeline *pipeline = pipeline_of(d, tensor);
    const struct tm_pkg_chunk *chunk = &d->meta->chunks[c];
    struct tm_block_shape block = {chunk->rows, chunk->cols};
    size_t count = (size_t)chunk->rows * chunk->cols;
    TM_TRY(tm_package_chunk(d->package, c, &d->encoded, err));
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
    size_t block_bytes = tm_dtype_block_bytes(from), block = tm_dtype_block_elements(from);
    size_t count = d->bytes.bytes / block_bytes * block;
    size_t used = 0;
    for (size_t done = 0; done < count;) {
        size_t n = count - done < SLICE_VALUES ? count - done : SLICE_VALUES;
        TM_TRY(need_values(d, n));
        TM_TRY(tm_convert_to_f32(from, d->bytes.data + used, n, d->values));
        TM_TRY(emit_values(d, n, dtype, emit, context, err));
        used += n / block * block_bytes;
        done += n;
    }
    d->bytes.bytes -= used;
    memmove(d->bytes.data, d->bytes.data + used, d->bytes.bytes);
    return TM_OK;
}

static tm_status lossless_chunk(struct tm_decoder *d, uint32_t tensor, uint32_t c,
                                enum tm_dtype dtype, tm_emit emit, void *context,
                                struct tm_err *err)
{
    enum tm_dtype from = (enum tm_dtype)d->meta->tensors[tensor].dtype;
    uint8_t *at = NULL;
    TM_TRY(tm_package_chunk(d->package, c, &d->encoded, err));
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
    bool keeps = lossless && dtype == (enum tm_dtype)t->dtype;
    bool converts = tm_dtype_is_float((enum tm_dtype)t->dtype) &&
                    (dtype == TM_F32 || dtype == TM_F16 || dtype == TM_BF16);
    if (!keeps && !converts && !exports_as(decoder, tensor, dtype)) {
        return refuse(err, TM_E_INCOMPATIBLE, t, "it cannot leave as this dtype");
    }
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
        TM_TRY(tm_package_chunk(decoder->package, c, &decoder->encoded, err));
        TM_TRY(tm_buf_extend(out, decoder->meta->chunks[c].cols, &at));
        TM_TRY(tm_pipeline_decode_bytes(&decoder->pipelines[a->pipeline],
                                        decoder->meta->chunks[c].cols,
                                        tm_buf_view(&decoder->encoded), at, err));
    }
    struct tm_view all = tm_buf_view(out);
    struct tm_digest digest = tm_digest_of(
        out->bytes > start ? tm_view_of(all.data + start, all.bytes - start) : tm_view_str(""));
    if (!tm_digest_eq(&digest, &a->source)) {
        return tm_err_set(err, TM_E_VERIFY, a->name, "attachment does not verify",
                          "fetch the package again", "its SHA-256 is not the one in the tables");
    }
    return TM_OK;
}

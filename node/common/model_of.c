/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/model_of.h"

#include <string.h>

#include "base/clock.h"
#include "model/pass/weights_checkpoint.h"
#include "node/common/decode.h"
#include "node/common/tokenizer_of.h"

/* ---- weights of a package ---- */

struct in_package {
    const struct tm_pkg_meta *meta;
    struct tm_decoder *decoder;
};

static void describe(void *context, size_t index, struct tm_weights_tensor *out)
{
    const struct in_package *p = context;
    const struct tm_pkg_tensor *tensor = &p->meta->tensors[index];
    out->name = tm_view_of(tensor->name, tensor->name_bytes);
    out->dtype = tm_decoder_keep_dtype(p->decoder, (uint32_t)index);
    out->shape = tm_decoder_shape(p->decoder, (uint32_t)index);
}

struct fill {
    uint8_t *to;
    size_t left;
};

static tm_status fill_more(void *context, const void *data, size_t bytes, struct tm_err *err)
{
    struct fill *fill = context;
    (void)err;
    TM_ASSERT(bytes <= fill->left);
    memcpy(fill->to, data, bytes);
    fill->to += bytes;
    fill->left -= bytes;
    return TM_OK;
}

static tm_status read_tensor(void *context, size_t index, void *out, size_t bytes,
                             struct tm_err *err)
{
    const struct in_package *p = context;
    struct fill fill = {out, bytes};
    enum tm_dtype dtype = tm_decoder_keep_dtype(p->decoder, (uint32_t)index);
    TM_TRY(tm_decoder_tensor(p->decoder, (uint32_t)index, dtype, fill_more, &fill, err));
    TM_ASSERT(fill.left == 0);
    return TM_OK;
}

static tm_status read_attachment(void *context, const char *name, struct tm_buf *out,
                                 struct tm_err *err)
{
    const struct in_package *p = context;
    uint32_t index = tm_pkg_attachment_find(p->meta, name);
    return index != UINT32_MAX ? tm_decoder_attachment(p->decoder, index, out, err) : TM_E_NOTHING;
}

tm_status tm_weights_of_package(struct tm_package *package, const char *path,
                                struct tm_weights *out, struct tm_err *err)
{
    struct in_package p = {.meta = tm_package_meta(package)};
    struct tm_weights_source source = {.context = &p,
                                       .path = path,
                                       .tensor_count = p.meta->tensor_count,
                                       .describe = describe,
                                       .read = read_tensor,
                                       .attachment = read_attachment};
    *out = (struct tm_weights){0};
    TM_TRY(tm_decoder_new(package, &p.decoder, err));
    tm_status status = tm_weights_load(&source, out, err);
    tm_decoder_destroy(&p.decoder);
    return status;
}

/* ---- both ---- */

static tm_status load_package(const char *path, struct tm_model *out, struct tm_err *err)
{
    struct tm_package *package = NULL;
    TM_TRY(tm_package_open(path, &package, err));
    tm_status status = tm_weights_of_package(package, path, &out->weights, err);
    if (status == TM_OK) {
        status = tm_tokenizer_of_package(package, path, &out->tokenizer, err);
    }
    tm_package_close(&package);
    return status;
}

static tm_status load_checkpoint(const char *path, const char *under, struct tm_model *out,
                                 struct tm_err *err)
{
    struct tm_checkpoint *checkpoint = NULL;
    TM_TRY(tm_checkpoint_open_under(path, under, &checkpoint, err));
    struct tm_weights_source source = tm_weights_of_checkpoint(checkpoint);
    tm_status status = tm_weights_load(&source, &out->weights, err);
    tm_checkpoint_close(&checkpoint);
    return status == TM_OK ? tm_tokenizer_open(path, &out->tokenizer, err) : status;
}

tm_status tm_model_of(const char *path, const char *under, struct tm_model *out, struct tm_err *err)
{
    uint64_t began = tm_clock_ms(tm_clock_os());
    *out = (struct tm_model){0};
    tm_status status =
        tm_package_is(path) ? load_package(path, out, err) : load_checkpoint(path, under, out, err);
    if (status == TM_E_NOT_FOUND && out->weights.layers != NULL) {
        status = TM_OK; /* weights without a tokenizer */
    }
    out->load_ms = tm_clock_ms(tm_clock_os()) - began;
    if (status != TM_OK) {
        tm_model_deinit(out);
    }
    return status;
}

void tm_model_deinit(struct tm_model *model)
{
    tm_weights_deinit(&model->weights);
    tm_tokenizer_destroy(&model->tokenizer);
    *model = (struct tm_model){0};
}

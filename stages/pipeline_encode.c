/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/pipeline_encode.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "stages/int_encode.h"
#include "stages/lossless_encode.h"
#include "stages/packing.h"
#include "stages/rans_encode.h"
#include "stages/ternary_encode.h"

static tm_status put_planes(const struct tm_buf *side, struct tm_buf *out)
{
    tm_status status = TM_OK;
    size_t count = side->bytes / 2;
    uint8_t *plane = tm_alloc(count);
    if (plane == NULL) {
        return TM_E_NOMEM;
    }
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < count; i++) {
            plane[i] = side->data[2 * i + k];
        }
        TM_TRY_GOTO(tm_rans_encode(256, plane, count, out), done);
    }
done:
    tm_free(plane);
    return status;
}

tm_status tm_pipeline_encode_symbols(const struct tm_pipeline *pipeline,
                                     const struct tm_symbols *symbols, struct tm_buf *out)
{
    if (pipeline->stage[pipeline->count - 1].id == TM_STAGE_RANS) {
        TM_TRY(tm_rans_encode(symbols->alphabet, symbols->codes.data, symbols->count, out));
        return put_planes(&symbols->side, out);
    }
    uint8_t *at;
    TM_TRY(tm_buf_put(out, symbols->side.data, symbols->side.bytes));
    TM_TRY(tm_buf_extend(out, tm_packed_bytes(symbols->alphabet, symbols->count), &at));
    tm_pack(symbols->alphabet, symbols->codes.data, symbols->count, at);
    return TM_OK;
}

static tm_status quantize(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                          const float *values, struct tm_symbols *out, struct tm_err *err)
{
    if (!tm_shape_is_block(shape)) {
        return tm_err_set(err, TM_E_LIMIT, NULL, "cannot encode the block", NULL,
                          "%u x %u weights are more than a block may have (%u)", shape.rows,
                          shape.cols, TM_BLOCK_WEIGHTS_MAX);
    }
    const struct tm_stage_params *params = &pipeline->stage[0].params;
    if (pipeline->stage[0].id == TM_STAGE_INT) {
        return tm_int_encode(params, shape, values, out, err);
    }
    return tm_ternary_encode(params, shape, values, out, err);
}

tm_status tm_pipeline_encode(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                             const float *values, struct tm_buf *out, struct tm_err *err)
{
    TM_ASSERT(!tm_pipeline_is_lossless(pipeline));
    size_t start = out->bytes;
    struct tm_symbols symbols;
    tm_symbols_init(&symbols);
    tm_status status = quantize(pipeline, shape, values, &symbols, err);
    if (status == TM_OK) {
        status = tm_pipeline_encode_symbols(pipeline, &symbols, out);
    }
    if (status != TM_OK) {
        out->bytes = start;
    }
    tm_symbols_deinit(&symbols);
    return status;
}

tm_status tm_pipeline_encode_bytes(const struct tm_pipeline *pipeline, struct tm_view bytes,
                                   struct tm_buf *out, struct tm_err *err)
{
    TM_ASSERT(tm_pipeline_is_lossless(pipeline));
    if (bytes.bytes > TM_BLOCK_BYTES_MAX) {
        return tm_err_set(err, TM_E_LIMIT, NULL, "cannot encode the block", NULL,
                          "%zu bytes are more than a block may have (%u)", bytes.bytes,
                          TM_BLOCK_BYTES_MAX);
    }
    if (pipeline->stage[0].id == TM_STAGE_ZSTD) {
        return tm_zstd_encode(pipeline->stage[0].params.level, bytes, out, err);
    }
    return tm_buf_put(out, bytes.data, bytes.bytes);
}

enum tm_unfit tm_pipeline_fits(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                               const float *values)
{
    const struct tm_stage_params *params = &pipeline->stage[0].params;
    switch (pipeline->stage[0].id) {
    case TM_STAGE_INT:
        return tm_int_fits(params, shape, values).why;
    case TM_STAGE_TERNARY:
        return tm_ternary_fits(params, shape, values).why;
    default:
        return TM_FITS;
    }
}

/* ---- speed ---- */

#define SPEED_ROWS 16
#define SPEED_COLS 4096
#define SPEED_MS 20

static tm_status encode_once(const struct tm_pipeline *pipeline, const float *values,
                             struct tm_buf *out)
{
    struct tm_block_shape shape = {SPEED_ROWS, SPEED_COLS};
    tm_buf_clear(out);
    if (tm_pipeline_is_lossless(pipeline)) {
        size_t bytes = (size_t)SPEED_ROWS * SPEED_COLS;
        return tm_pipeline_encode_bytes(pipeline, tm_view_of(values, bytes), out, NULL);
    }
    return tm_pipeline_encode(pipeline, shape, values, out, NULL);
}

uint64_t tm_pipeline_speed(const struct tm_pipeline *pipeline)
{
    size_t weights = (size_t)SPEED_ROWS * SPEED_COLS;
    float *values = tm_realloc_array(NULL, weights, sizeof *values);
    if (values == NULL) {
        return 0;
    }
    struct tm_rng rng;
    tm_rng_init(&rng, 1);
    for (size_t i = 0; i < weights; i++) {
        values[i] = (float)tm_rng_normal(&rng);
    }
    struct tm_buf out;
    tm_buf_init(&out, 8 * weights);
    uint64_t rounds = 0, start = tm_clock_ms(tm_clock_os()), spent = 0;
    while (spent < SPEED_MS && encode_once(pipeline, values, &out) == TM_OK) {
        rounds++;
        spent = tm_clock_ms(tm_clock_os()) - start;
    }
    tm_buf_deinit(&out);
    tm_free(values);
    return rounds * weights * 1000 / (spent > 0 ? spent : 1);
}

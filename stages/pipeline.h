/* SPDX-License-Identifier: Apache-2.0
 * A pipeline: one to four stages. Its canonical text, e.g. "int.1(bits=4,group=32) > rans.1" or
 * "zstd.1(level=9)", names stages, versions and every parameter in a fixed order; packages, plans
 * and messages carry that text. Decoding side; the encoder is pipeline_encode.h. */
#ifndef TM_STAGES_PIPELINE_H
#define TM_STAGES_PIPELINE_H

#include "stages/stage.h"

#define TM_PIPELINE_STAGES_MAX 4
#define TM_PIPELINE_TEXT 256

struct tm_pipeline {
    uint32_t count;
    struct {
        enum tm_stage_id id;
        uint32_t version;
        struct tm_stage_params params;
    } stage[TM_PIPELINE_STAGES_MAX];
};

/* Accepts the canonical text and short forms without versions and defaults ("int(bits=4) > rans").
 * TM_E_USAGE: unknown stage, version or parameter, value out of range, kinds that do not fit. A
 * pipeline ends in bytes: a quantizer alone gets the plain packing of its symbols. */
tm_status tm_pipeline_parse(struct tm_view text, struct tm_pipeline *out,
                            struct tm_err *err) TM_MUST_USE;
/* Canonical text into out[TM_PIPELINE_TEXT]; returns out. */
const char *tm_pipeline_text(const struct tm_pipeline *pipeline, char *out);
/* TM_DATA_FLOAT (the block is weights) or TM_DATA_BYTES (lossless: the tensor's own bytes). */
enum tm_data_kind tm_pipeline_input(const struct tm_pipeline *pipeline);

/* Whether decoding gives the source bytes back (input kind TM_DATA_BYTES). Such units are verified
 * by decoding and comparing, not by encoding again (docs/decisions/0002). */
bool tm_pipeline_is_lossless(const struct tm_pipeline *pipeline);

/* Upper bound of the encoded bytes of a block. */
size_t tm_pipeline_bound(const struct tm_pipeline *pipeline, struct tm_block_shape shape);

/* A block of weights back to float32, values[rows * cols]. Malformed input is TM_E_MALFORMED with
 * the reason and the offset within the block in err; values are then undefined. All bytes must be
 * used. */
tm_status tm_pipeline_decode(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                             struct tm_view encoded, enum tm_decode_check check, float *values,
                             struct tm_err *err) TM_MUST_USE;
/* A block of bytes (input kind TM_DATA_BYTES), out[shape.cols]. */
tm_status tm_pipeline_decode_bytes(const struct tm_pipeline *pipeline, size_t bytes,
                                   struct tm_view encoded, uint8_t *out,
                                   struct tm_err *err) TM_MUST_USE;
/* A block of weights to its symbols, without the values: for deltas and re-encoding tests. out is
 * initialised and empty. */
tm_status tm_pipeline_decode_symbols(const struct tm_pipeline *pipeline,
                                     struct tm_block_shape shape, struct tm_view encoded,
                                     enum tm_decode_check check, struct tm_symbols *out,
                                     struct tm_err *err) TM_MUST_USE;
/* Whether a block of weights can leave as dtype without loss: int 8 as Q8_0 and int 4 as Q4_0 when
 * cols is a multiple of 32. */
bool tm_pipeline_exports_as(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                            enum tm_dtype dtype);
/* ... and the block in that layout, out[tm_shape_bytes]. */
tm_status tm_pipeline_decode_gguf(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                                  struct tm_view encoded, enum tm_dtype dtype, uint8_t *out,
                                  struct tm_err *err) TM_MUST_USE;

#endif

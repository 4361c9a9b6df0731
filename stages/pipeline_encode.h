/* SPDX-License-Identifier: Apache-2.0
 * Encoding side of the pipeline, the preflight of a tensor, the golden self-test and the speed
 * measure of an encoder. Not linked into the edge program. */
#ifndef TM_STAGES_PIPELINE_ENCODE_H
#define TM_STAGES_PIPELINE_ENCODE_H

#include "crypto/digest.h"
#include "stages/measure_encode.h"
#include "stages/pipeline.h"

/* Appends the encoded block to out. values[rows * cols] must be finite and on the grid's range:
 * TM_E_REFUSED names the row and column otherwise (tm_pipeline_fits tells before). Same bytes for
 * every kernel, compiler and number of threads. Thread-safe. */
tm_status tm_pipeline_encode(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                             const float *values, struct tm_buf *out,
                             struct tm_err *err) TM_MUST_USE;
tm_status tm_pipeline_encode_bytes(const struct tm_pipeline *pipeline, struct tm_view bytes,
                                   struct tm_buf *out, struct tm_err *err) TM_MUST_USE;

/* The entropy coding half alone: symbols as a quantizer gives them to bytes, appended to out. */
tm_status tm_pipeline_encode_symbols(const struct tm_pipeline *pipeline,
                                     const struct tm_symbols *symbols,
                                     struct tm_buf *out) TM_MUST_USE;

/* Why a block cannot go through a pipeline without breaking its promise: not finite, or a scale
 * that float16 cannot hold well enough. The promise of int is that each decoded value is within R
 * * 1.05 / 127 (8 bits) or R * 1.05 / 7 (4 bits) of its source, R = max |x| of its row in the
 * block; of ternary, that each scale is within 0.05 R of the best one. Always TM_FITS for lossless
 * pipelines. */
enum tm_unfit tm_pipeline_fits(const struct tm_pipeline *pipeline, struct tm_block_shape shape,
                               const float *values);

/* Golden self-test: encodes fixed pseudo-random inputs with every stage under the current kernel
 * and compares the SHA-256 of all outputs with the digest compiled in (also in tests/vectors).
 * TM_E_VERIFY when it differs: this build must not join a mesh. out may be NULL. */
tm_status tm_selftest(struct tm_digest *out, struct tm_err *err) TM_MUST_USE;
/* Digest over the names, versions and golden vectors of all encoders: what nodes announce. */
struct tm_digest tm_encoders_digest(void);
/* Weights a second of a pipeline on this machine, one thread, measured for about 20 ms. */
uint64_t tm_pipeline_speed(const struct tm_pipeline *pipeline);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Checks a unit result against the source: canonical decode and measured error (every result), and
 * the audit: encode again, compare bytes. */
#ifndef TM_NODE_CHECK_H
#define TM_NODE_CHECK_H

#include "node/coordinator/job.h"
#include "scheduler/coordinator.h"
#include "stages/pipeline_encode.h"

struct tm_check_result {
    enum tm_verdict verdict;
    bool audited;
    struct tm_block_error error; /* of a good result */
    char detail[256];            /* why it is not good: offset, figures */
};

/* encoded is the unit's chunk from `node`, sig its signature. Uses a workspace of one unit in
 * float32 twice plus the source bytes. Thread-safe. NOT_CHECKED when we ourselves failed: no
 * memory, or the model cannot be read or is no longer the one that was planned. */
void tm_check_unit(struct tm_job *job, uint32_t unit, struct tm_view encoded,
                   const struct tm_public_key *node, const struct tm_signature *sig, bool audit,
                   struct tm_check_result *out);
/* Encodes a unit from its source bytes as a node does it (also used by workers, by the owner for
 * lossless units, and by `verify --against`). */
struct tm_encode_request {
    const struct tm_pipeline *pipeline;
    enum tm_dtype dtype;
    struct tm_block_shape shape;
    struct tm_view source;
};
tm_status tm_encode_unit(const struct tm_encode_request *request, struct tm_buf *out,
                         struct tm_err *err) TM_MUST_USE;

/* Element type of a unit's source bytes (attachments: U8). */
enum tm_dtype tm_unit_dtype(const struct tm_job *job, uint32_t unit);
/* Source bytes of a unit into out, and whether they are still those that were planned: TM_E_VERIFY
 * otherwise. */
tm_status tm_unit_source(struct tm_job *job, uint32_t unit, struct tm_buf *out,
                         struct tm_err *err) TM_MUST_USE;
/* The largest |decoded - source| that a pipeline may leave in a block whose largest |source| is
 * abs_max: one step of the coarsest group for int, infinity where no such promise exists. */
double tm_unit_error_limit(const struct tm_pipeline *pipeline, double abs_max);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * One digest for the weights of a model, whatever file they are in and in which order: SHA-256 of
 * "tensormill.model.v1" and, for each tensor in bytewise order of names, its name, dtype, shape and
 * the SHA-256 of its bytes (the source digests of a package). */
#ifndef TM_MODEL_MODEL_DIGEST_H
#define TM_MODEL_MODEL_DIGEST_H

#include "model/checkpoint.h"

/* Called with the bytes read so far; false stops with TM_E_STOPPED. May be NULL. */
typedef bool (*tm_model_digest_progress)(void *context, uint64_t bytes);

/* Reads all weights. Errors: those of tm_checkpoint_hash. */
tm_status tm_model_digest(struct tm_checkpoint *checkpoint, tm_model_digest_progress progress,
                          void *context, struct tm_digest *out, struct tm_err *err) TM_MUST_USE;

#endif

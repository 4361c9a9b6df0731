/* SPDX-License-Identifier: Apache-2.0
 * A name for what a pass computes: two models with the same digest give the same logits. */
#ifndef TM_MODEL_PASS_WEIGHTS_DIGEST_H
#define TM_MODEL_PASS_WEIGHTS_DIGEST_H

#include "crypto/digest.h"
#include "model/pass/weights.h"

/* SHA-256 of the configuration's numbers and of every weight, in the dtypes that they have in
 * memory; the same on every machine. TM_E_NOMEM. */
tm_status tm_weights_digest(const struct tm_weights *weights, struct tm_digest *out) TM_MUST_USE;

#endif

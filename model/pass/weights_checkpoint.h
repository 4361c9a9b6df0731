/* SPDX-License-Identifier: Apache-2.0
 * Weights from a checkpoint. */
#ifndef TM_MODEL_PASS_WEIGHTS_CHECKPOINT_H
#define TM_MODEL_PASS_WEIGHTS_CHECKPOINT_H

#include "model/checkpoint.h"
#include "model/pass/weights.h"

/* The checkpoint outlives the source. */
struct tm_weights_source tm_weights_of_checkpoint(struct tm_checkpoint *checkpoint);

#endif

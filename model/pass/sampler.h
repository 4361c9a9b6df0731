/* SPDX-License-Identifier: Apache-2.0
 * Chooses the next token from logits. With a seed the choice is the same on every machine: logits,
 * exponentials and random numbers are. */
#ifndef TM_MODEL_PASS_SAMPLER_H
#define TM_MODEL_PASS_SAMPLER_H

#include "base/rng.h"
#include "base/status.h"

struct tm_sampler {
    double temperature; /* 0: always the likeliest token; of equal ones the lowest id */
    uint32_t top_k;     /* only the k likeliest are candidates; 0: all */
    double top_p;       /* only the likeliest that together have this probability; 1: all */
    struct tm_rng rng;
};

/* logits[count], changed. TM_E_NOMEM. */
tm_status tm_sampler_next(struct tm_sampler *sampler, float *logits, uint32_t count,
                          uint32_t *out) TM_MUST_USE;

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Rotary positions: the angle of pair i of a head at position p is p * frequency[i]. Private to
 * model/pass. */
#ifndef TM_MODEL_PASS_ROPE_H
#define TM_MODEL_PASS_ROPE_H

#include "model/pass/arch.h"

/* out[head_dim / 2] of layers with or without a window; `factors` divides them and may be NULL.
 * Scaling: linear of Chen et al. 2023 (arXiv:2306.15595), llama3 as in the model's own
 * configuration and code. */
void tm_rope_frequencies(const struct tm_arch *arch, bool window, const float *factors,
                         double *out);
/* cosines and sines [head_dim / 2] of one position. */
void tm_rope_angles(const double *frequencies, uint32_t pairs, uint32_t position, float *cosines,
                    float *sines);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Decoder of `ternary`: symbols of five trits and float16 scales to float32, y = code * scale + 0
 * in float; the sum turns -0 into +0. Format arithmetic. */
#ifndef TM_STAGES_TERNARY_DECODE_H
#define TM_STAGES_TERNARY_DECODE_H

#include "stages/stage.h"

/* values[rows * cols] of symbols that passed tm_symbols_check. */
void tm_ternary_decode(const struct tm_stage_params *params, struct tm_block_shape shape,
                       const struct tm_symbols *symbols, float *values);

#endif

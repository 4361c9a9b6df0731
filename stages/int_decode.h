/* SPDX-License-Identifier: Apache-2.0
 * Decoder of `int`: symbols and float16 scales to float32. y = (symbol - Z) * scale + 0, Z = 128 (8
 * bits) or 8 (4 bits), in float; the sum turns -0 into +0. Format arithmetic. */
#ifndef TM_STAGES_INT_DECODE_H
#define TM_STAGES_INT_DECODE_H

#include "stages/stage.h"

/* values[rows * cols] of symbols that passed tm_symbols_check. */
void tm_int_decode(const struct tm_stage_params *params, struct tm_block_shape shape,
                   const struct tm_symbols *symbols, float *values);
/* The block as GGUF Q8_0 or Q4_0 by bits: out[rows * cols / 32 * 34 or 18]; cols is a multiple of
 * 32. */
void tm_int_to_gguf(const struct tm_stage_params *params, struct tm_block_shape shape,
                    const struct tm_symbols *symbols, uint8_t *out);

/* ---- kernels, for the dispatcher and the tests ---- */

/* out[i] = (codes[i] - zero) * scale + 0 */
void tm_int_scale_ref(const uint8_t *codes, size_t count, int zero, float scale, float *out);
void tm_int_scale_avx2(const uint8_t *codes, size_t count, int zero, float scale, float *out);
void tm_int_scale_neon(const uint8_t *codes, size_t count, int zero, float scale, float *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Encoder of `int`: groups of 32 along the row, one float16 scale each, symbols of 8 or 4 bits; the
 * grids and the rounding of GGUF Q8_0 and Q4_0 (byte-identical to gguf.quants.quantize of gguf-py
 * where that is defined). The last group of a row may be shorter. Format arithmetic, float32:
 *   8 bits: d = max|x| / 127, i = 1 / d, q = x * i rounded half away from zero, symbol q + 128;
 *   4 bits: d = m / -8, m the first x with the largest |x|, i = 1 / d,
 *           symbol = min(15, trunc(x * i + 8.5)).
 * i is 0 when d is 0 or 1 / d overflows; the scale is d rounded to float16. */
#ifndef TM_STAGES_INT_ENCODE_H
#define TM_STAGES_INT_ENCODE_H

#include "stages/stage.h"

/* out is initialised and empty. Values that do not fit (tm_int_fits) are TM_E_REFUSED and err names
 * row and column. */
tm_status tm_int_encode(const struct tm_stage_params *params, struct tm_block_shape shape,
                        const float *values, struct tm_symbols *out,
                        struct tm_err *err) TM_MUST_USE;
/* Whether every value is finite and decodes to within R * 1.05 / 127 (8 bits) or R * 1.05 / 7 (4
 * bits), R = max |x| of its row. Only groups whose scale is not a normal float16 can break this. */
struct tm_misfit tm_int_fits(const struct tm_stage_params *params, struct tm_block_shape shape,
                             const float *values);

/* ---- kernels, for the dispatcher and the tests ---- */

struct tm_int_kernel {
    /* Largest bit pattern of |x|; above 0x7f7fffff when a value is not finite. */
    uint32_t (*abs_max_bits)(const float *x, size_t n);
    /* One group, n = 1..32 finite values: symbols to codes[n]; returns the scale's float16 bits. */
    uint16_t (*quantize8)(const float *x, size_t n, uint8_t *codes);
    uint16_t (*quantize4)(const float *x, size_t n, uint8_t *codes);
};
extern const struct tm_int_kernel tm_int_kernel_ref, tm_int_kernel_avx2, tm_int_kernel_neon;

#endif

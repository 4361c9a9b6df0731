/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/ternary_decode.h"

#include "base/bytes.h"
#include "model/convert.h"

/* codes[5] of each symbol, as floats -1, 0, +1. */
static void fill_codes(float codes[TM_TRIT_ALPHABET][TM_TRITS])
{
    for (int symbol = 0; symbol < TM_TRIT_ALPHABET; symbol++) {
        int rest = symbol;
        for (int i = 0; i < TM_TRITS; i++) {
            codes[symbol][i] = (float)(rest % 3 - 1);
            rest /= 3;
        }
    }
}

void tm_ternary_decode(const struct tm_stage_params *params, struct tm_block_shape shape,
                       const struct tm_symbols *symbols, float *values)
{
    float codes[TM_TRIT_ALPHABET][TM_TRITS];
    fill_codes(codes);
    size_t weights = (size_t)shape.rows * shape.cols, at = 0;
    const uint8_t *symbol = symbols->codes.data, *side = symbols->side.data;
    for (; at + TM_TRITS <= weights; at += TM_TRITS) {
        memcpy(values + at, codes[*symbol++], sizeof codes[0]);
    }
    if (at < weights) {
        memcpy(values + at, codes[*symbol], (weights - at) * sizeof *values);
    }
    for (uint32_t row = 0; row < shape.rows; row++) {
        for (uint32_t col = 0; col < shape.cols;) {
            uint32_t n = shape.cols - col < params->group ? shape.cols - col : params->group;
            float scale = tm_f16_to_f32(tm_get_u16(side));
            for (uint32_t i = 0; i < n; i++) {
                values[i] = values[i] * scale + 0.0f;
            }
            side += 2;
            values += n;
            col += n;
        }
    }
}

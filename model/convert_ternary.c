/* SPDX-License-Identifier: Apache-2.0
 * TQ1_0 and TQ2_0: 256 values of -d, 0 or d a block.
 *
 *   TQ1_0  fives[48] fours[4] d      values 32n + j: fives[j], j < 32; values 160 + 16n + j:
 *                                    fives[32 + j]; values 240 + 4n + j: fours[j]
 *   TQ2_0  twos[64] d                as in Q2_K (convert_k.c)
 *
 * A byte of TQ1_0 is a fraction of 256: digit n in base 3 is the whole part of three times what is
 * left of it after n multiplications by 3. The code is the digit less 1. */
#include "model/convert_blocks.h"

enum { BLOCK = 256 };

/* `digits` digits of each of `count` bytes, digit by digit. Returns the end of dst. */
static inline float *decode_digits(const uint8_t *restrict bytes, unsigned count, unsigned digits,
                                   float d, float *restrict dst)
{
    unsigned power = 1;
    for (unsigned n = 0; n < digits; n++, power *= 3, dst += count) {
        for (unsigned j = 0; j < count; j++) {
            unsigned left = bytes[j] * power & 0xff;
            dst[j] = d * (float)((int)(left * 3 >> 8) - 1);
        }
    }
    return dst;
}

void tm_tq1_0_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 54) {
        float d = tm_half_widen(tm_get_u16(src + 52));
        dst = decode_digits(src, 32, 5, d, dst);
        dst = decode_digits(src + 32, 16, 5, d, dst);
        dst = decode_digits(src + 48, 4, 4, d, dst);
    }
}

void tm_tq2_0_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 66, dst += BLOCK) {
        float d = tm_half_widen(tm_get_u16(src + 64));
        for (unsigned run = 0; run < BLOCK / 32; run++) {
            const uint8_t *twos = src + 32 * (run / 4);
            unsigned shift = run % 4 * 2;
            for (unsigned j = 0; j < 32; j++) {
                dst[32 * run + j] = d * (float)((twos[j] >> shift & 3) - 1);
            }
        }
    }
}

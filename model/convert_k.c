/* SPDX-License-Identifier: Apache-2.0
 * Q2_K to Q6_K: 256 values a block.
 *
 *   Q2_K  scales[16] twos[64] d dmin                 d * scale * q - dmin * min  (16 groups of 16)
 *   Q3_K  high[32] twos[64] scales[12] d             d * scale * q               (16 groups of 16)
 *   Q4_K  d dmin scales[12] nibbles[128]             d * scale * q - dmin * min   (8 groups of 32)
 *   Q5_K  d dmin scales[12] high[32] nibbles[128]    the same with 5-bit q
 *   Q6_K  low[128] high[64] scales[16] d             d * scale * (q - 32)         (16 groups of 16)
 *
 * Scale and minimum of Q4_K and Q5_K have 6 bits: groups 0..3 in the low bits of bytes g and 4 + g,
 * groups 4..7 in the nibbles of byte 4 + g and the two top bits of bytes g - 4 and g. Q2_K has a
 * byte a group: scale in the low nibble, minimum in the high one. Q3_K has sixteen scales of 6
 * bits, less 32: the low four bits in the nibbles of bytes 0..7 (groups 8.. in the high ones), the
 * high two in bytes 8..11 (group g in byte 8 + g % 4, bits 2 * (g / 4)).
 *
 * Two-bit codes of values 128 * h + 32 * k + j lie in bits 2k, 2k + 1 of byte 32 * h + j. The third
 * bit of Q3_K, for value 32 * k + j, is bit k of byte j of `high`: where it is 0 the code is 4
 * less.
 */
#include "model/convert_blocks.h"

enum { BLOCK = 256, GROUP = 32, SCALE_BYTES = 12 };

struct affine {
    float scale;
    float min;
};

static struct affine group_affine(const uint8_t *scales, unsigned group, float d, float dmin)
{
    unsigned scale, min;
    if (group < 4) {
        scale = scales[group] & 63;
        min = scales[group + 4] & 63;
    } else {
        scale = (scales[group + 4] & 15u) | (scales[group - 4] >> 6) << 4;
        min = (unsigned)scales[group + 4] >> 4 | (unsigned)(scales[group] >> 6) << 4;
    }
    return (struct affine){d * (float)scale, dmin * (float)min};
}

void tm_q4_k_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 144) {
        float d = tm_half_widen(tm_get_u16(src));
        float dmin = tm_half_widen(tm_get_u16(src + 2));
        const uint8_t *scales = src + 4;
        const uint8_t *nibbles = scales + SCALE_BYTES;
        for (unsigned group = 0; group < BLOCK / GROUP; group += 2, nibbles += GROUP) {
            struct affine low = group_affine(scales, group, d, dmin);
            for (unsigned j = 0; j < GROUP; j++) {
                dst[j] = low.scale * (float)(nibbles[j] & 15) - low.min;
            }
            dst += GROUP;
            struct affine high = group_affine(scales, group + 1, d, dmin);
            for (unsigned j = 0; j < GROUP; j++) {
                dst[j] = high.scale * (float)(nibbles[j] >> 4) - high.min;
            }
            dst += GROUP;
        }
    }
}

void tm_q5_k_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 176) {
        float d = tm_half_widen(tm_get_u16(src));
        float dmin = tm_half_widen(tm_get_u16(src + 2));
        const uint8_t *scales = src + 4;
        const uint8_t *fifths = scales + SCALE_BYTES; /* bit g of byte j: value j of group g */
        const uint8_t *nibbles = fifths + GROUP;
        for (unsigned group = 0; group < BLOCK / GROUP; group += 2, nibbles += GROUP) {
            struct affine low = group_affine(scales, group, d, dmin);
            for (unsigned j = 0; j < GROUP; j++) {
                int code = (nibbles[j] & 15) | (fifths[j] >> group & 1) << 4;
                dst[j] = low.scale * (float)code - low.min;
            }
            dst += GROUP;
            struct affine high = group_affine(scales, group + 1, d, dmin);
            for (unsigned j = 0; j < GROUP; j++) {
                int code = nibbles[j] >> 4 | (fifths[j] >> (group + 1) & 1) << 4;
                dst[j] = high.scale * (float)code - high.min;
            }
            dst += GROUP;
        }
    }
}

/* 128 values from 64 low bytes, 32 high bytes and 8 scales: quarter k (32 values) takes nibble k /
 * 2 of the low bytes 32 * (k % 2) + j and bits 2k, 2k + 1 of the high byte j. */
static inline void decode_six_bits(const uint8_t *restrict low, const uint8_t *restrict high,
                                   const int8_t *scales, float d, float *restrict dst)
{
    for (unsigned quarter = 0; quarter < 4; quarter++) {
        const uint8_t *nibbles = low + GROUP * (quarter % 2);
        unsigned nibble_shift = quarter / 2 * 4;
        unsigned high_shift = quarter * 2;
        for (unsigned part = 0; part < 2; part++) {
            float scale = d * (float)scales[2 * quarter + part];
            for (unsigned j = 16 * part; j < 16 * part + 16; j++) {
                int code = (nibbles[j] >> nibble_shift & 15) | (high[j] >> high_shift & 3) << 4;
                dst[GROUP * quarter + j] = scale * (float)(code - 32);
            }
        }
    }
}

void tm_q6_k_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 210, dst += BLOCK) {
        const uint8_t *low = src;
        const uint8_t *high = low + 128;
        const int8_t *scales = (const int8_t *)(high + 64);
        float d = tm_half_widen(tm_get_u16(src + 208));
        decode_six_bits(low, high, scales, d, dst);
        decode_six_bits(low + 64, high + 32, scales + 8, d, dst + BLOCK / 2);
    }
}

void tm_q2_k_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 84) {
        const uint8_t *scales = src;
        float d = tm_half_widen(tm_get_u16(src + 80));
        float dmin = tm_half_widen(tm_get_u16(src + 82));
        for (unsigned group = 0; group < BLOCK / 16; group++, dst += 16) {
            const uint8_t *twos = src + 16 + GROUP * (group / 8) + 16 * (group % 2);
            unsigned shift = group % 8 / 2 * 2;
            float scale = d * (float)(scales[group] & 15);
            float min = dmin * (float)(scales[group] >> 4);
            for (unsigned j = 0; j < 16; j++) {
                dst[j] = scale * (float)(twos[j] >> shift & 3) - min;
            }
        }
    }
}

void tm_q3_k_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 110) {
        const uint8_t *scales = src + 96;
        float d = tm_half_widen(tm_get_u16(src + 108));
        for (unsigned group = 0; group < BLOCK / 16; group++, dst += 16) {
            const uint8_t *third = src + 16 * (group % 2);
            const uint8_t *twos = src + 32 + GROUP * (group / 8) + 16 * (group % 2);
            unsigned shift = group % 8 / 2 * 2;
            int low = scales[group % 8] >> group / 8 * 4 & 15;
            int high = scales[8 + group % 4] >> group / 4 * 2 & 3;
            float scale = d * (float)((low | high << 4) - 32);
            for (unsigned j = 0; j < 16; j++) {
                int code = (twos[j] >> shift & 3) | (third[j] >> group / 2 & 1) << 2;
                dst[j] = scale * (float)(code - 4);
            }
        }
    }
}

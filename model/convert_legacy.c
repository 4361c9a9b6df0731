/* SPDX-License-Identifier: Apache-2.0
 * Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0: 32 values a block under one scale (and one minimum), both
 * halves. Value j < 16 is the low nibble of byte j, value 16 + j the high one; Q5 keeps the fifth
 * bits of values 0..31 in a 32-bit word.
 *
 *   Q4_0  d nibbles[16]         d * (q - 8)      Q5_0  d high[4] nibbles[16]     d * (q - 16)
 *   Q4_1  d m nibbles[16]       d * q + m        Q5_1  d m high[4] nibbles[16]   d * q + m
 *   Q8_0  d codes[32]           d * q */
#include "model/convert_blocks.h"

#include "model/convert.h"

enum { BLOCK = 32, HALF = BLOCK / 2 };

/* ---- decoders ---- */

void tm_q4_0_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 18, dst += BLOCK) {
        float d = tm_half_widen(tm_get_u16(src));
        for (unsigned j = 0; j < HALF; j++) {
            dst[j] = d * (float)((src[2 + j] & 15) - 8);
        }
        for (unsigned j = 0; j < HALF; j++) {
            dst[HALF + j] = d * (float)((src[2 + j] >> 4) - 8);
        }
    }
}

void tm_q4_1_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 20, dst += BLOCK) {
        float d = tm_half_widen(tm_get_u16(src));
        float m = tm_half_widen(tm_get_u16(src + 2));
        for (unsigned j = 0; j < HALF; j++) {
            dst[j] = d * (float)(src[4 + j] & 15) + m;
        }
        for (unsigned j = 0; j < HALF; j++) {
            dst[HALF + j] = d * (float)(src[4 + j] >> 4) + m;
        }
    }
}

/* The 5-bit codes of a block, from the word of fifth bits and the nibbles after it. */
static inline void join_five_bits(const uint8_t *restrict src, uint8_t *restrict codes)
{
    uint32_t high = tm_get_u32(src);
    const uint8_t *nibbles = src + 4;
    for (unsigned j = 0; j < HALF; j++) {
        codes[j] = (uint8_t)((nibbles[j] & 15) | (high >> j & 1) << 4);
        codes[HALF + j] = (uint8_t)(nibbles[j] >> 4 | (high >> (HALF + j) & 1) << 4);
    }
}

void tm_q5_0_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 22, dst += BLOCK) {
        float d = tm_half_widen(tm_get_u16(src));
        uint8_t codes[BLOCK];
        join_five_bits(src + 2, codes);
        for (unsigned j = 0; j < BLOCK; j++) {
            dst[j] = d * (float)(codes[j] - 16);
        }
    }
}

void tm_q5_1_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 24, dst += BLOCK) {
        float d = tm_half_widen(tm_get_u16(src));
        float m = tm_half_widen(tm_get_u16(src + 2));
        uint8_t codes[BLOCK];
        join_five_bits(src + 4, codes);
        for (unsigned j = 0; j < BLOCK; j++) {
            dst[j] = d * (float)codes[j] + m;
        }
    }
}

void tm_q8_0_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count > 0; count--, src += 34, dst += BLOCK) {
        float d = tm_half_widen(tm_get_u16(src));
        const int8_t *codes = (const int8_t *)(src + 2);
        for (unsigned j = 0; j < BLOCK; j++) {
            dst[j] = (float)codes[j] * d;
        }
    }
}

/* ---- encoders ---- */

/* 1/d, and 0 for a block whose scale is zero. May overflow to infinity when d is subnormal. */
static float inverse_of(float d)
{
    return d == 0.0f ? 0.0f : 1.0f / d;
}

/* Whether an int32 holds the value. A subnormal scale has an infinite inverse, and the products are
 * then no numbers; numpy's cast makes code 0 of them on x86-64, where the reference bytes are from.
 */
static bool fits_int32(float value)
{
    return value > -2147483648.0f && value < 2147483648.0f;
}

/* The first value of the largest magnitude gives the scale, with its sign: it becomes code 0. */
void tm_q4_0_encode(const float *restrict src, uint64_t count, uint8_t *restrict dst)
{
    for (; count > 0; count--, src += BLOCK, dst += 18) {
        float peak = src[0];
        for (unsigned j = 1; j < BLOCK; j++) {
            uint32_t magnitude = tm_f32_bits(src[j]) & 0x7fffffffu;
            peak = magnitude > (tm_f32_bits(peak) & 0x7fffffffu) ? src[j] : peak;
        }
        float d = peak / -8.0f;
        float inverse = inverse_of(d);
        uint8_t codes[BLOCK];
        for (unsigned j = 0; j < BLOCK; j++) {
            float shifted = src[j] * inverse + 8.5f;
            uint8_t code = fits_int32(shifted) ? (uint8_t)(int32_t)shifted : 0;
            codes[j] = code < 15 ? code : 15;
        }
        tm_set_u16(dst, tm_f32_to_f16(d));
        for (unsigned j = 0; j < HALF; j++) {
            dst[2 + j] = (uint8_t)(codes[j] | codes[HALF + j] << 4);
        }
    }
}

/* To the nearest integer, ties away from zero; value - whole is exact. */
static int32_t round_away(float value)
{
    if (!fits_int32(value)) {
        return 0;
    }
    int32_t whole = (int32_t)value;
    float rest = value - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

void tm_q8_0_encode(const float *restrict src, uint64_t count, uint8_t *restrict dst)
{
    for (; count > 0; count--, src += BLOCK, dst += 34) {
        uint32_t peak = 0;
        for (unsigned j = 0; j < BLOCK; j++) {
            uint32_t magnitude = tm_f32_bits(src[j]) & 0x7fffffffu;
            peak = magnitude > peak ? magnitude : peak;
        }
        float d = tm_f32_from_bits(peak) / 127.0f;
        float inverse = inverse_of(d);
        tm_set_u16(dst, tm_f32_to_f16(d));
        for (unsigned j = 0; j < BLOCK; j++) {
            dst[2 + j] = (uint8_t)round_away(src[j] * inverse);
        }
    }
}

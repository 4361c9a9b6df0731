/* SPDX-License-Identifier: Apache-2.0
 * Single numbers, the plain float types, and the dispatch to block decoders. */
#include "model/convert.h"

#include "model/convert_blocks.h"

enum { F16_ABS_MASK = 0x7fff, F16_INFINITY = 0x7c00 };

#define F32_ABS_MASK 0x7fffffffu
#define F32_INFINITY 0x7f800000u

/* ---- single numbers ---- */

float tm_f16_to_f32(uint16_t half)
{
    return tm_half_widen(half);
}

/* Drops `shift` low bits of value, rounding to nearest, ties to even. */
static uint32_t round_shift(uint32_t value, unsigned shift)
{
    uint32_t odd = value >> shift & 1;
    return (value + (1u << (shift - 1)) - 1 + odd) >> shift;
}

static uint32_t half_of_magnitude(uint32_t bits)
{
    if (bits > F32_INFINITY) { /* keep what fits of the payload, and keep it a NaN */
        uint32_t payload = (bits & 0x7fffff) >> 13;
        return F16_INFINITY | (payload != 0 ? payload : 1);
    }
    if (bits >= (142u << 23 | 0x7ff000)) { /* 65520, half way past the largest half */
        return F16_INFINITY;
    }
    uint32_t exponent = bits >> 23;
    if (exponent >= 113) { /* a carry out of the mantissa steps the exponent, as it should */
        return round_shift(bits - (112u << 23), 13);
    }
    if (exponent < 102) { /* below half of the smallest subnormal half */
        return 0;
    }
    return round_shift((bits & 0x7fffff) | 0x800000, 126 - exponent);
}

uint16_t tm_f32_to_f16(float value)
{
    uint32_t bits = tm_f32_bits(value);
    return (uint16_t)(half_of_magnitude(bits & F32_ABS_MASK) | (bits >> 16 & 0x8000));
}

float tm_bf16_to_f32(uint16_t brain)
{
    return tm_f32_from_bits((uint32_t)brain << 16);
}

uint16_t tm_f32_to_bf16(float value)
{
    uint32_t bits = tm_f32_bits(value);
    if ((bits & F32_ABS_MASK) > F32_INFINITY) {
        return (uint16_t)(bits >> 16 | 0x40);
    }
    return (uint16_t)round_shift(bits, 16);
}

/* ---- runs of plain floats ---- */

static void f32_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (uint64_t i = 0; i < count; i++) {
        dst[i] = tm_f32_from_bits(tm_get_u32(src + 4 * i));
    }
}

static void f64_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (uint64_t i = 0; i < count; i++) {
        dst[i] = (float)tm_f64_from_bits(tm_get_u64(src + 8 * i));
    }
}

/* Strips of a fixed length, because gcc -O2 vectorises loops of a known count only. */
enum { STRIP = 64 };

static void f16_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count >= STRIP; count -= STRIP, src += 2 * STRIP, dst += STRIP) {
        for (unsigned i = 0; i < STRIP; i++) {
            dst[i] = tm_half_widen(tm_get_u16(src + 2 * i));
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        dst[i] = tm_half_widen(tm_get_u16(src + 2 * i));
    }
}

static void bf16_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (; count >= STRIP; count -= STRIP, src += 2 * STRIP, dst += STRIP) {
        for (unsigned i = 0; i < STRIP; i++) {
            dst[i] = tm_bf16_to_f32(tm_get_u16(src + 2 * i));
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        dst[i] = tm_bf16_to_f32(tm_get_u16(src + 2 * i));
    }
}

/* OCP OFP8 E5M2 is the upper byte of a half. */
static void f8_e5m2_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (uint64_t i = 0; i < count; i++) {
        dst[i] = tm_half_widen((uint16_t)(src[i] << 8));
    }
}

/* OCP OFP8 E4M3 has bias 7 and no infinity; read as a half (bias 15) it is 2^8 too small. */
static void f8_e4m3_decode(const uint8_t *restrict src, uint64_t count, float *restrict dst)
{
    for (uint64_t i = 0; i < count; i++) {
        uint32_t sign = (uint32_t)(src[i] & 0x80) << 24;
        uint32_t magnitude = src[i] & 0x7f;
        uint32_t bits = magnitude == 0x7f
                            ? 0x7fc00000u
                            : tm_f32_bits(tm_half_widen((uint16_t)(magnitude << 7)) * 256.0f);
        dst[i] = tm_f32_from_bits(bits | sign);
    }
}

static void f32_encode(const float *restrict src, uint64_t count, uint8_t *restrict dst)
{
    for (uint64_t i = 0; i < count; i++) {
        tm_set_u32(dst + 4 * i, tm_f32_bits(src[i]));
    }
}

static void f16_encode(const float *restrict src, uint64_t count, uint8_t *restrict dst)
{
    for (uint64_t i = 0; i < count; i++) {
        tm_set_u16(dst + 2 * i, tm_f32_to_f16(src[i]));
    }
}

static void bf16_encode(const float *restrict src, uint64_t count, uint8_t *restrict dst)
{
    for (uint64_t i = 0; i < count; i++) {
        tm_set_u16(dst + 2 * i, tm_f32_to_bf16(src[i]));
    }
}

/* ---- dispatch ---- */

static tm_decode_blocks *decoder_of(enum tm_dtype dtype)
{
    switch (dtype) {
    case TM_F32:
        return f32_decode;
    case TM_F16:
        return f16_decode;
    case TM_BF16:
        return bf16_decode;
    case TM_F64:
        return f64_decode;
    case TM_F8_E4M3:
        return f8_e4m3_decode;
    case TM_F8_E5M2:
        return f8_e5m2_decode;
    case TM_Q4_0:
        return tm_q4_0_decode;
    case TM_Q4_1:
        return tm_q4_1_decode;
    case TM_Q5_0:
        return tm_q5_0_decode;
    case TM_Q5_1:
        return tm_q5_1_decode;
    case TM_Q8_0:
        return tm_q8_0_decode;
    case TM_Q4_K:
        return tm_q4_k_decode;
    case TM_Q5_K:
        return tm_q5_k_decode;
    case TM_Q6_K:
        return tm_q6_k_decode;
    case TM_Q2_K:
        return tm_q2_k_decode;
    case TM_Q3_K:
        return tm_q3_k_decode;
    case TM_IQ4_NL:
        return tm_iq4_nl_decode;
    case TM_IQ4_XS:
        return tm_iq4_xs_decode;
    case TM_TQ1_0:
        return tm_tq1_0_decode;
    case TM_TQ2_0:
        return tm_tq2_0_decode;
    case TM_MXFP4:
        return tm_mxfp4_decode;
    default:
        return NULL;
    }
}

static tm_encode_blocks *encoder_of(enum tm_dtype dtype)
{
    switch (dtype) {
    case TM_F32:
        return f32_encode;
    case TM_F16:
        return f16_encode;
    case TM_BF16:
        return bf16_encode;
    case TM_Q4_0:
        return tm_q4_0_encode;
    case TM_Q8_0:
        return tm_q8_0_encode;
    default:
        return NULL;
    }
}

tm_status tm_convert_to_f32(enum tm_dtype dtype, const void *src, uint64_t elements, float *dst)
{
    tm_decode_blocks *decode = decoder_of(dtype);
    if (decode == NULL || elements % tm_dtype_block_elements(dtype) != 0) {
        return TM_E_USAGE;
    }
    decode(src, elements / tm_dtype_block_elements(dtype), dst);
    return TM_OK;
}

tm_status tm_convert_from_f32(enum tm_dtype dtype, const float *src, uint64_t elements, void *dst)
{
    tm_encode_blocks *encode = encoder_of(dtype);
    if (encode == NULL || elements % tm_dtype_block_elements(dtype) != 0) {
        return TM_E_USAGE;
    }
    encode(src, elements / tm_dtype_block_elements(dtype), dst);
    return TM_OK;
}

/* ---- scan ---- */

/* Largest magnitude of a strip, as bits: for magnitudes the order of the bits is that of the
 * values, and everything that is not finite is at least F32_INFINITY. */
static uint32_t strip_max(const float *values, size_t count)
{
    uint32_t max = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = tm_f32_bits(values[i]) & F32_ABS_MASK;
        max = bits > max ? bits : max;
    }
    return max;
}

static void scan_slowly(const float *values, size_t count, struct tm_scan *scan)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = tm_f32_bits(values[i]) & F32_ABS_MASK;
        if (bits < F32_INFINITY) {
            float magnitude = tm_f32_from_bits(bits);
            scan->abs_max = magnitude > scan->abs_max ? magnitude : scan->abs_max;
            continue;
        }
        if (scan->nan_count + scan->inf_count == 0) {
            scan->first_bad = scan->elements + i;
        }
        scan->nan_count += bits > F32_INFINITY;
        scan->inf_count += bits == F32_INFINITY;
    }
}

void tm_scan_f32(const float *values, uint64_t elements, struct tm_scan *scan)
{
    enum { SCAN_STRIP = 1024 };
    for (uint64_t at = 0; at < elements;) {
        uint64_t left = elements - at;
        size_t count = left >= SCAN_STRIP ? SCAN_STRIP : (size_t)left;
        uint32_t max = count == SCAN_STRIP ? strip_max(values + at, SCAN_STRIP)
                                           : strip_max(values + at, count);
        if (max >= F32_INFINITY) {
            scan_slowly(values + at, count, scan);
        } else if (tm_f32_from_bits(max) > scan->abs_max) {
            scan->abs_max = tm_f32_from_bits(max);
        }
        at += count;
        scan->elements += count;
    }
    if (scan->nan_count + scan->inf_count == 0) {
        scan->first_bad = scan->elements;
    }
}

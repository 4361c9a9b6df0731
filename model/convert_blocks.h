/* SPDX-License-Identifier: Apache-2.0
 * The decoders and encoders behind model/convert.h, one function a dtype: `count` blocks of the
 * dtype (values, for the types without blocks) at src, any alignment, to count * block values at
 * dst, or back. Private to model/convert*.c and their tests.
 *
 * Arithmetic: float32 operations in the order of gguf.quants 0.19, each one rounded on its own (no
 * fused multiply-add), so that the results agree bit for bit. The plain C functions are the
 * specification; a kernel of another name gives the same bits. */
#ifndef TM_MODEL_CONVERT_BLOCKS_H
#define TM_MODEL_CONVERT_BLOCKS_H

#include "base/bytes.h"

typedef void tm_decode_blocks(const uint8_t *restrict src, uint64_t count, float *restrict dst);
typedef void tm_encode_blocks(const float *restrict src, uint64_t count, uint8_t *restrict dst);

/* convert_legacy.c: 32 values a block. */
tm_decode_blocks tm_q4_0_decode;
tm_decode_blocks tm_q4_1_decode;
tm_decode_blocks tm_q5_0_decode;
tm_decode_blocks tm_q5_1_decode;
tm_decode_blocks tm_q8_0_decode;
tm_encode_blocks tm_q4_0_encode;
tm_encode_blocks tm_q8_0_encode;

/* convert_k.c: 256 values a block. */
tm_decode_blocks tm_q4_k_decode;
tm_decode_blocks tm_q5_k_decode;
tm_decode_blocks tm_q6_k_decode;
tm_decode_blocks tm_q2_k_decode;
tm_decode_blocks tm_q3_k_decode;

/* convert_codebook.c: 32 values a block, 256 for IQ4_XS. */
tm_decode_blocks tm_iq4_nl_decode;
tm_decode_blocks tm_iq4_xs_decode;
tm_decode_blocks tm_mxfp4_decode;

/* convert_ternary.c: 256 values a block. */
tm_decode_blocks tm_tq1_0_decode;
tm_decode_blocks tm_tq2_0_decode;

/* A half to a float with integer steps and one exact subtraction; inlined into every loop so that
 * the compiler can vectorise it. A NaN keeps its payload and is not made quiet, as numpy does. */
static inline float tm_half_widen(uint16_t half)
{
    const uint32_t exponent_mask = 0x1fu << 23;
    const uint32_t rebias = 112u << 23; /* 127 - 15 */
    uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
    uint32_t exponent = magnitude & exponent_mask;
    uint32_t normal = magnitude + rebias + (exponent == exponent_mask ? rebias : 0);
    /* A subnormal half is mantissa * 2^-24: read it as 2^-14 + that, then take 2^-14 away. */
    float small = tm_f32_from_bits(magnitude + (113u << 23)) - tm_f32_from_bits(113u << 23);
    uint32_t is_small = 0u - (uint32_t)(exponent == 0); /* a mask: a branch would not vectorise */
    uint32_t bits = (tm_f32_bits(small) & is_small) | (normal & ~is_small);
    return tm_f32_from_bits(bits | (uint32_t)(half & 0x8000) << 16);
}

#endif

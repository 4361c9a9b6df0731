/* SPDX-License-Identifier: Apache-2.0
 * Kernel of dot.h: lanes 0..3 and 4..7 in one register each. */
#include "model/pass/dot.h"

#include <arm_neon.h>
#include <string.h>

#include "base/bytes.h"
#include "model/convert.h"

#define INLINE static inline __attribute__((always_inline))

/* Eight weights as float32: number `at` (a multiple of 8) of a row and those behind it. */
typedef float32x4x2_t (*load_fn)(const uint8_t *row, size_t at);

INLINE float32x4x2_t load_f32(const uint8_t *row, size_t at)
{
    const float *w = (const float *)(const void *)(row + at * 4);
    return (float32x4x2_t){{vld1q_f32(w), vld1q_f32(w + 4)}};
}

INLINE float32x4x2_t load_f16(const uint8_t *row, size_t at)
{
    float16x8_t half = vreinterpretq_f16_u8(vld1q_u8(row + at * 2));
    return (float32x4x2_t){{vcvt_f32_f16(vget_low_f16(half)), vcvt_f32_f16(vget_high_f16(half))}};
}

INLINE float32x4x2_t load_bf16(const uint8_t *row, size_t at)
{
    uint16x8_t half = vreinterpretq_u16_u8(vld1q_u8(row + at * 2));
    return (float32x4x2_t){{vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(half), 16)),
                            vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(half), 16))}};
}

INLINE float32x4x2_t to_floats(int16x8_t q)
{
    return (float32x4x2_t){
        {vcvtq_f32_s32(vmovl_s16(vget_low_s16(q))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(q)))}};
}

INLINE float32x4x2_t scaled(int16x8_t q, const uint8_t *scale)
{
    float32x4x2_t out = to_floats(q);
    float32x4_t factor = vdupq_n_f32(tm_f16_to_f32(tm_get_u16(scale)));
    out.val[0] = vmulq_f32(out.val[0], factor);
    out.val[1] = vmulq_f32(out.val[1], factor);
    return out;
}

INLINE float32x4x2_t load_q8_0(const uint8_t *row, size_t at)
{
    const uint8_t *block = row + at / 32 * 34;
    return scaled(vmovl_s8(vreinterpret_s8_u8(vld1_u8(block + 2 + at % 32))), block);
}

/* Nibbles of 32 weights: the first 16 are the low ones of the 16 bytes. */
INLINE int16x8_t nibbles(const uint8_t *codes, size_t at)
{
    uint8x8_t bytes = vld1_u8(codes + at % 16);
    bytes = at % 32 < 16 ? vand_u8(bytes, vdup_n_u8(15)) : vshr_n_u8(bytes, 4);
    return vreinterpretq_s16_u16(vmovl_u8(bytes));
}

INLINE float32x4x2_t load_q4_0(const uint8_t *row, size_t at)
{
    const uint8_t *block = row + at / 32 * 18;
    return scaled(vsubq_s16(nibbles(block + 2, at), vdupq_n_s16(8)), block);
}

INLINE float32x4x2_t load_q4_1(const uint8_t *row, size_t at)
{
    const uint8_t *block = row + at / 32 * 20;
    float32x4x2_t out = scaled(nibbles(block + 4, at), block);
    float32x4_t least = vdupq_n_f32(tm_f16_to_f32(tm_get_u16(block + 2)));
    out.val[0] = vaddq_f32(out.val[0], least);
    out.val[1] = vaddq_f32(out.val[1], least);
    return out;
}

/* ((0+1)+(2+3))+((4+5)+(6+7))+0 */
INLINE float pairwise(float32x4x2_t v)
{
    float32x4_t pairs = vpaddq_f32(v.val[0], v.val[1]);
    float32x4_t fours = vpaddq_f32(pairs, pairs);
    return vgetq_lane_f32(fours, 0) + vgetq_lane_f32(fours, 1) + 0.0f;
}

/* `rows` rows (a constant) from number `row` on times `vectors` vectors (a constant). */
INLINE void tile(const struct tm_dot *dot, size_t row, size_t vector, size_t rows, size_t vectors,
                 load_fn load)
{
    const uint8_t *w = dot->w + row * dot->w_stride;
    const float *x = dot->x + vector * dot->x_stride;
    float32x4x2_t sum[9];
    memset(sum, 0, sizeof sum);
    for (size_t at = 0; at < dot->cols; at += 8) {
        float32x4x2_t part[3];
        for (size_t v = 0; v < vectors; v++) {
            part[v] = load_f32((const uint8_t *)(x + v * dot->x_stride), at);
        }
        for (size_t r = 0; r < rows; r++) {
            float32x4x2_t weights = load(w + r * dot->w_stride, at);
            for (size_t v = 0; v < vectors; v++) {
                float32x4x2_t *s = &sum[r * vectors + v];
                s->val[0] = vfmaq_f32(s->val[0], weights.val[0], part[v].val[0]);
                s->val[1] = vfmaq_f32(s->val[1], weights.val[1], part[v].val[1]);
            }
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t v = 0; v < vectors; v++) {
            dot->y[(vector + v) * dot->y_stride + row + r] = pairwise(sum[r * vectors + v]);
        }
    }
}

/* Tiles of 3 x 3 and, for what is left of the vectors, of 8 x 1. */
INLINE void all_vectors(const struct tm_dot *dot, load_fn load)
{
    size_t vector = 0;
    for (; vector + 3 <= dot->vectors; vector += 3) {
        size_t row = 0;
        for (; row + 3 <= dot->rows; row += 3) {
            tile(dot, row, vector, 3, 3, load);
        }
        for (; row < dot->rows; row++) {
            tile(dot, row, vector, 1, 3, load);
        }
    }
    for (; vector < dot->vectors; vector++) {
        size_t row = 0;
        for (; row + 8 <= dot->rows; row += 8) {
            tile(dot, row, vector, 8, 1, load);
        }
        for (; row < dot->rows; row++) {
            tile(dot, row, vector, 1, 1, load);
        }
    }
}

void tm_dot_neon(const struct tm_dot *dot)
{
    switch (dot->dtype) {
    case TM_F32:
        all_vectors(dot, load_f32);
        break;
    case TM_F16:
        all_vectors(dot, load_f16);
        break;
    case TM_BF16:
        all_vectors(dot, load_bf16);
        break;
    case TM_Q8_0:
        all_vectors(dot, load_q8_0);
        break;
    case TM_Q4_0:
        all_vectors(dot, load_q4_0);
        break;
    case TM_Q6_K:
        tm_dot_ref(dot);
        break;
    default:
        TM_ASSERT(dot->dtype == TM_Q4_1);
        all_vectors(dot, load_q4_1);
    }
}

INLINE void unpack(const uint8_t *w, size_t elements, load_fn load, float *out)
{
    for (size_t at = 0; at < elements; at += 8) {
        float32x4x2_t eight = load(w, at);
        vst1q_f32(out + at, eight.val[0]);
        vst1q_f32(out + at + 4, eight.val[1]);
    }
}

void tm_unpack_neon(enum tm_dtype dtype, const uint8_t *w, size_t elements, float *out)
{
    switch (dtype) {
    case TM_F32:
        unpack(w, elements, load_f32, out);
        break;
    case TM_F16:
        unpack(w, elements, load_f16, out);
        break;
    case TM_BF16:
        unpack(w, elements, load_bf16, out);
        break;
    case TM_Q8_0:
        unpack(w, elements, load_q8_0, out);
        break;
    case TM_Q4_0:
        unpack(w, elements, load_q4_0, out);
        break;
    case TM_Q6_K:
        tm_unpack_ref(dtype, w, elements, out);
        break;
    default:
        TM_ASSERT(dtype == TM_Q4_1);
        unpack(w, elements, load_q4_1, out);
    }
}

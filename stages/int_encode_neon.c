/* SPDX-License-Identifier: Apache-2.0
 * Kernel of int_encode.h. Full groups only; shorter ones go to the reference. */
#include "stages/int_encode.h"

#include <arm_neon.h>

#include "base/bytes.h"
#include "model/convert.h"

#define GROUP 32

static uint32x4_t abs_bits(const float *x)
{
    return vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x)), vdupq_n_u32(0x7fffffff));
}

static uint32_t abs_max_bits_neon(const float *x, size_t n)
{
    uint32x4_t max = vdupq_n_u32(0);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        max = vmaxq_u32(max, abs_bits(x + i));
    }
    uint32_t head = vmaxvq_u32(max);
    uint32_t tail = tm_int_kernel_ref.abs_max_bits(x + i, n - i);
    return head > tail ? head : tail;
}

static float inverse(float d)
{
    float i = d == 0.0f ? 0.0f : 1.0f / d;
    return (tm_f32_bits(i) & 0x7fffffff) == 0x7f800000 ? 0.0f : i;
}

/* Eight symbols 0..255. */
static void store_codes(int32x4_t low, int32x4_t high, uint8_t *codes)
{
    vst1_u8(codes, vqmovun_s16(vcombine_s16(vqmovn_s32(low), vqmovn_s32(high))));
}

/* 128 + x * id, rounded half away from zero. */
static int32x4_t quantize8_four(const float *x, float32x4_t id)
{
    float32x4_t t = vmulq_f32(vld1q_f32(x), id);
    float32x4_t a = vabsq_f32(t);
    int32x4_t whole = vcvtq_s32_f32(a);
    float32x4_t rest = vsubq_f32(a, vcvtq_f32_s32(whole));
    /* A true comparison is -1. */
    whole = vsubq_s32(whole, vreinterpretq_s32_u32(vcgeq_f32(rest, vdupq_n_f32(0.5f))));
    int32x4_t minus = vshrq_n_s32(vreinterpretq_s32_f32(t), 31);
    whole = vsubq_s32(veorq_s32(whole, minus), minus);
    return vaddq_s32(whole, vdupq_n_s32(128));
}

static uint16_t quantize8_neon(const float *x, size_t n, uint8_t *codes)
{
    if (n != GROUP) {
        return tm_int_kernel_ref.quantize8(x, n, codes);
    }
    float d = tm_f32_from_bits(abs_max_bits_neon(x, GROUP)) / 127.0f;
    const float32x4_t id = vdupq_n_f32(inverse(d));
    for (int i = 0; i < GROUP; i += 8) {
        store_codes(quantize8_four(x + i, id), quantize8_four(x + i + 4, id), codes + i);
    }
    return tm_f32_to_f16(d);
}

/* min(15, trunc(x * id + 8.5)) */
static int32x4_t quantize4_four(const float *x, float32x4_t id)
{
    float32x4_t t = vaddq_f32(vmulq_f32(vld1q_f32(x), id), vdupq_n_f32(8.5f));
    return vminq_s32(vcvtq_s32_f32(t), vdupq_n_s32(15));
}

static uint16_t quantize4_neon(const float *x, size_t n, uint8_t *codes)
{
    if (n != GROUP) {
        return tm_int_kernel_ref.quantize4(x, n, codes);
    }
    uint32_t max = abs_max_bits_neon(x, GROUP);
    int at = 0;
    while ((tm_f32_bits(x[at]) & 0x7fffffff) != max) {
        at++;
    }
    float d = x[at] / -8.0f;
    const float32x4_t id = vdupq_n_f32(inverse(d));
    for (int i = 0; i < GROUP; i += 8) {
        store_codes(quantize4_four(x + i, id), quantize4_four(x + i + 4, id), codes + i);
    }
    return tm_f32_to_f16(d);
}

const struct tm_int_kernel tm_int_kernel_neon = {abs_max_bits_neon, quantize8_neon, quantize4_neon};

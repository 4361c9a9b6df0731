/* SPDX-License-Identifier: Apache-2.0
 * Kernel of int_decode.h. */
#include "stages/int_decode.h"

#include <arm_neon.h>

void tm_int_scale_neon(const uint8_t *codes, size_t count, int zero, float scale, float *out)
{
    const int16x8_t z = vdupq_n_s16((int16_t)zero);
    const float32x4_t s = vdupq_n_f32(scale), none = vdupq_n_f32(0.0f);
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        int16x8_t q = vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(vld1_u8(codes + i))), z);
        float32x4_t low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(q)));
        float32x4_t high = vcvtq_f32_s32(vmovl_s16(vget_high_s16(q)));
        vst1q_f32(out + i, vaddq_f32(vmulq_f32(low, s), none));
        vst1q_f32(out + i + 4, vaddq_f32(vmulq_f32(high, s), none));
    }
    tm_int_scale_ref(codes + i, count - i, zero, scale, out + i);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/int_decode.h"

#include "base/bytes.h"
#include "base/cpu.h"
#include "model/convert.h"
#include "stages/kernel_check.h"

typedef void (*scale_fn)(const uint8_t *codes, size_t count, int zero, float scale, float *out);

void tm_int_scale_ref(const uint8_t *codes, size_t count, int zero, float scale, float *out)
{
    for (size_t i = 0; i < count; i++) {
        out[i] = (float)(codes[i] - zero) * scale + 0.0f;
    }
}

static const scale_fn kernels[TM_KERNEL_COUNT] = TM_KERNEL_TABLE(tm_int_scale);

static void scale_checked(const uint8_t *codes, size_t count, int zero, float scale, float *out)
{
    enum { PART = 64 };
    float want[PART];
    kernels[tm_kernel_current()](codes, count, zero, scale, out);
    for (size_t i = 0; i < count; i += PART) {
        size_t n = count - i < PART ? count - i : PART;
        tm_int_scale_ref(codes + i, n, zero, scale, want);
        tm_kernel_compare(&(struct tm_kernel_outputs){"int_scale", out + i, want, .first = i,
                                                      .count = n, .element_bytes = sizeof *want});
    }
}

static scale_fn scale_kernel(void)
{
    return TM_CHECK_KERNELS ? scale_checked : kernels[tm_kernel_current()];
}

void tm_int_decode(const struct tm_stage_params *params, struct tm_block_shape shape,
                   const struct tm_symbols *symbols, float *values)
{
    scale_fn scale = scale_kernel();
    int zero = params->bits == 4 ? 8 : 128;
    const uint8_t *codes = symbols->codes.data, *side = symbols->side.data;
    for (uint32_t row = 0; row < shape.rows; row++) {
        for (uint32_t col = 0; col < shape.cols;) {
            uint32_t n = shape.cols - col < params->group ? shape.cols - col : params->group;
            scale(codes, n, zero, tm_f16_to_f32(tm_get_u16(side)), values);
            side += 2;
            codes += n;
            values += n;
            col += n;
        }
    }
}

void tm_int_to_gguf(const struct tm_stage_params *params, struct tm_block_shape shape,
                    const struct tm_symbols *symbols, uint8_t *out)
{
    const uint8_t *codes = symbols->codes.data, *side = symbols->side.data;
    size_t groups = (size_t)shape.rows * (shape.cols / 32);
    for (size_t g = 0; g < groups; g++, codes += 32, side += 2) {
        *out++ = side[0];
        *out++ = side[1];
        if (params->bits == 4) {
            for (size_t i = 0; i < 16; i++) {
                *out++ = (uint8_t)(codes[i] | codes[i + 16] << 4);
            }
        } else {
            for (size_t i = 0; i < 32; i++) {
                *out++ = codes[i] ^ 0x80;
            }
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/dot.h"

#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "model/convert.h"

#define LANES 8

bool tm_dot_has(enum tm_dtype dtype)
{
    switch (dtype) {
    case TM_F32:
    case TM_F16:
    case TM_BF16:
    case TM_Q8_0:
    case TM_Q4_0:
    case TM_Q4_1:
    case TM_Q6_K:
        return true;
    default:
        return false;
    }
}

void tm_unpack_ref(enum tm_dtype dtype, const uint8_t *w, size_t elements, float *out)
{
    if (dtype == TM_F32) {
        memcpy(out, w, elements * sizeof *out);
        return;
    }
    tm_status status = tm_convert_to_f32(dtype, w, elements, out);
    TM_ASSERT(status == TM_OK);
}

static float pairwise(const float v[LANES])
{
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])) + 0.0f;
}

void tm_dot_ref(const struct tm_dot *dot)
{
    uint32_t block = tm_dtype_block_elements(dot->dtype), bytes = tm_dtype_block_bytes(dot->dtype);
    size_t part = block > LANES ? block : LANES; /* weights unpacked at a time */
    float w[256];
    for (size_t row = 0; row < dot->rows; row++) {
        for (size_t vector = 0; vector < dot->vectors; vector++) {
            const uint8_t *packed = dot->w + row * dot->w_stride;
            const float *x = dot->x + vector * dot->x_stride;
            float lane[LANES] = {0};
            for (size_t i = 0; i < dot->cols; i += part, packed += part / block * bytes) {
                tm_unpack_ref(dot->dtype, packed, part, w);
                for (size_t k = 0; k < part; k++) {
                    lane[k % LANES] = fmaf(w[k], x[i + k], lane[k % LANES]);
                }
            }
            dot->y[vector * dot->y_stride + row] = pairwise(lane);
        }
    }
}

typedef void (*dot_fn)(const struct tm_dot *dot);
typedef void (*unpack_fn)(enum tm_dtype dtype, const uint8_t *w, size_t elements, float *out);

static const dot_fn dots[TM_KERNEL_COUNT] = TM_KERNEL_TABLE(tm_dot);
static const unpack_fn unpacks[TM_KERNEL_COUNT] = TM_KERNEL_TABLE(tm_unpack);

void tm_dot(const struct tm_dot *dot)
{
    dots[tm_kernel_current()](dot);
}

void tm_dot_unpack(enum tm_dtype dtype, const uint8_t *w, size_t elements, float *out)
{
    unpacks[tm_kernel_current()](dtype, w, elements, out);
}

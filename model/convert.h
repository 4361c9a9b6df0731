/* SPDX-License-Identifier: Apache-2.0
 * Numbers of every dtype to float32 and back, exact where the target can hold the value, rounded
 * to nearest even otherwise. Format arithmetic: integers and IEEE float only, same bits everywhere.
 * Layouts: ggml-common.h and ggml-quants.c of llama.cpp, gguf-py as the second opinion; OCP OFP8
 * for F8. All functions: src and dst do not overlap. */
#ifndef TM_MODEL_CONVERT_H
#define TM_MODEL_CONVERT_H

#include "model/tensor.h"

float tm_f16_to_f32(uint16_t half);
uint16_t tm_f32_to_f16(float value); /* nearest even; overflow to infinity; NaN stays NaN */
float tm_bf16_to_f32(uint16_t brain);
uint16_t tm_f32_to_bf16(float value); /* nearest even; NaN is made quiet */

/* `elements` values of dtype at src to float32; elements is a multiple of the block. TM_E_USAGE for
 * integer types. F64 is rounded to float32. */
tm_status tm_convert_to_f32(enum tm_dtype dtype, const void *src, uint64_t elements,
                            float *dst) TM_MUST_USE;
/* float32 to F32, F16, BF16, Q8_0 or Q4_0 (the last two byte for byte as gguf.quants.quantize,
 * elements a multiple of 32); TM_E_USAGE for other targets. */
tm_status tm_convert_from_f32(enum tm_dtype dtype, const float *src, uint64_t elements,
                              void *dst) TM_MUST_USE;

/* What a preflight scan learns of a run of float32 values. */
struct tm_scan {
    uint64_t elements, nan_count, inf_count;
    uint64_t first_bad; /* index of the first value that is not finite; elements when none */
    float abs_max;      /* over the finite ones */
};
void tm_scan_f32(const float *values, uint64_t elements, struct tm_scan *scan /* accumulated */);

#endif

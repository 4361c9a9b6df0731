/* SPDX-License-Identifier: Apache-2.0
 * Products of rows of weights with vectors: the only part of the forward pass that has a kernel for
 * each instruction set. Private to model/pass.
 *
 *   y = sum of float32(w[i]) * x[i]: eight lanes from +0, lane i takes elements i mod 8 by fma in
 *   ascending order; ((0+1)+(2+3))+((4+5)+(6+7)); and + 0, which turns -0 into +0.
 *
 * float32(w) is what tm_convert_to_f32 gives, so a matrix has the same products in every dtype that
 * holds its values. F32 weights are floats of this machine, all others the bytes of the file. */
#ifndef TM_MODEL_PASS_DOT_H
#define TM_MODEL_PASS_DOT_H

#include "model/tensor.h"

struct tm_dot {
    enum tm_dtype dtype; /* one that tm_dot_has */
    const uint8_t *w;    /* rows rows of cols weights */
    size_t w_stride;     /* bytes from row to row */
    size_t rows;
    size_t cols; /* a multiple of 8 and of the dtype's block */
    const float *x;
    size_t x_stride; /* floats from vector to vector */
    size_t vectors;
    float *y; /* y[vector * y_stride + row] */
    size_t y_stride;
};

/* F32, F16, BF16, Q8_0, Q4_0, Q4_1, and Q6_K, in which llama.cpp keeps the head of smaller types.
 */
bool tm_dot_has(enum tm_dtype dtype);
/* With the kernel in use (base/cpu.h). */
void tm_dot(const struct tm_dot *dot);
/* elements weights as float32; dtype is one that tm_dot_has, elements a multiple of 8 and of its
 * block. */
void tm_dot_unpack(enum tm_dtype dtype, const uint8_t *w, size_t elements, float *out);

/* ---- kernels, for the dispatcher and the tests ---- */

void tm_dot_ref(const struct tm_dot *dot);
void tm_dot_avx2(const struct tm_dot *dot);
void tm_dot_neon(const struct tm_dot *dot);
void tm_unpack_ref(enum tm_dtype dtype, const uint8_t *w, size_t elements, float *out);
void tm_unpack_avx2(enum tm_dtype dtype, const uint8_t *w, size_t elements, float *out);
void tm_unpack_neon(enum tm_dtype dtype, const uint8_t *w, size_t elements, float *out);

#endif

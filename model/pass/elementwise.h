/* SPDX-License-Identifier: Apache-2.0
 * The parts of a layer between its matrices. One scalar definition each, without fma, which
 * compilers make vectors of: the same bits everywhere. Sums have eight lanes, lane i takes elements
 * i mod 8, and the lanes are added in pairs: ((0+1)+(2+3))+((4+5)+(6+7)). */
#ifndef TM_MODEL_PASS_ELEMENTWISE_H
#define TM_MODEL_PASS_ELEMENTWISE_H

#include <stdbool.h>
#include <stddef.h>

#define TM_LANES 8

/* y = x / sqrt(mean(x^2) + eps) * weight: Zhang and Sennrich 2019. x and y may be the same. */
void tm_rms_norm(const float *x, const float *weight, size_t count, float eps, float *y);
/* x[0..count) to probabilities, in place. count >= 1. */
void tm_softmax(float *x, size_t count);
/* gate[i] = silu(gate[i]) * up[i], silu(x) = x / (1 + e^-x): Shazeer 2020. */
void tm_swiglu(float *gate, const float *up, size_t count);
/* gate[i] = gelu(gate[i]) * up[i], in the tanh form of Hendrycks and Gimpel 2016. */
void tm_geglu(float *gate, const float *up, size_t count);
void tm_add_f32(float *x, const float *y, size_t count); /* x += y */
void tm_scale_f32(float *x, float factor, size_t count); /* x *= factor */
/* Rotates count / 2 pairs by the angles whose cosines and sines are given: Su et al. 2021. Pairs
 * are (2i, 2i + 1) when interleaved, else (i, i + count / 2). */
void tm_rotate(float *x, size_t count, bool interleaved, const float *cosines, const float *sines);
/* Index of the largest element, of equal ones the lowest. count >= 1. */
size_t tm_top_of(const float *x, size_t count);
bool tm_all_finite(const float *x, size_t count);
/* log of the sum of e^x[i], in double over the float exponentials. count >= 1. */
double tm_log_sum_exp(const float *x, size_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * exp, log, sine and cosine with the same bits on every machine: only + - * / and fma, in the order
 * that the code has (docs/decisions/0001, 0008). Errors are against the exact value. */
#ifndef TM_MODEL_PASS_FMATH_H
#define TM_MODEL_PASS_FMATH_H

#include <stddef.h>

/* Before a loop whose elements do not depend on each other, even where arrays are the same: GCC
 * then makes vectors of it. It changes no bit. */
#if defined(__GNUC__) && !defined(__clang__)
#define TM_VECTOR_LOOP _Pragma("GCC ivdep")
#else
#define TM_VECTOR_LOOP
#endif

/* Relative error below 2^-51. 0 below -708, infinity above 709, NaN for NaN. */
double tm_exp(double x);
/* Natural logarithm of a positive finite number, relative error below 2^-49 away from 1 and
 * absolute error below 2^-52 near it. 0 gives -infinity; negative numbers and NaN give NaN. */
double tm_log(double x);
/* base^exponent for a positive base, as tm_exp(exponent * tm_log(base)). */
double tm_pow(double base, double exponent);
/* Absolute error below 2^-50 for |x| <= 2^30. */
void tm_sin_cos(double x, double *sine, double *cosine);

/* y[i] = e^x[i] in float, relative error below 2^-22. 0 below -87, infinity above 88.37, NaN for
 * NaN. x and y may be the same. */
void tm_exp_f32(const float *x, size_t count, float *y);

#endif

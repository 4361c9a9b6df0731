/* SPDX-License-Identifier: Apache-2.0
 * The error of a decoded block against its source, in a fixed order of operations. */
#ifndef TM_STAGES_MEASURE_ENCODE_H
#define TM_STAGES_MEASURE_ENCODE_H

#include <stddef.h>

/* Error of decoded against source values in a fixed order (eight lanes, lane i takes elements
 * i mod 8, lanes added pairwise): same doubles everywhere. Sums are added over blocks in order. */
struct tm_block_error {
    double squared_error; /* sum (y - x)^2 */
    double squared_norm;  /* sum x^2 */
    double max_abs;       /* max |y - x| */
};
void tm_block_measure(const float *source, const float *decoded, size_t count,
                      struct tm_block_error *out);

/* ---- kernels, for the dispatcher and the tests ---- */

#define TM_MEASURE_LANES 8

/* What the lanes hold before they are added up. */
struct tm_measure_lanes {
    double error[TM_MEASURE_LANES], norm[TM_MEASURE_LANES], max[TM_MEASURE_LANES];
};

/* Adds x[count] and y[count] to lanes that start with element 0 on lane 0. */
void tm_measure_ref(const float *x, const float *y, size_t count, struct tm_measure_lanes *lanes);
void tm_measure_avx2(const float *x, const float *y, size_t count, struct tm_measure_lanes *lanes);
void tm_measure_neon(const float *x, const float *y, size_t count, struct tm_measure_lanes *lanes);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Kernels of tm_block_measure (pipeline_encode.h), for the dispatcher and the tests. */
#ifndef TM_STAGES_MEASURE_ENCODE_H
#define TM_STAGES_MEASURE_ENCODE_H

#include "stages/pipeline_encode.h"

#define TM_MEASURE_LANES 8

/* What the lanes hold before they are added up. */
struct tm_measure_lanes {
    double error[TM_MEASURE_LANES], norm[TM_MEASURE_LANES], max[TM_MEASURE_LANES];
};

/* Adds x[count] and y[count] to lanes that start with element 0 on lane 0. */
void tm_measure_ref(const float *x, const float *y, size_t count, struct tm_measure_lanes *lanes);
void tm_measure_avx2(const float *x, const float *y, size_t count, struct tm_measure_lanes *lanes);

#endif

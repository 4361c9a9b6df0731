/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/measure_encode.h"

#include "base/cpu.h"
#include "stages/kernel_check.h"

void tm_measure_ref(const float *x, const float *y, size_t count, struct tm_measure_lanes *lanes)
{
    for (size_t i = 0; i < count; i++) {
        size_t lane = i % TM_MEASURE_LANES;
        double source = (double)x[i];
        double error = (double)y[i] - source;
        double off = error < 0.0 ? -error : error;
        lanes->error[lane] += error * error;
        lanes->norm[lane] += source * source;
        lanes->max[lane] = off > lanes->max[lane] ? off : lanes->max[lane];
    }
}

typedef void (*measure_fn)(const float *x, const float *y, size_t count,
                           struct tm_measure_lanes *lanes);

static const measure_fn kernels[TM_KERNEL_COUNT] = TM_KERNEL_TABLE(tm_measure);

/* Elements of the output: eight lanes each of error, norm and max. */
static void measure_checked(const float *x, const float *y, size_t count,
                            struct tm_measure_lanes *lanes)
{
    struct tm_measure_lanes want = *lanes;
    kernels[tm_kernel_current()](x, y, count, lanes);
    tm_measure_ref(x, y, count, &want);
    tm_kernel_compare(&(struct tm_kernel_outputs){"measure", lanes, &want,
                                                  .count = sizeof want / sizeof(double),
                                                  .element_bytes = sizeof(double)});
}

static measure_fn measure_kernel(void)
{
    return TM_CHECK_KERNELS ? measure_checked : kernels[tm_kernel_current()];
}

static double pairwise(const double v[TM_MEASURE_LANES])
{
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}

void tm_block_measure(const float *source, const float *decoded, size_t count,
                      struct tm_block_error *out)
{
    struct tm_measure_lanes lanes = {{0}, {0}, {0}};
    if (count > 0) {
        measure_kernel()(source, decoded, count, &lanes);
    }
    out->squared_error = pairwise(lanes.error);
    out->squared_norm = pairwise(lanes.norm);
    out->max_abs = 0.0;
    for (size_t i = 0; i < TM_MEASURE_LANES; i++) {
        out->max_abs = lanes.max[i] > out->max_abs ? lanes.max[i] : out->max_abs;
    }
}

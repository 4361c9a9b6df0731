/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/rounding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/calibration/cal_input.h"
#include "model/pass/elementwise.h"

#define VECTOR_BITS 15 /* below 2^15 */

/* ---- weights ---- */

static float mean_square(const float *x, uint32_t cols)
{
    float lane[TM_LANES] = {0};
    uint32_t i = 0;
    for (; i + TM_LANES <= cols; i += TM_LANES) {
        for (uint32_t l = 0; l < TM_LANES; l++) {
            lane[l] += x[i + l] * x[i + l];
        }
    }
    for (; i < cols; i++) {
        lane[i % TM_LANES] += x[i] * x[i];
    }
    float sum =
        ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    return sum / (float)cols;
}

static int ascending(const void *a, const void *b)
{
    float x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static float lower_median(float *values, size_t count)
{
    qsort(values, count, sizeof *values, ascending);
    return values[(count - 1) / 2];
}

uint32_t tm_round_weights(struct tm_vectors stream, uint32_t cols, float factor, float *inverse,
                          bool *sink, float *sorted)
{
    for (size_t t = 0; t < stream.count; t++) {
        float square = mean_square(stream.data + t * stream.stride, cols);
        inverse[t] = square > 0.0f && isfinite(square) ? square : 0.0f;
    }
    memcpy(sorted, inverse, stream.count * sizeof *sorted);
    float most = factor * lower_median(sorted, stream.count);
    uint32_t sinks = 0;
    for (size_t t = 0; t < stream.count; t++) {
        sink[t] = most > 0.0f && inverse[t] > most;
        sinks += sink[t];
        inverse[t] = inverse[t] > 0.0f ? 1.0f / sqrtf(inverse[t]) : 0.0f;
    }
    return sinks;
}

/* ---- rounding ---- */

static float power_of_two(int exponent)
{
    return ldexpf(1.0f, exponent);
}

/* To the nearest, ties to even, |value| at most 32767: adding and taking away 1.5 * 2^23 leaves no
 * room for a fraction. */
static inline int32_t round_value(float value)
{
    const float big = 12582912.0f;
    float clamped = value < TM_COV_VALUE_MAX ? value : (float)TM_COV_VALUE_MAX;
    clamped = clamped > -TM_COV_VALUE_MAX ? clamped : (float)-TM_COV_VALUE_MAX;
    return (int32_t)((clamped + big) - big);
}

static uint32_t cols_of_panel(uint32_t cols, size_t panel)
{
    uint32_t left = cols - (uint32_t)panel * TM_COV_PANEL;
    return left < TM_COV_PANEL ? left : TM_COV_PANEL;
}

void tm_round_look(const struct tm_rounded *r, size_t panel, float *most)
{
    uint32_t cols = cols_of_panel(r->cols, panel);
    for (size_t t = 0; t < r->x.count; t++) {
        if (r->sink != NULL && r->sink[t]) {
            continue;
        }
        const float *x = r->x.data + t * r->x.stride + panel * TM_COV_PANEL;
        float inverse = r->inverse != NULL ? r->inverse[t] : 1.0f;
        for (uint32_t i = 0; i < cols; i++) {
            float size = fabsf(x[i] * inverse);
            most[i] = size > most[i] ? size : most[i];
        }
    }
}

static int8_t exponent_for(float most, int bits)
{
    int power = 0;
    if (!(most > 0.0f) || !isfinite(most)) {
        return 0;
    }
    (void)frexpf(most, &power); /* most < 2^power */
    int exponent = bits - power;
    exponent = exponent > TM_CAL_EXPONENT_MAX ? TM_CAL_EXPONENT_MAX : exponent;
    return (int8_t)(exponent < -TM_CAL_EXPONENT_MAX ? -TM_CAL_EXPONENT_MAX : exponent);
}

void tm_round_exponents(const float *most, uint32_t cols, int bits, int8_t *exponents,
                        float *sorted)
{
    memcpy(sorted, most, cols * sizeof *sorted);
    float median = lower_median(sorted, cols), largest = sorted[cols - 1];
    float least = median > 0.0f ? median : largest;
    for (uint32_t i = 0; i < cols; i++) {
        exponents[i] = exponent_for(most[i] > least ? most[i] : least, bits);
    }
}

/* What a compiler makes vectors of: all 16 columns of a token at a time. */
struct row {
    float scale[TM_COV_PANEL];
    int32_t rounded[TM_COV_PANEL], largest[TM_COV_PANEL], clipped[TM_COV_PANEL];
};

static void round_row(struct row *row, const float *x, float inverse)
{
    for (size_t i = 0; i < TM_COV_PANEL; i++) {
        float value = x[i] * inverse * row->scale[i];
        int32_t rounded = round_value(value), size = rounded < 0 ? -rounded : rounded;
        row->clipped[i] += !(fabsf(value) <= TM_COV_VALUE_MAX);
        row->largest[i] = size > row->largest[i] ? size : row->largest[i];
        row->rounded[i] = rounded;
    }
}

uint64_t tm_round_panel(const struct tm_rounded *r, const int8_t *exponents, size_t panel,
                        int16_t *out, uint32_t *most)
{
    uint32_t cols = cols_of_panel(r->cols, panel);
    struct row row = {{0}, {0}, {0}, {0}};
    for (uint32_t i = 0; i < cols; i++) {
        row.scale[i] = power_of_two(exponents[panel * TM_COV_PANEL + i]);
    }
    memset(out, 0, (r->x.count + 1) / 2 * TM_COV_PANEL * 2 * sizeof *out);
    for (size_t t = 0; t < r->x.count; t++) {
        if (r->sink != NULL && r->sink[t]) {
            continue;
        }
        float x[TM_COV_PANEL] = {0}; /* behind the last column there may be nothing to read */
        memcpy(x, r->x.data + t * r->x.stride + panel * TM_COV_PANEL, cols * sizeof *x);
        round_row(&row, x, r->inverse != NULL ? r->inverse[t] : 1.0f);
        int16_t *to = out + t / 2 * TM_COV_PANEL * 2 + t % 2;
        for (uint32_t i = 0; i < TM_COV_PANEL; i++) {
            to[2 * i] = (int16_t)row.rounded[i];
        }
    }
    uint64_t clipped = 0;
    *most = 0;
    for (size_t i = 0; i < TM_COV_PANEL; i++) {
        clipped += (uint64_t)row.clipped[i];
        *most = (uint32_t)row.largest[i] > *most ? (uint32_t)row.largest[i] : *most;
    }
    return clipped;
}

int8_t tm_round_vector(const float *x, float inverse, uint32_t cols, int16_t *out)
{
    float most = 0.0f;
    for (uint32_t i = 0; i < cols; i++) {
        float size = fabsf(x[i] * inverse);
        most = size > most ? size : most;
    }
    int8_t exponent = exponent_for(most, VECTOR_BITS);
    float scale = power_of_two(exponent);
    for (uint32_t i = 0; i < cols; i++) {
        out[i] = (int16_t)round_value(x[i] * inverse * scale);
    }
    return exponent;
}

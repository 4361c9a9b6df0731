/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/elementwise.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "model/pass/fmath.h"

static float pairwise(const float lane[TM_LANES])
{
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +
           ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

void tm_rms_norm(const float *x, const float *weight, size_t count, float eps, float *y)
{
    float lane[TM_LANES] = {0};
    size_t i = 0;
    for (; i + TM_LANES <= count; i += TM_LANES) {
        for (size_t l = 0; l < TM_LANES; l++) {
            lane[l] += x[i + l] * x[i + l];
        }
    }
    for (; i < count; i++) {
        lane[i % TM_LANES] += x[i] * x[i];
    }
    float factor = 1.0f / sqrtf(pairwise(lane) / (float)count + eps);
    TM_VECTOR_LOOP
    for (size_t j = 0; j < count; j++) {
        y[j] = x[j] * factor * weight[j];
    }
}

static float largest(const float *x, size_t count)
{
    float lane[TM_LANES];
    for (size_t l = 0; l < TM_LANES; l++) {
        lane[l] = x[0];
    }
    size_t i = 0;
    for (; i + TM_LANES <= count; i += TM_LANES) {
        for (size_t l = 0; l < TM_LANES; l++) {
            lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
        }
    }
    for (; i < count; i++) {
        lane[0] = x[i] > lane[0] ? x[i] : lane[0];
    }
    for (size_t l = 1; l < TM_LANES; l++) {
        lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
    }
    return lane[0];
}

void tm_softmax(float *x, size_t count)
{
    float max = largest(x, count), lane[TM_LANES] = {0};
    for (size_t i = 0; i < count; i++) {
        x[i] -= max;
    }
    tm_exp_f32(x, count, x);
    size_t i = 0;
    for (; i + TM_LANES <= count; i += TM_LANES) {
        for (size_t l = 0; l < TM_LANES; l++) {
            lane[l] += x[i + l];
        }
    }
    for (; i < count; i++) {
        lane[i % TM_LANES] += x[i];
    }
    tm_scale_f32(x, 1.0f / pairwise(lane), count);
}

/* e^-x of a part of a row at a time. */
#define PART 256

void tm_swiglu(float *gate, const float *up, size_t count)
{
    float e[PART];
    for (size_t at = 0; at < count; at += PART) {
        size_t n = count - at < PART ? count - at : PART;
        float *g = gate + at;
        for (size_t i = 0; i < n; i++) {
            e[i] = -g[i];
        }
        tm_exp_f32(e, n, e);
        TM_VECTOR_LOOP
        for (size_t i = 0; i < n; i++) {
            g[i] = g[i] / (1.0f + e[i]) * up[at + i];
        }
    }
}

void tm_geglu(float *gate, const float *up, size_t count)
{
    /* 0.5 x (1 + tanh u) = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
    const float twice_root = 1.59576912f, cubic = 0.044715f;
    float e[PART];
    for (size_t at = 0; at < count; at += PART) {
        size_t n = count - at < PART ? count - at : PART;
        float *g = gate + at;
        for (size_t i = 0; i < n; i++) {
            e[i] = -twice_root * (g[i] * (1.0f + cubic * g[i] * g[i]));
        }
        tm_exp_f32(e, n, e);
        TM_VECTOR_LOOP
        for (size_t i = 0; i < n; i++) {
            g[i] = g[i] / (1.0f + e[i]) * up[at + i];
        }
    }
}

void tm_add_f32(float *x, const float *y, size_t count)
{
    TM_VECTOR_LOOP
    for (size_t i = 0; i < count; i++) {
        x[i] += y[i];
    }
}

void tm_scale_f32(float *x, float factor, size_t count)
{
    TM_VECTOR_LOOP
    for (size_t i = 0; i < count; i++) {
        x[i] *= factor;
    }
}

void tm_rotate(float *x, size_t count, bool interleaved, const float *cosines, const float *sines)
{
    size_t half = count / 2, step = interleaved ? 2 : 1, other = interleaved ? 1 : half;
    for (size_t i = 0; i < half; i++) {
        float *a = x + i * step, *b = a + other;
        float first = *a * cosines[i] - *b * sines[i];
        *b = *a * sines[i] + *b * cosines[i];
        *a = first;
    }
}

size_t tm_top_of(const float *x, size_t count)
{
    size_t top = 0;
    for (size_t i = 1; i < count; i++) {
        top = x[i] > x[top] ? i : top;
    }
    return top;
}

bool tm_all_finite(const float *x, size_t count)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return bad == 0;
}

double tm_log_sum_exp(const float *x, size_t count)
{
    float max = largest(x, count), e[PART];
    double lane[TM_LANES] = {0};
    for (size_t at = 0; at < count; at += PART) {
        size_t n = count - at < PART ? count - at : PART;
        for (size_t i = 0; i < n; i++) {
            e[i] = x[at + i] - max;
        }
        tm_exp_f32(e, n, e);
        for (size_t i = 0; i < n; i++) {
            lane[i % TM_LANES] += (double)e[i];
        }
    }
    double sum =
        ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    return (double)max + tm_log(sum);
}

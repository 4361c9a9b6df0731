/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/slopes.h"

#include "model/pass/fmath.h"

/* by_up holds the exponentials on the way. */
static void silu(const float *gate, const float *up, size_t count, float *by_gate, float *by_up)
{
    for (size_t i = 0; i < count; i++) {
        by_up[i] = -gate[i];
    }
    tm_exp_f32(by_up, count, by_up);
    for (size_t i = 0; i < count; i++) {
        float sigmoid = 1.0f / (1.0f + by_up[i]);
        by_up[i] = gate[i] * sigmoid;
        by_gate[i] = sigmoid * (1.0f + gate[i] * (1.0f - sigmoid)) * up[i];
    }
}

static void gelu_tanh(const float *gate, const float *up, size_t count, float *by_gate,
                      float *by_up)
{
    const float root = 0.7978845608f, cubic = 0.044715f; /* sqrt(2 / pi) */
    for (size_t i = 0; i < count; i++) {
        float x = gate[i], twice = 2.0f * root * (x + cubic * x * x * x);
        by_up[i] = twice < 40.0f ? twice : 40.0f; /* tanh is 1 there already */
    }
    tm_exp_f32(by_up, count, by_up);
    for (size_t i = 0; i < count; i++) {
        float x = gate[i], tanh_of = 1.0f - 2.0f / (by_up[i] + 1.0f);
        float inner = root * (1.0f + 3.0f * cubic * x * x);
        float slope = 0.5f * (1.0f + tanh_of) + 0.5f * x * (1.0f - tanh_of * tanh_of) * inner;
        by_up[i] = 0.5f * x * (1.0f + tanh_of);
        by_gate[i] = slope * up[i];
    }
}

void tm_slopes(bool gelu, const float *gate, const float *up, size_t count, float *by_gate,
               float *by_up)
{
    (gelu ? gelu_tanh : silu)(gate, up, count, by_gate, by_up);
}

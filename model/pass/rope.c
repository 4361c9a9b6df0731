/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/rope.h"

#include "model/pass/fmath.h"

#define TWO_PI 6.2831853071795864769

/* Long waves are stretched, short ones stay, those between are mixed. */
static double llama3(const struct tm_rope_scaling *s, double frequency)
{
    double wave = TWO_PI / frequency, ratio = s->original_context / wave;
    if (ratio < s->low_factor) {
        return frequency / s->factor;
    }
    if (ratio > s->high_factor) {
        return frequency;
    }
    double smooth = (ratio - s->low_factor) / (s->high_factor - s->low_factor);
    return (1.0 - smooth) * frequency / s->factor + smooth * frequency;
}

void tm_rope_frequencies(const struct tm_arch *arch, bool window, const float *factors, double *out)
{
    bool local = window && arch->rope_local_base > 0.0;
    double base = local ? arch->rope_local_base : arch->rope_base;
    for (uint32_t i = 0; i < arch->head_dim / 2; i++) {
        double f = tm_pow(base, -2.0 * i / arch->head_dim);
        if (!local && arch->rope.kind == TM_ROPE_LINEAR) {
            f /= arch->rope.factor;
        } else if (!local && arch->rope.kind == TM_ROPE_LLAMA3) {
            f = llama3(&arch->rope, f);
        }
        out[i] = factors != NULL && !local ? f / (double)factors[i] : f;
    }
}

void tm_rope_angles(const double *frequencies, uint32_t pairs, uint32_t position, float *cosines,
                    float *sines)
{
    for (uint32_t i = 0; i < pairs; i++) {
        double sine, cosine;
        tm_sin_cos(position * frequencies[i], &sine, &cosine);
        sines[i] = (float)sine;
        cosines[i] = (float)cosine;
    }
}

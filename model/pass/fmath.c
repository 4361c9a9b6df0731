/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/fmath.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LOG2_E 1.4426950408889634
/* ln 2 in two parts: k * LN2_HIGH is exact for |k| < 2^11. */
#define LN2_HIGH 0x1.62e42fefa38p-1
#define LN2_LOW 0x1.ef35793c7673p-45

/* 2^k for -1022 <= k <= 1023. */
static double power_of_two(int k)
{
    uint64_t bits = (uint64_t)(k + 1023) << 52;
    double out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

/* The nearest integer, ties to even, for |x| < 2^51. */
static double nearest(double x)
{
    const double magic = 0x1.8p52;
    return (x + magic) - magic;
}

double tm_exp(double x)
{
    if (!(x >= -708.0)) {
        return x < -708.0 ? 0.0 : x;
    }
    if (x > 709.0) {
        return (double)INFINITY;
    }
    double k = nearest(x * LOG2_E);
    double r = fma(-k, LN2_LOW, fma(-k, LN2_HIGH, x));
    /* Taylor's series: |r| < 0.347, so that r^14 / 14! < 2^-57 */
    double sum = 1.0;
    for (int n = 13; n > 0; n--) {
        sum = fma(sum, r / n, 1.0);
    }
    return sum * power_of_two((int)k);
}

double tm_log(double x)
{
    if (!(x > 0.0)) {
        return x == 0.0 ? -(double)INFINITY : (double)NAN;
    }
    int exponent = 0;
    double m = frexp(x, &exponent); /* exact; 0.5 <= m < 1 */
    if (m < 0.70710678118654752) {
        m *= 2.0;
        exponent--;
    }
    double s = (m - 1.0) / (m + 1.0), square = s * s; /* |s| < 0.1716 */
    double sum = 0.0;
    for (int n = 23; n >= 3; n -= 2) {
        sum = fma(sum, square, 1.0 / n);
    }
    double tail = fma(2.0 * s * square, sum, exponent * LN2_LOW);
    return fma(exponent, LN2_HIGH, 2.0 * s + tail);
}

double tm_pow(double base, double exponent)
{
    return tm_exp(exponent * tm_log(base));
}

void tm_sin_cos(double x, double *sine, double *cosine)
{
    /* pi/2 in three parts, each the double nearest to what the parts before leave */
    const double half_pi[3] = {0x1.921fb54442d18p0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
    double k = nearest(x * 0.63661977236758134);
    double r = x;
    for (int i = 0; i < 3; i++) {
        r = fma(-k, half_pi[i], r);
    }
    double square = r * r, s = 1.0, c = 1.0; /* |r| < 0.7855 */
    for (int n = 18; n > 0; n -= 2) {
        s = fma(s, -square / (n * (n + 1)), 1.0);
        c = fma(c, -square / (n * (n - 1)), 1.0);
    }
    s *= r;
    int64_t quarter = (int64_t)k & 3;
    double swapped_s = (quarter & 1) != 0 ? c : s, swapped_c = (quarter & 1) != 0 ? s : c;
    *sine = quarter >= 2 ? -swapped_s : swapped_s;
    *cosine = quarter == 1 || quarter == 2 ? -swapped_c : swapped_c;
}

/* No fma and no branch: compilers make vectors of it for every instruction set. */
static inline float exp_one(float x)
{
    const float magic = 0x1.8p23f;
    float shifted = x * 1.44269504f + magic, k = shifted - magic;
    /* k * 0.693359375 is exact for |k| < 2^15 */
    float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float sum = 1.0f + r * (1.0f / 7.0f);
    sum = 1.0f + r * (1.0f / 6.0f) * sum;
    sum = 1.0f + r * (1.0f / 5.0f) * sum;
    sum = 1.0f + r * (1.0f / 4.0f) * sum;
    sum = 1.0f + r * (1.0f / 3.0f) * sum;
    sum = 1.0f + r * (1.0f / 2.0f) * sum;
    sum = 1.0f + r * sum;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23; /* the integer k is in the low bits of shifted */
    float power;
    memcpy(&power, &bits, sizeof power);
    float out = sum * power;
    out = x < -87.0f ? 0.0f : out;
    return x > 88.37f ? INFINITY : out;
}

void tm_exp_f32(const float *x, size_t count, float *y)
{
    TM_VECTOR_LOOP
    for (size_t i = 0; i < count; i++) {
        y[i] = exp_one(x[i]);
    }
}

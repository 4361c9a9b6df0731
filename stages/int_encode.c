/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/int_encode.h"

#include "base/bytes.h"
#include "base/cpu.h"
#include "model/convert.h"
#include "stages/kernel_check.h"

#define INF_BITS 0x7f800000u
#define ABS_BITS 0x7fffffffu

/* ---- reference kernel ---- */

static uint32_t abs_max_bits_ref(const float *x, size_t n)
{
    uint32_t max = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = tm_f32_bits(x[i]) & ABS_BITS;
        max = bits > max ? bits : max;
    }
    return max;
}

/* 1 / d, or 0 where that is of no use: zero groups and steps below 2^-128. */
static float inverse(float d)
{
    float i = d == 0.0f ? 0.0f : 1.0f / d;
    return (tm_f32_bits(i) & ABS_BITS) == INF_BITS ? 0.0f : i;
}

static uint16_t quantize8_ref(const float *x, size_t n, uint8_t *codes)
{
    float d = tm_f32_from_bits(abs_max_bits_ref(x, n)) / 127.0f;
    float id = inverse(d);
    for (size_t i = 0; i < n; i++) {
        float t = x[i] * id;
        float a = t < 0.0f ? -t : t;
        int q = (int)a;
        q += a - (float)q >= 0.5f;
        codes[i] = (uint8_t)(128 + (t < 0.0f ? -q : q));
    }
    return tm_f32_to_f16(d);
}

static uint16_t quantize4_ref(const float *x, size_t n, uint8_t *codes)
{
    uint32_t max = abs_max_bits_ref(x, n);
    size_t at = 0;
    while ((tm_f32_bits(x[at]) & ABS_BITS) != max) {
        at++;
    }
    float d = x[at] / -8.0f;
    float id = inverse(d);
    for (size_t i = 0; i < n; i++) {
        int q = (int)(x[i] * id + 8.5f);
        codes[i] = (uint8_t)(q > 15 ? 15 : q);
    }
    return tm_f32_to_f16(d);
}

const struct tm_int_kernel tm_int_kernel_ref = {abs_max_bits_ref, quantize8_ref, quantize4_ref};

/* ---- choice and check of the kernel ---- */

static const struct tm_int_kernel *const kernels[TM_KERNEL_COUNT] = TM_KERNEL_TABLE(&tm_int_kernel);

static uint32_t abs_max_bits_checked(const float *x, size_t n)
{
    uint32_t got = kernels[tm_kernel_current()]->abs_max_bits(x, n);
    uint32_t want = abs_max_bits_ref(x, n);
    tm_kernel_compare(&(struct tm_kernel_outputs){"int_abs_max_bits", &got, &want, .count = 1,
                                                  .element_bytes = sizeof got});
    return got;
}

static void compare_group(const char *name, const uint8_t *codes, const uint8_t *want, size_t n)
{
    tm_kernel_compare(
        &(struct tm_kernel_outputs){name, codes, want, .count = n, .element_bytes = 1});
}

static void compare_scale(const char *name, uint16_t got, uint16_t want)
{
    tm_kernel_compare(
        &(struct tm_kernel_outputs){name, &got, &want, .count = 1, .element_bytes = sizeof got});
}

static uint16_t quantize8_checked(const float *x, size_t n, uint8_t *codes)
{
    uint8_t want[32];
    uint16_t got = kernels[tm_kernel_current()]->quantize8(x, n, codes);
    compare_scale("int_quantize8 (scale)", got, quantize8_ref(x, n, want));
    compare_group("int_quantize8", codes, want, n);
    return got;
}

static uint16_t quantize4_checked(const float *x, size_t n, uint8_t *codes)
{
    uint8_t want[32];
    uint16_t got = kernels[tm_kernel_current()]->quantize4(x, n, codes);
    compare_scale("int_quantize4 (scale)", got, quantize4_ref(x, n, want));
    compare_group("int_quantize4", codes, want, n);
    return got;
}

static const struct tm_int_kernel checked_kernel = {abs_max_bits_checked, quantize8_checked,
                                                    quantize4_checked};

static const struct tm_int_kernel *current_kernel(void)
{
    return TM_CHECK_KERNELS ? &checked_kernel : kernels[tm_kernel_current()];
}

/* ---- fitting ---- */

struct plan {
    const struct tm_int_kernel *kernel;
    uint16_t (*quantize)(const float *x, size_t n, uint8_t *codes);
    uint32_t group;
    int zero;       /* symbol of 0 */
    float levels;   /* the step is max |x| / levels */
    double promise; /* largest error in units of the row's maximum */
};

static struct plan plan_of(const struct tm_stage_params *params)
{
    const struct tm_int_kernel *kernel = current_kernel();
    if (params->bits == 4) {
        return (struct plan){kernel, kernel->quantize4, params->group, 8, 8.0f, 1.05 / 7};
    }
    return (struct plan){kernel, kernel->quantize8, params->group, 128, 127.0f, 1.05 / 127};
}

static size_t group_at(const struct plan *p, uint32_t cols, uint32_t col)
{
    return cols - col < p->group ? cols - col : p->group;
}

static struct tm_misfit not_finite(const float *x, uint32_t row)
{
    uint32_t col = 0;
    while ((tm_f32_bits(x[col]) & ABS_BITS) < INF_BITS) {
        col++;
    }
    bool inf = (tm_f32_bits(x[col]) & ABS_BITS) == INF_BITS;
    return (struct tm_misfit){inf ? TM_UNFIT_INF : TM_UNFIT_NAN, row, col};
}

/* The slow path, value by value, of a group whose scale is not a normal float16. */
static bool group_keeps_promise(const struct plan *p, const float *x, size_t n, double row_max)
{
    uint8_t codes[32];
    uint16_t half = p->quantize(x, n, codes);
    if ((half & 0x7c00) == 0x7c00) {
        return false;
    }
    float scale = tm_f16_to_f32(half);
    for (size_t i = 0; i < n; i++) {
        double y = (float)(codes[i] - p->zero) * scale;
        double error = y > x[i] ? y - x[i] : x[i] - y;
        if (error > row_max * p->promise) {
            return false;
        }
    }
    return true;
}

static struct tm_misfit fit_row(const struct plan *p, const float *x, uint32_t cols, uint32_t row)
{
    uint32_t max = p->kernel->abs_max_bits(x, cols);
    if (max >= INF_BITS) {
        return not_finite(x, row);
    }
    double row_max = tm_f32_from_bits(max);
    for (uint32_t col = 0; col < cols;) {
        size_t n = group_at(p, cols, col);
        float d = tm_f32_from_bits(p->kernel->abs_max_bits(x + col, n)) / p->levels;
        /* 2^-14 <= d < 65504: rounding d to float16 adds at most max|x| / 2048 to half a step (a
         * step at the clipped end of the 4-bit grid), which is within the promise. */
        bool normal = d >= 0x1p-14f && d < 65504.0f;
        if (!normal && !group_keeps_promise(p, x + col, n, row_max)) {
            return (struct tm_misfit){TM_UNFIT_SCALE_RANGE, row, col};
        }
        col += (uint32_t)n;
    }
    return (struct tm_misfit){TM_FITS, 0, 0};
}

struct tm_misfit tm_int_fits(const struct tm_stage_params *params, struct tm_block_shape shape,
                             const float *values)
{
    struct plan p = plan_of(params);
    struct tm_misfit misfit = {TM_FITS, 0, 0};
    for (uint32_t row = 0; row < shape.rows && misfit.why == TM_FITS; row++) {
        misfit = fit_row(&p, values + (size_t)row * shape.cols, shape.cols, row);
    }
    return misfit;
}

/* ---- encoding ---- */

tm_status tm_int_encode(const struct tm_stage_params *params, struct tm_block_shape shape,
                        const float *values, struct tm_symbols *out, struct tm_err *err)
{
    TM_ASSERT(params->group == 32);
    struct plan p = plan_of(params);
    struct tm_misfit misfit = tm_int_fits(params, shape, values);
    if (misfit.why != TM_FITS) {
        return tm_misfit_refuse(misfit, err);
    }
    size_t side_bytes;
    uint8_t *codes, *side;
    tm_stage_symbol_counts(TM_STAGE_INT, params, shape, &out->count, &side_bytes, &out->alphabet);
    TM_TRY(tm_buf_extend(&out->codes, out->count, &codes));
    TM_TRY(tm_buf_extend(&out->side, side_bytes, &side));
    for (uint32_t row = 0; row < shape.rows; row++) {
        for (uint32_t col = 0; col < shape.cols;) {
            size_t n = group_at(&p, shape.cols, col);
            tm_set_u16(side, p.quantize(values, n, codes));
            side += 2;
            codes += n;
            values += n;
            col += (uint32_t)n;
        }
    }
    return TM_OK;
}

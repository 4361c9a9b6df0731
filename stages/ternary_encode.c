/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/ternary_encode.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "model/convert.h"

#define GROUP_MAX 1024
#define INF_BITS 0x7f800000u

/* Bits of |x|: they order as the values do. */
static uint32_t abs_bits(float x)
{
    return tm_f32_bits(x) & 0x7fffffffu;
}

/* Shell sort, largest first, with the gaps of M. Ciura (2001); equal keys are alike, so any order
 * of them is the same result. */
static void sort_down(uint32_t *keys, size_t n)
{
    static const size_t gaps[] = {701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++) {
        size_t gap = gaps[g];
        for (size_t i = gap; i < n; i++) {
            uint32_t key = keys[i];
            size_t j = i;
            for (; j >= gap && keys[j - gap] < key; j -= gap) {
                keys[j] = keys[j - gap];
            }
            keys[j] = key;
        }
    }
}

struct fit {
    uint32_t threshold; /* smallest |x| bits of a code that is not 0 */
    uint16_t half;      /* the scale */
    double mean;        /* the scale before rounding */
};

/* The best split of a group of finite values. */
static struct fit fit_group(const float *x, size_t n)
{
    uint32_t keys[GROUP_MAX];
    for (size_t i = 0; i < n; i++) {
        keys[i] = abs_bits(x[i]);
    }
    sort_down(keys, n);
    struct fit best = {INF_BITS, 0, 0.0};
    double sum = 0.0, best_gain = -1.0;
    for (size_t k = 1; k <= n && keys[k - 1] > 0; k++) {
        sum += (double)tm_f32_from_bits(keys[k - 1]);
        if (k < n && keys[k] == keys[k - 1]) {
            continue;
        }
        double mean = sum / (double)k;
        uint16_t half = tm_f32_to_f16((float)mean);
        double scale = (double)tm_f16_to_f32(half);
        double gain = scale * (2.0 * sum - (double)k * scale);
        /* Only the first mean, max |x|, can be the first beyond float16: a group to refuse. */
        if ((half & 0x7c00) == 0x7c00) {
            return (struct fit){keys[k - 1], half, mean};
        }
        if (gain > best_gain) {
            best = (struct fit){keys[k - 1], half, mean};
            best_gain = gain;
        }
    }
    return best;
}

static bool scale_fits(const struct fit *fit, double row_max)
{
    if ((fit->half & 0x7c00) == 0x7c00) {
        return false;
    }
    double scale = (double)tm_f16_to_f32(fit->half);
    double off = scale > fit->mean ? scale - fit->mean : fit->mean - scale;
    return off <= 0.05 * row_max;
}

/* Largest |x| of a row, or the first value that is not finite. */
static struct tm_misfit scan_row(const float *x, uint32_t row, uint32_t cols, double *row_max)
{
    uint32_t max = 0;
    for (uint32_t col = 0; col < cols; col++) {
        uint32_t bits = abs_bits(x[col]);
        if (bits >= INF_BITS) {
            return (struct tm_misfit){bits == INF_BITS ? TM_UNFIT_INF : TM_UNFIT_NAN, row, col};
        }
        max = bits > max ? bits : max;
    }
    *row_max = (double)tm_f32_from_bits(max);
    return (struct tm_misfit){TM_FITS, 0, 0};
}

/* Codes (0, 1, 2 for -1, 0, +1) and scales of a block; codes and side may be NULL to look only. */
static struct tm_misfit quantize(uint32_t group, struct tm_block_shape shape, const float *x,
                                 uint8_t *codes, uint8_t *side)
{
    for (uint32_t row = 0; row < shape.rows; row++) {
        double row_max = 0.0;
        struct tm_misfit misfit = scan_row(x, row, shape.cols, &row_max);
        if (misfit.why != TM_FITS) {
            return misfit;
        }
        for (uint32_t col = 0; col < shape.cols;) {
            uint32_t n = shape.cols - col < group ? shape.cols - col : group;
            struct fit fit = fit_group(x, n);
            if (!scale_fits(&fit, row_max)) {
                return (struct tm_misfit){TM_UNFIT_SCALE_RANGE, row, col};
            }
            for (uint32_t i = 0; codes != NULL && i < n; i++) {
                bool zero = abs_bits(x[i]) < fit.threshold;
                codes[i] = zero ? 1 : x[i] < 0.0f ? 0 : 2;
            }
            if (codes != NULL) {
                tm_set_u16(side, fit.half);
                codes += n;
                side += 2;
            }
            x += n;
            col += n;
        }
    }
    return (struct tm_misfit){TM_FITS, 0, 0};
}

struct tm_misfit tm_ternary_fits(const struct tm_stage_params *params, struct tm_block_shape shape,
                                 const float *values)
{
    return quantize(params->group, shape, values, NULL, NULL);
}

/* trits[5 * count] to symbols. */
static void pack_trits(const uint8_t *trits, size_t count, uint8_t *symbols)
{
    for (size_t i = 0; i < count; i++, trits += TM_TRITS) {
        symbols[i] =
            (uint8_t)(trits[0] + 3 * (trits[1] + 3 * (trits[2] + 3 * (trits[3] + 3 * trits[4]))));
    }
}

tm_status tm_ternary_encode(const struct tm_stage_params *params, struct tm_block_shape shape,
                            const float *values, struct tm_symbols *out, struct tm_err *err)
{
    TM_ASSERT(params->group >= 32 && params->group <= GROUP_MAX);
    size_t side_bytes;
    uint8_t *symbols, *side;
    tm_stage_symbol_counts(TM_STAGE_TERNARY, params, shape, &out->count, &side_bytes,
                           &out->alphabet);
    TM_TRY(tm_buf_extend(&out->codes, out->count, &symbols));
    TM_TRY(tm_buf_extend(&out->side, side_bytes, &side));
    uint8_t *trits = tm_alloc(TM_TRITS * out->count);
    if (trits == NULL) {
        return TM_E_NOMEM;
    }
    struct tm_misfit misfit = quantize(params->group, shape, values, trits, side);
    if (misfit.why == TM_FITS) {
        size_t weights = (size_t)shape.rows * shape.cols;
        for (size_t i = weights; i < TM_TRITS * out->count; i++) {
            trits[i] = 1;
        }
        pack_trits(trits, out->count, symbols);
    }
    tm_free(trits);
    return misfit.why == TM_FITS ? TM_OK : tm_misfit_refuse(misfit, err);
}

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

/* Radix sort, largest first: four passes over the bytes from the lowest, keys and spare in turn. */
static void sort_down(uint32_t *keys, uint32_t *spare, size_t n)
{
    uint16_t start[4][256] = {{0}};
    for (size_t i = 0; i < n; i++) {
        for (size_t pass = 0; pass < 4; pass++) {
            start[pass][keys[i] >> (8 * pass) & 255]++;
        }
    }
    for (size_t pass = 0; pass < 4; pass++) {
        uint16_t sum = 0;
        for (size_t digit = 256; digit-- > 0;) {
            uint16_t count = start[pass][digit];
            start[pass][digit] = sum;
            sum = (uint16_t)(sum + count);
        }
        for (size_t i = 0; i < n; i++) {
            spare[start[pass][keys[i] >> (8 * pass) & 255]++] = keys[i];
        }
        uint32_t *sorted = spare;
        spare = keys;
        keys = sorted;
    }
}

struct fit {
    uint32_t threshold; /* smallest |x| bits of a code that is not 0 */
    uint16_t half;      /* the scale */
    double mean;        /* the scale before rounding */
};

/* The fit with the k largest, whose sum is `sum`, as non-zeros, and its gain. */
static struct fit fit_split(const uint32_t *keys, size_t k, double sum, double *gain)
{
    double mean = sum / (double)k;
    uint16_t half = tm_f32_to_f16((float)mean);
    double scale = (double)tm_f16_to_f32(half);
    *gain = scale * (2.0 * sum - (double)k * scale);
    return (struct fit){keys[k - 1], half, mean};
}

/* A split between equal values is none. */
static bool is_split(const uint32_t *keys, size_t n, size_t k)
{
    return k == n || keys[k] != keys[k - 1];
}

/* The best fit of sorted keys[n], all above 0. */
static struct fit best_split(const uint32_t *keys, size_t n)
{
    double sums[GROUP_MAX + 1], best_gain;
    size_t best_k = n;
    sums[0] = 0.0;
    for (size_t k = 1; k <= n; k++) {
        sums[k] = sums[k - 1] + (double)tm_f32_from_bits(keys[k - 1]);
    }
    /* Without rounding of the scale the gain is S^2 / k: no gain is above that, so only splits that
     * reach the best one's rounded gain need a look. 2^-40 is far above what double rounds off. */
    for (size_t k = 1; k <= n; k++) {
        double square = sums[k] * sums[k] * (double)best_k;
        if (is_split(keys, n, k) && square > sums[best_k] * sums[best_k] * (double)k) {
            best_k = k;
        }
    }
    struct fit best = fit_split(keys, best_k, sums[best_k], &best_gain);
    for (size_t k = 1; k <= n; k++) {
        if (!is_split(keys, n, k) || sums[k] * sums[k] * (1.0 + 0x1p-40) < best_gain * (double)k) {
            continue;
        }
        double gain;
        struct fit fit = fit_split(keys, k, sums[k], &gain);
        if (gain > best_gain || (gain == best_gain && k < best_k)) {
            best = fit;
            best_gain = gain;
            best_k = k;
        }
    }
    return best;
}

/* The fit of a group of finite values. */
static struct fit fit_group(const float *x, size_t n)
{
    uint32_t keys[GROUP_MAX], spare[GROUP_MAX];
    for (size_t i = 0; i < n; i++) {
        keys[i] = abs_bits(x[i]);
    }
    sort_down(keys, spare, n);
    while (n > 0 && keys[n - 1] == 0) {
        n--;
    }
    if (n == 0) {
        return (struct fit){INF_BITS, 0, 0.0};
    }
    double gain;
    struct fit first = fit_split(keys, 1, (double)tm_f32_from_bits(keys[0]), &gain);
    /* The largest mean there is: beyond float16 the group is refused. */
    return (first.half & 0x7c00) == 0x7c00 ? first : best_split(keys, n);
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

/* Whether every scale of a row fits whatever it is: a mean is at most row_max, which float16 holds,
 * and its rounding is off by at most a 2^-11th of it, or by 2^-25 where halves are subnormal, which
 * is below 0.05 * row_max. Saves the search for the rows of any real model. */
static bool surely_fits(double row_max)
{
    return row_max >= 0x1p-20 && row_max <= 65504.0;
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
        if (codes == NULL && surely_fits(row_max)) {
            x += shape.cols;
            continue;
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

/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/int_encode.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "model/convert.h"
#include "stages/int_decode.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

static const struct tm_stage_params int8 = {8, 32, 0}, int4 = {4, 32, 0};

static struct tm_symbols encode(const struct tm_stage_params *params, struct tm_block_shape shape,
                                const float *values)
{
    struct tm_symbols symbols;
    tm_symbols_init(&symbols);
    ck_assert_int_eq(tm_int_encode(params, shape, values, &symbols, NULL), TM_OK);
    return symbols;
}

/* Groups of one length with known answers, by the formulas in the header. */
START_TEST(known_groups)
{
    /* d = 127 / 127 = 1: codes are the values rounded half away from zero. */
    const float x8[] = {127.0f, -127.0f, 0.5f, -0.5f, 1.49f, -2.5f, 0.0f};
    const uint8_t want8[] = {255, 1, 129, 127, 129, 125, 128};
    /* m = -8, d = 1: trunc(x + 8.5), at most 15. */
    const float x4[] = {-8.0f, 8.0f, 7.0f, 0.49f, -0.5f, -0.51f, 0.5f};
    const uint8_t want4[] = {0, 15, 15, 8, 8, 7, 9};
    struct tm_block_shape shape = {1, 7};
    struct tm_symbols s = encode(&int8, shape, x8);
    ck_assert_mem_eq(s.codes.data, want8, 7);
    ck_assert_uint_eq(tm_get_u16(s.side.data), 0x3c00);
    ck_assert_uint_eq(s.side.bytes, 2);
    tm_symbols_deinit(&s);
    s = encode(&int4, shape, x4);
    ck_assert_mem_eq(s.codes.data, want4, 7);
    ck_assert_uint_eq(tm_get_u16(s.side.data), 0x3c00);
    tm_symbols_deinit(&s);
    /* The first of equal magnitudes decides the sign of d. */
    const float y4[] = {8.0f, -8.0f, 1.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    s = encode(&int4, shape, y4);
    ck_assert_uint_eq(tm_get_u16(s.side.data), 0xbc00);
    ck_assert_uint_eq(s.codes.data[0], 0);
    ck_assert_uint_eq(s.codes.data[1], 15);
    ck_assert_uint_eq(s.codes.data[2], 7);
    tm_symbols_deinit(&s);
}
END_TEST

/* Against the writer of GGUF blocks, a second implementation of the same grids. */
START_TEST(equals_the_gguf_writer)
{
    struct tm_block_shape shape = {8, 320};
    size_t count = 8 * 320;
    float *values = normal_values((uint64_t)_i, count, ldexpf(1.0f, 4 * _i - 20));
    for (size_t i = 64; i < 128; i++) {
        values[i] = i < 96 ? 0.0f : -0.0f;
    }
    for (int bits = 4; bits <= 8; bits += 4) {
        const struct tm_stage_params *params = bits == 4 ? &int4 : &int8;
        enum tm_dtype dtype = bits == 4 ? TM_Q4_0 : TM_Q8_0;
        size_t bytes = count / 32 * tm_dtype_block_bytes(dtype);
        uint8_t *ours = tm_alloc(bytes), *theirs = tm_alloc(bytes);
        ck_assert_int_eq(tm_convert_from_f32(dtype, values, count, theirs), TM_OK);
        FOR_EACH_KERNEL(kernel)
        {
            struct tm_symbols s = encode(params, shape, values);
            tm_int_to_gguf(params, shape, &s, ours);
            ck_assert_mem_eq(ours, theirs, bytes);
            tm_symbols_deinit(&s);
        }
        tm_free(ours);
        tm_free(theirs);
    }
    tm_free(values);
}
END_TEST

static void compare_kernels(const float *x, size_t n)
{
    static const struct tm_int_kernel *const kernels[TM_KERNEL_COUNT] =
        TM_KERNEL_TABLE(&tm_int_kernel);
    const struct tm_int_kernel *ref = &tm_int_kernel_ref;
    uint8_t a[32], b[32];
    FOR_EACH_KERNEL(kernel)
    {
        const struct tm_int_kernel *tried = kernels[kernel];
        ck_assert_uint_eq(ref->abs_max_bits(x, n), tried->abs_max_bits(x, n));
        ck_assert_uint_eq(ref->quantize8(x, n, a), tried->quantize8(x, n, b));
        ck_assert_mem_eq(a, b, n);
        ck_assert_uint_eq(ref->quantize4(x, n, a), tried->quantize4(x, n, b));
        ck_assert_mem_eq(a, b, n);
    }
}

/* Same symbols and scales, short groups and hostile magnitudes included. */
START_TEST(kernels_agree)
{
    struct tm_rng rng;
    tm_rng_init(&rng, (uint64_t)_i);
    float x[32];
    for (int round = 0; round < 2000; round++) {
        size_t n = _i == 0 ? 32 : 1 + tm_rng_below(&rng, 32);
        int scale = (int)tm_rng_below(&rng, 250) - 140;
        for (size_t i = 0; i < n; i++) {
            x[i] = ldexpf((float)((int64_t)tm_rng_below(&rng, 4001) - 2000), scale - 11);
        }
        compare_kernels(x, n);
    }
}
END_TEST

/* Checks the promise value by value in double, on the scale 2^_i of the whole row; whatever is
 * accepted keeps it, and normal scales are accepted. */
START_TEST(promise_or_refusal)
{
    struct tm_block_shape shape = {4, 77};
    size_t count = 4 * 77;
    float *values = normal_values((uint64_t)(_i + 1000), count, ldexpf(1.0f, _i));
    float *back = tm_realloc_array(NULL, count, sizeof *back);
    for (int bits = 4; bits <= 8; bits += 4) {
        const struct tm_stage_params *params = bits == 4 ? &int4 : &int8;
        struct tm_symbols s;
        tm_symbols_init(&s);
        struct tm_misfit misfit = tm_int_fits(params, shape, values);
        tm_status status = tm_int_encode(params, shape, values, &s, NULL);
        ck_assert_int_eq(status, misfit.why == TM_FITS ? TM_OK : TM_E_REFUSED);
        if (_i >= -6 && _i <= 13) {
            ck_assert_int_eq(status, TM_OK);
        }
        if (_i <= -40 || _i >= 24) {
            ck_assert_int_eq(misfit.why, TM_UNFIT_SCALE_RANGE);
        }
        if (status == TM_OK) {
            tm_int_decode(params, shape, &s, back);
            for (size_t row = 0; row < 4; row++) {
                double max = 0.0;
                for (size_t i = row * 77; i < row * 77 + 77; i++) {
                    max = fmax(max, fabs((double)values[i]));
                }
                for (size_t i = row * 77; i < row * 77 + 77; i++) {
                    double error = fabs((double)back[i] - (double)values[i]);
                    ck_assert(error <= max * 1.05 / (bits == 8 ? 127 : 7));
                }
            }
        }
        tm_symbols_deinit(&s);
    }
    tm_free(values);
    tm_free(back);
}
END_TEST

/* A group far below its row may decode to zeros; a whole row may not. */
START_TEST(tiny_groups_and_rows)
{
    float values[2][64];
    for (size_t i = 0; i < 64; i++) {
        values[0][i] = i < 32 ? 1.0f : 1e-9f;
        values[1][i] = 0.5f;
    }
    struct tm_block_shape shape = {2, 64};
    for (int bits = 4; bits <= 8; bits += 4) {
        const struct tm_stage_params *params = bits == 4 ? &int4 : &int8;
        ck_assert_int_eq(tm_int_fits(params, shape, values[0]).why, TM_FITS);
        values[1][40] = 1e-45f;
        ck_assert_int_eq(tm_int_fits(params, shape, values[0]).why, TM_FITS);
        float row[64];
        for (size_t i = 0; i < 64; i++) {
            row[i] = 1e-9f;
        }
        struct tm_misfit misfit = tm_int_fits(params, (struct tm_block_shape){1, 64}, row);
        ck_assert_int_eq(misfit.why, TM_UNFIT_SCALE_RANGE);
        ck_assert_uint_eq(misfit.col, 0);
        values[1][40] = 9e8f;
        misfit = tm_int_fits(params, shape, values[0]);
        ck_assert_int_eq(misfit.why, TM_UNFIT_SCALE_RANGE);
        ck_assert_uint_eq(misfit.row, 1);
        ck_assert_uint_eq(misfit.col, 32);
        values[1][40] = 0.5f;
    }
}
END_TEST

START_TEST(not_finite)
{
    float *values = normal_values(1, 3 * 70, 1.0f);
    struct tm_block_shape shape = {3, 70};
    struct tm_symbols s;
    struct tm_err err;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t k = 0; k < 3; k++) {
        FOR_EACH_KERNEL(kernel)
        {
            values[70 + 69] = bad[k];
            struct tm_misfit misfit = tm_int_fits(&int8, shape, values);
            ck_assert_int_eq(misfit.why, k == 0 ? TM_UNFIT_NAN : TM_UNFIT_INF);
            ck_assert_uint_eq(misfit.row, 1);
            ck_assert_uint_eq(misfit.col, 69);
            tm_symbols_init(&s);
            ck_assert_int_eq(tm_int_encode(&int4, shape, values, &s, &err), TM_E_REFUSED);
            ck_assert_str_eq(err.where, "row 1, column 69 of the block");
            ck_assert_ptr_nonnull(strstr(err.why, k == 0 ? "NaN" : "infinite"));
            tm_symbols_deinit(&s);
        }
    }
    tm_free(values);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("int_encode");
    TCase *tc = tcase_create("int_encode");
    tcase_add_test(tc, known_groups);
    tcase_add_loop_test(tc, equals_the_gguf_writer, 3, 9);
    tcase_add_loop_test(tc, kernels_agree, 0, 5);
    tcase_add_loop_test(tc, promise_or_refusal, -145, 127);
    tcase_add_test(tc, tiny_groups_and_rows);
    tcase_add_test(tc, not_finite);
    suite_add_tcase(suite, tc);
    return suite;
}

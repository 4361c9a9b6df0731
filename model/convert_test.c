/* SPDX-License-Identifier: Apache-2.0 */
#include "model/convert.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/support/suite.h"

/* ---- an independent reading of the formats, by the book ---- */

/* sign * 1.m * 2^(e - bias), subnormals and all-ones exponent as IEEE has them. */
static double minifloat(uint32_t code, unsigned exponent_bits, unsigned mantissa_bits)
{
    uint32_t mantissa = code & ((1u << mantissa_bits) - 1);
    uint32_t exponent = code >> mantissa_bits & ((1u << exponent_bits) - 1);
    int bias = (1 << (exponent_bits - 1)) - 1;
    double sign = code >> (exponent_bits + mantissa_bits) & 1 ? -1.0 : 1.0;
    double fraction = ldexp((double)mantissa, -(int)mantissa_bits);
    if (exponent == 0) {
        return sign * ldexp(fraction, 1 - bias);
    }
    if (exponent == (1u << exponent_bits) - 1) {
        return mantissa == 0 ? sign * (double)INFINITY : (double)NAN;
    }
    return sign * ldexp(1.0 + fraction, (int)exponent - bias);
}

START_TEST(half_values)
{
    for (uint32_t h = 0; h < 65536; h++) {
        double want = minifloat(h, 5, 10);
        float got = tm_f16_to_f32((uint16_t)h);
        if (isnan(want)) {
            ck_assert(isnan(got));
            ck_assert_uint_eq(tm_f32_bits(got) & 0x7fffff, (h & 0x3ff) << 13);
        } else {
            ck_assert(tm_f64_bits((double)got) == tm_f64_bits(want));
        }
        ck_assert_uint_eq(tm_f32_to_f16(got), h);
    }
}
END_TEST

START_TEST(brain_values)
{
    for (uint32_t b = 0; b < 65536; b++) {
        double want = minifloat(b, 8, 7);
        float got = tm_bf16_to_f32((uint16_t)b);
        if (isnan(want)) {
            ck_assert(isnan(got));
            ck_assert_uint_eq(tm_f32_to_bf16(got), b | 0x40);
        } else {
            ck_assert(tm_f64_bits((double)got) == tm_f64_bits(want));
            ck_assert_uint_eq(tm_f32_to_bf16(got), b);
        }
    }
}
END_TEST

/* Rounding is monotone, so it is right everywhere when it is right on both sides of every boundary
 * between neighbours: checked at the midpoint (ties to the even code) and its float neighbours. */
static void check_boundaries(uint32_t codes, unsigned exponent_bits, unsigned mantissa_bits,
                             uint16_t (*narrow)(float))
{
    for (uint32_t low = 0; low < codes; low++) {
        uint32_t high = low + 1;
        double below = minifloat(low, exponent_bits, mantissa_bits);
        double above = minifloat(high, exponent_bits, mantissa_bits);
        if (isinf(above)) { /* the next step of the same size */
            above = below + (below - minifloat(low - 1, exponent_bits, mantissa_bits));
        }
        float middle = (float)((below + above) / 2);
        ck_assert((double)middle == (below + above) / 2);
        uint32_t even = low % 2 == 0 ? low : high;
        uint32_t sign = codes + (1u << mantissa_bits);
        ck_assert_uint_eq(narrow(middle), even);
        ck_assert_uint_eq(narrow(-middle), even | sign);
        ck_assert_uint_eq(narrow(nextafterf(middle, 0.0f)), low);
        ck_assert_uint_eq(narrow(nextafterf(middle, INFINITY)), high);
        ck_assert_uint_eq(narrow(-nextafterf(middle, 0.0f)), low | sign);
        ck_assert_uint_eq(narrow(-nextafterf(middle, INFINITY)), high | sign);
        if (below > 0.0) {
            ck_assert_uint_eq(narrow(nextafterf((float)below, 0.0f)), low);
        }
        ck_assert_uint_eq(narrow(nextafterf((float)below, INFINITY)), low);
    }
}

START_TEST(half_rounding)
{
    check_boundaries(0x7c00, 5, 10, tm_f32_to_f16);
    ck_assert_uint_eq(tm_f32_to_f16(FLT_MAX), 0x7c00);
    ck_assert_uint_eq(tm_f32_to_f16(-FLT_MAX), 0xfc00);
    ck_assert_uint_eq(tm_f32_to_f16(FLT_TRUE_MIN), 0);
    ck_assert_uint_eq(tm_f32_to_f16(-FLT_TRUE_MIN), 0x8000);
}
END_TEST

START_TEST(brain_rounding)
{
    /* Codes up to 2 have midpoints that float32 holds as well: its own subnormals are finer. */
    check_boundaries(0x7f80, 8, 7, tm_f32_to_bf16);
    ck_assert_uint_eq(tm_f32_to_bf16(FLT_MAX), 0x7f80);
}
END_TEST

/* Two codes bracket any float; the nearer one in exact double arithmetic must be chosen. */
START_TEST(half_rounding_random)
{
    uint64_t state = 12345;
    for (unsigned i = 0; i < 300000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        float value = tm_f32_from_bits((uint32_t)(state >> 33) % 0x47800000u); /* up to 65536 */
        uint32_t got = tm_f32_to_f16(value);
        double error = fabs(minifloat(got, 5, 10) - (double)value);
        if (got == 0x7c00) {
            ck_assert(value >= 65520.0f);
            continue;
        }
        double up =
            got < 0x7bff ? fabs(minifloat(got + 1, 5, 10) - (double)value) : (double)INFINITY;
        double down = got > 0 ? fabs(minifloat(got - 1, 5, 10) - (double)value) : (double)INFINITY;
        ck_assert(error < up || (error == up && got % 2 == 0));
        ck_assert(error < down || (error == down && got % 2 == 0));
    }
}
END_TEST

START_TEST(nan_stays_nan)
{
    const uint32_t nans[] = {0x7f800001, 0x7fc00000, 0xffffffff, 0x7f801fff, 0xff802000};
    for (unsigned i = 0; i < sizeof nans / sizeof nans[0]; i++) {
        float value = tm_f32_from_bits(nans[i]);
        uint16_t half = tm_f32_to_f16(value);
        ck_assert(isnan(tm_f16_to_f32(half)));
        ck_assert_uint_eq(half >> 15, nans[i] >> 31);
        uint16_t brain = tm_f32_to_bf16(value);
        ck_assert(isnan(tm_bf16_to_f32(brain)));
        ck_assert_uint_eq(brain & 0x40, 0x40);
        ck_assert_uint_eq(brain >> 15, nans[i] >> 31);
    }
}
END_TEST

/* ---- runs ---- */

START_TEST(f8_values)
{
    uint8_t codes[256];
    float e4m3[256];
    float e5m2[256];
    for (unsigned i = 0; i < 256; i++) {
        codes[i] = (uint8_t)i;
    }
    ck_assert_int_eq(tm_convert_to_f32(TM_F8_E4M3, codes, 256, e4m3), TM_OK);
    ck_assert_int_eq(tm_convert_to_f32(TM_F8_E5M2, codes, 256, e5m2), TM_OK);
    for (unsigned i = 0; i < 256; i++) {
        /* E4M3 uses its top exponent for numbers: only S.1111.111 is a NaN, 448 the largest. */
        double want = (i & 0x78) == 0x78 ? (i & 0x80 ? -1 : 1) * (256.0 + 32.0 * (i & 7))
                                         : minifloat(i, 4, 3);
        if ((i & 0x7f) == 0x7f) {
            ck_assert(isnan(e4m3[i]));
        } else {
            ck_assert(tm_f64_bits((double)e4m3[i]) == tm_f64_bits(want));
        }
        want = minifloat(i, 5, 2);
        ck_assert(isnan(want) ? isnan(e5m2[i]) : tm_f64_bits((double)e5m2[i]) == tm_f64_bits(want));
    }
    ck_assert(e4m3[0x7e] == 448.0f);
    ck_assert(e5m2[0x7b] == 57344.0f);
}
END_TEST

/* Lengths around the strips, and sources that are not aligned. */
START_TEST(plain_runs)
{
    enum { LONGEST = 200 };
    uint8_t bytes[1 + 8 * LONGEST];
    float got[LONGEST + 1];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 37 + i / 7) & 0x3f;
    }
    for (size_t n = 0; n <= LONGEST; n++) {
        for (size_t skew = 0; skew < 2; skew++) {
            const uint8_t *src = bytes + skew;
            got[n] = 7.0f;
            ck_assert_int_eq(tm_convert_to_f32(TM_F16, src, n, got), TM_OK);
            for (size_t i = 0; i < n; i++) {
                ck_assert(got[i] == tm_f16_to_f32(tm_get_u16(src + 2 * i)));
            }
            ck_assert_int_eq(tm_convert_to_f32(TM_BF16, src, n, got), TM_OK);
            for (size_t i = 0; i < n; i++) {
                ck_assert(got[i] == tm_bf16_to_f32(tm_get_u16(src + 2 * i)));
            }
            ck_assert_int_eq(tm_convert_to_f32(TM_F32, src, n, got), TM_OK);
            for (size_t i = 0; i < n; i++) {
                ck_assert_uint_eq(tm_f32_bits(got[i]), tm_get_u32(src + 4 * i));
            }
            ck_assert(got[n] == 7.0f);
        }
    }
}
END_TEST

START_TEST(f64_rounds_once)
{
    const double values[] = {0.1, -1e300, 1e-300, 1.0 + 0x1p-24, 1.0 + 0x3p-24, 0x1.fffffefp127};
    const float want[] = {0.1f, -INFINITY, 0.0f, 1.0f, 1.0f + 0x1p-22f, FLT_MAX};
    uint8_t bytes[sizeof values];
    float got[6];
    for (unsigned i = 0; i < 6; i++) {
        tm_set_u64(bytes + 8 * i, tm_f64_bits(values[i]));
    }
    ck_assert_int_eq(tm_convert_to_f32(TM_F64, bytes, 6, got), TM_OK);
    for (unsigned i = 0; i < 6; i++) {
        ck_assert_uint_eq(tm_f32_bits(got[i]), tm_f32_bits(want[i]));
    }
}
END_TEST

START_TEST(encodes_plain)
{
    const float values[] = {1.0f, -0.0f, 65504.0f, 0x1p-24f, 3.14159274f};
    uint8_t got[20];
    ck_assert_int_eq(tm_convert_from_f32(TM_F16, values, 5, got), TM_OK);
    const uint8_t halves[] = {0, 0x3c, 0, 0x80, 0xff, 0x7b, 1, 0, 0x48, 0x42};
    ck_assert_mem_eq(got, halves, sizeof halves);
    ck_assert_int_eq(tm_convert_from_f32(TM_BF16, values, 5, got), TM_OK);
    const uint8_t brains[] = {0x80, 0x3f, 0, 0x80, 0x80, 0x47, 0x80, 0x33, 0x49, 0x40};
    ck_assert_mem_eq(got, brains, sizeof brains);
    ck_assert_int_eq(tm_convert_from_f32(TM_F32, values, 5, got), TM_OK);
    const uint8_t singles[] = {0,    0,    0x80, 0x3f, 0,    0,    0,    0x80, 0,    0xe0,
                               0x7f, 0x47, 0,    0,    0x80, 0x33, 0xdb, 0x0f, 0x49, 0x40};
    ck_assert_mem_eq(got, singles, sizeof singles);
}
END_TEST

START_TEST(refuses_other_types)
{
    float values[32] = {0};
    uint8_t bytes[256] = {0};
    const enum tm_dtype integers[] = {TM_I8, TM_I64, TM_U8, TM_U64, TM_BOOL};
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_int_eq(tm_convert_to_f32(integers[i], bytes, 1, values), TM_E_USAGE);
        ck_assert_int_eq(tm_convert_from_f32(integers[i], values, 1, bytes), TM_E_USAGE);
    }
    ck_assert_int_eq(tm_convert_from_f32(TM_Q4_1, values, 32, bytes), TM_E_USAGE);
    ck_assert_int_eq(tm_convert_from_f32(TM_F64, values, 1, bytes), TM_E_USAGE);
    /* Not a multiple of the block. */
    ck_assert_int_eq(tm_convert_to_f32(TM_Q8_0, bytes, 31, values), TM_E_USAGE);
    ck_assert_int_eq(tm_convert_from_f32(TM_Q4_0, values, 33, bytes), TM_E_USAGE);
    ck_assert_int_eq(tm_convert_to_f32(TM_Q6_K, bytes, 32, values), TM_E_USAGE);
}
END_TEST

/* ---- scan ---- */

START_TEST(scan_finds_bad_values)
{
    static float values[3000];
    for (unsigned i = 0; i < 3000; i++) {
        values[i] = (float)i - 1500.0f;
    }
    struct tm_scan scan = {0};
    tm_scan_f32(values, 3000, &scan);
    ck_assert_uint_eq(scan.elements, 3000);
    ck_assert_uint_eq(scan.first_bad, 3000);
    ck_assert(scan.abs_max == 1500.0f);
    values[100] = -INFINITY;
    values[1500] = NAN;
    values[2999] = -2000.0f;
    tm_scan_f32(values, 3000, &scan);
    ck_assert_uint_eq(scan.elements, 6000);
    ck_assert_uint_eq(scan.first_bad, 3100);
    ck_assert_uint_eq(scan.nan_count, 1);
    ck_assert_uint_eq(scan.inf_count, 1);
    ck_assert(scan.abs_max == 2000.0f);
    tm_scan_f32(values, 101, &scan);
    ck_assert_uint_eq(scan.first_bad, 3100);
    ck_assert_uint_eq(scan.inf_count, 2);
    struct tm_scan none = {0};
    tm_scan_f32(values, 0, &none);
    ck_assert_uint_eq(none.elements + none.first_bad, 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("convert");
    TCase *numbers = tcase_create("numbers");
    tcase_set_timeout(numbers, 60);
    tcase_add_test(numbers, half_values);
    tcase_add_test(numbers, brain_values);
    tcase_add_test(numbers, half_rounding);
    tcase_add_test(numbers, brain_rounding);
    tcase_add_test(numbers, half_rounding_random);
    tcase_add_test(numbers, nan_stays_nan);
    suite_add_tcase(suite, numbers);
    TCase *runs = tcase_create("runs");
    tcase_set_timeout(runs, 60);
    tcase_add_test(runs, f8_values);
    tcase_add_test(runs, plain_runs);
    tcase_add_test(runs, f64_rounds_once);
    tcase_add_test(runs, encodes_plain);
    tcase_add_test(runs, refuses_other_types);
    tcase_add_test(runs, scan_finds_bad_values);
    suite_add_tcase(suite, runs);
    return suite;
}

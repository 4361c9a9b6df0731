/* SPDX-License-Identifier: Apache-2.0 */
#include "base/num.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/rng.h"
#include "tests/support/suite.h"

START_TEST(checked_arithmetic)
{
    uint64_t out = 42;
    ck_assert(!tm_add_u64(UINT64_MAX, 1, &out));
    ck_assert(!tm_mul_u64((uint64_t)1 << 32, (uint64_t)1 << 32, &out));
    ck_assert(!tm_align_u64(UINT64_MAX, 64, &out));
    ck_assert_uint_eq(out, 42);
    ck_assert(tm_add_u64(UINT64_MAX - 1, 1, &out) && out == UINT64_MAX);
    ck_assert(tm_mul_u64(0, UINT64_MAX, &out) && out == 0);
    ck_assert(tm_mul_u64(UINT64_MAX, 1, &out) && out == UINT64_MAX);
    ck_assert(tm_align_u64(0, 64, &out) && out == 0);
    ck_assert(tm_align_u64(65, 64, &out) && out == 128);
    ck_assert(tm_align_u64(9, 3, &out) && out == 9);
    ck_assert(tm_align_u64(UINT64_MAX - 63, 64, &out) && out == UINT64_MAX - 63);
}
END_TEST

START_TEST(u64)
{
    static const struct {
        const char *text;
        tm_status status;
        uint64_t value;
    } cases[] = {
        {"0", TM_OK, 0},
        {"18446744073709551615", TM_OK, UINT64_MAX},
        {"18446744073709551616", TM_E_LIMIT, 0},
        {"99999999999999999999999", TM_E_LIMIT, 0},
        {"", TM_E_MALFORMED, 0},
        {"00", TM_E_MALFORMED, 0},
        {"01", TM_E_MALFORMED, 0},
        {"+1", TM_E_MALFORMED, 0},
        {"-1", TM_E_MALFORMED, 0},
        {" 1", TM_E_MALFORMED, 0},
        {"1 ", TM_E_MALFORMED, 0},
        {"1a", TM_E_MALFORMED, 0},
        {"0x1", TM_E_MALFORMED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t value = 0;
        ck_assert_int_eq(tm_parse_u64(tm_view_str(cases[i].text), &value), cases[i].status);
        ck_assert_uint_eq(value, cases[i].value);
    }
}
END_TEST

START_TEST(i64)
{
    int64_t v = 0;
    ck_assert_int_eq(tm_parse_i64(tm_view_str("-9223372036854775808"), &v), TM_OK);
    ck_assert_int_eq(v, INT64_MIN);
    ck_assert_int_eq(tm_parse_i64(tm_view_str("9223372036854775807"), &v), TM_OK);
    ck_assert_int_eq(v, INT64_MAX);
    ck_assert_int_eq(tm_parse_i64(tm_view_str("-0"), &v), TM_OK);
    ck_assert_int_eq(v, 0);
    ck_assert_int_eq(tm_parse_i64(tm_view_str("9223372036854775808"), &v), TM_E_LIMIT);
    ck_assert_int_eq(tm_parse_i64(tm_view_str("-9223372036854775809"), &v), TM_E_LIMIT);
    ck_assert_int_eq(tm_parse_i64(tm_view_str("-"), &v), TM_E_MALFORMED);
    ck_assert_int_eq(tm_parse_i64(tm_view_str("--1"), &v), TM_E_MALFORMED);
    ck_assert_int_eq(v, 0);
}
END_TEST

/* The bits are from exact rational arithmetic, not from this parser. */
START_TEST(f64_rounds_correctly)
{
    static const struct {
        const char *text;
        uint64_t bits;
    } cases[] = {
        {"0", 0},
        {"-0", 0x8000000000000000},
        {"0.1", 0x3fb999999999999a},
        {"1e0", 0x3ff0000000000000},
        {"9007199254740993", 0x4340000000000000},                      /* a tie: to even */
        {"9007199254740993.00000000000000000001", 0x4340000000000001}, /* just above it */
        {"2.2250738585072011e-308", 0x000fffffffffffff},
        {"2.2250738585072012e-308", 0x0010000000000000},
        {"2.2250738585072014E-308", 0x0010000000000000},
        {"1.7976931348623157e308", 0x7fefffffffffffff},
        {"4.9406564584124654e-324", 1},
        {"2.4703282292062328e-324", 1},
        {"2.4703282292062327e-324", 0},
        {"1e-400", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double value = 42;
        ck_assert_int_eq(tm_parse_f64(tm_view_str(cases[i].text), &value), TM_OK);
        if (tm_f64_bits(value) != cases[i].bits) {
            ck_abort_msg("%s gives %016llx", cases[i].text, (unsigned long long)tm_f64_bits(value));
        }
    }
}
END_TEST

START_TEST(f64_refuses)
{
    static const char *const malformed[] = {
        "",    "-",   "+1",    ".5",  "1.",   "1,5", "01",    "1e",   "1e+", " 1",      "1 ",
        "nan", "inf", "0x1p3", "1_0", "1.e3", "--1", "1e1.5", "1.5f", "-.1", "infinity"};
    double value = 42;
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        ck_assert_int_eq(tm_parse_f64(tm_view_str(malformed[i]), &value), TM_E_MALFORMED);
    }
    ck_assert_int_eq(tm_parse_f64(tm_view_str("1e309"), &value), TM_E_LIMIT);
    ck_assert_int_eq(tm_parse_f64(tm_view_str("-1.7976931348623159e308"), &value), TM_E_LIMIT);
    char longest[2000];
    memset(longest, '1', sizeof longest);
    ck_assert_int_eq(tm_parse_f64(tm_view_of(longest, sizeof longest), &value), TM_E_LIMIT);
    ck_assert_int_eq(tm_parse_f64(tm_view_of("1\0", 2), &value), TM_E_MALFORMED);
    ck_assert(value == 42);
    ck_assert_int_eq(tm_parse_f64(tm_view_of("125", 2), &value), TM_OK); /* no byte further */
    ck_assert(value == 12);
}
END_TEST

START_TEST(sizes)
{
    static const struct {
        const char *text;
        tm_status status;
        uint64_t bytes;
    } cases[] = {
        {"64", TM_OK, 64},
        {"64B", TM_OK, 64},
        {"64k", TM_OK, 64000},
        {"64kB", TM_OK, 64000},
        {"64KiB", TM_OK, 65536},
        {"1.5GiB", TM_OK, 1610612736},
        {"10MB", TM_OK, 10000000},
        {"0.1KiB", TM_OK, 102}, /* 102.4 */
        {"2TiB", TM_OK, (uint64_t)2 << 40},
        {"3G", TM_OK, 3000000000},
        {"18446744073709551615", TM_OK, UINT64_MAX},
        {"18014398509481983KiB", TM_OK, 18014398509481983u << 10},
        {"18014398509481984KiB", TM_E_LIMIT, 0},
        {"18014398509481983.999999KiB", TM_OK, (18014398509481983u << 10) + 1023},
        {"99999999999999999999", TM_E_LIMIT, 0},
        {"1.1234567GiB", TM_E_LIMIT, 0},
        {"", TM_E_MALFORMED, 0},
        {"k", TM_E_MALFORMED, 0},
        {"1.5", TM_E_MALFORMED, 0},
        {"1.5B", TM_E_MALFORMED, 0},
        {"1.k", TM_E_MALFORMED, 0},
        {".5k", TM_E_MALFORMED, 0},
        {"1 k", TM_E_MALFORMED, 0},
        {"-1k", TM_E_MALFORMED, 0},
        {"1gib", TM_E_MALFORMED, 0},
        {"1KiBB", TM_E_MALFORMED, 0},
        {"01k", TM_E_MALFORMED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 0;
        tm_status status = tm_parse_size(tm_view_str(cases[i].text), &bytes);
        if (status != cases[i].status || bytes != cases[i].bytes) {
            ck_abort_msg("%s: status %d, %llu", cases[i].text, status, (unsigned long long)bytes);
        }
    }
}
END_TEST

START_TEST(durations)
{
    static const struct {
        const char *text;
        tm_status status;
        uint64_t ms;
    } cases[] = {
        {"250ms", TM_OK, 250},
        {"30s", TM_OK, 30000},
        {"5m", TM_OK, 300000},
        {"2h", TM_OK, 7200000},
        {"0s", TM_OK, 0},
        {"30", TM_E_MALFORMED, 0},
        {"s", TM_E_MALFORMED, 0},
        {"1.5s", TM_E_MALFORMED, 0},
        {"5M", TM_E_MALFORMED, 0},
        {"-1s", TM_E_MALFORMED, 0},
        {"5124095576031h", TM_E_LIMIT, 0},
        {"99999999999999999999s", TM_E_LIMIT, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ms = 0;
        ck_assert_int_eq(tm_parse_duration_ms(tm_view_str(cases[i].text), &ms), cases[i].status);
        ck_assert_uint_eq(ms, cases[i].ms);
    }
}
END_TEST

START_TEST(bytes_as_text)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.00 KiB"},
        {1229, "1.20 KiB"},
        {10 * 1024, "10.0 KiB"},
        {10234, "9.99 KiB"}, /* 9.9941 */
        {10239, "10.0 KiB"}, /* 9.9990 */
        {102390, "100 KiB"}, /* 99.990 */
        {1023 * 1024, "1023 KiB"},
        {1048575, "1.00 MiB"}, /* 1023.999 KiB */
        {1288490189, "1.20 GiB"},
        {(uint64_t)3 << 40, "3.00 TiB"},
        {(uint64_t)1 << 50, "1.00 PiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[TM_NUM_TEXT];
        ck_assert_str_eq(tm_format_bytes(cases[i].bytes, out), cases[i].text);
    }
}
END_TEST

START_TEST(f64_as_text)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0.0"},
        {1, "1"},
        {0.1, "0.1"},
        {-2.5, "-2.5"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e15, "1e+15"},
        {1e22, "1e+22"},
        {DBL_MAX, "1.7976931348623157e+308"}, /* 16 digits would round up to infinity */
        {0x1p-1074, "5e-324"},
        {NAN, "null"},
        {INFINITY, "null"},
        {-INFINITY, "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[TM_NUM_TEXT];
        ck_assert_str_eq(tm_format_f64(cases[i].value, out), cases[i].text);
    }
}
END_TEST

START_TEST(f64_reads_back)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 7);
    for (size_t i = 0; i < 200000; i++) {
        uint64_t bits = tm_rng_u64(&rng);
        bits = i % 4 == 0 ? bits & 0x800fffffffffffff : bits; /* a quarter subnormal */
        double value = tm_f64_from_bits(bits);
        if (!isfinite(value)) {
            continue;
        }
        char out[TM_NUM_TEXT];
        double back = 0;
        tm_format_f64(value, out);
        if (tm_parse_f64(tm_view_str(out), &back) != TM_OK || tm_f64_bits(back) != bits) {
            ck_abort_msg("%s is not %016llx", out, (unsigned long long)bits);
        }
    }
}
END_TEST

/* A locale with a decimal comma, made from the C library's own file, since none may be installed.
 */
static void use_comma_locale(const char *folder)
{
    struct tm_buf data;
    char dir[TM_PATH_MAX];
    char path[TM_PATH_MAX];
    tm_buf_init(&data, 4096);
    ck_assert_int_eq(tm_file_read("/usr/lib/locale/C.utf8/LC_NUMERIC", &data, NULL), TM_OK);
    uint8_t *point = memchr(data.data + 32, '.', data.bytes - 32);
    ck_assert_ptr_nonnull(point);
    *point = ',';
    ck_assert_int_eq(tm_path_join(dir, folder, "xx.utf8"), TM_OK);
    ck_assert_int_eq(tm_dir_make(dir, 0755, NULL), TM_OK);
    ck_assert_int_eq(tm_path_join(path, dir, "LC_NUMERIC"), TM_OK);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_buf_view(&data), NULL), TM_OK);
    tm_buf_deinit(&data);
    ck_assert_int_eq(setenv("LOCPATH", folder, 1), 0);
    ck_assert_ptr_nonnull(setlocale(LC_NUMERIC, "xx.utf8"));
    char half[16];
    snprintf(half, sizeof half, "%.1f", 0.5);
    ck_assert_str_eq(half, "0,5"); /* the trap is set */
}

START_TEST(short_text)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.08977, "0.08977"},
                 {1.4125, "1.413"},
                 {1234.4, "1234"},
                 {999.96, "1000.0"},
                 {1e-12, "0.000000000"},
                 {999999999999.0, "999999999999"},
                 {1e12, "-"},
                 {-1, "-"},
                 {(double)NAN, "-"}};
    char out[TM_SHORT_TEXT];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_str_eq(tm_format_short(cases[i].value, out), cases[i].text);
    }
}
END_TEST

START_TEST(locale_does_not_matter)
{
    char folder[] = "/tmp/num_test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    use_comma_locale(folder);
    char out[TM_NUM_TEXT];
    double value = 0;
    uint64_t bytes = 0;
    ck_assert_str_eq(tm_format_f64(-1234.5, out), "-1234.5");
    ck_assert_str_eq(tm_format_bytes(1536, out), "1.50 KiB");
    ck_assert_str_eq(tm_format_short(1.5, out), "1.500");
    ck_assert_int_eq(tm_parse_f64(tm_view_str("1234.5"), &value), TM_OK);
    ck_assert(value == 1234.5);
    ck_assert_int_eq(tm_parse_f64(tm_view_str("1234,5"), &value), TM_E_MALFORMED);
    ck_assert_int_eq(tm_parse_size(tm_view_str("1.5KiB"), &bytes), TM_OK);
    ck_assert_uint_eq(bytes, 1536);
    snprintf(out, sizeof out, "%.1f", 0.5);
    ck_assert_str_eq(out, "0,5"); /* and the caller's locale is as before */
    ck_assert_int_eq(tm_dir_remove_tree(folder, NULL), TM_OK);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("num");
    TCase *tc = tcase_create("num");
    tcase_add_test(tc, checked_arithmetic);
    tcase_add_test(tc, u64);
    tcase_add_test(tc, i64);
    tcase_add_test(tc, f64_rounds_correctly);
    tcase_add_test(tc, f64_refuses);
    tcase_add_test(tc, sizes);
    tcase_add_test(tc, durations);
    tcase_add_test(tc, bytes_as_text);
    tcase_add_test(tc, f64_as_text);
    tcase_add_test(tc, f64_reads_back);
    tcase_add_test(tc, short_text);
    tcase_add_test(tc, locale_does_not_matter);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include <math.h>
#include <signal.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/support/suite.h"

/* splitmix64 from 0 and xoshiro256** from {1, 2, 3, 4}: values published with the algorithms. */
START_TEST(known_answers)
{
    static const uint64_t seeded[4] = {0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f,
                                       0xf88bb8a8724c81ec};
    static const uint64_t outputs[] = {11520, 0, 1509978240, 1215971899390074240};
    struct tm_rng rng;
    tm_rng_init(&rng, 0);
    ck_assert_mem_eq(rng.s, seeded, sizeof seeded);
    rng = (struct tm_rng){{1, 2, 3, 4}};
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(tm_rng_u64(&rng), outputs[i]);
    }
}
END_TEST

START_TEST(below_is_uniform)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 1);
    size_t counts[7] = {0};
    for (size_t i = 0; i < 70000; i++) {
        uint64_t v = tm_rng_below(&rng, 7);
        ck_assert_uint_lt(v, 7);
        counts[v]++;
    }
    for (size_t i = 0; i < 7; i++) { /* 10000 +- 5 sigma */
        ck_assert_uint_gt(counts[i], 10000 - 463);
        ck_assert_uint_lt(counts[i], 10000 + 463);
    }
    ck_assert_uint_eq(tm_rng_below(&rng, 1), 0);
    /* A plain remainder would fall into the lower half two times out of three here. */
    size_t low = 0;
    for (size_t i = 0; i < 10000; i++) {
        low += tm_rng_below(&rng, (uint64_t)3 << 62) < (uint64_t)3 << 61 ? 1 : 0;
    }
    ck_assert_uint_gt(low, 4750);
    ck_assert_uint_lt(low, 5250);
}
END_TEST

START_TEST(below_zero_is_a_bug)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 1);
    tm_rng_below(&rng, 0);
}
END_TEST

START_TEST(moments)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 3);
    double sum = 0;
    double normal_sum = 0;
    double normal_square = 0;
    double normal_fourth = 0;
    enum { N = 200000 };
    for (size_t i = 0; i < N; i++) {
        double u = tm_rng_f64(&rng);
        ck_assert(u >= 0 && u < 1);
        sum += u;
        double z = tm_rng_normal(&rng);
        normal_sum += z;
        normal_square += z * z;
        normal_fourth += z * z * z * z;
    }
    ck_assert(fabs(sum / N - 0.5) < 0.004);
    ck_assert(fabs(normal_sum / N) < 0.012);
    ck_assert(fabs(normal_square / N - 1) < 0.02);
    ck_assert(fabs(normal_fourth / N - 3) < 0.15);
}
END_TEST

START_TEST(fill)
{
    for (size_t bytes = 0; bytes < 40; bytes++) {
        struct tm_rng a;
        struct tm_rng b;
        uint8_t out[48];
        memset(out, 0xee, sizeof out);
        tm_rng_init(&a, 9);
        tm_rng_init(&b, 9);
        tm_rng_fill(&a, out, bytes);
        for (size_t i = 0; i < bytes; i += 8) {
            uint8_t word[8];
            tm_set_u64(word, tm_rng_u64(&b));
            ck_assert_mem_eq(out + i, word, bytes - i < 8 ? bytes - i : 8);
        }
        for (size_t i = bytes; i < sizeof out; i++) {
            ck_assert_uint_eq(out[i], 0xee);
        }
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("rng");
    TCase *tc = tcase_create("rng");
    tcase_add_test(tc, known_answers);
    tcase_add_test(tc, below_is_uniform);
    tcase_add_test_raise_signal(tc, below_zero_is_a_bug, SIGABRT);
    tcase_add_test(tc, moments);
    tcase_add_test(tc, fill);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/sampler.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

static const float start[5] = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

static uint32_t next(struct tm_sampler *s)
{
    float logits[5];
    uint32_t id = 99;
    memcpy(logits, start, sizeof logits);
    ck_assert_int_eq(tm_sampler_next(s, logits, 5, &id), TM_OK);
    return id;
}

static struct tm_sampler sampler(double temperature, uint32_t top_k, double top_p)
{
    struct tm_sampler s = {.temperature = temperature, .top_k = top_k, .top_p = top_p};
    tm_rng_init(&s.rng, 42);
    return s;
}

START_TEST(the_likeliest)
{
    struct tm_sampler s = sampler(0.0, 0, 1.0);
    ck_assert_uint_eq(next(&s), 1);
    s = sampler(1.0, 1, 1.0);
    ck_assert_uint_eq(next(&s), 1);
    s = sampler(1.0, 0, 0.01);
    ck_assert_uint_eq(next(&s), 1);
}
END_TEST

/* How often each token comes, against its probability. */
START_TEST(frequencies)
{
    enum { TIMES = 40000 };
    for (int k = 0; k < 2; k++) {
        double temperature = k == 0 ? 1.0 : 2.0, sum = 0.0;
        struct tm_sampler s = sampler(temperature, 0, 1.0);
        int seen[5] = {0};
        for (int i = 0; i < TIMES; i++) {
            seen[next(&s)]++;
        }
        for (int i = 0; i < 5; i++) {
            sum += exp((double)start[i] / temperature);
        }
        for (int i = 0; i < 5; i++) {
            double p = exp((double)start[i] / temperature) / sum;
            ck_assert_double_eq_tol(seen[i] / (double)TIMES, p, 5.0 * sqrt(p / TIMES));
        }
    }
}
END_TEST

START_TEST(cut_off_tails)
{
    struct tm_sampler k = sampler(1.0, 3, 1.0), p = sampler(1.0, 0, 0.75);
    bool seen[2][5] = {{false}};
    for (int i = 0; i < 1000; i++) {
        seen[0][next(&k)] = true;
        seen[1][next(&p)] = true;
    }
    ck_assert(!seen[0][0] && seen[0][1] && seen[0][2] && seen[0][3] && !seen[0][4]);
    ck_assert(!seen[1][0] && seen[1][1] && !seen[1][2] && seen[1][3] && !seen[1][4]);
}
END_TEST

START_TEST(seeds)
{
    struct tm_sampler a = sampler(1.0, 0, 1.0), b = sampler(1.0, 0, 1.0), c = sampler(1.0, 0, 1.0);
    tm_rng_init(&c.rng, 43);
    bool other = false;
    for (int i = 0; i < 50; i++) {
        uint32_t id = next(&a);
        ck_assert_uint_eq(id, next(&b));
        other = other || id != next(&c);
    }
    ck_assert(other);
    float logits[5] = {0};
    uint32_t id;
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_sampler_next(&a, logits, 5, &id), TM_E_NOMEM);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("sampler");
    tcase_add_test(tcase, the_likeliest);
    tcase_add_test(tcase, frequencies);
    tcase_add_test(tcase, cut_off_tails);
    tcase_add_test(tcase, seeds);
    Suite *suite = suite_create("sampler");
    suite_add_tcase(suite, tcase);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/attention.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

#define HEADS 4
#define KV_HEADS 2
#define HEAD_DIM 8
#define POSITIONS 48
#define STRIDE (HEADS * HEAD_DIM)
#define KV_STRIDE (KV_HEADS * HEAD_DIM)

static float q[POSITIONS * STRIDE], k[POSITIONS * KV_STRIDE], v[POSITIONS * KV_STRIDE];
static float out[POSITIONS * STRIDE];

static void fill(void)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 5);
    for (size_t i = 0; i < POSITIONS * STRIDE; i++) {
        q[i] = (float)tm_rng_normal(&rng);
    }
    for (size_t i = 0; i < POSITIONS * KV_STRIDE; i++) {
        k[i] = (float)tm_rng_normal(&rng);
        v[i] = (float)tm_rng_normal(&rng);
    }
}

/* softmax(scale q k^T) v in double, for one position, head and number of the output. */
static double expected(uint32_t position, uint32_t head, uint32_t d, uint32_t window, double scale)
{
    uint32_t from = window == 0 || position < window ? 0 : position - window + 1;
    uint32_t base = head / (HEADS / KV_HEADS) * HEAD_DIM;
    double sum = 0.0, value = 0.0;
    for (uint32_t t = from; t <= position; t++) {
        double score = 0.0;
        for (uint32_t i = 0; i < HEAD_DIM; i++) {
            score += (double)q[position * STRIDE + head * HEAD_DIM + i] *
                     (double)k[t * KV_STRIDE + base + i];
        }
        sum += exp(scale * score);
        value += exp(scale * score) * (double)v[t * KV_STRIDE + base + d];
    }
    return value / sum;
}

/* All positions, `step` at a time, against the formula. */
static void run(uint32_t step, uint32_t window, size_t threads)
{
    struct tm_team *team = NULL;
    ck_assert_int_eq(tm_team_new(threads, 0, &team), TM_OK);
    size_t scratch = tm_team_threads(team) * tm_attention_scratch(POSITIONS);
    struct tm_attention a = {
        .cache = {.keys = tm_calloc(POSITIONS * KV_STRIDE, sizeof(float)),
                  .values = tm_calloc(POSITIONS * KV_STRIDE, sizeof(float)),
                  .positions = POSITIONS,
                  .kv_heads = KV_HEADS,
                  .head_dim = HEAD_DIM},
        .heads = HEADS,
        .window = window,
        .scale = 0.5f,
        .stride = STRIDE,
        .scratch = tm_realloc_array(NULL, scratch, sizeof(float)),
    };
    memset(out, 0xff, sizeof out);
    for (uint32_t at = 0; at < POSITIONS; at += step) {
        a.first = at;
        a.count = POSITIONS - at < step ? POSITIONS - at : step;
        a.q = q + at * STRIDE;
        a.out = out + at * STRIDE;
        tm_cache_store(&a.cache, at, a.count, k + at * KV_STRIDE, v + at * KV_STRIDE);
        tm_attend(team, &a);
    }
    for (uint32_t i = 0; i < POSITIONS * STRIDE; i++) {
        double want =
            expected(i / STRIDE, i % STRIDE / HEAD_DIM, i % HEAD_DIM, window, (double)a.scale);
        ck_assert_double_eq_tol((double)out[i], want, 1e-5);
    }
    tm_free(a.cache.keys);
    tm_free(a.cache.values);
    tm_free(a.scratch);
    tm_team_destroy(&team);
}

START_TEST(against_the_formula)
{
    fill();
    const uint32_t steps[] = {1, 5, 13, POSITIONS}, windows[] = {0, 1, 7, 8, 20, 100};
    for (size_t s = 0; s < 4; s++) {
        for (size_t w = 0; w < 6; w++) {
            run(steps[s], windows[w], 1 + s % 2);
        }
    }
}
END_TEST

START_TEST(cuts_change_no_bit)
{
    static float first[POSITIONS * STRIDE];
    fill();
    run(POSITIONS, 20, 2);
    memcpy(first, out, sizeof out);
    for (uint32_t step = 1; step < POSITIONS; step += 6) {
        run(step, 20, 1);
        ck_assert_mem_eq(out, first, sizeof out);
    }
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("attention");
    tcase_add_test(tcase, against_the_formula);
    tcase_add_test(tcase, cuts_change_no_bit);
    Suite *suite = suite_create("attention");
    suite_add_tcase(suite, tcase);
    return suite;
}

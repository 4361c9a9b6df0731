/* SPDX-License-Identifier: Apache-2.0
 * The derivatives beside differences of the attention that they belong to, computed here in
 * double. */
#include "model/calibration/jacobian.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "model/pass/fmath.h"
#include "tests/support/suite.h"

#define HEADS 4
#define KV_HEADS 2
#define DIM 8 /* of a head */
#define OUT 24
#define COUNT 9
#define WIDE (HEADS * DIM)
#define KEYS (KV_HEADS * DIM)

static float out_matrix[OUT * WIDE], query[WIDE], keys[COUNT * KEYS], values[COUNT * KEYS];

static void fill(float *x, size_t count, struct tm_rng *rng)
{
    for (size_t i = 0; i < count; i++) {
        x[i] = (float)(tm_rng_f64(rng) * 2.0 - 1.0);
    }
}

/* What attention adds to the stream at the last position, from queries and keys in double. */
static void attention_adds(const double *q, const double *k, double y[OUT])
{
    memset(y, 0, OUT * sizeof *y);
    for (size_t h = 0; h < HEADS; h++) {
        size_t kv = h / (HEADS / KV_HEADS);
        double share[COUNT], sum = 0;
        for (size_t t = 0; t < COUNT; t++) {
            double s = 0;
            for (size_t i = 0; i < DIM; i++) {
                s += q[h * DIM + i] * k[t * KEYS + kv * DIM + i];
            }
            sum += share[t] = tm_exp(s * 0.5);
        }
        for (size_t i = 0; i < DIM; i++) {
            double attended = 0;
            for (size_t t = 0; t < COUNT; t++) {
                attended += share[t] / sum * values[t * KEYS + kv * DIM + i];
            }
            for (size_t r = 0; r < OUT; r++) {
                y[r] += out_matrix[r * WIDE + h * DIM + i] * attended;
            }
        }
    }
}

static double difference(double *x, const double *q, const double *k)
{
    double low[OUT], high[OUT], square = 0, was = *x;
    const double step = 1e-4;
    *x = was - step;
    attention_adds(q, k, low);
    *x = was + step;
    attention_adds(q, k, high);
    *x = was;
    for (size_t r = 0; r < OUT; r++) {
        double slope = (high[r] - low[r]) / (2 * step);
        square += slope * slope;
    }
    return square;
}

START_TEST(slopes_are_derivatives)
{
    struct tm_rng rng;
    double q[WIDE], k[COUNT * KEYS];
    float gram[HEADS * DIM * DIM], room[256], query_slope[WIDE], key_slope[KEYS];
    struct tm_team *team = NULL;
    tm_rng_init(&rng, 11);
    fill(out_matrix, OUT * WIDE, &rng);
    fill(query, WIDE, &rng);
    fill(keys, COUNT * KEYS, &rng);
    fill(values, COUNT * KEYS, &rng);
    struct tm_matrix matrix = {TM_F32, OUT, WIDE, (const uint8_t *)out_matrix, WIDE * 4};
    ck_assert_int_eq(tm_team_new(2, WIDE, &team), TM_OK);
    tm_jacobian_grams(team, &matrix, DIM, gram);
    ck_assert_uint_le(tm_jacobian_room(DIM, COUNT), 256);
    struct tm_jacobian j = {HEADS, KV_HEADS, DIM,  0.5f,  gram, query,
                            keys,  values,   KEYS, COUNT, 3.0f};
    for (uint32_t kv = 0; kv < KV_HEADS; kv++) {
        tm_jacobian_head(&j, kv, room, query_slope + kv * (WIDE / KV_HEADS), key_slope + kv * DIM);
    }
    for (size_t i = 0; i < WIDE; i++) {
        q[i] = query[i];
    }
    for (size_t i = 0; i < COUNT * KEYS; i++) {
        k[i] = keys[i];
    }
    for (size_t i = 0; i < WIDE; i++) {
        double want = 3.0 * sqrt(difference(&q[i], q, k));
        ck_assert_msg(fabs(query_slope[i] - want) < 1e-4 * want + 1e-6, "%zu", i);
    }
    /* Of a key all heads of its group: derivatives of one head alone, so the others rest. */
    for (size_t i = 0; i < KEYS; i++) {
        double want = 0;
        for (size_t h = 0; h < HEADS; h++) {
            if (h / (HEADS / KV_HEADS) != i / DIM) {
                continue;
            }
            float saved[OUT * WIDE];
            memcpy(saved, out_matrix, sizeof saved);
            for (size_t r = 0; r < OUT * WIDE; r++) {
                out_matrix[r] = r % WIDE / DIM == h ? out_matrix[r] : 0.0f;
            }
            for (size_t t = 0; t < COUNT; t++) {
                want += difference(&k[t * KEYS + i], q, k);
            }
            memcpy(out_matrix, saved, sizeof saved);
        }
        want = 3.0 * sqrt(want);
        ck_assert_msg(fabs(key_slope[i] - want) < 1e-4 * want + 1e-6, "%zu", i);
    }
    tm_team_destroy(&team);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("jacobian");
    TCase *tcase = tcase_create("jacobian");
    tcase_add_test(tcase, slopes_are_derivatives);
    suite_add_tcase(suite, tcase);
    return suite;
}

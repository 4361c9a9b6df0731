/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/quality.h"

#include <math.h>

#include "tests/support/suite.h"
#include "tests/support/tiny_model.h"

#define COUNT 70

struct loaded {
    struct tiny_model *model;
    struct tm_weights weights;
    struct tm_pass *pass;
};

static uint32_t ids[COUNT];

static struct loaded *load(const char *arch)
{
    struct loaded *l = tm_calloc(1, sizeof *l);
    ck_assert_ptr_nonnull(l);
    l->model = tiny_new(arch);
    struct tm_err err = {0};
    ck_assert_int_eq(tm_weights_load(&l->model->source, &l->weights, &err), TM_OK);
    struct tm_pass_options options = {.batch = 11};
    ck_assert_int_eq(tm_pass_new(&l->weights, &options, &l->pass, &err), TM_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        ids[i] = (i * 7 + i / 5) % TINY_VOCAB;
    }
    return l;
}

static void unload(struct loaded *l)
{
    tm_pass_destroy(&l->pass);
    tm_weights_deinit(&l->weights);
    tiny_free(l->model);
    tm_free(l);
}

/* Logits of all positions of a window. */
static void logits_of(struct loaded *l, const uint32_t *window, uint32_t count, float *out)
{
    struct tm_err err = {0};
    tm_pass_rewind(l->pass, 0);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(tm_pass_run(l->pass, window + i, 1, &err), TM_OK);
        tm_pass_logits(l->pass, 0, 1, out + (size_t)i * TINY_VOCAB);
    }
}

static double log_of(const float *logits, uint32_t id)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < TINY_VOCAB; i++) {
        sum += exp((double)logits[i]);
    }
    return (double)logits[id] - log(sum);
}

/* Every figure against its formula in double. */
START_TEST(figures)
{
    enum { CONTEXT = 20, WINDOWS = 3, SCORED = 9 };
    struct loaded *l = load("qwen3"), *base = load("llama");
    struct tm_quality_options options = {.context = CONTEXT, .first_token = 1};
    struct tm_quality q;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_quality_measure(l->pass, base->pass, ids, COUNT, &options, &q, &err),
                     TM_OK);
    ck_assert_uint_eq(q.windows, WINDOWS);
    ck_assert_uint_eq(q.tokens, WINDOWS * SCORED);
    static float ours[CONTEXT * TINY_VOCAB], theirs[CONTEXT * TINY_VOCAB];
    double nll = 0.0, base_nll = 0.0, kl = 0.0, largest = 0.0, same = 0.0, squares = 0.0;
    for (uint32_t w = 0; w < WINDOWS; w++) {
        uint32_t window[CONTEXT];
        memcpy(window, ids + w * CONTEXT, sizeof window);
        window[0] = 1;
        logits_of(l, window, CONTEXT, ours);
        logits_of(base, window, CONTEXT, theirs);
        for (uint32_t i = CONTEXT / 2; i < CONTEXT - 1; i++) {
            const float *a = ours + i * TINY_VOCAB, *b = theirs + i * TINY_VOCAB;
            double one = 0.0;
            uint32_t top_a = 0, top_b = 0;
            for (uint32_t k = 0; k < TINY_VOCAB; k++) {
                one += exp(log_of(b, k)) * (log_of(b, k) - log_of(a, k));
                top_a = a[k] > a[top_a] ? k : top_a;
                top_b = b[k] > b[top_b] ? k : top_b;
            }
            nll -= log_of(a, window[i + 1]);
            squares += log_of(a, window[i + 1]) * log_of(a, window[i + 1]);
            base_nll -= log_of(b, window[i + 1]);
            kl += one;
            largest = one > largest ? one : largest;
            same += top_a == top_b;
        }
    }
    double n = q.tokens;
    ck_assert_double_eq_tol(q.nll, nll / n, 1e-6);
    ck_assert_double_eq_tol(q.perplexity, exp(nll / n), 1e-4);
    double variance = squares / n - nll / n * nll / n;
    ck_assert_double_eq_tol(q.nll_error, sqrt(variance / (n - 1)), 1e-6);
    ck_assert_double_eq_tol(q.base_nll, base_nll / n, 1e-6);
    ck_assert_double_eq_tol(q.ratio, exp((nll - base_nll) / n), 1e-5);
    ck_assert_double_eq_tol(q.kl_mean, kl / n, 1e-5);
    ck_assert_double_eq_tol(q.kl_max, largest, 1e-5);
    ck_assert_double_eq(q.kl_99, q.kl_max); /* of 27 */
    ck_assert(q.kl_median > 0.0 && q.kl_median <= q.kl_99 && q.has_base);
    ck_assert_double_eq_tol(q.same_top, same / n, 1e-12);
    unload(l);
    unload(base);
}
END_TEST

START_TEST(the_same_model_twice)
{
    struct loaded *l = load("llama"), *base = load("llama");
    struct tm_quality_options options = {
        .context = 16, .windows = 2, .first_token = TM_QUALITY_KEEP};
    struct tm_quality q;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_quality_measure(l->pass, base->pass, ids, COUNT, &options, &q, &err),
                     TM_OK);
    ck_assert_uint_eq(q.windows, 2);
    ck_assert_double_eq(q.kl_mean, 0.0);
    ck_assert_double_eq(q.kl_max, 0.0);
    ck_assert_double_eq(q.ratio, 1.0);
    ck_assert_double_eq(q.same_top, 1.0);
    struct tm_quality alone;
    ck_assert_int_eq(tm_quality_measure(l->pass, NULL, ids, COUNT, &options, &alone, &err), TM_OK);
    ck_assert(!alone.has_base && alone.nll == q.nll && alone.kl_mean == 0.0);
    unload(l);
    unload(base);
}
END_TEST

static bool stop(void *context, uint64_t done, uint64_t windows)
{
    ck_assert_uint_eq(windows, 3);
    *(uint64_t *)context = done;
    return done < 2;
}

START_TEST(refusals_and_stops)
{
    struct loaded *l = load("llama");
    struct tm_quality q;
    struct tm_err err = {0};
    uint64_t done = 0;
    struct tm_quality_options options = {
        .context = 20, .progress = stop, .progress_context = &done};
    ck_assert_int_eq(tm_quality_measure(l->pass, NULL, ids, COUNT, &options, &q, &err),
                     TM_E_STOPPED);
    ck_assert_uint_eq(done, 2);
    options = (struct tm_quality_options){.context = 20};
    ck_assert_int_eq(tm_quality_measure(l->pass, NULL, ids, 19, &options, &q, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "the text has 19 tokens; a window takes 20");
    const uint32_t contexts[] = {2, 7, TINY_CONTEXT + 2};
    for (size_t i = 0; i < 3; i++) {
        options.context = contexts[i];
        ck_assert_int_eq(tm_quality_measure(l->pass, NULL, ids, COUNT, &options, &q, &err),
                         TM_E_USAGE);
        ck_assert_ptr_nonnull(strstr(err.why, "is impossible; the model runs at most 64"));
    }
    size_t before = tm_mem_live_bytes();
    options.context = 16;
    for (uint64_t n = 1; n <= 3; n++) {
        tm_mem_fail_at(n);
        ck_assert_int_eq(tm_quality_measure(l->pass, NULL, ids, COUNT, &options, &q, &err),
                         TM_E_NOMEM);
        tm_mem_fail_at(0);
        ck_assert_uint_eq(tm_mem_live_bytes(), before);
    }
    unload(l);
}
END_TEST

START_TEST(divergence)
{
    float p[3] = {0.0f, 1.0f, 2.0f}, q[3] = {5.0f, 6.0f, 7.0f}, r[3] = {2.0f, 1.0f, 0.0f};
    ck_assert_double_lt(tm_divergence(p, q, 3), 1e-12); /* logits are known up to a constant */
    double sum = exp(0) + exp(1) + exp(2), want = 0.0;
    for (int i = 0; i < 3; i++) {
        want += exp((double)p[i]) / sum * ((double)p[i] - (double)r[i]);
    }
    ck_assert_double_eq_tol(tm_divergence(p, r, 3), want, 1e-7);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("quality");
    tcase_add_test(tcase, figures);
    tcase_add_test(tcase, the_same_model_twice);
    tcase_add_test(tcase, refusals_and_stops);
    tcase_add_test(tcase, divergence);
    Suite *suite = suite_create("quality");
    suite_add_tcase(suite, tcase);
    return suite;
}

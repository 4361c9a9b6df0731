/* SPDX-License-Identifier: Apache-2.0
 * Sums beside sums in double of what an observer saw. That the pass shows the right vectors is
 * judged from outside (tests/judges/judge_calibration.py). */
#include "model/calibration/collector.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/calibration/slopes.h"
#include "tests/support/suite.h"
#include "tests/support/tiny_model.h"

#define CONTEXT 24
#define LAYER 1
#define WIDE 64

static float seen[TM_POINT_COUNT][CONTEXT][WIDE];

/* Copies what the collector sees of one layer; at its second sum the gates are gone already. */
static void watch(void *collector, uint32_t layer, enum tm_pass_point point, struct tm_vectors x,
                  uint32_t cols, uint32_t first)
{
    ck_assert_uint_le(cols, WIDE);
    for (size_t t = 0; t < x.count && layer == LAYER; t++) {
        memcpy(seen[point][t], x.data + t * x.stride, cols * sizeof(float));
    }
    tm_collector_observe(collector, layer, point, x, cols, first);
}

static double mean_square(enum tm_pass_point point, size_t t)
{
    double sum = 0;
    for (size_t i = 0; i < TINY_DIM; i++) {
        sum += (double)seen[point][t][i] * seen[point][t][i];
    }
    return sum / TINY_DIM;
}

static double want_sum(enum tm_pass_point point, enum tm_pass_point stream, uint32_t i, uint32_t j)
{
    double sum = 0;
    for (size_t t = 0; t < CONTEXT; t++) {
        sum += (double)seen[point][t][i] * seen[point][t][j] / mean_square(stream, t);
    }
    return sum;
}

/* A value is off by at most half a step, so a product by half a step times the other. */
static double bound(const struct tm_cal_input *input, uint32_t i, uint32_t j)
{
    double step_i = ldexp(1, -input->exponents[i]), step_j = ldexp(1, -input->exponents[j]);
    return 0.51 * CONTEXT * (4096 + 1) * step_i * step_j * 2 + 1e-4;
}

static void check_input(struct tm_collector *c, enum tm_cal_kind kind, enum tm_pass_point point,
                        enum tm_pass_point stream, enum tm_cal_set set)
{
    struct tm_cal_input *input = tm_collector_input(c, LAYER, kind);
    uint32_t cols = input->shape.cols;
    ck_assert_uint_eq(input->count[set].tokens, CONTEXT);
    ck_assert_uint_eq(input->count[set].clipped, 0);
    ck_assert_uint_eq(input->count[1 - set].tokens, 0);
    for (uint32_t i = 0; i < cols; i++) {
        for (uint32_t j = i; j < cols; j++) {
            if (input->whole ? i / input->shape.width != j / input->shape.width : i != j) {
                continue;
            }
            int64_t sum = input->whole ? *tm_cov_at(&input->shape, input->sums[set], i, j)
                                       : input->sums[set][i];
            double got = ldexp((double)sum, -(input->exponents[i] + input->exponents[j]));
            double want = want_sum(point, stream, i, j);
            ck_assert_msg(fabs(got - want) < bound(input, i, j), "%s %u %u: %g %g",
                          tm_cal_kind_name(kind), i, j, got, want);
        }
    }
}

struct setup {
    struct tiny_model *model;
    struct tm_weights weights;
    struct tm_collector *collector;
    struct tm_pass *pass;
    uint32_t ids[CONTEXT];
};

static void begin(struct setup *s, const char *arch)
{
    struct tm_err err;
    *s = (struct setup){.model = tiny_new(arch)};
    ck_assert_int_eq(tm_weights_load(&s->model->source, &s->weights, &err), TM_OK);
    struct tm_collector_options options = {.weights = &s->weights,
                                           .layer_first = LAYER,
                                           .layer_count = 2,
                                           .context = CONTEXT,
                                           .width = 32,
                                           .threads = 2};
    ck_assert_int_eq(tm_collector_new(&options, &s->collector, &err), TM_OK);
    struct tm_pass_options pass = {.context = CONTEXT,
                                   .batch = CONTEXT,
                                   .threads = 2,
                                   .observer = watch,
                                   .observer_context = s->collector};
    ck_assert_int_eq(tm_pass_new(&s->weights, &pass, &s->pass, &err), TM_OK);
    tm_collector_attach(s->collector, tm_pass_team(s->pass));
    for (uint32_t i = 0; i < CONTEXT; i++) {
        s->ids[i] = (i * i + 3) % TINY_VOCAB;
    }
}

static void end(struct setup *s)
{
    tm_pass_destroy(&s->pass);
    tm_collector_destroy(&s->collector);
    tm_weights_deinit(&s->weights);
    tiny_free(s->model);
}

static void run(struct setup *s)
{
    struct tm_err err;
    tm_pass_rewind(s->pass, 0);
    ck_assert_int_eq(tm_pass_run(s->pass, s->ids, CONTEXT, &err), TM_OK);
}

/* What the slopes of gate and up are, put where want_sum finds them. */
static void derive_slopes(bool gelu)
{
    float by_gate[WIDE], by_up[WIDE];
    for (size_t t = 0; t < CONTEXT; t++) {
        tm_slopes(gelu, seen[TM_POINT_GATE][t], seen[TM_POINT_UP][t], TINY_HIDDEN, by_gate, by_up);
        memcpy(seen[TM_POINT_GATE][t], by_gate, sizeof by_gate);
        memcpy(seen[TM_POINT_UP][t], by_up, sizeof by_up);
    }
}

START_TEST(sums_are_those_of_what_was_seen)
{
    static const char *const archs[] = {"llama", "qwen2", "qwen3", "gemma3_text"};
    for (size_t a = 0; a < 8; a++) {
        struct setup s;
        struct tm_digest digests[2];
        struct tm_err err;
        enum tm_cal_set set = a < 4 ? TM_CAL_FIT : TM_CAL_HELD;
        begin(&s, archs[a % 4]);
        run(&s);
        tm_collector_fix(s.collector);
        tm_collector_window(s.collector, 5, set);
        run(&s);
        ck_assert_int_eq(tm_collector_end(s.collector, digests, &err), TM_OK);
        check_input(s.collector, TM_CAL_ATTENTION_IN, TM_POINT_ATTENTION_IN,
                    TM_POINT_AFTER_ATTENTION, set);
        check_input(s.collector, TM_CAL_ATTENDED, TM_POINT_ATTENDED, TM_POINT_AFTER_ATTENTION, set);
        check_input(s.collector, TM_CAL_GATE_IN, TM_POINT_GATE_IN, TM_POINT_AFTER_GATE, set);
        check_input(s.collector, TM_CAL_DOWN_IN, TM_POINT_DOWN_IN, TM_POINT_AFTER_GATE, set);
        if (set == TM_CAL_FIT) {
            derive_slopes(s.weights.arch.gelu);
            check_input(s.collector, TM_CAL_VALUE, TM_POINT_V, TM_POINT_AFTER_ATTENTION, set);
            check_input(s.collector, TM_CAL_GATE, TM_POINT_GATE, TM_POINT_AFTER_GATE, set);
            check_input(s.collector, TM_CAL_UP, TM_POINT_UP, TM_POINT_AFTER_GATE, set);
            struct tm_cal_input *slopes = tm_collector_input(s.collector, LAYER, TM_CAL_QUERY);
            ck_assert_uint_eq(slopes->count[TM_CAL_FIT].tokens, TM_SLOPE_SAMPLES);
            ck_assert(tm_cal_input_trace(slopes, TM_CAL_FIT) > 0);
        }
        ck_assert(!tm_digest_eq(&digests[0], &digests[1]));
        end(&s);
    }
}
END_TEST

/* A row of the embedding is made enormous: its token is a sink, and in no sum. */
START_TEST(sinks_are_apart)
{
    struct setup s;
    struct tm_digest digests[2];
    struct tm_err err;
    begin(&s, "llama");
    float *row =
        (float *)(uintptr_t)(s.weights.embedding.data + s.ids[0] * s.weights.embedding.row_bytes);
    for (size_t i = 0; i < TINY_DIM; i++) {
        row[i] *= 1000.0f;
    }
    size_t sinks = 0;
    for (size_t i = 0; i < CONTEXT; i++) {
        sinks += s.ids[i] == s.ids[0];
    }
    run(&s);
    tm_collector_fix(s.collector);
    for (uint64_t w = 7; w < 9; w++) {
        tm_collector_window(s.collector, w, w == 7 ? TM_CAL_HELD : TM_CAL_FIT);
        run(&s);
        ck_assert_int_eq(tm_collector_end(s.collector, digests, &err), TM_OK);
    }
    const struct tm_cal_input *input = tm_collector_input(s.collector, LAYER, TM_CAL_GATE_IN);
    for (size_t set = 0; set < TM_CAL_SETS; set++) {
        ck_assert_uint_eq(input->count[set].sinks, sinks);
        ck_assert_uint_eq(input->count[set].tokens, CONTEXT - sinks);
    }
    ck_assert_uint_eq(input->sink_count, sinks);
    ck_assert_uint_eq(input->sinks[0].window, 8);
    ck_assert_uint_eq(input->sinks[0].position, 0);
    for (uint32_t i = 0; i < TINY_DIM; i++) {
        double weight = 1 / sqrt(mean_square(TM_POINT_AFTER_GATE, 0));
        double got = ldexp(input->sink_values[i], -input->sinks[0].exponent);
        double want = seen[TM_POINT_GATE_IN][0][i] * weight;
        ck_assert(fabs(got - want) <= 1.01 * ldexp(0.5, -input->sinks[0].exponent));
    }
    end(&s);
}
END_TEST

START_TEST(the_bytes_that_were_foretold)
{
    struct setup s;
    begin(&s, "llama");
    struct tm_collector_options options = {
        .weights = &s.weights, .layer_count = 1, .context = CONTEXT, .width = 32, .threads = 1};
    struct tm_collector *c = NULL;
    struct tm_err err;
    size_t before = tm_mem_live_bytes();
    ck_assert_int_eq(tm_collector_new(&options, &c, &err), TM_OK);
    size_t took = tm_mem_live_bytes() - before;
    uint64_t foretold = tm_collector_shared_bytes(&s.weights.arch, &options) +
                        tm_collector_layer_bytes(&s.weights.arch, &options);
    ck_assert_uint_le(took, foretold + 16384); /* the structures themselves */
    tm_collector_destroy(&c);
    end(&s);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("collector");
    TCase *tcase = tcase_create("collector");
    tcase_add_test(tcase, sums_are_those_of_what_was_seen);
    tcase_add_test(tcase, sinks_are_apart);
    tcase_add_test(tcase, the_bytes_that_were_foretold);
    suite_add_tcase(suite, tcase);
    return suite;
}

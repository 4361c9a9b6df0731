/* SPDX-License-Identifier: Apache-2.0
 * Whether the graph is right is judged by llama.cpp (tests/judges/judge_pass.py); here is what must
 * not change it: cuts, threads, kernels, the way back. */
#include "model/pass/pass.h"

#include <math.h>

#include "crypto/digest.h"
#include "tests/support/block_inputs.h"
#include "tests/support/file_order.h"
#include "tests/support/suite.h"
#include "tests/support/tiny_model.h"

#define COUNT 40

static const char *const archs[] = {"llama", "qwen2", "qwen3", "gemma3_text"};
#define ARCHS (sizeof archs / sizeof archs[0])

static uint32_t ids[COUNT];
static float want[COUNT * TINY_VOCAB], got[COUNT * TINY_VOCAB];

struct loaded {
    struct tiny_model *model;
    struct tm_weights weights;
};

static struct loaded load(const char *arch)
{
    struct loaded l = {.model = tiny_new(arch)};
    struct tm_err err = {0};
    ck_assert_msg(tm_weights_load(&l.model->source, &l.weights, &err) == TM_OK, "%s: %s", err.where,
                  err.why);
    for (uint32_t i = 0; i < COUNT; i++) {
        ids[i] = (i * i + 3) % TINY_VOCAB;
    }
    return l;
}

static void unload(struct loaded *l)
{
    tm_weights_deinit(&l->weights);
    tiny_free(l->model);
}

static struct tm_pass *new_pass(struct loaded *l, size_t threads)
{
    struct tm_pass *pass = NULL;
    struct tm_err err = {0};
    struct tm_pass_options options = {.batch = COUNT, .threads = threads};
    ck_assert_int_eq(tm_pass_new(&l->weights, &options, &pass, &err), TM_OK);
    ck_assert_uint_eq(tm_pass_context(pass), TINY_CONTEXT);
    return pass;
}

/* All logits, the ids given `step` at a time. */
static void run_all(struct tm_pass *pass, uint32_t step, float *out)
{
    struct tm_err err = {0};
    for (uint32_t at = 0; at < COUNT; at += step) {
        uint32_t n = COUNT - at < step ? COUNT - at : step;
        ck_assert_msg(tm_pass_run(pass, ids + at, n, &err) == TM_OK, "%s", err.why);
        tm_pass_logits(pass, 0, n, out + (size_t)at * TINY_VOCAB);
    }
    ck_assert_uint_eq(tm_pass_position(pass), COUNT);
}

START_TEST(cuts_threads_and_kernels_change_no_bit)
{
    for (size_t a = 0; a < ARCHS; a++) {
        struct loaded l = load(archs[a]);
        struct tm_pass *first = new_pass(&l, 1);
        run_all(first, COUNT, want);
        tm_pass_destroy(&first);
        ck_assert_ptr_null(first);
        FOR_EACH_KERNEL(kernel)
        {
            for (size_t threads = 1; threads <= 3; threads += 2) {
                struct tm_pass *pass = new_pass(&l, threads);
                for (uint32_t step = 1; step <= COUNT; step = step * 6 + 1) {
                    memset(got, 0xff, sizeof got);
                    tm_pass_rewind(pass, 0);
                    run_all(pass, step, got);
                    ck_assert_mem_eq(got, want, sizeof want);
                }
                tm_pass_destroy(&pass);
            }
        }
        unload(&l);
    }
}
END_TEST

START_TEST(the_way_back)
{
    struct loaded l = load("gemma3_text");
    struct tm_pass *pass = new_pass(&l, 0);
    struct tm_err err = {0};
    run_all(pass, COUNT, want);
    tm_pass_rewind(pass, 17);
    ck_assert_uint_eq(tm_pass_position(pass), 17);
    ck_assert_int_eq(tm_pass_run(pass, ids + 17, COUNT - 17, &err), TM_OK);
    tm_pass_logits(pass, 0, COUNT - 17, got);
    ck_assert_mem_eq(got, want + 17 * TINY_VOCAB, (COUNT - 17) * TINY_VOCAB * sizeof *got);
    tm_pass_destroy(&pass);
    unload(&l);
}
END_TEST

/* A token sees what is before it, and nothing behind. */
START_TEST(the_past_alone_counts)
{
    struct loaded l = load("llama");
    struct tm_pass *pass = new_pass(&l, 0);
    run_all(pass, COUNT, want);
    ids[20] = (ids[20] + 1) % TINY_VOCAB;
    tm_pass_rewind(pass, 0);
    run_all(pass, COUNT, got);
    ck_assert_mem_eq(got, want, 20 * TINY_VOCAB * sizeof *got);
    for (size_t i = 20; i < COUNT; i++) {
        ck_assert_mem_ne(got + i * TINY_VOCAB, want + i * TINY_VOCAB, TINY_VOCAB * sizeof *got);
    }
    tm_pass_destroy(&pass);
    unload(&l);
}
END_TEST

/* The first of these bits are a promise; a change here is another arithmetic. */
START_TEST(golden_logits)
{
    static const char *const digests[ARCHS] = {
        "f2d655f11c2b41928250e94190d15c92e3d0f37dbd6b9fb839ffa3e7bcd24386",
        "38583ec8188ee69bbd37caa20a38c1791a1c9055ee88c7f6b2e0895d2c90de07",
        "cbf60d20ddc1794382dd1f13c979a20c51b42d7efcefe3adae09b5aeb1871021",
        "a02abdc438dd4378d12f7330b14b25218a259ea7bd0ac0d31b9d51e6a119fc82"};
    for (size_t a = 0; a < ARCHS; a++) {
        struct loaded l = load(archs[a]);
        struct tm_pass *pass = new_pass(&l, 0);
        char hex[TM_DIGEST_TEXT];
        run_all(pass, COUNT, got);
        floats_to_file_order(got, COUNT * TINY_VOCAB);
        struct tm_digest digest = tm_digest_of(tm_view_of(got, sizeof got));
        ck_assert_str_eq(tm_digest_hex(&digest, hex), digests[a]);
        tm_pass_destroy(&pass);
        unload(&l);
    }
}
END_TEST

START_TEST(impossible_runs)
{
    struct loaded l = load("llama");
    struct tm_pass *pass = new_pass(&l, 0);
    struct tm_err err = {0};
    run_all(pass, COUNT, got);
    ck_assert_int_eq(tm_pass_run(pass, ids, TINY_CONTEXT - COUNT + 1, &err), TM_E_LIMIT);
    ck_assert_str_eq(err.why, "the context of 64 tokens is full");
    uint32_t odd = TINY_VOCAB;
    ck_assert_int_eq(tm_pass_run(pass, &odd, 1, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "token 41 is outside of the model's 41");
    ck_assert_uint_eq(tm_pass_position(pass), COUNT);
    tm_pass_destroy(&pass);
    unload(&l);
}
END_TEST

START_TEST(numbers_out_of_range_name_their_layer)
{
    struct loaded l = load("llama");
    struct tm_err err = {0};
    float *norm = (float *)(uintptr_t)l.weights.layers[1].gate_norm;
    norm[0] = 3e38f;
    struct tm_pass *pass = new_pass(&l, 0);
    ck_assert_int_eq(tm_pass_run(pass, ids, 8, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "layer 1 gives NaN or infinity at position 0 or behind");
    ck_assert_uint_eq(tm_pass_position(pass), 0);
    tm_pass_destroy(&pass);
    unload(&l);
}
END_TEST

struct seen {
    size_t calls[TM_POINT_COUNT], vectors;
};

static void observe(void *context, uint32_t layer, enum tm_pass_point point, struct tm_vectors x,
                    uint32_t cols, uint32_t first)
{
    static const uint32_t wide[TM_POINT_COUNT] = {
        [TM_POINT_Q] = TINY_HEADS * TINY_HEAD_DIM,
        [TM_POINT_K] = TINY_KV_HEADS * TINY_HEAD_DIM,
        [TM_POINT_V] = TINY_KV_HEADS * TINY_HEAD_DIM,
        [TM_POINT_ATTENDED] = TINY_HEADS * TINY_HEAD_DIM,
        [TM_POINT_GATE] = TINY_HIDDEN,
        [TM_POINT_UP] = TINY_HIDDEN,
        [TM_POINT_DOWN_IN] = TINY_HIDDEN,
    };
    struct seen *seen = context;
    ck_assert_uint_lt(layer, TINY_LAYERS);
    ck_assert_uint_eq(cols, wide[point] > 0 ? wide[point] : TINY_DIM);
    ck_assert_uint_eq(first, 0);
    ck_assert(isfinite(x.data[(x.count - 1) * x.stride + cols - 1]));
    ck_assert_uint_eq(seen->vectors % TM_POINT_COUNT, point);
    seen->calls[point] += x.count;
    seen->vectors++;
}

START_TEST(observers_see_each_point_once_and_in_order)
{
    struct loaded l = load("qwen2");
    struct tm_pass *pass = NULL;
    struct tm_err err = {0};
    struct seen seen = {{0}, 0};
    struct tm_pass_options options = {.observer = observe, .observer_context = &seen};
    ck_assert_int_eq(tm_pass_new(&l.weights, &options, &pass, &err), TM_OK);
    ck_assert_int_eq(tm_pass_run(pass, ids, 7, &err), TM_OK);
    for (size_t i = 0; i < TM_POINT_COUNT; i++) {
        ck_assert_uint_eq(seen.calls[i], 7 * TINY_LAYERS);
    }
    tm_pass_destroy(&pass);
    unload(&l);
}
END_TEST

START_TEST(memory_runs_out_anywhere)
{
    struct loaded l = load("llama");
    struct tm_pass_options options = {.batch = 8, .threads = 1};
    ck_assert_uint_gt(tm_pass_bytes(&l.weights.arch, &options), 50000);
    size_t before = tm_mem_live_bytes();
    for (uint64_t n = 1;; n++) {
        struct tm_pass *pass = NULL;
        struct tm_err err = {0};
        tm_mem_fail_at(n);
        tm_status status = tm_pass_new(&l.weights, &options, &pass, &err);
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_pass_destroy(&pass);
        ck_assert_uint_eq(tm_mem_live_bytes(), before);
        if (!failed) {
            ck_assert_uint_gt(n, 18);
            break;
        }
        ck_assert_str_ne(err.why, "");
    }
    unload(&l);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("pass");
    tcase_add_test(tcase, cuts_threads_and_kernels_change_no_bit);
    tcase_add_test(tcase, the_way_back);
    tcase_add_test(tcase, the_past_alone_counts);
    tcase_add_test(tcase, golden_logits);
    tcase_add_test(tcase, impossible_runs);
    tcase_add_test(tcase, numbers_out_of_range_name_their_layer);
    tcase_add_test(tcase, observers_see_each_point_once_and_in_order);
    tcase_add_test(tcase, memory_runs_out_anywhere);
    Suite *suite = suite_create("pass");
    suite_add_tcase(suite, tcase);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0
 * Whatever the way, the same bytes: threads, kernels, memory, stops, shards. */
#include "model/calibration/calibrate.h"

#include "base/mem.h"
#include "model/calibration/cal_merge.h"
#include "tests/support/block_inputs.h"
#include "tests/support/cal_sample.h"
#include "tests/support/suite.h"

static const char *const archs[] = {"llama", "qwen2", "qwen3", "gemma3_text"};

START_TEST(threads_and_kernels_change_no_byte)
{
    for (size_t a = 0; a < 4; a++) {
        struct cal_sample s;
        sample_begin(&s, archs[a]);
        (void)sample_make(&s, "first");
        FOR_EACH_KERNEL(kernel)
        {
            for (size_t threads = 1; threads <= 3; threads++) {
                s.options.threads = threads;
                (void)sample_make(&s, "again");
                ck_assert(sample_same(test_path(&s.dir, "again"), test_path(&s.dir, "first")));
            }
        }
        ck_assert(!tm_path_exists(test_path(&s.dir, "first.part-0")));
        sample_end(&s);
    }
}
END_TEST

START_TEST(shards_add_up)
{
    struct cal_sample s;
    struct tm_err err;
    sample_begin(&s, "qwen2");
    (void)sample_make(&s, "whole");
    (void)sample_shard(&s, "c", 13, 20);
    (void)sample_shard(&s, "a", 0, 6);
    (void)sample_shard(&s, "b", 6, 13);
    char a[512], b[512], c[512];
    snprintf(a, sizeof a, "%s/a", s.dir.path);
    snprintf(b, sizeof b, "%s/b", s.dir.path);
    snprintf(c, sizeof c, "%s/c", s.dir.path);
    const char *const orders[2][3] = {{c, a, b}, {a, b, c}};
    for (size_t i = 0; i < 2; i++) {
        ck_assert_msg(tm_cal_merge(orders[i], 3, test_path(&s.dir, "sum"), &err) == TM_OK, "%s",
                      err.why);
        ck_assert(sample_same(test_path(&s.dir, "sum"), test_path(&s.dir, "whole")));
    }
    sample_end(&s);
}
END_TEST

START_TEST(less_memory_means_more_passes)
{
    struct cal_sample s;
    struct tm_calibrate_plan plan;
    struct tm_err err;
    sample_begin(&s, "llama");
    (void)sample_make(&s, "whole");
    ck_assert_int_eq(tm_calibrate_plan(&s.options, &plan, &err), TM_OK);
    ck_assert_uint_eq(plan.passes, 1);
    ck_assert_uint_eq(plan.pass_layers, TINY_LAYERS);
    s.options.memory = plan.bytes - 1;
    ck_assert_int_eq(tm_calibrate_plan(&s.options, &plan, &err), TM_OK);
    ck_assert_uint_eq(plan.passes, 2);
    ck_assert_uint_le(plan.bytes, s.options.memory);
    (void)sample_make(&s, "parts");
    ck_assert(sample_same(test_path(&s.dir, "parts"), test_path(&s.dir, "whole")));
    ck_assert(!tm_path_exists(test_path(&s.dir, "parts.part-0")));
    s.options.memory = plan.bytes / 2;
    ck_assert_int_eq(tm_calibrate_plan(&s.options, &plan, &err), TM_E_REFUSED);
    ck_assert_str_eq(err.where, "--memory");
    sample_end(&s);
}
END_TEST

struct stop {
    uint64_t at;
    uint64_t calls;
};

static bool stop_at(void *context, uint64_t done, uint64_t windows)
{
    struct stop *stop = context;
    ck_assert_uint_le(done, windows);
    return stop->calls++ != stop->at;
}

START_TEST(a_stopped_run_goes_on)
{
    struct cal_sample s;
    struct tm_err err;
    struct stop stop = {UINT64_MAX, 0};
    sample_begin(&s, "qwen3");
    (void)sample_make(&s, "whole");
    struct tm_calibrate_plan plan;
    ck_assert_int_eq(tm_calibrate_plan(&s.options, &plan, &err), TM_OK);
    s.options.progress = stop_at;
    s.options.progress_context = &stop;
    for (int passes = 1; passes <= 2; passes++) {
        size_t stops = 0;
        s.options.memory = plan.bytes - (passes == 2);
        tm_status status;
        do { /* each run is stopped a little later than the one before */
            stop = (struct stop){2 * stops + 1, 0};
            status = sample_try(&s, "stopped", &err);
            stops++;
        } while (status == TM_E_STOPPED);
        ck_assert_msg(status == TM_OK, "%s", err.why);
        ck_assert_uint_gt(stops, 3);
        ck_assert(sample_same(test_path(&s.dir, "stopped"), test_path(&s.dir, "whole")));
        ck_assert(!tm_path_exists(test_path(&s.dir, "stopped.part-0")));
    }
    sample_end(&s);
}
END_TEST

/* Stops a run after some windows; its checkpoint stays. */
static void leave_checkpoint(struct cal_sample *s)
{
    struct tm_err err;
    struct stop stop = {9, 0};
    s->options.progress = stop_at;
    s->options.progress_context = &stop;
    ck_assert_int_eq(sample_try(s, "out", &err), TM_E_STOPPED);
    s->options.progress = NULL;
    ck_assert(tm_path_exists(test_path(&s->dir, "out.part-0")));
}

START_TEST(a_checkpoint_of_something_else)
{
    struct cal_sample s;
    struct tm_err err;
    sample_begin(&s, "llama");
    leave_checkpoint(&s);
    struct tm_calibrate_options right = s.options;
    static const char *const names[] = {"model", "text",  "tokens",        "windows that",
                                        "width", "model", "run of layers", "run of windows"};
    for (size_t i = 0; i < 8; i++) {
        if (i == 3) {
            continue; /* how many are held out is no option */
        }
        s.options = right;
        s.options.model.b[0] ^= i == 0;
        s.options.text.b[0] ^= i == 1;
        s.ids[40] ^= i == 2;
        s.options.width += i == 4 ? 16 : 0;
        s.options.model.b[3] ^= i == 5;
        s.options.layer_count = i == 6 ? 2 : 0;
        s.options.window_first = i == 7;
        ck_assert_int_eq(sample_try(&s, "out", &err), TM_E_INCOMPATIBLE);
        ck_assert_msg(strstr(err.why, names[i]) != NULL, "%zu: %s", i, err.why);
        ck_assert_ptr_nonnull(strstr(err.where, "out.part-0"));
        s.ids[40] ^= i == 2;
    }
    s.options = right;
    struct tm_buf part = sample_bytes(test_path(&s.dir, "out.part-0"));
    part.data[part.bytes / 2] ^= 1;
    (void)test_put_buf(&s.dir, "out.part-0", &part);
    ck_assert_int_eq(sample_try(&s, "out", &err), TM_E_VERIFY);
    tm_buf_deinit(&part);
    sample_end(&s);
}
END_TEST

START_TEST(impossible_windows)
{
    struct cal_sample s;
    struct tm_err err;
    sample_begin(&s, "llama");
    s.options.window_end = SAMPLE_WINDOWS + 1;
    ck_assert_int_eq(sample_try(&s, "out", &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "there are no windows 0..21 in a text of 20");
    s.options.id_count = SAMPLE_CONTEXT - 1;
    ck_assert_int_eq(sample_try(&s, "out", &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "the text has 15 tokens, and a window takes 16");
    sample_end(&s);
}
END_TEST

START_TEST(layers_with_nan_are_named)
{
    struct cal_sample s;
    struct tm_err err;
    sample_begin(&s, "llama");
    float *norm = (float *)(uintptr_t)s.weights.layers[1].gate_norm;
    norm[0] = 3e38f;
    ck_assert_int_eq(sample_try(&s, "out", &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "layer 1 gives NaN or infinity"));
    ck_assert(!tm_path_exists(test_path(&s.dir, "out")));
    sample_end(&s);
}
END_TEST

START_TEST(the_order_of_windows)
{
    for (uint64_t windows = 1; windows <= 300; windows += windows < 40 ? 1 : 37) {
        bool seen[300] = {false};
        for (uint64_t w = 0; w < windows; w++) {
            uint64_t at = tm_calibrate_window_at(w, windows, 10);
            ck_assert_uint_lt(at, 10 * windows);
            ck_assert(!seen[at / 10]);
            seen[at / 10] = true;
        }
        /* No four neighbours in the order are neighbours in the text. */
        ck_assert(windows < 8 || tm_calibrate_window_at(1, windows, 1) > 1);
    }
}
END_TEST

START_TEST(memory_runs_out_anywhere)
{
    struct cal_sample s;
    sample_begin(&s, "llama");
    s.options.window_end = 2;
    s.options.layer_first = 1;
    s.options.layer_count = 1;
    size_t before = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n += n < 200 ? 1 : 17) {
        struct tm_err err = {0};
        tm_mem_fail_at(n);
        tm_status status = sample_try(&s, "out", &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_msg(status == (failed ? TM_E_NOMEM : TM_OK), "%lu: %s", (unsigned long)n,
                      err.why);
        ck_assert(!failed || err.why[0] != 0);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
    sample_end(&s);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("calibrate");
    TCase *tcase = tcase_create("calibrate");
    tcase_add_test(tcase, threads_and_kernels_change_no_byte);
    tcase_add_test(tcase, shards_add_up);
    tcase_add_test(tcase, less_memory_means_more_passes);
    tcase_add_test(tcase, a_stopped_run_goes_on);
    tcase_add_test(tcase, a_checkpoint_of_something_else);
    tcase_add_test(tcase, impossible_windows);
    tcase_add_test(tcase, layers_with_nan_are_named);
    tcase_add_test(tcase, the_order_of_windows);
    tcase_add_test(tcase, memory_runs_out_anywhere);
    suite_add_tcase(suite, tcase);
    return suite;
}

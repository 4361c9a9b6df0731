/* SPDX-License-Identifier: Apache-2.0
 * That the sum is what one run gives: calibrate_test.c. Here: what does not go together. */
#include "model/calibration/cal_merge.h"

#include "base/mem.h"
#include "tests/support/cal_sample.h"
#include "tests/support/suite.h"

static char paths[3][512];
static const char *const list[3] = {paths[0], paths[1], paths[2]};

static tm_status merge(const struct cal_sample *s, size_t count, struct tm_err *err)
{
    return tm_cal_merge(list, count, test_path(&s->dir, "out"), err);
}

static void begin(struct cal_sample *s)
{
    sample_begin(s, "llama");
    for (size_t i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%c", s->dir.path, (int)('a' + i));
    }
    (void)sample_shard(s, "a", 2, 7);
}

START_TEST(windows_that_two_files_have)
{
    struct cal_sample s;
    struct tm_err err;
    begin(&s);
    (void)sample_shard(&s, "b", 6, 9);
    ck_assert_int_eq(merge(&s, 2, &err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.why, "window 6 is in "));
    ck_assert_str_eq(err.where, paths[1]);
    snprintf(paths[1], sizeof paths[1], "%s", paths[0]);
    ck_assert_int_eq(merge(&s, 2, &err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.why, "window 2 is in "));
    ck_assert(!tm_path_exists(test_path(&s.dir, "out")));
    sample_end(&s);
}
END_TEST

START_TEST(gaps_between_windows_stay)
{
    struct cal_sample s;
    struct tm_err err;
    struct tm_cal_file *file = NULL;
    begin(&s);
    (void)sample_shard(&s, "b", 15, 17);
    (void)sample_shard(&s, "c", 7, 8);
    ck_assert_int_eq(merge(&s, 3, &err), TM_OK);
    ck_assert_int_eq(tm_cal_file_open(test_path(&s.dir, "out"), &file, &err), TM_OK);
    const struct tm_cal_header *h = tm_cal_file_header(file);
    ck_assert_uint_eq(h->range_count, 2);
    ck_assert_uint_eq(h->ranges[0].first, 2);
    ck_assert_uint_eq(h->ranges[0].end, 8);
    ck_assert_uint_eq(h->ranges[1].first, 15);
    tm_cal_file_close(&file);
    ck_assert_int_eq(merge(&s, 1, &err), TM_OK);
    ck_assert(sample_same(test_path(&s.dir, "out"), paths[0]));
    sample_end(&s);
}
END_TEST

START_TEST(other_models_texts_and_settings)
{
    struct cal_sample s;
    struct tm_err err;
    begin(&s);
    s.options.model.b[0] ^= 1;
    (void)sample_shard(&s, "b", 8, 9);
    ck_assert_int_eq(merge(&s, 2, &err), TM_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(err.why, "its model is not that of"));
    s.options.model.b[0] ^= 1;
    s.ids[300]++;
    (void)sample_shard(&s, "b", 8, 9);
    ck_assert_int_eq(merge(&s, 2, &err), TM_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(err.why, "its tokens of the text"));
    ck_assert_int_eq(merge(&s, 3, &err), TM_E_NOT_FOUND);
    sample_end(&s);
}
END_TEST

START_TEST(layers_follow_one_another)
{
    struct cal_sample s;
    struct tm_err err;
    begin(&s);
    (void)sample_shard(&s, "whole", 0, 4);
    s.options.layer_count = 1;
    (void)sample_shard(&s, "b", 0, 4);
    s.options.layer_first = 1;
    (void)sample_shard(&s, "c", 0, 4);
    s.options.layer_first = 2;
    (void)sample_shard(&s, "a", 0, 4);
    ck_assert_int_eq(merge(&s, 3, &err), TM_OK);
    ck_assert(sample_same(test_path(&s.dir, "out"), test_path(&s.dir, "whole")));
    ck_assert_int_eq(merge(&s, 2, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "it begins at layer 2, and the layer to go on with is 1");
    (void)sample_shard(&s, "a", 0, 5);
    ck_assert_int_eq(merge(&s, 3, &err), TM_E_INCOMPATIBLE);
    ck_assert_ptr_nonnull(strstr(err.why, "both its layers and its windows"));
    sample_end(&s);
}
END_TEST

START_TEST(memory_runs_out_anywhere)
{
    struct cal_sample s;
    begin(&s);
    s.options.layer_count = 1;
    (void)sample_shard(&s, "a", 0, 2);
    (void)sample_shard(&s, "b", 2, 3);
    size_t before = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_err err = {0};
        tm_mem_fail_at(n);
        tm_status status = merge(&s, 2, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_msg(status == (failed ? TM_E_NOMEM : TM_OK), "%lu: %s", (unsigned long)n,
                      err.why);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
    sample_end(&s);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("cal_merge");
    TCase *tcase = tcase_create("cal_merge");
    tcase_add_test(tcase, windows_that_two_files_have);
    tcase_add_test(tcase, gaps_between_windows_stay);
    tcase_add_test(tcase, other_models_texts_and_settings);
    tcase_add_test(tcase, layers_follow_one_another);
    tcase_add_test(tcase, memory_runs_out_anywhere);
    suite_add_tcase(suite, tcase);
    return suite;
}

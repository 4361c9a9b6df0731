/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/cal_check.h"

#include "tests/support/cal_sample.h"
#include "tests/support/suite.h"

static tm_status check(const struct cal_sample *s, const char *claimed, const char *again,
                       struct tm_cal_checked *out, struct tm_err *err)
{
    struct tm_cal_file *a = NULL, *b = NULL;
    ck_assert_int_eq(tm_cal_file_open(test_path(&s->dir, claimed), &a, err), TM_OK);
    ck_assert_int_eq(tm_cal_file_open(test_path(&s->dir, again), &b, err), TM_OK);
    tm_status status = tm_cal_check(a, b, out, err);
    tm_cal_file_close(&a);
    tm_cal_file_close(&b);
    return status;
}

START_TEST(honest_files_pass)
{
    struct cal_sample s;
    struct tm_cal_checked checked;
    struct tm_err err;
    sample_begin(&s, "qwen2");
    (void)sample_make(&s, "claimed");
    s.options.threads = 2;
    (void)sample_make(&s, "whole");
    ck_assert_int_eq(check(&s, "claimed", "whole", &checked, &err), TM_OK);
    ck_assert(checked.sums);
    ck_assert_uint_eq(checked.windows, SAMPLE_WINDOWS);
    s.options.layer_first = 2;
    s.options.layer_count = 1;
    (void)sample_make(&s, "layer");
    ck_assert_int_eq(check(&s, "claimed", "layer", &checked, &err), TM_OK);
    ck_assert(checked.sums);
    ck_assert_uint_eq(checked.layers, 1);
    (void)sample_shard(&s, "some", 4, 6);
    ck_assert_int_eq(check(&s, "claimed", "some", &checked, &err), TM_OK);
    ck_assert(!checked.sums);
    ck_assert_uint_eq(checked.windows, 2);
    ck_assert_int_eq(check(&s, "some", "claimed", &checked, &err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.why, "does not cover all of the layers"));
    (void)sample_shard(&s, "more", 5, 7);
    ck_assert_int_eq(check(&s, "some", "more", &checked, &err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(err.why, "does not cover all of the windows"));
    s.options.model.b[0] ^= 1;
    (void)sample_shard(&s, "other", 4, 6);
    ck_assert_int_eq(check(&s, "some", "other", &checked, &err), TM_E_INCOMPATIBLE);
    sample_end(&s);
}
END_TEST

/* A file like `from`, with the section `k` of its layer changed. */
static void forge(const struct cal_sample *s, const char *from, const char *to, uint32_t k)
{
    struct tm_cal_file *file = NULL;
    struct tm_cal_writer *writer = NULL;
    struct tm_buf section;
    struct tm_err err;
    tm_buf_init(&section, TM_CAL_SECTION_MAX);
    ck_assert_int_eq(tm_cal_file_open(test_path(&s->dir, from), &file, &err), TM_OK);
    const struct tm_cal_header *h = tm_cal_file_header(file);
    ck_assert_uint_eq(h->layer_count, 1);
    ck_assert_int_eq(tm_cal_writer_begin(test_path(&s->dir, to), h, &writer, &err), TM_OK);
    for (uint32_t i = 0; i < TM_CAL_SECTIONS; i++) {
        ck_assert_int_eq(tm_cal_file_section(file, h->layer_first, i, &section, &err), TM_OK);
        if (i == k) {
            section.data[section.bytes - 1] ^= 1;
        }
        ck_assert_int_eq(tm_cal_writer_section(writer, tm_buf_view(&section), &err), TM_OK);
    }
    ck_assert_int_eq(tm_cal_writer_commit(&writer, &err), TM_OK);
    tm_cal_file_close(&file);
    tm_buf_deinit(&section);
}

START_TEST(forged_files_are_named)
{
    struct cal_sample s;
    struct tm_cal_checked checked;
    struct tm_err err;
    sample_begin(&s, "llama");
    s.options.layer_first = 1;
    s.options.layer_count = 1;
    (void)sample_make(&s, "honest");
    forge(&s, "honest", "sums", TM_CAL_DOWN_IN);
    ck_assert_int_eq(check(&s, "sums", "honest", &checked, &err), TM_E_VERIFY);
    ck_assert_str_eq(err.why, "layer 1, down_in: other sums");
    forge(&s, "honest", "windows", TM_CAL_KINDS);
    ck_assert_int_eq(check(&s, "windows", "honest", &checked, &err), TM_E_VERIFY);
    ck_assert_str_eq(err.why, "layer 1, window 19: other inputs");
    sample_end(&s);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("cal_check");
    TCase *tcase = tcase_create("cal_check");
    tcase_add_test(tcase, honest_files_pass);
    tcase_add_test(tcase, forged_files_are_named);
    suite_add_tcase(suite, tcase);
    return suite;
}

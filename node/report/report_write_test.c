/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/report_write.h"

#include <string.h>

#include "tests/support/report_sample.h"
#include "tests/support/suite.h"

static struct tm_report report;
static struct tm_buf out;

static void setup(void)
{
    report_sample(&report);
    tm_buf_init(&out, 1 << 24);
}

static void teardown(void)
{
    tm_buf_deinit(&out);
    tm_report_deinit(&report);
}

static const char *text_of(tm_status (*write)(const struct tm_report *, struct tm_buf *))
{
    tm_buf_clear(&out);
    ck_assert_int_eq(write(&report, &out), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&out), TM_OK);
    ck_assert_ptr_null(strchr((const char *)out.data, '\x1b'));
    return (const char *)out.data;
}

static void holds(const char *text, const char *words)
{
    ck_assert_msg(strstr(text, words) != NULL, "'%s' is not in:\n%s", words, text);
}

START_TEST(text_has_every_part)
{
    const char *text = text_of(tm_report_text);
    holds(text, "package    aaaaaaaa");
    holds(text, "tensors    6, 38400 weights, 4.000 bits a weight\n");
    holds(text, "error      0.2793 relative, over the 4 compressed tensors; 2 are exact\n");
    holds(text, "quality    not measured");
    holds(text, "worst 6 of 6 tensors");
    holds(text, "    0.5000   0.08590     4.000     4.130  <script>");
    holds(text, " layer  embed      q     up   norm\n"
                "     -      1                     \n"
                "     0             2      8  exact\n"
                "     7             1         exact\n");
    holds(text, "node       0200000000000000  2 units, 2 decoded, 1 audited  <script>");
    holds(text, "banned     0300000000000000  <script>");
    holds(text, "verify     tmill verify m.tmpk --against");
}
END_TEST

START_TEST(text_has_figures_of_quality)
{
    report_sample_qualities(&report);
    const char *text = text_of(tm_report_text);
    holds(text,
          "quality    perplexity 24.00 +- 1.000, 1.200 +- 0.05000 of the source's; divergence "
          "0.3000 +- 0.03000; same top 75.00 %; 4.100 bits\n");
    holds(text, "beside     perplexity 20.20");
    holds(text, "8.100 bits (int8.tmpk)\n");
    ck_assert_ptr_null(strstr(text, "not measured"));
}
END_TEST

START_TEST(text_of_a_job)
{
    report.subject = TM_REPORT_JOB;
    report.package_id[0] = report.owner[0] = '\0';
    report.file_bytes = 0;
    snprintf(report.job_id, sizeof report.job_id, "J0123");
    snprintf(report.job_state, sizeof report.job_state, "stopped");
    report.units = 9;
    report.tensors[4].units = 4;
    report.tensors[0].units_done = 0;
    const char *text = text_of(tm_report_text);
    holds(text, "job        J0123, stopped: 6 of 9 units done\n");
    holds(text, " bits a weight so far\n");
    holds(text, "l.7.q (unfinished)\n");
    holds(text, "         -   0.08590         -     4.130  embed (unfinished)\n");
    ck_assert_ptr_null(strstr(text, "verify "));
}
END_TEST

static tm_status write_json(const struct tm_report *r, struct tm_buf *to)
{
    struct tm_jw jw;
    tm_jw_begin(&jw, to, true);
    tm_jw_object(&jw, NULL);
    tm_report_json(r, &jw);
    tm_jw_object_end(&jw);
    return tm_jw_end(&jw);
}

static double f64(const struct tm_json *node, const char *key)
{
    double value = -1;
    ck_assert(tm_json_f64(tm_json_get(node, key), &value));
    return value;
}

START_TEST(json_has_the_same_figures)
{
    struct tm_json_doc *doc = NULL;
    struct tm_err err;
    struct tm_view name;
    report_sample_qualities(&report);
    text_of(write_json);
    ck_assert_int_eq(tm_json_parse(tm_buf_view(&out), "json", &doc, &err), TM_OK);
    const struct tm_json *root = tm_json_root(doc);
    const struct tm_json *worst = tm_json_at(tm_json_get(root, "tensors"), 0);
    ck_assert_uint_eq(tm_json_count(tm_json_get(root, "tensors")), 6);
    ck_assert(tm_json_str(tm_json_get(worst, "name"), &name));
    ck_assert(tm_view_eq_str(name, REPORT_SAMPLE_HOSTILE));
    ck_assert_double_eq_tol(f64(worst, "relative_error"), 0.5, 1e-12);
    ck_assert_double_eq_tol(f64(worst, "predicted_bits_per_weight"), 4.13, 1e-12);
    ck_assert_double_eq_tol(f64(root, "bits_per_weight"), 4, 1e-12);
    ck_assert_double_eq_tol(f64(root, "units_audited"), 1, 1e-12);
    ck_assert_uint_eq(tm_json_count(tm_json_get(root, "nodes")), 2);
    ck_assert_uint_eq(tm_json_count(tm_json_get(root, "nodes_banned")), 1);
    const struct tm_json *quality = tm_json_at(tm_json_get(root, "quality"), 1);
    ck_assert_double_eq_tol(f64(quality, "ratio"), 1.01, 1e-12);
    ck_assert_double_eq_tol(f64(quality, "bits_per_weight"), 8.1, 1e-12);
    tm_json_free(&doc);
}
END_TEST

START_TEST(a_model_card)
{
    report_sample_qualities(&report);
    report.base_model = "some/\"base\\";
    const char *text = text_of(tm_report_card);
    ck_assert_int_eq(strncmp(text,
                             "---\nbase_model: \"some/\\\"base\\\\\"\n"
                             "base_model_relation: quantized\npipeline_tag: text-generation\n"
                             "tags:\n  - tensormill\n  - quantized\n  - \"llama\"\n---\n\n# ",
                             140),
                     0);
    holds(text, "# \\<script\\>alert\\(1\\)");
    holds(text, ": `int.1(bits=4,group=32) > rans.1`, `zstd.1(level=9)`.\n");
    holds(text, "| bits a weight | 4.000 |\n");
    holds(text, "| perplexity over the source's | 1.200 &plusmn; 0.05000 |\n");
    holds(text, "| l\\.0\\.q | 0.1800 | 4.000 |\n");
    holds(text, "1 of 6 units were made twice, 1 node was banned");
    holds(text, "    tmill verify PKG --against MODEL --full \\\n        --owner tmpub1owner\n");
}
END_TEST

START_TEST(a_model_card_of_what_is_not_known)
{
    const char *text = text_of(tm_report_card);
    ck_assert_ptr_null(strstr(text, "base_model"));
    holds(text, "Its quality was not measured.");
    holds(text, "| relative error of the compressed weights | 0.2793 |\n");
}
END_TEST

START_TEST(a_small_buffer_and_no_memory)
{
    struct tm_buf small;
    tm_buf_init(&small, 100);
    ck_assert_int_eq(tm_report_text(&report, &small), TM_E_LIMIT);
    tm_buf_deinit(&small);
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_report_text(&report, &small), TM_E_NOMEM);
    tm_mem_fail_at(0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("report_write");
    TCase *tc = tcase_create("report_write");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, text_has_every_part);
    tcase_add_test(tc, text_has_figures_of_quality);
    tcase_add_test(tc, text_of_a_job);
    tcase_add_test(tc, json_has_the_same_figures);
    tcase_add_test(tc, a_model_card);
    tcase_add_test(tc, a_model_card_of_what_is_not_known);
    tcase_add_test(tc, a_small_buffer_and_no_memory);
    suite_add_tcase(suite, tc);
    return suite;
}

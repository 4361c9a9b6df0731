/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/report_html.h"

#include <string.h>

#include "base/base64.h"
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

static const char *html(void)
{
    tm_buf_clear(&out);
    ck_assert_int_eq(tm_report_html(&report, &out), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&out), TM_OK);
    return (const char *)out.data;
}

static void holds(const char *words)
{
    ck_assert_msg(strstr((const char *)out.data, words) != NULL, "'%s' is not in:\n%s", words,
                  (const char *)out.data);
}

static void lacks(const char *words)
{
    ck_assert_msg(strstr((const char *)out.data, words) == NULL, "'%s' is there", words);
}

START_TEST(every_section)
{
    static const char *const heads[] = {
        "Summary",     "Size and quality",  "Where the error is", "Prediction and outcome",
        "Who made it", "Verify it yourself"};
    html();
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        holds(heads[i]);
    }
    holds("<th scope=\"row\"><code>int.1(bits=4,group=32) &gt; rans.1</code></th><td>4</td>"
          "<td>25600</td><td>12.5 KiB</td><td>4.000</td><td>4.130</td><td>0.2793</td>"
          "<td>0.08590</td>");
    holds("<tr><th scope=\"row\">7</th><td>&ndash;</td><td>0.1400</td><td>&ndash;</td>"
          "<td>exact</td></tr>");
    holds("All 6 tensors as a table");
    holds("The quality of this one was not measured");
    holds("--owner tmpub1owner</pre>");
}
END_TEST

START_TEST(nothing_from_a_file_is_markup)
{
    html();
    lacks("<script");
    lacks("\x1b");
    holds("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\\x1b[31m");
}
END_TEST

START_TEST(nothing_from_elsewhere)
{
    report_sample_qualities(&report);
    html();
    lacks("http:");
    lacks("https:");
    lacks("url(");
    lacks("@import");
    lacks(" src=");
    lacks(" href=");
    lacks(" style=");
    lacks(" on"
          "load=");
}
END_TEST

/* The digest that the policy allows is that of the one style there is. */
START_TEST(the_policy_fits_the_style)
{
    const char *text = html(), *style = strstr(text, "<style>") + strlen("<style>");
    struct tm_digest digest =
        tm_digest_of(tm_view_of(style, (size_t)(strstr(style, "</style>") - style)));
    struct tm_buf hash;
    tm_buf_init(&hash, 64);
    ck_assert_int_eq(tm_base64_encode(tm_view_of(digest.b, sizeof digest.b), &hash), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&hash), TM_OK);
    holds("content=\"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-");
    holds((const char *)hash.data);
    tm_buf_deinit(&hash);
}
END_TEST

START_TEST(the_same_bytes)
{
    struct tm_buf again;
    tm_buf_init(&again, 1 << 24);
    report_sample_qualities(&report);
    html();
    ck_assert_int_eq(tm_report_html(&report, &again), TM_OK);
    ck_assert(tm_view_eq(tm_buf_view(&out), tm_buf_view(&again)));
    tm_buf_deinit(&again);
}
END_TEST

START_TEST(figures_of_quality)
{
    report_sample_qualities(&report);
    html();
    holds("<tr class=\"this\"><th scope=\"row\">this one: m.tmpk</th><td>4.100</td>"
          "<td>24.00</td><td>1.000</td><td>1.200</td><td>0.05000</td><td>0.3000</td>"
          "<td>0.03000</td><td>0.1500</td><td>2.400</td><td>0.7500</td></tr>");
    holds("<svg class=\"ratio\"");
    holds("<svg class=\"kl\"");
    holds("<dt>Same top token</dt><dd>75.00 %");
    lacks("was not measured");
}
END_TEST

START_TEST(a_job_says_what_is_missing)
{
    report.subject = TM_REPORT_JOB;
    report.package_id[0] = '\0';
    report.file_bytes = 0;
    report.units = 9;
    snprintf(report.job_id, sizeof report.job_id, "J0123");
    snprintf(report.job_state, sizeof report.job_state, "stopped");
    html();
    holds("Job J0123 is stopped: 6 of 9 units are done.");
    holds("come with the package");
    holds("Tensors so far");
    lacks("Verify it yourself");
}
END_TEST

START_TEST(a_model_has_quality_alone)
{
    struct tm_report model = {.subject = TM_REPORT_MODEL,
                              .path = (char *)"m.gguf",
                              .model_name = (char *)"m.gguf",
                              .arch = (char *)""};
    struct tm_report sample;
    report_sample(&sample);
    report_sample_qualities(&sample);
    model.qualities[0] = sample.qualities[0];
    model.quality_count = 1;
    tm_buf_clear(&out);
    ck_assert_int_eq(tm_report_html(&model, &out), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&out), TM_OK);
    holds("Size and quality");
    lacks("Where the error is");
    lacks("Who made it");
    tm_report_deinit(&sample);
}
END_TEST

START_TEST(no_bans_and_many_tensors)
{
    report.ban_count = 0;
    struct tm_report_tensor *many = tm_calloc(TM_REPORT_ROWS_MAX + 1, sizeof *many);
    for (uint32_t i = 0; i <= TM_REPORT_ROWS_MAX; i++) {
        many[i] = report.tensors[1];
    }
    struct tm_report big = report;
    big.tensors = many;
    big.tensor_count = TM_REPORT_ROWS_MAX + 1;
    big.worst = NULL;
    ck_assert_int_eq(tm_report_rank(&big), TM_OK);
    ck_assert_int_eq(tm_report_html(&big, &out), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&out), TM_OK);
    holds("The worst 5000 tensors as a table");
    holds("No node was banned.");
    tm_free(big.worst);
    tm_free(many);
}
END_TEST

START_TEST(without_memory_or_room)
{
    report_sample_qualities(&report);
    for (uint64_t n = 1, failed = 1; failed; n++) {
        size_t before = tm_mem_live_blocks();
        struct tm_buf page;
        tm_buf_init(&page, 1 << 24);
        tm_mem_fail_at(n);
        tm_status status = tm_report_html(&report, &page);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_buf_deinit(&page);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
    struct tm_buf small;
    tm_buf_init(&small, 3000);
    ck_assert_int_eq(tm_report_html(&report, &small), TM_E_LIMIT);
    tm_buf_deinit(&small);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("report_html");
    TCase *tc = tcase_create("report_html");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_section);
    tcase_add_test(tc, nothing_from_a_file_is_markup);
    tcase_add_test(tc, nothing_from_elsewhere);
    tcase_add_test(tc, the_policy_fits_the_style);
    tcase_add_test(tc, the_same_bytes);
    tcase_add_test(tc, figures_of_quality);
    tcase_add_test(tc, a_job_says_what_is_missing);
    tcase_add_test(tc, a_model_has_quality_alone);
    tcase_add_test(tc, no_bans_and_many_tensors);
    tcase_add_test(tc, without_memory_or_room);
    suite_add_tcase(suite, tc);
    return suite;
}

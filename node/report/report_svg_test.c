/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/report_svg.h"

#include <math.h>
#include <string.h>

#include "tests/support/report_sample.h"
#include "tests/support/suite.h"

static struct tm_report report;
static struct tm_map map;
static struct tm_buf buf;
static struct tm_page page;

static void setup(void)
{
    report_sample(&report);
    ck_assert_int_eq(tm_map_of(&report, &map), TM_OK);
    tm_buf_init(&buf, 1 << 22);
    page = (struct tm_page){.out = &buf};
}

static void teardown(void)
{
    tm_buf_deinit(&buf);
    tm_map_deinit(&map);
    tm_report_deinit(&report);
}

static const char *text(void)
{
    ck_assert_int_eq(page.status, TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&buf), TM_OK);
    return (const char *)buf.data;
}

static unsigned count(const char *in, const char *words)
{
    unsigned n = 0;
    for (const char *at = in; (at = strstr(at, words)) != NULL; at++) {
        n++;
    }
    return n;
}

static void holds(const char *words)
{
    ck_assert_msg(strstr(text(), words) != NULL, "'%s' is not in:\n%s", words, text());
}

START_TEST(a_map_has_a_cell_for_what_is_there)
{
    tm_svg_map(&page, &map);
    holds("<svg class=\"map\" role=\"img\" aria-labelledby=\"map-t map-d\" "
          "viewBox=\"0 0 360 73\">");
    holds("<desc id=\"map-d\">A row for each of 3 layers, a column for each of 4 kinds. Errors go "
          "from 0.1000 to 0.5000.</desc>");
    ck_assert_uint_eq(count(text(), "<rect "), 6);
    holds("<rect class=\"c8\" x=\"122.5\" y=\"36.5\" width=\"43.0\" height=\"17.0\"><title>layer "
          "0, up projection: error 0.5000</title></rect>");
    holds("<title>layer 7, normalisation weights: exact</title>");
    holds("<title>layer none, embedding: error 0.1000</title>");
    holds("<text class=\"t8\" x=\"144.0\" y=\"48.0\">50</text>");
    holds("<text class=\"t2\" x=\"100.0\" y=\"48.0\">18</text>");
}
END_TEST

START_TEST(a_cell_not_yet_made)
{
    report.tensors[0].units_done = 0;
    report.tensors[0].bytes = 0;
    tm_map_deinit(&map);
    ck_assert_int_eq(tm_map_of(&report, &map), TM_OK);
    tm_svg_map(&page, &map);
    holds("<title>layer none, embedding: not yet made</title>");
}
END_TEST

START_TEST(many_layers_are_cut)
{
    tm_report_deinit(&report);
    memset(&report, 0, sizeof report);
    report.tensors = tm_calloc(300, sizeof *report.tensors);
    for (unsigned i = 0; i < 300; i++) {
        report_sample_tensor(&report, "x", i, TM_KIND_Q, 9.0 + i);
    }
    tm_map_deinit(&map);
    ck_assert_int_eq(tm_map_of(&report, &map), TM_OK);
    tm_svg_map(&page, &map);
    holds("further layers are not drawn");
    ck_assert_uint_eq(count(text(), "<rect "), TM_SVG_MAP_ROWS);
    holds(">999</text>"); /* percent */
}
END_TEST

START_TEST(bars_have_names_figures_and_predictions)
{
    tm_svg_bars(&page, &report);
    holds("Bars for the 4 worst tensors");
    holds("&lt;script&gt;alert(1)");
    ck_assert_ptr_null(strstr(text(), "<script"));
    holds("<text class=\"v\" x=\"360.0\" y=\"37.0\">0.1800</text>");
    holds("<rect class=\"b\" x=\"0.0\" y=\"41.0\" width=\"129.6\" height=\"7.0\"></rect>");
    holds("<line class=\"p\" x1=\"61.8\" y1=\"12.0\" x2=\"61.8\" y2=\"23.0\"/>");
    ck_assert_uint_eq(count(text(), "class=\"p\""), 4);
}
END_TEST

START_TEST(bars_of_long_names_and_no_figures)
{
    char *name = tm_calloc(1, 200);
    memset(name, 'x', 199);
    memcpy(name + 190, "the.end", 8);
    tm_free(report.tensors[1].name);
    report.tensors[1].name = name;
    report.tensors[1].name_bytes = 197;
    report.tensors[1].squared_error = (double)INFINITY;
    ck_assert_int_eq(tm_report_rank(&report), TM_OK);
    tm_svg_bars(&page, &report);
    holds(">...xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxthe.end</text>");
    holds("y=\"10.0\">infinite</text>");
    holds("y=\"14.0\" width=\"360.0\"");
}
END_TEST

START_TEST(the_ratio_is_cut_at_the_top)
{
    report_sample_qualities(&report);
    ck_assert_uint_eq(tm_svg_curve_points(&report), 3);
    tm_svg_curve(&page, &report, TM_CURVE_RATIO);
    holds("<svg class=\"ratio\" role=\"img\" aria-labelledby=\"ratio-t ratio-d\"");
    ck_assert_uint_eq(count(text(), "<circle "), 2);
    ck_assert_uint_eq(count(text(), "class=\"s\""), 1);
    holds(">t.tmpk: 9.000</text>");
    holds("cx=\"101.8\" cy=\"12.0\"");              /* 1.7 of 9 bits, at the top */
    holds("x=\"178.9\" y=\"154.7\" width=\"9.0\""); /* 4.1 bits and 1.2 of 1 to 2 */
    holds(">1.250</text>");
}
END_TEST

START_TEST(the_divergence_is_logarithmic)
{
    report_sample_qualities(&report);
    tm_svg_curve(&page, &report, TM_CURVE_DIVERGENCE);
    for (unsigned i = 0; i < 4; i++) {
        static const char *const labels[] = {">0.01<", ">0.1<", ">1<", ">10<"};
        holds(labels[i]);
    }
    ck_assert_uint_eq(count(text(), "class=\"w\""), 9); /* an error and its ends, thrice */
    holds("cx=\"319.4\" cy=\"196.0\"");                 /* 0.01: the lowest power of ten */
}
END_TEST

START_TEST(what_cannot_be_drawn)
{
    report_sample_qualities(&report);
    report.qualities[1].bits_per_weight = 0;
    report.qualities[2].figures.has_base = false;
    ck_assert_uint_eq(tm_svg_curve_points(&report), 1);
    report.qualities[0].bits_per_weight = 0; /* of this one the size is known all the same */
    ck_assert_double_eq_tol(tm_svg_curve_bits(&report, &report.qualities[0]), 4, 1e-12);
    report.qualities[0].figures.kl_mean = 0;
    report.qualities[0].figures.ratio = 1e300;
    tm_svg_curve(&page, &report, TM_CURVE_DIVERGENCE);
    tm_svg_curve(&page, &report, TM_CURVE_RATIO);
    holds(">0.000001<");
}
END_TEST

START_TEST(labels_are_not_written_over_each_other)
{
    report_sample_qualities(&report);
    tm_free(report.qualities[2].label);
    report.qualities[2] = report.qualities[1];
    report.qualities[2].label = tm_strdup("twin.tmpk");
    tm_free(report.qualities[1].label);
    report.qualities[1].label = tm_strdup("int8.tmpk");
    tm_svg_curve(&page, &report, TM_CURVE_RATIO);
    const char *first = strstr(text(), ">int8.tmpk<"), *second = strstr(text(), ">twin.tmpk<");
    ck_assert(first != NULL && second != NULL);
    ck_assert(memcmp(first - 6, second - 6, 6) != 0); /* the heights */
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("report_svg");
    TCase *tc = tcase_create("report_svg");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_map_has_a_cell_for_what_is_there);
    tcase_add_test(tc, a_cell_not_yet_made);
    tcase_add_test(tc, many_layers_are_cut);
    tcase_add_test(tc, bars_have_names_figures_and_predictions);
    tcase_add_test(tc, bars_of_long_names_and_no_figures);
    tcase_add_test(tc, the_ratio_is_cut_at_the_top);
    tcase_add_test(tc, the_divergence_is_logarithmic);
    tcase_add_test(tc, what_cannot_be_drawn);
    tcase_add_test(tc, labels_are_not_written_over_each_other);
    suite_add_tcase(suite, tc);
    return suite;
}

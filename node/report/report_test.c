/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/support/package_sample.h"
#include "tests/support/suite.h"

static struct sample sample;
static struct tm_report report;
static struct tm_err err;
static char dir[64], path[96], json[96];

static void setup(void)
{
    static const uint8_t seed[SAMPLE_CHUNKS] = {1, 2, 3, 4, 5};
    snprintf(dir, sizeof dir, "/tmp/report_test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/m.tmpk", dir);
    snprintf(json, sizeof json, "%s/eval.json", dir);
    sample_make(&sample, seed);
    memset(&report, 0, sizeof report);
    memset(&err, 0, sizeof err);
}

static void teardown(void)
{
    tm_report_deinit(&report);
    sample_free(&sample);
    ck_assert_int_eq(tm_dir_remove_tree(dir, NULL), TM_OK);
}

static tm_status make(void)
{
    struct tm_package *package = NULL;
    ck_assert_int_eq(sample_write(&sample, path, &err), TM_OK);
    ck_assert_int_eq(tm_package_open(path, &package, &err), TM_OK);
    tm_status status = tm_report_of_package(package, path, &report, &err);
    tm_package_close(&package);
    return status;
}

START_TEST(every_tensor)
{
    ck_assert_int_eq(make(), TM_OK);
    ck_assert_uint_eq(report.tensor_count, 2);
    const struct tm_report_tensor *t = &report.tensors[0];
    ck_assert_str_eq(t->name, "b.weight");
    ck_assert_int_eq(t->layer, -1);
    ck_assert_int_eq(t->kind, TM_KIND_OTHER);
    ck_assert_uint_eq(t->weights, 128);
    ck_assert_uint_eq(t->bytes, 164);
    ck_assert_uint_eq(t->units, 2);
    ck_assert_uint_eq(t->audited, 1);
    ck_assert_double_eq_tol(tm_report_error(t), 0.1, 1e-9); /* sqrt((1 + 1) / (100 + 100)) */
    ck_assert_double_eq_tol(tm_report_bits(t), 10.25, 1e-12);
    ck_assert(t->prediction.known);
    ck_assert_double_eq_tol(t->prediction.bits_per_weight, 4.5, 1e-12);
    ck_assert(report.tensors[1].lossless);
    ck_assert_int_eq(report.tensors[1].kind, TM_KIND_NORM);
    ck_assert(tm_report_error(&report.tensors[1]) == 0);
    ck_assert_uint_eq(report.attachment_count, 1);
    ck_assert_uint_eq(report.attachment_bytes, 350);
    ck_assert_str_eq(report.path, "m.tmpk");
}
END_TEST

START_TEST(who_made_it)
{
    char want[TM_NODE_ID_TEXT], got[TM_NODE_ID_TEXT];
    ck_assert_int_eq(make(), TM_OK);
    ck_assert_uint_eq(report.node_count, 2);
    ck_assert_uint_eq(report.nodes[0].units, 3);
    ck_assert_uint_eq(report.nodes[0].decoded, 3);
    ck_assert_uint_eq(report.nodes[0].audited, 1);
    ck_assert_uint_eq(report.nodes[0].bytes, 100 + 1 + 37);
    ck_assert_uint_eq(report.nodes[1].units, 2);
    ck_assert_uint_eq(report.ban_count, 1);
    struct tm_node_id banned = tm_identity_node_id(sample.owner);
    ck_assert_str_eq(tm_node_id_hex(&report.bans[0].id, got), tm_node_id_hex(&banned, want));
}
END_TEST

START_TEST(sums)
{
    ck_assert_int_eq(make(), TM_OK);
    struct tm_report_totals sum = tm_report_sum(&report);
    ck_assert_uint_eq(sum.weights, 134);
    ck_assert_uint_eq(sum.bytes, 165);
    ck_assert_uint_eq(sum.source_bytes, 280);
    ck_assert_uint_eq(sum.lossy, 1);
    ck_assert_uint_eq(sum.units, 5);
    ck_assert_uint_eq(sum.audited, 1);
    ck_assert_double_eq_tol(sum.error, 0.1, 1e-9);
    ck_assert_double_eq_tol(sum.bits_per_weight, 165 * 8 / 134.0, 1e-12);
}
END_TEST

START_TEST(a_tensor_that_is_half_done)
{
    struct tm_report_tensor t = {.units = 4, .units_done = 1, .weights = 80, .bytes = 10};
    ck_assert_double_eq_tol(tm_report_bits(&t), 4, 1e-12);
    t.units_done = 0;
    ck_assert(tm_report_bits(&t) == 0);
    struct tm_report hand = {.tensors = &t, .tensor_count = 1};
    ck_assert(isnan(tm_report_sum(&hand).error)); /* not 0: nothing is known yet */
    t.units_done = 1;
    ck_assert(tm_report_sum(&hand).error == 0);
}
END_TEST

START_TEST(worst_first_and_no_figure_is_worst)
{
    struct tm_report_tensor tensors[5] = {{.squared_error = 1, .squared_sum = 100},
                                          {.squared_error = 4, .squared_sum = 100},
                                          {.squared_error = 9, .squared_sum = 100},
                                          {.squared_error = 1, .squared_sum = 100},
                                          {.squared_error = (double)NAN, .squared_sum = 100}};
    static const uint32_t want[5] = {4, 1, 0, 3, 2};
    struct tm_report hand = {.tensors = tensors, .tensor_count = 5};
    tensors[2].lossless = true;
    ck_assert_int_eq(tm_report_rank(&hand), TM_OK);
    ck_assert_mem_eq(hand.worst, want, sizeof want);
    ck_assert(isinf(tm_report_error(&tensors[4])));
    tm_free(hand.worst);
}
END_TEST

START_TEST(what_this_build_lacks)
{
    sample.meta.tensors[0].dtype = 9999;
    ck_assert_int_eq(make(), TM_E_INCOMPATIBLE);
    ck_assert_str_eq(err.where, "tensor 'b.weight'");
    sample.meta.tensors[0].dtype = 2;
    tm_free(sample.meta.pipelines[0]);
    sample.meta.pipelines[0] = tm_strdup("magic.9(bits=1)");
    ck_assert_int_eq(make(), TM_E_INCOMPATIBLE);
    ck_assert_str_eq(err.why, "this build cannot read 'magic.9(bits=1)'");
    ck_assert_uint_eq(report.tensor_count, 0);
}
END_TEST

START_TEST(without_memory)
{
    struct tm_package *package = NULL;
    ck_assert_int_eq(sample_write(&sample, path, &err), TM_OK);
    ck_assert_int_eq(tm_package_open(path, &package, &err), TM_OK);
    size_t before = tm_mem_live_blocks();
    for (uint64_t n = 1, failed = 1; failed; n++) {
        tm_mem_fail_at(n);
        tm_status status = tm_report_of_package(package, path, &report, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_report_deinit(&report);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
    tm_package_close(&package);
}
END_TEST

/* ---- figures of tmill eval ---- */

#define ALONE                                                                                      \
    "\"model\":\"/some/where/m.gguf\",\"tokens\":1000,\"windows\":4,\"nll\":3,\"nll_error\":0.1,"  \
    "\"perplexity\":20.5,\"perplexity_error\":2"
#define BESIDE                                                                                     \
    ",\"base\":{\"nll\":2.9,\"perplexity\":18,\"ratio\":1.1,\"ratio_error\":0.01,"                 \
    "\"kl_mean\":0.05,\"kl_error\":0.001,\"kl_median\":0.04,\"kl_99\":0.3,\"kl_max\":2,"           \
    "\"same_top\":0.9}"

static tm_status add(const char *schema, const char *members)
{
    char text[1024];
    snprintf(text, sizeof text, "{\"schema\":\"%s\",\"data\":{%s},\"warnings\":[]}", schema,
             members);
    ck_assert_int_eq(tm_file_write_atomic(json, 0600, tm_view_str(text), &err), TM_OK);
    return tm_report_add_quality_file(&report, json, &err);
}

START_TEST(quality_of_a_file)
{
    ck_assert_int_eq(make(), TM_OK);
    ck_assert_int_eq(add("tmill.eval/1", ALONE BESIDE ",\"bits_per_weight\":8.5"), TM_OK);
    ck_assert_int_eq(add("tmill.eval/1", ALONE), TM_OK);
    ck_assert_uint_eq(report.quality_count, 2);
    const struct tm_report_quality *q = &report.qualities[0];
    ck_assert_str_eq(q->label, "m.gguf");
    ck_assert(!q->is_this && q->figures.has_base);
    ck_assert_double_eq_tol(q->bits_per_weight, 8.5, 1e-12);
    ck_assert_double_eq_tol(q->figures.perplexity, 20.5, 1e-12);
    ck_assert_double_eq_tol(q->figures.kl_99, 0.3, 1e-12);
    ck_assert(!report.qualities[1].figures.has_base);
    ck_assert(report.qualities[1].bits_per_weight == 0);
    ck_assert_ptr_null(tm_report_own_quality(&report));
}
END_TEST

START_TEST(quality_of_this_package)
{
    char members[900];
    ck_assert_int_eq(make(), TM_OK);
    snprintf(members, sizeof members, ALONE BESIDE ",\"package_id\":\"%s\"", report.package_id);
    ck_assert_int_eq(add("tmill.eval/1", ALONE ",\"package_id\":\"00\""), TM_OK);
    ck_assert_int_eq(add("tmill.eval/1", members), TM_OK);
    ck_assert_ptr_eq(tm_report_own_quality(&report), &report.qualities[1]);
}
END_TEST

START_TEST(quality_of_tasks)
{
    ck_assert_int_eq(make(), TM_OK);
    ck_assert_int_eq(
        add("tmill.eval/1",
            ALONE ",\"tasks\":[{\"task\":\"arc\",\"items\":50,\"accuracy\":0.6,"
                  "\"accuracy_error\":0.07,\"base\":{\"accuracy\":0.64},\"kept\":0.94,"
                  "\"kept_error\":0.02,\"typos\":{\"accuracy\":0.5,\"accuracy_error\":0.07}},"
                  "{\"task\":\"no figures\",\"items\":1},{\"items\":1,\"accuracy\":1},7]"),
        TM_OK);
    const struct tm_report_quality *q = &report.qualities[0];
    ck_assert_uint_eq(q->task_count, 2);
    ck_assert_str_eq(q->tasks[0].name, "arc");
    ck_assert_uint_eq(q->tasks[0].items, 50);
    ck_assert(q->tasks[0].has_base);
    ck_assert_double_eq_tol(q->tasks[0].base_accuracy, 0.64, 1e-12);
    ck_assert_double_eq_tol(q->tasks[0].kept, 0.94, 1e-12);
    ck_assert_str_eq(q->tasks[1].name, "arc, typos");
    ck_assert(!q->tasks[1].has_base);
    ck_assert_double_eq_tol(q->tasks[1].accuracy, 0.5, 1e-12);
}
END_TEST

START_TEST(quality_just_measured)
{
    struct tm_evaluation e = {
        .has_base = true,
        .quality = {.tokens = 9, .windows = 1, .perplexity = 20, .ratio = 1.5, .kl_mean = 0.25}};
    ck_assert_int_eq(make(), TM_OK);
    ck_assert_int_eq(tm_report_add_evaluation(&report, &e, "m", true, &err), TM_OK);
    const struct tm_report_quality *q = tm_report_own_quality(&report);
    ck_assert_ptr_nonnull(q);
    ck_assert_str_eq(q->label, "m");
    ck_assert_double_eq_tol(q->figures.ratio, 1.5, 1e-12);
    ck_assert_double_eq_tol(q->figures.kl_mean, 0.25, 1e-12);
    for (uint64_t n = 1, failed = 1; failed; n++) {
        uint32_t count = report.quality_count;
        tm_mem_fail_at(n);
        tm_status status = tm_report_add_evaluation(&report, &e, "m", false, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert_uint_eq(report.quality_count, count + !failed);
    }
}
END_TEST

START_TEST(a_model_that_is_no_package)
{
    char model[96];
    snprintf(model, sizeof model, "%s/m.safetensors", dir);
    static const char bytes[] = "\x3b\0\0\0\0\0\0\0"
                                "{\"x\":{\"dtype\":\"F16\",\"shape\":[4],"
                                "\"data_offsets\":[0,8]}}     "
                                "12345678";
    ck_assert_int_eq(tm_file_write_atomic(model, 0600, tm_view_of(bytes, sizeof bytes - 1), &err),
                     TM_OK);
    tm_status status = tm_report_of_model(model, NULL, &report, &err);
    ck_assert_msg(status == TM_OK, "%s", err.why);
    ck_assert_int_eq(report.subject, TM_REPORT_MODEL);
    ck_assert_double_eq_tol(tm_report_bits_of_all(&report), 16, 1e-12);
    ck_assert_str_eq(report.path, "m.safetensors");
    tm_report_deinit(&report);
    ck_assert_int_eq(tm_report_of_model("/no/such", NULL, &report, &err), TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_report_of_package_file("/no/such", &report, &err), TM_E_NOT_FOUND);
}
END_TEST

START_TEST(quality_that_is_none)
{
    static const struct {
        const char *schema, *members, *why;
    } cases[] = {
        {"tmill.jobs/1", ALONE, "'schema'"},
        {"tmill.eval/1", "\"tokens\":1", "'nll'"},
        {"tmill.eval/1", ALONE ",\"base\":{\"nll\":1}", "'perplexity'"},
        {"tmill.eval/1", "\"nll\":-1", "'nll'"},
        {"tmill.eval/1", "\"nll\":null", "'nll'"},
        {"tmill.eval/1",
         "\"nll\":1,\"nll_error\":1,\"perplexity\":1,\"perplexity_error\":1,\"tokens\":1.5",
         "'tokens'"},
    };
    ck_assert_int_eq(make(), TM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(add(cases[i].schema, cases[i].members), TM_E_MALFORMED);
        ck_assert_msg(strstr(err.why, cases[i].why) != NULL, "%s", err.why);
    }
    ck_assert_uint_eq(report.quality_count, 0);
    ck_assert_int_eq(tm_report_add_quality_file(&report, "/no/such", &err), TM_E_NOT_FOUND);
    for (unsigned i = 0; i < TM_REPORT_QUALITIES_MAX; i++) {
        ck_assert_int_eq(add("tmill.eval/1", ALONE), TM_OK);
    }
    ck_assert_int_eq(add("tmill.eval/1", ALONE), TM_E_LIMIT);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("report");
    TCase *tc = tcase_create("report");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_tensor);
    tcase_add_test(tc, who_made_it);
    tcase_add_test(tc, sums);
    tcase_add_test(tc, a_tensor_that_is_half_done);
    tcase_add_test(tc, worst_first_and_no_figure_is_worst);
    tcase_add_test(tc, what_this_build_lacks);
    tcase_add_test(tc, without_memory);
    tcase_add_test(tc, quality_of_a_file);
    tcase_add_test(tc, quality_of_this_package);
    tcase_add_test(tc, quality_of_tasks);
    tcase_add_test(tc, quality_just_measured);
    tcase_add_test(tc, a_model_that_is_no_package);
    tcase_add_test(tc, quality_that_is_none);
    suite_add_tcase(suite, tc);
    return suite;
}

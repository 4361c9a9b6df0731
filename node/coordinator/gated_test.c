/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/gated.h"

#include "node/coordinator/package_add.h"
#include "node/quality/figures.h"
#include "tests/support/made_package.h"
#include "tests/support/suite.h"
#include "tests/support/tiny_folder.h"

struct gated_job {
    struct small_job s;
    struct test_dir folder; /* the model, when it is one that runs */
    const char *model;
};

/* A job of which every unit is there; runs: over a model that has a graph and a tokenizer. */
static void begin(struct gated_job *g, bool runs)
{
    small_job_setup(&g->s);
    g->folder = test_dir_make();
    g->model = runs ? g->folder.path : g->s.model;
    if (runs) {
        struct tiny_model *m = tiny_new("llama");
        tiny_write_folder(&g->folder, m);
        tiny_free(m);
        ck_assert_uint_lt(strlen(g->folder.path), sizeof g->s.model);
        memcpy(g->s.model, g->folder.path, strlen(g->folder.path) + 1);
    }
    small_job_prepare_with(&g->s, "int8");
    made_units(&g->s, UINT32_MAX, 0);
}

static void end(struct gated_job *g)
{
    small_job_close(&g->s);
    test_dir_remove(&g->folder);
}

static tm_status merge(struct gated_job *g, const char *gate, struct tm_gated *out,
                       struct tm_err *err)
{
    struct tm_gated_options options = {
        .job = g->s.job, .owner = g->s.owner, .gate = gate, .quiet = true};
    return tm_gated_merge(&options, out, err);
}

static bool has_candidate(const struct gated_job *g)
{
    char path[TM_PATH_MAX];
    ck_assert_int_eq(tm_path_join(path, g->s.job->dir, TM_JOB_CANDIDATE), TM_OK);
    return tm_path_exists(path);
}

/* The figures of the package into out. */
static void read_figures(const char *path, struct tm_buf *out)
{
    struct tm_package *package = NULL;
    ck_assert_int_eq(tm_package_open(path, &package, NULL), TM_OK);
    ck_assert_int_eq(tm_figures_read(package, out, NULL), TM_OK);
    tm_package_close(&package);
}

START_TEST(held_and_checked)
{
    struct gated_job g;
    struct tm_gated gated;
    struct tm_err err = {0};
    begin(&g, true);
    ck_assert_msg(merge(&g, "ppl<2x,kld<1,mini<2,error<0.5", &gated, &err) == TM_OK, "%s: %s",
                  err.where, err.why);
    ck_assert(gated.measured);
    ck_assert_double_gt(gated.evaluation.quality.kl_mean, 0.0);
    ck_assert_uint_eq(gated.evaluation.task_count, 1);
    ck_assert(!has_candidate(&g));
    tm_gated_deinit(&gated);
    struct tm_figures_check check = {
        .package_path = g.s.out, .base_path = g.model, .threads = 3, .quiet = true};
    ck_assert_msg(tm_figures_check(&check, &err) == TM_OK, "%s", err.why);
    check.base_path = NULL;
    ck_assert_int_eq(tm_figures_check(&check, &err), TM_E_USAGE);
    ck_assert_str_eq(err.where, "--against");
    check.base_path = g.model;
    check.text_path = g.s.out;
    ck_assert_int_eq(tm_figures_check(&check, &err), TM_E_USAGE);
    ck_assert_str_eq(err.where, "--text");
    end(&g);
}
END_TEST

/* An owner who says more than was measured is found out, whichever digit it is. */
START_TEST(a_figure_that_was_invented)
{
    static const char *const figures[] = {"\"perplexity\": ", "\"kl_mean\": ", "\"accuracy\": "};
    struct gated_job g;
    struct tm_gated gated;
    struct tm_err err = {0};
    struct tm_buf text;
    begin(&g, true);
    tm_buf_init(&text, 1 << 20);
    ck_assert_int_eq(merge(&g, "kld<1,mini<2", &gated, &err), TM_OK);
    tm_gated_deinit(&gated);
    struct tm_figures_check check = {.package_path = g.s.out, .base_path = g.model, .quiet = true};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        tm_buf_clear(&text);
        read_figures(g.s.out, &text);
        ck_assert_int_eq(tm_buf_terminate(&text), TM_OK);
        char *at = strstr((char *)text.data, figures[i]);
        ck_assert_ptr_nonnull(at);
        at += strlen(figures[i]);
        char old = *at;
        *at = (char)(old == '9' ? '8' : old + 1);
        struct tm_view lie = tm_buf_view(&text);
        ck_assert_int_eq(tm_package_add(g.s.out, g.s.out, TM_PACKAGE_FIGURES, lie, g.s.owner, &err),
                         TM_OK);
        ck_assert_int_eq(tm_figures_check(&check, &err), TM_E_VERIFY);
        ck_assert_msg(strstr(err.why, figures[i]) != NULL, "%s", err.why);
        *at = old;
        ck_assert_int_eq(tm_package_add(g.s.out, g.s.out, TM_PACKAGE_FIGURES, lie, g.s.owner, &err),
                         TM_OK);
    }
    ck_assert_int_eq(tm_figures_check(&check, &err), TM_OK);
    tm_buf_deinit(&text);
    end(&g);
}
END_TEST

START_TEST(a_miss_leaves_nothing_and_can_be_resumed)
{
    struct gated_job g;
    struct tm_gated gated;
    struct tm_err err = {0};
    begin(&g, true);
    ck_assert_int_eq(merge(&g, "kld<0", &gated, &err), TM_E_GATE);
    ck_assert_ptr_nonnull(strstr(err.why, "the mean divergence is "));
    ck_assert_ptr_nonnull(strstr(err.where, g.s.out));
    ck_assert(!tm_path_exists(g.s.out));
    ck_assert(!has_candidate(&g));
    ck_assert_int_eq(merge(&g, "kld<1,", &gated, &err), TM_E_USAGE);
    ck_assert_int_eq(merge(&g, "kld<1", &gated, &err), TM_OK);
    ck_assert(tm_path_exists(g.s.out));
    tm_gated_deinit(&gated);
    end(&g);
}
END_TEST

START_TEST(without_a_graph_the_error_is_held)
{
    struct gated_job g;
    struct tm_gated gated;
    struct tm_err err = {0};
    begin(&g, false);
    ck_assert_int_eq(merge(&g, "kld<1,error<0.01", &gated, &err), TM_E_GATE);
    ck_assert_ptr_nonnull(strstr(err.why, "the relative error of the weights is 0.1;"));
    ck_assert_int_eq(merge(&g, "kld<1,error<0.2", &gated, &err), TM_OK);
    ck_assert(!gated.measured);
    ck_assert_ptr_nonnull(strstr(gated.reason, "no configuration"));
    ck_assert_double_eq_tol(gated.error, 0.1, 1e-12);
    tm_gated_deinit(&gated);
    struct tm_figures_check check = {.package_path = g.s.out, .quiet = true};
    ck_assert_int_eq(tm_figures_check(&check, &err), TM_E_NOT_FOUND);
    end(&g);
}
END_TEST

START_TEST(before_any_work)
{
    struct tm_err err = {0};
    ck_assert_int_eq(tm_gated_preflight("default", NULL, NULL, &err), TM_OK);
    ck_assert_int_eq(tm_gated_preflight("kld<0.1,mini>0.5", NULL, NULL, &err), TM_OK);
    ck_assert_int_eq(tm_gated_preflight("kld", NULL, NULL, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_gated_preflight("kld<1", "/nowhere/text", NULL, &err), TM_E_NOT_FOUND);
    ck_assert_int_eq(tm_gated_preflight("mini>0,arc>0.5", NULL, NULL, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "--task-data"));
}
END_TEST

START_TEST(the_gate_is_kept)
{
    struct gated_job g;
    struct tm_buf text;
    tm_buf_init(&text, 1 << 16);
    begin(&g, false);
    ck_assert_int_eq(tm_gated_load(g.s.job, &text, NULL), TM_OK);
    ck_assert_uint_eq(text.bytes, 0);
    ck_assert_int_eq(tm_gated_save(g.s.job, "kld<0.1", NULL), TM_OK);
    ck_assert_int_eq(tm_gated_save(g.s.job, "kld<0.2", NULL), TM_OK);
    ck_assert_int_eq(tm_gated_load(g.s.job, &text, NULL), TM_OK);
    ck_assert_str_eq((const char *)text.data, "kld<0.2");
    tm_buf_deinit(&text);
    end(&g);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("gated");
    tcase_add_test(tcase, held_and_checked);
    tcase_add_test(tcase, a_figure_that_was_invented);
    tcase_add_test(tcase, a_miss_leaves_nothing_and_can_be_resumed);
    tcase_add_test(tcase, without_a_graph_the_error_is_held);
    tcase_add_test(tcase, before_any_work);
    tcase_add_test(tcase, the_gate_is_kept);
    Suite *suite = suite_create("gated");
    suite_add_tcase(suite, tcase);
    return suite;
}

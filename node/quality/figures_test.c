/* SPDX-License-Identifier: Apache-2.0
 * What a package of a job says and how it is checked: node/coordinator/gated_test.c. */
#include "node/quality/figures.h"

#include "tests/support/model_files.h"
#include "tests/support/suite.h"
#include "tests/support/tensor_package.h"

START_TEST(settings_are_in_them)
{
    struct tm_evaluate_options options = {
        .tasks = "arc=/some/where/arc,mini=x,piqa", .task_items = 20, .robust = true, .seed = 9};
    struct tm_evaluation evaluation = {.context = 64, .quality = {.windows = 3, .tokens = 93}};
    struct tm_json_doc *doc = NULL;
    struct tm_buf out;
    struct tm_view tasks;
    uint64_t number;
    bool built_in = false;
    tm_buf_init(&out, 1 << 16);
    ck_assert_int_eq(tm_figures_write(&options, &evaluation, &out), TM_OK);
    ck_assert_uint_eq(out.data[out.bytes - 1], '\n');
    ck_assert_int_eq(tm_json_parse(tm_buf_view(&out), "f", &doc, NULL), TM_OK);
    const struct tm_json *settings = tm_json_get(tm_json_root(doc), "settings");
    ck_assert(tm_json_str(tm_json_get(settings, "tasks"), &tasks));
    ck_assert(tm_view_eq_str(tasks, "arc,mini,piqa"));
    ck_assert(tm_json_bool(tm_json_get(settings, "built_in_text"), &built_in) && built_in);
    ck_assert(tm_json_u64(tm_json_get(settings, "seed"), &number) && number == 9);
    ck_assert(tm_json_u64(tm_json_get(tm_json_root(doc), "windows"), &number) && number == 3);
    ck_assert_ptr_null(tm_json_get(tm_json_root(doc), "base"));
    tm_json_free(&doc);
    tm_buf_deinit(&out);
}
END_TEST

START_TEST(a_package_without)
{
    struct test_dir dir = test_dir_make();
    struct tensor_package tp;
    struct tm_package *package = NULL;
    struct tm_buf out;
    struct tm_err err = {0};
    const char *path = test_path(&dir, "m.tmpk");
    tm_buf_init(&out, 1 << 16);
    tp_begin(&tp);
    tp_attach(&tp, "config.json", tm_view_str("{}"), 1000);
    tp_write(&tp, path);
    tp_end(&tp);
    ck_assert_int_eq(tm_package_open(path, &package, &err), TM_OK);
    ck_assert_int_eq(tm_figures_read(package, &out, &err), TM_E_NOTHING);
    tm_package_close(&package);
    struct tm_figures_check check = {.package_path = path};
    ck_assert_int_eq(tm_figures_check(&check, &err), TM_E_NOT_FOUND);
    ck_assert_str_eq(err.why, "the package has none");
    tm_buf_deinit(&out);
    test_dir_remove(&dir);
}
END_TEST

static void broken(const char *text, const char *why)
{
    struct test_dir dir = test_dir_make();
    struct tensor_package tp;
    struct tm_err err = {0};
    struct tm_figures_check check = {.package_path = test_path(&dir, "m.tmpk"), .quiet = true};
    tp_begin(&tp);
    tp_attach(&tp, TM_PACKAGE_FIGURES, tm_view_str(text), 1000);
    tp_write(&tp, check.package_path);
    tp_end(&tp);
    ck_assert_int_eq(tm_figures_check(&check, &err), TM_E_MALFORMED);
    ck_assert_msg(strstr(err.why, why) != NULL, "%s", err.why);
    test_dir_remove(&dir);
}

#define SETTINGS                                                                                   \
    "\"settings\":{\"built_in_text\":true,\"tasks\":\"\",\"task_items\":0,\"robust\":false,"       \
    "\"seed\":1}"

START_TEST(figures_that_cannot_be_read)
{
    broken("{", "");
    broken("{}", "schema");
    broken("{\"schema\":\"tmill.figures/2\"}", "schema");
    broken("{\"schema\":\"tensormill.figures/1\"}", "a setting is missing");
    broken("{\"schema\":\"tensormill.figures/1\"," SETTINGS ",\"context\":64}", "setting");
    broken("{\"schema\":\"tensormill.figures/1\"," SETTINGS ",\"context\":16777217,\"windows\":1}",
           "impossible");
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("figures");
    tcase_add_test(tcase, settings_are_in_them);
    tcase_add_test(tcase, a_package_without);
    tcase_add_test(tcase, figures_that_cannot_be_read);
    Suite *suite = suite_create("figures");
    suite_add_tcase(suite, tcase);
    return suite;
}

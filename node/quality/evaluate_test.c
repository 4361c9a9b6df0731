/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/evaluate.h"

#include <stdlib.h>

#include "base/file.h"
#include "tests/support/suite.h"
#include "tests/support/tiny_folder.h"

static struct test_dir make(const char *arch)
{
    struct test_dir dir = test_dir_make();
    struct tiny_model *m = tiny_new(arch);
    tiny_write_folder(&dir, m);
    tiny_free(m);
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", test_path(&dir, "cache"), 1), 0);
    return dir;
}

static char *json_of(const struct tm_evaluation *e)
{
    static char text[8192];
    struct tm_buf out;
    struct tm_jw jw;
    tm_buf_init(&out, sizeof text - 1);
    tm_jw_begin(&jw, &out, false);
    tm_jw_object(&jw, NULL);
    tm_evaluation_write(e, &jw);
    tm_jw_object_end(&jw);
    ck_assert_int_eq(tm_jw_end(&jw), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&out), TM_OK);
    memcpy(text, out.data, out.bytes + 1);
    tm_buf_deinit(&out);
    return text;
}

/* A model beside itself; the second time the base's logits are there, and no digit changes. */
START_TEST(beside_itself)
{
    struct test_dir dir = make("llama");
    char first[8192];
    struct tm_err err = {0};
    struct tm_evaluate_options options = {.model_path = dir.path,
                                          .base_path = dir.path,
                                          .tasks = "mini",
                                          .robust = true,
                                          .task_items = 7,
                                          .tokens = 300,
                                          .context = 32,
                                          .cache_bytes = 1 << 20,
                                          .speed = true,
                                          .quiet = true};
    for (int i = 0; i < 2; i++) {
        struct tm_evaluation e;
        ck_assert_msg(tm_evaluate(&options, &e, &err) == TM_OK, "%s: %s", err.where, err.why);
        ck_assert_uint_eq(e.quality.windows, 10);
        ck_assert_uint_eq(e.base_windows_cached, i == 0 ? 0 : 10);
        ck_assert_double_eq(e.quality.kl_max, 0.0);
        ck_assert_double_eq(e.quality.ratio, 1.0);
        ck_assert_uint_eq(e.task_count, 1);
        ck_assert_uint_eq(e.tasks[0].items, 7);
        ck_assert_uint_eq(e.tasks[0].model[TM_TASK_DISTRACTION].items, 7);
        double kept;
        ck_assert(tm_evaluation_accuracy(&e, "mini", true, &kept));
        ck_assert_double_eq(kept, 1.0);
        ck_assert(tm_evaluation_accuracy(&e, NULL, false, &kept));
        ck_assert_double_eq(kept, e.tasks[0].model[TM_TASK_PLAIN].accuracy);
        ck_assert(!tm_evaluation_accuracy(&e, "arc", false, &kept));
        ck_assert(e.has_speed && e.speed.generated > 0);
        if (i == 0) {
            memcpy(first, json_of(&e), sizeof first);
        }
        ck_assert_str_eq(json_of(&e), first);
        tm_evaluation_deinit(&e);
        tm_evaluation_deinit(&e);
    }
    ck_assert_ptr_nonnull(strstr(first, "\"distraction\":{\"accuracy\":"));
    ck_assert_ptr_nonnull(strstr(first, "\"kept\":1"));
    ck_assert_ptr_nonnull(strstr(first, "\"weights_sha256\":\""));
    test_dir_remove(&dir);
}
END_TEST

static void fails(const struct tm_evaluate_options *options, tm_status status, const char *where,
                  const char *why)
{
    struct tm_evaluation e;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_evaluate(options, &e, &err), status);
    ck_assert_msg(strstr(err.where, where) != NULL, "%s", err.where);
    ck_assert_msg(strstr(err.why, why) != NULL, "%s", err.why);
    ck_assert_ptr_null(e.text);
}

START_TEST(what_is_refused)
{
    struct test_dir dir = make("llama");
    struct tm_evaluate_options options = {.model_path = dir.path, .quiet = true, .context = 32};
    options.context = 66;
    fails(&options, TM_E_USAGE, "--context", "at most 64");
    options.context = 31;
    fails(&options, TM_E_USAGE, "--context", "at most 64");
    options.context = 32;
    options.tasks = "mini,sums";
    options.tokens = 40;
    options.task_items = 1;
    fails(&options, TM_E_USAGE, "--tasks", "'sums'");
    options.tasks = "mini,mini,mini,mini,mini,mini,mini,mini,mini";
    fails(&options, TM_E_USAGE, "--tasks", "more than 8");
    options.tasks = NULL;
    test_put_text(&dir, "text", "good\xff");
    options.text_path = test_path(&dir, "text");
    fails(&options, TM_E_MALFORMED, "text: byte 4", "UTF-8");
    int stop = 2;
    options.text_path = NULL;
    options.stop = &stop;
    fails(&options, TM_E_STOPPED, "", "asked to stop");
    ck_assert_int_eq(tm_file_remove_in(NULL, test_path(&dir, "tokenizer.json"), NULL), TM_OK);
    fails(&options, TM_E_NOT_FOUND, dir.path, "no tokenizer");
    struct tm_err cannot = {0};
    options.cannot = &cannot;
    fails(&options, TM_E_NOTHING, "", "");
    ck_assert_str_eq(cannot.why, "the model has no tokenizer");
    test_put_text(&dir, "config.json", "{\"model_type\": \"bert\"}");
    fails(&options, TM_E_NOTHING, "", "");
    ck_assert_ptr_nonnull(strstr(cannot.why, "bert"));
    options.model_path = "/nowhere/model.gguf";
    fails(&options, TM_E_NOT_FOUND, "/nowhere", "");
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("evaluate");
    tcase_add_test(tcase, beside_itself);
    tcase_add_test(tcase, what_is_refused);
    Suite *suite = suite_create("evaluate");
    suite_add_tcase(suite, tcase);
    return suite;
}

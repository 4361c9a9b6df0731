/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/task.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/suite.h"
#include "tests/support/model_files.h"

static tm_status parse(const char *name, const char *lines, const char *labels,
                       struct tm_task *task, struct tm_err *err)
{
    *task = (struct tm_task){.count = 0};
    snprintf(task->name, sizeof task->name, "%s", name);
    return tm_task_parse(tm_view_str(lines), tm_view_str(labels), "f", task, err);
}

static void has_text(const struct tm_task *task, struct tm_task_span span, const char *text)
{
    struct tm_view is = tm_task_text(task, span);
    ck_assert_msg(tm_view_eq_str(is, text), "'%.*s' is not '%s'", (int)is.bytes,
                  (const char *)is.data, text);
}

/* prompt, then the choices; NULL ends. */
static void has_item(const struct tm_task *task, size_t index, uint32_t answer,
                     const char *const *texts)
{
    const struct tm_task_item *item = &task->items[index];
    uint32_t count = 0;
    has_text(task, item->prompt, texts[0]);
    for (; texts[count + 1] != NULL; count++) {
        has_text(task, task->choices[item->first + count], texts[count + 1]);
    }
    ck_assert_uint_eq(item->count, count);
    ck_assert_uint_eq(item->answer, answer);
}

START_TEST(arc_and_mini)
{
    struct tm_task task;
    struct tm_err err = {0};
    const char *lines = "{\"prompt\":\"Why?\",\"choices\":[\"so\",\"or so\",\"no\"],"
                        "\"answer_idx\":2,\"id\":\"x\"}\n\n"
                        "{\"question\":\"Who?\",\"choices\":[\"me\",\"you\"],\"answer_idx\":0}";
    ck_assert_msg(parse("arc", lines, "", &task, &err) == TM_OK, "%s", err.why);
    ck_assert_uint_eq(task.count, 2);
    ck_assert(!task.last_word);
    has_item(&task, 0, 2,
             (const char *const[]){"Question: Why?\nAnswer:", " so", " or so", " no", NULL});
    has_item(&task, 1, 0, (const char *const[]){"Question: Who?\nAnswer:", " me", " you", NULL});
    tm_task_deinit(&task);
    ck_assert_int_eq(parse("mini", "{\"prompt\":\"a\",\"choices\":[\"b\",\"c\"],\"answer_idx\":1}",
                           "", &task, &err),
                     TM_OK);
    has_item(&task, 0, 1, (const char *const[]){"a", " b", " c", NULL});
    tm_task_deinit(&task);
}
END_TEST

START_TEST(piqa_with_labels_in_either_place)
{
    struct tm_task task;
    struct tm_err err = {0};
    const char *lines = "{\"goal\":\"g\",\"sol1\":\"s\",\"sol2\":\"t\"}\n"
                        "{\"goal\":\"h\",\"sol1\":\"u\",\"sol2\":\"v\"}\n";
    ck_assert_int_eq(parse("piqa", lines, "1\n0\n", &task, &err), TM_OK);
    has_item(&task, 0, 1, (const char *const[]){"Question: g\nAnswer:", " s", " t", NULL});
    has_item(&task, 1, 0, (const char *const[]){"Question: h\nAnswer:", " u", " v", NULL});
    tm_task_deinit(&task);
    ck_assert_int_eq(parse("piqa", "{\"goal\":\"g\",\"sol1\":\"s\",\"sol2\":\"t\",\"label\":1}", "",
                           &task, &err),
                     TM_OK);
    ck_assert_uint_eq(task.items[0].answer, 1);
    tm_task_deinit(&task);
    static const char *const labels[] = {"", "1", "1\n2\n", "1 0", "10\n"};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        ck_assert_int_eq(parse("piqa", lines, labels[i], &task, &err), TM_E_MALFORMED);
        ck_assert_ptr_nonnull(strstr(err.why, "label"));
    }
}
END_TEST

/* The harness's cleaning: "[title]" ends a sentence, other brackets go, blanks shrink. */
START_TEST(hellaswag_is_cleaned)
{
    struct tm_task task;
    struct tm_err err = {0};
    const char *line =
        "{\"activity_label\":\"Baking [x] bread\",\"ctx_a\":\"A man [step]  waits [title] Then\","
        "\"ctx_b\":\"hE Sits\",\"endings\":[\"he eats.\",\" [header] no [unclosed\"],"
        "\"label\":\"1\"}";
    ck_assert_msg(parse("hellaswag", line, "", &task, &err) == TM_OK, "%s", err.why);
    has_item(&task, 0, 1,
             (const char *const[]){"Baking bread: A man waits. Then He sits", " he eats.",
                                   " no [unclosed", NULL});
    tm_task_deinit(&task);
}
END_TEST

START_TEST(lambada_asks_for_the_last_word)
{
    struct tm_task task;
    struct tm_err err = {0};
    ck_assert_int_eq(parse("lambada", "{\"text\":\"one two  three\"}\n", "", &task, &err), TM_OK);
    ck_assert(task.last_word);
    has_item(&task, 0, 0, (const char *const[]){"one two ", " three", NULL});
    tm_task_deinit(&task);
}
END_TEST

static void refused(const char *name, const char *lines, const char *why)
{
    struct tm_task task;
    struct tm_err err = {0};
    ck_assert_msg(parse(name, lines, "", &task, &err) == TM_E_MALFORMED, "%s", lines);
    ck_assert_msg(strstr(err.why, why) != NULL, "'%s' has no '%s'", err.why, why);
    ck_assert_ptr_nonnull(strstr(err.where, "f: line "));
    ck_assert_ptr_null(task.items);
}

START_TEST(broken_lines)
{
    refused("arc", "", "no item");
    refused("arc", "{", "");
    refused("arc", "[]", "\"question\" is missing");
    refused("arc", "{\"prompt\":1}", "\"prompt\" is missing");
    refused("arc", "{\"prompt\":\"p\",\"choices\":[\"a\"],\"answer_idx\":0}", "2 to 16 choices");
    refused("arc", "{\"prompt\":\"p\",\"choices\":{\"a\":1,\"b\":2},\"answer_idx\":0}",
            "2 to 16 choices");
    refused("arc", "{\"prompt\":\"p\",\"choices\":[\"a\",2],\"answer_idx\":0}", "is no text");
    refused("arc", "{\"prompt\":\"p\",\"choices\":[\"a\",\"\"],\"answer_idx\":0}", "is empty");
    refused("arc", "{\"prompt\":\"p\",\"choices\":[\"a\",\"b\"]}", "is missing");
    refused("arc", "{\"prompt\":\"p\",\"choices\":[\"a\",\"b\"],\"answer_idx\":2}", "none of the");
    refused("arc", "{\"prompt\":\"p\",\"choices\":[\"a\",\"b\"],\"answer_idx\":\"12\"}", "missing");
    refused("piqa", "{\"goal\":\"g\",\"sol1\":\"s\"}", "\"sol2\" is missing");
    refused("hellaswag", "{\"activity_label\":\"a\",\"ctx_a\":\"b\",\"ctx_b\":\"\"}", "endings");
    refused("hellaswag",
            "{\"activity_label\":\"a\",\"ctx_a\":\"b\",\"ctx_b\":\"\",\"endings\":[1,2]}",
            "no text");
    refused("lambada", "{\"text\":\"word\"}", "no last word");
    refused("lambada", "{\"text\":\"two \"}", "no last word");
    refused("lambada", "{\"text\":\" word\"}", "no last word");
    struct tm_task task;
    struct tm_err err = {0};
    ck_assert_int_eq(parse("lambada", "{\"text\":\"one two\"}\n{}", "", &task, &err),
                     TM_E_MALFORMED);
    ck_assert_str_eq(err.where, "f: line 2");
}
END_TEST

START_TEST(lists)
{
    const char *list = "arc,piqa=a/b,,mini,";
    static const char *const specs[] = {"arc", "piqa=a/b", "", "mini"};
    struct tm_view spec;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        ck_assert(tm_task_next(&list, &spec));
        ck_assert(tm_view_eq_str(spec, specs[i]));
    }
    ck_assert(!tm_task_next(&list, &spec));
    list = NULL;
    ck_assert(!tm_task_next(&list, &spec));
    ck_assert(tm_task_known(tm_view_str("hellaswag")));
    ck_assert(!tm_task_known(tm_view_str("arc=f")));
}
END_TEST

START_TEST(where_tasks_come_from)
{
    struct test_dir dir = test_dir_make();
    struct tm_task task;
    struct tm_err err = {0};
    char spec[TM_PATH_MAX];
    ck_assert_int_eq(tm_task_open(tm_view_str("mini"), NULL, &task, &err), TM_OK);
    ck_assert_uint_ge(task.count, 50);
    for (size_t i = 0; i < task.count; i++) {
        ck_assert_uint_lt(task.items[i].answer, task.items[i].count);
    }
    tm_task_deinit(&task);
    tm_task_deinit(&task);
    ck_assert_int_eq(tm_task_open(tm_view_str("sums"), NULL, &task, &err), TM_E_USAGE);
    ck_assert_str_eq(err.why, "'sums' is no task");
    ck_assert_int_eq(tm_task_open(tm_view_str(""), NULL, &task, &err), TM_E_USAGE);
    ck_assert_int_eq(tm_task_open(tm_view_str("piqa"), NULL, &task, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.hint, "--task-data"));
    ck_assert_int_eq(tm_task_open(tm_view_str("piqa"), dir.path, &task, &err), TM_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.where, "piqa/valid.jsonl"));
    const char *line = "{\"goal\":\"g\",\"sol1\":\"s\",\"sol2\":\"t\"}\n";
    test_put_text(&dir, "p.jsonl", line);
    test_put_text(&dir, "valid-labels.lst", "1\n");
    snprintf(spec, sizeof spec, "piqa=%s", test_path(&dir, "p.jsonl"));
    ck_assert_msg(tm_task_open(tm_view_str(spec), NULL, &task, &err) == TM_OK, "%s", err.why);
    ck_assert_uint_eq(task.items[0].answer, 1);
    ck_assert_str_eq(task.name, "piqa");
    tm_task_deinit(&task);
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("task");
    tcase_add_test(tcase, arc_and_mini);
    tcase_add_test(tcase, piqa_with_labels_in_either_place);
    tcase_add_test(tcase, hellaswag_is_cleaned);
    tcase_add_test(tcase, lambada_asks_for_the_last_word);
    tcase_add_test(tcase, broken_lines);
    tcase_add_test(tcase, lists);
    tcase_add_test(tcase, where_tasks_come_from);
    Suite *suite = suite_create("task");
    suite_add_tcase(suite, tcase);
    return suite;
}

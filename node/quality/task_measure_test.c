/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/task_measure.h"

#include <math.h>
#include <stdio.h>

#include "node/common/model_of.h"
#include "tests/support/suite.h"
#include "tests/support/tiny_folder.h"

struct loaded {
    struct test_dir dir;
    struct tiny_model *tiny;
    struct tm_model model;
    struct tm_pass *pass;
};

/* The pass points into it: it stays where it is. */
static struct loaded *load(const char *arch, uint32_t context, uint32_t batch)
{
    struct loaded *l = tm_calloc(1, sizeof *l);
    ck_assert_ptr_nonnull(l);
    l->dir = test_dir_make();
    l->tiny = tiny_new(arch);
    struct tm_err err = {0};
    tiny_write_folder(&l->dir, l->tiny);
    ck_assert_msg(tm_model_of(l->dir.path, NULL, &l->model, &err) == TM_OK, "%s", err.why);
    struct tm_pass_options options = {.context = context, .batch = batch};
    ck_assert_int_eq(tm_pass_new(&l->model.weights, &options, &l->pass, &err), TM_OK);
    return l;
}

static void unload(struct loaded *l)
{
    tm_pass_destroy(&l->pass);
    tm_model_deinit(&l->model);
    tiny_free(l->tiny);
    test_dir_remove(&l->dir);
    tm_free(l);
}

static struct tm_task task_of(const char *name, const char *lines)
{
    struct tm_task task = {.count = 0};
    struct tm_err err = {0};
    snprintf(task.name, sizeof task.name, "%s", name);
    ck_assert_msg(tm_task_parse(tm_view_str(lines), tm_view_str(""), "f", &task, &err) == TM_OK,
                  "%s", err.why);
    return task;
}

/* Log-likelihood of the choice behind prompt, token by token with an empty cache; *greedy as the
 * header says. One character is one token. */
static double likelihood(struct loaded *l, const char *prompt, const char *choice, bool *greedy)
{
    char text[256];
    float logits[TINY_VOCAB];
    double sum = 0.0;
    struct tm_err err = {0};
    snprintf(text, sizeof text, "%s%s", prompt, choice);
    *greedy = true;
    tm_pass_rewind(l->pass, 0);
    for (size_t i = 0; text[i + 1] != '\0'; i++) {
        uint32_t id = tm_tokenizer_find(l->model.tokenizer, tm_view_of(text + i, 1));
        uint32_t next = tm_tokenizer_find(l->model.tokenizer, tm_view_of(text + i + 1, 1));
        ck_assert_int_eq(tm_pass_run(l->pass, &id, 1, &err), TM_OK);
        if (i + 1 < strlen(prompt)) {
            continue;
        }
        tm_pass_logits(l->pass, 0, 1, logits);
        double all = 0.0;
        for (size_t k = 0; k < TINY_VOCAB; k++) {
            all += exp((double)logits[k]);
            *greedy = *greedy && logits[k] <= logits[next];
        }
        sum += (double)logits[next] - log(all);
    }
    return sum;
}

static const char *const prompts[] = {"what is it", "where", "a longer prompt than these", "x y"};
static const char *const choices[][3] = {{" this", " that", " none of it"},
                                         {" here", " in the house", " H"},
                                         {" yes", " no", " maybe so"},
                                         {" z", " abc", " A"}};

START_TEST(the_likeliest_choice)
{
    static const uint32_t batches[] = {64, 3};
    char lines[1024] = "";
    for (size_t i = 0; i < 4; i++) {
        snprintf(lines + strlen(lines), sizeof lines - strlen(lines),
                 "{\"prompt\":\"%s\",\"choices\":[\"%s\",\"%s\",\"%s\"],\"answer_idx\":%zu}\n",
                 prompts[i], choices[i][0] + 1, choices[i][1] + 1, choices[i][2] + 1, i % 3);
    }
    struct tm_task task = task_of("mini", lines);
    for (size_t b = 0; b < 2; b++) {
        struct loaded *l = load("llama", 64, batches[b]);
        struct tm_task_options options = {.first_token = TM_QUALITY_KEEP};
        struct tm_task_result result;
        struct tm_err err = {0};
        ck_assert_msg(
            tm_task_measure(l->pass, l->model.tokenizer, &task, &options, &result, &err) == TM_OK,
            "%s", err.why);
        ck_assert_uint_eq(result.items, 4);
        double right = 0.0, by_byte = 0.0;
        for (size_t i = 0; i < 4; i++) {
            size_t best = 0, best_byte = 0;
            double score[3];
            bool greedy;
            for (size_t k = 0; k < 3; k++) {
                score[k] = likelihood(l, prompts[i], choices[i][k], &greedy);
                best = score[k] > score[best] ? k : best;
                best_byte = score[k] / (double)(strlen(choices[i][k]) - 1) >
                                    score[best_byte] / (double)(strlen(choices[i][best_byte]) - 1)
                                ? k
                                : best_byte;
            }
            ck_assert_uint_eq(result.right[i], best == i % 3);
            ck_assert_uint_eq(result.right_by_byte[i], best_byte == i % 3);
            right += best == i % 3;
            by_byte += best_byte == i % 3;
        }
        double p = right / 4.0;
        ck_assert_double_eq(result.accuracy, p);
        ck_assert_double_eq_tol(result.accuracy_error, sqrt(p * (1.0 - p) / 3.0), 1e-15);
        ck_assert_double_eq(result.by_byte, by_byte / 4.0);
        tm_task_result_deinit(&result);
        tm_task_result_deinit(&result);
        unload(l);
    }
    tm_task_deinit(&task);
}
END_TEST

START_TEST(last_words)
{
    struct loaded *l = load("qwen3", 64, 5);
    static const char *const texts[][2] = {{"one two", " three"}, {"four", " f"}};
    struct tm_task task = task_of("lambada", "{\"text\":\"one two three\"}\n{\"text\":\"four f\"}");
    struct tm_task_options options = {.first_token = TM_QUALITY_KEEP};
    struct tm_task_result result;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_task_measure(l->pass, l->model.tokenizer, &task, &options, &result, &err),
                     TM_OK);
    double nll = 0.0;
    for (size_t i = 0; i < 2; i++) {
        bool greedy;
        nll -= likelihood(l, texts[i][0], texts[i][1], &greedy);
        ck_assert_uint_eq(result.right[i], greedy);
    }
    ck_assert_double_eq_tol(result.perplexity, exp(nll / 8.0), 1e-4 * result.perplexity);
    tm_task_result_deinit(&result);
    tm_task_deinit(&task);
    unload(l);
}
END_TEST

static bool stop_at_two(void *context, uint64_t done, uint64_t items)
{
    *(uint64_t *)context = items;
    return done < 2;
}

/* Fewer items, a first token, prompts that are cut at their beginning, being stopped. */
START_TEST(options_count)
{
    struct loaded *l = load("llama", 16, 16);
    const char *lines = "{\"prompt\":\"a prompt that is longer than the context\",\"choices\":"
                        "[\"ab\",\"cd\"],\"answer_idx\":0}\n"
                        "{\"prompt\":\"short\",\"choices\":[\"ab\",\"cd\"],\"answer_idx\":0}\n"
                        "{\"prompt\":\"short\",\"choices\":[\"ab\",\"longer than the context\"],"
                        "\"answer_idx\":0}\n";
    struct tm_task task = task_of("mini", lines);
    struct tm_task_options options = {.items = 2, .first_token = 3};
    struct tm_task_result result;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_task_measure(l->pass, l->model.tokenizer, &task, &options, &result, &err),
                     TM_OK);
    ck_assert_uint_eq(result.items, 2);
    /* 16 tokens are run, and one is only asked for: the end of the prompt is left. */
    bool greedy;
    ck_assert_uint_eq(result.right[0], likelihood(l, "an the context", " ab", &greedy) >=
                                           likelihood(l, "an the context", " cd", &greedy));
    ck_assert_uint_eq(result.right[1], likelihood(l, "dshort", " ab", &greedy) >=
                                           likelihood(l, "dshort", " cd", &greedy));
    tm_task_result_deinit(&result);
    options.items = 0;
    ck_assert_int_eq(tm_task_measure(l->pass, l->model.tokenizer, &task, &options, &result, &err),
                     TM_E_USAGE);
    ck_assert_str_eq(err.where, "task mini, item 3");
    ck_assert_str_eq(err.why, "the choice has more tokens than the context");
    ck_assert_ptr_null(result.right);
    uint64_t items = 0;
    options.progress = stop_at_two;
    options.progress_context = &items;
    ck_assert_int_eq(tm_task_measure(l->pass, l->model.tokenizer, &task, &options, &result, &err),
                     TM_E_STOPPED);
    ck_assert_uint_eq(items, 3);
    tm_task_deinit(&task);
    unload(l);
}
END_TEST

START_TEST(what_was_kept)
{
    uint8_t base_right[8] = {1, 1, 1, 1, 0, 0, 0, 0}, right[8] = {1, 1, 0, 1, 1, 0, 0, 0};
    struct tm_task_result base = {.items = 8, .right = base_right, .accuracy = 0.5};
    struct tm_task_result model = {.items = 8, .right = right, .accuracy = 0.5};
    double error;
    ck_assert_double_eq(tm_task_kept(&model, &base, &error), 1.0);
    /* one lost, one gained of 8: variance 2/8, over n - 1 */
    ck_assert_double_eq_tol(error, sqrt(0.25 / 7.0) / 0.5, 1e-15);
    right[4] = 0;
    model.accuracy = 0.375;
    ck_assert_double_eq(tm_task_kept(&model, &base, &error), 0.75);
    ck_assert_double_eq_tol(error, sqrt((1.0 / 8 - 1.0 / 64) / 7.0) / 0.5, 1e-15);
    base.accuracy = 0.0;
    ck_assert_double_eq(tm_task_kept(&model, &base, &error), HUGE_VAL);
    model.accuracy = 0.0;
    ck_assert_double_eq(tm_task_kept(&model, &base, &error), 1.0);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("task_measure");
    tcase_add_test(tcase, the_likeliest_choice);
    tcase_add_test(tcase, last_words);
    tcase_add_test(tcase, options_count);
    tcase_add_test(tcase, what_was_kept);
    Suite *suite = suite_create("task_measure");
    suite_add_tcase(suite, tcase);
    return suite;
}

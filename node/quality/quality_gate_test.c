/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/quality_gate.h"

#include <string.h>

#include "tests/support/suite.h"

static struct tm_gate parse(const char *text)
{
    struct tm_gate gate;
    struct tm_err err = {0};
    ck_assert_msg(tm_gate_parse(tm_view_str(text), &gate, &err) == TM_OK, "%s", err.why);
    return gate;
}

/* A base that knew three of four, and a model that knows two of them. */
static uint8_t base_right[4] = {1, 1, 1, 0}, right[4] = {1, 1, 0, 0};
static const struct tm_evaluation evaluation = {
    .quality = {.has_base = true,
                .perplexity = 12.0,
                .ratio = 1.04,
                .kl_mean = 0.04,
                .kl_99 = 0.5,
                .same_top = 0.93},
    .has_base = true,
    .tasks = {{.name = "mini",
               .items = 4,
               .model = {{.items = 4, .right = right, .accuracy = 0.5}},
               .base = {{.items = 4, .right = base_right, .accuracy = 0.75}}},
              {.name = "arc",
               .items = 4,
               .model = {{.items = 4, .right = base_right, .accuracy = 0.75}},
               .base = {{.items = 4, .right = base_right, .accuracy = 0.75}}}},
    .task_count = 2};
static const struct tm_gate_figures known = {
    .evaluation = &evaluation, .has_error = true, .error = 0.2};

START_TEST(clauses)
{
    struct tm_gate gate =
        parse("kld<0.05,ppl<1.05x,top1>0.9,kld99<1,ppl<20,error<0.3,tasks>0.8x,arc>0.7,mini>0.6x");
    ck_assert_uint_eq(gate.count, 9);
    ck_assert(gate.clauses[0].figure == TM_GATE_KLD && gate.clauses[0].below);
    ck_assert(gate.clauses[1].figure == TM_GATE_PPL && gate.clauses[1].bound == 1.05);
    ck_assert(gate.clauses[1].times && !gate.clauses[4].times);
    ck_assert(gate.clauses[2].figure == TM_GATE_TOP1 && !gate.clauses[2].below);
    ck_assert(gate.clauses[4].figure == TM_GATE_PPL && gate.clauses[4].bound == 20.0);
    ck_assert_str_eq(gate.clauses[7].task, "arc");
    ck_assert(tm_gate_needs_base(&gate));
    ck_assert_int_eq(tm_gate_check(&gate, &known, "m", NULL), TM_OK);
    static const char *const alone[] = {"ppl<20", "error<1", "arc>0.5", "tasks>0.5"};
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        gate = parse(alone[i]);
        ck_assert(!tm_gate_needs_base(&gate));
    }
    gate = parse("default");
    ck_assert_uint_eq(gate.count, 2);
    ck_assert(gate.clauses[1].figure == TM_GATE_TASKS && gate.clauses[1].times);
    ck_assert(tm_gate_needs_base(&gate));
}
END_TEST

static void misses(const char *text, const char *why)
{
    struct tm_gate gate = parse(text);
    struct tm_err err = {0};
    ck_assert_int_eq(tm_gate_check(&gate, &known, "m.tmpk", &err), TM_E_GATE);
    ck_assert_str_eq(err.why, why);
    ck_assert_str_eq(err.where, "m.tmpk");
}

START_TEST(misses_name_figure_and_bound)
{
    misses("ppl<20,kld<0.03", "the mean divergence is 0.04; the gate wants it below 0.03");
    misses("kld<0.04", "the mean divergence is 0.04; the gate wants it below 0.04");
    misses("kld99<0.4",
           "the 99th percentile of the divergence is 0.5; the gate wants it below 0.4");
    misses("top1>0.95",
           "the share of equal likeliest tokens is 0.93; the gate wants it above 0.95");
    misses("ppl<11", "the perplexity is 12; the gate wants it below 11");
    misses("ppl<1.03x", "the perplexity over the base's is 1.04; the gate wants it below 1.03");
    misses("error<0.1", "the relative error of the weights is 0.2; the gate wants it below 0.1");
    misses("arc>0.8", "the share of right answers in arc is 0.75; the gate wants it above 0.8");
    misses("tasks>0.7", "the share of right answers is 0.625; the gate wants it above 0.7");
    misses("arc>1x",
           "the share of right answers in arc over the base's is 1; the gate wants it above 1");
}
END_TEST

START_TEST(what_was_not_measured)
{
    struct tm_evaluation alone = {.quality = {.perplexity = 12.0}};
    struct tm_gate_figures figures = {.evaluation = &alone};
    static const char *const texts[] = {"kld<1",   "kld99<1", "top1>0", "ppl<2x",
                                        "error<1", "arc>0",   "tasks>0"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tm_gate gate = parse(texts[i]);
        struct tm_err err = {0};
        ck_assert_int_eq(tm_gate_check(&gate, &figures, "m", &err), TM_E_USAGE);
        ck_assert_ptr_nonnull(strstr(err.why, "was not measured"));
    }
    struct tm_gate gate = parse("arc>0x");
    figures.evaluation = &evaluation;
    ck_assert_int_eq(tm_gate_check(&gate, &figures, "m", NULL), TM_OK);
    static struct tm_evaluation no_base;
    no_base = evaluation;
    no_base.tasks[1].base[TM_TASK_PLAIN].items = 0;
    figures.evaluation = &no_base;
    ck_assert_int_eq(tm_gate_check(&gate, &figures, "m", NULL), TM_E_USAGE);
}
END_TEST

/* Without a forward pass the error of the weights stands for everything. */
START_TEST(no_forward_pass)
{
    struct tm_gate_figures figures = {.has_error = true, .error = 0.09};
    struct tm_gate gate = parse("kld<0.05,ppl<1.05x");
    struct tm_err err = {0};
    ck_assert_int_eq(tm_gate_check(&gate, &figures, "m", &err), TM_OK);
    figures.error = 0.1;
    ck_assert_int_eq(tm_gate_check(&gate, &figures, "m", &err), TM_E_GATE);
    ck_assert_str_eq(err.why,
                     "the relative error of the weights is 0.1; the gate wants it below 0.1");
    gate = parse("kld<0.05,error<0.2");
    ck_assert_int_eq(tm_gate_check(&gate, &figures, "m", &err), TM_OK);
    gate = parse("error<0.05");
    ck_assert_int_eq(tm_gate_check(&gate, &figures, "m", &err), TM_E_GATE);
    gate.count = 0;
    ck_assert_int_eq(tm_gate_check(&gate, &figures, "m", &err), TM_OK);
}
END_TEST

static void asks(const char *text, const char *known_tasks, const char *tasks)
{
    struct tm_gate gate = parse(text);
    struct tm_buf out;
    tm_buf_init(&out, 256);
    ck_assert_int_eq(tm_gate_tasks(&gate, known_tasks, &out), TM_OK);
    ck_assert_str_eq((const char *)out.data, tasks);
    tm_buf_deinit(&out);
}

START_TEST(tasks_of_a_gate)
{
    asks("kld<1", NULL, "");
    asks("default", NULL, "mini");
    asks("tasks>0.9x", "arc", "");
    asks("arc>0.9,piqa>0.5,arc<2", NULL, "arc,piqa");
    asks("arc>0.9,piqa>0.5", "mini,arc=/a/b,lambada", "piqa");
    asks("arc>0.9,tasks>0.5", NULL, "arc");
    asks("mini>0.9", "minimal", "mini");
}
END_TEST

START_TEST(no_gates)
{
    static const char *const texts[] = {
        "",          "kld",          "kld<",    "kld<x",    "kld=1",  "kld<-1",
        "kld<0.05x", "sum>0.9",      "top1>1x", "error<1x", "kld<1,", ",kld<1",
        "<1",        "kld<1 ,ppl<2", "kld<nan", "kld<0x10", "KLD<1",  "kld<1;ppl<2"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tm_gate gate;
        struct tm_err err = {0};
        ck_assert_msg(tm_gate_parse(tm_view_str(texts[i]), &gate, &err) == TM_E_USAGE, "%s",
                      texts[i]);
        ck_assert_ptr_nonnull(strstr(err.why, "is no clause of one"));
    }
    struct tm_gate gate;
    ck_assert_int_eq(tm_gate_parse(tm_view_str("ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,"
                                               "ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,"
                                               "ppl<1"),
                                   &gate, NULL),
                     TM_E_USAGE);
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("quality_gate");
    tcase_add_test(tcase, clauses);
    tcase_add_test(tcase, misses_name_figure_and_bound);
    tcase_add_test(tcase, what_was_not_measured);
    tcase_add_test(tcase, no_forward_pass);
    tcase_add_test(tcase, tasks_of_a_gate);
    tcase_add_test(tcase, no_gates);
    Suite *suite = suite_create("quality_gate");
    suite_add_tcase(suite, tcase);
    return suite;
}

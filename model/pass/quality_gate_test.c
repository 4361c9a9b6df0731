/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pass/quality_gate.h"

#include <string.h>

#include "tests/support/suite.h"

static struct tm_gate parse(const char *text)
{
    struct tm_gate gate;
    struct tm_err err = {0};
    ck_assert_msg(tm_gate_parse(tm_view_str(text), &gate, &err) == TM_OK, "%s", err.why);
    return gate;
}

static const struct tm_quality quality = {.has_base = true,
                                          .perplexity = 12.0,
                                          .ratio = 1.04,
                                          .kl_mean = 0.04,
                                          .kl_99 = 0.5,
                                          .same_top = 0.93};

START_TEST(clauses)
{
    struct tm_gate gate = parse("kld<0.05,ppl<1.05x,top1>0.9,kld99<1,ppl<20");
    ck_assert_uint_eq(gate.count, 5);
    ck_assert(gate.clauses[0].figure == TM_GATE_KLD && gate.clauses[0].below);
    ck_assert(gate.clauses[1].figure == TM_GATE_PPL_RATIO && gate.clauses[1].bound == 1.05);
    ck_assert(gate.clauses[2].figure == TM_GATE_TOP1 && !gate.clauses[2].below);
    ck_assert(gate.clauses[4].figure == TM_GATE_PPL && gate.clauses[4].bound == 20.0);
    ck_assert(tm_gate_needs_base(&gate));
    struct tm_gate alone = parse("ppl<20");
    ck_assert(!tm_gate_needs_base(&alone));
    ck_assert_int_eq(tm_gate_check(&gate, &quality, "m", NULL), TM_OK);
}
END_TEST

static void misses(const char *text, const char *why)
{
    struct tm_gate gate = parse(text);
    struct tm_err err = {0};
    ck_assert_int_eq(tm_gate_check(&gate, &quality, "m.tmpk", &err), TM_E_GATE);
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
}
END_TEST

START_TEST(no_gates)
{
    static const char *const texts[] = {"",        "kld",      "kld<",      "kld<x",
                                        "kld=1",   "kld<-1",   "kld<0.05x", "arc>0.9",
                                        "kld<1,",  ",kld<1",   "<1",        "kld<1 ,ppl<2",
                                        "kld<nan", "kld<0x10", "KLD<1",     "kld<1;ppl<2"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tm_gate gate;
        struct tm_err err = {0};
        ck_assert_msg(tm_gate_parse(tm_view_str(texts[i]), &gate, &err) == TM_E_USAGE, "%s",
                      texts[i]);
        ck_assert_ptr_nonnull(strstr(err.why, "is no clause of one"));
    }
    struct tm_gate gate;
    ck_assert_int_eq(tm_gate_parse(tm_view_str("ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,ppl<1,"
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
    tcase_add_test(tcase, no_gates);
    Suite *suite = suite_create("quality_gate");
    suite_add_tcase(suite, tcase);
    return suite;
}

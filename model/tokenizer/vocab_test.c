/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/vocab.h"

#include <stdio.h>

#include "base/mem.h"
#include "tests/support/suite.h"

START_TEST(ids_and_texts_find_each_other)
{
    struct tm_vocab v;
    struct tm_view text;
    tm_vocab_init(&v);
    ck_assert_uint_eq(tm_vocab_find(&v, tm_view_str("a")), TM_NO_TOKEN);
    for (uint32_t i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        /* backwards, and every second id only */
        ck_assert_int_eq(tm_vocab_put(&v, (4999 - i) * 2, tm_view_str(name), (double)i), TM_OK);
    }
    ck_assert_uint_eq(v.count, 9999);
    for (uint32_t i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        ck_assert_uint_eq(tm_vocab_find(&v, tm_view_str(name)), (4999 - i) * 2);
        ck_assert(tm_vocab_text(&v, (4999 - i) * 2, &text));
        ck_assert(tm_view_eq_str(text, name));
    }
    ck_assert(!tm_vocab_text(&v, 1, &text));
    ck_assert(!tm_vocab_text(&v, 9999, &text));
    ck_assert_uint_eq(tm_vocab_find(&v, tm_view_str("t5000")), TM_NO_TOKEN);
    tm_vocab_deinit(&v);
}
END_TEST

START_TEST(the_first_of_equal_texts_is_found)
{
    struct tm_vocab v;
    tm_vocab_init(&v);
    ck_assert_int_eq(tm_vocab_put(&v, 3, tm_view_str("a"), 0), TM_OK);
    ck_assert_int_eq(tm_vocab_put(&v, 1, tm_view_str("a"), 0), TM_OK);
    ck_assert_uint_eq(tm_vocab_find(&v, tm_view_str("a")), 3);
    ck_assert_int_eq(tm_vocab_put(&v, 3, tm_view_str("b"), 0), TM_E_MALFORMED);
    ck_assert_int_eq(tm_vocab_put(&v, TM_VOCAB_MAX, tm_view_str("c"), 0), TM_E_LIMIT);
    tm_vocab_deinit(&v);
}
END_TEST

START_TEST(memory_runs_out)
{
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_vocab v;
        tm_status status = TM_OK;
        tm_vocab_init(&v);
        tm_mem_fail_at(n);
        for (uint32_t i = 0; i < 2000 && status == TM_OK; i++) {
            status = tm_vocab_put(&v, i, tm_view_of(&i, sizeof i), 0);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_vocab_deinit(&v);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("vocab");
    TCase *tc = tcase_create("vocab");
    tcase_add_test(tc, ids_and_texts_find_each_other);
    tcase_add_test(tc, the_first_of_equal_texts_is_found);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/trie.h"

#include <stdio.h>

#include "base/mem.h"
#include "tests/support/suite.h"

START_TEST(the_longest_text_is_found)
{
    struct tm_trie trie;
    uint32_t value = 0;
    tm_trie_init(&trie);
    ck_assert_uint_eq(tm_trie_longest(&trie, tm_view_str("a"), &value), 0);
    ck_assert_int_eq(tm_trie_put(&trie, tm_view_str("ab"), 1), TM_OK);
    ck_assert_int_eq(tm_trie_put(&trie, tm_view_str("abcd"), 2), TM_OK);
    ck_assert_int_eq(tm_trie_put(&trie, tm_view_of("\0", 1), 3), TM_OK);
    ck_assert_uint_eq(tm_trie_longest(&trie, tm_view_str("abcx"), &value), 2);
    ck_assert_uint_eq(value, 1);
    ck_assert_uint_eq(tm_trie_longest(&trie, tm_view_str("abcde"), &value), 4);
    ck_assert_uint_eq(value, 2);
    ck_assert_uint_eq(tm_trie_longest(&trie, tm_view_of("\0\0", 2), &value), 1);
    ck_assert_uint_eq(value, 3);
    ck_assert_uint_eq(tm_trie_longest(&trie, tm_view_str("ba"), &value), 0);
    ck_assert_int_eq(tm_trie_put(&trie, tm_view_str("ab"), 9), TM_OK);
    ck_assert_uint_eq(tm_trie_longest(&trie, tm_view_str("ab"), &value), 2);
    ck_assert_uint_eq(value, 9);
    tm_trie_deinit(&trie);
}
END_TEST

START_TEST(thousands_of_texts)
{
    struct tm_trie trie;
    uint32_t value = 0;
    char name[16];
    tm_trie_init(&trie);
    for (uint32_t i = 0; i < 20000; i++) {
        int length = snprintf(name, sizeof name, "%u!", i);
        ck_assert_int_eq(tm_trie_put(&trie, tm_view_of(name, (size_t)length), i), TM_OK);
    }
    for (uint32_t i = 0; i < 20000; i++) {
        int length = snprintf(name, sizeof name, "%u!?", i);
        ck_assert_int_eq(tm_trie_longest(&trie, tm_view_str(name), &value), length - 1);
        ck_assert_uint_eq(value, i);
    }
    tm_trie_deinit(&trie);
}
END_TEST

START_TEST(memory_runs_out)
{
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_trie trie;
        tm_status status = TM_OK;
        tm_trie_init(&trie);
        tm_mem_fail_at(n);
        for (uint32_t i = 0; i < 300 && status == TM_OK; i++) {
            status = tm_trie_put(&trie, tm_view_of(&i, sizeof i), i);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_trie_deinit(&trie);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("trie");
    TCase *tc = tcase_create("trie");
    tcase_add_test(tc, the_longest_text_is_found);
    tcase_add_test(tc, thousands_of_texts);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

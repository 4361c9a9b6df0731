/* SPDX-License-Identifier: Apache-2.0 */
#include "node/quality/task_vary.h"

#include <string.h>

#include "tests/support/suite.h"

static const char prompt[] =
    "The quick brown foxes jump over lazy dogs while nobody watches them, and seventeen hungry "
    "ravens wait above the frozen river until somebody throws away some bread. Is it so?";

static struct tm_buf vary(enum tm_task_variant variant, uint64_t seed, uint64_t number)
{
    struct tm_buf out;
    tm_buf_init(&out, 4096);
    ck_assert_int_eq(tm_task_vary(tm_view_str(prompt), variant, seed, number, &out), TM_OK);
    return out;
}

START_TEST(plain_is_the_prompt)
{
    struct tm_buf out = vary(TM_TASK_PLAIN, 1, 1);
    ck_assert(tm_view_eq_str(tm_buf_view(&out), prompt));
    tm_buf_deinit(&out);
}
END_TEST

/* Letters of longer words change places, inside the word; nothing else changes. */
START_TEST(typos)
{
    size_t changed = 0, different = 0;
    for (uint64_t number = 0; number < 200; number++) {
        struct tm_buf out = vary(TM_TASK_TYPOS, 7, number), again = vary(TM_TASK_TYPOS, 7, number);
        ck_assert_uint_eq(out.bytes, sizeof prompt - 1);
        ck_assert_mem_eq(out.data, again.data, out.bytes);
        size_t here = 0;
        for (size_t i = 0; i < out.bytes; i++) {
            if (out.data[i] == (uint8_t)prompt[i]) {
                continue;
            }
            /* A pair, not at the start of a word. */
            ck_assert(prompt[i - 1] != ' ');
            ck_assert_int_eq(out.data[i], prompt[i + 1]);
            ck_assert_int_eq(out.data[i + 1], prompt[i]);
            here++;
            i++;
        }
        changed += here;
        different += here > 0;
        tm_buf_deinit(&out);
        tm_buf_deinit(&again);
    }
    /* 21 words of four letters or more, every sixth; some swaps are of equal letters. */
    ck_assert_uint_gt(changed, 200 * 21 / 6 * 7 / 10);
    ck_assert_uint_lt(changed, 200 * 21 / 6 * 12 / 10);
    ck_assert_uint_gt(different, 180);
}
END_TEST

START_TEST(distractions)
{
    size_t kinds = 0;
    uint8_t first[64] = {0};
    for (uint64_t number = 0; number < 40; number++) {
        struct tm_buf out = vary(TM_TASK_DISTRACTION, 1, number);
        size_t bytes = sizeof prompt - 1;
        ck_assert_uint_gt(out.bytes, bytes + 64);
        ck_assert_mem_eq(out.data + out.bytes - bytes, prompt, bytes);
        ck_assert_mem_eq(out.data + out.bytes - bytes - 2, "\n\n", 2);
        kinds += memcmp(first, out.data, sizeof first) != 0;
        memcpy(first, out.data, sizeof first);
        tm_buf_deinit(&out);
    }
    ck_assert_uint_gt(kinds, 10);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(tm_task_variant_name(TM_TASK_TYPOS), "typos");
    ck_assert_str_eq(tm_task_variant_name(TM_TASK_DISTRACTION), "distraction");
}
END_TEST

Suite *tm_suite(void)
{
    TCase *tcase = tcase_create("task_vary");
    tcase_add_test(tcase, plain_is_the_prompt);
    tcase_add_test(tcase, typos);
    tcase_add_test(tcase, distractions);
    tcase_add_test(tcase, names);
    Suite *suite = suite_create("task_vary");
    suite_add_tcase(suite, tcase);
    return suite;
}

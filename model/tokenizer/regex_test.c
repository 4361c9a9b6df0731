/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/regex.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

/* Where the first match lies, as in Oniguruma. */
static const struct {
    const char *pattern, *text;
    int start, end; /* -1: none */
} cases[] = {
    {"b+", "abbc", 1, 3},
    {"x", "abc", -1, 0},
    {"\\s", "a\xc2\x85", 1, 3},     /* U+0085 is white space */
    {"\\s", "\xe1\xa0\x8e", -1, 0}, /* U+180E is none since Unicode 6.3 */
    {"[^\\s]", "\xe1\xa0\x8e", 0, 3},
    {"\\S", "\xe1\xa0\x8e", 0, 3},
    {"\\S", " \t", -1, 0},
    {"\\w+", "-e\xcc\x81_1-", 1, 6}, /* marks belong to words */
    {"[\\w-]+", "!a-b!", 1, 4},
    {"\\W", "a ", 1, 2},
    {"\\h+", "xyzAf09", 3, 7}, /* hexadecimal digits, not blanks */
    {"[\\h]", "g\tf", 2, 3},
    {"\\H", "0 ", 1, 2},
    {"\\p{L}+",
     "1\xc3\xa9\xe6\xbc\xa2"
     "2",
     1, 6},
    {"(?i:'s)", "'S", 0, 2},
    {"(?i:'s)", "'\xc5\xbf", 0, 3}, /* the long s folds to s */
    {"\\s+(?!\\S)", "a   b", 1, 3},
    {"\\p{N}{1,3}", "12345", 0, 3},
    {"[\\]]", "a]", 1, 2},
};

START_TEST(matches_as_oniguruma_does)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tm_regex *regex = NULL;
        struct tm_err err = {.status = TM_OK};
        size_t start = 99, end = 99;
        ck_assert_int_eq(tm_regex_new(tm_view_str(cases[i].pattern), &regex, &err), TM_OK);
        tm_status status = tm_regex_next(regex, tm_view_str(cases[i].text), 0, &start, &end);
        if (cases[i].start < 0) {
            ck_assert_msg(status == TM_E_NOTHING, "%s", cases[i].pattern);
        } else {
            ck_assert_msg(status == TM_OK && (int)start == cases[i].start &&
                              (int)end == cases[i].end,
                          "%s: %d %zu..%zu", cases[i].pattern, status, start, end);
        }
        tm_regex_destroy(&regex);
        ck_assert_ptr_null(regex);
    }
}
END_TEST

START_TEST(goes_on_from_an_offset)
{
    struct tm_regex *regex = NULL, *literal = NULL;
    struct tm_err err = {.status = TM_OK};
    size_t start, end;
    ck_assert_int_eq(tm_regex_new(tm_view_str("(?<=a)b"), &regex, &err), TM_OK);
    /* what lies before the offset is still seen */
    ck_assert_int_eq(tm_regex_next(regex, tm_view_str("ab"), 1, &start, &end), TM_OK);
    ck_assert_uint_eq(start, 1);
    ck_assert_int_eq(tm_regex_literal(tm_view_str("a.c"), &literal, &err), TM_OK);
    ck_assert_int_eq(tm_regex_next(literal, tm_view_str("abc a.c a.c"), 5, &start, &end), TM_OK);
    ck_assert_uint_eq(start, 8);
    ck_assert_uint_eq(end, 11);
    ck_assert_int_eq(tm_regex_next(literal, tm_view_str("a.c"), 1, &start, &end), TM_E_NOTHING);
    tm_regex_destroy(&regex);
    tm_regex_destroy(&literal);
}
END_TEST

START_TEST(bad_patterns_are_named)
{
    struct tm_regex *regex = NULL;
    struct tm_err err;
    ck_assert_int_eq(tm_regex_new(tm_view_str("a(b"), &regex, &err), TM_E_MALFORMED);
    ck_assert_ptr_null(regex);
    ck_assert_ptr_nonnull(strstr(err.why, "parenthesis"));
    ck_assert_ptr_nonnull(strstr(err.why, "at byte 3"));
    char *large = tm_alloc(TM_REGEX_PATTERN_MAX + 2);
    memset(large, 'a', TM_REGEX_PATTERN_MAX + 1);
    large[TM_REGEX_PATTERN_MAX + 1] = 0;
    ck_assert_int_eq(tm_regex_new(tm_view_str(large), &regex, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "too long"));
    tm_free(large);
}
END_TEST

START_TEST(endless_patterns_end)
{
    struct tm_regex *regex = NULL;
    struct tm_err err;
    char text[64];
    size_t start, end;
    memset(text, 'a', sizeof text);
    /* 2^63 ways to fail */
    ck_assert_int_eq(tm_regex_new(tm_view_str("^(a|a)+$(?<=b)"), &regex, &err), TM_OK);
    tm_status status = tm_regex_next(regex, tm_view_of(text, sizeof text), 0, &start, &end);
    ck_assert(status == TM_E_LIMIT || status == TM_E_NOTHING);
    tm_regex_destroy(&regex);
}
END_TEST

START_TEST(memory_runs_out)
{
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_regex *regex = NULL, *literal = NULL;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = tm_regex_new(tm_view_str("a\\s"), &regex, &err);
        if (status == TM_OK) {
            status = tm_regex_literal(tm_view_str("a"), &literal, &err);
        }
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_regex_destroy(&regex);
        tm_regex_destroy(&literal);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("regex");
    TCase *tc = tcase_create("regex");
    tcase_add_test(tc, matches_as_oniguruma_does);
    tcase_add_test(tc, goes_on_from_an_offset);
    tcase_add_test(tc, bad_patterns_are_named);
    tcase_add_test(tc, endless_patterns_end);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

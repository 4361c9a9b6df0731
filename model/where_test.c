/* SPDX-License-Identifier: Apache-2.0 */
#include "model/where.h"

#include <string.h>

#include "tests/support/suite.h"

START_TEST(parts)
{
    struct tm_where where;
    tm_where(&where, "m.gguf", tm_view_str("b.weight"));
    ck_assert_str_eq(where.text, "m.gguf: tensor 'b.weight'");
    tm_where(&where, "m.gguf", tm_view_str(""));
    ck_assert_str_eq(where.text, "m.gguf");
    tm_where_named(&where, "", "key", tm_view_str("general.name"));
    ck_assert_str_eq(where.text, "key 'general.name'");
    tm_where_byte(&where, "m.gguf", 96);
    ck_assert_str_eq(where.text, "m.gguf: byte 96");
}
END_TEST

START_TEST(long_names_keep_both_parts)
{
    struct tm_where where;
    char path[4000], name[4000];
    memset(path, 'p', sizeof path);
    memcpy(path + sizeof path - 9, "end.gguf", 9);
    memset(name, 'n', sizeof name);
    tm_where(&where, path, tm_view_of(name, sizeof name));
    ck_assert(strncmp(where.text, "...p", 4) == 0);
    ck_assert_ptr_nonnull(strstr(where.text, "end.gguf: tensor 'nnn"));
    ck_assert_str_eq(where.text + strlen(where.text) - 5, "n...'");
    tm_where_byte(&where, path, UINT64_MAX);
    ck_assert_ptr_nonnull(strstr(where.text, "end.gguf: byte 18446744073709551615"));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("where");
    TCase *tcase = tcase_create("where");
    tcase_add_test(tcase, parts);
    tcase_add_test(tcase, long_names_keep_both_parts);
    suite_add_tcase(suite, tcase);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report/page.h"

#include <math.h>
#include <string.h>

#include "tests/support/suite.h"

static struct tm_buf buf;
static struct tm_page page;

static void setup(void)
{
    tm_buf_init(&buf, 4096);
    page = (struct tm_page){.out = &buf};
}

static void teardown(void)
{
    tm_buf_deinit(&buf);
}

static const char *text(void)
{
    ck_assert_int_eq(page.status, TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&buf), TM_OK);
    return (const char *)buf.data;
}

START_TEST(html_is_escaped)
{
    tm_page_html(&page, tm_view_str("<b a=\"x\" b='y'>&\x1b[0m\xff\xc3\xa9"));
    ck_assert_str_eq(text(), "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;\\x1b[0m\\xff\xc3\xa9");
}
END_TEST

START_TEST(markdown_is_escaped)
{
    tm_page_markdown(&page, tm_view_str("a|b [x](y) <i> `c` *d*\n"));
    ck_assert_str_eq(text(), "a\\|b \\[x\\]\\(y\\) \\<i\\> \\`c\\` \\*d\\*\\\\x0a");
}
END_TEST

START_TEST(plain_text_is_escaped_and_cut)
{
    tm_page_plain(&page, tm_view_str("a\tb\x1b]0;x\x07"), 100);
    tm_page_put(&page, " ");
    tm_page_plain(&page, tm_view_str("1234567890"), 4);
    tm_page_put(&page, " ");
    tm_page_plain(&page,
                  tm_view_str("12\xc3\xa9"
                              "4"),
                  3); /* never half a character */
    ck_assert_str_eq(text(), "a\\x09b\\x1b]0;x\\x07 1234... 12...");
}
END_TEST

START_TEST(long_names_are_cut_on_every_page)
{
    char name[1000];
    memset(name, '\x01', sizeof name);
    tm_page_html(&page, tm_view_of(name, sizeof name));
    ck_assert_uint_eq(strlen(text()), 4 * 200 + 3);
    tm_buf_clear(&buf);
    tm_page_plain(&page, tm_view_of(name, sizeof name), 1000);
    ck_assert_uint_eq(strlen(text()), 4 * 200 + 3);
    tm_buf_clear(&buf);
    memset(name, '*', sizeof name);
    tm_page_markdown(&page, tm_view_of(name, sizeof name));
    ck_assert_uint_eq(strlen(text()), 2 * 200 + 6);
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},  {1, "1.000"},       {0.08977, "0.08977"},          {12345.6, "12346"},
                 {-1, "-"}, {(double)NAN, "-"}, {(double)INFINITY, "infinite"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tm_buf_clear(&buf);
        tm_page_number(&page, cases[i].value);
        ck_assert_str_eq(text(), cases[i].text);
    }
}
END_TEST

START_TEST(a_full_page_stays_full)
{
    struct tm_buf small;
    tm_buf_init(&small, 4);
    struct tm_page full = {.out = &small};
    tm_page_put(&full, "12345");
    tm_page_put(&full, "1");
    tm_page_printf(&full, "%d", 2);
    ck_assert_int_eq(full.status, TM_E_LIMIT);
    ck_assert_uint_eq(small.bytes, 0);
    tm_buf_deinit(&small);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("page");
    TCase *tc = tcase_create("page");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, html_is_escaped);
    tcase_add_test(tc, markdown_is_escaped);
    tcase_add_test(tc, plain_text_is_escaped_and_cut);
    tcase_add_test(tc, long_names_are_cut_on_every_page);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, a_full_page_stays_full);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/repair.h"

#include "base/utf8.h"
#include "tests/support/suite.h"

/* Python's bytes.decode(errors="replace") of the same bytes. */
static const struct {
    const char *in, *out;
} broken[] = {
    {"a\xff"
     "b",
     "a\xef\xbf\xbd"
     "b"},
    {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* no lead byte */
    {"\xe2\x82", "\xef\xbf\xbd"},                             /* cut off: one subpart */
    {"\xe2\x82\xe2\x82\xac", "\xef\xbf\xbd\xe2\x82\xac"},     /* cut by a lead byte */
    {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
    {"\xf0\x9f\x98", "\xef\xbf\xbd"},
    {"\xf0\x80\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf5", "\xef\xbf\xbd"},
};

START_TEST(broken_text_is_read_as_python_reads_it)
{
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct tm_buf out;
        tm_buf_init(&out, 100);
        ck_assert_int_eq(tm_repair_utf8(tm_view_str(broken[i].in), &out), TM_OK);
        ck_assert_msg(tm_view_eq_str(tm_buf_view(&out), broken[i].out), "case %zu", i);
        ck_assert(tm_utf8_valid((const char *)out.data, out.bytes));
        tm_buf_deinit(&out);
    }
}
END_TEST

START_TEST(the_limit_holds)
{
    struct tm_buf out;
    tm_buf_init(&out, 2);
    ck_assert_int_eq(tm_repair_utf8(tm_view_str("\xff"), &out), TM_E_LIMIT);
    tm_buf_deinit(&out);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("repair");
    TCase *tc = tcase_create("repair");
    tcase_add_test(tc, broken_text_is_read_as_python_reads_it);
    tcase_add_test(tc, the_limit_holds);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

#include "tests/support/suite.h"

/* Valid and invalid sequences around every border of RFC 3629, section 3 and 4. */
START_TEST(borders)
{
    static const struct {
        const char *text;
        size_t bytes;
        size_t length;
        uint32_t code;
    } cases[] = {
        {"\x00", 1, 1, 0},
        {"\x7f", 1, 1, 0x7f},
        {"\x80", 1, 0, 0},
        {"\xbf", 1, 0, 0},
        {"\xc0\x80", 2, 0, 0},
        {"\xc1\xbf", 2, 0, 0},
        {"\xc2\x80", 2, 2, 0x80},
        {"\xdf\xbf", 2, 2, 0x7ff},
        {"\xc3", 1, 0, 0},
        {"\xc3(", 2, 0, 0},
        {"\xe0\x9f\xbf", 3, 0, 0},
        {"\xe0\xa0\x80", 3, 3, 0x800},
        {"\xed\x9f\xbf", 3, 3, 0xd7ff},
        {"\xed\xa0\x80", 3, 0, 0},
        {"\xed\xbf\xbf", 3, 0, 0},
        {"\xee\x80\x80", 3, 3, 0xe000},
        {"\xef\xbf\xbf", 3, 3, 0xffff},
        {"\xe2\x82", 2, 0, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0, 0},
        {"\xf0\x90\x80\x80", 4, 4, 0x10000},
        {"\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff},
        {"\xf4\x90\x80\x80", 4, 0, 0},
        {"\xf5\x80\x80\x80", 4, 0, 0},
        {"\xff", 1, 0, 0},
        {"", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t code = 0xabcdef;
        ck_assert_uint_eq(tm_utf8_decode(cases[i].text, cases[i].bytes, &code), cases[i].length);
        ck_assert_uint_eq(code, cases[i].length > 0 ? cases[i].code : 0xabcdef);
    }
}
END_TEST

START_TEST(round_trip)
{
    for (uint32_t code = 0; code <= 0x110010; code++) {
        char text[4];
        size_t length = tm_utf8_encode(code, text);
        bool valid = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        if ((length > 0) != valid) {
            ck_abort_msg("U+%04X gives %zu bytes", code, length);
        }
        uint32_t back = 0;
        if (valid && (tm_utf8_decode(text, length, &back) != length || back != code)) {
            ck_abort_msg("U+%04X reads back as U+%04X", code, back);
        }
    }
}
END_TEST

START_TEST(valid_text)
{
    ck_assert(tm_utf8_valid("", 0));
    ck_assert(tm_utf8_valid("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 10));
    ck_assert(!tm_utf8_valid("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9));
    ck_assert(!tm_utf8_valid("abc\xff", 4));
}
END_TEST

START_TEST(controls)
{
    ck_assert(tm_utf8_is_control(0));
    ck_assert(tm_utf8_is_control(0x1f));
    ck_assert(!tm_utf8_is_control(0x20));
    ck_assert(!tm_utf8_is_control(0x7e));
    ck_assert(tm_utf8_is_control(0x7f));
    ck_assert(tm_utf8_is_control(0x9f));
    ck_assert(!tm_utf8_is_control(0xa0));
    static const uint32_t hidden[] = {0xad,   0x61c,  0x180e,  0x200b,  0x200e, 0x200f, 0x2028,
                                      0x2029, 0x202a, 0x202e,  0x2060,  0x2066, 0x2069, 0xfeff,
                                      0xfff9, 0xfffb, 0xe0001, 0xe0020, 0xe007f};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        ck_assert_msg(tm_utf8_is_control(hidden[i]), "U+%04X", hidden[i]);
    }
    static const uint32_t shown[] = {0xac,   0xae,   0x61b,   0x200a,  0x200c, 0x200d, 0x2010,
                                     0x2027, 0x202f, 0x205f,  0x2070,  0xfefe, 0xff00, 0xfff8,
                                     0xfffd, 0x5d0,  0x1f600, 0xdffff, 0xe0080};
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        ck_assert_msg(!tm_utf8_is_control(shown[i]), "U+%04X", shown[i]);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tc = tcase_create("utf8");
    tcase_add_test(tc, borders);
    tcase_add_test(tc, round_trip);
    tcase_add_test(tc, valid_text);
    tcase_add_test(tc, controls);
    suite_add_tcase(suite, tc);
    return suite;
}

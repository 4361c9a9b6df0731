/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/byte_chars.h"

#include "tests/support/suite.h"

START_TEST(every_byte_has_its_character)
{
    bool seen[0x144] = {false};
    uint8_t back;
    for (unsigned i = 0; i < 256; i++) {
        uint32_t code = tm_byte_char((uint8_t)i);
        ck_assert_uint_lt(code, 0x144);
        ck_assert(!seen[code]);
        seen[code] = true;
        ck_assert(tm_byte_of_char(code, &back));
        ck_assert_uint_eq(back, i);
    }
    for (uint32_t code = 0; code < 0x400; code++) {
        ck_assert_int_eq(tm_byte_of_char(code, &back), code < 0x144 && seen[code]);
    }
    /* as in GPT-2's vocabulary: blank, newline, delete, no-break space, soft hyphen */
    ck_assert_uint_eq(tm_byte_char(' '), 0x120);
    ck_assert_uint_eq(tm_byte_char('\n'), 0x10a);
    ck_assert_uint_eq(tm_byte_char(0x7f), 0x121);
    ck_assert_uint_eq(tm_byte_char(0xa0), 0x142);
    ck_assert_uint_eq(tm_byte_char(0xad), 0x143);
    ck_assert_uint_eq(tm_byte_char('A'), 'A');
}
END_TEST

START_TEST(texts_go_there_and_back)
{
    struct tm_buf text, back;
    tm_buf_init(&text, 1000);
    tm_buf_init(&back, 1000);
    ck_assert_int_eq(tm_byte_chars_put(tm_view_str("a \xc3\xa9"), &text), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&text), "a\xc4\xa0\xc3\x83\xc2\xa9"));
    ck_assert_int_eq(tm_byte_chars_get(tm_buf_view(&text), &back), TM_OK);
    ck_assert(tm_view_eq_str(tm_buf_view(&back), "a \xc3\xa9"));
    ck_assert_int_eq(tm_byte_chars_get(tm_view_str("b c"), &back), TM_E_NOTHING);
    ck_assert_int_eq(tm_byte_chars_get(tm_view_str("b\xff"), &back), TM_E_NOTHING);
    ck_assert(tm_view_eq_str(tm_buf_view(&back), "a \xc3\xa9"));
    tm_buf_deinit(&text);
    tm_buf_deinit(&back);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("byte_chars");
    TCase *tc = tcase_create("byte_chars");
    tcase_add_test(tc, every_byte_has_its_character);
    tcase_add_test(tc, texts_go_there_and_back);
    suite_add_tcase(suite, tc);
    return suite;
}

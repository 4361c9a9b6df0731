/* SPDX-License-Identifier: Apache-2.0 */
#include "model/crc32.h"

#include "tests/support/suite.h"

/* The check value of the CRC catalogue, and values that Python's zlib.crc32 gives. */
START_TEST(test_known_values)
{
    ck_assert_uint_eq(tm_crc32(0, tm_view_str("")), 0);
    ck_assert_uint_eq(tm_crc32(0, tm_view_str("123456789")), 0xCBF43926u);
    ck_assert_uint_eq(tm_crc32(0, tm_view_str("a")), 0xE8B7BE43u);
    ck_assert_uint_eq(tm_crc32(0, tm_view_str("The quick brown fox jumps over the lazy dog")),
                      0x414FA339u);
}
END_TEST

START_TEST(test_pieces_give_the_same)
{
    uint8_t data[100];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 37 + 11);
    }
    uint32_t whole = tm_crc32(0, tm_view_of(data, sizeof data));
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        uint32_t first = tm_crc32(0, tm_view_of(data, cut));
        ck_assert_uint_eq(tm_crc32(first, tm_view_of(data + cut, sizeof data - cut)), whole);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("crc32");
    TCase *tcase = tcase_create("crc32");
    tcase_add_test(tcase, test_known_values);
    tcase_add_test(tcase, test_pieces_give_the_same);
    suite_add_tcase(suite, tcase);
    return suite;
}

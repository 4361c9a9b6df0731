/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/packing.h"

#include <string.h>

#include "tests/support/suite.h"

START_TEST(nibbles)
{
    const uint8_t codes[] = {1, 15, 0, 7, 9}, want[] = {0xf1, 0x70, 0x09};
    uint8_t packed[3], back[5];
    size_t bad;
    ck_assert_uint_eq(tm_packed_bytes(16, 5), 3);
    tm_pack(16, codes, 5, packed);
    ck_assert_mem_eq(packed, want, 3);
    ck_assert_int_eq(tm_unpack(16, packed, 5, back, &bad), TM_OK);
    ck_assert_mem_eq(back, codes, 5);
    packed[2] = 0x19;
    ck_assert_int_eq(tm_unpack(16, packed, 5, back, &bad), TM_E_MALFORMED);
    ck_assert_uint_eq(bad, 2);
}
END_TEST

START_TEST(symbols_outside_of_the_alphabet)
{
    const uint8_t pairs[] = {0x11, 0x31}, bytes[] = {242, 243};
    uint8_t back[4];
    size_t bad;
    ck_assert_int_eq(tm_unpack(4, pairs, 4, back, &bad), TM_OK);
    ck_assert_int_eq(tm_unpack(3, pairs, 4, back, &bad), TM_E_MALFORMED);
    ck_assert_uint_eq(bad, 1);
    ck_assert_int_eq(tm_unpack(243, bytes, 2, back, &bad), TM_E_MALFORMED);
    ck_assert_uint_eq(bad, 1);
    ck_assert_int_eq(tm_unpack(244, bytes, 2, back, &bad), TM_OK);
    ck_assert_mem_eq(back, bytes, 2);
}
END_TEST

START_TEST(empty_and_bytes)
{
    uint8_t byte = 77;
    size_t bad;
    ck_assert_uint_eq(tm_packed_bytes(16, 0), 0);
    ck_assert_uint_eq(tm_packed_bytes(17, 9), 9);
    tm_pack(256, NULL, 0, NULL);
    ck_assert_int_eq(tm_unpack(256, NULL, 0, NULL, &bad), TM_OK);
    ck_assert_int_eq(tm_unpack(256, (const uint8_t *)"\xff", 1, &byte, &bad), TM_OK);
    ck_assert_uint_eq(byte, 255);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("packing");
    TCase *tc = tcase_create("packing");
    tcase_add_test(tc, nibbles);
    tcase_add_test(tc, symbols_outside_of_the_alphabet);
    tcase_add_test(tc, empty_and_bytes);
    suite_add_tcase(suite, tc);
    return suite;
}

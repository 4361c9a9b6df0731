/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "tests/support/suite.h"

static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

START_TEST(little_endian)
{
    ck_assert_uint_eq(tm_get_u16(data), 0x0201);
    ck_assert_uint_eq(tm_get_u32(data + 1), 0x05040302);
    ck_assert_uint_eq(tm_get_u64(data + 3), 0x0b0a090807060504u);
    uint8_t out[8];
    tm_set_u64(out, 0x1122334455667788u);
    ck_assert_mem_eq(out, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
    tm_set_u32(out, 0xfffefdfcu);
    ck_assert_mem_eq(out, "\xfc\xfd\xfe\xff", 4);
    ck_assert_uint_eq(tm_get_u16((const uint8_t *)"\xff\xff"), 0xffff);
}
END_TEST

START_TEST(float_bits)
{
    ck_assert_uint_eq(tm_f32_bits(1.0f), 0x3f800000);
    ck_assert_uint_eq(tm_f64_bits(-2.0), 0xc000000000000000u);
    ck_assert_uint_eq(tm_f32_bits(tm_f32_from_bits(0x7fc12345)), 0x7fc12345);
    ck_assert_uint_eq(tm_f64_bits(tm_f64_from_bits(0x7ff8000000001234u)), 0x7ff8000000001234u);
}
END_TEST

START_TEST(cursor_reads)
{
    struct tm_cursor c = tm_cursor_of(tm_view_of(data, sizeof data));
    ck_assert_uint_eq(tm_cursor_u8(&c), 1);
    ck_assert_uint_eq(tm_cursor_u16(&c), 0x0302);
    ck_assert_uint_eq(tm_cursor_u32(&c), 0x07060504);
    ck_assert_uint_eq(tm_cursor_u64(&c), 0x0f0e0d0c0b0a0908u);
    ck_assert_uint_eq(tm_cursor_left(&c), 1);
    struct tm_view last = tm_cursor_take(&c, 1);
    ck_assert_uint_eq(last.bytes, 1);
    ck_assert_ptr_eq(last.data, data + 15);
    ck_assert(!c.overrun);
    ck_assert_uint_eq(tm_cursor_take(&c, 0).bytes, 0);
    ck_assert(!c.overrun);
}
END_TEST

START_TEST(overrun_stays)
{
    for (size_t left = 0; left < 8; left++) {
        struct tm_cursor c = tm_cursor_of(tm_view_of(data, left));
        ck_assert_uint_eq(tm_cursor_u64(&c), 0);
        ck_assert(c.overrun);
        ck_assert_uint_eq(c.at, 0);
        ck_assert_uint_eq(tm_cursor_u8(&c), 0);
        ck_assert_uint_eq(tm_cursor_take(&c, 0).bytes, 0);
        ck_assert(c.overrun);
    }
    struct tm_cursor c = tm_cursor_of(tm_view_of(data, sizeof data));
    struct tm_view view = tm_cursor_take(&c, UINT64_MAX);
    ck_assert_uint_eq(view.bytes, 0);
    ck_assert_ptr_null(view.data);
    ck_assert(c.overrun);
    struct tm_cursor none = tm_cursor_of(tm_view_of(NULL, 0));
    ck_assert_uint_eq(tm_cursor_take(&none, 0).bytes, 0);
    ck_assert(!none.overrun);
    ck_assert_uint_eq(tm_cursor_u16(&none), 0);
    ck_assert(none.overrun);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("bytes");
    TCase *tc = tcase_create("bytes");
    tcase_add_test(tc, little_endian);
    tcase_add_test(tc, float_bits);
    tcase_add_test(tc, cursor_reads);
    tcase_add_test(tc, overrun_stays);
    suite_add_tcase(suite, tc);
    return suite;
}

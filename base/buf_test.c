/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <string.h>

#include "base/mem.h"
#include "tests/support/suite.h"

START_TEST(views)
{
    ck_assert(tm_view_eq(tm_view_of(NULL, 0), tm_view_str("")));
    ck_assert(tm_view_eq_str(tm_view_of("abc", 2), "ab"));
    ck_assert(!tm_view_eq_str(tm_view_str("abc"), "abd"));
    ck_assert(!tm_view_eq_str(tm_view_str("abc"), "ab"));
}
END_TEST

START_TEST(appends)
{
    struct tm_buf buf;
    tm_buf_init(&buf, 1000);
    ck_assert_uint_eq(tm_buf_view(&buf).bytes, 0);
    ck_assert_int_eq(tm_buf_put_u8(&buf, 0x01), TM_OK);
    ck_assert_int_eq(tm_buf_put_u16(&buf, 0x0203), TM_OK);
    ck_assert_int_eq(tm_buf_put_u32(&buf, 0x04050607), TM_OK);
    ck_assert_int_eq(tm_buf_put_u64(&buf, 0x08090a0b0c0d0e0fu), TM_OK);
    ck_assert_int_eq(tm_buf_put_str(&buf, "hi"), TM_OK);
    ck_assert_int_eq(tm_buf_printf(&buf, "<%d>", 42), TM_OK);
    ck_assert_int_eq(tm_buf_put(&buf, NULL, 0), TM_OK);
    ck_assert_int_eq(tm_buf_terminate(&buf), TM_OK);
    ck_assert_uint_eq(buf.bytes, 21);
    ck_assert_mem_eq(buf.data, "\x01\x03\x02\x07\x06\x05\x04\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08hi<42>",
                     22);
    tm_buf_clear(&buf);
    ck_assert_uint_eq(buf.bytes, 0);
    ck_assert_uint_gt(buf.capacity, 0);
    tm_buf_deinit(&buf);
    ck_assert_uint_eq(buf.max_bytes, 1000);
    ck_assert_int_eq(tm_buf_put_str(&buf, "again"), TM_OK);
    tm_buf_deinit(&buf);
    tm_buf_deinit(&buf);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

/* At every maximum: exactly max bytes fit, one more does not and changes nothing. */
START_TEST(maximum)
{
    for (size_t max = 0; max < 300; max++) {
        struct tm_buf buf;
        tm_buf_init(&buf, max);
        for (size_t i = 0; i < max; i++) {
            ck_assert_int_eq(tm_buf_put_u8(&buf, (uint8_t)i), TM_OK);
        }
        ck_assert_int_eq(tm_buf_terminate(&buf), TM_OK);
        ck_assert_int_eq(tm_buf_put_u8(&buf, 1), TM_E_LIMIT);
        ck_assert_int_eq(tm_buf_printf(&buf, "%d", 12), TM_E_LIMIT);
        ck_assert_int_eq(tm_buf_reserve(&buf, SIZE_MAX), TM_E_LIMIT);
        uint8_t *at = NULL;
        ck_assert_int_eq(tm_buf_extend(&buf, 1, &at), TM_E_LIMIT);
        ck_assert_ptr_null(at);
        ck_assert_uint_eq(buf.bytes, max);
        for (size_t i = 0; i < max; i++) {
            ck_assert_uint_eq(buf.data[i], (uint8_t)i);
        }
        tm_buf_deinit(&buf);
    }
}
END_TEST

START_TEST(no_memory)
{
    struct tm_buf buf;
    tm_buf_init(&buf, SIZE_MAX);
    ck_assert_int_eq(tm_buf_put_str(&buf, "kept"), TM_OK);
    ck_assert_int_eq(tm_buf_reserve(&buf, SIZE_MAX / 2), TM_E_NOMEM);
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_buf_reserve(&buf, 1000), TM_E_NOMEM);
    ck_assert(tm_view_eq_str(tm_buf_view(&buf), "kept"));
    tm_buf_deinit(&buf);
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_buf_printf(&buf, "x"), TM_E_NOMEM);
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_buf_terminate(&buf), TM_E_NOMEM);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("buf");
    TCase *tc = tcase_create("buf");
    tcase_add_test(tc, views);
    tcase_add_test(tc, appends);
    tcase_add_test(tc, maximum);
    tcase_add_test(tc, no_memory);
    suite_add_tcase(suite, tc);
    return suite;
}

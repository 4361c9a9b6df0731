/* SPDX-License-Identifier: Apache-2.0 */
#include "stages/lossless_encode.h"

#include <string.h>

#include "stages/lossless_decode.h"
#include "tests/support/block_inputs.h"
#include "tests/support/suite.h"

START_TEST(round_trip)
{
    static const size_t sizes[] = {0, 1, 255, 256, 65536, 300000};
    size_t bytes = sizes[_i];
    for (uint32_t skew = 1; skew <= 4; skew += 3) {
        uint8_t *source = skewed_symbols(1, 256, skew, bytes), *back = tm_alloc(bytes);
        for (uint32_t level = 1; level <= 19; level += 6) {
            struct tm_buf out;
            tm_buf_init(&out, tm_zstd_bound(bytes));
            ck_assert_int_eq(tm_zstd_encode(level, tm_view_of(source, bytes), &out, NULL), TM_OK);
            ck_assert_int_eq(tm_zstd_decode(tm_buf_view(&out), bytes, back, NULL), TM_OK);
            ck_assert(bytes == 0 || memcmp(source, back, bytes) == 0);
            ck_assert(skew == 1 || bytes < 65536 || out.bytes < bytes * 9 / 10);
            tm_buf_deinit(&out);
        }
        tm_free(source);
        tm_free(back);
    }
}
END_TEST

/* 9 MiB with a repeat at a distance of half: the window limit of the decoder holds for the
 * highest level, so the frame is accepted. */
START_TEST(window_is_capped)
{
    size_t bytes = 9u << 20;
    uint8_t *source = skewed_symbols(1, 256, 1, bytes / 2), *back = tm_alloc(bytes);
    source = tm_realloc(source, bytes);
    memcpy(source + bytes / 2, source, bytes / 2);
    static const uint32_t levels[] = {1, 19};
    for (size_t i = 0; i < 2; i++) {
        struct tm_buf out;
        tm_buf_init(&out, tm_zstd_bound(bytes));
        ck_assert_int_eq(tm_zstd_encode(levels[i], tm_view_of(source, bytes), &out, NULL), TM_OK);
        ck_assert_int_eq(tm_zstd_decode(tm_buf_view(&out), bytes, back, NULL), TM_OK);
        ck_assert_mem_eq(source, back, bytes);
        tm_buf_deinit(&out);
    }
    tm_free(source);
    tm_free(back);
}
END_TEST

START_TEST(full_buffer_is_left_alone)
{
    uint8_t source[100] = {0};
    struct tm_buf out;
    tm_buf_init(&out, 20);
    ck_assert_int_eq(tm_buf_put(&out, "ab", 2), TM_OK);
    ck_assert_int_eq(tm_zstd_encode(3, tm_view_of(source, 100), &out, NULL), TM_E_LIMIT);
    ck_assert_uint_eq(out.bytes, 2);
    tm_buf_deinit(&out);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("lossless_encode");
    TCase *tc = tcase_create("lossless_encode");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, round_trip, 0, 6);
    tcase_add_test(tc, window_is_capped);
    tcase_add_test(tc, full_buffer_is_left_alone);
    suite_add_tcase(suite, tc);
    return suite;
}

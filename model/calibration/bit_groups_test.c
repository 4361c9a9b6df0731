/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/bit_groups.h"

#include "base/rng.h"
#include "tests/support/suite.h"

#define COUNT 300

static struct tm_buf buf;

static void write_all(const int64_t *values, size_t count)
{
    struct tm_bit_writer writer = {.out = &buf};
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(tm_bit_put(&writer, values[i]), TM_OK);
    }
    ck_assert_int_eq(tm_bit_end(&writer), TM_OK);
    ck_assert_uint_le(buf.bytes, tm_bit_groups_bound(count));
}

/* Whether count values can be read, and all bytes are theirs. */
static bool reads(size_t count, int64_t *out)
{
    struct tm_cursor in = tm_cursor_of(tm_buf_view(&buf));
    struct tm_bit_reader reader = tm_bit_reader_of(&in, count);
    for (size_t i = 0; i < count; i++) {
        out[i] = tm_bit_get(&reader);
    }
    return !reader.bad && tm_cursor_left(&in) == 0;
}

START_TEST(values_come_back)
{
    struct tm_rng rng;
    int64_t values[COUNT], got[COUNT];
    tm_rng_init(&rng, 4);
    for (unsigned bits = 1; bits <= 64; bits++) {
        for (size_t count = 0; count <= COUNT; count += count < 3 ? 1 : 61) {
            for (size_t i = 0; i < count; i++) {
                values[i] = (int64_t)tm_rng_u64(&rng) >> (64 - bits);
            }
            tm_buf_init(&buf, 1 << 16);
            write_all(values, count);
            ck_assert(reads(count, got));
            ck_assert_mem_eq(got, values, count * sizeof values[0]);
            tm_buf_deinit(&buf);
        }
    }
}
END_TEST

START_TEST(the_bytes_of_a_small_list)
{
    const int64_t values[] = {0, -1, 1, -2, INT64_MIN + 1};
    int64_t got[5];
    tm_buf_init(&buf, 1 << 16);
    write_all(values, 4); /* 0, 1, 2, 3 in two bits */
    ck_assert_uint_eq(buf.bytes, 2);
    ck_assert_uint_eq(buf.data[0], 2);
    ck_assert_uint_eq(buf.data[1], 0xe4);
    tm_buf_clear(&buf);
    write_all(values + 4, 1);
    ck_assert(reads(1, got));
    ck_assert_int_eq(got[0], INT64_MIN + 1);
    tm_buf_clear(&buf);
    write_all((const int64_t[]){0, 0, 0}, 3);
    ck_assert_uint_eq(buf.bytes, 1);
    tm_buf_deinit(&buf);
}
END_TEST

START_TEST(other_forms_are_refused)
{
    const struct {
        const char *bytes;
        size_t size, count;
    } bad[] = {{"\3\210\6", 3, 4}, /* one bit wider than needed */
               {"\2\344", 2, 3},   /* a bit behind the last value */
               {"\2", 1, 4},       /* ends too soon */
               {"", 0, 1},
               {"\101\0\0\0\0\0\0\0\0\0", 10, 1}};
    int64_t got[4];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tm_buf_init(&buf, 1 << 16);
        ck_assert_int_eq(tm_buf_put(&buf, bad[i].bytes, bad[i].size), TM_OK);
        ck_assert_msg(!reads(bad[i].count, got), "number %zu", i);
        ck_assert_int_eq(got[0], 0);
        tm_buf_deinit(&buf);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("bit_groups");
    TCase *tcase = tcase_create("bit_groups");
    tcase_add_test(tcase, values_come_back);
    tcase_add_test(tcase, the_bytes_of_a_small_list);
    tcase_add_test(tcase, other_forms_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}

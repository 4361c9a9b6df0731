/* SPDX-License-Identifier: Apache-2.0 */
#include "model/calibration/cal_input.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

#define COLS 70

static struct tm_cal_input sample(uint64_t seed, bool whole, uint32_t sinks, uint64_t window)
{
    struct tm_cal_input input;
    struct tm_rng rng;
    struct tm_cov_shape shape = tm_cov_shape_of(COLS, whole ? 48 : 0);
    ck_assert_int_eq(tm_cal_input_init(&input, shape, whole), TM_OK);
    tm_rng_init(&rng, seed);
    for (uint32_t i = 0; i < COLS; i++) {
        input.exponents[i] = (int8_t)((int)(i % 7) - 3);
        if (!whole) {
            input.sums[TM_CAL_FIT][i] = (int64_t)tm_rng_below(&rng, 1 << 30);
        }
    }
    for (uint32_t b = 0; whole && b < tm_cov_blocks(&shape); b++) {
        uint32_t first = tm_cov_block_first(&shape, b), end = first + tm_cov_block_cols(&shape, b);
        for (uint32_t i = first; i < end; i++) {
            for (uint32_t j = i; j < end; j++) {
                for (size_t set = 0; set < TM_CAL_SETS; set++) {
                    int64_t value = (int64_t)tm_rng_below(&rng, 1 << 30);
                    *tm_cov_at(&shape, input.sums[set], i, j) =
                        i == j || value % 2 == 0 ? value : -value;
                }
            }
        }
    }
    for (size_t set = 0; set < TM_CAL_SETS; set++) {
        input.count[set] = (struct tm_cal_count){100 + set, 7, 3};
    }
    input.count[TM_CAL_FIT].sinks = sinks;
    int16_t values[COLS];
    for (uint32_t s = 0; s < sinks; s++) {
        for (uint32_t i = 0; i < COLS; i++) {
            values[i] = (int16_t)((int64_t)tm_rng_below(&rng, 65535) - 32767);
        }
        struct tm_cal_sink sink = {window + s / 2 * 2, s % 2, (int8_t)(s % 5)};
        ck_assert_int_eq(tm_cal_input_sink(&input, sink, values), TM_OK);
    }
    return input;
}

static struct tm_buf bytes_of(const struct tm_cal_input *input)
{
    struct tm_buf buf;
    tm_buf_init(&buf, 1 << 24);
    ck_assert_int_eq(tm_cal_input_write(input, &buf), TM_OK);
    return buf;
}

START_TEST(sections_come_back)
{
    for (int whole = 0; whole < 2; whole++) {
        for (uint32_t sinks = 0; sinks <= 80; sinks += 40) {
            struct tm_cal_input input = sample(1, whole, sinks, 0), back;
            struct tm_buf buf = bytes_of(&input);
            struct tm_err err = {0};
            ck_assert_msg(tm_cal_input_read(tm_buf_view(&buf), whole, &back, &err) == TM_OK, "%s",
                          err.why);
            struct tm_buf again = bytes_of(&back);
            ck_assert(tm_view_eq(tm_buf_view(&again), tm_buf_view(&buf)));
            ck_assert_uint_eq(back.sink_count, sinks < TM_CAL_SINKS ? sinks : TM_CAL_SINKS);
            ck_assert(tm_cal_input_trace(&back, TM_CAL_FIT) > 0);
            ck_assert(tm_cal_input_square(&back, TM_CAL_FIT, 4) ==
                      tm_cal_input_square(&input, TM_CAL_FIT, 4));
            tm_buf_deinit(&again);
            tm_buf_deinit(&buf);
            tm_cal_input_deinit(&back);
            tm_cal_input_deinit(&input);
        }
    }
}
END_TEST

START_TEST(the_order_of_merging_does_not_matter)
{
    for (int whole = 0; whole < 2; whole++) {
        struct tm_cal_input sums[2];
        struct tm_buf bufs[2];
        for (size_t order = 0; order < 2; order++) {
            struct tm_cal_input a = sample(1, whole, 44, 0), b = sample(2, whole, 38, 1),
                                c = sample(3, whole, 0, 1000);
            struct tm_cal_input *first = order == 0 ? &a : &b, *second = order == 0 ? &b : &a;
            ck_assert_int_eq(tm_cal_input_merge(first, second), TM_OK);
            ck_assert_int_eq(tm_cal_input_merge(&c, first), TM_OK);
            sums[order] = c;
            bufs[order] = bytes_of(&c);
            tm_cal_input_deinit(&a);
            tm_cal_input_deinit(&b);
        }
        ck_assert(tm_view_eq(tm_buf_view(&bufs[0]), tm_buf_view(&bufs[1])));
        ck_assert_uint_eq(sums[0].sink_count, TM_CAL_SINKS);
        ck_assert_uint_eq(sums[0].count[TM_CAL_FIT].sinks, 82);
        ck_assert_uint_eq(sums[0].count[TM_CAL_FIT].tokens, 300);
        for (size_t i = 0; i < 2; i++) {
            tm_buf_deinit(&bufs[i]);
            tm_cal_input_deinit(&sums[i]);
        }
    }
}
END_TEST

START_TEST(what_cannot_be_merged)
{
    struct tm_cal_input a = sample(1, true, 0, 0), b = sample(2, true, 0, 0);
    b.exponents[5]++;
    ck_assert_int_eq(tm_cal_input_merge(&a, &b), TM_E_INCOMPATIBLE);
    b.exponents[5]--;
    b.count[TM_CAL_HELD].tokens = TM_COV_TOKENS_MAX;
    ck_assert_int_eq(tm_cal_input_merge(&a, &b), TM_E_LIMIT);
    ck_assert_uint_eq(a.count[TM_CAL_FIT].tokens, 100);
    tm_cal_input_clear(&a);
    ck_assert(tm_cal_input_trace(&a, TM_CAL_HELD) == 0);
    tm_cal_input_deinit(&a);
    tm_cal_input_deinit(&b);
}
END_TEST

/* Every cut is noticed, and every changed byte is noticed or gives another legal section. */
START_TEST(damage)
{
    struct tm_cal_input input = sample(1, true, 3, 0), back;
    struct tm_buf buf = bytes_of(&input);
    struct tm_err err;
    for (size_t cut = 0; cut < buf.bytes; cut += cut < 300 ? 1 : 41) {
        ck_assert_int_eq(tm_cal_input_read(tm_view_of(buf.data, cut), true, &back, &err),
                         TM_E_MALFORMED);
    }
    ck_assert_int_eq(tm_buf_put_u8(&buf, 0), TM_OK);
    ck_assert_int_eq(tm_cal_input_read(tm_buf_view(&buf), true, &back, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "there are bytes behind its sums");
    buf.bytes--;
    for (size_t at = 0; at < buf.bytes; at += at < 200 ? 1 : 13) {
        buf.data[at] ^= 0x81;
        if (tm_cal_input_read(tm_buf_view(&buf), true, &back, &err) == TM_OK) {
            struct tm_buf again = bytes_of(&back);
            ck_assert(tm_view_eq(tm_buf_view(&again), tm_buf_view(&buf)));
            tm_buf_deinit(&again);
            tm_cal_input_deinit(&back);
        }
        buf.data[at] ^= 0x81;
    }
    tm_buf_deinit(&buf);
    tm_cal_input_deinit(&input);
}
END_TEST

START_TEST(memory_runs_out_anywhere)
{
    struct tm_cal_input input = sample(1, true, 3, 0), back;
    struct tm_buf buf = bytes_of(&input);
    size_t before = tm_mem_live_blocks();
    for (uint64_t n = 1;; n++) {
        tm_mem_fail_at(n);
        tm_status status = tm_cal_input_read(tm_buf_view(&buf), true, &back, NULL);
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_cal_input_deinit(&back);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
        if (!failed) {
            break;
        }
    }
    tm_buf_deinit(&buf);
    tm_cal_input_deinit(&input);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(tm_cal_kind_name(TM_CAL_ATTENTION_IN), "attention_in");
    ck_assert(tm_cal_kind_whole(TM_CAL_DOWN_IN));
    ck_assert(!tm_cal_kind_whole(TM_CAL_KEY));
    struct tm_cov_shape shape = tm_cov_shape_of(COLS, 0);
    ck_assert_uint_ge(tm_cal_input_bytes(&shape, true), (size_t)2 * 8 * COLS * COLS / 2);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("cal_input");
    TCase *tcase = tcase_create("cal_input");
    tcase_add_test(tcase, sections_come_back);
    tcase_add_test(tcase, the_order_of_merging_does_not_matter);
    tcase_add_test(tcase, what_cannot_be_merged);
    tcase_add_test(tcase, damage);
    tcase_add_test(tcase, memory_runs_out_anywhere);
    tcase_add_test(tcase, names);
    suite_add_tcase(suite, tcase);
    return suite;
}

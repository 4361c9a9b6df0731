/* SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer/pieces.h"

#include "base/mem.h"
#include "tests/support/suite.h"

START_TEST(pieces_keep_text_and_order)
{
    struct tm_pieces p;
    tm_pieces_init(&p);
    ck_assert_int_eq(tm_pieces_add(&p, tm_view_str("ab"), TM_NO_TOKEN, true), TM_OK);
    ck_assert_int_eq(tm_pieces_add(&p, tm_view_str(""), TM_NO_TOKEN, false), TM_OK);
    ck_assert_int_eq(tm_pieces_add(&p, tm_view_str(""), 7, false), TM_OK);
    size_t from = p.text.bytes;
    ck_assert_int_eq(tm_pieces_close(&p, from, false), TM_OK);
    ck_assert_int_eq(tm_buf_put_str(&p.text, "cde"), TM_OK);
    ck_assert_int_eq(tm_pieces_close(&p, from, false), TM_OK);
    ck_assert_uint_eq(tm_pieces_count(&p), 3);
    ck_assert(tm_view_eq_str(tm_pieces_text(&p, tm_pieces_at(&p, 0)), "ab"));
    ck_assert(tm_pieces_at(&p, 0)->at_start);
    ck_assert_uint_eq(tm_pieces_at(&p, 1)->token, 7);
    ck_assert(tm_view_eq_str(tm_pieces_text(&p, tm_pieces_at(&p, 2)), "cde"));
    ck_assert(!tm_pieces_at(&p, 2)->at_start);
    tm_pieces_clear(&p);
    ck_assert_uint_eq(tm_pieces_count(&p), 0);
    tm_pieces_deinit(&p);
}
END_TEST

START_TEST(memory_runs_out)
{
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_pieces p;
        tm_pieces_init(&p);
        tm_mem_fail_at(n);
        tm_status status = tm_pieces_add(&p, tm_view_str("ab"), TM_NO_TOKEN, true);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_pieces_deinit(&p);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pieces");
    TCase *tc = tcase_create("pieces");
    tcase_add_test(tc, pieces_keep_text_and_order);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

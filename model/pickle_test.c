/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pickle.h"

#include "base/mem.h"
#include "tests/support/pth_file.h"
#include "tests/support/suite.h"

static tm_status read_it(const struct tm_buf *p, struct tm_pickle *out, struct tm_err *err)
{
    const struct tm_pickle_options options = {.path = "p", .offset = 1000};
    return tm_pickle_read(tm_buf_view(p), &options, out, err);
}

START_TEST(dictionaries_are_looked_up)
{
    struct tm_buf p;
    struct tm_pickle pickle;
    struct tm_value value;
    struct tm_err err;
    uint64_t number = 0;
    pk_begin(&p);
    pk_op(&p, "}(");
    pk_str(&p, "a");
    pk_int(&p, 1);
    pk_str(&p, "b");
    pk_int(&p, UINT64_C(1) << 40);
    pk_str(&p, "a");
    pk_int(&p, 3);
    pk_op(&p, "u.rest");
    ck_assert_int_eq(read_it(&p, &pickle, &err), TM_OK);
    ck_assert_uint_eq(pickle.used, p.bytes - 4);
    ck_assert(tm_pickle_get(&pickle, pickle.root, "a", &value)); /* the last one, as in Python */
    ck_assert(tm_pickle_u64(&pickle, value, &number) && number == 3);
    ck_assert(tm_pickle_get(&pickle, pickle.root, "b", &value));
    ck_assert(tm_pickle_u64(&pickle, value, &number) && number == UINT64_C(1) << 40);
    ck_assert(!tm_pickle_get(&pickle, pickle.root, "c", &value));
    ck_assert_ptr_null(tm_pickle_global(&pickle, pickle.root));
    tm_pickle_deinit(&pickle);
    tm_buf_deinit(&p);
}
END_TEST

START_TEST(places_count_from_the_file)
{
    struct tm_buf p;
    struct tm_pickle pickle;
    struct tm_err err;
    pk_begin(&p);
    pk_global(&p, "os", "system");
    ck_assert_int_eq(read_it(&p, &pickle, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.where, "p: byte 1002");
    ck_assert(!pickle.cut);
    tm_pickle_deinit(&pickle);
    tm_buf_deinit(&p);
}
END_TEST

/* Lists in lists in lists, each twice the one before: 2^100 items to whoever would walk them. */
START_TEST(shared_lists_cost_nothing)
{
    struct tm_buf p;
    struct tm_pickle pickle;
    struct tm_err err;
    pk_begin(&p);
    pk_op(&p, "]");
    for (int i = 0; i < 100; i++) {
        pk_op(&p, "2\x86"); /* DUP, TUPLE2 */
    }
    pk_op(&p, ".");
    ck_assert_int_eq(read_it(&p, &pickle, &err), TM_OK);
    tm_pickle_deinit(&pickle);
    tm_buf_deinit(&p);
}
END_TEST

/* A list that holds itself, marks without end, and a memo that grows. */
START_TEST(bombs_stay_within_the_bound)
{
    static const char *const units[] = {"(", "]", "N2", "}q\1", "]\x94", "N\x85"};
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        struct tm_buf p;
        struct tm_pickle pickle;
        struct tm_err err;
        pk_begin(&p);
        for (size_t i = 0; p.bytes < 2000000; i++) {
            pk_op(&p, units[u]);
        }
        tm_mem_reset_peak();
        size_t before = tm_mem_live_bytes();
        tm_status status = read_it(&p, &pickle, &err);
        ck_assert_int_eq(status, TM_E_MALFORMED); /* too much memory, or no STOP */
        ck_assert_uint_le(tm_mem_peak_bytes() - before, TM_PICKLE_MEMORY + p.bytes);
        tm_pickle_deinit(&pickle);
        tm_buf_deinit(&p);
    }
}
END_TEST

START_TEST(memory_runs_out)
{
    const struct pk_tensor t = {"FloatStorage", "0", 6, 0, 2, {2, 3}, {3, 1}};
    struct tm_buf p;
    pk_begin(&p);
    pk_op(&p, "}q\1");
    pk_str(&p, "w");
    pk_put_tensor(&p, &t);
    pk_op(&p, "s.");
    size_t live = tm_mem_live_blocks();
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        struct tm_pickle pickle;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = read_it(&p, &pickle, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_pickle_deinit(&pickle);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    }
    tm_buf_deinit(&p);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pickle");
    TCase *tc = tcase_create("pickle");
    tcase_add_test(tc, dictionaries_are_looked_up);
    tcase_add_test(tc, places_count_from_the_file);
    tcase_add_test(tc, shared_lists_cost_nothing);
    tcase_add_test(tc, bombs_stay_within_the_bound);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return suite;
}

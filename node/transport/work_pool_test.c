/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/work_pool.h"

#include "base/clock.h"
#include "base/mem.h"
#include "tests/support/suite.h"

static struct tm_transport *g_transport;
static struct tm_err g_err;

static void set_up(void)
{
    ck_assert_int_eq(tm_transport_new(&g_transport, &g_err), TM_OK);
}

static void tear_down(void)
{
    tm_transport_destroy(&g_transport);
}

struct square {
    struct tm_work work;
    uint32_t in;
    uint64_t out;
};

static void run_square(struct tm_work *work)
{
    struct square *s = (struct square *)work;
    s->out = (uint64_t)s->in * s->in;
}

static void drop_square(struct tm_work *work)
{
    tm_free(work);
}

static void submit(struct tm_work_pool *pool, uint32_t in)
{
    struct square *s = tm_calloc(1, sizeof *s);
    ck_assert_ptr_nonnull(s);
    s->work = (struct tm_work){.run = run_square, .drop = drop_square};
    s->in = in;
    tm_work_pool_submit(pool, &s->work);
}

static struct square *take(struct tm_work_pool *pool)
{
    uint64_t end = tm_clock_ms(tm_clock_os()) + 10000;
    struct tm_poll_item items[TM_WORK_THREADS_MAX];
    struct tm_work *work;
    while ((work = tm_work_pool_take(pool)) == NULL) {
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(items, tm_work_pool_poll(pool, items), 1000);
    }
    return (struct square *)work;
}

START_TEST(everything_comes_back_once)
{
    static const unsigned threads[] = {1, 2, 7};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        size_t blocks = tm_mem_live_blocks();
        struct tm_work_pool *pool = NULL;
        bool seen[1000] = {false};
        ck_assert_int_eq(tm_work_pool_new(g_transport, threads[t], &pool, &g_err), TM_OK);
        ck_assert_uint_eq(tm_work_pool_idle(pool), threads[t]);
        for (uint32_t i = 0; i < 1000; i++) {
            submit(pool, i);
        }
        for (uint32_t i = 0; i < 1000; i++) {
            struct square *s = take(pool);
            ck_assert_uint_eq(s->out, (uint64_t)s->in * s->in);
            ck_assert(!seen[s->in]);
            seen[s->in] = true;
            tm_free(s);
        }
        ck_assert_ptr_null(tm_work_pool_take(pool));
        ck_assert_uint_eq(tm_work_pool_idle(pool), threads[t]);
        tm_work_pool_destroy(&pool);
        ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
    }
}
END_TEST

START_TEST(one_thread_keeps_the_order)
{
    struct tm_work_pool *pool = NULL;
    ck_assert_int_eq(tm_work_pool_new(g_transport, 1, &pool, &g_err), TM_OK);
    for (uint32_t i = 0; i < 50; i++) {
        submit(pool, i);
    }
    for (uint32_t i = 0; i < 50; i++) {
        struct square *s = take(pool);
        ck_assert_uint_eq(s->in, i);
        tm_free(s);
    }
    tm_work_pool_destroy(&pool);
}
END_TEST

START_TEST(unfinished_work_is_dropped)
{
    size_t blocks = tm_mem_live_blocks();
    struct tm_work_pool *pool = NULL;
    ck_assert_int_eq(tm_work_pool_new(g_transport, 2, &pool, &g_err), TM_OK);
    for (uint32_t i = 0; i < 200; i++) {
        submit(pool, i);
    }
    tm_work_pool_destroy(&pool);
    ck_assert_ptr_null(pool);
    tm_work_pool_destroy(&pool);
    ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
}
END_TEST

START_TEST(memory_failures)
{
    size_t blocks = tm_mem_live_blocks();
    for (uint64_t n = 1;; n++) {
        struct tm_work_pool *pool = NULL;
        tm_mem_fail_at(n);
        tm_status status = tm_work_pool_new(g_transport, 3, &pool, &g_err);
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_work_pool_destroy(&pool);
        ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
        if (!failed) {
            ck_assert_uint_eq(n, 5); /* the pool and its three threads, then none */
            break;
        }
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("work_pool");
    TCase *tc = tcase_create("work_pool");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, everything_comes_back_once);
    tcase_add_test(tc, one_thread_keeps_the_order);
    tcase_add_test(tc, unfinished_work_is_dropped);
    tcase_add_test(tc, memory_failures);
    suite_add_tcase(suite, tc);
    return suite;
}

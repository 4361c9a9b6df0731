/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/actor.h"

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

static uint32_t *number(uint32_t value)
{
    uint32_t *n = tm_alloc(sizeof *n);
    ck_assert_ptr_nonnull(n);
    *n = value;
    return n;
}

/* Doubles numbers until it gets a zero. */
static void doubler(struct tm_pipe *pipe, void *context)
{
    uint32_t *served = context;
    for (;;) {
        uint32_t *n = tm_pipe_wait(pipe, -1);
        if (*n == 0) {
            tm_free(n);
            return;
        }
        *n *= 2;
        (*served)++;
        if (!tm_pipe_send(pipe, n)) {
            tm_free(n);
        }
    }
}

START_TEST(pointers_go_both_ways_in_order)
{
    size_t blocks = tm_mem_live_blocks();
    uint32_t served = 0;
    struct tm_actor *actor = NULL;
    ck_assert_int_eq(tm_actor_start(g_transport, doubler, &served, &actor, &g_err), TM_OK);
    struct tm_pipe *pipe = tm_actor_pipe(actor);
    ck_assert_ptr_null(tm_pipe_receive(pipe));
    ck_assert_ptr_null(tm_pipe_wait(pipe, 10));
    for (uint32_t i = 1; i <= 5000; i++) {
        ck_assert(tm_pipe_send(pipe, number(i)));
    }
    for (uint32_t i = 1; i <= 4000; i++) {
        uint32_t *n = tm_pipe_wait(pipe, 5000);
        ck_assert_ptr_nonnull(n);
        ck_assert_uint_eq(*n, 2 * i);
        tm_free(n);
    }
    ck_assert(tm_pipe_send(pipe, number(0)));
    tm_actor_join(&actor, tm_free); /* the last thousand answers are dropped, not leaked */
    ck_assert_ptr_null(actor);
    ck_assert_uint_eq(served, 5000);
    ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
}
END_TEST

START_TEST(poll_tells_which)
{
    uint32_t served[2] = {0, 0};
    struct tm_actor *actor[2];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tm_actor_start(g_transport, doubler, &served[i], &actor[i], &g_err),
                         TM_OK);
    }
    struct tm_poll_item items[2] = {{.pipe = tm_actor_pipe(actor[0])},
                                    {.pipe = tm_actor_pipe(actor[1])}};
    uint64_t start = tm_clock_ms(tm_clock_os());
    tm_poll(items, 2, 20);
    ck_assert_uint_ge(tm_clock_ms(tm_clock_os()) - start, 19);
    ck_assert(!items[0].readable && !items[1].readable);
    ck_assert(tm_pipe_send(items[1].pipe, number(21)));
    tm_poll(items, 2, 5000);
    ck_assert(!items[0].readable && items[1].readable);
    uint32_t *n = tm_pipe_receive(items[1].pipe);
    ck_assert_uint_eq(*n, 42);
    tm_free(n);
    for (int i = 0; i < 2; i++) {
        ck_assert(tm_pipe_send(items[i].pipe, number(0)));
        tm_actor_join(&actor[i], NULL);
    }
    tm_actor_join(&actor[0], NULL); /* NULL-safe */
}
END_TEST

START_TEST(memory_failure)
{
    struct tm_actor *actor = NULL;
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_actor_start(g_transport, doubler, NULL, &actor, &g_err), TM_E_NOMEM);
    tm_mem_fail_at(0);
    ck_assert_ptr_null(actor);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("actor");
    TCase *tc = tcase_create("actor");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, pointers_go_both_ways_in_order);
    tcase_add_test(tc, poll_tells_which);
    tcase_add_test(tc, memory_failure);
    suite_add_tcase(suite, tc);
    return suite;
}

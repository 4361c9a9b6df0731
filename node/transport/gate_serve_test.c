/* SPDX-License-Identifier: Apache-2.0
 * The gate's process under orders by hand: its limits, its last words, its end. */
#include "node/transport/gate_serve.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "node/transport/relay.h"
#include "tests/support/suite.h"

#define WAIT_MS 10000u

static struct tm_relay *g_relay;
static pid_t g_pid;
static struct tm_err g_err;

static void set_up(void)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    g_pid = fork();
    ck_assert_int_ge(g_pid, 0);
    if (g_pid == 0) {
        close(fds[0]);
        _exit(tm_gate_serve(fds[1]));
    }
    close(fds[1]);
    ck_assert_int_eq(tm_relay_new(fds[0], &g_relay, &g_err), TM_OK);
}

/* The exit code of the gate, which must come without help. */
static int wait_exit(void)
{
    int state = 0;
    uint64_t end = tm_clock_ms(tm_clock_os()) + WAIT_MS;
    while (waitpid(g_pid, &state, WNOHANG) == 0) {
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(NULL, 0, 5);
    }
    g_pid = 0;
    return WIFEXITED(state) ? WEXITSTATUS(state) : -WTERMSIG(state);
}

static void tear_down(void)
{
    tm_relay_destroy(&g_relay);
    if (g_pid > 0) {
        ck_assert_int_eq(wait_exit(), 0); /* it ends with the link */
    }
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static void order(enum tm_relay_type type, struct tm_view data)
{
    struct tm_relay_head head = {.type = type, .kind = type == TM_RELAY_SETUP};
    memset(head.key, 0x42, sizeof head.key);
    ck_assert_int_eq(tm_relay_send(g_relay, &head, data, 1000), TM_OK);
}

static void order_setup(uint64_t memory_bytes)
{
    uint8_t bytes[8];
    tm_set_u64(bytes, memory_bytes);
    order(TM_RELAY_SETUP, tm_view_of(bytes, sizeof bytes));
}

static tm_status wait_answer(struct tm_relay_head *head, struct tm_view *data)
{
    tm_status status;
    uint64_t end = tm_clock_ms(tm_clock_os()) + WAIT_MS;
    while ((status = tm_relay_receive(g_relay, head, data)) == TM_E_NOTHING) {
        struct tm_poll_item item = tm_relay_poll(g_relay);
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(&item, 1, 100);
    }
    return status;
}

START_TEST(listens_within_its_limits)
{
    struct tm_relay_head head;
    struct tm_view data;
    struct rlimit limit;
    order_setup(256u << 20);
    order(TM_RELAY_LISTEN, tm_view_str("tcp://127.0.0.1:0"));
    ck_assert_int_eq(wait_answer(&head, &data), TM_OK);
    ck_assert_int_eq(head.type, TM_RELAY_READY);
    ck_assert_int_eq(memcmp(data.data, "tcp://127.0.0.1:", 16), 0);
    ck_assert_int_eq(prlimit(g_pid, RLIMIT_CORE, NULL, &limit), 0);
    ck_assert_uint_eq(limit.rlim_max, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if !defined(__clang__)
    ck_assert_int_eq(prlimit(g_pid, RLIMIT_AS, NULL, &limit), 0);
    ck_assert_uint_ge(limit.rlim_max, 256u << 20);
    ck_assert_uint_lt(limit.rlim_max, 1024u << 20);
#endif
#endif
}
END_TEST

START_TEST(says_why_it_cannot_listen)
{
    struct tm_relay_head head;
    struct tm_view data;
    struct tm_err why;
    order_setup(256u << 20);
    order(TM_RELAY_LISTEN, tm_view_str("tcp://203.0.113.1:8471")); /* no address of this machine */
    ck_assert_int_eq(wait_answer(&head, &data), TM_OK);
    ck_assert_int_eq(head.type, TM_RELAY_FAILED);
    ck_assert_uint_eq(data.bytes, sizeof why);
    memcpy(&why, data.data, sizeof why);
    ck_assert_str_eq(why.where, "tcp://203.0.113.1:8471");
    ck_assert_int_eq(wait_exit(), tm_status_exit_code(why.status));
}
END_TEST

/* Orders in no order: it ends, whatever a stranger might make of it. */
START_TEST(orders_that_make_no_sense)
{
    struct tm_relay_head head;
    struct tm_view data;
    static const enum tm_relay_type first[] = {TM_RELAY_LISTEN, TM_RELAY_DENY, TM_RELAY_FRAME,
                                               TM_RELAY_READY, TM_RELAY_SENT};
    order(first[_i], tm_view_str("tcp://127.0.0.1:0"));
    ck_assert_int_eq(wait_answer(&head, &data), TM_E_NETWORK);
    ck_assert_int_eq(wait_exit(), tm_status_exit_code(TM_E_MALFORMED));
}
END_TEST

START_TEST(ends_with_its_coordinator)
{
    struct tm_relay_head head;
    struct tm_view data;
    order_setup(256u << 20);
    order(TM_RELAY_LISTEN, tm_view_str("tcp://127.0.0.1:0"));
    ck_assert_int_eq(wait_answer(&head, &data), TM_OK);
    kill(g_pid, SIGINT); /* of the terminal: not its business */
    tm_relay_destroy(&g_relay);
    ck_assert_int_eq(wait_exit(), 0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("gate_serve");
    TCase *tc = tcase_create("gate_serve");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, listens_within_its_limits);
    tcase_add_test(tc, says_why_it_cannot_listen);
    tcase_add_loop_test(tc, orders_that_make_no_sense, 0, 5);
    tcase_add_test(tc, ends_with_its_coordinator);
    suite_add_tcase(suite, tc);
    return suite;
}

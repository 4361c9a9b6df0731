/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/port.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "node/transport/zap.h"
#include "tests/support/suite.h"

static struct tm_transport *g_transport;
static struct tm_identity *g_owner;
static struct tm_err g_err;

static void set_up(void)
{
    uint8_t seed[32] = {1};
    struct tm_zap_options zap = {.allow_any = true};
    ck_assert_int_eq(tm_crypto_init(&g_err), TM_OK);
    ck_assert_int_eq(tm_identity_from_seed(seed, &g_owner, &g_err), TM_OK);
    ck_assert_int_eq(tm_transport_new(&g_transport, &g_err), TM_OK);
    ck_assert_int_eq(tm_zap_start(g_transport, &zap, &g_err), TM_OK);
}

static void tear_down(void)
{
    tm_transport_destroy(&g_transport);
    tm_identity_destroy(&g_owner);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static void expect_bound(struct tm_port *port)
{
    char bulk[TM_ENDPOINT_MAX];
    char bound[TM_ENDPOINT_MAX];
    struct tm_socket *socket = NULL;
    struct tm_socket_options options = {
        .kind = TM_SOCKET_ROUTER, .identity = g_owner, .message_bytes_max = 9, .queue_messages = 1};
    ck_assert_int_eq(tm_endpoint_next(port->endpoint, bulk, &g_err), TM_OK);
    const char *taken[] = {port->endpoint, bulk};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tm_socket_new(g_transport, &options, &socket, &g_err), TM_OK);
        ck_assert_int_eq(tm_socket_bind(socket, taken[i], bound, &g_err), TM_E_REFUSED);
        tm_socket_destroy(&socket);
    }
}

START_TEST(two_neighbours_by_either_key)
{
    uint8_t secret[TM_CURVE_KEY_BYTES];
    tm_identity_curve_secret(g_owner, secret);
    struct tm_port_options ways[] = {{.transport = g_transport, .identity = g_owner},
                                     {.transport = g_transport, .curve_secret = secret}};
    struct tm_port port;
    ck_assert_int_eq(tm_port_open(&port, &ways[_i], "tcp://127.0.0.1:0", &g_err), TM_OK);
    expect_bound(&port);
    tm_port_close(&port);
    ck_assert_str_eq(port.endpoint, "");
}
END_TEST

START_TEST(refusals_leave_nothing_open)
{
    struct tm_port_options options = {.transport = g_transport, .identity = g_owner};
    struct tm_port first, second;
    ck_assert_int_eq(tm_port_open(&first, &options, "tcp://127.0.0.1:0", &g_err), TM_OK);
    ck_assert_int_eq(tm_port_open(&second, &options, first.endpoint, &g_err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(g_err.why, "in use"));
    ck_assert_ptr_null(second.socket[TM_PORT_CONTROL]);
    /* The port before it: its bulk would be first's control. */
    char *digits = strrchr(first.endpoint, ':') + 1;
    char before[TM_ENDPOINT_MAX];
    unsigned number = 0;
    for (const char *at = digits; *at != '\0'; at++) {
        number = number * 10 + (unsigned)(*at - '0');
    }
    snprintf(before, sizeof before, "tcp://127.0.0.1:%u", number - 1);
    ck_assert_int_eq(tm_port_open(&second, &options, before, &g_err), TM_E_REFUSED);
    ck_assert_ptr_null(second.socket[TM_PORT_BULK]);
    tm_port_close(&first);
    options.identity = NULL;
    ck_assert_int_eq(tm_port_open(&first, &options, "tcp://127.0.0.1:0", &g_err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(g_err.why, "without keys"));
    tm_port_close(&first);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("port");
    TCase *tc = tcase_create("port");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, two_neighbours_by_either_key, 0, 2);
    tcase_add_test(tc, refusals_leave_nothing_open);
    suite_add_tcase(suite, tc);
    return suite;
}

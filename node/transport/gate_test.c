/* SPDX-License-Identifier: Apache-2.0
 * A gate in a process of its own (this program again) between clients here and the coordinator's
 * side here. */
#include "node/transport/gate.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "node/transport/gate_serve.h"
#include "node/transport/port.h"
#include "node/transport/relay.h"
#include "tests/support/suite.h"

#define WAIT_MS 10000u
#define QUIET_MS 300u

static struct tm_transport *g_transport; /* of the clients */
static struct tm_identity *g_owner, *g_node, *g_other;
static struct tm_gate *g_gate;
static struct tm_err g_err;
static unsigned g_restarts;

/* Before main: `gate_test gate` is the gate. */
__attribute__((constructor)) static void be_the_gate(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], TM_GATE_COMMAND) == 0) {
        exit(tm_gate_serve(TM_GATE_FD));
    }
}

static void count(void *context, enum tm_level level, const char *event,
                  const struct tm_field *fields, size_t field_count)
{
    (void)context;
    (void)level;
    (void)fields;
    (void)field_count;
    g_restarts += strcmp(event, "gate.restarted") == 0;
}
static const struct tm_sink g_sink = {.emit = count};

static struct tm_identity *identity(uint8_t seed_byte)
{
    uint8_t seed[32];
    struct tm_identity *id = NULL;
    memset(seed, seed_byte, sizeof seed);
    ck_assert_int_eq(tm_identity_from_seed(seed, &id, &g_err), TM_OK);
    return id;
}

static struct tm_gate_options options_of(const char *listen)
{
    return (struct tm_gate_options){.program = "/proc/self/exe",
                                    .identity = g_owner,
                                    .listen = listen,
                                    .allow_any = true,
                                    .sink = &g_sink};
}

static void open_gate(const struct tm_gate_options *options)
{
    tm_status status = tm_gate_new(options, &g_gate, &g_err);
    ck_assert_msg(status == TM_OK, "%s: %s", g_err.what, g_err.why);
}

static void set_up(void)
{
    g_restarts = 0;
    ck_assert_int_eq(tm_crypto_init(&g_err), TM_OK);
    ck_assert_int_eq(tm_transport_new(&g_transport, &g_err), TM_OK);
    g_owner = identity(1);
    g_node = identity(2);
    g_other = identity(3);
}

static void tear_down(void)
{
    tm_gate_destroy(&g_gate);
    tm_transport_destroy(&g_transport);
    tm_identity_destroy(&g_owner);
    tm_identity_destroy(&g_node);
    tm_identity_destroy(&g_other);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static struct tm_socket *client(const struct tm_identity *id, int kind)
{
    char bulk[TM_ENDPOINT_MAX];
    const char *endpoint = tm_gate_endpoint(g_gate);
    struct tm_socket_options options = {.kind = TM_SOCKET_DEALER,
                                        .identity = id,
                                        .server_key = tm_identity_public(g_owner),
                                        .message_bytes_max = TM_RELAY_DATA_MAX,
                                        .queue_messages = 16};
    struct tm_socket *s = NULL;
    ck_assert_int_eq(tm_endpoint_next(endpoint, bulk, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &s, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_connect(s, kind == TM_PORT_BULK ? bulk : endpoint, &g_err), TM_OK);
    return s;
}

static void say(struct tm_socket *s, const char *text)
{
    ck_assert_int_eq(tm_socket_send(s, NULL, tm_view_str(text)), TM_OK);
}

/* What comes from the gate within the time. */
static enum tm_gate_news wait_news(struct tm_gate_event *event, uint64_t wait_ms)
{
    uint64_t end = tm_clock_ms(tm_clock_os()) + wait_ms;
    while (tm_gate_receive(g_gate, event) == TM_GATE_NOTHING && tm_clock_ms(tm_clock_os()) < end) {
        struct tm_poll_item item;
        tm_poll(&item, tm_gate_poll(g_gate, &item), 20);
    }
    return event->news;
}

static struct tm_route expect_frame(int kind, const struct tm_identity *from, const char *text)
{
    struct tm_gate_event event;
    uint8_t key[TM_CURVE_KEY_BYTES];
    ck_assert_int_eq(wait_news(&event, WAIT_MS), TM_GATE_FRAME);
    ck_assert_int_eq(event.kind, kind);
    ck_assert(tm_view_eq_str(event.frame.data, text));
    ck_assert_int_eq(tm_public_key_curve(tm_identity_public(from), key), TM_OK);
    ck_assert(event.frame.has_key);
    ck_assert_mem_eq(event.frame.key, key, sizeof key);
    tm_frame_deinit(&event.frame);
    return event.frame.route;
}

static void expect_heard(struct tm_socket *s, const char *text)
{
    struct tm_frame frame;
    uint64_t end = tm_clock_ms(tm_clock_os()) + WAIT_MS;
    while (tm_socket_receive(s, &frame) != TM_OK) {
        struct tm_poll_item item = {.socket = s};
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(&item, 1, 20);
    }
    ck_assert(tm_view_eq_str(frame.data, text));
    tm_frame_deinit(&frame);
}

START_TEST(messages_both_ways)
{
    struct tm_gate_options options = options_of("tcp://127.0.0.1:0");
    struct tm_gate_event event;
    open_gate(&options);
    ck_assert_int_gt(tm_gate_process(g_gate), 0);
    for (int kind = 0; kind < TM_PORT_KINDS; kind++) {
        struct tm_socket *s = client(g_node, kind);
        say(s, "hello");
        struct tm_route route = expect_frame(kind, g_node, "hello");
        ck_assert_int_eq(tm_gate_send(g_gate, kind, &route, tm_view_str("back")), TM_OK);
        expect_heard(s, "back");
        if (kind == TM_PORT_BULK) {
            ck_assert_int_eq(wait_news(&event, WAIT_MS), TM_GATE_SENT);
            ck_assert_mem_eq(event.frame.route.b, route.b, route.bytes);
        }
        ck_assert_int_eq(wait_news(&event, QUIET_MS), TM_GATE_NOTHING);
        route.b[1] ^= 0x55;
        ck_assert_int_eq(tm_gate_send(g_gate, kind, &route, tm_view_str("back")), TM_OK);
        ck_assert_int_eq(wait_news(&event, WAIT_MS), TM_GATE_LOST);
        ck_assert_int_eq(event.kind, kind);
        ck_assert_mem_eq(event.frame.route.b, route.b, route.bytes);
        tm_socket_destroy(&s);
    }
}
END_TEST

/* A peer that does not read fills its queues and the window; another one is not held up by it, and
 * nothing is lost or turned round when it reads at last. */
START_TEST(a_slow_reader_holds_up_nobody)
{
    enum { MESSAGES = 1000, BYTES = 256 * 1024 };
    static uint8_t data[BYTES];
    struct tm_gate_options options = options_of("tcp://127.0.0.1:0");
    struct tm_gate_event event;
    struct tm_frame frame;
    open_gate(&options);
    struct tm_socket *slow = client(g_node, TM_PORT_BULK);
    struct tm_socket *quick = client(g_other, TM_PORT_BULK);
    say(slow, "slow");
    struct tm_route route = expect_frame(TM_PORT_BULK, g_node, "slow");
    say(quick, "quick");
    struct tm_route other = expect_frame(TM_PORT_BULK, g_other, "quick");
    int sent = 0, answered = 0, heard = 0;
    while (sent < MESSAGES) {
        data[0] = (uint8_t)sent;
        tm_status status =
            sent - answered < TM_GATE_WINDOW
                ? tm_gate_send(g_gate, TM_PORT_BULK, &route, tm_view_of(data, sizeof data))
                : TM_E_LIMIT;
        sent += status == TM_OK;
        if (status != TM_E_LIMIT) {
            continue;
        }
        enum tm_gate_news news = wait_news(&event, QUIET_MS);
        answered += news == TM_GATE_SENT;
        if (news == TM_GATE_NOTHING && sent - answered == TM_GATE_WINDOW) {
            break; /* as full as it gets */
        }
    }
    ck_assert_int_lt(sent, MESSAGES);
    ck_assert_int_eq(tm_gate_send(g_gate, TM_PORT_BULK, &other, tm_view_str("for you")), TM_OK);
    expect_heard(quick, "for you");
    uint64_t end = tm_clock_ms(tm_clock_os()) + WAIT_MS;
    while (heard < sent) {
        (void)tm_gate_receive(g_gate, &event);
        if (tm_socket_receive(slow, &frame) == TM_OK) {
            ck_assert_uint_eq(frame.data.bytes, BYTES);
            ck_assert_uint_eq(frame.data.data[0], heard++);
            tm_frame_deinit(&frame);
        }
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
    }
    tm_socket_destroy(&slow);
    tm_socket_destroy(&quick);
}
END_TEST

/* Nothing of what was sent before the end is lost with the gate. */
START_TEST(last_words_arrive)
{
    struct tm_gate_options options = options_of("tcp://127.0.0.1:0");
    open_gate(&options);
    struct tm_socket *s = client(g_node, TM_PORT_CONTROL);
    say(s, "hello");
    struct tm_route route = expect_frame(TM_PORT_CONTROL, g_node, "hello");
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(tm_gate_send(g_gate, TM_PORT_CONTROL, &route, tm_view_str("word")), TM_OK);
    }
    ck_assert_int_eq(tm_gate_send(g_gate, TM_PORT_CONTROL, &route, tm_view_str("last")), TM_OK);
    tm_gate_destroy(&g_gate);
    for (int i = 0; i < 200 + 1; i++) {
        expect_heard(s, i < 200 ? "word" : "last");
    }
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(who_is_let_in)
{
    struct tm_gate_options options = options_of("tcp://127.0.0.1:0");
    struct tm_gate_event event;
    options.allow_any = false;
    options.allow = tm_identity_public(g_node);
    options.allow_count = 1;
    open_gate(&options);
    struct tm_socket *stranger = client(g_other, TM_PORT_CONTROL);
    (void)!tm_socket_send(stranger, NULL, tm_view_str("stranger"));
    ck_assert_int_eq(wait_news(&event, QUIET_MS), TM_GATE_NOTHING);
    struct tm_socket *s = client(g_node, TM_PORT_CONTROL);
    say(s, "friend");
    expect_frame(TM_PORT_CONTROL, g_node, "friend");
    uint8_t key[TM_CURVE_KEY_BYTES];
    ck_assert_int_eq(tm_public_key_curve(tm_identity_public(g_node), key), TM_OK);
    ck_assert_int_eq(tm_gate_deny(g_gate, key), TM_OK);
    ck_assert_int_eq(wait_news(&event, QUIET_MS), TM_GATE_NOTHING); /* the order has come */
    say(s, "banned");                                               /* on the old connection */
    ck_assert_int_eq(wait_news(&event, QUIET_MS), TM_GATE_NOTHING);
    tm_socket_destroy(&s);
    s = client(g_node, TM_PORT_CONTROL);
    (void)!tm_socket_send(s, NULL, tm_view_str("banned"));
    ck_assert_int_eq(wait_news(&event, QUIET_MS), TM_GATE_NOTHING);
    tm_socket_destroy(&s);
    tm_socket_destroy(&stranger);
}
END_TEST

START_TEST(a_killed_gate_comes_back)
{
    struct tm_gate_options options = options_of("tcp://127.0.0.1:0");
    struct tm_gate_event event;
    char endpoint[TM_ENDPOINT_MAX];
    uint8_t key[TM_CURVE_KEY_BYTES];
    open_gate(&options);
    snprintf(endpoint, sizeof endpoint, "%s", tm_gate_endpoint(g_gate));
    struct tm_socket *s = client(g_node, TM_PORT_CONTROL);
    say(s, "before");
    struct tm_route route = expect_frame(TM_PORT_CONTROL, g_node, "before");
    ck_assert_int_eq(tm_public_key_curve(tm_identity_public(g_other), key), TM_OK);
    ck_assert_int_eq(tm_gate_deny(g_gate, key), TM_OK);
    kill((pid_t)tm_gate_process(g_gate), SIGKILL);
    ck_assert_int_eq(wait_news(&event, WAIT_MS), TM_GATE_ENDED);
    uint64_t ended = tm_clock_ms(tm_clock_os());
    ck_assert_int_eq(tm_gate_send(g_gate, TM_PORT_CONTROL, &route, tm_view_str("?")),
                     TM_E_NOT_FOUND);
    while (g_restarts == 0) {
        ck_assert_int_eq(wait_news(&event, 20), TM_GATE_NOTHING);
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), ended + WAIT_MS);
    }
    ck_assert_str_eq(tm_gate_endpoint(g_gate), endpoint);
    say(s, "after"); /* the same socket: it connects again by itself */
    route = expect_frame(TM_PORT_CONTROL, g_node, "after");
    ck_assert_int_eq(tm_gate_send(g_gate, TM_PORT_CONTROL, &route, tm_view_str("back")), TM_OK);
    expect_heard(s, "back");
    struct tm_socket *banned = client(g_other, TM_PORT_CONTROL);
    (void)!tm_socket_send(banned, NULL, tm_view_str("banned")); /* still */
    ck_assert_int_eq(wait_news(&event, QUIET_MS), TM_GATE_NOTHING);
    tm_socket_destroy(&banned);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(refusals)
{
    struct tm_gate_options options = options_of("tcp://127.0.0.1:0");
    struct tm_gate *second = NULL;
    open_gate(&options);
    options = options_of(tm_gate_endpoint(g_gate));
    ck_assert_int_eq(tm_gate_new(&options, &second, &g_err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(g_err.why, "in use"));
    ck_assert_str_eq(g_err.where, tm_gate_endpoint(g_gate));
    options = options_of("8471");
    ck_assert_int_eq(tm_gate_new(&options, &second, &g_err), TM_E_USAGE);
    options = options_of("tcp://127.0.0.1:0");
    options.program = "/nonexistent/tmill";
    ck_assert_int_eq(tm_gate_new(&options, &second, &g_err), TM_E_NOT_FOUND);
    options.program = "/bin/false";
    ck_assert_int_eq(tm_gate_new(&options, &second, &g_err), TM_E_INTERNAL);
    ck_assert_ptr_null(second);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("gate");
    TCase *tc = tcase_create("gate");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, messages_both_ways);
    tcase_add_test(tc, a_slow_reader_holds_up_nobody);
    tcase_add_test(tc, last_words_arrive);
    tcase_add_test(tc, who_is_let_in);
    tcase_add_test(tc, a_killed_gate_comes_back);
    tcase_add_test(tc, refusals);
    suite_add_tcase(suite, tc);
    return suite;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/transport.h"

#include <string.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/mem.h"
#include "node/transport/actor.h"
#include "node/transport/transport_private.h"
#include "node/transport/zap.h"
#include "tests/support/suite.h"

#define WAIT_MS 5000
#define QUIET_MS 400 /* how long "nothing comes" is watched */

static struct tm_transport *g_transport;
static struct tm_identity *g_server, *g_client, *g_other;
static struct tm_err g_err;

static struct tm_identity *identity(uint8_t seed_byte)
{
    uint8_t seed[32];
    memset(seed, seed_byte, sizeof seed);
    struct tm_identity *id = NULL;
    ck_assert_int_eq(tm_identity_from_seed(seed, &id, &g_err), TM_OK);
    return id;
}

static void set_up(void)
{
    ck_assert_int_eq(tm_crypto_init(&g_err), TM_OK);
    ck_assert_int_eq(tm_transport_new(&g_transport, &g_err), TM_OK);
    g_server = identity(1);
    g_client = identity(2);
    g_other = identity(3);
}

static void tear_down(void)
{
    tm_transport_destroy(&g_transport);
    tm_identity_destroy(&g_server);
    tm_identity_destroy(&g_client);
    tm_identity_destroy(&g_other);
}

static void start_zap(const struct tm_identity *only)
{
    struct tm_zap_options options = {.allow_any = only == NULL};
    if (only != NULL) {
        options.allow = tm_identity_public(only);
        options.allow_count = 1;
    }
    ck_assert_int_eq(tm_zap_start(g_transport, &options, &g_err), TM_OK);
}

static struct tm_socket *server(char bound[TM_ENDPOINT_MAX])
{
    struct tm_socket_options options = {.kind = TM_SOCKET_ROUTER,
                                        .identity = g_server,
                                        .message_bytes_max = 1000,
                                        .queue_messages = 20};
    struct tm_socket *s = NULL;
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &s, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_bind(s, "tcp://127.0.0.1:0", bound, &g_err), TM_OK);
    return s;
}

static struct tm_socket *client(const char *endpoint, const struct tm_identity *id,
                                const struct tm_identity *pinned)
{
    struct tm_socket_options options = {.kind = TM_SOCKET_DEALER,
                                        .identity = id,
                                        .server_key = tm_identity_public(pinned),
                                        .message_bytes_max = 1000,
                                        .queue_messages = 20};
    struct tm_socket *s = NULL;
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &s, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_connect(s, endpoint, &g_err), TM_OK);
    return s;
}

/* A message within the time, or TM_E_NOTHING. */
static tm_status receive(struct tm_socket *s, struct tm_frame *frame, uint64_t wait_ms)
{
    uint64_t end = tm_clock_ms(tm_clock_os()) + wait_ms;
    for (;;) {
        tm_status status = tm_socket_receive(s, frame);
        uint64_t now = tm_clock_ms(tm_clock_os());
        if (status != TM_E_NOTHING || now >= end) {
            return status;
        }
        struct tm_poll_item item = {.socket = s};
        tm_poll(&item, 1, (int)(end - now));
    }
}

static void expect_text(struct tm_socket *s, const char *text)
{
    struct tm_frame frame;
    ck_assert_int_eq(receive(s, &frame, WAIT_MS), TM_OK);
    ck_assert(tm_view_eq_str(frame.data, text));
    tm_frame_deinit(&frame);
}

static void expect_nothing(struct tm_socket *s)
{
    struct tm_frame frame;
    ck_assert_int_eq(receive(s, &frame, QUIET_MS), TM_E_NOTHING);
}

static void send_text(struct tm_socket *s, const char *text)
{
    ck_assert_int_eq(tm_socket_send(s, NULL, tm_view_str(text)), TM_OK);
}

/* For clients that may be turned away before they have said a word. */
static void try_text(struct tm_socket *s, const char *text)
{
    (void)!tm_socket_send(s, NULL, tm_view_str(text));
}

/* A socket that does not follow our rules, over plain libzmq. */
static void *raw_dealer_named(const char *endpoint, const struct tm_identity *id, const char *name)
{
    void *s = zmq_socket(g_transport->zmq, ZMQ_DEALER);
    int zero = 0;
    if (name != NULL) {
        zmq_setsockopt(s, ZMQ_ROUTING_ID, name, strlen(name));
    }
    zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof zero);
    if (id != NULL) {
        uint8_t key[TM_CURVE_KEY_BYTES];
        tm_identity_curve_secret(id, key);
        zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, key, sizeof key);
        ck_assert_int_eq(tm_public_key_curve(tm_identity_public(id), key), TM_OK);
        zmq_setsockopt(s, ZMQ_CURVE_PUBLICKEY, key, sizeof key);
        ck_assert_int_eq(tm_public_key_curve(tm_identity_public(g_server), key), TM_OK);
        zmq_setsockopt(s, ZMQ_CURVE_SERVERKEY, key, sizeof key);
    }
    ck_assert_int_eq(zmq_connect(s, endpoint), 0);
    return s;
}

static void *raw_dealer(const char *endpoint, const struct tm_identity *id)
{
    return raw_dealer_named(endpoint, id, NULL);
}

START_TEST(there_and_back)
{
    char at[TM_ENDPOINT_MAX];
    start_zap(NULL);
    struct tm_socket *s = server(at);
    struct tm_socket *c = client(at, g_client, g_server);
    send_text(c, "hello");
    struct tm_frame frame;
    ck_assert_int_eq(receive(s, &frame, WAIT_MS), TM_OK);
    ck_assert(tm_view_eq_str(frame.data, "hello"));
    uint8_t key[TM_CURVE_KEY_BYTES];
    ck_assert_int_eq(tm_public_key_curve(tm_identity_public(g_client), key), TM_OK);
    ck_assert(frame.has_key);
    ck_assert_mem_eq(frame.key, key, sizeof key);
    ck_assert_int_eq(tm_socket_send(s, &frame.route, tm_view_str("welcome")), TM_OK);
    expect_text(c, "welcome");
    struct tm_route nobody = {.bytes = 5, .b = {0, 9, 9, 9, 9}};
    ck_assert_int_eq(tm_socket_send(s, &nobody, tm_view_str("x")), TM_E_NOT_FOUND);
    tm_frame_deinit(&frame);
    tm_socket_destroy(&c);
    tm_socket_destroy(&s);
}
END_TEST

/* One that is destroyed would deliver it within its linger time, half a second. */
START_TEST(a_dropped_socket_is_silent)
{
    char at[TM_ENDPOINT_MAX];
    char again[TM_ENDPOINT_MAX];
    start_zap(NULL);
    struct tm_socket *s = server(at);
    tm_socket_destroy(&s);
    struct tm_socket *c = client(at, g_client, g_server);
    try_text(c, "of before");
    tm_socket_drop(&c);
    ck_assert_ptr_null(c);
    struct tm_socket_options options = {.kind = TM_SOCKET_ROUTER,
                                        .identity = g_server,
                                        .message_bytes_max = 1000,
                                        .queue_messages = 20};
    uint64_t end = tm_clock_ms(tm_clock_os()) + WAIT_MS;
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &s, &g_err), TM_OK);
    while (tm_socket_bind(s, at, again, &g_err) != TM_OK) { /* the port is not free at once */
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(NULL, 0, 1);
    }
    struct tm_frame frame;
    ck_assert_int_eq(receive(s, &frame, 1000), TM_E_NOTHING);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(no_zap_no_server)
{
    char at[TM_ENDPOINT_MAX];
    struct tm_socket_options options = {.kind = TM_SOCKET_ROUTER,
                                        .identity = g_server,
                                        .message_bytes_max = 9,
                                        .queue_messages = 9};
    struct tm_socket *s = NULL;
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &s, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_bind(s, "tcp://127.0.0.1:0", at, &g_err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(g_err.why, "no ZAP handler"));
    tm_socket_destroy(&s);
    start_zap(NULL);
    options.identity = NULL;
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &s, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_bind(s, "tcp://127.0.0.1:0", at, &g_err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(g_err.why, "without keys"));
    tm_socket_destroy(&s);
    options.kind = TM_SOCKET_DEALER;
    options.identity = g_client; /* but no pinned server key */
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &s, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_connect(s, "tcp://127.0.0.1:9", &g_err), TM_E_REFUSED);
    tm_socket_destroy(&s);
}
END_TEST

static void wait_denied(uint64_t at_least)
{
    uint64_t end = tm_clock_ms(tm_clock_os()) + WAIT_MS;
    while (tm_zap_counts(g_transport).denied < at_least) {
        ck_assert_uint_lt(tm_clock_ms(tm_clock_os()), end);
        tm_poll(NULL, 0, 5);
    }
}

START_TEST(only_listed_keys)
{
    char at[TM_ENDPOINT_MAX];
    start_zap(g_client);
    struct tm_socket *s = server(at);
    struct tm_socket *stranger = client(at, g_other, g_server);
    try_text(stranger, "let me in");
    wait_denied(1);
    expect_nothing(s);
    struct tm_socket *c = client(at, g_client, g_server);
    send_text(c, "listed");
    expect_text(s, "listed");
    tm_socket_destroy(&stranger);
    tm_socket_destroy(&c);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(banned_keys_do_not_come_back)
{
    char at[TM_ENDPOINT_MAX];
    start_zap(NULL);
    struct tm_socket *s = server(at);
    struct tm_socket *c = client(at, g_client, g_server);
    send_text(c, "first");
    struct tm_frame frame;
    ck_assert_int_eq(receive(s, &frame, WAIT_MS), TM_OK);
    ck_assert_int_eq(tm_zap_deny(g_transport, frame.key), TM_OK);
    ck_assert_int_eq(tm_zap_deny(g_transport, frame.key), TM_OK);
    tm_frame_deinit(&frame);
    tm_socket_destroy(&c);
    c = client(at, g_client, g_server);
    try_text(c, "second");
    wait_denied(1);
    expect_nothing(s);
    ck_assert_uint_eq(tm_zap_counts(g_transport).accepted, 1);
    tm_socket_destroy(&c);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(wrong_server_key_never_connects)
{
    char at[TM_ENDPOINT_MAX];
    start_zap(NULL);
    struct tm_socket *s = server(at);
    struct tm_socket *c = client(at, g_client, g_other); /* pins another key */
    try_text(c, "secret");
    expect_nothing(s);
    ck_assert_uint_eq(tm_zap_counts(g_transport).accepted, 0);
    tm_socket_destroy(&c);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(plain_client_is_refused)
{
    char at[TM_ENDPOINT_MAX];
    start_zap(NULL);
    struct tm_socket *s = server(at);
    void *raw = raw_dealer(at, NULL);
    ck_assert_int_eq(zmq_send(raw, "hi", 2, ZMQ_DONTWAIT), 2);
    expect_nothing(s);
    ck_assert_uint_eq(tm_zap_counts(g_transport).accepted, 0);
    zmq_close(raw);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(dead_zap_denies)
{
    char at[TM_ENDPOINT_MAX];
    start_zap(NULL);
    struct tm_socket *s = server(at);
    int enforced = 0;
    size_t bytes = sizeof enforced;
    ck_assert_int_eq(zmq_getsockopt(s->zmq, 93, &enforced, &bytes), 0);
    ck_assert_int_eq(enforced, 1);
    tm_zap_stop(g_transport);
    struct tm_socket *c = client(at, g_client, g_server);
    try_text(c, "anyone there?");
    expect_nothing(s);
    tm_socket_destroy(&c);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(oversize_drops_the_peer)
{
    char at[TM_ENDPOINT_MAX];
    char big[1001];
    start_zap(NULL);
    struct tm_socket *s = server(at);
    struct tm_socket *c = client(at, g_client, g_server);
    send_text(c, "small");
    struct tm_frame frame;
    ck_assert_int_eq(receive(s, &frame, WAIT_MS), TM_OK);
    struct tm_route old = frame.route;
    tm_frame_deinit(&frame);
    memset(big, 'b', sizeof big);
    ck_assert_int_eq(tm_socket_send(c, NULL, tm_view_of(big, sizeof big)), TM_OK);
    expect_nothing(s);
    /* The connection it came on is gone; the client's reconnection is another one. */
    ck_assert_int_eq(tm_socket_send(s, &old, tm_view_str("x")), TM_E_NOT_FOUND);
    struct tm_socket *good = client(at, g_other, g_server);
    send_text(good, "fine");
    expect_text(s, "fine");
    tm_socket_destroy(&good);
    tm_socket_destroy(&c);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(only_single_frames)
{
    char at[TM_ENDPOINT_MAX];
    start_zap(NULL);
    struct tm_socket *s = server(at);
    void *raw = raw_dealer(at, g_client);
    zmq_send(raw, "one", 3, ZMQ_SNDMORE);
    zmq_send(raw, "two", 3, ZMQ_SNDMORE);
    zmq_send(raw, "three", 5, 0);
    zmq_send(raw, "alone", 5, 0);
    expect_text(s, "alone");
    ck_assert_uint_eq(tm_socket_dropped(s), 1);
    zmq_close(raw);
    /* Nobody of ours chooses a routing id; a long one is not answered. */
    raw = raw_dealer_named(at, g_other, "an-id-that-is-longer-than-sixteen-bytes");
    zmq_send(raw, "me", 2, 0);
    struct tm_socket *good = client(at, g_client, g_server);
    send_text(good, "still here");
    expect_text(s, "still here");
    expect_nothing(s);
    ck_assert_uint_eq(tm_socket_dropped(s), 2);
    tm_socket_destroy(&good);
    zmq_close(raw);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(full_queue_says_so_and_loses_nothing)
{
    start_zap(NULL);
    struct tm_socket_options options = {
        .kind = TM_SOCKET_ROUTER, .message_bytes_max = 1000, .queue_messages = 10};
    struct tm_socket *s = NULL;
    struct tm_socket *c = NULL;
    char at[TM_ENDPOINT_MAX];
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &s, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_bind(s, "inproc://queue", at, &g_err), TM_OK);
    options.kind = TM_SOCKET_DEALER;
    ck_assert_int_eq(tm_socket_new(g_transport, &options, &c, &g_err), TM_OK);
    ck_assert_int_eq(tm_socket_connect(c, "inproc://queue", &g_err), TM_OK);
    send_text(c, "ready");
    struct tm_frame frame;
    ck_assert_int_eq(receive(s, &frame, WAIT_MS), TM_OK);
    ck_assert(!frame.has_key);
    unsigned sent = 0;
    tm_status status;
    while ((status = tm_socket_send(s, &frame.route, tm_view_of(&sent, sizeof sent))) == TM_OK) {
        sent++;
        ck_assert_uint_lt(sent, 1000);
    }
    ck_assert_int_eq(status, TM_E_LIMIT);
    ck_assert_uint_ge(sent, 10);
    struct tm_frame got;
    for (unsigned i = 0; i < sent; i++) {
        ck_assert_int_eq(receive(c, &got, WAIT_MS), TM_OK);
        ck_assert_mem_eq(got.data.data, &i, sizeof i);
        tm_frame_deinit(&got);
    }
    tm_frame_deinit(&frame);
    tm_socket_destroy(&c);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(endpoints)
{
    char out[TM_ENDPOINT_MAX];
    ck_assert_int_eq(tm_endpoint_next("tcp://10.0.0.1:8471", out, &g_err), TM_OK);
    ck_assert_str_eq(out, "tcp://10.0.0.1:8472");
    ck_assert_int_eq(tm_endpoint_next("tcp://[::1]:9", out, &g_err), TM_OK);
    ck_assert_str_eq(out, "tcp://[::1]:10");
    ck_assert_int_eq(tm_endpoint_next("inproc://a", out, &g_err), TM_OK);
    ck_assert_str_eq(out, "inproc://a-next");
    static const char *const bad[] = {
        "",          "host:80",       "tcp://",     "tcp://:1",  "tcp://h",          "tcp://h:",
        "tcp://h:x", "tcp://h:65535", "tcp://h:-1", "udp://h:1", "ipc:///tmp/x:100", "tcp://h:1 "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(tm_endpoint_check_tcp(bad[i], &g_err) == TM_E_USAGE, "%s", bad[i]);
        ck_assert_ptr_nonnull(strstr(g_err.hint, "tcp://"));
    }
    start_zap(NULL);
    struct tm_socket *s = server(out);
    char second[TM_ENDPOINT_MAX];
    ck_assert_int_eq(tm_socket_bind(s, out, second, &g_err), TM_E_REFUSED);
    ck_assert_ptr_nonnull(strstr(g_err.why, "already in use"));
    ck_assert_int_eq(tm_socket_unbind(s, out, &g_err), TM_OK);
    tm_socket_destroy(&s);
}
END_TEST

START_TEST(memory_failures)
{
    size_t blocks = tm_mem_live_blocks();
    uint64_t n = 0;
    bool done = false;
    while (!done) {
        tm_mem_fail_at(++n);
        struct tm_transport *t = NULL;
        struct tm_socket *s = NULL;
        struct tm_socket_options options = {
            .kind = TM_SOCKET_ROUTER, .message_bytes_max = 9, .queue_messages = 9};
        struct tm_zap_options zap = {.allow = tm_identity_public(g_client), .allow_count = 1};
        tm_status status = tm_transport_new(&t, &g_err);
        if (status == TM_OK) {
            status = tm_zap_start(t, &zap, &g_err);
        }
        if (status == TM_OK) {
            status = tm_socket_new(t, &options, &s, &g_err);
        }
        done = !tm_mem_failed();
        ck_assert_int_eq(status, done ? TM_OK : TM_E_NOMEM);
        tm_socket_destroy(&s);
        tm_transport_destroy(&t);
        ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
    }
    tm_mem_fail_at(0);
    ck_assert_uint_ge(n, 4);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("transport");
    TCase *tc = tcase_create("transport");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, there_and_back);
    tcase_add_test(tc, a_dropped_socket_is_silent);
    tcase_add_test(tc, no_zap_no_server);
    tcase_add_test(tc, only_listed_keys);
    tcase_add_test(tc, banned_keys_do_not_come_back);
    tcase_add_test(tc, wrong_server_key_never_connects);
    tcase_add_test(tc, plain_client_is_refused);
    tcase_add_test(tc, dead_zap_denies);
    tcase_add_test(tc, oversize_drops_the_peer);
    tcase_add_test(tc, only_single_frames);
    tcase_add_test(tc, full_queue_says_so_and_loses_nothing);
    tcase_add_test(tc, endpoints);
    tcase_add_test(tc, memory_failures);
    suite_add_tcase(suite, tc);
    return suite;
}

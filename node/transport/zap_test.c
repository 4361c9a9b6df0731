/* SPDX-License-Identifier: Apache-2.0
 * Speaks ZAP to the handler directly; handshakes through real sockets are in transport_test.c. */
#include "node/transport/zap.h"

#include <string.h>
#include <zmq.h>

#include "crypto/digest.h"
#include "node/transport/transport_private.h"
#include "tests/support/suite.h"

static struct tm_transport *g_transport;
static struct tm_err g_err;
static void *g_req;
static struct tm_identity *g_friend;
static uint8_t g_key[TM_CURVE_KEY_BYTES];

static void set_up(void)
{
    static const uint8_t seed[32] = {7};
    ck_assert_int_eq(tm_crypto_init(&g_err), TM_OK);
    ck_assert_int_eq(tm_identity_from_seed(seed, &g_friend, &g_err), TM_OK);
    ck_assert_int_eq(tm_public_key_curve(tm_identity_public(g_friend), g_key), TM_OK);
    ck_assert_int_eq(tm_transport_new(&g_transport, &g_err), TM_OK);
}

static void tear_down(void)
{
    zmq_close(g_req);
    tm_transport_destroy(&g_transport);
    tm_identity_destroy(&g_friend);
}

static void start(bool allow_any)
{
    struct tm_zap_options options = {.allow_any = allow_any,
                                     .allow = tm_identity_public(g_friend),
                                     .allow_count = allow_any ? 0 : 1};
    ck_assert_int_eq(tm_zap_start(g_transport, &options, &g_err), TM_OK);
    g_req = zmq_socket(g_transport->zmq, ZMQ_REQ);
    int timeout = 5000;
    int zero = 0;
    zmq_setsockopt(g_req, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
    zmq_setsockopt(g_req, ZMQ_LINGER, &zero, sizeof zero);
    ck_assert_int_eq(zmq_connect(g_req, "inproc://zeromq.zap.01"), 0);
}

struct question {
    const char *version, *domain, *mechanism;
    const void *key;
    size_t key_bytes;
    bool one_more;
};

/* Asks and returns the status code; user gets the User-Id. */
static int ask(const struct question *q, char user[128])
{
    const char *identity = "";
    zmq_send(g_req, q->version, strlen(q->version), ZMQ_SNDMORE);
    zmq_send(g_req, "42", 2, ZMQ_SNDMORE);
    zmq_send(g_req, q->domain, strlen(q->domain), ZMQ_SNDMORE);
    zmq_send(g_req, "127.0.0.1", 9, ZMQ_SNDMORE);
    zmq_send(g_req, identity, 0, ZMQ_SNDMORE);
    zmq_send(g_req, q->mechanism, strlen(q->mechanism), ZMQ_SNDMORE);
    zmq_send(g_req, q->key, q->key_bytes, q->one_more ? ZMQ_SNDMORE : 0);
    if (q->one_more) {
        zmq_send(g_req, "more", 4, ZMQ_SNDMORE);
        zmq_send(g_req, "more", 4, 0);
    }
    char frame[6][128];
    for (int i = 0; i < 6; i++) {
        int n = zmq_recv(g_req, frame[i], sizeof frame[i] - 1, 0);
        ck_assert_int_ge(n, 0);
        frame[i][n] = 0;
    }
    ck_assert_str_eq(frame[0], "1.0");
    ck_assert_str_eq(frame[5], "");
    memcpy(user, frame[4], 128);
    return frame[2][0] == '2' && strcmp(frame[2], "200") == 0 ? 200 : 400;
}

START_TEST(answers)
{
    start(false);
    char user[128];
    char want[2 * TM_CURVE_KEY_BYTES + 1];
    struct question good = {"1.0", TM_ZAP_DOMAIN, "CURVE", g_key, sizeof g_key, false};
    ck_assert_int_eq(ask(&good, user), 200);
    ck_assert_str_eq(user, tm_hex_encode(g_key, sizeof g_key, want));
    uint8_t other[TM_CURVE_KEY_BYTES];
    memcpy(other, g_key, sizeof other);
    other[31] ^= 1;
    static const uint8_t huge[4096] = {0};
    const struct question bad[] = {
        {"1.0", TM_ZAP_DOMAIN, "CURVE", other, sizeof other, false},
        {"2.0", TM_ZAP_DOMAIN, "CURVE", g_key, sizeof g_key, false},
        {"1.0", "other", "CURVE", g_key, sizeof g_key, false},
        {"1.0", "", "CURVE", g_key, sizeof g_key, false},
        {"1.0", TM_ZAP_DOMAIN, "NULL", g_key, sizeof g_key, false},
        {"1.0", TM_ZAP_DOMAIN, "PLAIN", g_key, sizeof g_key, false},
        {"1.0", TM_ZAP_DOMAIN, "CURVE", g_key, sizeof g_key - 1, false},
        {"1.0", TM_ZAP_DOMAIN, "CURVE", g_key, 0, false},
        {"1.0", TM_ZAP_DOMAIN, "CURVE", huge, sizeof huge, false},
        {"1.0", TM_ZAP_DOMAIN, "CURVE", g_key, sizeof g_key, true},
    };
    size_t count = sizeof bad / sizeof bad[0];
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(ask(&bad[i], user) == 400, "case %zu", i);
        ck_assert_str_eq(user, "");
    }
    ck_assert_int_eq(ask(&good, user), 200);
    ck_assert_uint_eq(tm_zap_counts(g_transport).accepted, 2);
    ck_assert_uint_eq(tm_zap_counts(g_transport).denied, count);
}
END_TEST

START_TEST(denied_even_when_listed)
{
    start(false);
    char user[128];
    struct question good = {"1.0", TM_ZAP_DOMAIN, "CURVE", g_key, sizeof g_key, false};
    ck_assert_int_eq(ask(&good, user), 200);
    ck_assert_int_eq(tm_zap_deny(g_transport, g_key), TM_OK);
    ck_assert_int_eq(ask(&good, user), 400);
}
END_TEST

START_TEST(any_key_but_the_denied)
{
    start(true);
    char user[128];
    for (unsigned i = 0; i < 100; i++) {
        uint8_t key[TM_CURVE_KEY_BYTES] = {(uint8_t)i, 1};
        struct question q = {"1.0", TM_ZAP_DOMAIN, "CURVE", key, sizeof key, false};
        ck_assert_int_eq(ask(&q, user), 200);
        ck_assert_int_eq(tm_zap_deny(g_transport, key), TM_OK);
        ck_assert_int_eq(ask(&q, user), 400);
    }
}
END_TEST

START_TEST(bad_allow_list)
{
    struct tm_public_key zero = {{0}}; /* of small order: no such identity */
    struct tm_zap_options options = {.allow = &zero, .allow_count = 1};
    ck_assert_int_eq(tm_zap_start(g_transport, &options, &g_err), TM_E_USAGE);
    ck_assert_ptr_nonnull(strstr(g_err.why, "key 1"));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("zap");
    TCase *tc = tcase_create("zap");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, answers);
    tcase_add_test(tc, denied_even_when_listed);
    tcase_add_test(tc, any_key_but_the_denied);
    tcase_add_test(tc, bad_allow_list);
    suite_add_tcase(suite, tc);
    return suite;
}

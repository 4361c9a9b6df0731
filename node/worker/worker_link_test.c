/* SPDX-License-Identifier: Apache-2.0
 * The link over inproc; over tcp it is in node/coordinator/mesh_ports_test.c. */
#include "node/worker/worker_link.h"

#include "proto/wire.h"
#include "tests/support/small_job.h"
#include "tests/support/small_mesh.h"
#include "tests/support/suite.h"

static struct tm_identity *g_owner;
static struct small_mesh g_mesh;
static struct tm_err g_err;

static void set_up(void)
{
    g_owner = small_job_identity(1);
    small_mesh_open(&g_mesh, g_owner);
}

static void tear_down(void)
{
    small_mesh_close(&g_mesh);
    tm_identity_destroy(&g_owner);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

START_TEST(messages_find_their_socket)
{
    struct tm_mesh_peer *peer;
    struct tm_msg want = {.type = TM_MSG_WANT, .want = {.slots = 4}};
    struct tm_msg credit = {.type = TM_MSG_CREDIT, .credit = {.credit_bytes = 9}};
    ck_assert_int_eq(tm_worker_link_send(g_mesh.link, &want), TM_OK);
    ck_assert_uint_eq(small_mesh_at_ports(&g_mesh, &peer)->want.slots, 4);
    ck_assert_int_eq(tm_worker_link_send(g_mesh.link, &credit), TM_OK);
    ck_assert_uint_eq(small_mesh_at_ports(&g_mesh, &peer)->credit.credit_bytes, 9);
    ck_assert_ptr_null(tm_worker_link_receive(g_mesh.link));
    for (uint32_t i = 1; i <= 20; i++) {
        struct tm_msg idle = {.type = TM_MSG_IDLE, .idle = {.retry_ms = i}};
        ck_assert_int_eq(tm_mesh_ports_send(g_mesh.ports, g_mesh.peer, &idle), TM_OK);
    }
    for (uint32_t i = 1; i <= 20; i++) {
        ck_assert_uint_eq(small_mesh_at_link(&g_mesh)->idle.retry_ms, i);
    }
}
END_TEST

START_TEST(a_full_queue_is_said)
{
    static uint8_t bytes[TM_DATA_PIECE_MAX];
    struct tm_msg data = {.type = TM_MSG_DATA,
                          .data = {.total = 1u << 30, .piece = tm_view_of(bytes, sizeof bytes)}};
    tm_status status = TM_OK;
    unsigned sent = 0;
    while (status == TM_OK && sent < 1000) {
        status = tm_worker_link_send(g_mesh.link, &data);
        sent += status == TM_OK;
    }
    ck_assert_int_eq(status, TM_E_LIMIT);
    ck_assert_uint_lt(sent, 100); /* not more than 25 MiB */
}
END_TEST

START_TEST(bad_endpoints)
{
    struct tm_worker_link_options options = {.transport = g_mesh.transport,
                                             .endpoint = "http://example.org"};
    struct tm_worker_link *link = NULL;
    ck_assert_int_eq(tm_worker_link_new(&options, &link, &g_err), TM_E_USAGE);
    ck_assert_ptr_null(link);
    options.endpoint = "tcp://127.0.0.1:9"; /* but no keys */
    ck_assert_int_eq(tm_worker_link_new(&options, &link, &g_err), TM_E_REFUSED);
    ck_assert_ptr_null(link);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("worker_link");
    TCase *tc = tcase_create("worker_link");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, messages_find_their_socket);
    tcase_add_test(tc, a_full_queue_is_said);
    tcase_add_test(tc, bad_endpoints);
    suite_add_tcase(suite, tc);
    return suite;
}

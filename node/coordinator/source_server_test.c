/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/source_server.h"

#include "tests/support/small_job.h"
#include "tests/support/small_mesh.h"
#include "tests/support/suite.h"

static struct small_job g_job;
static struct small_mesh g_mesh;
static struct tm_source_server *g_server;
static struct tm_err g_err;
static uint32_t g_unit;
static struct tm_buf g_source;

static void set_up(void)
{
    small_job_open(&g_job);
    small_mesh_open(&g_mesh, g_job.owner);
    ck_assert_int_eq(tm_source_server_new(g_mesh.ports, g_job.job, 1u << 20, &g_server), TM_OK);
    g_unit = small_job_lossy_unit(&g_job);
    tm_buf_init(&g_source, 1u << 20);
    ck_assert_int_eq(tm_job_read_unit(g_job.job, g_unit, &g_source, &g_err), TM_OK);
    g_mesh.peer->fetch_bytes = 1u << 20;
}

static void tear_down(void)
{
    tm_buf_deinit(&g_source);
    tm_source_server_destroy(&g_server);
    small_mesh_close(&g_mesh);
    small_job_close(&g_job);
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

static void fetch(const struct tm_digest *id, uint32_t credit)
{
    struct tm_msg msg = {.type = TM_MSG_FETCH, .fetch = {.id = *id, .credit_bytes = credit}};
    ck_assert_int_eq(tm_source_server_message(g_server, g_mesh.peer, &msg), TM_OK);
}

static void give(uint32_t credit)
{
    struct tm_msg msg = {.type = TM_MSG_CREDIT,
                         .credit = {.id = g_job.job->unit_source[g_unit], .credit_bytes = credit}};
    ck_assert_int_eq(tm_source_server_message(g_server, g_mesh.peer, &msg), TM_OK);
}

static void pump(void)
{
    bool stalled = true;
    ck_assert_int_eq(tm_source_server_pump(g_server, &stalled, &g_err), TM_OK);
    ck_assert(!stalled);
}

static void expect_piece(uint32_t offset, uint32_t bytes)
{
    const struct tm_msg *msg = small_mesh_at_link(&g_mesh);
    ck_assert_int_eq(msg->type, TM_MSG_DATA);
    ck_assert_uint_eq(msg->data.offset, offset);
    ck_assert_uint_eq(msg->data.total, g_source.bytes);
    ck_assert_uint_eq(msg->data.piece.bytes, bytes);
    ck_assert_mem_eq(msg->data.piece.data, g_source.data + offset, bytes);
}

START_TEST(only_within_credit)
{
    uint32_t all = (uint32_t)g_source.bytes;
    fetch(&g_job.job->unit_source[g_unit], 100);
    pump();
    pump();
    expect_piece(0, 100);
    ck_assert_ptr_null(tm_worker_link_receive(g_mesh.link));
    give(50);
    pump();
    expect_piece(100, 50);
    give(UINT32_MAX);
    pump();
    expect_piece(150, all - 150);
    ck_assert_uint_eq(tm_source_server_sent(g_server), all);
    give(1000); /* it is over: nobody listens */
    pump();
    ck_assert_ptr_null(tm_worker_link_receive(g_mesh.link));
}
END_TEST

START_TEST(again_from_the_start)
{
    fetch(&g_job.job->unit_source[g_unit], 100);
    pump();
    expect_piece(0, 100);
    fetch(&g_job.job->unit_source[g_unit], 70);
    pump();
    expect_piece(0, 70);
}
END_TEST

START_TEST(no_more_than_was_leased)
{
    uint32_t all = (uint32_t)g_source.bytes;
    g_mesh.peer->fetch_bytes = 2 * all;
    for (int i = 0; i < 5; i++) {
        fetch(&g_job.job->unit_source[g_unit], all);
        pump();
    }
    expect_piece(0, all);
    expect_piece(0, all);
    ck_assert_ptr_null(tm_worker_link_receive(g_mesh.link));
    struct tm_digest unknown = {{1, 2, 3}};
    fetch(&unknown, 100);
    pump();
    ck_assert_ptr_null(tm_worker_link_receive(g_mesh.link));
}
END_TEST

START_TEST(a_changed_model_ends_it)
{
    FILE *f = fopen(g_job.model, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, 3000, SEEK_SET), 0);
    ck_assert_int_eq(fputc(1, f), 1);
    ck_assert_int_eq(fputc(2, f), 2);
    ck_assert_int_eq(fclose(f), 0);
    bool stalled;
    uint32_t all = (uint32_t)g_source.bytes;
    fetch(&g_job.job->unit_source[g_unit], all);
    pump();
    struct tm_digest got = tm_digest_of(small_mesh_at_link(&g_mesh)->data.piece);
    ck_assert(!tm_digest_eq(&got, &g_job.job->unit_source[g_unit])); /* the node sees it */
    fetch(&g_job.job->unit_source[g_unit], 100);
    ck_assert_int_eq(tm_source_server_pump(g_server, &stalled, &g_err), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(g_err.why, "changed"));
}
END_TEST

START_TEST(a_peer_that_is_dropped_gets_nothing)
{
    fetch(&g_job.job->unit_source[g_unit], 100);
    tm_source_server_drop_peer(g_server, g_mesh.peer);
    pump();
    ck_assert_ptr_null(tm_worker_link_receive(g_mesh.link));
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("source_server");
    TCase *tc = tcase_create("source_server");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, only_within_credit);
    tcase_add_test(tc, again_from_the_start);
    tcase_add_test(tc, no_more_than_was_leased);
    tcase_add_test(tc, a_changed_model_ends_it);
    tcase_add_test(tc, a_peer_that_is_dropped_gets_nothing);
    suite_add_tcase(suite, tc);
    return suite;
}
